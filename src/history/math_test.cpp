#include "history/math.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace escala::history {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr TimePoint kMathStart{std::chrono::sys_days{std::chrono::year{2026} / 11 / 26}};

TimePoint minute(int m) {
  return kMathStart + m * Duration{60s};
}

// Two metrics: m1 at minutes 0, 1, 2; m2 at minutes 1, 2, 3.
Result<std::vector<Bucket>> two_metrics(const MetricQuery& query) {
  const std::map<std::string, std::vector<std::pair<int, double>>> all = {{"one", {{0, 1}, {1, 2}, {2, 3}}},
                                                                          {"two", {{1, 10}, {2, 0}, {3, 30}}}};
  std::vector<Bucket> out;
  for (const auto& [m, value] : all.at(query.metric_name))
    out.push_back({minute(m), StatisticSet::of(value), {}, true});
  return out;
}

std::vector<MetricQuery> with(const std::string& expression) {
  return {{.id = "m1", .metric_namespace = "N", .metric_name = "one", .stat = "Average", .return_data = false},
          {.id = "m2", .metric_namespace = "N", .metric_name = "two", .stat = "Average", .return_data = false},
          {.id = "e1", .expression = expression}};
}

std::map<int, double> value_of(const std::string& expression) {
  const auto answers = answer(with(expression), {minute(0), minute(4), 60s}, two_metrics);
  EXPECT_TRUE(answers.ok()) << expression << ": " << answers.error().message;
  std::map<int, double> out;
  if (answers.ok())
    for (const auto& [at, value] : answers->back().values)
      out[static_cast<int>((at - kMathStart) / Duration{60s})] = value;
  return out;
}

std::string refusal_of(const std::string& expression) {
  const Status checked = check(with(expression));
  return checked.ok() ? "" : checked.error().message;
}

TEST(MetricMath, ArithmeticMeetsWhereBothHaveValues) {
  EXPECT_THAT(value_of("m1 + m2"), ElementsAre(Pair(1, 12), Pair(2, 3)));
  EXPECT_THAT(value_of("m2 / m1"), ElementsAre(Pair(1, 5), Pair(2, 0)));
  EXPECT_THAT(value_of("m1 / m2"), ElementsAre(Pair(1, 0.2))) << "what divides by zero is left out";
  EXPECT_THAT(value_of("100 * m1 - 50"), ElementsAre(Pair(0, 50), Pair(1, 150), Pair(2, 250)));
}

TEST(MetricMath, BindsAsPeopleExpect) {
  EXPECT_THAT(value_of("m1 + 2 * 3 ^ 2"), ElementsAre(Pair(0, 19), Pair(1, 20), Pair(2, 21)));
  EXPECT_THAT(value_of("-m1 ^ 2"), ElementsAre(Pair(0, -1), Pair(1, -4), Pair(2, -9)));
  EXPECT_THAT(value_of("(m1 + 1) * 2"), ElementsAre(Pair(0, 4), Pair(1, 6), Pair(2, 8)));
  EXPECT_THAT(value_of("8 - m1 - 1"), ElementsAre(Pair(0, 6), Pair(1, 5), Pair(2, 4)));
}

TEST(MetricMath, Functions) {
  EXPECT_THAT(value_of("SUM([m1, m2])"), ElementsAre(Pair(0, 1), Pair(1, 12), Pair(2, 3), Pair(3, 30)));
  EXPECT_THAT(value_of("SUM(METRICS())"), ElementsAre(Pair(0, 1), Pair(1, 12), Pair(2, 3), Pair(3, 30)));
  EXPECT_THAT(value_of("MAX(METRICS('m2'))"), ElementsAre(Pair(1, 10), Pair(2, 0), Pair(3, 30)));
  EXPECT_THAT(value_of("m1 / SUM(m1)"), ElementsAre(Pair(0, 1.0 / 6), Pair(1, 1.0 / 3), Pair(2, 0.5)));
  EXPECT_THAT(value_of("TIME_SERIES(AVG(m1))"), ElementsAre(Pair(0, 2), Pair(1, 2), Pair(2, 2), Pair(3, 2)));
  EXPECT_THAT(value_of("FILL(m2, 7)"), ElementsAre(Pair(0, 7), Pair(1, 10), Pair(2, 0), Pair(3, 30)));
  EXPECT_THAT(value_of("FILL(m1, REPEAT)"), ElementsAre(Pair(0, 1), Pair(1, 2), Pair(2, 3), Pair(3, 3)));
  EXPECT_THAT(value_of("DIFF(m1)"), ElementsAre(Pair(1, 1), Pair(2, 1)));
  EXPECT_THAT(value_of("RATE(m1) * PERIOD(m1)"), ElementsAre(Pair(1, 1), Pair(2, 1)));
  EXPECT_THAT(value_of("RUNNING_SUM(m1)"), ElementsAre(Pair(0, 1), Pair(1, 3), Pair(2, 6)));
  EXPECT_THAT(value_of("IF(m1 > 1, m1, 0)"), ElementsAre(Pair(0, 0), Pair(1, 2), Pair(2, 3)));
  EXPECT_THAT(value_of("ABS(m1 - 2) + CEIL(m1 / 2)"), ElementsAre(Pair(0, 2), Pair(1, 1), Pair(2, 3)));
}

// Found by ./dev soak fuzz: JSON has no word for what is infinite.
TEST(MetricMath, WhatIsTooLargeForANumberIsLeftOut) {
  EXPECT_THAT(value_of("IF(m1 > 1, 1e308 * 10, 0)"), ElementsAre(Pair(0, 0)));
  EXPECT_THAT(value_of("FILL(m1, 1e308 * 10)"), ElementsAre(Pair(0, 1), Pair(1, 2), Pair(2, 3)));
  EXPECT_THAT(value_of("SUM([FILL(m1, 1e308), FILL(m1, 1e308)])"), ElementsAre(Pair(0, 2), Pair(1, 4), Pair(2, 6)));
}

TEST(MetricMath, WhetherAnExpressionCanBeAnsweredDependsOnNoData) {
  EXPECT_EQ(refusal_of("IF(AVG(m1) > 1, m1, 5)"), "");
  EXPECT_THAT(value_of("IF(AVG(m1) > 1, m1, 5)"), ElementsAre(Pair(0, 1), Pair(1, 2), Pair(2, 3)));
  EXPECT_THAT(value_of("IF(AVG(m1) > 9, m1, 5)"), ElementsAre(Pair(0, 5), Pair(1, 5), Pair(2, 5)));
  for (const char* text : {"IF(m1 > 9, 'a', 0)", "IF(0, METRICS(), m1)"}) {
    EXPECT_THAT(refusal_of(text), HasSubstr("IF chooses between numbers and series"));
    EXPECT_FALSE(answer(with(text), {minute(0), minute(4), 60s}, two_metrics).ok());
  }
}

TEST(MetricMath, TakesNoMoreThanItsShareOfMemoryAndTime) {
  const auto asked = [](const std::string& expression) {
    return answer(with(expression), {minute(0), minute(500'000), 60s}, two_metrics);
  };
  EXPECT_TRUE(asked("TIME_SERIES(1)").ok());
  std::string many = "TIME_SERIES(1)";
  while (many.size() + 15 <= kMaxExpressionBytes) many += "+TIME_SERIES(1)";
  EXPECT_THAT(asked(many).error().message, HasSubstr("need more than 4000000 values"));
}

TEST(MetricMath, SaysWhatIsWrong) {
  EXPECT_EQ(refusal_of("m1 + m2"), "");
  EXPECT_THAT(refusal_of("m1 +"), HasSubstr("it ends too early at character 5"));
  EXPECT_THAT(refusal_of("m1 $ 2"), HasSubstr("unexpected '$' at character 4"));
  EXPECT_THAT(refusal_of("m9"), HasSubstr("no query has the id m9"));
  EXPECT_THAT(refusal_of("NOPE(m1)"), HasSubstr("no function NOPE"));
  EXPECT_THAT(refusal_of("AVG(m1)"), HasSubstr("gives a number; a series is expected"));
  EXPECT_THAT(refusal_of("[m1, m2]"), HasSubstr("gives several series"));
  EXPECT_THAT(refusal_of("e1 + 1"), HasSubstr("needs itself"));
  EXPECT_THAT(refusal_of("'text' * m1"), HasSubstr("a text stands where"));
  EXPECT_THAT(refusal_of(std::string(500, '(') + "m1" + std::string(500, ')')), HasSubstr("nested deeper"));
  EXPECT_THAT(refusal_of(std::string(3000, '1')), HasSubstr("more than 2048 characters"));
  auto twice = with("m1");
  twice[1].id = "m1";
  EXPECT_THAT(check(twice).error().message, HasSubstr("twice"));
}

RC_GTEST_PROP(MetricMath, AnyTextIsAnsweredOrRefused, ()) {
  const std::string alphabet = "m12e+-*/^()[],.<>=! \"'AVGSUMIFL";
  std::string expression;
  for (int n = *rc::gen::inRange(0, 40); n > 0; --n)
    expression += alphabet[*rc::gen::inRange<size_t>(0, alphabet.size())];
  const auto answers = answer(with(expression), {minute(0), minute(4), 60s}, two_metrics);
  if (!answers.ok()) RC_ASSERT(!answers.error().message.empty());
}

}  // namespace
}  // namespace escala::history
