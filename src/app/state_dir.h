// Where a manager keeps everything, and what each file in it is called: one place, so that commands agree.
#pragma once

#include <string>

#include "base/result.h"

namespace escala::app {

// $ESCALA_STATE_DIR, else /var/lib/escala for root, else ~/.local/state/escala.
std::string default_state_dir();
// Makes the directory (0700) where missing; Denied with path, mode and owner when others could write to it.
Status make_state_dir(const std::string& dir);

inline std::string api_socket(const std::string& dir) {
  return dir + "/api.sock";
}
inline std::string monitor_address_file(const std::string& dir) {
  return dir + "/monitor.address";
}
inline std::string board_name_file(const std::string& dir) {
  return dir + "/board.name";
}

}  // namespace escala::app
