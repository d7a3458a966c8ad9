#include "app/board_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "base/log.h"

namespace escala::app {
namespace {

constexpr int kSilentPeriods = 3;
constexpr Duration kDeadBeat{3s};  // a writer that has not beaten for this long is not there

std::string number(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

// Bytes per second with a unit: "950", "12.3k", "4.5M".
std::string bytes(const std::optional<double>& value) {
  if (!value) return "-";
  constexpr std::array kUnits = {"", "k", "M", "G", "T", "P"};
  double rest = *value;
  size_t unit = 0;
  while (rest >= 1000 && unit + 1 < kUnits.size()) {
    rest /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f}", rest) : fmt::format("{:.1f}{}", rest, kUnits[unit]);
}

std::string age(Duration d) {
  if (d < 10s) return fmt::format("{:.1f}s", seconds(d));
  if (d < 100s) return fmt::format("{:.0f}s", seconds(d));
  if (d < 100min) return fmt::format("{:.0f}m", seconds(d) / 60);
  return fmt::format("{:.0f}h", seconds(d) / 3600);
}

std::optional<double> value(const Known<double>& known) {
  return known ? std::optional<double>(known.value()) : std::nullopt;
}

// Cut to `width` columns, counting code points: a name may be in any script.
std::string fit(std::string text, size_t width) {
  size_t columns = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (begins && ++columns > width) {
      text.resize(i);
      break;
    }
  }
  return text;
}

std::string side(const char* name, const std::string& trouble, uint64_t epoch, Duration beat) {
  if (!trouble.empty()) return fmt::format("{}: {}", name, trouble);
  return fmt::format("{}: epoch {}, {}", name, epoch,
                     beat > kDeadBeat ? fmt::format("NOT ALIVE, last heard of {} ago", age(beat)) : "alive");
}

template <typename Reader>
std::string reopen(std::unique_ptr<Reader>& reader, const board::BoardName& board) {
  if (reader && reader->current()) return "";
  auto opened = Reader::open(board);
  if (opened.ok()) {
    reader = std::move(opened).value();
    return "";
  }
  reader.reset();
  return opened.error().message;
}

}  // namespace

BoardView BoardWatch::look(Duration boot_now) {
  BoardView view;
  view.roster_trouble = reopen(roster_, board_);
  view.readings_trouble = reopen(readings_, board_);
  if (readings_) {
    view.readings_epoch = readings_->epoch();
    view.readings_beat = boot_now - readings_->last_beat();
    view.connections = readings_->counter(board::MonitorCounter::Connections);
    view.reports = readings_->counter(board::MonitorCounter::Reports);
    view.refused = readings_->counter(board::MonitorCounter::Refused);
  }
  if (!roster_) return view;
  view.roster_epoch = roster_->epoch();
  view.roster_beat = boot_now - roster_->last_beat();
  for (uint32_t slot = 0; slot < roster_->used(); ++slot) {
    const auto entry = roster_->entry(slot);
    if (!entry) continue;
    const auto group = roster_->group(entry->group);
    BoardRow row;
    row.instance = printable(entry->instance.str());
    row.group = group ? printable(group->name.str()) : "?";
    row.state = name(entry->state);
    const auto reading = readings_ ? readings_->get(slot) : std::nullopt;
    if (reading && reading->generation == entry->generation) {
      row.age = std::max(Duration{0}, boot_now - reading->received_at);
      row.counted = *row.age <= kSilentPeriods * (group ? group->period : Duration{1s});
      row.sequence = reading->sequence;
      row.cpu_percent = value(reading->fixed[static_cast<size_t>(MetricKind::Cpu)]);
      row.memory_percent = value(reading->fixed[static_cast<size_t>(MetricKind::Memory)]);
      row.load = value(reading->fixed[static_cast<size_t>(MetricKind::Load)]);
      row.network_in = value(reading->fixed[static_cast<size_t>(MetricKind::NetworkIn)]);
      row.network_out = value(reading->fixed[static_cast<size_t>(MetricKind::NetworkOut)]);
    }
    ++(row.counted ? view.counted : row.age ? view.silent : view.never);
    view.rows.push_back(std::move(row));
  }
  return view;
}

void sort_rows(std::vector<BoardRow>& rows, BoardOrder order) {
  const auto by_name = [](const BoardRow& row) { return std::tie(row.group, row.instance); };
  const auto busiest = [&](std::optional<double> BoardRow::*what) {
    std::stable_sort(rows.begin(), rows.end(), [&](const BoardRow& a, const BoardRow& b) {
      if (a.*what != b.*what) return (a.*what).value_or(-1) > (b.*what).value_or(-1);
      return by_name(a) < by_name(b);
    });
  };
  switch (order) {
    case BoardOrder::Cpu:
      return busiest(&BoardRow::cpu_percent);
    case BoardOrder::Memory:
      return busiest(&BoardRow::memory_percent);
    case BoardOrder::Load:
      return busiest(&BoardRow::load);
    case BoardOrder::Group:
      return std::sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return by_name(a) < by_name(b); });
    case BoardOrder::Instance:
      return std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.instance < b.instance; });
  }
}

std::vector<std::string> board_lines(const BoardView& view, size_t width, size_t from, size_t rows) {
  std::vector<std::string> lines;
  lines.push_back(fit(side("control", view.roster_trouble, view.roster_epoch, view.roster_beat), width));
  lines.push_back(fit(side("monitor", view.readings_trouble, view.readings_epoch, view.readings_beat), width));
  lines.push_back(fit(fmt::format("{} counted, {} silent, {} never heard; {} connections, {} reports, {} refused",
                                  view.counted, view.silent, view.never, view.connections, view.reports, view.refused),
                      width));
  lines.emplace_back();
  // The instance column takes what the longest of the rows shown needs.
  const size_t end = std::min(view.rows.size(), from + rows);
  size_t instance = 8, group = 5;
  for (size_t i = from; i < end; ++i) {
    instance = std::clamp(view.rows[i].instance.size(), instance, size_t{40});
    group = std::clamp(view.rows[i].group.size(), group, size_t{24});
  }
  const auto line = [&](const std::string& name, const std::string& of, const std::string& state,
                        const std::string& cpu, const std::string& memory, const std::string& load,
                        const std::string& in, const std::string& out, const std::string& old,
                        const std::string& sequence) {
    return fit(fmt::format("{:<{}} {:<{}} {:<12} {:>6} {:>6} {:>6} {:>8} {:>8} {:>7} {:>10}", fit(name, instance),
                           instance, fit(of, group), group, fit(state, 12), cpu, memory, load, in, out, old, sequence),
               width);
  };
  lines.push_back(line("INSTANCE", "GROUP", "STATE", "CPU%", "MEM%", "LOAD", "NET IN", "NET OUT", "AGE", "SEQUENCE"));
  for (size_t i = from; i < end; ++i) {
    const BoardRow& row = view.rows[i];
    lines.push_back(line(row.instance, row.group, row.state, number(row.cpu_percent, "{:.1f}"),
                         number(row.memory_percent, "{:.1f}"), number(row.load, "{:.2f}"), bytes(row.network_in),
                         bytes(row.network_out), row.age ? age(*row.age) + (row.counted ? "" : " !") : "never",
                         row.age ? fmt::format("{}", row.sequence) : "-"));
  }
  return lines;
}

}  // namespace escala::app
