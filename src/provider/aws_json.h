// The little JSON that credentials come in: one object whose members we want are texts or numbers. Everything else in
// it is read past, with a bound on depth.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxJsonBytes = 64 << 10;
inline constexpr int kMaxJsonDepth = 16;

// Texts unescaped, numbers and words (true, null) as written; nested values are left out. Invalid for what is no
// object.
Result<std::map<std::string, std::string>> parse_flat_json(std::string_view text);

}  // namespace escala
