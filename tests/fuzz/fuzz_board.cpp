// The board's regions as somebody with our rights could leave them: forged headers, cells whose check is right although
// they lie, bytes scribbled anywhere. A reader gets nothing, or something within bounds.
#include <bit>
#include <cmath>

#include "board/cell.h"
#include "board/test_board.h"
#include "fuzz.h"

namespace escala::fuzz {
namespace {

using namespace board;

constexpr uint32_t kSlots = 4;

Seeds seeds() {
  const auto of = [](char what, const auto& payload) {
    return std::string{what, 0} + std::string(reinterpret_cast<const char*>(&payload), sizeof payload);
  };
  EntryPayload entry;
  entry.generation = 1;
  entry.instance_length = 3;
  entry.instance = {'i', '-', '1'};
  entry.address_length = 3;
  entry.address = {'h', ':', '1'};
  GroupPayload group;
  group.in_use = 1;
  group.period_us = 1'000'000;
  group.name_length = group.gauges = group.gauge_lengths[0] = 1;
  group.name[0] = group.gauge_names[0][0] = 'g';
  HotPayload hot;
  hot.generation = 1;
  hot.values = {1, 2, 3, 4, 5, 6};
  hot.flags = 3u << 4 | kInterrupted | kHasGauges;
  FixedHeader header{kRosterMagic, kLayoutVersion, kPageBytes, kSlots, 256, kMaxGroups, 1264, 0, 0, 0, 0};
  return {of(0, entry), of(1, group), of(2, hot), of(3, header), of(4, header), std::string("\5\0\1\2\3\4\5\6\7", 9)};
}

// The board of one process, made good again before each input.
struct World {
  TempBoard temp;
  std::unique_ptr<RosterWriter> roster = std::move(RosterWriter::open(temp.name, kSlots)).value();
  std::unique_ptr<ReadingsWriter> readings = std::move(ReadingsWriter::open(temp.name, kSlots)).value();
  RawFile raw_roster{roster_path(temp.name)}, raw_readings{readings_path(temp.name)};
  std::unique_ptr<RosterReader> roster_reader = std::move(RosterReader::open(temp.name)).value();
  std::unique_ptr<ReadingsReader> readings_reader = std::move(ReadingsReader::open(temp.name)).value();
  std::string good_roster{&raw_roster.at<char>(0), kPageBytes}, good_readings{&raw_readings.at<char>(0), kPageBytes};

  void restore() {
    std::memcpy(&raw_roster.at<char>(0), good_roster.data(), kPageBytes);
    std::memcpy(&raw_readings.at<char>(0), good_readings.data(), kPageBytes);
    for (uint32_t i = 0; i < kSlots; ++i) {
      roster->put_group(i, RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 1, {"a"}});
      roster->put(i, RosterEntry{InstanceId("i-1"), i, 1, "host:1", LifecycleState::Pending});
      SlotReading reading = some_reading(1, i, 50);
      reading.gauges[3] = 1;
      readings->put(i, reading);
    }
  }
};

void check_roster(const RosterReader& reader) {
  HOLDS(reader.used() <= reader.slots() && reader.used_groups() <= kMaxGroups);
  for (uint32_t i = 0; i < std::min(reader.slots(), kSlots); ++i) {
    reader.stamp(i);
    const auto entry = reader.entry(i);
    if (!entry) continue;
    HOLDS(entry->generation != 0 && !entry->instance.empty() && entry->instance.str().size() <= kInstanceBytes);
    HOLDS(entry->agent_address.size() <= kAddressBytes);
    HOLDS(static_cast<size_t>(entry->state) < kLifecycleStates && entry->join <= Join::Closed);
    for (const char c : entry->instance.str() + entry->agent_address)
      HOLDS(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  for (uint32_t i = 0; i < std::min(reader.used_groups(), kSlots); ++i) {
    const auto group = reader.group(i);
    if (!group) continue;
    HOLDS(group->gauge_names.size() <= kMaxGauges && group->mode <= MetricsMode::ClassicPull);
    HOLDS(group->period >= 100ms && !group->name.empty() && group->name.str().size() <= kGroupNameBytes);
    for (const std::string& name : group->gauge_names) HOLDS(name.size() <= kGaugeNameBytes);
  }
}

void check_readings(const ReadingsReader& reader) {
  for (uint32_t i = 0; i < std::min(reader.slots(), kSlots); ++i) {
    reader.stamp(i);
    const auto reading = reader.get(i);
    if (!reading) continue;
    HOLDS(reading->generation != 0 && reading->received_at >= Duration{0});
    for (const auto& metric : reading->fixed) HOLDS(!metric || (std::isfinite(metric.value()) && metric.value() >= 0));
    for (const auto& gauge : reading->gauges) HOLDS(!gauge || std::isfinite(*gauge));
  }
  for (size_t i = 0; i < kMonitorCounters; ++i) reader.counter(static_cast<MonitorCounter>(i));
}

template <typename Payload>
std::array<uint64_t, sizeof(Payload) / 8> words_of(Input& input) {
  std::array<uint64_t, sizeof(Payload) / 8> words{};
  for (uint64_t& word : words) word = input.word();
  return words;
}

void forge_header(Input& input, RawFile& raw) {
  // The fields as they should be, but for those the input says, and with the right check.
  std::array<uint64_t, 8> words{};
  std::memcpy(words.data(), &raw.at<char>(0), sizeof words);
  for (int i = 0; i < 4 && !input.empty(); ++i) words[input.below(7)] = input.word();
  words[7] = check_words(std::span(words).first(7), 0);
  std::memcpy(&raw.at<char>(0), words.data(), sizeof words);
}

void fuzz_one(Input input) {
  static World& world = *new World;
  world.restore();
  const Shape roster = roster_shape(kSlots), readings = readings_shape(kSlots);
  const uint8_t what = input.byte();
  const auto place = static_cast<uint32_t>(input.below(kSlots));
  switch (what % 6) {
    case 0:
      write_cell(world.raw_roster.at<EntryCell>(roster.slots_at() + place * sizeof(EntryCell)),
                 words_of<EntryPayload>(input), place);
      break;
    case 1:
      write_cell(world.raw_roster.at<GroupCell>(roster.seconds_at() + place * sizeof(GroupCell)),
                 words_of<GroupPayload>(input), place);
      break;
    case 2:
      write_cell(world.raw_readings.at<HotCell>(readings.slots_at() + place * sizeof(HotCell)),
                 words_of<HotPayload>(input), place);
      break;
    case 3:
      forge_header(input, world.raw_roster);
      break;
    case 4:
      forge_header(input, world.raw_readings);
      break;
    default:
      while (!input.empty()) {
        const uint64_t at = input.byte() | input.byte() << 8;
        world.raw_roster.at<uint8_t>(at % (kPageBytes + kSlots * sizeof(EntryCell))) = input.byte();
        world.raw_readings.at<uint8_t>(at % world.raw_readings.size()) = static_cast<uint8_t>(at >> 8);
      }
  }
  check_roster(*world.roster_reader);
  check_readings(*world.readings_reader);
  const auto other_roster = RosterReader::open(world.temp.name);
  if (other_roster)
    check_roster(**other_roster);
  else
    check_error(other_roster.error());
  const auto other_readings = ReadingsReader::open(world.temp.name);
  if (other_readings)
    check_readings(**other_readings);
  else
    check_error(other_readings.error());
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
