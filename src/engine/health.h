// Who is unwell, and how we know. Judged anew in each decision from evidence; what is stored with an instance is for
// people, and for a user's own judgement. Fail static (rules R1, R13): a list we do not trust, a monitor we cannot
// hear, or a whole group silent at once makes nobody unwell.
#pragma once

#include <optional>
#include <vector>

#include "engine/decision.h"
#include "engine/snapshot.h"

namespace escala {

inline constexpr int kSilentTimes = 3;             // an agent is given up after so many times silent_after,
inline constexpr Duration kStateSettles{2min};     // a list may still show a state from so long before
inline constexpr Duration kMinAgentSilence = 10s;  // and never sooner: agents need a moment to dial in again

enum class Condition : uint8_t {
  Well,
  Unwell,       // exists, but its agent is silent, or somebody set it Unhealthy: replaced first, then terminated
  Interrupted,  // well, but the provider announced that it will take it: likewise
  Dead,         // the provider says it is stopped or shutting down: it serves nobody, nothing is lost by terminating it
  Gone,         // the provider no longer has it: it is forgotten
};

struct Diagnosis {
  Condition condition = Condition::Well;
  std::optional<Reason> why;               // unless Well
  std::optional<HealthStatus> set_health;  // what is stored is no longer true
  TimePoint look_again_at = kNever;        // when the evidence could change by itself
};

// One look at the health of a group.
class HealthRound {
 public:
  // Updates memory.hearing_since: the moment from which silence means something. It starts again when the board cannot
  // be trusted, after a restart, and when the whole of a group of at least two fell silent.
  HealthRound(const Snapshot& seen, TimePoint now, GroupMemory& memory);

  // Of seen.instances[index], in whatever state it is.
  Diagnosis diagnose(size_t index) const;

  // A complete list that did not lose too much at once (rule R13).
  bool inventory_trusted() const { return inventory_trusted_; }
  // Since when agents are heard; nullopt = not now.
  std::optional<TimePoint> hearing_since() const { return hearing_since_; }
  bool all_silent() const { return all_silent_; }

 private:
  Diagnosis diagnose_in_service(size_t index) const;
  bool started_since(size_t index) const;
  std::optional<TrafficHealth> traffic_of(const Instance& instance) const;
  bool is_silent(size_t index, Diagnosis& diagnosis) const;

  const Snapshot& seen_;
  TimePoint now_;
  Duration silence_;
  bool inventory_trusted_ = false;
  bool all_silent_ = false;
  std::optional<TimePoint> hearing_since_;
  std::vector<const Reading*> readings_;  // of each instance; null when it never reported
};

}  // namespace escala
