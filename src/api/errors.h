// What a request can fail with: AWS's code, its HTTP status, and the words. Handlers make them; the faces write them.
#pragma once

#include <string>

#include "base/result.h"

namespace escala::api {

struct ApiError {
  std::string code;  // "ValidationError"
  int http_status = 400;
  std::string message;
};

ApiError validation_error(std::string message);
ApiError already_exists(std::string message);
ApiError resource_in_use(std::string message);
ApiError scaling_activity_in_progress(std::string message);
ApiError limit_exceeded(std::string message);
ApiError resource_contention();
ApiError invalid_next_token();
// Whatever came from below: the store, the records.
ApiError from_error(const Error& error);

}  // namespace escala::api
