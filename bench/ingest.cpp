// What it costs to hear N agents once a second, each over a connection of its own: a bare epoll server that does
// nothing but receive length-prefixed messages, and beside it, in the same run, our gRPC server decoding and checking
// Reports. The load comes from child processes; CPU and memory are those of the serving process alone.
//
//   bench_ingest [--agents 10000] [--seconds 20]
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/swarm.h"
#include "wire/agent.pb.h"
#include "wire/event_loop.h"
#include "wire/grpc.h"
#include "wire/metrics_check.h"

namespace {

using escala::Duration;
using namespace std::chrono_literals;

constexpr size_t kMessageBytes = 48;  // about what a Report with one sample has
constexpr Duration kPeriod = 1s;

struct Outcome {
  double cpu_seconds = 0;
  double wall_seconds = 0;
  uint64_t messages = 0;
  size_t connections = 0;
  double bytes_per_connection = 0;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double rss_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "re");
  long pages = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  if (file != nullptr) std::fclose(file);
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

int listen_on_loopback(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(fd, SOMAXCONN);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return fd;
}

// A child that runs `load`, ended by end_child.
pid_t start_child(const std::function<void()>& load) {
  const pid_t pid = fork();
  if (pid == 0) {
    load();
    _exit(0);
  }
  return pid;
}

void end_child(pid_t pid) {
  kill(pid, SIGTERM);
  waitpid(pid, nullptr, 0);
}

// The bare server's agents: blocking sockets, written to in turn, spread over the period.
void bare_load(uint16_t port, size_t agents) {
  signal(SIGTERM, SIG_DFL);
  std::vector<int> fds;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  for (size_t i = 0; i < agents; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(1);
    fds.push_back(fd);
  }
  std::array<char, 4 + kMessageBytes> message{};
  message[3] = kMessageBytes;
  const auto start = std::chrono::steady_clock::now();
  // Signed throughout: a moment that has passed must be a negative wait, not a very long one.
  for (int64_t beat = 0;; ++beat) {
    for (size_t i = 0; i < agents; ++i) {
      const auto due = start + kPeriod * beat + kPeriod * static_cast<int64_t>(i) / static_cast<int64_t>(agents);
      const auto now = std::chrono::steady_clock::now();
      // Sleeps of under a millisecond would cost more than they order.
      if (due - now > 1ms) usleep(static_cast<useconds_t>(std::chrono::duration_cast<Duration>(due - now).count()));
      if (write(fds[i], message.data(), message.size()) < 0) _exit(1);
    }
  }
}

// Calls poll until `agents` are connected and have settled, then measures for `span`.
Outcome measure(size_t agents, Duration span, const std::function<void(Duration)>& poll,
                const std::function<size_t()>& connections, const std::function<uint64_t()>& messages,
                double rss_before) {
  const auto clock = [] { return std::chrono::steady_clock::now(); };
  const auto patience = clock() + 60s;
  while (connections() < agents && clock() < patience) poll(100ms);
  const auto settled = clock() + 2 * kPeriod + 1s;
  while (clock() < settled) poll(100ms);
  Outcome out;
  out.connections = connections();
  const double cpu = cpu_seconds();
  const uint64_t before = messages();
  const auto start = clock();
  while (clock() - start < span) poll(100ms);
  out.cpu_seconds = cpu_seconds() - cpu;
  out.wall_seconds = std::chrono::duration<double>(clock() - start).count();
  out.messages = messages() - before;
  out.bytes_per_connection = (rss_bytes() - rss_before) / static_cast<double>(std::max<size_t>(out.connections, 1));
  return out;
}

Outcome bare_epoll(size_t agents, Duration span) {
  uint16_t port = 0;
  const int listener = listen_on_loopback(port);
  const pid_t load = start_child([=] { bare_load(port, agents); });
  const double rss_before = rss_bytes();
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::vector<int> clients;
  uint64_t messages = 0;
  std::array<char, 32 << 10> buffer;
  const auto poll = [&](Duration wait) {
    std::array<epoll_event, 512> events;
    const int got = epoll_wait(epoll, events.data(), events.size(), static_cast<int>(wait / 1ms));
    for (int i = 0; i < got; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener) {
        for (int client; (client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
          clients.push_back(client);
          watch(client);
        }
        continue;
      }
      // Whole messages only, as this load sends them: the least a server can do.
      const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
      if (n > 0) messages += static_cast<uint64_t>(n) / (4 + kMessageBytes);
    }
  };
  const Outcome out = measure(
      agents, span, poll, [&] { return clients.size(); }, [&] { return messages; }, rss_before);
  end_child(load);
  for (const int fd : clients) close(fd);
  close(epoll);
  close(listener);
  return out;
}

Outcome grpc_server(size_t agents, Duration span) {
  escala::wire::EventLoop loop;
  auto made = escala::wire::Server::listen(loop, {.listen = "127.0.0.1:0", .tls = {}, .limits = {}});
  if (!made.ok()) {
    std::fprintf(stderr, "bench_ingest: %s\n", made.error().message.c_str());
    std::exit(1);
  }
  const auto server = std::move(made).value();
  escala::v1::Report report;
  uint64_t refused = 0;
  server->add("/escala.v1.Monitor/Stream", {.on_start = {},
                                            .on_message =
                                                [&](escala::wire::ServerCall&, std::string_view bytes) {
                                                  if (!escala::wire::decode_report(bytes, report).ok()) ++refused;
                                                },
                                            .on_half_close = [](escala::wire::ServerCall& call) { call.finish({}); },
                                            .on_end = {}});
  const double rss_before = rss_bytes();
  const pid_t load = start_child([&] {
    std::string manager = "127.0.0.1:" + std::to_string(server->port());
    std::string count = std::to_string(agents);
    std::array<std::string, 6> words{"swarm", count, "--manager", manager, "--group", "bench"};
    std::array<char*, 7> argv{};
    for (size_t i = 0; i < words.size(); ++i) argv[i] = words[i].data();
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    _exit(escala::run_swarm(static_cast<int>(words.size()), argv.data()));
  });
  const Outcome out = measure(
      agents, span, [&](Duration wait) { loop.poll(wait); }, [&] { return server->counters().connections; },
      [&] { return server->counters().messages; }, rss_before);
  end_child(load);
  if (refused > 0) std::printf("refused: %llu\n", static_cast<unsigned long long>(refused));
  return out;
}

void print(const char* name, const Outcome& outcome) {
  std::printf("%-14s %8zu %9llu %8.1f %10.2f %12.1f\n", name, outcome.connections,
              static_cast<unsigned long long>(outcome.messages), 100 * outcome.cpu_seconds / outcome.wall_seconds,
              1e6 * outcome.cpu_seconds / static_cast<double>(std::max<uint64_t>(outcome.messages, 1)),
              outcome.bytes_per_connection / 1024);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  size_t agents = 10'000;
  int seconds = 20;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i], value = argv[i + 1];
    const auto read = [&](auto& into) { std::from_chars(value.data(), value.data() + value.size(), into); };
    if (name == "--agents") read(agents);
    if (name == "--seconds") read(seconds);
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < agents + 100) {
    std::fprintf(stderr, "bench_ingest: %zu agents need a limit of %zu open files; the hard limit is %zu\n", agents,
                 agents + 100, static_cast<size_t>(files.rlim_max));
    return 1;
  }
  std::printf("%-14s %8s %9s %8s %10s %12s\n", "server", "agents", "messages", "CPU %", "us/message", "KiB/agent");
  print("bare epoll", bare_epoll(agents, std::chrono::seconds(seconds)));
  print("wire::Server", grpc_server(agents, std::chrono::seconds(seconds)));
  return 0;
}
