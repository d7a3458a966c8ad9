#include "api/errors.h"

namespace escala::api {

// AWS answers ResourceContention with HTTP 500, although the sender is told to try again.
constexpr int kContentionStatus = 500;

ApiError validation_error(std::string message) {
  return {"ValidationError", 400, std::move(message)};
}
ApiError already_exists(std::string message) {
  return {"AlreadyExists", 400, std::move(message)};
}
ApiError resource_in_use(std::string message) {
  return {"ResourceInUse", 400, std::move(message)};
}
ApiError scaling_activity_in_progress(std::string message) {
  return {"ScalingActivityInProgress", 400, std::move(message)};
}
ApiError limit_exceeded(std::string message) {
  return {"LimitExceeded", 400, std::move(message)};
}
ApiError resource_contention() {
  return {"ResourceContention", kContentionStatus,
          "You already have a pending update to an Amazon EC2 Auto Scaling resource; try again"};
}
ApiError invalid_next_token() {
  return {"InvalidNextToken", 400, "The NextToken value is not valid."};
}

ApiError from_error(const Error& error) {
  switch (error.kind) {
    case ErrorKind::Invalid:
    case ErrorKind::NotFound:
      return validation_error(error.message);
    case ErrorKind::AlreadyExists:
      return already_exists(error.message);
    case ErrorKind::Conflict:
      return resource_contention();
    case ErrorKind::Throttled:
      return {"Throttling", 400, "Rate exceeded"};
    case ErrorKind::Exhausted:
      return limit_exceeded(error.message);
    case ErrorKind::Denied:
      return {"AccessDenied", 403, error.message};
    case ErrorKind::NoCapacity:
    case ErrorKind::Unavailable:
      return {"ServiceUnavailable", 503, "state store cannot be written: " + error.message};
    case ErrorKind::Unknown:
    case ErrorKind::Bug:
      break;
  }
  return {"InternalFailure", 500, error.message};
}

}  // namespace escala::api
