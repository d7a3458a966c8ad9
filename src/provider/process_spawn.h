// Starting one process instance, so that it is started once: whoever dies in between, us or the child, the files in the
// instance's directory tell what happened.
//
//   alive   held with flock by the child and all that descend from it, from before fork() on. Free and no `pid` file:
//           the command never ran, and it is safe to start it.
//   pid     "pid start-ticks boot-id", written by the child itself right before exec. There: never start again.
//   log     what it writes to standard output and error.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "provider/process_tree.h"

namespace escala {

struct SpawnPlan {
  std::vector<std::string> argv;         // argv[0] is an absolute path
  std::vector<std::string> environment;  // "NAME=value", complete
  std::string working_directory;
  std::string directory;                // of the instance: alive, pid, log
  std::vector<std::string> join_files;  // cgroup.procs files to join
};

// For tests: where to die. Parent steps are told to `step` in order; the child kills itself at its n-th step (1: before
// the pid file, 2: after it, before exec; 0: never).
struct SpawnFaults {
  void (*step)(const char* name) = nullptr;
  int child_dies_at = 0;
};

inline constexpr int kExecPatienceMs = 5'000;  // how long we wait for exec; a disk may hang

enum class SpawnOutcome : uint8_t {
  Started,  // exec succeeded, or still under way after kExecPatienceMs
  Failed,   // it ended before the command ran; Error says why
  Held,     // something of an earlier start lives: nothing was done
};
struct Spawned {
  SpawnOutcome outcome = SpawnOutcome::Failed;
  pid_t pid = 0;
  Status why;
};

// Forks; the caller holds the mutex under which lock files are probed. Afterwards wait_for_exec(), without it.
class Spawner {
 public:
  explicit Spawner(SpawnPlan plan, SpawnFaults faults = {}) : plan_(std::move(plan)), faults_(faults) {}
  Spawned start();
  // Whether exec succeeded. Blocks up to kExecPatienceMs.
  Spawned wait_for_exec();

 private:
  [[noreturn]] void child(int lock_fd, int report_fd, char* const* argv, char* const* environment) const;

  SpawnPlan plan_;
  SpawnFaults faults_;
  std::string pid_file_, pid_file_new_, log_file_, boot_id_;
  pid_t pid_ = 0;
  int report_fd_ = -1;
};

}  // namespace escala
