// ./dev sim: runs seeds and says what came of them. Several worlds, one a thread; nothing is shared between them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <thread>

#include "base/log.h"
#include "sim/campaign.h"

namespace escala::sim {
namespace {

constexpr uint64_t kPlantedSeeds = 2000;  // within which each planted mistake must be found

int replay(uint64_t seed, Duration length, bool quiet, bool smallest) {
  WorldOptions options = options_of(seed, length);
  const Outcome first = World(options).run();
  if (!first.accusation) {
    fmt::print("seed {}: nobody was accused ({} events, {} decisions, {} faults drawn, trace {:016x})\n", seed,
               first.events, first.decisions, first.faults.size(), first.trace);
    return 0;
  }
  fmt::print("{}\n", to_text(SeedFailure{seed, *first.accusation}));
  if (smallest) {
    const auto needed = shrink(seed, length, *first.accusation);
    fmt::print("{} of {} faults are enough:\n", needed.size(), first.faults.size());
    options.left_out.assign(first.faults.size(), true);
    for (const size_t i : needed) {
      options.left_out[i] = false;
      fmt::print("  {}\n", to_text(first.faults[i]));
    }
  }
  if (!quiet) {
    World* world = nullptr;
    options.tell = [&](const std::string& line) { fmt::print("{} {}\n", world ? iso8601(world->now()) : "", line); };
    auto owner = std::make_unique<World>(options);
    world = owner.get();
    owner->run();
  }
  return 1;
}

int campaign(CampaignOptions options) {
  const CampaignResult result = run_campaign(options);
  fmt::print("{}", to_text(result));
  for (const SeedFailure& failure : result.failures) fmt::print("{}\n", to_text(failure));
  fmt::print("{} failures\n", result.failures.size());
  return result.failures.empty() ? 0 : 1;
}

int planted_table([[maybe_unused]] const CampaignOptions& options, [[maybe_unused]] const std::string& only) {
#ifdef ESCALA_PLANTED
  fmt::print("| mistake | what it does | seeds needed | judge that found it |\n|---|---|---|---|\n");
  int missed = 0;
  for (const PlantedRow& row : planted_mistakes()) {
    if (!only.empty() && only != row.name) continue;
    const PlantedFound found = find_planted(row.mistake, options);
    fmt::print("{}\n", to_text(row, found));
    std::fflush(stdout);
    missed += found.accusation ? 0 : 1;
  }
  fmt::print("{} of {} not found within {} seeds\n", missed, planted_mistakes().size(), options.seeds);
  return missed == 0 ? 0 : 1;
#else
  fmt::print(stderr, "escala-sim: this build has no planted mistakes; `./dev sim --planted` makes one that has\n");
  return 2;
#endif
}

int run(int argc, char** argv) {
  CLI::App app("Runs the whole control side in virtual time, under every fault.");
  std::optional<uint64_t> seed;
  CampaignOptions options;
  options.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  double hours = 6, minutes = 0;
  std::string only;
  bool quiet = false, keep_going = false, verbose = false, no_shrink = false, table = false;
  app.add_option("SEED", seed, "repeat this one run and tell it line by line");
  app.add_option("--seeds", options.seeds, "how many runs");
  app.add_option("--first", options.first_seed, "the first seed");
  app.add_option("--hours", hours, "virtual hours of each run");
  app.add_option("--minutes", minutes, "stop after so many real minutes");
  app.add_option("--threads", options.threads, "runs at a time");
  app.add_option("--twice-every", options.twice_every, "run each n-th seed twice and compare");
  app.add_flag("--quiet", quiet, "of one run tell the end only");
  app.add_flag("--no-shrink", no_shrink, "do not look for the fewest faults");
  app.add_flag("--keep-going", keep_going, "do not stop at the first failure");
  app.add_flag("--judges", table, "print the table of judges and end");
  CLI::Option* planted =
      app.add_option("--planted", only, "make each planted mistake (or this one) until a judge finds it");
  planted->expected(0, 1);
  app.add_flag("--log", verbose, "the controllers' own log as well");
  CLI11_PARSE(app, argc, argv);
  if (table) {
    fmt::print("{}", judge_table());
    return 0;
  }
  set_log_level(verbose ? LogLevel::Info : LogLevel::Off);
  options.length = from_seconds(hours * 3600);
  if (minutes > 0) options.wall_limit = from_seconds(minutes * 60);
  if (planted->count() > 0) {
    if (options.seeds == CampaignOptions{}.seeds) options.seeds = kPlantedSeeds;
    return planted_table(options, only);
  }
  if (seed) return replay(*seed, options.length, quiet, !no_shrink);
  options.stop_at_failure = !keep_going;
  return campaign(options);
}

}  // namespace
}  // namespace escala::sim

int main(int argc, char** argv) {
  return escala::sim::run(argc, argv);
}
