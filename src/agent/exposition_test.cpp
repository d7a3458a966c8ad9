#include "agent/exposition.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace escala {
namespace {

Exposition reader(std::vector<std::string_view> selectors) {
  std::vector<SeriesSelector> parsed;
  for (const std::string_view selector : selectors) {
    auto one = parse_selector(selector);
    EXPECT_TRUE(one.ok()) << one.error().message;
    if (one.ok()) parsed.push_back(std::move(one).value());
  }
  return Exposition(std::move(parsed));
}

std::map<std::string, double> read(Exposition& reader, std::string_view text, Duration now, size_t piece = 1000) {
  v1::Sample sample;
  reader.begin();
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) reader.feed(text.substr(0, piece));
  reader.finish(now, sample);
  return {sample.gauges().begin(), sample.gauges().end()};
}

constexpr std::string_view kText =
    "# HELP queue_depth Jobs.\n# TYPE queue_depth gauge\n"
    "queue_depth{name=\"mail\",shard=\"1\"} 4\nqueue_depth{shard=\"2\",name=\"mail\",} 6 1700000000000\n"
    "queue_depth{name=\"say \\\"hi\\\"\"} 1\nrequests_total 100\r\nbusy NaN\nfree +Inf\nlast 7";

TEST(Exposition, ChosenSeriesAreAddedUp) {
  for (const size_t piece : {1, 3, 1000}) {  // wherever the network cuts it
    Exposition one = reader({"queue_depth{name=\"mail\"}=mail", "queue_depth=all", "last=last",
                             "queue_depth{name=\"say \\\"hi\\\"\"}=quoted", "absent=absent", "busy=busy", "free=free"});
    EXPECT_EQ(read(one, kText, 1s, piece),
              (std::map<std::string, double>{{"mail", 10}, {"all", 11}, {"last", 7}, {"quoted", 1}}));
  }
}

TEST(Exposition, RatesNeedTwoReadingsAndNoReset) {
  Exposition one = reader({"rate(requests_total)=rps"});
  EXPECT_TRUE(read(one, "requests_total 100\n", 1s).empty());
  EXPECT_EQ(read(one, "requests_total 150\n", 3s).at("rps"), 25);
  EXPECT_TRUE(read(one, "requests_total 10\n", 4s).empty());
  EXPECT_EQ(read(one, "requests_total 11\n", 5s).at("rps"), 1);
  one.abandon();
  EXPECT_TRUE(read(one, "requests_total 12\n", 6s).empty());
}

TEST(Exposition, NonsenseIsSurvived) {
  Random random(1);
  Exposition one = reader({"a{b=\"c\"}=x", "rate(a)=y"});
  constexpr std::string_view kAlphabet = "ab{}=\",\\\n 1.eN+-#\t";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t n = random.below(80); n > 0; --n) text += kAlphabet[random.below(kAlphabet.size())];
    for (const auto& [name, value] : read(one, text, std::chrono::seconds(round), 7)) EXPECT_TRUE(std::isfinite(value));
  }
  EXPECT_EQ(read(one, std::string(100'000, 'a') + "\na{b=\"c\"} 5\n", 9999s).at("x"), 5);
}

TEST(Exposition, SelectorsAreChecked) {
  for (const char* wrong : {"", "a", "a=", "=b", "1a=b", "a{b}=c", "a{b=\"c\"=d", "rate(a=b", "a=b c", "a{b=\"c}=d"})
    EXPECT_FALSE(parse_selector(wrong).ok()) << wrong;
  EXPECT_FALSE(parse_selector("a=" + std::string(65, 'x')).ok());
}

}  // namespace
}  // namespace escala
