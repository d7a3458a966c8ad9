#include "control/board_metrics.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"

namespace escala {
namespace {

constexpr double kPercentMax = 100;

// The monitor has checked every number at its door; a region is hostile input all the same (rule R20).
Known<double> checked(const Known<double>& value, size_t metric, Duration age) {
  if (!value) return value;
  const double number = value.value();
  if (!std::isfinite(number) || number < 0) return Unknown::Refused;
  const bool percent =
      metric == static_cast<size_t>(MetricKind::Cpu) || metric == static_cast<size_t>(MetricKind::Memory);
  if (percent && number > kPercentMax) return Unknown::Refused;
  return {number, age};
}

}  // namespace

Result<std::unique_ptr<BoardMetrics>> BoardMetrics::attach(BoardMetricsOptions options) {
  ESCALA_CHECK(options.boot_now != nullptr);
  std::unique_ptr<BoardMetrics> metrics(new BoardMetrics(std::move(options)));
  // Milliseconds since boot: beyond any generation an earlier controller of this boot can have reached.
  metrics->generation_ = static_cast<uint32_t>(metrics->options_.boot_now().count() / 1000) | 1U;
  metrics->adopt_roster();
  ESCALA_TRY(metrics->open_roster());
  for (uint32_t i = board::kMaxGroups; i > 0; --i) metrics->free_groups_.push_back(i - 1);
  std::vector<bool> taken(metrics->roster_->slots(), false);
  for (const auto& [instance, place] : metrics->predecessor_)
    if (place.slot < taken.size()) taken[place.slot] = true;
  std::erase_if(metrics->predecessor_, [&](const auto& entry) { return entry.second.slot >= taken.size(); });
  for (uint32_t i = metrics->roster_->slots(); i > 0; --i)
    if (!taken[i - 1]) metrics->free_slots_.push_back(i - 1);
  metrics->beat();
  return metrics;
}

void BoardMetrics::adopt_roster() {
  auto earlier = board::RosterReader::open(options_.board);
  if (!earlier.ok()) return;  // the first start, or not ours: begin with an empty roster
  const board::RosterReader& reader = **earlier;
  for (uint32_t slot = 0; slot < std::min(reader.used(), reader.slots()); ++slot) {
    const auto entry = reader.entry(slot);
    if (!entry || entry->instance.empty()) continue;
    Place place;
    place.slot = slot;
    place.generation = entry->generation;
    predecessor_.emplace(entry->instance, place);
  }
}

Status BoardMetrics::open_roster() {
  auto roster = board::RosterWriter::open(options_.board, options_.slots);
  if (!roster.ok()) return roster.error();
  roster_ = std::move(roster).value();
  auto own = board::RosterReader::open(options_.board);
  own_roster_ = own.ok() ? std::move(own).value() : nullptr;
  return {};
}

void BoardMetrics::beat() {
  if (roster_) roster_->beat(options_.boot_now());
}

void BoardMetrics::publish_group(const Group& group) {
  if (!roster_) return;  // check_regions() writes everything once there is one again
  board::RosterGroup entry;
  entry.name = group.list.group;
  entry.mode = group.list.mode;
  entry.period = group.list.period;
  entry.in_service = group.list.in_service;
  entry.gauge_names = group.list.gauges;
  roster_->put_group(group.index, entry);
}

void BoardMetrics::publish_place(const Group& group, const Place& place) {
  if (!roster_) return;
  board::RosterEntry entry;
  entry.instance = place.published.instance;
  entry.group = group.index;
  entry.generation = place.generation;
  entry.agent_address = place.published.agent_address;
  entry.state = place.published.state;
  if (options_.join_hash && !place.published.launched_by.empty()) {
    entry.join = place.published.may_join ? board::Join::Open : board::Join::Closed;
    entry.join_hash = options_.join_hash(place.published.launched_by);
  }
  roster_->put(place.slot, entry);
}

void BoardMetrics::vacate(const Place& place) {
  if (roster_) roster_->put(place.slot, std::nullopt);
  free_slots_.push_back(place.slot);
}

void BoardMetrics::publish_all() {
  for (const auto& [name, group] : groups_) {
    publish_group(group);
    for (const Place& place : group.places) publish_place(group, place);
  }
}

std::optional<BoardMetrics::Place> BoardMetrics::new_place(const InstanceId& instance) {
  if (auto earlier = predecessor_.extract(instance)) return earlier.mapped();
  if (free_slots_.empty()) return std::nullopt;
  Place place;
  place.slot = free_slots_.back();
  free_slots_.pop_back();
  place.generation = generation_;
  generation_ = generation_ == UINT32_MAX ? 1 : generation_ + 1;  // 0 means "empty"
  return place;
}

Result<BoardMetrics::Group*> BoardMetrics::group_for(const GroupName& name) {
  auto [at, fresh] = groups_.try_emplace(name);
  if (!fresh) return &at->second;
  if (free_groups_.empty()) {
    groups_.erase(at);
    return Error{ErrorKind::Exhausted,
                 fmt::format("the board has places for {} groups, all are taken", board::kMaxGroups)};
  }
  at->second.index = free_groups_.back();
  free_groups_.pop_back();
  at->second.fresh = true;
  return &at->second;
}

Status BoardMetrics::watch(const WatchList& list) {
  ESCALA_ASSIGN(Group* const found, group_for(list.group));
  Group& group = *found;
  if (!group.fresh && group.list == list) return {};
  WatchList wanted = list;
  if (wanted.gauges.size() > board::kMaxGauges) wanted.gauges.resize(board::kMaxGauges);
  // Gauges that moved to other places of the slot must not be taken for one another: everyone is heard anew.
  if (wanted.gauges != group.list.gauges) forget_words(group);
  const bool other_group = group.fresh || wanted.mode != group.list.mode || wanted.period != group.list.period ||
                           wanted.in_service != group.list.in_service || wanted.gauges != group.list.gauges;
  group.fresh = false;
  group.list = std::move(wanted);
  if (other_group) publish_group(group);
  const size_t without = place_everyone(group);
  seen_version_ = 0;  // a slot may hold news for someone who was not watched at the last look
  if (without == 0) return {};
  return Error{ErrorKind::Exhausted, fmt::format("the board has {} places: {} instances of group {} cannot be heard",
                                                 options_.slots, without, list.group)};
}

void BoardMetrics::forget_words(Group& group) {
  group.heard.clear();
  for (Place& place : group.places) {
    place.heard = SIZE_MAX;
    place.sequence = place.incarnation = 0;
    place.received_at = Duration{-1};
    place.stamp = 0;
  }
}

// Everyone of the list gets a place or keeps the one they have; those no longer on it lose theirs. Answers how many
// found none.
size_t BoardMetrics::place_everyone(Group& group) {
  std::map<InstanceId, Place> old;
  for (Place& place : group.places) old.emplace(place.published.instance, place);
  std::vector<Heard> heard;
  std::vector<Place> places;
  size_t without = 0;
  for (const Watched& watched : group.list.instances) {
    Place place;
    if (auto known = old.extract(watched.instance)) {
      place = known.mapped();
    } else if (auto made = new_place(watched.instance)) {
      place = *made;
    } else {
      ++without;
      continue;
    }
    if (place.heard != SIZE_MAX) {
      heard.push_back(std::move(group.heard[place.heard]));
      place.heard = heard.size() - 1;
    }
    if (!(place.published == watched)) {
      place.published = watched;
      publish_place(group, place);
    }
    places.push_back(std::move(place));
  }
  for (const auto& [instance, place] : old) vacate(place);
  group.places = std::move(places);
  group.heard = std::move(heard);
  return without;
}

void BoardMetrics::forget(const GroupName& name) {
  const auto found = groups_.find(name);
  if (found == groups_.end()) return;
  for (const Place& place : found->second.places) {
    vacate(place);
  }
  if (roster_) roster_->put_group(found->second.index, std::nullopt);
  free_groups_.push_back(found->second.index);
  groups_.erase(found);
}

void BoardMetrics::all_watched() {
  for (const auto& [instance, place] : predecessor_) {
    vacate(place);
  }
  predecessor_.clear();
  // Group entries of the predecessor beyond ours are named by no slot any more; they are overwritten as groups come.
}

void BoardMetrics::check_regions(Duration boot_now) {
  if (checked_at_ >= Duration{0} && boot_now - checked_at_ < options_.check_regions) return;
  checked_at_ = boot_now;
  if (!roster_ || !own_roster_ || !own_roster_->current()) {
    log_warning("control", "the roster is gone or replaced; writing it anew");
    roster_.reset();  // its lock first
    own_roster_.reset();
    if (const Status opened = open_roster(); !opened.ok()) {
      log_error("control", "roster: {}", opened.error().message);
    } else {
      publish_all();
    }
  }
  if (readings_ && readings_->current()) return;
  readings_.reset();
  auto readings = board::ReadingsReader::open(options_.board);
  if (readings.ok()) {
    readings_ = std::move(readings).value();
    seen_version_ = 0;
    for (auto& [name, group] : groups_)
      for (Place& place : group.places) place.stamp = 0;  // stamps of another region mean nothing
  } else {
    log_debug("control", "readings: {}", readings.error().message);
  }
}

const std::vector<GroupName>& BoardMetrics::look(TimePoint now) {
  fresh_.clear();
  const Duration boot_now = options_.boot_now();
  check_regions(boot_now);
  if (!readings_) {
    blind_ = Unknown::BoardAbsent;
    return fresh_;
  }
  blind_ = boot_now - readings_->last_beat() > options_.stale_after ? std::optional(Unknown::BoardStale) : std::nullopt;
  const uint64_t version = readings_->version();
  if (version == seen_version_) return fresh_;
  seen_version_ = version;
  for (auto& [name, group] : groups_)
    if (read(group, now, boot_now)) fresh_.push_back(name);
  return fresh_;
}

bool BoardMetrics::read(Group& group, TimePoint now, Duration boot_now) {
  bool news = false;
  bool unsorted = false;
  for (Place& place : group.places) {
    const uint32_t stamp = readings_->stamp(place.slot);
    if (stamp == place.stamp) continue;  // most slots, in most looks
    const auto slot = readings_->get(place.slot);
    if (!slot) continue;  // empty or torn: look again
    place.stamp = stamp;
    if (slot->generation != place.generation) continue;
    if (slot->received_at == place.received_at && slot->sequence == place.sequence &&
        slot->incarnation == place.incarnation)
      continue;
    if (place.heard == SIZE_MAX) {
      place.heard = group.heard.size();
      group.heard.emplace_back();
      group.heard.back().reading.instance = place.published.instance;
      unsorted = true;
    }
    place.received_at = slot->received_at;
    place.sequence = slot->sequence;
    place.incarnation = slot->incarnation;
    Heard& heard = group.heard[place.heard];
    // A moment in the future is the region's mistake or a lie: it must not make a reading stay fresh.
    const Duration age = std::max(Duration{0}, boot_now - slot->received_at);
    heard.reading.received_at = now - age;
    heard.reading.incarnation = slot->incarnation;
    heard.reading.sequence = slot->sequence;
    for (size_t i = 0; i < kFixedMetrics; ++i) heard.reading.fixed[i] = checked(slot->fixed[i], i, age);
    heard.reading.gauges.clear();
    for (size_t i = 0; i < group.list.gauges.size(); ++i)
      if (slot->gauges[i] && std::isfinite(*slot->gauges[i]))
        heard.reading.gauges[group.list.gauges[i]] = *slot->gauges[i];
    heard.reading.interrupted = slot->interrupted;
    heard.workload_ended = slot->workload_ended;
    news = true;
  }
  if (unsorted) {
    // places are sorted by instance, heard in order of first words; sort it once and renumber.
    std::sort(group.heard.begin(), group.heard.end(),
              [](const Heard& a, const Heard& b) { return a.reading.instance < b.reading.instance; });
    size_t next = 0;
    for (Place& place : group.places)
      if (place.heard != SIZE_MAX) place.heard = next++;
  }
  return news;
}

const std::vector<Heard>& BoardMetrics::heard(const GroupName& name) const {
  const auto found = groups_.find(name);
  static const std::vector<Heard> nothing;
  return found == groups_.end() ? nothing : found->second.heard;
}

}  // namespace escala
