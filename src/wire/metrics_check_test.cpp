#include "wire/metrics_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "wire/agent.pb.h"
#include "wire/classic.pb.h"
#include "wire/limits.h"

namespace escala::wire {
namespace {

using Limits = std::numeric_limits<double>;

struct Percentage {
  const char* field;
  void (v1::Sample::*set)(double);
  double (v1::Sample::*get)() const;
};

v1::Sample first() {
  v1::Sample sample;
  sample.set_sequence(1);
  return sample;
}

TEST(MetricsCheck, PercentagesAreFiniteAndFromZeroToHundred) {
  const Percentage fields[] = {{"cpu_percent", &v1::Sample::set_cpu_percent, &v1::Sample::cpu_percent},
                               {"memory_percent", &v1::Sample::set_memory_percent, &v1::Sample::memory_percent}};
  for (const auto& [field, set, get] : fields) {
    const std::pair<double, double> taken[] = {{0, 0},          {55.5, 55.5}, {100, 100},  {101, 100},
                                               {100.0001, 100}, {-0.0, 0},    {5e-324, 0}, {Limits::min() / 2, 0}};
    for (const auto& [told, kept] : taken) {
      v1::Sample sample = first();
      (sample.*set)(told);
      ASSERT_TRUE(check_sample(sample).ok()) << field << " " << told;
      EXPECT_EQ((sample.*get)(), kept) << field << " " << told;
      EXPECT_FALSE(std::signbit((sample.*get)())) << field << " " << told;
    }
    for (const double told : {Limits::quiet_NaN(), Limits::signaling_NaN(), Limits::infinity(), -Limits::infinity(),
                              -1.0, -1e-9, 101.0001, 1e308}) {
      v1::Sample sample = first();
      (sample.*set)(told);
      const Status status = check_sample(sample);
      ASSERT_FALSE(status.ok()) << field << " " << told;
      EXPECT_EQ(status.error().kind, ErrorKind::Invalid);
      EXPECT_NE(status.error().message.find(field), std::string::npos) << status.error().message;
    }
  }
}

TEST(MetricsCheck, RatesHaveABound) {
  for (const double told : {-1.0, 1e308, Limits::quiet_NaN(), kMaxBytesPerSecond * 1.01}) {
    v1::Sample in = first(), out = first(), disk = first(), load = first();
    in.set_network_in(told);
    out.set_network_out(told);
    disk.set_disk(told);
    load.set_load_per_core(told);
    EXPECT_EQ(check_sample(in).error().message.substr(0, 10), "network_in");
    EXPECT_EQ(check_sample(out).error().message.substr(0, 11), "network_out");
    EXPECT_EQ(check_sample(disk).error().message.substr(0, 4), "disk");
    EXPECT_EQ(check_sample(load).error().message.substr(0, 13), "load_per_core");
  }
  v1::Sample fast = first();
  fast.set_network_in(kMaxBytesPerSecond);
  EXPECT_TRUE(check_sample(fast).ok());
}

TEST(MetricsCheck, WhatWasNotMeasuredStaysAbsent) {
  v1::Sample sample = first();
  ASSERT_TRUE(check_sample(sample).ok());
  EXPECT_FALSE(sample.has_cpu_percent());
  EXPECT_FALSE(sample.has_disk());
}

TEST(MetricsCheck, SequencesCountFromOneAndTimeIsData) {
  v1::Sample sample;
  EXPECT_EQ(check_sample(sample).error().message.substr(0, 8), "sequence");
  sample.set_sequence(~uint64_t{0});
  sample.set_taken_at_us(std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(check_sample(sample).ok());
}

TEST(MetricsCheck, GaugesMayBeNegativeButNotEndless) {
  v1::Sample sample = first();
  (*sample.mutable_gauges())["queue"] = -3;
  (*sample.mutable_gauges())["nothing"] = -0.0;
  ASSERT_TRUE(check_sample(sample).ok());
  EXPECT_EQ(sample.gauges().at("queue"), -3);
  EXPECT_FALSE(std::signbit(sample.gauges().at("nothing")));
  for (const double told : {1e308, -1e127, Limits::infinity(), Limits::quiet_NaN()}) {
    v1::Sample bad = first();
    (*bad.mutable_gauges())["queue"] = told;
    const Status status = check_sample(bad);
    ASSERT_FALSE(status.ok()) << told;
    EXPECT_NE(status.error().message.find("gauges[queue]"), std::string::npos);
  }
}

TEST(MetricsCheck, GaugesAreFewAndNamedPlainly) {
  v1::Sample many = first();
  for (size_t i = 0; i <= kMaxGauges; ++i) (*many.mutable_gauges())["g" + std::to_string(i)] = 1;
  EXPECT_FALSE(check_sample(many).ok());
  for (const std::string& name : {std::string(), std::string(kMaxGaugeNameBytes + 1, 'n'), std::string("a\nb"),
                                  std::string("nul\0", 4), std::string("\x1b[2J")}) {
    v1::Sample bad = first();
    (*bad.mutable_gauges())[name] = 1;
    EXPECT_FALSE(check_sample(bad).ok()) << name;
  }
}

TEST(MetricsCheck, ReportsNameTheSampleThatIsWrong) {
  v1::Report report;
  *report.add_samples() = first();
  *report.add_samples() = first();
  report.mutable_samples(1)->set_cpu_percent(Limits::quiet_NaN());
  EXPECT_EQ(check_report(report).error().message, "samples[1].cpu_percent is NaN");
  report.clear_samples();
  for (size_t i = 0; i <= kMaxSamplesPerReport; ++i) *report.add_samples() = first();
  EXPECT_FALSE(check_report(report).ok());
}

TEST(MetricsCheck, TextsAreShortAndPlain) {
  const std::function<void(v1::Report&)> faults[] = {
      [](v1::Report& r) { r.set_instance(std::string(kMaxIdBytes + 1, 'i')); },
      [](v1::Report& r) { r.set_group(std::string(kMaxGroupBytes + 1, 'g')); },
      [](v1::Report& r) { r.set_join_token(std::string(kMaxTokenBytes + 1, 't')); },
      [](v1::Report& r) { r.set_interruption(std::string(kMaxInterruptionBytes + 1, 'x')); },
      [](v1::Report& r) { r.set_instance("i-1\nforged line"); },
      [](v1::Report& r) { r.mutable_workload()->set_exit_status(-1); },
      [](v1::Report& r) { r.mutable_workload()->set_exit_status(256); },
  };
  for (const auto& spoil : faults) {
    v1::Report report;
    report.set_instance("i-0123456789abcdef0");
    report.set_group("web");
    ASSERT_TRUE(check_report(report).ok());
    spoil(report);
    EXPECT_FALSE(check_report(report).ok());
  }
}

TEST(MetricsCheck, TheClassicDialectHasTheSameBounds) {
  for (const int64_t told : {int64_t{0}, int64_t{42}, int64_t{100}, int64_t{101}}) {
    Metric sent, got;
    sent.set_delivery(told);
    ASSERT_TRUE(decode_reply(sent.SerializeAsString(), got).ok()) << told;
    EXPECT_EQ(got.delivery(), std::min(told, int64_t{100}));
  }
  for (const int64_t told : {int64_t{-1}, int64_t{102}, INT64_MIN, INT64_MAX}) {
    Metric sent, got;
    sent.set_delivery(told);
    EXPECT_FALSE(decode_reply(sent.SerializeAsString(), got).ok()) << told;
  }
  Alive alive;
  EXPECT_FALSE(decode_reply(std::string_view("\x0a\x01\xff", 3), alive).ok()) << "not UTF-8";
}

TEST(MetricsCheck, BytesThatAreNoMessageAreRefusedQuietly) {
  v1::Report report;
  EXPECT_TRUE(decode_report("", report).ok());  // a heartbeat
  EXPECT_TRUE(decode_report("\x98\x06\x01", report).ok()) << "fields of a later version are passed over";
  EXPECT_FALSE(decode_report("\xff\xff\xff", report).ok());
  EXPECT_FALSE(decode_report(std::string("\x0a\x02\xc3\x28", 4), report).ok()) << "not UTF-8";
  EXPECT_FALSE(decode_report(std::string(kMaxMessageBytes + 1, '\0'), report).ok());
  v1::GetMetricsReply reply;
  reply.add_samples()->set_cpu_percent(101.5);
  EXPECT_FALSE(decode_reply(reply.SerializeAsString(), reply).ok());
}

}  // namespace
}  // namespace escala::wire
