// What one group wants to change, as one atomic batch and as the same change of our own memory: planned first, written
// by the controller together with the drafts of all other groups, and only then believed (Reconciler::accept) or
// dropped.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "engine/decision.h"
#include "engine/memory.h"
#include "engine/model.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala {

// An instance as the store has it, with what the engine does not read of it.
struct Member {
  Instance instance;
  std::string agent_address;
  Revision version = 0;  // 0 = not in the store yet
  bool unsaved = false;  // differs from the store in what may be written late
};

struct Draft {
  Batch batch;
  std::map<InstanceId, Member> members;     // new or changed
  std::vector<InstanceId> gone;             // deleted
  std::vector<state::Operation> opened;     // new intents: to be asked for once this is durable
  std::vector<state::Operation> postponed;  // to be asked for again, with the same token
  std::vector<Token> closed;
  std::map<InstanceId, std::string> activities_begun;  // terminations: key of the activity that is open
  std::optional<GroupMemory> memory;                   // what the group will remember
  bool memory_written = false;
  bool forecasts_written = false;
  std::optional<Group> group;                     // with other sizes
  std::shared_ptr<const state::Decision> record;  // the decision record it writes
  int fleet_replacements = 0;                     // taken from the fleet's budget
  bool buries = false;                            // the group and all of its records end here
  bool stale = false;                             // made from a record that somebody has changed meanwhile: read anew
  bool urgent = false;                            // must be durable before anybody acts on it

  bool writes() const { return !batch.writes.empty(); }
};

}  // namespace escala
