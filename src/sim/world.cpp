#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/lifecycle.h"
#include "sim/settled.h"
#include "store/records.h"

namespace escala::sim {
namespace {

using enum FaultKind;

constexpr TimePoint kBeginning{std::chrono::sys_days(std::chrono::year{2026} / 11 / 23)};
constexpr Duration kKeeps{30s};       // from one look of the keeper to the next
constexpr Duration kSettleLimit{1h};  // after the end of a run that healed: the last change may have been a moment ago

// Everything a process held in memory is lost, as after kill -9.
struct Crash {};

uint64_t stream(uint64_t seed, uint64_t purpose) {
  return Random(seed * 0x9e3779b97f4a7c15ULL + purpose).next();
}

}  // namespace

struct World::Process {
  uint64_t id = 0;
  FakeMetrics metrics;
  LiveTable live;
  Random random{0};
  std::unique_ptr<CloudSession> session;
  std::unique_ptr<Controller> controller;
  TimePoint next = kNever;
  TimePoint started_at{}, disturbed_at{};
  TimePoint paused_until{};
  uint64_t steps = 0;
  uint64_t dies_at = 0;  // step; 0 = does not
  FaultKind cause = KillAtStep;
  struct Heard {
    uint64_t incarnation = 0, sequence = 0;
  };
  std::unordered_map<InstanceId, Heard> heard;
};

World::World(WorldOptions options)
    : options_(std::move(options)),
      random_(stream(options_.seed, 1)),
      dice_(stream(options_.seed, 5)),
      plan_(draw(options_, random_)),
      queue_(kBeginning),
      clock_(queue_),
      cloud_(queue_, windows_, marks_, stream(options_.seed, 2), plan_.cloud),
      store_(queue_, windows_, marks_, stream(options_.seed, 3)),
      court_(queue_, cloud_, marks_),
      users_(store_, clock_, court_.ledger(), marks_, stream(options_.seed, 4)),
      balancers_(new Balancers(queue_, windows_, marks_, cloud_, stream(options_.seed, 6))),
      keeper_(store_, std::unique_ptr<traffic::Balancer>(balancers_)),
      begun_(kBeginning) {
  set_up();
}

World::~World() = default;

World::Plan World::draw(const WorldOptions& options, Random& random) {
  Plan plan;
  plan.fleet = options.fleet.empty() ? draw_fleet(random, kBeginning) : options.fleet;
  plan.cloud.zones = plan.fleet.front().zones;
  plan.cloud.latency = from_seconds(random.between(0.05, 1.5));
  plan.cloud.boot = from_seconds(random.between(5, 60));
  plan.cloud.ending = from_seconds(random.between(2, 60));
  plan.control.inventory.period = options.lists.value_or(std::chrono::seconds(10 + static_cast<int>(random.below(50))));
  plan.control.min_live_gap = 10min;  // nobody looks
  plan.control.sweep_period = 1min;
  plan.control.inventory.hurry = std::min<Duration>(5s, plan.control.inventory.period);
  plan.control.look_period = options.look.value_or(std::chrono::seconds(5 + static_cast<int>(random.below(15))));
  plan.control.max_wait = 30s;
  plan.control.fleet_replacement_percent = random.between(5, 40);
  if (options.calm) {
    plan.faults = options.script;
    return plan;
  }
  const double rate = random.between(3, 30);
  plan.calls_per_hour = random.chance(0.2) ? 0 : random.between(2, 40);
  plan.faults = draw_faults(options.seed, options.heals ? options.length / 2 : options.length, rate);
  return plan;
}

void World::set_up() {
  court_.tell = options_.tell;
  users_.tell = options_.tell;
  users_.complain = [this](std::string what) { court_.accuse("api_model", std::move(what)); };
  cloud_.watch(&court_);
  store_.watch(&court_);
  store_.between = [this] { users_.call(); };
  store_.on_commit([this] {
    if (store_.actor() < 0) wake_all();
  });
  Scene& scene = court_.scene();
  scene.list_gap = plan_.control.inventory.hurry;
  scene.max_wait = plan_.control.max_wait;
  scene.balancers = balancers_;
  scene.traffic_known = [this] { return now() >= traffic_known_from_; };
  scene.blind = [this](int controller) {
    const Process* process = find(static_cast<uint64_t>(controller));
    return process && process->metrics.blind().has_value();
  };
  scene.heard_at = [this](const InstanceId& instance) {
    const auto heard = heard_.find(instance);
    return heard == heard_.end() ? TimePoint{} : heard->second;
  };
  scene.running = [this] {
    std::vector<Scene::Running> out;
    for (const auto& process : processes_) {
      if (process->paused_until > now() || windows_.open(SlowSync, now())) continue;
      Scene::Running one{static_cast<int>(process->id), std::max(process->started_at, process->disturbed_at), {}};
      for (const auto& [name, records] : court_.ledger().groups()) {
        const Reconciler* group = process->controller->group(name);
        if (records.group && group && group->exists()) one.decided[name] = group->planned_at();
      }
      out.push_back(std::move(one));
    }
    return out;
  };
  for (const Group& group : plan_.fleet) ESCALA_CHECK(users_.create(group));
  for (const Group& group : plan_.fleet)
    queue_.after(group.metrics_period, [this, name = group.name] { report(name); });
  for (size_t i = 0; i < plan_.faults.size(); ++i)
    if (i >= options_.left_out.size() || !options_.left_out[i])
      queue_.after(plan_.faults[i].at, [this, fault = plan_.faults[i]] { befall(fault); });
  if (plan_.calls_per_hour > 0) people_call();
  queue_.after(1min, [this] { minute(); });
  queue_.after(kKeeps, [this] { keep_traffic(); });
  if (options_.heals) queue_.after(options_.length / 2, [this] { heal(); });
  start_process();
}

// --- processes ------------------------------------------------------------------------------------------------------

World::Process* World::find(uint64_t id) {
  const auto found = std::find_if(processes_.begin(), processes_.end(), [&](const auto& p) { return p->id == id; });
  return found == processes_.end() ? nullptr : found->get();
}

const Controller* World::controller() const {
  return processes_.empty() ? nullptr : processes_.back()->controller.get();
}

void World::start_process() {
  starting_ = false;
  auto process = std::make_unique<Process>();
  process->id = next_process_++;
  process->started_at = now();
  process->random = Random(stream(options_.seed, 100 + process->id));
  if (next_dies_after_ > 0) {
    process->dies_at = std::exchange(next_dies_after_, 0);
    process->cause = KillInRecovery;
  }
  Process* raw = process.get();
  const uint64_t id = process->id;
  process->session = std::make_unique<CloudSession>(cloud_, static_cast<int>(id), [this, id] {
    if (Process* one = find(id)) schedule(*one, now());
  });
  process->session->step = [this, raw] { take_step(*raw); };
  process->controller = std::make_unique<Controller>(
      ControllerDeps{store_, *process->session, process->metrics, process->live, process->random}, plan_.control);
  processes_.push_back(std::move(process));
  if (options_.tell) options_.tell(fmt::format("controller {} starts", id));
  schedule(*raw, now());
}

void World::ensure_running(Duration after) {
  if (!processes_.empty() || starting_) return;
  starting_ = true;
  queue_.after(after, [this] { start_process(); });
}

void World::schedule(Process& process, TimePoint when) {
  if (when >= process.next) return;
  process.next = when;
  queue_.at(when, [this, id = process.id, when] {
    const Process* one = find(id);
    if (one && one->next == when) turn(id);
  });
}

void World::wake_all() {
  for (const auto& process : processes_) schedule(*process, now());
}

void World::take_step(Process& process) {
  ++process.steps;
  ++steps_;
  if ((process.dies_at != 0 && process.steps >= process.dies_at) || (fatal_step_ != 0 && steps_ == fatal_step_))
    throw Crash{};
}

void World::turn(uint64_t id) {
  Process& process = *find(id);
  process.next = kNever;
  if (process.paused_until > now()) {
    process.disturbed_at = process.paused_until;
    schedule(process, process.paused_until);
    return;
  }
  process.metrics.set_blind(monitor_runs() ? std::nullopt : std::optional(Unknown::BoardStale));
  store_.become(static_cast<int>(id), [this, &process] { take_step(process); });
  TimePoint next{};
  bool dead = false;
  const uint64_t decided = process.controller->decisions();
  try {
    next = process.controller->turn(now(), clock_.wall_now());
  } catch (const Crash&) {
    dead = true;
    died_ = true;
    marks_.hit(process.cause);
  }
  store_.become(kPeople, nullptr);
  ++turns_;
  if (dead) {
    kill(id);
    return;
  }
  decisions_ += process.controller->decisions() - decided;
  if (process.controller->superseded()) {
    marks_.hit("controller superseded");
    kill(id);
    return;
  }
  for (const auto& [name, records] : court_.ledger().groups())
    if (const Reconciler* group = process.controller->group(name); group && group->seen().inventory.suspect)
      marks_.hit("list suspected");
  const Duration busy = store_.take_delay();
  if (busy > 0s) process.disturbed_at = now() + busy;
  schedule(process, std::max(next, now() + std::max<Duration>(busy, 1ms)));
}

void World::kill(uint64_t id) {
  if (options_.tell) options_.tell(fmt::format("controller {} is dead", id));
  std::erase_if(processes_, [&](const auto& process) { return process->id == id; });
  ensure_running(from_seconds(dice_.between(0.5, 20)));
}

void World::kill_all() {
  processes_.clear();
  ensure_running(from_seconds(dice_.between(0.5, 20)));
}

void World::die_at_step(uint64_t step, uint64_t again_after) {
  fatal_step_ = step;
  next_dies_after_ = again_after;
}

// --- faults ---------------------------------------------------------------------------------------------------------

std::vector<const Cloud::Instance*> World::members() const {
  std::vector<const Cloud::Instance*> out;
  for (const auto& [id, instance] : cloud_.all())
    if (instance.ours && cloud_.lives(instance)) out.push_back(&instance);
  return out;
}

void World::befall(const Fault& fault) {
  if (options_.tell) options_.tell("** " + to_text(fault));
  if (fault.length > 0s) windows_.open(fault.kind, now() + fault.length, fault.pick);
  strike(fault.kind, fault.pick, fault.length);
  constexpr FaultKind kHide[] = {BalancerDead, BalancerForgets, DiskFull, WriteFails, PowerCut};
  if (std::find(std::begin(kHide), std::end(kHide), fault.kind) != std::end(kHide))
    traffic_known_from_ = std::max(traffic_known_from_, now() + fault.length + 2min);
  if (fault.kind == MonitorDead) {
    wake_all();
    queue_.after(fault.length, [this] { wake_all(); });
  }
}

// Those that strike at a moment; the lasting ones are looked up by whomever they concern.
void World::strike(FaultKind kind, uint64_t pick, Duration length) {
  Process* process = processes_.empty() ? nullptr : processes_[pick % processes_.size()].get();
  const auto living = members();
  const Cloud::Instance* instance = living.empty() ? nullptr : living[pick % living.size()];
  const InstanceId id = instance ? instance->word.id : InstanceId();
  switch (kind) {
    case Kill:
    case KillInRecovery:
      if (!process) return;
      if (kind == KillInRecovery) next_dies_after_ = 1 + pick / 7 % 25;
      if (kind == Kill) marks_.hit(kind);
      kill(process->id);
      return;
    case KillAtStep:
      if (!process || process->dies_at != 0) return;
      process->dies_at = process->steps + 1 + pick / 7 % 24;
      process->cause = KillAtStep;
      return;
    case SecondController:
      if (!process) return;
      // The old one may stand still for a while and wake up when it is no longer the owner.
      if (pick / 7 % 2 == 0)
        process->paused_until =
            std::max(process->paused_until, now() + std::chrono::seconds(static_cast<int>(pick / 14 % 600)));
      start_process();
      break;
    case PowerCut:
      processes_.clear();
      store_.lose_lazy();
      court_.power_cut(store_);
      ensure_running(from_seconds(dice_.between(10, 120)));
      break;
    case Pause:
      if (!process) return;
      process->paused_until = std::max(process->paused_until, now() + length);
      break;
    case InstanceDies:
      if (!instance) return;
      cloud_.die(id);
      break;
    case InstanceStops:
      if (!instance || !cloud_.runs(*instance)) return;
      cloud_.stop(id);
      break;
    case Interruption:
      if (!instance || !cloud_.runs(*instance)) return;
      cloud_.interrupt(id);
      break;
    case AgentMute:
      if (!instance) return;
      agents_[id].mute_until = now() + length;
      break;
    case AgentLies:
      if (!instance) return;
      agents_[id].lies_until = now() + length;
      agents_[id].lie = pick;
      break;
    case AgentRestarts:
      for (const Cloud::Instance* one : living)
        if (dice_.chance(0.4)) {
          begin_agent(agents_[one->word.id], pick);
        }
      break;
    case MonitorEmpty:
      for (const auto& one : processes_)
        for (const auto& [name, records] : court_.ledger().groups()) {
          const WatchList list = one->metrics.watched(name);
          if (list.instances.empty()) continue;
          one->metrics.forget(name);
          static_cast<void>(one->metrics.watch(list));  // the fake one has a place for everybody
          for (const Watched& watched : list.instances) one->heard.erase(watched.instance);
        }
      break;
    case BalancerForgets:
      balancers_->forget();
      break;
    case WallJump:
      clock_.jump(from_seconds(dice_.between(-1, 1) * std::pow(10, dice_.between(0, 8.5))));
      break;
    default:
      return;  // a window: it marks itself when it bites
  }
  marks_.hit(kind);
}

void World::heal() {
  if (options_.tell) options_.tell("** the faults stop");
  windows_.close_all();
  cloud_.heal();
  for (auto& [id, agent] : agents_) agent.mute_until = agent.lies_until = TimePoint{};
  next_dies_after_ = 0;
  for (const auto& process : processes_) {
    process->dies_at = 0;
    process->paused_until = now();
    schedule(*process, now());
  }
  people_rest_ = true;
  users_.restore();
  court_.scene().healed = true;
  ensure_running(1s);
}

// --- agents and monitor ---------------------------------------------------------------------------------------------

double World::load_of(const GroupName& group, const Group& record) {
  if (options_.cpu) return *options_.cpu * std::max(1, serving(court_.ledger().of(group)));
  if (options_.demand) return options_.demand(now() - begun_);
  Load& load = loads_[group];
  if (load.until <= now() && !(court_.scene().healed && load.until != TimePoint{})) {
    load.demand = random_.between(0.1, 0.9) * 50 * std::max(1, record.max_size);
    load.until = now() + from_seconds(random_.between(300, 2400));
  }
  return load.demand;
}

// Once in each metrics period every agent of the group that can speak does.
void World::report(const GroupName& group) {
  const GroupRecords& records = court_.ledger().of(group);
  const Duration period = records.group ? records.group->metrics_period : Duration(30s);
  queue_.after(period, [this, group] { report(group); });
  if (!records.group) return;
  const double demand = load_of(group, *records.group);
  const int sharing = std::max(1, serving(records));
  const TimePoint now = queue_.now();
  const auto open = [&](FaultKind kind) { return windows_.open(kind, now); };
  for (const auto& [id, instance] : cloud_.all()) {
    if (!instance.ours || instance.word.owner.group != group) continue;
    if (!cloud_.runs(instance) || instance.agent_from > now) continue;
    Agent& agent = agents_[id];
    // One that was stopped starts its agent anew; one that was hibernated goes on.
    if (agent.stops != instance.stops && !instance.hibernated) begin_agent(agent, 0);
    agent.stops = instance.stops;
    ++agent.sequence;
    double cpu = std::clamp(demand / sharing + random_.between(-2, 2), 0.0, 100.0);
    if (agent.lies_until > now) {
      marks_.hit(AgentLies);
      const double lies[] = {0, 100, dice_.between(0, 100), 100 - cpu};
      cpu = lies[agent.lie % 4];
    }
    bool silent = agent.mute_until > now;
    if (silent) marks_.hit(AgentMute);
    const auto& zones = plan_.cloud.zones;
    if (open(ZoneMute) && instance.word.zone == zones[windows_.pick(ZoneMute) % zones.size()]) {
      marks_.hit(ZoneMute);
      silent = true;
    }
    if (open(AllMute)) {
      marks_.hit(AllMute);
      silent = true;
    }
    if (open(ReportsLost) && dice_.chance(0.5)) {
      marks_.hit(ReportsLost);
      silent = true;
    }
    if (silent) continue;
    Reading reading;
    reading.instance = id;
    reading.incarnation = agent.incarnation;
    reading.sequence = agent.sequence;
    reading.fixed[static_cast<size_t>(MetricKind::Cpu)] = Known<double>(cpu, Duration{0});
    reading.interrupted = instance.notice_at <= now;
    if (open(ReportsLate) && dice_.chance(0.5)) {
      marks_.hit(ReportsLate);
      queue_.after(from_seconds(dice_.between(1, 300)),
                   [this, group, reading, stops = instance.stops] { deliver(group, reading, stops); });
      continue;
    }
    deliver(group, reading, instance.stops);
    if (open(ReportsTwice) && dice_.chance(0.5)) {
      marks_.hit(ReportsTwice);
      queue_.after(from_seconds(dice_.between(0, 60)),
                   [this, group, reading, stops = instance.stops] { deliver(group, reading, stops); });
    }
  }
  if (!records.group->policies.empty()) wake_all();
}

// A start is numbered by the agent's own clock, which is days ahead or behind and is set between two starts.
void World::begin_agent(Agent& agent, uint64_t pick) {
  constexpr Duration kAgentClocks[] = {0s, 48h, -48h, 400 * 24h, -1s};
  const Duration ahead = kAgentClocks[(pick + agent.starts++) % std::size(kAgentClocks)];
  agent.incarnation = static_cast<uint64_t>(to_us(now() + ahead));
  agent.sequence = 0;
}

// As the monitor does: our own time of arrival, and nothing that is older than what was heard before (I-29). What an
// earlier start said ends with its stream; so does what one said before it was hibernated. `stops`: of its instance,
// when it spoke.
void World::deliver(const GroupName& group, const Reading& reading, int stops) {
  if (!monitor_runs()) {
    marks_.hit(MonitorDead);
    return;
  }
  if (reading.incarnation != agents_[reading.instance].incarnation) return;
  const Cloud::Instance* truth = cloud_.find(reading.instance);
  if (truth && truth->hibernated && truth->stops != stops) return;
  Reading heard = reading;
  heard.received_at = now();
  for (const auto& process : processes_) {
    const auto known = process->heard.find(reading.instance);
    if (known != process->heard.end() && known->second.incarnation == reading.incarnation &&
        known->second.sequence >= reading.sequence)
      continue;
    process->metrics.say(group, heard);
    const auto& words = process->metrics.heard(group);
    const auto at = std::lower_bound(words.begin(), words.end(), reading.instance,
                                     [](const Heard& h, const InstanceId& id) { return h.reading.instance < id; });
    if (at != words.end() && at->reading.instance == reading.instance && at->reading.received_at == now())
      process->heard[reading.instance] = {reading.incarnation, reading.sequence}, heard_[reading.instance] = now();
  }
}

// --- load balancers -------------------------------------------------------------------------------------------------

// The keeper is a thread of control's process.
void World::keep_traffic() {
  queue_.after(kKeeps, [this] { keep_traffic(); });
  const auto& groups = court_.ledger().groups();
  const bool attached = std::any_of(groups.begin(), groups.end(), [](const auto& entry) {
    return entry.second.group && !entry.second.group->traffic_sources.empty();
  });
  if (processes_.empty()) traffic_known_from_ = std::max(traffic_known_from_, now() + kKeeps + 1s);
  if (processes_.empty() || (!attached && store_.count(keys::kTraffic).value() == 0)) return;
  store_.become(kKeeper, nullptr);
  keeper_.tend(now());
  store_.become(kPeople, nullptr);
  store_.take_delay();  // nobody waits for it
}

// --- people ---------------------------------------------------------------------------------------------------------

void World::people_call() {
  const double wait = -std::log(1 - random_.unit()) * 3600 / plan_.calls_per_hour;
  queue_.after(from_seconds(wait), [this] {
    if (people_rest_) return;
    users_.call();
    people_call();
  });
}

// A deleted group is made again after a while.
void World::people_create() {
  for (const Group& group : plan_.fleet) {
    if (court_.ledger().of(group.name).group || !random_.chance(0.1)) continue;
    if (random_.chance(0.5)) {
      users_.create_again(group.name);
      continue;
    }
    Group anew = group;
    anew.created_at = now();
    anew.spec.created_at = now();
    users_.create(anew);
  }
}

void World::minute() {
  queue_.after(1min, [this] { minute(); });
  if (!options_.calm && !people_rest_) people_create();
  for (const auto& process : processes_)
    for (const auto& [name, records] : court_.ledger().groups())
      if (const Reconciler* group = process->controller->group(name)) {
        const GroupMemory& memory = group->seen().memory;
        if (memory.breaker_open)
          marks_.hit("breaker opened");
        else if (memory.breaker_since != TimePoint{})
          marks_.hit("breaker closed");
      }
  for (const auto& [name, records] : court_.ledger().groups()) {
    if (!records.group) continue;
    std::vector<int>& history = history_[name];
    if (history.empty() || history.back() != records.group->desired_capacity)
      history.push_back(records.group->desired_capacity);
  }
  // Oftener than the shortest heartbeat: a hook that expires with ABANDON makes launches that come to nothing.
  if (people_rest_)
    for (int i = 0; i < 6; ++i) queue_.after(i * 10s, [this] { answer_hooks(); });
  court_.minute();
}

// Without faults there is somebody behind each hook.
void World::answer_hooks() {
  struct Waiting {
    GroupName group;
    InstanceId instance;
    HookWait wait;
  };
  std::vector<Waiting> all;
  for (const auto& [name, records] : court_.ledger().groups())
    for (const auto& [id, instance] : records.instances)
      for (const HookWait& wait : instance.hooks)
        if (!wait.continued && wait.deadline > now() && waits_for_hooks(instance.state))
          all.push_back({name, id, wait});
  for (const Waiting& one : all) users_.answer_hook(one.group, one.instance, one.wait, true);
}

// --- running --------------------------------------------------------------------------------------------------------

bool World::settled() const {
  const auto& groups = court_.ledger().groups();
  return std::all_of(groups.begin(), groups.end(), [&](const auto& entry) {
    return why_unsettled(const_cast<World*>(this)->court_.scene(), entry.first).empty();
  });
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  for (const TimePoint end = now() + limit; now() < end;) {
    const TimePoint pause = std::min(end, now() + 1s);
    while (!court_.accusation() && queue_.step(pause)) {
    }
    if (court_.accusation()) return false;
    if (done()) return true;
  }
  return done();
}

void World::tell_why() const {
  for (const auto& process : processes_)
    for (const auto& [name, records] : court_.ledger().groups())
      if (const auto told = process->live.get(name))
        for (const state::Reason& reason : told->reasons())
          options_.tell(
              fmt::format("controller {} of group {}: {}", process->id, name, sentence(decode(reason).value())));
}

Outcome World::run() {
  const TimePoint end = begun_ + options_.length;
  while (!court_.accusation() && queue_.step(end)) {
  }
  if (options_.heals && !court_.accusation()) {
    // Load moves even without faults: the end is a moment at which everything rests, if there is one.
    run_until([&] { return settled(); }, kSettleLimit);
    if (options_.tell && !settled()) tell_why();
    if (!court_.accusation()) court_.end();
  }
  return outcome();
}

Outcome World::outcome() {
  Outcome out;
  out.accusation = court_.accusation();
  out.faults = plan_.faults;
  out.marks = marks_;
  out.trace = court_.trace();
  out.events = queue_.done();
  out.turns = turns_;
  out.decisions = decisions_;
  out.commits = store_.inner().commits();
  out.launched = static_cast<size_t>(
      std::count_if(cloud_.all().begin(), cloud_.all().end(), [](const auto& entry) { return entry.second.ours; }));
  out.lived = now() - begun_;
  return out;
}

}  // namespace escala::sim
