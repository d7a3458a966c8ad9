// Short ways to write the facts of a reason.
#pragma once

#include <string>
#include <utility>

#include "engine/decision.h"

namespace escala {

inline Fact fact(std::string key, double value) {
  return {std::move(key), value};
}
inline Fact fact(std::string key, int value) {
  return {std::move(key), static_cast<double>(value)};
}
inline Fact fact(std::string key, std::string value) {
  return {std::move(key), std::move(value)};
}

}  // namespace escala
