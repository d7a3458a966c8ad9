#include "provider/process_driver.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "base/log.h"
#include "provider/instance_id.h"
#include "provider/process_cgroup.h"
#include "provider/process_command.h"

namespace escala {

namespace {

constexpr auto kKeeperTick = std::chrono::milliseconds(20);  // while something is stopping
constexpr auto kKillAgain = std::chrono::milliseconds(100);  // between two SIGKILLs of what will not go
constexpr unsigned kAddresses = 60'000;                      // of one state directory

std::string words_of(int status) {
  if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return "ended";
}

bool can_bind(const std::string& address, uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;  // no socket left is no word about the address
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  ::close(fd);
  return ok;
}

}  // namespace

ProcessDriver::ProcessDriver(ProcessDriverOptions options)
    : options_(std::move(options)),
      clock_(options_.clock ? *options_.clock : own_clock_),
      ledger_(options_.state_dir) {}

Result<std::shared_ptr<ProcessDriver>> ProcessDriver::open(ProcessDriverOptions options) {
  for (std::string* path : {&options.state_dir, &options.agent_path, &options.monitor_address_file}) {
    std::error_code error;
    if (!path->empty()) *path = std::filesystem::absolute(*path, error).string();
    if (error) return Error{ErrorKind::Unavailable, fmt::format("the working directory: {}", error.message())};
  }
  std::shared_ptr<ProcessDriver> driver(new ProcessDriver(std::move(options)));
  ESCALA_ASSIGN(std::vector<LaunchEntry> entries, driver->ledger_.load());
  for (LaunchEntry& entry : entries) {
    const Token token = entry.owner.token;
    Launch& launch = driver->launches_[token];
    launch.entry = std::move(entry);
    for (size_t i = 0; i < launch.entry.addresses.size(); ++i) {
      Unit unit;
      unit.id = instance_id(token, static_cast<int>(i));
      unit.index = i;
      if (const auto note = driver->ledger_.gone(token, i)) {
        unit.state = ProviderState::Gone;
        unit.gone_at = note->at;
        unit.detail = note->detail;
      } else if (driver->ledger_.stop_asked(token, i)) {
        driver->begin_stop(unit, launch.entry.stop_grace);
      }
      driver->by_id_[unit.id] = token;
      launch.units.push_back(std::move(unit));
      Unit& last = launch.units.back();
      if (last.state == ProviderState::Gone) continue;
      driver->refresh(launch, last);
      // The one before us may have died before it sent this.
      if (last.stopping) driver->ask_to_end(launch, last);
    }
  }
  driver->next_address_ = static_cast<unsigned>(driver->by_id_.size());
  driver->keeper_ = std::thread([self = driver.get()] { self->keep(); });
  return driver;
}

ProcessDriver::~ProcessDriver() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

Completion ProcessDriver::carry_out(const ProviderRequest& request) {
  switch (request.kind) {
    case RequestKind::Launch:
      return launch(request);
    case RequestKind::Terminate:
      return terminate(request);
    case RequestKind::Stop:
    case RequestKind::Start:
      return answer_to(request, Error{ErrorKind::Invalid, "a process cannot be stopped and kept"});
    case RequestKind::Describe:
      return describe(request);
  }
  return answer_to(request, Error{ErrorKind::Bug, "no such kind of request"});
}

std::string ProcessDriver::alive_file(const Launch& launch, const Unit& unit) const {
  return ledger_.directory(launch.entry.owner.token, unit.index) + "/alive";
}

// --- launching
// ---------------------------------------------------------------------------------------------------------

// The disk and exec may take their time: both happen without the mutex, while `starting` keeps the others away.
Completion ProcessDriver::launch(const ProviderRequest& request) {
  std::unique_lock lock(mutex_);
  Result<Launch*> found = find_or_add(request, lock);
  if (!found) return answer_to(request, found.error());
  Launch& launch = **found;  // stays: only forget_old() erases, and never one that is starting
  bool missing = false;
  for (Unit& unit : launch.units) {
    refresh(launch, unit);
    missing = missing || (unit.never_started && !unit.stopping);
  }
  Completion done = answer_to(request);
  if (missing) {
    const auto program = check_process_spec(request.spec.process);
    const auto monitor = request.spec.process.agent ? monitor_address() : Result<std::string>("");
    if (!program || !monitor) return answer_to(request, program ? monitor.error() : program.error());
    std::vector<std::pair<Unit*, SpawnPlan>> plans;
    for (Unit& unit : launch.units)
      if (unit.never_started && !unit.stopping)
        plans.emplace_back(&unit, plan_of(launch, unit, request, *program, *monitor));
    launch.starting = true;
    lock.unlock();
    std::vector<Spawned> results;
    results.reserve(plans.size());
    for (const auto& [unit, plan] : plans) results.push_back(spawn(plan, options_.faults));
    lock.lock();
    launch.starting = false;
    for (size_t i = 0; i < results.size(); ++i)
      if (Status status = settle(launch, *plans[i].first, results[i]); !status.ok()) done.outcome = status;
  }
  bool any = false;
  for (const Unit& unit : launch.units) {
    if (unit.never_started) {
      if (done.outcome.ok()) done.outcome = Error{ErrorKind::Unavailable, unit.detail};
      continue;
    }
    if (done.outcome.ok() || unit.state != ProviderState::Gone) done.instances.push_back(seen(launch, unit));
    any = any || unit.state != ProviderState::Gone;
  }
  if (any || done.outcome.ok()) {
    done.outcome = ok_status();
    return done;
  }
  // Not one command ran: nothing to remember, and the same token may try anew.
  log_warning("provider", "launching for group {}: {}", request.group, done.outcome.error().message);
  ledger_.remove(request.token);
  forget(request.token);
  done.instances.clear();
  return done;
}

// Writes the ledger of a new one without the mutex: the disk may be slow.
Result<ProcessDriver::Launch*> ProcessDriver::find_or_add(const ProviderRequest& request,
                                                          std::unique_lock<std::mutex>& lock) {
  if (const auto known = launches_.find(request.token); known != launches_.end()) return &known->second;
  step("asked");
  ESCALA_ASSIGN(LaunchEntry entry, new_entry(request));
  Launch& launch = launches_[request.token];  // from here on its addresses are taken
  launch.entry = std::move(entry);
  for (size_t i = 0; i < launch.entry.addresses.size(); ++i) {
    Unit unit;
    unit.id = instance_id(request.token, static_cast<int>(i));
    unit.index = i;
    unit.never_started = true;
    by_id_[unit.id] = request.token;
    launch.units.push_back(std::move(unit));
  }
  launch.starting = true;
  lock.unlock();
  const Status written = ledger_.add(launch.entry);
  step("ledger written");
  lock.lock();
  launch.starting = false;
  if (written.ok()) return &launch;
  forget(request.token);
  return written.error();
}

void ProcessDriver::forget(const Token& token) {
  const auto launch = launches_.find(token);
  for (const Unit& unit : launch->second.units) by_id_.erase(unit.id);
  launches_.erase(launch);
}

Result<LaunchEntry> ProcessDriver::new_entry(const ProviderRequest& request) {
  const ProcessSpec& spec = request.spec.process;
  if (!valid_token(request.token))
    return Error{ErrorKind::Invalid,
                 fmt::format("'{}' is no token: at most 64 of [A-Za-z0-9-]", printable(request.token.str()))};
  const int count = instances_for(request.spec, request.spec.instance_type, request.count);
  if (count < 1 || count > kMaxLaunchCount)
    return Error{ErrorKind::Invalid,
                 fmt::format("{} instances in one launch; 1 to {} are allowed", count, kMaxLaunchCount)};
  if (std::find(options_.zones.begin(), options_.zones.end(), request.zone) == options_.zones.end())
    return Error{ErrorKind::Invalid, fmt::format("this provider has no zone '{}'", printable(request.zone.str()))};
  ESCALA_TRY([&]() -> Status {
    const auto program = check_process_spec(spec);
    return program ? ok_status() : Status(program.error());
  }());
  if (spec.agent)
    ESCALA_TRY([&]() -> Status {
      const auto address = monitor_address();
      return address ? ok_status() : Status(address.error());
    }());
  LaunchEntry entry;
  entry.owner = {request.cluster, request.group, request.token};
  entry.zone = request.zone;
  entry.instance_type = request.spec.instance_type;
  entry.launched_at = clock_.now();
  entry.service_port = spec.service_port;
  entry.agent = spec.agent;
  entry.stop_grace = spec.stop_grace;
  for (int i = 0; i < count; ++i) {
    std::string address = free_address(spec.service_port);
    if (address.empty())
      return Error{ErrorKind::NoCapacity,
                   fmt::format("all {} loopback addresses of this state directory are taken", kAddresses)};
    entry.addresses.push_back(std::move(address));
  }
  // Tried once for the first of them, so that everybody is told in `detail` what does not hold.
  ProcessCgroup trial(options_.cgroup_root, instance_id(request.token, 0));
  if (const Status limits = trial.make(spec.cpu_limit, spec.memory_limit); !limits.ok())
    entry.warnings.push_back("limits not applied: " + limits.error().message);
  return entry;
}

Result<std::string> ProcessDriver::monitor_address() const {
  if (::access(options_.agent_path.c_str(), X_OK) != 0)
    return Error{ErrorKind::Unavailable, fmt::format("no escala-agent at '{}'", options_.agent_path)};
  std::string address;
  std::ifstream file(options_.monitor_address_file);
  if (!(file >> address))
    return Error{ErrorKind::Unavailable,
                 fmt::format("the monitor has not said yet where agents dial ({})", options_.monitor_address_file)};
  return address;
}

// 127.64.0.1 to 127.191.255.250: which second number follows from the state directory, so that two managers on one
// machine rarely meet; where they do, bind() tells. Taken in turn, so that an address is not used again soon.
std::string ProcessDriver::free_address(uint16_t service_port) {
  std::set<std::string> taken;
  for (const auto& [token, launch] : launches_)
    for (const Unit& unit : launch.units)
      if (unit.state != ProviderState::Gone) taken.insert(launch.entry.addresses[unit.index]);
  const auto home = static_cast<unsigned>(64 + std::hash<std::string>{}(options_.state_dir) % 128);
  for (unsigned tries = 0; tries < kAddresses; ++tries) {
    const unsigned n = next_address_++ % kAddresses;
    std::string address = fmt::format("127.{}.{}.{}", home, n / 250, n % 250 + 1);
    if (taken.contains(address) || !can_bind(address, kAgentPort)) continue;
    if (service_port != 0 && !can_bind(address, service_port)) continue;
    return address;
  }
  return "";
}

SpawnPlan ProcessDriver::plan_of(const Launch& launch, const Unit& unit, const ProviderRequest& request,
                                 const std::string& program, const std::string& monitor) const {
  const ProcessSpec& spec = request.spec.process;
  ProcessCgroup group(options_.cgroup_root, unit.id);
  if (const Status made = group.make(spec.cpu_limit, spec.memory_limit); !made.ok())
    log_warning("provider", "instance {}: limits not applied: {}", unit.id, made.error().message);
  SpawnPlan plan;
  plan.directory = ledger_.directory(request.token, unit.index);
  const ProcessPlace place{unit.id,
                           launch.entry.owner.group,
                           request.token,
                           launch.entry.zone,
                           launch.entry.addresses[unit.index],
                           plan.directory + "/work",
                           options_.agent_path,
                           monitor};
  plan.argv = process_arguments(spec, program, place);
  plan.environment = process_environment(spec, place);
  plan.working_directory = spec.working_directory.empty() ? place.home : spec.working_directory;
  plan.join_files = group.join_files();
  return plan;
}

// What became of a start. A command that never ran leaves a unit that never ran.
Status ProcessDriver::settle(Launch& launch, Unit& unit, const Spawned& spawned) {
  if (spawned.outcome == SpawnOutcome::Failed) {
    unit.detail = spawned.why.error().message;
    mark_gone(launch, unit);
    return spawned.why;
  }
  unit.never_started = false;
  if (spawned.outcome == SpawnOutcome::Started) {
    unit.ours = true;
    unit.process = ProcessKey{spawned.pid, start_ticks_of(spawned.pid).value_or(0), boot_id()};
  }
  refresh(launch, unit);
  if (unit.stopping) ask_to_end(launch, unit);  // somebody wished so meanwhile, and had nobody to tell
  return ok_status();
}

// --- watching and ending
// -------------------------------------------------------------------------------------------------

void ProcessDriver::reap(Unit& unit) {
  if (!unit.ours || !unit.process) return;
  int status = 0;
  if (::waitpid(unit.process->pid, &status, WNOHANG) != unit.process->pid) return;
  unit.ours = false;
  unit.detail = words_of(status);
}

bool ProcessDriver::others_live(const Launch& launch, const Unit& unit) const {
  return lock_held(alive_file(launch, unit)) || (unit.process && group_has_others(*unit.process)) ||
         ProcessCgroup(options_.cgroup_root, unit.id).has_processes();
}

void ProcessDriver::refresh(Launch& launch, Unit& unit) {
  if (unit.state == ProviderState::Gone || launch.starting) return;
  reap(unit);
  // The file is the child's own word; a start time we read ourselves could be that of nobody any more.
  if (const auto written = ledger_.process(launch.entry.owner.token, unit.index)) unit.process = written;
  if (unit.process && lives(*unit.process)) {
    unit.never_started = false;
    unit.state = unit.stopping ? ProviderState::ShuttingDown : ProviderState::Running;
    return;
  }
  if (others_live(launch, unit)) {
    unit.never_started = false;
    if (!unit.process) {  // between fork and its pid file
      unit.state = ProviderState::Pending;
      return;
    }
    if (!unit.stopping) begin_stop(unit, Duration{0});
    unit.state = ProviderState::ShuttingDown;
    return;
  }
  if (!ledger_.process(launch.entry.owner.token, unit.index)) {
    unit.never_started = true;
    unit.process.reset();
    if (unit.stopping) mark_gone(launch, unit);
    return;
  }
  unit.never_started = false;
  mark_gone(launch, unit);
}

void ProcessDriver::mark_gone(Launch& launch, Unit& unit) {
  reap(unit);  // it may have died after the last look at it, and would stay a zombie with a status nobody read
  unit.state = ProviderState::Gone;
  unit.gone_at = clock_.now();
  bound_log_of(launch, unit);  // for the last time: nobody writes to it any more
  if (unit.detail.empty()) unit.detail = unit.never_started ? "never started" : "ended (not our child: status unknown)";
  ledger_.note_gone(launch.entry.owner.token, unit.index, {unit.gone_at, unit.detail});
  if (!ProcessCgroup(options_.cgroup_root, unit.id).remove())
    log_warning("provider", "instance {}: its cgroup cannot be removed yet", unit.id);
}

void ProcessDriver::begin_stop(Unit& unit, Duration grace) {
  unit.stopping = true;
  unit.kill_at = Steady::now() + grace;
  wake_.notify_all();
}

// An agent hands SIGTERM on to its workload, which would get it twice from a signal to the group, and may take the
// second for impatience.
void ProcessDriver::ask_to_end(const Launch& launch, const Unit& unit) {
  if (!unit.process) return;
  if (launch.entry.agent)
    signal_leader(*unit.process, SIGTERM);
  else
    signal_group(*unit.process, SIGTERM);
}

Completion ProcessDriver::terminate(const ProviderRequest& request) {
  const std::lock_guard lock(mutex_);
  const auto known = by_id_.find(request.instance);
  if (known == by_id_.end()) return answer_to(request);
  Launch& launch = launches_.at(known->second);
  for (Unit& unit : launch.units) {
    if (unit.id != request.instance || unit.stopping) continue;
    refresh(launch, unit);
    if (unit.state == ProviderState::Gone || unit.stopping) continue;
    // Written first: if we die now, the next one finishes what we began.
    if (Status asked = ledger_.ask_stop(launch.entry.owner.token, unit.index); !asked.ok())
      return answer_to(request, asked);
    begin_stop(unit, launch.entry.stop_grace);
    ask_to_end(launch, unit);
    refresh(launch, unit);
  }
  return answer_to(request);
}

void ProcessDriver::force(const Launch& launch, Unit& unit) {
  if (unit.process) signal_group(*unit.process, SIGKILL);
  ProcessCgroup(options_.cgroup_root, unit.id).kill_all();
  // Only for who left the group and the cgroup: it reads all of /proc.
  if (unit.kills > 0) kill_holders(alive_file(launch, unit));
  ++unit.kills;
  unit.kill_at = Steady::now() + kKillAgain;
}

void ProcessDriver::keep() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    bool stopping = false;
    for (auto& [token, launch] : launches_) {
      for (Unit& unit : launch.units) {
        if (!unit.stopping || unit.state == ProviderState::Gone) continue;
        refresh(launch, unit);
        if (unit.state == ProviderState::Gone) continue;
        stopping = true;
        if (Steady::now() >= unit.kill_at) force(launch, unit);
      }
    }
    if (stopping)
      wake_.wait_for(lock, kKeeperTick);
    else
      wake_.wait(lock);
  }
}

// --- describing
// ------------------------------------------------------------------------------------------------------------

Completion ProcessDriver::describe(const ProviderRequest& request) {
  const std::lock_guard lock(mutex_);
  Completion done = answer_to(request);
  for (auto& [token, launch] : launches_) {
    if (!request.cluster.empty() && launch.entry.owner.cluster != request.cluster) continue;
    for (Unit& unit : launch.units) {
      refresh(launch, unit);
      if (unit.never_started) continue;
      done.instances.push_back(seen(launch, unit));
      if (unit.state != ProviderState::Gone) bound_log_of(launch, unit);
    }
  }
  forget_old();
  return done;
}

void ProcessDriver::bound_log_of(const Launch& launch, const Unit& unit) const {
  const std::string path = ledger_.directory(launch.entry.owner.token, unit.index) + "/log";
  if (const Status bounded = bound_log(path, options_.max_log_bytes); !bounded.ok())
    log_warning("provider", "instance {}: {}", unit.id, bounded.error().message);
}

ProviderInstance ProcessDriver::seen(const Launch& launch, const Unit& unit) const {
  const LaunchEntry& entry = launch.entry;
  const std::string& address = entry.addresses[unit.index];
  ProviderInstance out;
  out.id = unit.id;
  out.owner = entry.owner;
  out.zone = entry.zone;
  out.instance_type = entry.instance_type;
  out.state = unit.state;
  if (entry.service_port != 0) out.address = fmt::format("{}:{}", address, entry.service_port);
  if (entry.agent) out.agent_address = fmt::format("{}:{}", address, kAgentPort);
  out.launched_at = entry.launched_at;
  out.detail = unit.detail;
  for (const std::string& warning : entry.warnings) out.detail += (out.detail.empty() ? "" : "; ") + warning;
  return out;
}

void ProcessDriver::forget_old() {
  const TimePoint now = clock_.now();
  std::vector<std::pair<TimePoint, Token>> gone;  // by the end of the last instance
  for (const auto& entry : launches_) {
    const Launch& launch = entry.second;
    TimePoint last{};
    const bool all = std::all_of(launch.units.begin(), launch.units.end(), [&](const Unit& unit) {
      last = std::max(last, unit.never_started ? launch.entry.launched_at : unit.gone_at);
      return unit.never_started || unit.state == ProviderState::Gone;
    });
    if (all && !launch.starting) gone.emplace_back(last, entry.first);
  }
  std::sort(gone.begin(), gone.end());
  for (size_t i = 0; i < gone.size(); ++i) {
    const bool too_many = gone.size() - i > options_.max_gone;
    if (!too_many && now - gone[i].first < options_.remember_gone) break;
    ledger_.remove(gone[i].second);
    forget(gone[i].second);
  }
}

}  // namespace escala
