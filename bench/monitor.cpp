// ./dev bench monitor: the real `escala monitor` under a swarm of real agents (`escala-agent swarm N`), each with a
// connection of its own, one sample a second. Prints the monitor's CPU and memory per agent, and how many heartbeats
// were missed: a miss is a slot whose newest reading is older than three periods + 100 ms at any of our looks (ten a
// second). A slot that is being written at the very moment of a look keeps the reading that the look before found.
//
//   bench_monitor [--agents 10000] [--seconds 600] [--bin DIR]
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "app/children.h"
#include "base/random.h"
#include "board/board.h"
#include "board/place.h"

namespace {

using namespace escala;
using namespace escala::board;

constexpr Duration kLate = 3s + 100ms;

pid_t spawn(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  return pid;
}

struct Usage {
  double cpu_seconds = 0;
  double rss_kib = 0;
};

Usage usage_of(pid_t pid) {
  Usage out;
  std::array<char, 1024> line{};
  if (FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "re")) {
    const size_t n = std::fread(line.data(), 1, line.size() - 1, file);
    std::fclose(file);
    if (n > 0) {
      unsigned long user = 0, system = 0;
      const char* after = std::strrchr(line.data(), ')');
      if (after != nullptr &&
          std::sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
        out.cpu_seconds = static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
  }
  if (FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/status").c_str(), "re")) {
    while (std::fgets(line.data(), line.size(), file) != nullptr) std::sscanf(line.data(), "VmRSS: %lf", &out.rss_kib);
    std::fclose(file);
  }
  return out;
}

int fail(const std::string& what) {
  std::fprintf(stderr, "bench_monitor: %s\n", what.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  uint32_t agents = 10'000;
  int seconds_to_run = 600;
  std::string own = escala::app::own_path();
  std::string bin = own.substr(0, own.rfind('/'));
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--agents")
      agents = static_cast<uint32_t>(std::strtoul(argv[i + 1], nullptr, 10));
    else if (option == "--seconds")
      seconds_to_run = std::atoi(argv[i + 1]);
    else if (option == "--bin")
      bin = argv[i + 1];
    else
      return fail("unknown option " + option);
  }
  if (agents == 0 || agents > kMaxSlots) return fail("--agents: expected 1.." + std::to_string(kMaxSlots));

  std::string dir = "/tmp/escala-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr) return fail("mkdtemp failed");
  const BoardName board{"bench-" + secret_hex(6)};
  const uint32_t slots = std::max<uint32_t>(agents, 16'384);
  auto roster = RosterWriter::open(board, slots);
  if (!roster.ok()) return fail(roster.error().message);
  (*roster)->put_group(0, RosterGroup{.name = GroupName("swarm"), .in_service = agents});
  for (uint32_t i = 0; i < agents; ++i)
    (*roster)->put(
        i, RosterEntry{
               .instance = InstanceId(fmt::format("s-{:05}", i)), .generation = 1, .state = LifecycleState::InService});
  (*roster)->beat(app::boot_time());

  const pid_t monitor = spawn({bin + "/escala", "monitor", "--state-dir", dir, "--board", board.name, "--listen",
                               "127.0.0.1:0", "--slots", std::to_string(slots)},
                              dir + "/monitor.log");
  std::string address;
  for (int i = 0; i < 200 && address.empty(); ++i) {
    std::this_thread::sleep_for(50ms);
    if (FILE* file = std::fopen((dir + "/monitor.address").c_str(), "re")) {
      std::array<char, 128> text{};
      if (std::fgets(text.data(), text.size(), file) != nullptr) address = text.data();
      std::fclose(file);
    }
  }
  while (!address.empty() && address.back() == '\n') address.pop_back();
  if (address.empty()) return fail("the monitor did not start; see " + dir + "/monitor.log");
  const Usage idle = usage_of(monitor);
  const pid_t swarm = spawn(
      {bin + "/escala-agent", "swarm", std::to_string(agents), "--manager", address, "--group", "swarm", "--ids", "s-"},
      dir + "/swarm.log");

  auto readings = ReadingsReader::open(board);
  if (!readings.ok()) return fail(readings.error().message);
  // Everybody has reported once before the measurement starts.
  const Duration give_up = app::boot_time() + 120s;
  for (;;) {
    uint32_t heard = 0;
    for (uint32_t i = 0; i < agents; ++i) heard += (*readings)->get(i).has_value() ? 1 : 0;
    if (heard == agents) break;
    if (app::boot_time() > give_up)
      return fail("only " + std::to_string(heard) + " agents were heard within 120 s; see " + dir + "/swarm.log");
    (*roster)->beat(app::boot_time());
    std::this_thread::sleep_for(200ms);
  }
  std::this_thread::sleep_for(5s);

  const Usage start = usage_of(monitor);
  const Duration began = app::boot_time();
  std::vector<uint64_t> first(agents), last(agents);
  for (uint32_t i = 0; i < agents; ++i) first[i] = (*readings)->get(i)->sequence;
  std::vector<Duration> heard(agents, began);
  uint64_t looks = 0, missed = 0, unreadable = 0;
  Duration oldest{0};
  while (app::boot_time() - began < std::chrono::seconds(seconds_to_run)) {
    (*roster)->beat(app::boot_time());
    for (uint32_t i = 0; i < agents; ++i) {
      const auto reading = (*readings)->get(i);
      const Duration now = app::boot_time();
      if (reading) {
        heard[i] = reading->received_at;
        last[i] = reading->sequence;
      } else {
        ++unreadable;
      }
      oldest = std::max(oldest, now - heard[i]);
      if (now - heard[i] > kLate) ++missed;
    }
    ++looks;
    std::this_thread::sleep_for(100ms);
  }
  const double elapsed = seconds(app::boot_time() - began);
  const Usage end = usage_of(monitor);
  uint64_t received = 0, least = UINT64_MAX;
  for (uint32_t i = 0; i < agents; ++i) {
    received += last[i] - first[i];
    least = std::min(least, last[i] - first[i]);
  }
  const double cpu = end.cpu_seconds - start.cpu_seconds;
  std::printf("monitor, %u agents with connections of their own, 1 sample/s each, %.0f s:\n", agents, elapsed);
  std::printf("  cpu            %.1f %% of a core (%.2f us per sample)\n", 100 * cpu / elapsed,
              1e6 * cpu / static_cast<double>(std::max<uint64_t>(received, 1)));
  std::printf("  rss            %.1f MiB; %.1f KB per agent above the empty monitor (%.1f MiB)\n", end.rss_kib / 1024,
              (end.rss_kib - idle.rss_kib) * 1.024 / agents, idle.rss_kib / 1024);
  std::printf("  samples        %llu, least by one agent %llu\n", static_cast<unsigned long long>(received),
              static_cast<unsigned long long>(least));
  std::printf(
      "  oldest reading %.2f s; missed heartbeats %llu in %llu looks at every agent (%llu times a slot was just\n"
      "                 being written)\n",
      seconds(oldest), static_cast<unsigned long long>(missed), static_cast<unsigned long long>(looks),
      static_cast<unsigned long long>(unreadable));
  kill(swarm, SIGTERM);
  waitpid(swarm, nullptr, 0);
  kill(monitor, SIGTERM);
  waitpid(monitor, nullptr, 0);
  std::error_code ignored;
  for (const std::string& left : {roster_path(board), readings_path(board), dir})
    std::filesystem::remove_all(left, ignored);
  return missed == 0 ? 0 : 1;
}
