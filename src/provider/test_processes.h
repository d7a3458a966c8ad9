// For tests of the process provider: a state directory whose instances end with it, and a look at what really runs.
#pragma once

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "provider/process_tree.h"

namespace escala {

// The pid in an instance's own file; 0 = never started.
inline pid_t pid_of(const std::string& state_dir, const Token& token, int index) {
  pid_t pid = 0;
  std::ifstream(state_dir + "/instances/" + token.str() + "/" + std::to_string(index) + "/pid") >> pid;
  return pid;
}

// Processes that live and whose environment holds ESCALA_TOKEN=<token>.
inline std::vector<pid_t> living_with(const Token& token) {
  std::vector<pid_t> out;
  std::error_code error;
  const std::string wanted = std::string("\0ESCALA_TOKEN=", 14) + token.str() + '\0';
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid < 2 || !start_ticks_of(pid)) continue;
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    if (environment.find(wanted) != std::string::npos) out.push_back(pid);
  }
  return out;
}

inline std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class InstancesDir {
 public:
  InstancesDir() {
    std::string name = std::filesystem::temp_directory_path() / "escala-test-XXXXXX";
    ESCALA_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  // Only what this directory's own lock files name is ended.
  ~InstancesDir() {
    std::error_code ignored;
    for (const auto& file : std::filesystem::recursive_directory_iterator(path_, ignored))
      if (file.path().filename() == "alive") kill_holders(file.path());
    std::filesystem::remove_all(path_, ignored);
  }
  InstancesDir(const InstancesDir&) = delete;
  InstancesDir& operator=(const InstancesDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace escala
