#include "sim/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

namespace escala::sim {

WorldOptions options_of(uint64_t seed, Duration length) {
  WorldOptions options;
  options.seed = seed;
  options.length = length;
  options.heals = seed % 2 == 0;
  return options;
}

CampaignResult run_campaign(const CampaignOptions& options) {
  CampaignResult result;
  std::mutex mutex;
  std::atomic<uint64_t> next = options.first_seed;
  const uint64_t end = options.first_seed + options.seeds;
  const auto begun = std::chrono::steady_clock::now();
  const auto out_of_time = [&] {
    return options.wall_limit && std::chrono::steady_clock::now() - begun > *options.wall_limit;
  };
  const auto work = [&] {
    for (uint64_t seed = next++; seed < end && !out_of_time(); seed = next++) {
      Outcome outcome = World(options_of(seed, options.length)).run();
      const bool twice = options.twice_every != 0 && seed % options.twice_every == 0;
      if (twice && !outcome.accusation && World(options_of(seed, options.length)).run().trace != outcome.trace)
        outcome.accusation = Accusation{"same_seed_same_run", {}, "two runs of one seed differ"};
      const std::lock_guard lock(mutex);
      ++result.seeds;
      result.compared += twice ? 1 : 0;
      result.lived += outcome.lived;
      result.turns += outcome.turns;
      result.decisions += outcome.decisions;
      result.commits += outcome.commits;
      result.launched += outcome.launched;
      result.events += outcome.events;
      result.marks.add(outcome.marks);
      if (outcome.accusation) {
        result.failures.push_back({seed, *outcome.accusation});
        if (options.stop_at_failure) next = end;
      }
      if (options.progress) options.progress(result.seeds);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < options.threads; ++i) threads.emplace_back(work);
    work();
  }
  std::sort(result.failures.begin(), result.failures.end(),
            [](const auto& a, const auto& b) { return a.seed < b.seed; });
  return result;
}

// Halves first, then one by one: what may be left out stays out.
std::vector<size_t> shrink(uint64_t seed, Duration length, const Accusation& accusation) {
  WorldOptions options = options_of(seed, length);
  const size_t count = World(options).run().faults.size();
  options.left_out.assign(count, false);
  const auto still_fails = [&](const std::vector<bool>& left_out) {
    WorldOptions less = options;
    less.left_out = left_out;
    const Outcome outcome = World(less).run();
    return outcome.accusation && outcome.accusation->judge == accusation.judge;
  };
  for (size_t chunk = std::max<size_t>(1, count / 2);; chunk /= 2) {
    for (size_t from = 0; from < count; from += chunk) {
      std::vector<bool> left_out = options.left_out;
      std::fill(left_out.begin() + static_cast<std::ptrdiff_t>(from),
                left_out.begin() + static_cast<std::ptrdiff_t>(std::min(count, from + chunk)), true);
      if (left_out != options.left_out && still_fails(left_out)) options.left_out = std::move(left_out);
    }
    if (chunk <= 1) break;
  }
  std::vector<size_t> needed;
  for (size_t i = 0; i < count; ++i)
    if (!options.left_out[i]) needed.push_back(i);
  return needed;
}

std::string judge_table() {
  std::string out = "| judge | invariants | what is promised |\n|---|---|---|\n";
  for (const JudgeRow& row : judges()) out += fmt::format("| {} | {} | {} |\n", row.name, row.invariants, row.promise);
  return out;
}

std::string to_text(const SeedFailure& failure) {
  return fmt::format("seed {}: {} at {}: {}\n  at commit {}; repeat it with: ./dev sim {}", failure.seed,
                     failure.accusation.judge, iso8601(failure.accusation.at), failure.accusation.what, built_from(),
                     failure.seed);
}

std::string to_text(const CampaignResult& result) {
  const double years = seconds(result.lived) / (365.25 * 86400);
  std::string out = fmt::format(
      "{} seeds, {:.2f} virtual years, {} events, {} turns, {} decisions, {} commits, {} instances launched, {} seeds "
      "run "
      "twice\n",
      result.seeds, years, result.events, result.turns, result.decisions, result.commits, result.launched,
      result.compared);
  out += "faults that bit:\n";
  for (size_t i = 0; i < kFaultKinds; ++i)
    out += fmt::format("  {:<18} {:>10}  {}\n", name(static_cast<FaultKind>(i)), result.marks.faults[i],
                       meaning(static_cast<FaultKind>(i)));
  out += "moments:\n";
  for (const auto& [moment, count] : result.marks.moments) out += fmt::format("  {:<48} {:>10}\n", moment, count);
  const auto missed = result.marks.missed();
  for (const std::string& each : missed) out += fmt::format("missed: {}\n", each);
  return out;
}

}  // namespace escala::sim
