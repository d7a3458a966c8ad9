#include "base/known.h"

namespace escala {

std::string_view name(Unknown why) {
  switch (why) {
    case Unknown::NeverReported:
      return "never reported";
    case Unknown::Silent:
      return "silent";
    case Unknown::Warming:
      return "warming up";
    case Unknown::Refused:
      return "refused value";
    case Unknown::NotMeasured:
      return "not measured";
    case Unknown::BoardAbsent:
      return "no board";
    case Unknown::BoardStale:
      return "monitor silent";
    case Unknown::TooFewDatapoints:
      return "too few datapoints";
    case Unknown::NoInstances:
      return "no instances";
    case Unknown::Suspect:
      return "suspect change";
  }
  return "?";
}

}  // namespace escala
