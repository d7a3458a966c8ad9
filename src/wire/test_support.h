// What the tests of wire/ share: waiting for a condition, and a small service to talk to.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/grpc.h"

namespace escala::wire {

// Runs the loop until the condition holds; false when it does not within `limit`.
inline bool until(EventLoop& loop, const std::function<bool()>& condition, Duration limit = std::chrono::seconds(10)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    loop.poll(std::chrono::milliseconds(10));
  }
  return true;
}

// Calls of /test.Echo/Never that have ended since add_echo.
inline int& never_ended() {
  static int count = 0;
  return count;
}

// test.Echo: Unary and Stream send back what they get, Fail makes it the words of an error, Never answers
// nothing.
inline void add_echo(Server& server) {
  never_ended() = 0;
  server.add("/test.Echo/Unary", {.on_start = {},
                                  .on_message =
                                      [](ServerCall& call, std::string_view message) {
                                        call.send(message);
                                        call.finish({});
                                      },
                                  .on_half_close = {},
                                  .on_end = {}});
  server.add("/test.Echo/Stream", {.on_start = {},
                                   .on_message = [](ServerCall& call, std::string_view message) { call.send(message); },
                                   .on_half_close = [](ServerCall& call) { call.finish({}); },
                                   .on_end = {}});
  server.add("/test.Echo/Fail", {.on_start = {},
                                 .on_message =
                                     [](ServerCall& call, std::string_view message) {
                                       call.finish({GrpcCode::FailedPrecondition, std::string(message)});
                                     },
                                 .on_half_close = {},
                                 .on_end = {}});
  server.add("/test.Echo/Never", {.on_start = {},
                                  .on_message = [](ServerCall&, std::string_view) {},
                                  .on_half_close = [](ServerCall&) {},
                                  .on_end = [](ServerCall&) { ++never_ended(); }});
}

// Like add_echo's methods: answers each call when `release` is called.
struct LateService {
  std::shared_ptr<std::vector<ServerCall*>> waiting = std::make_shared<std::vector<ServerCall*>>();
  void add_to(Server& server) const {
    server.add("/test.Echo/Late",
               {.on_start = {},
                .on_message = [waiting = waiting](ServerCall& call, std::string_view) { waiting->push_back(&call); },
                .on_half_close = {},
                .on_end = [waiting = waiting](ServerCall& call) { std::erase(*waiting, &call); }});
  }
  void release() const {
    for (ServerCall* call : std::vector<ServerCall*>(*waiting)) {
      call->send("late");
      call->finish({});
    }
  }
};

}  // namespace escala::wire
