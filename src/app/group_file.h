// A file of groups, read and judged whole: for every command that takes `-f group.yaml`.
#pragma once

#include <sys/types.h>

#include <string>

#include "api/autoscaling.pb.h"

namespace escala::app {

struct GroupFile {
  std::string name;  // for messages
  mode_t mode = 0;   // 0 = standard input
};

// 0, or the exit code after every fault was told with its line and column.
int read_group_file(const std::string& path, api::Document& document, GroupFile& file);

}  // namespace escala::app
