#include "engine/memory.h"

namespace escala {

std::string_view name(AlarmState state) {
  switch (state) {
    case AlarmState::InsufficientData:
      return "INSUFFICIENT_DATA";
    case AlarmState::Ok:
      return "OK";
    case AlarmState::Alarm:
      return "ALARM";
  }
  return "?";
}

}  // namespace escala
