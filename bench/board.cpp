// The board under pressure: 100,000 slots scanned while a writer in another process writes as fast as it can. Prints
// the time of a scan (min, median, max), the writer's rate, and how many torn readings were delivered (must be 0: every
// number of a reading tells the same n, so a mixture shows). Beside it the floor: the same scan without a writer.
//
//   bench_board [SLOTS] [SECONDS]
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "board/place.h"

namespace {

using namespace std::chrono_literals;
using escala::Duration;
using escala::board::BoardName;
using escala::board::ReadingsReader;
using escala::board::ReadingsWriter;
using escala::board::SlotReading;

double seconds_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

SlotReading reading_of(uint64_t n) {
  SlotReading reading;
  reading.generation = 1;
  reading.received_at = Duration{static_cast<int64_t>(n)};
  reading.incarnation = n;
  reading.sequence = n;
  for (auto& metric : reading.fixed) metric = escala::Known<double>(static_cast<double>(n % 100), Duration{0});
  return reading;
}

bool mixed(const SlotReading& reading) {
  const uint64_t n = reading.sequence;
  if (reading.incarnation != n || reading.received_at.count() != static_cast<int64_t>(n)) return true;
  return std::any_of(reading.fixed.begin(), reading.fixed.end(),
                     [n](const auto& metric) { return !metric || metric.value() != static_cast<double>(n % 100); });
}

struct Scans {
  std::vector<double> ms;
  uint64_t torn_delivered = 0, given_up = 0, read = 0;
};

// Every reading is decoded, verified and summed, as control would.
Scans scan(const ReadingsReader& reader, uint32_t slots, double seconds) {
  Scans scans;
  const uint64_t torn_before = reader.torn();
  for (const double until = seconds_now() + seconds; seconds_now() < until;) {
    const double from = seconds_now();
    double sum = 0;
    for (uint32_t slot = 0; slot < slots; ++slot) {
      const auto reading = reader.get(slot);
      if (!reading) continue;
      ++scans.read;
      if (reading->fixed[0]) sum += reading->fixed[0].value();
      scans.torn_delivered += mixed(*reading) ? 1 : 0;
    }
    scans.ms.push_back((seconds_now() - from) * 1e3);
    if (sum < 0) std::puts("");  // keeps the sum
  }
  scans.given_up = reader.torn() - torn_before;
  std::sort(scans.ms.begin(), scans.ms.end());
  return scans;
}

void print(const char* what, const Scans& scans) {
  std::printf(
      "%-22s %7zu scans  min %7.3f  median %7.3f  max %7.3f ms  readings %llu  torn delivered %llu  given up %llu\n",
      what, scans.ms.size(), scans.ms.front(), scans.ms[scans.ms.size() / 2], scans.ms.back(),
      static_cast<unsigned long long>(scans.read), static_cast<unsigned long long>(scans.torn_delivered),
      static_cast<unsigned long long>(scans.given_up));
}

[[noreturn]] void write_for_ever(const BoardName& board, uint32_t slots, int ready) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto writer = ReadingsWriter::open(board, slots);
  if (!writer.ok()) _exit(1);
  (*writer)->hold_wakes(true);
  uint64_t n = 1;
  for (uint32_t slot = 0; slot < slots; ++slot) (*writer)->put(slot, reading_of(n++));
  if (write(ready, "x", 1) != 1) _exit(1);
  for (;;)
    for (uint32_t slot = 0; slot < slots; ++slot) (*writer)->put(slot, reading_of(n++));
}

}  // namespace

int main(int argc, char** argv) {
  const auto slots = static_cast<uint32_t>(argc > 1 ? std::atoi(argv[1]) : 100'000);
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  std::string directory = escala::board::board_directory("") + "/escala-bench-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) return 1;
  const BoardName board{"bench", directory};
  int ready[2] = {};
  if (pipe(ready) != 0) return 1;
  const pid_t child = fork();
  if (child == 0) write_for_ever(board, slots, ready[1]);
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) return 1;
  auto reader = ReadingsReader::open(board);
  if (!reader.ok()) {
    std::fprintf(stderr, "%s\n", reader.error().message.c_str());
    return 1;
  }
  const uint64_t version = (*reader)->version();
  const double from = seconds_now();
  const Scans beside = scan(**reader, slots, seconds);
  const double rate = static_cast<double>((*reader)->version() - version) / (seconds_now() - from);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const Scans alone = scan(**reader, slots, seconds / 2);
  std::printf("%u slots; writer: %.1f million slots/s\n", slots, rate * 1e-6);
  print("beside the writer", beside);
  print("writer killed", alone);
  std::filesystem::remove_all(directory);
  return beside.torn_delivered + alone.torn_delivered == 0 ? 0 : 1;
}
