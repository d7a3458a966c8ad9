#include "app/load.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>

#include "base/random.h"

namespace escala::app {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxLatencies = 100'000;  // kept between two calls of take()
constexpr size_t kMaxIdlePerTarget = 64;

// The middle of the sorted values at the given share; 0 without values.
double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

struct LoadGenerator::State {
  std::function<double(double)> rate;
  Random random;
  asio::io_context io{1};
  std::atomic<bool> stopping{false};
  std::mutex mutex;  // guards targets, counters and latencies
  std::vector<std::string> targets;
  LoadCounters counters;
  std::vector<double> latencies_ms;
  // Of the loop's thread alone:
  size_t next_target = 0;
  size_t waiting = 0;
  std::map<std::string, std::deque<std::unique_ptr<boost::beast::tcp_stream>>> idle;  // kept-alive connections

  State(std::function<double(double)> r, uint64_t seed) : rate(std::move(r)), random(seed) {}

  std::string choose_target() {
    const std::lock_guard lock(mutex);
    if (targets.empty()) return {};
    return targets[next_target++ % targets.size()];
  }

  asio::awaitable<bool> ask(std::unique_ptr<boost::beast::tcp_stream>& stream, const std::string& target) {
    try {
      stream->expires_after(std::chrono::microseconds(kTimeout.count()));
      if (!stream->socket().is_open()) {
        const size_t colon = target.rfind(':');
        const tcp::endpoint endpoint(asio::ip::make_address(target.substr(0, colon)),
                                     static_cast<uint16_t>(std::stoi(target.substr(colon + 1))));
        co_await stream->async_connect(endpoint, asio::use_awaitable);
      }
      http::request<http::empty_body> request{http::verb::get, "/", 11};
      request.set(http::field::host, target);
      co_await http::async_write(*stream, request, asio::use_awaitable);
      boost::beast::flat_buffer buffer;
      http::response<http::string_body> answer;
      co_await http::async_read(*stream, buffer, answer, asio::use_awaitable);
      co_return answer.result() == http::status::ok;
    } catch (const std::exception&) {  // refused, reset, timed out, or a target that is no address
      co_return false;
    }
  }

  asio::awaitable<void> one(std::string target) {
    const auto executor = co_await asio::this_coro::executor;
    auto& kept = idle[target];
    std::unique_ptr<boost::beast::tcp_stream> stream;
    if (kept.empty()) {
      stream = std::make_unique<boost::beast::tcp_stream>(executor);
    } else {
      stream = std::move(kept.back());
      kept.pop_back();
    }
    const auto start = SteadyClock::now();
    const bool reused = stream->socket().is_open();
    bool good = co_await ask(stream, target);
    if (!good && reused) {  // the other side may have closed it while it lay idle: that is not a failed request
      stream = std::make_unique<boost::beast::tcp_stream>(executor);
      good = co_await ask(stream, target);
    }
    if (!good) {  // as a balancer does: an instance that has just gone is passed over for the next
      idle.erase(target);
      target = choose_target();
      stream = std::make_unique<boost::beast::tcp_stream>(executor);
      good = !target.empty() && co_await ask(stream, target);
    }
    const double ms = std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
    --waiting;
    if (good && idle[target].size() < kMaxIdlePerTarget) idle[target].push_back(std::move(stream));
    if (!good) idle.erase(target);
    const std::lock_guard lock(mutex);
    ++(good ? counters.answered : counters.failed);
    if (latencies_ms.size() < kMaxLatencies) latencies_ms.push_back(good ? ms : seconds(kTimeout) * 1000);
  }

  void send() {
    std::string target = choose_target();
    const bool refused = target.empty() || waiting >= kMaxWaiting;
    {
      const std::lock_guard lock(mutex);
      ++counters.sent;
      if (refused) ++counters.refused;
    }
    if (refused) return;
    ++waiting;
    asio::co_spawn(io, one(std::move(target)), asio::detached);
  }

  asio::awaitable<void> pace() {
    asio::steady_timer timer(io);
    const auto start = SteadyClock::now();
    double at = 0;  // seconds since start of the next request
    while (!stopping) {
      const double now = std::chrono::duration<double>(SteadyClock::now() - start).count();
      while (at <= now) {
        const double per_second = rate(at);
        if (!(per_second > 0)) {
          at += 0.1;
          continue;
        }
        send();
        at += -std::log1p(-random.unit()) / per_second;
      }
      timer.expires_after(std::chrono::milliseconds(2));
      co_await timer.async_wait(asio::use_awaitable);
    }
    io.stop();
  }
};

LoadGenerator::LoadGenerator(std::function<double(double)> rate, uint64_t seed)
    : state_(std::make_unique<State>(std::move(rate), seed)) {}
LoadGenerator::~LoadGenerator() = default;

void LoadGenerator::set_targets(std::vector<std::string> host_ports) {
  const std::lock_guard lock(state_->mutex);
  state_->targets = std::move(host_ports);
}

void LoadGenerator::run() {
  asio::co_spawn(state_->io, state_->pace(), asio::detached);
  state_->io.run();
}

void LoadGenerator::stop() {
  state_->stopping = true;
}

LoadCounters LoadGenerator::take() {
  const std::lock_guard lock(state_->mutex);
  LoadCounters out = state_->counters;
  out.p50_ms = percentile(state_->latencies_ms, 0.5);
  out.p99_ms = percentile(state_->latencies_ms, 0.99);
  state_->latencies_ms.clear();
  return out;
}

}  // namespace escala::app
