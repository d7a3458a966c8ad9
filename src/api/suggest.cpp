#include "api/suggest.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace escala::api {
namespace {

constexpr size_t kMaxWord = 64;

// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> known) {
  if (word.empty() || word.size() > kMaxWord) return {};
  const std::string wanted = lower(word);
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxWord) continue;
    const std::string other = lower(candidate);
    size_t far = distance(wanted, other);
    // 'cooldown' is meant as 'DefaultCooldown': a long enough word that ends the other one.
    if (wanted.size() >= 4 && other.size() > wanted.size()) {
      const std::string_view tail = std::string_view(other).substr(other.size() - wanted.size());
      far = std::min(far, distance(wanted, tail) + 1);
    }
    if (far < best_distance) {
      best_distance = far;
      best = &candidate;
    }
  }
  return best == nullptr ? std::string() : *best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string found = nearest(word, known);
  return found.empty() ? std::string() : fmt::format("; did you mean '{}'?", found);
}

}  // namespace escala::api
