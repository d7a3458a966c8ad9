// Cells that lie although their check is right, and a mapping that somebody scribbles over while it is read: whatever
// is there, a reader gets nothing or something within bounds.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/random.h"
#include "board/cell.h"
#include "board/test_board.h"

namespace escala::board {
namespace {

constexpr uint32_t kFewSlots = 16;

template <typename CellType, typename Payload>
void forge(RawFile& raw, size_t at, const Payload& payload, uint32_t place) {
  write_cell(raw.at<CellType>(at), std::bit_cast<std::array<uint64_t, sizeof(Payload) / 8>>(payload), place);
}

void expect_within_bounds(const RosterReader& reader) {
  for (uint32_t i = 0; i < reader.used(); ++i) {
    const auto entry = reader.entry(i);
    if (!entry) continue;
    EXPECT_LE(entry->instance.str().size(), kInstanceBytes);
    EXPECT_LE(entry->agent_address.size(), kAddressBytes);
    EXPECT_LT(static_cast<size_t>(entry->state), kLifecycleStates);
    EXPECT_NE(entry->generation, 0u);
  }
  for (uint32_t i = 0; i < std::min(reader.used_groups(), 32u); ++i) {
    const auto group = reader.group(i);
    if (!group) continue;
    EXPECT_LE(group->gauge_names.size(), kMaxGauges);
    EXPECT_GE(group->period, 100ms);
    EXPECT_LE(group->mode, MetricsMode::ClassicPull);
  }
}

void expect_within_bounds(const ReadingsReader& reader) {
  for (uint32_t i = 0; i < reader.slots(); ++i) {
    const auto reading = reader.get(i);
    if (!reading) continue;
    EXPECT_GE(reading->received_at, Duration{0});
    for (const auto& metric : reading->fixed)
      EXPECT_TRUE(!metric || (std::isfinite(metric.value()) && metric.value() >= 0));
    for (const auto& gauge : reading->gauges) EXPECT_TRUE(!gauge || std::isfinite(*gauge));
  }
}

struct HostileRoster : testing::Test {
  TempBoard temp;
  std::unique_ptr<RosterWriter> writer = std::move(RosterWriter::open(temp.name, kFewSlots)).value();
  std::unique_ptr<RosterReader> reader;
  Shape shape = roster_shape(kFewSlots);
  void SetUp() override {
    writer->put_group(0, RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 1, {"a"}});
    writer->put(0, RosterEntry{InstanceId("i-1"), 0, 1, "", LifecycleState::Pending});
    reader = std::move(RosterReader::open(temp.name)).value();
  }
};

TEST_F(HostileRoster, EntriesThatLieAreAbsent) {
  RawFile raw(roster_path(temp.name));
  EntryPayload good;
  good.generation = 1;
  good.instance_length = 3;
  good.instance = {'i', '-', '1'};
  const auto absent = [&](const char* what, const std::function<void(EntryPayload&)>& spoil) {
    EntryPayload bad = good;
    spoil(bad);
    forge<EntryCell>(raw, shape.slots_at(), bad, 0);
    EXPECT_EQ(reader->entry(0), std::nullopt) << what;
  };
  forge<EntryCell>(raw, shape.slots_at(), good, 0);
  ASSERT_TRUE(reader->entry(0).has_value());
  absent("state", [](EntryPayload& p) { p.state = kLifecycleStates; });
  absent("no name", [](EntryPayload& p) { p.instance_length = 0; });
  absent("length of the name", [](EntryPayload& p) { p.instance_length = 65; });
  absent("length of the address", [](EntryPayload& p) { p.address_length = 255; });
  absent("an escape sequence", [](EntryPayload& p) { p.instance[1] = '\x1b'; });
  absent("a zero byte", [](EntryPayload& p) { p.instance[1] = '\0'; });
  absent("no generation", [](EntryPayload& p) { p.generation = 0; });
}

TEST_F(HostileRoster, GroupsThatLieAreAbsent) {
  RawFile raw(roster_path(temp.name));
  GroupPayload good;
  good.in_use = 1;
  good.period_us = 1'000'000;
  good.name_length = 1;
  good.name[0] = 'g';
  const auto absent = [&](const char* what, const std::function<void(GroupPayload&)>& spoil) {
    GroupPayload bad = good;
    spoil(bad);
    forge<GroupCell>(raw, shape.seconds_at(), bad, 0);
    EXPECT_EQ(reader->group(0), std::nullopt) << what;
  };
  forge<GroupCell>(raw, shape.seconds_at(), good, 0);
  ASSERT_TRUE(reader->group(0).has_value());
  absent("mode", [](GroupPayload& p) { p.mode = 3; });
  absent("number of gauges", [](GroupPayload& p) { p.gauges = 16; });
  absent("length of a gauge", [](GroupPayload& p) { p.gauges = 1, p.gauge_lengths[0] = 65; });
  absent("length of the name", [](GroupPayload& p) { p.name_length = UINT16_MAX; });
  absent("no period", [](GroupPayload& p) { p.period_us = 0; });
  absent("a period going back", [](GroupPayload& p) { p.period_us = -1; });
  absent("an endless period", [](GroupPayload& p) { p.period_us = INT64_MAX; });
  absent("in use", [](GroupPayload& p) { p.in_use = 2; });
}

TEST(HostileReadings, NumbersThatCannotBeAreRefused) {
  TempBoard temp;
  auto writer = std::move(ReadingsWriter::open(temp.name, kFewSlots)).value();
  writer->put(0, some_reading(1, 1, 5));
  auto reader = std::move(ReadingsReader::open(temp.name)).value();
  RawFile raw(readings_path(temp.name));
  HotPayload payload;
  payload.generation = 1;
  payload.values = {
      std::numeric_limits<float>::quiet_NaN(), -1.0f, std::numeric_limits<float>::infinity(), -0.0f, 1, 2};
  payload.flags = 15u << 20;  // a reason that does not exist, for the last one
  forge<HotCell>(raw, readings_shape(kFewSlots).slots_at(), payload, 0);
  const auto got = reader->get(0);
  ASSERT_TRUE(got.has_value());
  for (const size_t i : {0, 1, 2, 5}) EXPECT_EQ(got->fixed[i], Known<double>(Unknown::Refused)) << i;
  EXPECT_EQ(got->fixed[4].value(), 1);
  payload.received_at_us = -1;
  forge<HotCell>(raw, readings_shape(kFewSlots).slots_at(), payload, 0);
  EXPECT_EQ(reader->get(0), std::nullopt);
}

TEST(HostileRegion, ScribblingHurtsNobody) {
  TempBoard temp;
  auto roster = std::move(RosterWriter::open(temp.name, kFewSlots)).value();
  auto readings = std::move(ReadingsWriter::open(temp.name, kFewSlots)).value();
  auto roster_reader = std::move(RosterReader::open(temp.name)).value();
  auto readings_reader = std::move(ReadingsReader::open(temp.name)).value();
  RawFile raw_roster(roster_path(temp.name)), raw_readings(readings_path(temp.name));
  const size_t roster_cells = roster_shape(kFewSlots).seconds_at() + 40 * sizeof(GroupCell);
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    for (uint32_t i = 0; i < kFewSlots; ++i) {
      roster->put_group(i, RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 1, {"a"}});
      roster->put(i, RosterEntry{InstanceId("i-1"), i, 1, "host:1", LifecycleState::Pending});
      SlotReading reading = some_reading(1, i, 50);
      reading.gauges[3] = 1;
      readings->put(i, reading);
    }
    for (int i = 0; i < 60; ++i) {
      raw_roster.at<uint8_t>(random.below(roster_cells)) = static_cast<uint8_t>(random.next());
      raw_readings.at<uint8_t>(random.below(raw_readings.size())) = static_cast<uint8_t>(random.next());
    }
    expect_within_bounds(*roster_reader);
    expect_within_bounds(*readings_reader);
  }
  // And the next writers live with what they find.
  roster.reset();
  readings.reset();
  EXPECT_TRUE(RosterWriter::open(temp.name, kFewSlots).ok());
  EXPECT_TRUE(ReadingsWriter::open(temp.name, kFewSlots).ok());
}

}  // namespace
}  // namespace escala::board
