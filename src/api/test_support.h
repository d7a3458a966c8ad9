// For the API's tests: the operations over a memory store, without sockets.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "api/actions.h"
#include "api/json_reader.h"
#include "api/routes.h"
#include "store/memory_store.h"

namespace escala::api {

inline constexpr TimePoint kNow = TimePoint(std::chrono::seconds(1'795'435'200));  // 2026-11-23T12:00:00Z

class ApiOverMemory : public testing::Test {
 protected:
  // The answer's JSON, or "Code: message".
  std::string call(const std::string& operation, const std::string& json) {
    Head head;
    head.method = "POST";
    head.target = "/v1/" + operation;
    head.fields["content-type"] = "application/json";
    const Answer answer = route(context_, head, json, Trust::Changes, "id");
    if (answer.status == 200) return answer.body;
    const auto error = read_json(answer.body);
    return error->find("Error")->find("Code")->text + ": " + error->find("Error")->find("Message")->text;
  }

  MemoryStore store_;
  LiveTable live_;
  ManualClock clock_{kNow};
  Context context_{store_, live_, clock_};
};

}  // namespace escala::api
