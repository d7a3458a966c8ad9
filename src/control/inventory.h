// What the provider has, asked once for all groups in equal intervals, however many groups there are (rule R8), and
// what may be concluded from its answers (rule R13):
//
//   an instance the list names as gone is gone;
//   an instance the list does not name is gone when two complete lists in a row do not name it, or when the provider
//   has accepted to terminate it; but a new one is not missing before `unlisted` has passed, for providers show
//   new instances late, and now and then an older list; a list that lost over 10 %, and at least 2, of what we knew is
//   suspect: nothing of its silence is believed until the next complete list, a whole period later, says the same.
//
// Pure bookkeeping: no store, no provider. One owner thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "engine/snapshot.h"
#include "provider/provider.h"

namespace escala {

struct InventoryOptions {
  Duration period{5s};         // from one list to the next
  Duration hurry{200ms};       // when something suggests that a list would tell news
  Duration overdue{60s};       // an answer that did not come by then: ask again
  double suspect_share = 0.1;  // of the known that a believable list may lose
  size_t suspect_count = 2;    // and how many
  Duration unlisted{3min};     // so long a new instance may be missing from lists (eventual consistency)
};

class InventoryKeeper {
 public:
  explicit InventoryKeeper(InventoryOptions options = {}) : options_(options) {}

  // Set when it is time to ask. The caller submits it and says asked().
  bool due(TimePoint now) const { return now >= next_; }
  ProviderRequest request(const std::string& cluster, uint64_t epoch);
  void asked(TimePoint now);
  void not_asked(TimePoint now);  // the provider could not take the request
  TimePoint next() const { return next_; }
  // Something happened that a list would tell about.
  void hurry(TimePoint now);

  // One we knew when the list was asked for.
  struct Member {
    GroupName group;
    TimePoint recorded_at{};  // younger than the question: may be missing from the answer
    bool gone = false;        // known to be gone: its absence tells nothing
    bool leaving = false;     // the provider accepted to terminate it: its absence is expected
  };
  using Known = std::vector<std::pair<InstanceId, Member>>;  // each once, in the order of their ids
  struct Findings {
    bool complete = false;
    std::map<GroupName, std::vector<const ProviderInstance*>> seen;  // of the answer: those of ours that we know
    std::map<GroupName, std::vector<InstanceId>> gone;               // by their absence
    std::vector<ProviderInstance> strays;                            // ours by tag, alive, and not known
    bool suspect = false;                                            // the list as a whole
  };
  Findings take(const Completion& answer, const std::string& cluster, const Known& known, TimePoint now);

  // As decide() wants it, of one group.
  Inventory of(const GroupName& group) const;

 private:
  bool too_many(size_t lost, size_t known) const;

  InventoryOptions options_;
  TimePoint next_{};  // due at once after a start
  TimePoint asked_at_{};
  bool waiting_ = false;
  bool hurry_after_ = false;
  uint64_t counter_ = 0;
  Token token_;
  bool complete_ = false;
  TimePoint listed_at_{};
  bool suspect_ = false;
  std::set<GroupName> suspect_groups_;
  std::set<InstanceId> missing_;  // from the last complete list
};

}  // namespace escala
