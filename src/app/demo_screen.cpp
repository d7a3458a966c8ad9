#include "app/demo_screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/log.h"

namespace escala::app {
namespace {

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kCyan = "\x1b[36m";
constexpr const char* kReset = "\x1b[0m";

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 100;
}

// The newest values as a curve of eight heights, `columns` wide; several values share a column when there are more.
std::string curve(const std::vector<double>& values, double top, size_t columns) {
  static constexpr const char* kHeights[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  const size_t n = values.size();
  const size_t shown = std::min(n, columns);
  for (size_t column = 0; column < shown; ++column) {
    const size_t from = column * n / shown;
    const size_t to = std::max(from + 1, (column + 1) * n / shown);
    double peak = 0;
    for (size_t i = from; i < to; ++i) peak = std::max(peak, values[i]);
    const double share = top > 0 ? std::clamp(peak / top, 0.0, 1.0) : 0;
    out += kHeights[static_cast<size_t>(std::lround(share * 8))];
  }
  return out;
}

std::string boxes(int full, int empty) {
  std::string out;
  for (int i = 0; i < full; ++i) out += "■";
  for (int i = 0; i < empty; ++i) out += "□";
  return out;
}

std::string cpu_text(const Look& look) {
  return look.cpu_percent ? fmt::format("{:.0f} %", *look.cpu_percent)
                          : "unknown (" + (look.cpu_unknown.empty() ? "no reading" : look.cpu_unknown) + ")";
}

// Cut to the width, so that a long reason never wraps and shifts the picture. Counts bytes of ASCII text.
std::string cut(std::string text, size_t width) {
  if (text.size() > width) text = text.substr(0, width - 3) + "...";
  return text;
}

void keep(std::vector<double>& values, double value) {
  values.push_back(value);
  if (values.size() > Screen::kHistory) values.erase(values.begin());
}

}  // namespace

Screen::Screen(bool plain, double length) : plain_(plain), length_(length) {}

void Screen::show(double elapsed, double rate, const LoadCounters& load, const Look& look) {
  instance_seconds_ += look.in_service * (elapsed - last_at_);
  most_in_service_ = std::max(most_in_service_, look.in_service);
  keep(rates_, rate);
  keep(cpus_, look.cpu_percent.value_or(0));
  keep(in_service_, look.in_service);
  keep(desired_, look.desired);
  if (plain_)
    line(elapsed, rate, load, look);
  else
    draw(elapsed, rate, load, look);
  last_at_ = elapsed;
  last_answered_ = load.answered;
}

void Screen::draw(double elapsed, double rate, const LoadCounters& load, const Look& look) {
  const size_t width = terminal_width();
  const size_t columns = std::min<size_t>(width > 40 ? width - 34 : 20, kHistory);
  const double top_rate = *std::max_element(rates_.begin(), rates_.end());
  std::string out = "\x1b[H\x1b[2J";
  out += fmt::format(
      "{}escala demo{}  group web, {} to {} HTTP workers of a tenth of a core each   {:.0f} s of {:.0f} s\n\n", kBold,
      kReset, look.min_size, look.max_size, elapsed, length_);
  out += fmt::format("  load        {}{:5.1f} req/s{}   {}\n", kCyan, rate, kReset, curve(rates_, top_rate, columns));
  out += fmt::format("  CPU         {}{:>11}{}   {}\n", kYellow, cut(cpu_text(look), 11), kReset,
                     curve(cpus_, 100, columns));
  out += fmt::format("  desired     {:>11}   {}\n", look.desired, curve(desired_, look.max_size, columns));
  out += fmt::format("  in service  {}{:>11}{}   {}\n", kGreen, look.in_service, kReset,
                     curve(in_service_, look.max_size, columns));
  out += fmt::format("              {}{}{}{}\n", kGreen,
                     boxes(look.in_service, std::max(0, look.desired - look.in_service)), kReset,
                     look.pending > 0 ? fmt::format("  {} starting", look.pending) : "");
  out += fmt::format(
      "  latency     p50 {:.0f} ms, p99 {:.0f} ms   {:.0f} answers/s   {} answered, {} failed, {} without a target\n\n",
      load.p50_ms, load.p99_ms, static_cast<double>(load.answered - last_answered_) / std::max(0.1, elapsed - last_at_),
      load.answered, load.failed, load.refused);
  out += fmt::format("  {}why{}\n", kBold, kReset);
  for (size_t i = 0; i < std::min(look.events.size(), kEvents); ++i)
    out += fmt::format("  {}{}{}  {}\n", kDim, look.events[i].at, kReset,
                       cut(printable(look.events[i].text), width > 16 ? width - 14 : 60));
  if (!look.known)
    out += fmt::format("\n  {}the service does not answer; it is being started again{}\n", kYellow, kReset);
  out += fmt::format("\n  {}Ctrl-C ends the demo and everything it started{}\n", kDim, kReset);
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
}

void Screen::line(double elapsed, double rate, const LoadCounters& load, const Look& look) {
  std::string out = fmt::format(
      "{:6.1f} s  load {:5.1f} req/s  CPU {:>8}  desired {}  in service {}  p50 {:4.0f} ms  p99 {:5.0f} ms  failed {}",
      elapsed, rate, cpu_text(look), look.desired, look.in_service, load.p50_ms, load.p99_ms,
      load.failed + load.refused);
  if (!look.events.empty() && look.events.front().at + look.events.front().text != last_event_) {
    last_event_ = look.events.front().at + look.events.front().text;
    out += "\n          why: " + printable(look.events.front().text);
  }
  std::puts(out.c_str());
  std::fflush(stdout);
}

void Screen::end(const LoadCounters& load) {
  const double average = last_at_ > 0 ? instance_seconds_ / last_at_ : 0;
  std::printf(
      "\n%llu requests answered, %llu failed, %llu found no instance.\n"
      "%.1f instances on average, %d at the peak: %.0f %% less than keeping the peak all the time.\n",
      static_cast<unsigned long long>(load.answered), static_cast<unsigned long long>(load.failed),
      static_cast<unsigned long long>(load.refused), average, most_in_service_,
      most_in_service_ > 0 ? 100 * (1 - average / most_in_service_) : 0.0);
  std::fflush(stdout);
}

}  // namespace escala::app
