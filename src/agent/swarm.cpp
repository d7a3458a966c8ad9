#include "agent/swarm.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/time.h"
#include "wire/agent.pb.h"
#include "wire/grpc.h"

namespace escala {
namespace {

constexpr uint64_t kMaxAgents = 200'000;
constexpr uint64_t kSpareFiles = 64;           // beside one for each connection
constexpr uint64_t kAgentsPerSource = 20'000;  // a source address has some 28,000 ports to dial from
constexpr uint64_t kSpreadPerSource = 1'000;
constexpr uint64_t kConnectsPerSecond = 2'000;  // at the start; a stampede is another experiment
constexpr Duration kFirstBackOff = 500ms;
constexpr Duration kLongestBackOff = 30s;
constexpr Duration kReportEvery = 10s;
constexpr Duration kShortestPeriod = 100ms;
constexpr Duration kLongestPeriod = 10min;

constexpr char kUsage[] =
    "usage: escala-agent swarm N --manager ADDRESS:PORT --group GROUP [OPTIONS]\n"
    "\n"
    "N simulated agents in one process, each with a connection of its own.\n"
    "\n"
    "  --manager ADDRESS:PORT  the monitor to report to\n"
    "  --group GROUP           the group they say they belong to\n"
    "  --period DURATION       between reports of one agent (1s)\n"
    "  --ids PREFIX            instances are called PREFIX00000, PREFIX00001, ... (i-swarm-)\n"
    "  --ids @FILE             or as the lines of FILE say\n"
    "  --cpu PERCENT           the CPU they report (50)\n"
    "  --cpu MIN,MAX,DURATION  or a sine between two values, with that period\n"
    "  --spread                dial from many 127.x addresses; done anyway above 20,000 agents\n"
    "  --duration DURATION     end after so long; else at SIGINT or SIGTERM\n";

struct Settings {
  uint64_t agents = 0;
  std::string manager, group;
  std::vector<std::string> ids;
  Duration period = 1s;
  double cpu_low = 50, cpu_high = 50;
  Duration cpu_period = 60s;
  bool spread = false;
  std::optional<Duration> duration;
};

Error usage_error(std::string text) {
  return {ErrorKind::Invalid, std::move(text)};
}

Result<double> parse_percent(std::string_view text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 100))
    return usage_error("--cpu '" + std::string(text) + "': a number from 0 to 100 is wanted");
  return value;
}

Status parse_cpu(std::string_view text, Settings& into) {
  const size_t first = text.find(',');
  if (first == std::string_view::npos) {
    ESCALA_ASSIGN(into.cpu_low, parse_percent(text));
    into.cpu_high = into.cpu_low;
    return {};
  }
  const size_t second = text.find(',', first + 1);
  if (second == std::string_view::npos) return usage_error("--cpu: PERCENT or MIN,MAX,DURATION is wanted");
  ESCALA_ASSIGN(into.cpu_low, parse_percent(text.substr(0, first)));
  ESCALA_ASSIGN(into.cpu_high, parse_percent(text.substr(first + 1, second - first - 1)));
  ESCALA_ASSIGN(into.cpu_period, parse_duration(text.substr(second + 1)));
  if (into.cpu_period <= Duration::zero()) return usage_error("--cpu: the sine's period must be above 0");
  return {};
}

Result<std::vector<std::string>> make_ids(std::string_view from, uint64_t count) {
  std::vector<std::string> ids;
  if (from.starts_with('@')) {
    const std::string path(from.substr(1));
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
    if (!file) return usage_error("--ids: '" + path + "' cannot be read");
    std::array<char, 256> buffer;
    while (ids.size() < count && std::fgets(buffer.data(), buffer.size(), file.get()) != nullptr) {
      std::string_view line = buffer.data();
      while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) ids.emplace_back(line);
    }
    if (ids.size() < count)
      return usage_error("--ids: '" + path + "' names " + std::to_string(ids.size()) + " instances, " +
                         std::to_string(count) + " are wanted");
    return ids;
  }
  for (uint64_t i = 0; i < count; ++i) ids.push_back(fmt::format("{}{:05}", from, i));
  return ids;
}

Result<Settings> parse(int argc, char** argv) {
  Settings out;
  std::string ids = "i-swarm-";
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), out.agents);
      if (fault != std::errc() || end != word.data() + word.size() || word.front() == '0' || out.agents > kMaxAgents)
        return usage_error("'" + std::string(word) + "': a number of agents from 1 to 200000 is wanted");
      continue;
    }
    if (word == "--spread") {
      out.spread = true;
      continue;
    }
    static constexpr std::string_view kWithValue[] = {"--manager", "--group", "--period",
                                                      "--ids",     "--cpu",   "--duration"};
    if (std::find(std::begin(kWithValue), std::end(kWithValue), word) == std::end(kWithValue))
      return usage_error("unknown option '" + std::string(word) + "'");
    if (i + 1 == argc) return usage_error(std::string(word) + " needs a value");
    const std::string_view value = argv[++i];
    if (word == "--manager") {
      out.manager = value;
    } else if (word == "--group") {
      out.group = value;
    } else if (word == "--ids") {
      ids = value;
    } else if (word == "--cpu") {
      ESCALA_TRY(parse_cpu(value, out));
    } else if (word == "--period") {
      ESCALA_ASSIGN(out.period, parse_duration(value));
    } else {
      ESCALA_ASSIGN(out.duration, parse_duration(value));
    }
  }
  if (out.agents == 0) return usage_error("the number of agents is missing");
  if (out.manager.empty()) return usage_error("--manager is missing");
  if (out.group.empty()) return usage_error("--group is missing");
  if (out.period < kShortestPeriod || out.period > kLongestPeriod)
    return usage_error("--period: from 100ms to 10m is wanted");
  ESCALA_ASSIGN(out.ids, make_ids(ids, out.agents));
  return out;
}

struct Counters {
  uint64_t sent = 0, failed = 0, reconnects = 0, late = 0, connected = 0;
};

// One simulated agent. Reports on a fixed beat: a late report does not move the next one.
class SwarmAgent {
 public:
  SwarmAgent(wire::EventLoop& loop, const Settings& settings, size_t index, std::string source, Random& random,
             Counters& counters)
      : loop_(loop),
        settings_(settings),
        index_(index),
        source_(std::move(source)),
        random_(random),
        counters_(counters),
        incarnation_(static_cast<uint64_t>(loop.now().count())),
        period_(settings.period) {}

  void begin(Duration first) {
    loop_.after(first, [this] { dial(); });
    next_beat_ = loop_.now() + first;
    loop_.after(first, [this] { beat(); });
  }

 private:
  void dial() {
    wire::ClientOptions options;
    options.target = settings_.manager;
    options.source = source_;
    client_ = wire::Client::make(loop_, std::move(options));
    client_->on_down([this](const Error& error) { lost(error.message); });
    stream_ =
        client_->open("/escala.v1.Monitor/Stream", {[this](std::string_view message) { instructed(message); },
                                                    [this](const wire::GrpcStatus& status) { lost(status.message); }});
    dialled_at_ = loop_.now();
    introduced_ = false;
    told_delay_ = Duration::zero();
  }

  void beat() {
    const Duration now = loop_.now();
    if (now - next_beat_ > period_ / 2) ++counters_.late;
    report(now);
    next_beat_ += period_;
    // What was slept through is not made up for: a burst of old samples helps nobody.
    if (next_beat_ < now) next_beat_ = now + period_;
    loop_.after(next_beat_ - now, [this] { beat(); });
  }

  void report(Duration now) {
    if (!client_ || !client_->connected()) {
      // The first beat comes while the connection is still being made; it goes out with the handshake.
      if (!client_ || introduced_ || now - dialled_at_ > period_) {
        ++counters_.failed;
        return;
      }
    }
    message_.Clear();
    if (!introduced_) {
      message_.set_instance(settings_.ids[index_]);
      message_.set_group(settings_.group);
      message_.set_incarnation(incarnation_);
    }
    v1::Sample& sample = *message_.add_samples();
    sample.set_sequence(++sequence_);
    sample.set_taken_at_us(now.count());
    sample.set_cpu_percent(cpu(now));
    sample.set_memory_percent(40);
    bytes_.clear();
    message_.SerializeToString(&bytes_);
    if (client_->send(stream_, bytes_)) {
      ++counters_.sent;
      if (!introduced_) ++counters_.connected;
      introduced_ = true;
    } else {
      ++counters_.failed;
    }
  }

  double cpu(Duration now) const {
    const double turn = seconds(now) / seconds(settings_.cpu_period);
    const double wave = (1 + std::sin(2 * std::numbers::pi * turn)) / 2;
    return settings_.cpu_low + (settings_.cpu_high - settings_.cpu_low) * wave;
  }

  void instructed(std::string_view bytes) {
    v1::Instruction told;
    if (!told.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    attempts_ = 0;
    if (told.period_ms() != 0)
      period_ = std::clamp<Duration>(std::chrono::milliseconds(told.period_ms()), kShortestPeriod, kLongestPeriod);
    if (told.reconnect_after_ms() != 0) {
      told_delay_ = std::min<Duration>(std::chrono::milliseconds(told.reconnect_after_ms()), kLongestPeriod);
      lost("told to come back later");
    }
  }

  void lost(std::string_view why) {
    if (!client_) return;
    log_debug("swarm", "{}: {}", settings_.ids[index_], why);
    if (introduced_) --counters_.connected;
    introduced_ = false;
    client_.reset();
    // Whoever stood for a while starts with short waits again.
    if (loop_.now() - dialled_at_ > kLongestBackOff) attempts_ = 0;
    const Duration ceiling = std::min(kLongestBackOff, kFirstBackOff * (int64_t{1} << std::min(attempts_, 10)));
    ++attempts_;
    const Duration delay = told_delay_ > Duration::zero()
                               ? from_seconds(seconds(told_delay_) * random_.between(0.5, 1.5))
                               : from_seconds(seconds(ceiling) * random_.unit());
    loop_.after(delay, [this] {
      ++counters_.reconnects;
      dial();
    });
  }

  wire::EventLoop& loop_;
  const Settings& settings_;
  const size_t index_;
  const std::string source_;
  Random& random_;
  Counters& counters_;
  const uint64_t incarnation_;
  Duration period_;
  Duration next_beat_{0}, dialled_at_{0}, told_delay_{0};
  std::unique_ptr<wire::Client> client_;
  wire::Client::StreamId stream_ = 0;
  uint64_t sequence_ = 0;
  int attempts_ = 0;
  bool introduced_ = false;
  static inline v1::Report message_;  // reused: one thread runs them all
  static inline std::string bytes_;
};

Status raise_file_limit(uint64_t wanted) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur >= wanted) return {};
  return Error{ErrorKind::Exhausted, fmt::format("this process may open {} files, {} are needed: raise the hard limit "
                                                 "(ulimit -Hn), or start several smaller swarms",
                                                 files.rlim_cur, wanted)};
}

// "" while one address has ports enough: the kernel then chooses as it does for real agents.
std::string source_of(const Settings& settings, size_t index) {
  const uint64_t each = settings.spread ? kSpreadPerSource : kAgentsPerSource;
  if (!settings.spread && settings.agents <= kAgentsPerSource) return {};
  const uint64_t n = index / each;
  return fmt::format("127.77.{}.{}", n / 200, 1 + n % 200);
}

wire::EventLoop* stopped_by_signal = nullptr;

}  // namespace

int run_swarm(int argc, char** argv) {
  if (argc > 1 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const auto parsed = parse(argc, argv);
  if (!parsed.ok()) {
    std::fprintf(stderr, "escala-agent swarm: %s\n\n%s", parsed.error().message.c_str(), kUsage);
    return 2;
  }
  const Settings& settings = *parsed;
  if (const Status status = raise_file_limit(settings.agents + kSpareFiles); !status.ok()) {
    std::fprintf(stderr, "escala-agent swarm: %s\n", status.error().message.c_str());
    return 1;
  }

  // The loop outlives the agents, whose connections it watches; signals stop it, and nothing needs to be said to the
  // server: it sees the connections close.
  wire::EventLoop loop;
  stopped_by_signal = &loop;
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { stopped_by_signal->stop(); });
  std::signal(SIGPIPE, SIG_IGN);
  Random random(system_seed());
  Counters counters;
  std::vector<std::unique_ptr<SwarmAgent>> agents;
  const double spread = std::max(seconds(settings.period),
                                 static_cast<double>(settings.agents) / static_cast<double>(kConnectsPerSecond));
  for (size_t i = 0; i < settings.agents; ++i) {
    agents.push_back(std::make_unique<SwarmAgent>(loop, settings, i, source_of(settings, i), random, counters));
    agents.back()->begin(from_seconds(spread * static_cast<double>(i) / static_cast<double>(settings.agents)));
  }
  const auto print = [&](uint64_t before) {
    std::printf("connected %llu of %zu, sent %llu (%.0f/s), failed %llu, late %llu, reconnects %llu\n",
                static_cast<unsigned long long>(counters.connected), agents.size(),
                static_cast<unsigned long long>(counters.sent),
                static_cast<double>(counters.sent - before) / seconds(kReportEvery),
                static_cast<unsigned long long>(counters.failed), static_cast<unsigned long long>(counters.late),
                static_cast<unsigned long long>(counters.reconnects));
    std::fflush(stdout);
  };
  uint64_t sent_before = 0;
  std::function<void()> tell = [&] {
    print(sent_before);
    sent_before = counters.sent;
    loop.after(kReportEvery, tell);
  };
  loop.after(kReportEvery, tell);
  if (settings.duration) loop.after(*settings.duration, [&] { loop.stop(); });
  loop.run();
  print(sent_before);
  agents.clear();
  stopped_by_signal = nullptr;
  return 0;
}

}  // namespace escala
