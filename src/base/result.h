// Result<T> and Status: how a function says that it failed, why, and what its caller may do about it.
//
// Ours because nothing in Debian 12 does this: std::expected is not in C++20, tl::expected lets an ignored error pass,
// absl's codes cannot tell throttling from missing capacity (docs/adr/0002-result.md). Both types are [[nodiscard]].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace escala {

// A kind earns its place when some caller acts differently on it; everything else belongs in the message.
enum class ErrorKind : uint8_t {
  Invalid,        // the request is wrong; asking again cannot help
  NotFound,       // no such thing (yet: some providers show new things late)
  AlreadyExists,  // the name or token is taken
  Conflict,       // somebody changed it meanwhile, or its state forbids this now; read again
  Throttled,      // asked too often; ask later
  NoCapacity,     // this zone, type or market has none; try another
  Unavailable,    // broken or unreachable; ask later
  Unknown,        // it may or may not have happened; replay with the same token
  Denied,         // not allowed to us
  Exhausted,      // a bound of ours was reached; the message names it
  Bug,            // our own mistake
};

// The word for a kind, as in logs and JSON: "NoCapacity".
std::string_view name(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::Bug;
  std::string message;

  // The same error, told from one level up: "launching for group web: RunInstances: RequestLimitExceeded".
  Error in(std::string_view context) const { return {kind, std::string(context) + ": " + message}; }
  friend bool operator==(const Error&, const Error&) = default;
};

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

// For our own mistakes only; stays on in release. Strangers' input never reaches one.
#define ESCALA_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::escala::check_failed(#expression, __FILE__, __LINE__))

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const T& value() const& {
    ESCALA_CHECK(ok());
    return std::get<0>(state_);
  }
  T& value() & {
    ESCALA_CHECK(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    ESCALA_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  T value_or(T other) const { return ok() ? std::get<0>(state_) : std::move(other); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const Error& error() const {
    ESCALA_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    ESCALA_CHECK(!ok());
    return *error_;
  }
  friend bool operator==(const Status&, const Status&) = default;

 private:
  std::optional<Error> error_;
};

inline Status ok_status() {
  return {};
}

#define ESCALA_CONCAT_(a, b) a##b
#define ESCALA_CONCAT(a, b) ESCALA_CONCAT_(a, b)
// Leaves the function with the error of a Status, if it has one.
#define ESCALA_TRY(expression)                                               \
  do {                                                                       \
    if (auto escala_status = (expression); !escala_status.ok()) [[unlikely]] \
      return escala_status.error();                                          \
  } while (false)
// ESCALA_ASSIGN(auto x, f()): x is the value of a Result; leaves the function with its error otherwise.
#define ESCALA_ASSIGN(target, expression) ESCALA_ASSIGN_(ESCALA_CONCAT(escala_result_, __LINE__), target, expression)
#define ESCALA_ASSIGN_(result, target, expression) \
  auto result = (expression);                      \
  if (!result.ok()) [[unlikely]]                   \
    return result.error();                         \
  target = std::move(result).value()

}  // namespace escala
