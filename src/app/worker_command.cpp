// `escala worker`: the HTTP worker of the demo. Each request burns a set amount of CPU, so that the load of an instance
// is the load of its requests. It also exports its own metrics, as an application would.
//
//   GET /         burns, then "ok"           GET /metrics  Prometheus text: requests, in flight
#include <time.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>

#include "app/cli_parse.h"
#include "app/commands.h"
#include "base/log.h"
#include "base/time.h"

namespace escala::app {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kIdle = std::chrono::seconds(30);  // a connection without a request for so long is closed
constexpr size_t kMaxRequestBytes = 16 << 10;

struct Counters {
  uint64_t requests = 0;
  int in_flight = 0;
};

Duration cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(t.tv_nsec));
}

void burn(Duration cpu) {
  const Duration end = cpu_time() + cpu;
  volatile uint64_t sink = 0;
  while (cpu_time() < end)
    for (int i = 0; i < 1000; ++i) sink = sink * 6364136223846793005ULL + 1442695040888963407ULL;
}

asio::awaitable<void> serve(tcp::socket socket, Duration cpu, Counters& counters) {
  boost::beast::tcp_stream stream(std::move(socket));
  boost::beast::flat_buffer buffer(kMaxRequestBytes);
  try {
    for (;;) {
      http::request<http::string_body> request;
      stream.expires_after(kIdle);
      co_await http::async_read(stream, buffer, request, asio::use_awaitable);
      http::response<http::string_body> answer{http::status::ok, request.version()};
      answer.keep_alive(request.keep_alive());
      answer.set(http::field::content_type, "text/plain; charset=utf-8");
      if (request.target() == "/metrics") {
        answer.body() = fmt::format(
            "# TYPE worker_requests_total counter\nworker_requests_total {}\n"
            "# TYPE worker_in_flight gauge\nworker_in_flight {}\n",
            counters.requests, counters.in_flight);
      } else if (request.method() != http::verb::get || request.target() != "/") {
        answer.result(http::status::not_found);
      } else {
        ++counters.in_flight;
        burn(cpu);
        --counters.in_flight;
        ++counters.requests;
        answer.body() = "ok\n";
      }
      answer.prepare_payload();
      co_await http::async_write(stream, answer, asio::use_awaitable);
      if (!answer.keep_alive()) break;
    }
  } catch (const boost::system::system_error&) {
    // The client left or fell silent; its connection goes with this frame.
  }
}

asio::awaitable<void> listen(tcp::acceptor& acceptor, Duration cpu, Counters& counters) {
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    // Named before it is handed on: GCC 12 destroys temporaries of an expression with co_await twice.
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(executor, serve(std::move(socket), cpu, counters), asio::detached);
  }
}

}  // namespace

int run_worker(int argc, char** argv) {
  CLI::App cli{"The demo's HTTP worker: burns CPU for each request.", "escala worker"};
  const char* own = std::getenv("ESCALA_ADDRESS");
  std::string address = own != nullptr ? own : "127.0.0.1";
  int64_t port = 8080;
  double cpu_ms = 5;
  cli.add_option("--address", address, "Address to listen on; default: $ESCALA_ADDRESS")->capture_default_str();
  add_integer(cli, "--port", port, 0, 65535, "0 = the kernel chooses")->default_str("8080");
  add_number(cli, "--cpu-ms", cpu_ms, 0, 1000, "CPU each request burns")->default_str("5");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  try {
    asio::io_context io(1);
    tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::make_address(address), static_cast<uint16_t>(port)));
    Counters counters;
    asio::signal_set stop(io, SIGTERM, SIGINT);
    stop.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
    asio::co_spawn(io, listen(acceptor, from_seconds(cpu_ms / 1000), counters), asio::detached);
    log_info("worker", "listening on {}:{}, {} ms CPU a request", address, acceptor.local_endpoint().port(), cpu_ms);
    io.run();
    log_info("worker", "stopped after {} requests", counters.requests);
    return 0;
  } catch (const boost::system::system_error& error) {
    std::fprintf(stderr, "escala worker: %s:%lld: %s\n", address.c_str(), static_cast<long long>(port), error.what());
    return 1;
  }
}

}  // namespace escala::app
