// The application's own metrics: GET of a Prometheus text endpoint of this instance, chosen series become gauges.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/exposition.h"
#include "agent/http_body.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/event_loop.h"

namespace escala {

struct ScrapeTarget {
  std::string host;  // numeric address
  uint16_t port = 80;
  std::string path = "/metrics";
};
// "http://127.0.0.1:9100/metrics"; numeric addresses and localhost only, since names would block the loop.
Result<ScrapeTarget> parse_scrape_url(std::string_view url);

// Threads: the loop's.
class Scraper {
 public:
  Scraper(wire::EventLoop& loop, ScrapeTarget target, std::vector<SeriesSelector> selectors);
  ~Scraper();
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;

  // Fills the chosen gauges into a sample and calls done exactly once, within the deadline, perhaps before returning;
  // `into` must live until then. The connection is kept for the next time. One fetch at a time.
  void fetch(v1::Sample& into, Duration deadline, std::function<void(const Status&)> done);

 private:
  Status connect();
  void ready();
  Status send_more();
  Status receive_more();
  void finish(const Status& outcome);
  void hang_up();

  wire::EventLoop& loop_;
  ScrapeTarget target_;
  std::string request_;
  Exposition exposition_;
  HttpBody body_;
  int fd_ = -1;
  size_t sent_ = 0;
  bool reused_ = false;
  v1::Sample* into_ = nullptr;
  std::function<void(const Status&)> done_;
  std::optional<wire::EventLoop::TimerId> timer_;
};

}  // namespace escala
