// Many runs: seeds on all cores, what they saw together, and for a failure the command that repeats it and the fewest
// faults that still bring it about.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted.h"
#include "sim/world.h"

namespace escala::sim {

struct CampaignOptions {
  uint64_t first_seed = 1;
  uint64_t seeds = 100;
  Duration length{6h};
  int threads = 1;
  uint64_t twice_every = 0;  // each n-th seed is run twice and the traces compared; 0 = none
  bool stop_at_failure = true;
  std::optional<Duration> wall_limit;  // real time after which no new seed is begun
  std::function<void(uint64_t done)> progress;
};

struct SeedFailure {
  uint64_t seed = 0;
  Accusation accusation;
};

struct CampaignResult {
  uint64_t seeds = 0;
  Duration lived{0};  // virtual time
  uint64_t turns = 0, decisions = 0, commits = 0, launched = 0, events = 0;
  Marks marks;
  std::vector<SeedFailure> failures;  // by seed
  uint64_t compared = 0;              // seeds run twice
};

// Even seeds heal half-way and must come to rest; odd ones suffer to the end.
WorldOptions options_of(uint64_t seed, Duration length);
CampaignResult run_campaign(const CampaignOptions& options);

// --- mistakes planted on purpose (base/planted.h): does a judge find them?

struct PlantedRow {
  Mistake mistake;
  std::string_view name;
  std::string_view what;  // one sentence
};
std::span<const PlantedRow> planted_mistakes();

struct PlantedFound {
  uint64_t seeds = 0;  // run before somebody accused, that one included; or all of them
  std::optional<Accusation> accusation;
};
// Makes this mistake in up to so many runs. Only one such search at a time; only in a build that has the mistakes.
PlantedFound find_planted(Mistake mistake, const CampaignOptions& options);

// One row of the table in docs/reliability.md.
std::string to_text(const PlantedRow& row, const PlantedFound& found);
// What the row says whatever the seeds are; a test looks for it in docs/reliability.md.
std::string planted_words(const PlantedRow& row);

// The faults of this run that are enough for the same judge to accuse; by index.
std::vector<size_t> shrink(uint64_t seed, Duration length, const Accusation& accusation);

// The commit of this build, "unknown" outside a repository.
const char* built_from();
// "seed 17: hooks at ...: ...", the commit, and the command that repeats it.
std::string to_text(const SeedFailure& failure);
// The table of judges as it stands in docs/reliability.md.
std::string judge_table();
// Figures and counts for people.
std::string to_text(const CampaignResult& result);

}  // namespace escala::sim
