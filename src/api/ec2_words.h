// What the operations of EC2's API have in common: ids, filters, DryRun.
#pragma once

#include <fmt/format.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "api/access.h"
#include "api/context.h"
#include "api/ec2.pb.h"

namespace escala::api {

// The same number for the same text, always (FNV-1a).
inline uint64_t name_hash(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// "lt-0123456789abcdef0".
inline std::string ec2_id(std::string_view kind, Random& random) {
  constexpr uint64_t kNibble = 16;
  return fmt::format("{}-{:016x}{:x}", kind, random.next(), random.below(kNibble));
}

// After everything else was found right: a request with DryRun changes nothing and says so.
template <typename Request>
Failure dry_run(const Request& request) {
  if (!request.dryrun()) return std::nullopt;
  return ApiError{"DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set."};
}

template <typename Request>
size_t page_size_of(const Request& request, int standard) {
  return static_cast<size_t>(request.has_maxresults() ? request.maxresults() : standard);
}

// Fields that `newer` sets replace those of `base`.
void overlay(const google::protobuf::Message& newer, google::protobuf::Message& base);

using Ec2Filters = google::protobuf::RepeatedPtrField<Ec2Filter>;
inline constexpr std::string_view kTagFilter = "tag:";

// InvalidParameterValue for a filter that is none of these nor tag:<key>.
inline Failure known_filters(const Ec2Filters& filters, std::initializer_list<std::string_view> known) {
  for (const Ec2Filter& filter : filters)
    if (!filter.name().starts_with(kTagFilter) && std::find(known.begin(), known.end(), filter.name()) == known.end())
      return ApiError{"InvalidParameterValue", 400,
                      fmt::format("The filter '{}' is invalid: expected {} or tag:<key>", shown(filter.name()),
                                  fmt::join(known, ", "))};
  return std::nullopt;
}

// Whether the thing has, for every filter, one of the values it names. `values_of` the name of a filter: the thing's
// own.
template <typename ValuesOf>
bool passes(const Ec2Filters& filters, const ValuesOf& values_of) {
  return std::all_of(filters.begin(), filters.end(), [&](const Ec2Filter& filter) {
    const std::vector<std::string> own = values_of(filter.name());
    return std::any_of(filter.values().begin(), filter.values().end(), [&](const std::string& wanted) {
      return std::any_of(own.begin(), own.end(),
                         [&](const std::string& value) { return matches_pattern(wanted, value); });
    });
  });
}

// Of "tag-key": all keys; of "tag:team": the value of that tag.
template <typename Tags>
std::vector<std::string> values_of_tags(const std::string& filter, const Tags& tags) {
  std::vector<std::string> out;
  for (const auto& [key, value] : tags) {
    if (filter == "tag-key") out.push_back(key);
    if (filter.starts_with(kTagFilter) && key == filter.substr(kTagFilter.size())) out.push_back(value);
  }
  return out;
}

}  // namespace escala::api
