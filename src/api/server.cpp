#include "api/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "api/audit.h"
#include "api/group_cache.h"
#include "api/numbers.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/tls_files.h"

namespace escala::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Socket = asio::generic::stream_protocol::socket;

constexpr Duration kAcceptRetry{100ms};  // after running out of descriptors
constexpr size_t kMaxUnixPath = 107;

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return status < 500 ? "Refused" : "Internal Server Error";
  }
}

// Up to the body.
std::string head_of(const Answer& answer, const std::string& request_id, bool keep_alive) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\nx-amzn-RequestId: {}\r\n"
      "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n",
      answer.status, reason_phrase(answer.status), answer.content_type, answer.body.size(),
      keep_alive ? "keep-alive" : "close", request_id);
  if (!answer.allow.empty()) head += "Allow: " + answer.allow + "\r\n";
  for (const auto& [name, value] : answer.headers) head += name + ": " + value + "\r\n";
  return head + "\r\n";
}

// "6f1c2b1e-...": as AWS's request ids look.
std::string new_request_id() {
  constexpr size_t kBytes = 16;
  std::string id = secret_hex(kBytes);
  for (const size_t at : {8, 13, 18, 23}) id.insert(at, "-");
  return id;
}

// The end of a long answer must not wait for the acknowledgement of its middle (40 ms).
void send_at_once(int fd) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// The other end: "127.0.0.1:40312"; "unix". And its address alone, for counting.
struct PeerName {
  std::string full = "unix", address;
};
PeerName peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  PeerName peer;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return peer;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
    peer = {fmt::format("{}:{}", text.data(), ntohs(in.sin_port)), text.data()};
  } else if (storage.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &in.sin6_addr, text.data(), text.size());
    // Whoever has one address of IPv6 has a whole /64.
    peer.full = fmt::format("[{}]:{}", text.data(), ntohs(in.sin6_port));
    peer.address.assign(reinterpret_cast<const char*>(&in.sin6_addr), 8);
  }
  return peer;
}

// Connections by address of the other end (S-19). Thread-safe.
class Crowd {
 public:
  bool enter(const std::string& address) {
    const std::lock_guard lock(mutex_);
    size_t& count = counts_[address];
    if (count >= kMaxConnectionsPerAddress) return false;
    ++count;
    return true;
  }
  void leave(const std::string& address) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(address);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, size_t> counts_;
};

// "localhost:8780" -> "localhost", "[::1]:80" -> "[::1]".
std::string host_of(std::string_view field) {
  const size_t colon = field.rfind(':');
  const size_t bracket = field.rfind(']');
  const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string host(has_port ? field.substr(0, colon) : field);
  for (char& c : host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return host;
}

// Where the head ends at the latest: "\n\n" before it means lines without CR, for which we would wait in vain.
size_t head_end(const std::string& buffer) {
  return std::min(buffer.find("\r\n\r\n"), buffer.size());
}

// Closes the socket unless disarmed in time. Lives on the session's strand.
class Deadline {
 public:
  Deadline(const asio::any_io_executor& executor, Socket& socket) : timer_(executor), socket_(socket) {}
  void arm(Duration in) {
    const uint64_t mine = ++*generation_;
    timer_.expires_after(std::chrono::microseconds(in.count()));
    timer_.async_wait([this, generation = generation_, mine](const boost::system::error_code& error) {
      // The generation outlives the session, which may be gone when a cancelled wait reports.
      if (error || *generation != mine) return;
      boost::system::error_code ignored;
      socket_.close(ignored);
    });
  }
  ~Deadline() { ++*generation_; }

 private:
  asio::steady_timer timer_;
  Socket& socket_;
  std::shared_ptr<uint64_t> generation_ = std::make_shared<uint64_t>(0);
};

}  // namespace

struct Server::State {
  Context context;
  ServerOptions options;
  asio::io_context io{kServerThreads};
  std::optional<tcp::acceptor> tcp_acceptor;
  std::optional<asio::local::stream_protocol::acceptor> unix_acceptor;
  std::atomic<size_t> tcp_connections{0}, unix_connections{0};
  std::vector<std::thread> threads;
  uint16_t port = 0;
  Gate gate;
  GroupCache group_cache;
  std::unique_ptr<AuditLog> audit;
  std::optional<asio::ssl::context> tls;
  Crowd crowd;

  State(Context c, ServerOptions o)
      : context(std::move(c)),
        options(std::move(o)),
        gate(context.store, context.clock, options.gate),
        group_cache(context.store) {
    context.gate = &gate;
    context.group_cache = &group_cache;
  }

  bool host_allowed(std::string_view field) const {
    const std::string host = host_of(field);
    if (host == "localhost" || host == "127.0.0.1" || host == "[::1]") return true;
    return std::find(options.host_names.begin(), options.host_names.end(), host) != options.host_names.end();
  }

  // What must hold of every request before it is routed; nullopt when it does.
  std::optional<Refusal> refuse(const Head& head) const {
    if (!host_allowed(head.field("host")))
      return Refusal{421, fmt::format("Host '{}' is not served here", shown(head.field("host")))};
    // A page in somebody's browser must not be able to act here (S-26).
    const std::string_view origin = head.field("origin"), site = head.field("sec-fetch-site");
    const size_t scheme = origin.find("://");
    const bool foreign_origin =
        !origin.empty() && (scheme == std::string_view::npos || origin.substr(scheme + 3) != head.field("host"));
    if (foreign_origin || (!site.empty() && site != "same-origin" && site != "none"))
      return Refusal{403, "requests from other sites are refused"};
    return std::nullopt;
  }

  asio::awaitable<void> plain_session(Socket socket, Trust trust, size_t max_body, std::string from) {
    Deadline deadline(socket.get_executor(), socket);
    co_await session(socket, deadline, trust, max_body, std::move(from));
    boost::system::error_code ignored;
    socket.shutdown(Socket::shutdown_send, ignored);
  }

  asio::awaitable<void> tls_session(Socket socket, Trust trust, size_t max_body, std::string from) {
    asio::ssl::stream<Socket> stream(std::move(socket), *tls);
    Deadline deadline(stream.get_executor(), stream.next_layer());
    deadline.arm(options.head_deadline);
    boost::system::error_code error;
    co_await stream.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    co_await session(stream, deadline, trust, max_body, std::move(from));
    deadline.arm(options.head_deadline);
    co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
  }

  // A small body does not get the time of a large one.
  Duration time_for_body(size_t bytes, size_t max_body) const {
    const double share = static_cast<double>(bytes) / static_cast<double>(max_body);
    return std::max(std::min(options.head_deadline, options.body_deadline),
                    from_seconds(seconds(options.body_deadline) * share));
  }

  template <typename Stream>
  asio::awaitable<void> session(Stream& socket, Deadline& deadline, Trust trust, size_t max_body, std::string from) {
    std::string buffer;
    Context mine = context;
    mine.from = std::move(from);
    try {
      for (int served = 0; served < kMaxRequestsPerConnection; ++served) {
        deadline.arm(options.head_deadline);
        const std::string request_id = new_request_id();
        mine.request_id = request_id;
        boost::system::error_code error;
        const size_t head_size =
            co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer, kMaxHeadBytes), "\r\n\r\n",
                                            asio::redirect_error(asio::use_awaitable, error));
        // Named objects only in what is co_awaited: g++ 12 destroys temporaries there twice.
        if (error == asio::error::not_found || buffer.find("\n\n") < head_end(buffer)) {
          const Refusal refusal = buffer.find("\n\n") < head_end(buffer)
                                      ? Refusal{400, "lines must end with CR LF"}
                                      : Refusal{431, fmt::format("the head has more than {} bytes", kMaxHeadBytes)};
          co_await refuse_and_close(socket, refusal, request_id);
          co_return;
        }
        if (error) co_return;
        auto parsed = parse_head(std::string_view(buffer).substr(0, head_size), max_body);
        if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
          co_await refuse_and_close(socket, *refusal, request_id);
          co_return;
        }
        const Head& head = std::get<Head>(parsed);
        if (const auto refused = refuse(head)) {
          co_await refuse_and_close(socket, *refused, request_id);
          co_return;
        }
        buffer.erase(0, head_size);
        deadline.arm(time_for_body(head.content_length, max_body));
        if (head.expects_continue && buffer.size() < head.content_length)
          co_await asio::async_write(socket, asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")),
                                     asio::use_awaitable);
        if (buffer.size() < head.content_length) {
          const size_t have = buffer.size();
          buffer.resize(head.content_length);
          co_await asio::async_read(socket, asio::buffer(buffer.data() + have, head.content_length - have),
                                    asio::use_awaitable);
        }
        const std::string body = buffer.substr(0, head.content_length);
        buffer.erase(0, head.content_length);
        const Answer answer = route(mine, head, body, trust, request_id);
        const bool keep_alive = head.keep_alive && served + 1 < kMaxRequestsPerConnection;
        const std::string written_head = head_of(answer, request_id, keep_alive);
        const std::array<asio::const_buffer, 2> text{asio::buffer(written_head), asio::buffer(answer.body)};
        deadline.arm(options.body_deadline);  // for whoever reads slowly
        co_await asio::async_write(socket, text, asio::use_awaitable);
        if (!keep_alive) break;
      }
    } catch (const std::exception& error) {
      // The client left, fell silent (its deadline closed the socket), or memory is short: this connection ends.
      log_debug("api", "connection ended: {}", error.what());
    }
  }

  template <typename Stream>
  asio::awaitable<void> refuse_and_close(Stream& socket, const Refusal& refusal, const std::string& request_id) {
    const ApiError error{refusal.status == 421   ? "MisdirectedRequest"
                         : refusal.status == 403 ? "AccessDenied"
                                                 : "BadRequest",
                         refusal.status, refusal.why};
    const Answer answer = error_answer(error, request_id);
    const std::string text = head_of(answer, request_id, false) + answer.body;
    boost::system::error_code ignored;
    co_await asio::async_write(socket, asio::buffer(text), asio::redirect_error(asio::use_awaitable, ignored));
    boost::system::error_code no_matter;
    socket.lowest_layer().shutdown(Socket::shutdown_send, no_matter);
    // What the client still sends is read and dropped for a moment: closing on unread bytes would reset the connection
    // and take our answer with it.
    std::array<char, 4096> sink{};
    size_t dropped = 0;
    while (!ignored && dropped < kMaxBodyBytes) {
      const size_t n =
          co_await socket.async_read_some(asio::buffer(sink), asio::redirect_error(asio::use_awaitable, ignored));
      dropped += n;
    }
  }

  template <typename Acceptor>
  asio::awaitable<void> accept(Acceptor& acceptor, std::atomic<size_t>& connections, Trust trust, size_t max_body) {
    for (;;) {
      boost::system::error_code error;
      // A strand each: a session's timer and its coroutine never run at once, whichever thread serves them.
      auto accepted =
          co_await acceptor.async_accept(asio::make_strand(io), asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error) {
        log_warning("api", "cannot accept a connection: {}", error.message());
        asio::steady_timer timer(io, std::chrono::microseconds(kAcceptRetry.count()));
        co_await timer.async_wait(asio::use_awaitable);
        continue;
      }
      if (connections.load() >= kMaxConnections) continue;  // closed at once
      if (trust == Trust::Changes && !peer_is_us(accepted.native_handle())) continue;
      const PeerName peer = peer_of(accepted.native_handle());
      const bool counted = !peer.address.empty();  // the owner's own socket is not
      if (counted) send_at_once(accepted.native_handle());
      if (counted && !crowd.enter(peer.address)) continue;
      ++connections;
      const auto executor = accepted.get_executor();
      auto served = counted && tls ? tls_session(Socket(std::move(accepted)), trust, max_body, peer.full)
                                   : plain_session(Socket(std::move(accepted)), trust, max_body, peer.full);
      asio::co_spawn(executor, std::move(served),
                     [this, &connections, counted, address = peer.address](const std::exception_ptr&) {
                       --connections;
                       if (counted) crowd.leave(address);
                     });
    }
  }

  // Over the unix socket: same uid, or root. TCP has no such credentials.
  static bool peer_is_us(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    sockaddr_storage address{};
    socklen_t address_size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_size) != 0) return false;
    if (address.ss_family != AF_UNIX) return true;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
  }

  Status listen_unix() {
    const std::string& path = options.unix_socket;
    if (path.size() + 4 > kMaxUnixPath)
      return Error{ErrorKind::Invalid,
                   fmt::format("unix socket {}: the path has more than {} characters", path, kMaxUnixPath - 4)};
    // Made under another name and moved into place when its mode is right: nobody can connect in between, and a socket
    // that a dead process left is replaced.
    const std::string fresh = path + ".new";
    ::unlink(fresh.c_str());
    try {
      unix_acceptor.emplace(io, asio::local::stream_protocol::endpoint(fresh));
    } catch (const boost::system::system_error& error) {
      return Error{ErrorKind::Unavailable, fmt::format("unix socket {}: {}", path, error.code().message())};
    }
    if (::chmod(fresh.c_str(), 0600) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0)
      return Error{ErrorKind::Unavailable, fmt::format("unix socket {}: {}", path, strerror(errno))};
    return {};
  }

  Status load_tls() {
    ESCALA_TRY(check_tls(options));
    if (options.tls_certificate.empty()) return {};
    if (const std::string fault = validity_fault(options.tls_certificate); !fault.empty())
      log_warning("api", "certificate '{}' {}: clients will refuse it", options.tls_certificate, fault);
    boost::system::error_code error;
    tls.emplace(asio::ssl::context::tls_server);
    tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                     asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression | SSL_OP_NO_RENEGOTIATION);
    tls->use_certificate_chain_file(options.tls_certificate, error);
    if (error)
      return Error{ErrorKind::Invalid, fmt::format("--tls-cert {}: {}", options.tls_certificate, error.message())};
    tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
    if (error) return Error{ErrorKind::Invalid, fmt::format("--tls-key {}: {}", options.tls_key, error.message())};
    return {};
  }

  // Where to listen, judged without touching anything; nothing when nowhere.
  static Result<std::optional<tcp::endpoint>> place_of(const ServerOptions& options) {
    const std::string& text = options.listen;
    const auto wrong = [&](const std::string& why) {
      return Error{ErrorKind::Invalid, fmt::format("--listen: '{}': {}", shown(text), why)};
    };
    if (text.empty()) return std::optional<tcp::endpoint>();
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0) return wrong("expected ADDRESS:PORT such as 127.0.0.1:8780");
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";
    const Result<int64_t> number = parse_integer(text.substr(colon + 1));
    if (!number)
      return wrong(fmt::format("expected ADDRESS:PORT such as 127.0.0.1:8780; the port {}", number.error().message));
    if (*number < 0 || *number > 65535) return wrong(fmt::format("port {} is outside 0..65535", *number));
    boost::system::error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (error) return wrong("not an IP address");
    if (!address.is_loopback()) {
      if (options.tls_certificate.empty())
        return wrong("off loopback the API speaks TLS only; give it --tls-cert and --tls-key");
      if (options.allow_unsigned_loopback) return wrong("unsigned access is for loopback only");
    }
    return std::optional(tcp::endpoint(address, static_cast<uint16_t>(*number)));
  }

  static Status check_tls(const ServerOptions& options) {
    if (options.tls_certificate.empty() != options.tls_key.empty())
      return Error{ErrorKind::Invalid, "--tls-cert and --tls-key go together"};
    const Status good = check_tls_files({options.tls_certificate, options.tls_key, ""});
    return good.ok() ? good : Status(good.error().in("--tls-cert, --tls-key"));
  }

  Status listen_tcp() {
    ESCALA_ASSIGN(const std::optional<tcp::endpoint> place, place_of(options));
    if (!place) return {};
    const auto address = place->address();
    if (!address.is_loopback())
      options.host_names.push_back(address.is_v6() ? "[" + address.to_string() + "]" : address.to_string());
    try {
      tcp_acceptor.emplace(io, *place);
      port = tcp_acceptor->local_endpoint().port();
    } catch (const boost::system::system_error& failed) {
      return Error{ErrorKind::Unavailable, fmt::format("--listen: {}: {}", options.listen, failed.code().message())};
    }
    return {};
  }
};

Server::Server(Store& store, LiveTable& live, const Clock& clock, ServerOptions options)
    : state_(std::make_unique<State>(Context{.store = store,
                                             .live = live,
                                             .clock = clock,
                                             .history = options.history,
                                             .ec2_is_elsewhere = options.ec2_is_elsewhere,
                                             .ec2_template = options.ec2_template,
                                             .ec2_answer = options.ec2_answer,
                                             .can_stop = options.can_stop,
                                             .load_balancer = options.load_balancer,
                                             .launch_wait = kLaunchWait,
                                             .no_changes = options.no_changes},
                                     std::move(options))) {}

Status Server::check(const ServerOptions& options) {
  ESCALA_TRY(State::check_tls(options));
  const auto place = State::place_of(options);
  return place.ok() ? ok_status() : Status(place.error());
}

Server::~Server() {
  stop();
}

Status Server::start() {
  State& state = *state_;
  if (!state.options.audit_dir.empty()) {
    ESCALA_ASSIGN(state.audit, AuditLog::open(state.options.audit_dir, state.context.clock.wall_now()));
    state.context.audit = state.audit.get();
  }
  ESCALA_TRY(state.load_tls());
  if (!state.options.unix_socket.empty()) ESCALA_TRY(state.listen_unix());
  if (!state.options.listen.empty()) ESCALA_TRY(state.listen_tcp());
  if (state.unix_acceptor)
    asio::co_spawn(state.io,
                   state.accept(*state.unix_acceptor, state.unix_connections, Trust::Changes, kMaxUnixBodyBytes),
                   asio::detached);
  if (state.tcp_acceptor) {
    const Trust trust = state.options.allow_unsigned_loopback ? Trust::Changes : Trust::Reads;
    asio::co_spawn(state.io, state.accept(*state.tcp_acceptor, state.tcp_connections, trust, kMaxBodyBytes),
                   asio::detached);
  }
  for (int i = 0; i < kServerThreads; ++i) state.threads.emplace_back([&state] { state.io.run(); });
  return {};
}

void Server::stop() {
  state_->io.stop();
  for (std::thread& thread : state_->threads) thread.join();
  state_->threads.clear();
}

uint16_t Server::port() const {
  return state_->port;
}

}  // namespace escala::api
