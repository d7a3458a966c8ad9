// Who may do what (S-17): access keys carry roles on patterns of group names; what no grant allows is denied. Which
// role an operation needs stands in its row; which groups it touches is read off the request by reflection, so that a
// new operation is guarded from its first day: one whose groups cannot be told needs its role on all of them.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/errors.h"

namespace escala::api {

struct Action;
struct Context;

enum class Role : uint8_t { Read, Operate, Admin };  // each may what those before it may

struct Grant {
  Role role = Role::Read;
  std::string groups;  // a pattern
};

struct Caller {
  std::string key_id;
  std::vector<Grant> grants;

  bool may(Role role, std::string_view group) const;
  bool may_everywhere(Role role) const;
};

std::string_view name(Role role);
std::optional<Role> role(std::string_view word);
// "*" stands for any text, "?" for any one character.
bool matches_pattern(std::string_view pattern, std::string_view text);

// Whether the caller may read of this group: listings leave out the others. Everybody without a key (the owner of the
// unix socket) sees all.
bool sees(const Context& context, std::string_view group);
// AccessDenied unless the caller's grants allow the action on everything that the request names.
std::optional<ApiError> authorize(const Context& context, const Action& action,
                                  const google::protobuf::Message& request);

}  // namespace escala::api
