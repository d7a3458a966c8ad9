// Processes as the kernel tells them: whether a certain process (not another one with the same number) still lives, who
// else holds its lock file, and how to end all of them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace escala {

// A process for good: numbers are used again, but not with the same start time within one boot.
struct ProcessKey {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat
  std::string boot_id;
  friend bool operator==(const ProcessKey&, const ProcessKey&) = default;
};

const std::string& boot_id();  // of this boot of the machine; empty where /proc does not tell
// Nothing when there is no such process; a zombie counts as none.
std::optional<uint64_t> start_ticks_of(pid_t pid);
bool lives(const ProcessKey& key);

// A lock of the open file (F_OFD_SETLK): who inherits the descriptor holds it too. False when somebody else has it.
bool take_lock(int fd);
// Somebody holds that lock on this file. False when the file is missing. Asks without taking it, so that a process
// forked at this moment inherits nothing.
bool lock_held(const std::string& path);

// The process group that `leader` founded still has members. Only to be asked when the leader no longer lives: when its
// number has been given to another process, the answer is no.
bool group_has_others(const ProcessKey& leader);
void signal_group(const ProcessKey& leader, int signal);
// The first process alone; likewise.
void signal_leader(const ProcessKey& leader, int signal);
// SIGKILL to everybody who has the file open: members of the tree that left its process group.
void kill_holders(const std::string& path);

}  // namespace escala
