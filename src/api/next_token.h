// NextToken: where a listing goes on. Sealed with a key of this process and bound to the operation, so that nobody can
// make one, or use one elsewhere (S-22); a token dies with the process or after kTokenLife.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace escala::api {

inline constexpr Duration kTokenLife = 1h;

std::string seal_token(std::string_view operation, std::string_view position, TimePoint now);
// The position; nullopt for anything that is not ours, not of this operation, or too old.
std::optional<std::string> open_token(std::string_view operation, std::string_view token, TimePoint now);

}  // namespace escala::api
