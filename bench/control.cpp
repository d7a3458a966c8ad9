// What control costs when nothing happens: groups of instances that report every second, one target tracking policy
// each. Prints CPU seconds per second of a fleet's life, which must stay under 0.05 for 1,000 groups of 10.
//
//   bench_control [GROUPS [INSTANCES [SECONDS]]]         in virtual time, without a board: the decisions alone
//   bench_control board [GROUPS [INSTANCES [SECONDS]]]   in real time, over SQLite and a real board, into which another
//                                                        process writes every slot once a second; its CPU is not
//                                                        counted. The metric history is kept, by a thread of its own
//   bench_control bare [GROUPS [INSTANCES [SECONDS]]]    the same without the metric history
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "app/children.h"
#include "base/log.h"
#include "board/place.h"
#include "control/board_metrics.h"
#include "control/controller.h"
#include "control/fake_metrics.h"
#include "history/history.h"
#include "store/memory_store.h"
#include "store/records.h"
#include "store/sqlite_store.h"

namespace {

using namespace escala;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// Launches at once, forgets nobody.
class InstantProvider final : public Provider {
 public:
  Status submit(const ProviderRequest& request) override {
    Completion done{request.kind, request.token, request.group, {}, {}};
    if (request.kind == RequestKind::Describe) {
      done.instances = all_;
    } else if (request.kind == RequestKind::Launch) {
      for (int i = 0; i < request.count; ++i) {
        ProviderInstance made;
        made.id = InstanceId(fmt::format("i-{:017x}", all_.size() + 1));
        made.owner = {request.cluster, request.group, request.token};
        made.zone = request.zone;
        made.state = ProviderState::Running;
        all_.push_back(made);
        done.instances.push_back(made);
      }
    }
    done_.push_back(std::move(done));
    return {};
  }
  std::vector<Completion> poll(TimePoint) override { return std::exchange(done_, {}); }
  std::vector<ZoneName> zones() const override { return {ZoneName("local-a")}; }
  const std::vector<ProviderInstance>& all() const { return all_; }

 private:
  std::vector<ProviderInstance> all_;
  std::vector<Completion> done_;
};

Group group_of(int index, int instances, TimePoint now) {
  Group group;
  group.name = GroupName(fmt::format("group-{:04}", index));
  group.min_size = group.desired_capacity = instances;
  group.max_size = 2 * instances;
  group.created_at = now;
  group.zones = {ZoneName("local-a")};
  group.spec = {LaunchSpecId("worker"), false, now};
  TargetTracking tracking;
  tracking.period = 1s;
  tracking.tolerance_out = 0.2;
  Policy policy;
  policy.name = PolicyName("cpu");
  policy.kind = tracking;
  group.policies = {policy};
  return group;
}

// Everything the groups need, written at once.
void put_groups(Store& store, int groups, int instances, TimePoint now) {
  state::LaunchSpec spec;
  spec.set_id("worker");
  Batch batch;
  batch.put(keys::spec(LaunchSpecId("worker")), spec.SerializeAsString());
  for (int i = 0; i < groups; ++i) {
    const Group group = group_of(i, instances, now);
    batch.put(keys::group(group.name), encode(group).SerializeAsString());
  }
  if (const auto done = store.commit(batch); !done.ok()) {
    fmt::print(stderr, "{}\n", done.error().message);
    std::exit(1);
  }
}

void measure(const char* what, Store& store, int groups, int instances, int length) {
  InstantProvider provider;
  FakeMetrics metrics;
  LiveTable live;
  Random random(1);
  TimePoint now{std::chrono::sys_days(std::chrono::year{2026} / 11 / 23)};
  put_groups(store, groups, instances, now);
  ControllerOptions options;
  options.anchor = [&] { return ClockAnchor{now, "bench", Duration{0}}; };
  Controller controller({store, provider, metrics, live, random}, options);

  double said = 0;  // CPU of the bench's own agents
  uint64_t turns = 0;
  const auto run = [&](int how_long) {
    for (const TimePoint end = now + std::chrono::seconds(how_long); now < end; now += 50ms) {
      const double before = cpu_seconds();
      if (now.time_since_epoch() % 1s == 0s)
        for (const ProviderInstance& instance : provider.all())
          metrics.say(instance.owner.group, instance.id, 45 + random.between(-3, 3), now);
      said += cpu_seconds() - before;
      controller.turn(now, now);
      ++turns;
    }
  };
  run(30);  // until everybody is in service
  const uint64_t decided = controller.decisions();
  said = 0, turns = 0;
  const double start = cpu_seconds();
  run(length);
  const double used = cpu_seconds() - start - said;
  fmt::print("{:7} {} groups of {}: {:.4f} CPU s/s, {:.0f} decisions/s, {:.1f} us a decision, {} instances\n", what,
             groups, instances, used / length, static_cast<double>(controller.decisions() - decided) / length,
             used * 1e6 / static_cast<double>(controller.decisions() - decided), provider.all().size());
}

// --- over a real board
// ------------------------------------------------------------------------------------------------

constexpr uint32_t kSlots = 16'384;
constexpr int kParts = 100;               // of a second: the agents' reports come spread over it
constexpr Duration kBeatPeriod{250ms};    // as `escala control`
constexpr Duration kStartPatience{120s};  // until everybody is in service

// The monitor's side, in a process of its own: each slot of the roster once a second, until it is killed.
[[noreturn]] void write_readings(const board::BoardName& name) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto writer = board::ReadingsWriter::open(name, kSlots);
  std::unique_ptr<board::RosterReader> roster;
  std::vector<uint32_t> generations(kSlots, 0), stamps(kSlots, 0);
  Random random(2);
  if (!writer.ok()) _exit(1);
  (*writer)->hold_wakes(true);
  uint64_t round = 0;
  for (Duration next = app::boot_time();; next += 1s / kParts, ++round) {
    if (const Duration early = next - app::boot_time(); early > Duration{0}) std::this_thread::sleep_for(early);
    const Duration now = app::boot_time();
    (*writer)->beat(now);
    if (roster == nullptr) {
      if (auto opened = board::RosterReader::open(name); opened.ok()) roster = std::move(opened).value();
      continue;
    }
    for (auto slot = static_cast<uint32_t>(round % kParts); slot < std::min(roster->used(), kSlots); slot += kParts) {
      if (const uint32_t stamp = roster->stamp(slot); stamp != stamps[slot]) {
        const auto entry = roster->entry(slot);
        generations[slot] = entry ? entry->generation : 0;
        stamps[slot] = stamp;
      }
      if (generations[slot] == 0) continue;
      board::SlotReading reading;
      reading.generation = generations[slot];
      reading.received_at = now;
      reading.incarnation = 1;
      reading.sequence = round / kParts + 1;
      for (auto& value : reading.fixed) value = Known<double>(1 + random.between(0, 1000), Duration{0});
      reading.fixed[static_cast<size_t>(MetricKind::Cpu)] = Known<double>(45 + random.between(-3, 3), Duration{0});
      (*writer)->put(slot, reading);
    }
    (*writer)->wake();
  }
}

size_t in_service(const Store& store, int groups) {
  size_t n = 0;
  for (int i = 0; i < groups; ++i) {
    const auto found = store.scan(keys::instances(GroupName(fmt::format("group-{:04}", i))), {}, SIZE_MAX);
    if (!found.ok()) continue;
    for (const Record& record : *found) {
      const auto parsed = parse<state::Instance>(record.key, record.value);
      if (!parsed.ok()) continue;
      const auto instance = decode(*parsed);
      n += instance.ok() && instance->state == LifecycleState::InService ? 1 : 0;
    }
  }
  return n;
}

// As in `escala control`: finished minutes are written beside the decisions.
class Keeper {
 public:
  Keeper(history::History* history, const Clock& clock) {
    if (history == nullptr) return;
    thread_ = std::jthread([history, &clock](const std::stop_token& stop) {
      for (; !stop.stop_requested(); std::this_thread::sleep_for(1s)) (void)history->tend(clock.now());
    });
  }

 private:
  std::jthread thread_;
};

int measure_board(const std::string& dir, const board::BoardName& name, int groups, int instances, int length,
                  bool kept) {
  auto store = SqliteStore::open(dir, {});
  auto metrics = BoardMetrics::attach({.board = name, .slots = kSlots, .boot_now = app::boot_time});
  if (!store.ok() || !metrics.ok()) {
    fmt::print(stderr, "{}\n", store.ok() ? metrics.error().message : store.error().message);
    return 1;
  }
  const SystemClock clock;
  std::unique_ptr<history::History> history;
  if (kept)
    if (auto opened = history::History::open({.path = dir + "/history.db"}); opened.ok()) history = std::move(*opened);
  const Keeper keeper(history.get(), clock);
  put_groups(**store, groups, instances, clock.now());
  InstantProvider provider;
  LiveTable live;
  Random random(1);
  ControllerOptions options;
  options.anchor = [&] { return clock.anchor(); };
  Controller controller({**store, provider, **metrics, live, random, history.get()}, options);
  Duration beaten{0};
  uint64_t turns = 0;
  const auto run = [&](Duration how_long) {  // the loop of `escala control`
    for (const Duration end = app::boot_time() + how_long; app::boot_time() < end; ++turns) {
      if (const Duration boot = app::boot_time(); boot - beaten >= kBeatPeriod) {
        (*metrics)->beat();
        beaten = boot;
      }
      const TimePoint next = controller.turn(clock.now(), clock.wall_now());
      const Duration left = next - clock.now();
      if (left > Duration{0}) std::this_thread::sleep_for(std::min(left, kBeatPeriod));
    }
  };
  const size_t wanted = static_cast<size_t>(groups) * static_cast<size_t>(instances);
  const Duration begin = app::boot_time();
  while (in_service(**store, groups) < wanted && app::boot_time() - begin < kStartPatience) run(1s);
  run(5s);
  const size_t ready = in_service(**store, groups);
  const uint64_t decided = controller.decisions();
  turns = 0;
  const double start = cpu_seconds();
  run(std::chrono::seconds(length));
  const double used = cpu_seconds() - start;
  fmt::print("{} {} groups of {}: {:.4f} CPU s/s, {:.0f} decisions/s, {:.0f} turns/s, {} of {} in service, {} torn{}\n",
             kept ? "board  " : "bare   ", groups, instances, used / length,
             static_cast<double>(controller.decisions() - decided) / length, static_cast<double>(turns) / length, ready,
             wanted, (*metrics)->torn(), (*metrics)->blind() ? ", BLIND" : "");
  return ready == wanted && !(*metrics)->blind() ? 0 : 1;
}

int over_a_board(int groups, int instances, int length, bool kept) {
  std::string dir = "/tmp/escala-bench-XXXXXX", shm = board::board_directory("") + "/escala-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr || mkdtemp(shm.data()) == nullptr) return 1;
  const board::BoardName name{.name = "bench", .directory = shm};
  const pid_t writer = fork();  // before anything is open
  if (writer == 0) write_readings(name);
  int code = 1;
  if (writer > 0) {
    code = measure_board(dir, name, groups, instances, length, kept);
    kill(writer, SIGKILL);
    waitpid(writer, nullptr, 0);
  }
  std::filesystem::remove_all(dir);
  std::filesystem::remove_all(shm);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const bool bare = argc > 1 && std::string_view(argv[1]) == "bare";
  const bool board = bare || (argc > 1 && std::string_view(argv[1]) == "board");
  const auto argument = [&](int i, int fallback) {
    const int at = board ? i + 1 : i;
    return argc > at ? std::atoi(argv[at]) : fallback;
  };
  const int groups = argument(1, 1000), instances = argument(2, 10), length = argument(3, 60);
  set_log_level(LogLevel::Error);
  if (board) return over_a_board(groups, instances, length, !bare);
  {
    MemoryStore store;
    measure("memory", store, groups, instances, length);
  }
  std::string dir = "/tmp/escala-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr) return 1;
  {
    auto store = SqliteStore::open(dir, {});
    if (!store.ok()) {
      fmt::print(stderr, "{}\n", store.error().message);
      return 1;
    }
    measure("sqlite", **store, groups, instances, length);
  }
  std::filesystem::remove_all(dir);
  return 0;
}
