// The manager's HTTP door: the faces of the API, discovery, metrics. A thread of control that speaks to it only through
// the store and the LiveTable.
//
// Two listeners: a unix socket (0600: whoever may open it is the owner) and, where asked for, TCP, whose requests are
// signed (api/gate) unless unsigned access on loopback was asked for. Off loopback it speaks TLS, or does not listen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/gate.h"
#include "base/result.h"
#include "base/time.h"
#include "store/live_table.h"
#include "store/store.h"

namespace escala::api {

inline constexpr size_t kMaxConnections = 1024;  // per listener
inline constexpr size_t kMaxConnectionsPerAddress = 256;
inline constexpr int kMaxRequestsPerConnection = 100;
inline constexpr size_t kMaxBodyBytes = 256 << 10;    // over TCP
inline constexpr size_t kMaxUnixBodyBytes = 4 << 20;  // over the unix socket: documents of many groups
inline constexpr int kServerThreads = 2;
inline constexpr Duration kLaunchWait{3s};  // of LaunchInstances, for the instances it names

struct ServerOptions {
  std::string unix_socket;               // path; empty = none
  std::string listen;                    // "127.0.0.1:8780", "[::1]:0"; empty = none
  std::string tls_certificate, tls_key;  // PEM files; needed off loopback
  std::string audit_dir;                 // where the audit log is; empty = none is kept
  GateOptions gate = {};
  bool allow_unsigned_loopback = false;
  history::History* history = nullptr;              // must outlive the server; null: no metrics are kept
  bool can_stop = false;                            // api::Context's
  bool ec2_is_elsewhere = false;                    // likewise
  decltype(Context::ec2_template) ec2_template;     // likewise
  decltype(Context::ec2_answer) ec2_answer;         // likewise
  LoadBalancer load_balancer = LoadBalancer::None;  // that traffic sources can be attached to
  std::vector<std::string> host_names;  // besides localhost, 127.0.0.1 and [::1], which names a Host field may have
  // Asked before each operation that changes something: why none may now (ServiceUnavailable); null: all may.
  std::function<std::optional<std::string>()> no_changes;
  Duration head_deadline{10s};
  Duration body_deadline{30s};  // of a body of the largest size; small ones get their share, at least head_deadline
};

class Server {
 public:
  // The store, the table and the clock must outlive the server.
  Server(Store& store, LiveTable& live, const Clock& clock, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // What is wrong with the options, seen before anything is opened or written: start() would say the same. Invalid.
  static Status check(const ServerOptions& options);
  // Listens and starts its threads. Invalid for a wrong address, Unavailable when it is taken.
  Status start();
  // Ends the threads; connections are cut. A change under way is committed whole or not at all.
  void stop();
  // Of the TCP listener; 0 without one.
  uint16_t port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace escala::api
