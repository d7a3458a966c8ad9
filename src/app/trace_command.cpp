// `escala trace generate`: a made-up load history, for trying the rest without one of one's own. A formula and a seed:
// the same options give the same rows on any machine.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <numbers>

#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "base/random.h"

namespace escala::app {
namespace {

constexpr double kDay = 86400;

// A working day's wave, quieter at weekends, with a growth of 1 % a day, slow and quick noise, and now and then a crowd
// that comes within minutes and goes within the hour.
class Load {
 public:
  Load(uint64_t seed, double mean, double crowds_per_day, double step_s)
      : random_(seed), mean_(mean), crowd_chance_(crowds_per_day * step_s / kDay), step_s_(step_s) {}

  double next(double t) {
    const double hour = std::fmod(t, kDay) / 3600;
    const double wave = 0.55 + 0.45 * std::sin((hour - 9) / 24 * 2 * std::numbers::pi);
    const bool weekend = std::fmod(t / kDay, 7) >= 5;
    drift_ += (random_.unit() - 0.5) * 0.02 - drift_ * 0.01;
    if (random_.chance(crowd_chance_)) crowd_ += random_.between(0.5, 2.5);
    crowd_ *= std::exp(-step_s_ / 900);
    const double quick = 1 + (random_.unit() - 0.5) * 0.1;
    return mean_ * (0.35 + 1.15 * wave * (weekend ? 0.6 : 1)) * (1 + 0.01 * t / kDay) * std::exp(drift_) * quick +
           mean_ * crowd_;
  }

 private:
  Random random_;
  double mean_, crowd_chance_, step_s_;
  double drift_ = 0, crowd_ = 0;
};

}  // namespace

int run_trace(int argc, char** argv) {
  CLI::App cli{"Load histories for simulate, compare and tune.", "escala trace"};
  CLI::App* generate = cli.add_subcommand("generate", "Prints a made-up load as CSV: days, weeks, noise, flash crowds");
  cli.require_subcommand(1);
  int64_t days = 28, seed = 1;
  double mean = 100, crowds = 0.3;
  Duration step{60s};
  add_integer(*generate, "--days", days, 1, 3660, "Default 28");
  add_duration(*generate, "--step", step, 1s, 1h, "Between rows; default 1m");
  add_number(*generate, "--mean", mean, 1e-6, 1e12, "About; default 100");
  add_number(*generate, "--crowds", crowds, 0, 1000, "Flash crowds a day; default 0.3");
  add_integer(*generate, "--seed", seed, 0, INT64_MAX, "Default 1");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  if (step % 1s != Duration{0}) return complain("--step: expected whole seconds", 2);
  const int64_t step_s = step / 1s;
  Load load(static_cast<uint64_t>(seed), mean, crowds, static_cast<double>(step_s));
  std::puts("time_s,demand");
  for (int64_t t = 0; t < days * 86400; t += step_s)
    if (std::printf("%lld,%.4f\n", static_cast<long long>(t), load.next(static_cast<double>(t))) < 0) return 0;
  if (std::fflush(stdout) != 0) return 0;  // the reader of the pipe has enough
  return 0;
}

}  // namespace escala::app
