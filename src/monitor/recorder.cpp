#include "monitor/recorder.h"

#include <algorithm>

#include "base/log.h"
#include "wire/agent.pb.h"

namespace escala {
namespace {

using board::MonitorCounter;

// After so many periods without a sample an agent that says "I live" has no numbers any more.

Known<double> known(bool has, double value) {
  if (!has) return Unknown::NotMeasured;
  return {value, Duration{0}};
}

board::SlotReading reading_of(const Peer& peer, const escala::v1::Sample& sample, Duration now) {
  board::SlotReading reading;
  reading.received_at = now;
  reading.sequence = sample.sequence();
  // In the order of MetricKind.
  reading.fixed = {known(sample.has_cpu_percent(), sample.cpu_percent()),
                   known(sample.has_memory_percent(), sample.memory_percent()),
                   known(sample.has_load_per_core(), sample.load_per_core()),
                   known(sample.has_network_in(), sample.network_in()),
                   known(sample.has_network_out(), sample.network_out()),
                   known(sample.has_disk(), sample.disk())};
  const auto& names = peer.group->gauge_names;
  if (names.empty() || sample.gauges().empty()) return reading;
  for (size_t place = 0; place < std::min(names.size(), board::kMaxGauges); ++place) {
    const auto found = sample.gauges().find(names[place]);
    if (found != sample.gauges().end()) reading.gauges[place] = found->second;
  }
  return reading;
}

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::open(board::BoardName board, uint32_t slots) {
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(board), slots));
  ESCALA_TRY(recorder->open_region());
  return recorder;
}

Status Recorder::open_region() {
  writer_.reset();  // its lock first
  ESCALA_ASSIGN(writer_, board::ReadingsWriter::open(board_, slots_));
  // Thousands of samples a second must not be thousands of wake-ups: wake() is called a few milliseconds later.
  writer_->hold_wakes(true);
  return ok_status();
}

void Recorder::adopt(Peer& peer, bool just_started) {
  if (!writer_) return;
  const std::optional<board::SlotReading> last = writer_->get(peer.slot);
  if (!last) return;
  if (!just_started || last->generation != peer.entry.generation) return writer_->clear(peer.slot);
  peer.incarnation = last->incarnation;
  peer.sequence = last->sequence;
  peer.sampled_at = last->received_at;
  peer.interrupted = last->interrupted;
  peer.workload_ended = last->workload_ended;
}

void Recorder::forget(const Peer& peer) {
  if (writer_) writer_->clear(peer.slot);
  written();
}

void Recorder::written() {
  if (!std::exchange(dirty_, true) && on_written_) on_written_();
}

void Recorder::put(const Peer& peer, board::SlotReading reading) {
  reading.generation = peer.entry.generation;
  reading.incarnation = peer.incarnation;
  reading.interrupted = peer.interrupted;
  reading.workload_ended = peer.workload_ended;
  if (writer_) writer_->put(peer.slot, reading);
  written();
}

void Recorder::begin(Peer& peer, uint64_t incarnation) {
  peer.incarnation = incarnation;
  peer.sequence = 0;
  peer.interrupted = peer.workload_ended = false;
}

Status Recorder::accept(Peer& peer, uint64_t incarnation, const escala::v1::Report& report, Duration now) {
  ++counter(MonitorCounter::Reports);
  if (incarnation < peer.incarnation) {
    ++counter(MonitorCounter::Impostors);
    return Error{ErrorKind::Conflict,
                 fmt::format("an agent of a later start speaks for instance {}", peer.entry.instance)};
  }
  if (incarnation > peer.incarnation) begin(peer, incarnation);
  const bool interrupted = peer.interrupted || !report.interruption().empty();
  const bool ended = report.has_workload() ? !report.workload().running() : peer.workload_ended;
  const bool other_flags = interrupted != peer.interrupted || ended != peer.workload_ended;
  peer.interrupted = interrupted;
  peer.workload_ended = ended;

  // Oldest first by contract; the newest counts, whatever their order.
  const escala::v1::Sample* newest = nullptr;
  for (const escala::v1::Sample& sample : report.samples()) {
    if (sample.sequence() <= (newest != nullptr ? newest->sequence() : peer.sequence))
      ++counter(MonitorCounter::Duplicates);
    else
      newest = &sample;
  }
  if (newest != nullptr) {
    peer.sequence = newest->sequence();
    if (late_) {
      ++counter(MonitorCounter::Late);
    } else {
      peer.sampled_at = now;
      put(peer, reading_of(peer, *newest, now));
      ++counter(MonitorCounter::Samples);
      return ok_status();
    }
  }
  if (other_flags)
    refresh_flags(peer);
  else if (report.samples().empty() && !late_)
    heartbeat(peer, now);
  return ok_status();
}

// The last numbers with their old arrival time, and what is new beside them.
void Recorder::refresh_flags(Peer& peer) {
  board::SlotReading reading;
  if (const auto last = writer_ ? writer_->get(peer.slot) : std::nullopt;
      last && last->generation == peer.entry.generation)
    reading = *last;
  put(peer, reading);
}

void Recorder::heartbeat(Peer& peer, Duration now) {
  // Numbers that still count are left alone: "I live" does not say that they hold.
  if (now - peer.sampled_at <= kSilentPeriods * peer.group->period) return;
  board::SlotReading reading;
  reading.received_at = now;
  reading.sequence = peer.sequence;
  put(peer, reading);
}

void Recorder::beat(Duration now) {
  if (!writer_ || !writer_->current()) {
    if (writer_) log_warning("monitor", "the readings are gone or replaced under their name; making them anew");
    if (const Status opened = open_region(); !opened.ok()) {
      if (std::exchange(told_error_, opened.error().message) != opened.error().message)
        log_error("monitor", "{}", opened.error().message);
      return;
    }
    told_error_.clear();
  }
  for (size_t i = 0; i < counters_.size(); ++i) writer_->count(static_cast<MonitorCounter>(i), counters_[i]);
  writer_->beat(now);
}

void Recorder::wake() {
  dirty_ = false;
  if (writer_) writer_->wake();
}

}  // namespace escala
