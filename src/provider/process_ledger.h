// What the process provider remembers, in files, so that it survives any death: one directory per launch token under
// <state dir>/instances, complete before the first process starts.
//
//   <token>/launch      who asked, for what, and the address of each instance; one "name value" a line, values with
//                       %XX for what would break the line
//   <token>/<n>/alive   lock of the process tree (process_spawn.h); also pid, log, work/
//   <token>/<n>/stop    somebody asked to terminate it
//   <token>/<n>/gone    "<moment in us> <detail>": it ended, for good
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "provider/process_tree.h"
#include "provider/provider.h"

namespace escala {

// One launch as it stands in its `launch` file.
struct LaunchEntry {
  Ownership owner;
  ZoneName zone;
  std::string instance_type;
  TimePoint launched_at{};
  uint16_t service_port = 0;
  bool agent = false;
  Duration stop_grace{0};
  std::vector<std::string> addresses;  // IPv4, one an instance
  std::vector<std::string> warnings;   // for people: "cpu limit not applied: ..."
};

struct GoneNote {
  TimePoint at{};
  std::string detail;
};

// Threads: any; one at a time for a token.
class ProcessLedger {
 public:
  explicit ProcessLedger(std::string state_dir) : root_(std::move(state_dir) + "/instances") {}
  // Makes the directory and reads everything in it. What is half made or half removed holds no process and is removed.
  Result<std::vector<LaunchEntry>> load();
  // Durable when it returns; there as a whole or not at all.
  Status add(const LaunchEntry& entry);
  void remove(const Token& token);

  std::string directory(const Token& token, size_t index) const;
  std::optional<ProcessKey> process(const Token& token, size_t index) const;
  bool stop_asked(const Token& token, size_t index) const;
  Status ask_stop(const Token& token, size_t index);
  std::optional<GoneNote> gone(const Token& token, size_t index) const;
  void note_gone(const Token& token, size_t index, const GoneNote& note);

 private:
  Result<LaunchEntry> read(const std::string& path) const;

  std::string root_;
};

// At most 64 of [A-Za-z0-9-], so that it can name a directory.
bool valid_token(const Token& token);

}  // namespace escala
