// Starting one process instance, so that it is started once: whoever dies in between, us or the child, the files in the
// instance's directory tell what happened.
//
//   alive   locked (F_OFD_SETLK) by the child and all that descend from it, from before the fork on. Free and no `pid`
//           file: the command never ran, and it is safe to start it.
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

// For tests: where to die. Our own steps are told to `step` in order; the child kills itself, or us, at its n-th step
// (1: before the pid file, 2: after it, before exec; 0: never).
struct SpawnFaults {
  void (*step)(const char* name) = nullptr;
  int child_dies_at = 0;
  int child_kills_us_at = 0;
};

enum class SpawnOutcome : uint8_t {
  Started,  // exec succeeded
  Failed,   // it ended before the command ran; `why` says why
  Held,     // something of an earlier start lives: nothing was done
};
struct Spawned {
  SpawnOutcome outcome = SpawnOutcome::Failed;
  pid_t pid = 0;  // of Started
  Status why;
};

// Starts it and returns when exec has succeeded or failed; as long as a disk makes exec hang, so long the calling
// thread. The child borrows our memory until then instead of copying it: the page faults after a fork cost a manager of
// 30 MiB fifty times the start itself. Threads: any, side by side for different directories.
Spawned spawn(const SpawnPlan& plan, const SpawnFaults& faults = {});

}  // namespace escala
