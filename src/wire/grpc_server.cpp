// Accepts, counts and ends connections; what each of them says is server_connection.cpp's matter.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "wire/address.h"
#include "wire/grpc.h"
#include "wire/health.h"
#include "wire/server_connection.h"
#include "wire/tls.h"

namespace escala::wire {
namespace {

constexpr int kAcceptsPerRound = 256;    // then the others get their turn
constexpr Duration kDeafPause = 100ms;   // before listening again when even the reserve fd is gone
constexpr Duration kShortSweep = 250ms;  // handshakes and last words; runs only while there are any
constexpr Duration kLongestIdleSweep = 10s;
constexpr int kIdleSweepsPerTimeout = 16;

Error os_error(std::string_view what) {
  const ErrorKind kind = errno == EADDRINUSE ? ErrorKind::Unavailable : ErrorKind::Invalid;
  return {kind, std::string(what) + ": " + std::strerror(errno)};
}

class ServerImpl final : public Server, public ConnectionHost {
 public:
  ServerImpl(EventLoop& loop, ServerOptions options, std::shared_ptr<TlsContext> tls, int listener, uint16_t port)
      : loop_(loop),
        options_(std::move(options)),
        tls_(std::move(tls)),
        listener_(listener),
        port_(port),
        reserve_(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    add_health();
    loop_.watch(listener_, EventLoop::kRead, [this](uint32_t) { accept_some(); });
  }

  ~ServerImpl() override {
    *alive_ = false;
    stop_listening();
    if (short_sweep_) loop_.cancel(*short_sweep_);
    if (idle_sweep_) loop_.cancel(*idle_sweep_);
    if (deaf_) loop_.cancel(deaf_pause_);
    // Without callbacks: whoever destroys the server may have destroyed already what they speak to.
    for (auto& [id, connection] : std::exchange(connections_, {})) connection->abandon();
    graveyard_.clear();
    if (reserve_ >= 0) ::close(reserve_);
  }

  void add(std::string path, Method method) override {
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos && slash > 0) services_.insert(path.substr(1, slash - 1));
    methods_[std::move(path)] = std::make_shared<const Method>(std::move(method));
  }
  uint16_t port() const override { return port_; }
  const ServerCounters& counters() const override { return counters_; }

  void drain() override {
    draining_ = true;
    stop_listening();
    std::vector<Connection*> all;
    for (const auto& [id, connection] : connections_) all.push_back(connection.get());
    for (Connection* connection : all) connection->ask_to_leave();
  }

 private:
  // --- ConnectionHost
  EventLoop& loop() override { return loop_; }
  const ServerLimits& limits() const override { return options_.limits; }
  ServerCounters& counters() override { return counters_; }
  const Method* method(std::string_view path) const override {
    const auto found = methods_.find(path);
    return found == methods_.end() ? nullptr : found->second.get();
  }
  Connection* find(uint64_t id) override {
    const auto found = connections_.find(id);
    return found == connections_.end() ? nullptr : found->second.get();
  }

  void wants_flush(Connection& connection) override {
    if (connection.flush_asked) return;
    connection.flush_asked = true;
    to_flush_.push_back(connection.id());
    ask_for_round_end();
  }

  void gone(Connection& connection) override {
    const auto found = connections_.find(connection.id());
    if (found == connections_.end()) return;
    if (const auto from = per_address_.find(connection.peer_key()); from != per_address_.end() && --from->second == 0)
      per_address_.erase(from);
    graveyard_.push_back(std::move(found->second));
    connections_.erase(found);
    counters_.connections = connections_.size();
    ask_for_round_end();
  }

  void lingers(Connection& connection) override {
    lingering_.emplace_back(connection.id(), loop_.now());
    want_sweeps();
  }

  // --- rounds
  void ask_for_round_end() {
    if (std::exchange(round_end_asked_, true)) return;
    loop_.defer([this, alive = alive_] {
      if (*alive) end_round();
    });
  }

  void end_round() {
    round_end_asked_ = false;
    std::vector<uint64_t> now;
    now.swap(to_flush_);
    for (const uint64_t id : now) {
      Connection* connection = find(id);
      if (connection == nullptr) continue;
      connection->flush_asked = false;
      connection->flush();
    }
    graveyard_.clear();
    // The memory serves the next round.
    now.clear();
    if (to_flush_.empty()) to_flush_.swap(now);
  }

  // --- accepting
  void accept_some() {
    for (int i = 0; i < kAcceptsPerRound; ++i) {
      SocketAddress peer;
      peer.length = sizeof peer.storage;
      const int fd = ::accept4(listener_, peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        admit(fd, peer);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (!turn_away()) return;
        continue;
      }
      // What remains concerns one connection that is gone already (ECONNABORTED and the like).
    }
  }

  // Out of file descriptors: the reserve lets us take the connection and close it, so that neither does it wait in vain
  // nor does a listener that is always ready make us spin. False: nothing more to do in this round.
  bool turn_away() {
    if (reserve_ < 0) reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (reserve_ < 0) {
      // Somebody took even that. Look again in a moment rather than never.
      loop_.change(listener_, 0);
      deaf_ = true;
      deaf_pause_ = loop_.after(kDeafPause, [this] {
        deaf_ = false;
        if (listener_ >= 0) loop_.change(listener_, EventLoop::kRead);
      });
      return false;
    }
    ::close(std::exchange(reserve_, -1));
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      ::close(fd);
      ++counters_.refused;
    }
    reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
  }

  void admit(int fd, const SocketAddress& peer) {
    const ServerLimits& limits = options_.limits;
    uint32_t& from_there = per_address_[peer.peer_key()];
    if (connections_.size() >= limits.max_connections || from_there >= limits.max_connections_per_address) {
      if (from_there == 0) per_address_.erase(peer.peer_key());
      ::close(fd);
      ++counters_.refused;
      return;
    }
    ++from_there;
    ++counters_.accepted;
    const uint64_t id = next_id_++;
    Connection& connection = *(connections_[id] = std::make_unique<Connection>(*this, id, fd, peer));
    counters_.connections = connections_.size();
    handshaking_.emplace_back(id, loop_.now());
    want_sweeps();
    connection.start(tls_.get());
  }

  void stop_listening() {
    if (listener_ < 0) return;
    loop_.forget(listener_);
    ::close(std::exchange(listener_, -1));
  }

  // --- sweeping: deadlines of very many connections without a timer for each, and no timer at all without connections,
  // so that an agent that nobody polls is not woken for nothing.
  void want_sweeps() {
    if (!short_sweep_ && !(handshaking_.empty() && lingering_.empty()))
      short_sweep_ = loop_.after(kShortSweep, [this] { sweep_short(); });
    if (!idle_sweep_ && !connections_.empty()) idle_sweep_ = loop_.after(idle_interval(), [this] { sweep_idle(); });
  }
  Duration idle_interval() const {
    return std::clamp<Duration>(options_.limits.idle_timeout / kIdleSweepsPerTimeout, Duration(50ms),
                                kLongestIdleSweep);
  }

  void sweep_short() {
    short_sweep_.reset();
    const Duration now = loop_.now();
    // In the order in which they came, so that the first one still silent and in time ends the walk.
    while (!handshaking_.empty()) {
      Connection* connection = find(handshaking_.front().first);
      const bool settled = connection == nullptr || connection->has_spoken();
      if (!settled && now - handshaking_.front().second <= options_.limits.handshake_timeout) break;
      handshaking_.pop_front();
      if (settled) continue;
      ++counters_.closed_for_deadline;
      connection->retire(NGHTTP2_NO_ERROR);
    }
    while (!lingering_.empty() && now - lingering_.front().second > kLinger) {
      if (Connection* connection = find(lingering_.front().first)) connection->close();
      lingering_.pop_front();
    }
    want_sweeps();
  }

  void sweep_idle() {
    idle_sweep_.reset();
    const Duration now = loop_.now();
    std::vector<Connection*> over;
    for (const auto& [id, connection] : connections_)
      if (now - connection->last_heard() > options_.limits.idle_timeout || connection->stalled(now))
        over.push_back(connection.get());
    for (Connection* connection : over) {
      ++counters_.closed_for_deadline;
      connection->retire(NGHTTP2_NO_ERROR);
    }
    want_sweeps();
  }

  void add_health() {
    Method check;
    check.on_message = [this](ServerCall& call, std::string_view message) {
      const auto service = decode_health_request(message);
      if (!service) return call.finish({GrpcCode::InvalidArgument, "not a HealthCheckRequest"});
      if (!service->empty() && !services_.contains(*service))
        return call.finish({GrpcCode::NotFound, "no service of that name here"});
      call.send(encode_health_reply(draining_ ? Serving::No : Serving::Yes));
      call.finish({});
    };
    methods_[std::string(kHealthCheckPath)] = std::make_shared<const Method>(std::move(check));
  }

  EventLoop& loop_;
  const ServerOptions options_;
  const std::shared_ptr<TlsContext> tls_;
  int listener_;
  const uint16_t port_;
  int reserve_;
  bool draining_ = false, deaf_ = false, round_end_asked_ = false;
  EventLoop::TimerId deaf_pause_ = 0;
  std::optional<EventLoop::TimerId> short_sweep_, idle_sweep_;
  ServerCounters counters_;
  std::map<std::string, std::shared_ptr<const Method>, std::less<>> methods_;
  std::set<std::string> services_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::unordered_map<uint64_t, uint32_t> per_address_;
  std::deque<std::pair<uint64_t, Duration>> handshaking_, lingering_;
  std::vector<uint64_t> to_flush_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(EventLoop& loop, ServerOptions options) {
  ESCALA_ASSIGN(const HostPort where, parse_host_port(options.listen));
  ESCALA_ASSIGN(SocketAddress address, numeric_address(where.host, where.port));
  if (!options.tls && !address.is_loopback())
    return Error{ErrorKind::Invalid,
                 "listening on " + options.listen + " without TLS: plaintext is for 127.0.0.0/8 and ::1 only"};
  std::shared_ptr<TlsContext> tls;
  if (options.tls) {
    ESCALA_ASSIGN(tls, TlsContext::for_server(*options.tls));
  }
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return os_error("making a socket");
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  // Accepted sockets inherit these. We write a round at once, so there is nothing for Nagle to gather.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  if (::bind(fd, address.get(), address.length) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    const Error error = os_error("listening on " + options.listen);
    ::close(fd);
    return error;
  }
  address.length = sizeof address.storage;
  ::getsockname(fd, address.get(), &address.length);
  const uint16_t port = address.port();
  return std::unique_ptr<Server>(std::make_unique<ServerImpl>(loop, std::move(options), std::move(tls), fd, port));
}

}  // namespace escala::wire
