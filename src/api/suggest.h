// "did you mean ...?": the known word nearest to an unknown one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace escala::api {

// The nearest of `known` by edits (insert, delete, change, swap neighbours; case does not count), empty when none is
// near enough to be meant: more than a third of the word would have to change.
std::string nearest(std::string_view word, std::span<const std::string> known);
// "; did you mean 'web'?", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace escala::api
