#include "traffic/haproxy.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>

#include "base/descriptor.h"

namespace escala::traffic {
namespace {

// Of the names of a group's servers; others in the backend, another group's too, are left alone. FNV-1a: the same on
// every machine and in every version.
std::string prefix_of(const GroupName& group) {
  uint32_t hash = 2166136261U;
  for (const char c : group.str()) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("escala-{:08x}-", hash);
}

bool good_name(std::string_view text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
                              std::string_view::npos;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == '\n' || text.front() == ' ')) text.remove_prefix(1);
  return std::string(text);
}

std::vector<std::string> split(std::string_view line, char at) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= line.size();) {
    const size_t end = std::min(line.find(at, start), line.size());
    parts.emplace_back(line.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// A check that has not been answered yet proves nothing, whatever the status says meanwhile.
ServerState state_of(const std::string& status, std::string check) {
  if (status.starts_with("MAINT")) return ServerState::Maintenance;
  if (status.starts_with("DRAIN")) return ServerState::Draining;
  if (status.starts_with("DOWN") || status.starts_with("NOLB")) return ServerState::Down;
  if (status == "no check") return ServerState::Up;
  if (check.starts_with("* ")) check = check.substr(2);
  const bool passed = check == "L4OK" || check == "L6OK" || check == "L7OK" || check == "L7OKC" || check == "PROCOK";
  return passed ? ServerState::Up : ServerState::Unproven;
}

}  // namespace

Result<std::string> Haproxy::ask(const std::string& command) const {
  const auto unavailable = [&](const char* what) {
    return Error{ErrorKind::Unavailable, fmt::format("HAProxy at {}: {}: {}", socket_, what, std::strerror(errno))};
  };
  sockaddr_un address{};
  if (socket_.size() >= sizeof(address.sun_path))
    return Error{ErrorKind::Invalid, fmt::format("HAProxy's socket path is too long: {}", socket_)};
  address.sun_family = AF_UNIX;
  std::copy(socket_.begin(), socket_.end(), address.sun_path);
  const Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return unavailable("socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return unavailable("connect");
  const std::string line = command + "\n";
  if (send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
    return unavailable("send");
  std::string answer;
  const auto deadline = std::chrono::steady_clock::now() + kSocketDeadline;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{fd.get(), POLLIN, 0};
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
      return Error{ErrorKind::Unavailable, fmt::format("HAProxy at {} does not answer", socket_)};
    char buffer[16384];
    const ssize_t got = recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0) return unavailable("receive");
    if (got == 0) return answer;
    answer.append(buffer, static_cast<size_t>(got));
    if (answer.size() > kMaxAnswerBytes)
      return Error{ErrorKind::Unavailable, fmt::format("HAProxy at {} answers without end", socket_)};
  }
}

Status Haproxy::tell(const std::string& command, std::string_view success) const {
  ESCALA_ASSIGN(const std::string answer, ask(command));
  const std::string said = trimmed(answer);
  if (said.empty() || (!success.empty() && said.find(success) != std::string::npos)) return {};
  return Error{ErrorKind::Unavailable, fmt::format("HAProxy: '{}': {}", command, said.substr(0, 200))};
}

Result<std::vector<Server>> parse_stat(const std::string& answer, const std::string& backend) {
  std::vector<Server> servers;
  std::map<std::string, size_t> columns;
  bool found = false;
  for (const std::string& line : split(answer, '\n')) {
    if (line.starts_with("# ")) {
      const auto names = split(std::string_view(line).substr(2), ',');
      for (size_t i = 0; i < names.size(); ++i) columns[names[i]] = i;
      continue;
    }
    const auto cells = split(line, ',');
    const auto cell = [&](const char* name) {
      const auto at = columns.find(name);
      return at == columns.end() || at->second >= cells.size() ? std::string() : cells[at->second];
    };
    if (cell("pxname") != backend) continue;
    const std::string name = cell("svname");
    if (name == "BACKEND") found = true;
    if (name == "BACKEND" || name == "FRONTEND") continue;
    Server server;
    server.name = name;
    server.address = cell("addr");
    server.state = state_of(cell("status"), cell("check_status"));
    const std::string sessions = cell("scur");
    std::from_chars(sessions.data(), sessions.data() + sessions.size(), server.sessions);
    servers.push_back(std::move(server));
  }
  if (!found) return Error{ErrorKind::NotFound, fmt::format("HAProxy has no backend '{}'", backend)};
  return servers;
}

std::string backend_of(const TrafficSource& source) {
  const std::string& text = source.identifier;
  // arn:aws:elasticloadbalancing:region:account:targetgroup/NAME/id
  constexpr std::string_view kMark = ":targetgroup/";
  const size_t at = text.find(kMark);
  if (!text.starts_with("arn:") || at == std::string::npos) return text;
  const size_t start = at + kMark.size();
  return text.substr(start, text.find('/', start) - start);
}

Result<std::string> Haproxy::place_of(const TrafficSource& source) const {
  std::string backend = backend_of(source);
  if (!good_name(backend)) return Error{ErrorKind::Invalid, "no name of a backend: " + backend};
  return backend;
}

std::string Haproxy::name_of(const GroupName& group, const InstanceId& instance) const {
  return prefix_of(group) + instance.str();
}

bool Haproxy::registered_for(const GroupName& group, const std::string& name) const {
  return name.starts_with(prefix_of(group));
}

Result<std::vector<Server>> Haproxy::servers(const std::string& backend) {
  ESCALA_ASSIGN(const std::string answer, ask("show stat"));
  return parse_stat(answer, backend);
}

std::vector<Status> Haproxy::add(const std::string& backend, std::span<const NewServer> servers) {
  const auto add_one = [&](const NewServer& one) -> Status {
    if (!good_name(one.name)) return Error{ErrorKind::Invalid, fmt::format("'{}' can be no server's name", one.name)};
    const std::string server = backend + "/" + one.name;
    ESCALA_TRY(tell(fmt::format("add server {} {} check inter 1s fall 3 rise 1", server, one.address),
                    "New server registered"));
    ESCALA_TRY(tell("enable health " + server, ""));
    return tell("enable server " + server, "");
  };
  std::vector<Status> out;
  for (const NewServer& one : servers) out.push_back(add_one(one));
  return out;
}

Status Haproxy::drain(const std::string& backend, const std::string& name) {
  return tell(fmt::format("set server {}/{} state drain", backend, name), "");
}

Status Haproxy::remove(const std::string& backend, const std::string& name) {
  const std::string server = backend + "/" + name;
  ESCALA_TRY(tell(fmt::format("set server {} state maint", server), ""));
  return tell("del server " + server, "Server deleted");
}

}  // namespace escala::traffic
