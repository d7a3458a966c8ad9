// What strings need everywhere and the standard library does not have.
#pragma once

#include <string>
#include <string_view>

namespace escala {

// A to Z become a to z; every other byte stays, whatever the locale.
inline std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace escala
