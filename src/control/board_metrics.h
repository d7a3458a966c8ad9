// The live MetricSource: control's side of the board. Gives each instance a slot with a generation of its own,
// publishes the roster, reads the slots and stamps them with control's own time.
//
// Slots survive us: a controller that starts again finds its predecessor's roster and keeps each instance where it is,
// so that readings go on without a gap. Either region may vanish (unlinked, truncated, replaced): it is opened or
// written anew, and until then every reading is unknown.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "board/board.h"
#include "control/metric_source.h"

namespace escala {

struct BoardMetricsOptions {
  board::BoardName board;
  uint32_t slots = 16'384;             // instances at most, at most board::kMaxSlots
  Duration stale_after{3s};            // a monitor that has not beaten for so long is dead or stopped
  Duration check_regions{1s};          // how often both regions are looked for under their names
  std::function<Duration()> boot_now;  // CLOCK_BOOTTIME: what the board's times are measured in
  // Hash of the join token of a launch; empty where agents need none.
  std::function<board::JoinHash(const Token&)> join_hash{};
};

class BoardMetrics final : public MetricSource {
 public:
  static Result<std::unique_ptr<BoardMetrics>> attach(BoardMetricsOptions options);

  const std::vector<GroupName>& look(TimePoint now) override;
  std::optional<Unknown> blind() const override { return blind_; }
  const std::vector<Heard>& heard(const GroupName& group) const override;
  Status watch(const WatchList& list) override;
  void forget(const GroupName& group) override;
  void all_watched() override;

  // Our own "I am alive" in the roster; at least once a second.
  void beat();
  uint64_t torn() const { return readings_ ? readings_->torn() : 0; }

 private:
  struct Place {
    uint32_t slot = 0;
    uint32_t generation = 0;
    Watched published{};
    size_t heard = SIZE_MAX;  // index into Group::heard; SIZE_MAX = never heard
    uint64_t incarnation = 0, sequence = 0;
    Duration received_at{-1};
    uint32_t stamp = 0;  // of the slot when it was read last
  };
  struct Group {
    uint32_t index = 0;
    bool fresh = false;  // not published yet
    WatchList list;
    std::vector<Place> places;  // as list.instances
    std::vector<Heard> heard;
  };

  explicit BoardMetrics(BoardMetricsOptions options) : options_(std::move(options)) {}
  Status open_roster();
  void adopt_roster();
  void check_regions(Duration boot_now);
  void publish_all();
  void vacate(const Place& place);
  Result<Group*> group_for(const GroupName& name);
  static void forget_words(Group& group);
  size_t place_everyone(Group& group);
  void publish_group(const Group& group);
  void publish_place(const Group& group, const Place& place);
  std::optional<Place> new_place(const InstanceId& instance);
  bool read(Group& group, TimePoint now, Duration boot_now);

  BoardMetricsOptions options_;
  std::unique_ptr<board::RosterWriter> roster_;      // null only while it cannot be opened again
  std::unique_ptr<board::RosterReader> own_roster_;  // only to notice that the name leads elsewhere by now
  std::unique_ptr<board::ReadingsReader> readings_;
  std::map<GroupName, Group> groups_;
  std::map<InstanceId, Place> predecessor_;         // who stood where before we started, until all_watched()
  std::vector<uint32_t> free_slots_, free_groups_;  // smallest last
  uint32_t generation_ = 1;
  std::optional<Unknown> blind_ = Unknown::BoardAbsent;
  uint64_t seen_version_ = 0;
  Duration checked_at_{-1};
  std::vector<GroupName> fresh_;
};

}  // namespace escala
