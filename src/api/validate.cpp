#include "api/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <regex>

#include "api/fill.h"
#include "api/rules.pb.h"
#include "api/suggest.h"
#include "base/time.h"

namespace escala::api {
namespace {

// The patterns of rules.proto, compiled once each: there are a handful.
bool matches(const std::string& value, const std::string& pattern) {
  static std::mutex mutex;
  static std::map<std::string, std::regex> compiled;
  const std::lock_guard lock(mutex);
  auto found = compiled.find(pattern);
  if (found == compiled.end()) found = compiled.emplace(pattern, std::regex(pattern, std::regex::optimize)).first;
  return std::regex_match(value, found->second);
}

bool is_base64(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const size_t filled = text.find_last_not_of('=') + 1;
  return text.size() % 4 == 0 && text.size() - filled <= 2 &&
         std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(filled), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
         });
}

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class Validator {
 public:
  explicit Validator(Faults& faults) : faults_(faults) {}

  void message(const Message& message, const std::string& path) {
    const auto* descriptor = message.GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor& field = *descriptor->field(i);
      field_of(message, field, path.empty() ? field.name() : path + "." + field.name());
    }
  }

 private:
  void add(const std::string& path, std::string_view value, const std::string& what, const std::string& constraint) {
    if (faults_.size() >= kMaxFaults) return;
    faults_.push_back({.path = path,
                       .what = fmt::format("{}: {}", path, what),
                       .aws = aws_constraint(path, value, constraint),
                       .mark = {}});
  }

  void field_of(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const auto* reflection = message.GetReflection();
    const Rules& allowed = field.options().GetExtension(rules);
    if (field.is_repeated()) {
      const int size = reflection->FieldSize(message, &field);
      count(allowed, size, path);
      if (allowed.required() && size == 0) return;
      if (size > 0 && !allowed.refused().empty()) return refuse_field(allowed, path);
      for (int i = 0; i < size; ++i) element(message, field, allowed, i, fmt::format("{}[{}]", path, i));
      return;
    }
    if (!reflection->HasField(message, &field)) {
      if (allowed.required())
        add(path, "", fmt::format("missing; expected {}", expectation(field)), "Member must not be null");
      return;
    }
    if (!allowed.refused().empty() && says_something(message, field)) return refuse_field(allowed, path);
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return this->message(reflection->GetMessage(message, &field), path);
      case FieldDescriptor::CPPTYPE_STRING:
        return text(allowed, reflection->GetString(message, &field), path);
      case FieldDescriptor::CPPTYPE_INT32:
        return number(field, allowed, reflection->GetInt32(message, &field), path);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return number(field, allowed, reflection->GetDouble(message, &field), path);
      default:
        return;
    }
  }

  // A 0, a false or an empty text is what the field is without: clients that send all they know send those.
  static bool says_something(const Message& message, const FieldDescriptor& field) {
    const auto* reflection = message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return !reflection->GetString(message, &field).empty();
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->GetInt32(message, &field) != 0;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection->GetDouble(message, &field) != 0;
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->GetBool(message, &field);
      default:
        return true;
    }
  }

  void refuse_field(const Rules& allowed, const std::string& path) {
    if (faults_.size() >= kMaxFaults) return;
    const std::string what = fmt::format("{}: not taken here: {}", path, allowed.refused());
    faults_.push_back({.path = path, .what = what, .aws = what, .mark = {}});
  }

  void count(const Rules& allowed, int size, const std::string& path) {
    if (allowed.required() && size == 0)
      return add(path, "", "missing; expected a list of at least one", "Member must not be null");
    if (allowed.has_max() && size > allowed.max())
      add(path, fmt::format("[{} members]", size), fmt::format("{} members; at most {}", size, allowed.max()),
          fmt::format("Member must have length less than or equal to {}", allowed.max()));
  }

  void element(const Message& message, const FieldDescriptor& field, const Rules& allowed, int i,
               const std::string& path) {
    const auto* reflection = message.GetReflection();
    if (field.is_map()) {
      const Message& pair = reflection->GetRepeatedMessage(message, &field, i);
      for (const FieldDescriptor* side : {field.message_type()->map_key(), field.message_type()->map_value()})
        text({}, pair.GetReflection()->GetString(pair, side), path);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      this->message(reflection->GetRepeatedMessage(message, &field, i), path);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      Rules each;  // min and max of a list count its members, not their characters
      *each.mutable_one_of() = allowed.one_of();
      text(each, reflection->GetRepeatedString(message, &field, i), path);
    }
  }

  void text(const Rules& allowed, const std::string& value, const std::string& path) {
    if (const size_t bad = find_bad_character(value); bad != std::string::npos)
      return add(path, value,
                 fmt::format("byte 0x{:02X} in '{}' is not allowed text", static_cast<unsigned char>(value[bad]),
                             shown(value)),
                 std::string(kLegalText));
    const auto length = static_cast<double>(value.size());
    if (allowed.has_min() && length < allowed.min())
      return add(path, value, fmt::format("'{}' is shorter than {}", shown(value), allowed.min()),
                 fmt::format("Member must have length greater than or equal to {}", allowed.min()));
    if (allowed.has_max() && length > allowed.max())
      return add(path, value,
                 fmt::format("'{}' has {} characters; at most {}", shown(value), value.size(), allowed.max()),
                 fmt::format("Member must have length less than or equal to {}", allowed.max()));
    if (allowed.name() && !is_name(value))
      return add(path, value, fmt::format("'{}': a name is 1 to 255 of ASCII 33-126 without ':'", shown(value)),
                 "Member must satisfy regular expression pattern: [!-9;-~]+");
    if (!allowed.pattern().empty() && !matches(value, allowed.pattern()))
      return add(path, value, fmt::format("'{}' does not match {}", shown(value), allowed.pattern()),
                 "Member must satisfy regular expression pattern: " + allowed.pattern());
    if (allowed.base64() && !is_base64(value)) return add(path, value, "not base64", "Member must be valid base64");
    if (allowed.moment())
      if (const Result<TimePoint> at = parse_iso8601(value); !at)
        return add(path, value, at.error().message, "Member must be a moment such as 2026-11-23T12:54:00Z");
    if (allowed.one_of_size() > 0 &&
        std::find(allowed.one_of().begin(), allowed.one_of().end(), value) == allowed.one_of().end()) {
      const std::vector<std::string> known(allowed.one_of().begin(), allowed.one_of().end());
      add(path, value,
          fmt::format("'{}'; expected one of {}{}", shown(value), fmt::join(known, ", "), did_you_mean(value, known)),
          fmt::format("Member must satisfy enum value set: [{}]", fmt::join(known, ", ")));
    }
  }

  void number(const FieldDescriptor& field, const Rules& allowed, double value, const std::string& path) {
    const std::string shown_value = fmt::format("{}", value);
    const auto refuse = [&](const std::string& how, const std::string& constraint) {
      add(path, shown_value, fmt::format("{} {}; expected {}", shown_value, how, expectation(field)), constraint);
    };
    if (!std::isfinite(value)) return refuse("is not finite", "Member must be a finite number");
    if (allowed.above_zero() && value <= 0) return refuse("must be > 0", "Member must have value greater than 0");
    if (allowed.has_min() && value < allowed.min())
      return refuse(fmt::format("is below {}", allowed.min()),
                    fmt::format("Member must have value greater than or equal to {}", allowed.min()));
    if (allowed.has_max() && value > allowed.max())
      return refuse(fmt::format("is above {}", allowed.max()),
                    fmt::format("Member must have value less than or equal to {}", allowed.max()));
    if (allowed.periods_size() > 0 &&
        std::find(allowed.periods().begin(), allowed.periods().end(), value) == allowed.periods().end() &&
        (value < 60 || std::fmod(value, 60) != 0))
      refuse("is no period", fmt::format("Member must be {} or a multiple of 60", fmt::join(allowed.periods(), ", ")));
  }

  Faults& faults_;
};

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > 32 && c < 127 && c != ':'; });
}

void validate(const Message& message, Faults& faults, const std::string& path) {
  Validator(faults).message(message, path);
}

}  // namespace escala::api
