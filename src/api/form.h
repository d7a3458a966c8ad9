// A form body of the AWS Query protocol -> a Node of the shape that a message wants: "Tags.member.1.Key=a" becomes
// Tags: [{Key: a}]. Strict (S-21): bad escapes, scalars given twice, gaps in lists, too many or too deep parameters are
// refused; parameters that the operation does not know are left out and told, as AWS leaves them out. Pure.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/errors.h"
#include "api/node.h"

namespace escala::api {

// Of any form: as many as 1,000 datums of PutMetricData take. Services allow fewer (Service::most_parameters).
inline constexpr size_t kMaxParameters = 20'000;
inline constexpr size_t kMaxParameterName = 1024;  // bytes, decoded
inline constexpr size_t kMaxFormDepth = 16;        // dots in a name; the API's deepest has 12
inline constexpr size_t kMaxToldUnknown = 8;

// How a list is written.
enum class ListStyle : uint8_t {
  Member,  // Names.member.1; maps as Map.entry.1.key, Map.entry.1.value
  Flat,    // Name.1, as EC2 does
};

using Parameters = std::vector<std::pair<std::string, std::string>>;  // decoded, in the order written

// ValidationError for what is no form.
std::variant<Parameters, ApiError> read_form(std::string_view body);
// The value of a parameter that may be there once: ValidationError "... given twice" otherwise. nullptr when absent.
std::variant<const std::string*, ApiError> single(const Parameters& parameters, std::string_view name);

struct FormRequest {
  Node node;                         // a Map, for fill()
  std::vector<std::string> unknown;  // names that the operation does not have; at most kMaxToldUnknown
};
// Everything but Action and Version, arranged for `shape`. Faults carry paths as fill() writes them.
std::variant<FormRequest, ApiError> arrange(const Parameters& parameters, const google::protobuf::Descriptor& shape,
                                            ListStyle style);

// The name of a field, and of a list's members, in forms and XML.
const std::string& wire_name(const google::protobuf::FieldDescriptor& field);
// In answers: EC2's begin in lower case, and its lists have names of their own.
std::string answer_name(const google::protobuf::FieldDescriptor& field, ListStyle style);
std::string_view member_name(const google::protobuf::FieldDescriptor& field);

}  // namespace escala::api
