#include "engine/memory.h"

namespace escala {

std::string_view name(RefreshStatus status) {
  switch (status) {
    case RefreshStatus::Pending:
      return "Pending";
    case RefreshStatus::InProgress:
      return "InProgress";
    case RefreshStatus::Successful:
      return "Successful";
    case RefreshStatus::Failed:
      return "Failed";
    case RefreshStatus::Cancelling:
      return "Cancelling";
    case RefreshStatus::Cancelled:
      return "Cancelled";
    case RefreshStatus::RollbackInProgress:
      return "RollbackInProgress";
    case RefreshStatus::RollbackFailed:
      return "RollbackFailed";
    case RefreshStatus::RollbackSuccessful:
      return "RollbackSuccessful";
    case RefreshStatus::Baking:
      return "Baking";
  }
  return "?";
}

bool ended(RefreshStatus status) {
  switch (status) {
    case RefreshStatus::Pending:
    case RefreshStatus::InProgress:
    case RefreshStatus::Cancelling:
    case RefreshStatus::RollbackInProgress:
    case RefreshStatus::Baking:
      return false;
    default:
      return true;
  }
}

}  // namespace escala
