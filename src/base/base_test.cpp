// The small rooms of base/: results, random numbers, ids, log text.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "base/ids.h"
#include "base/known.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"

namespace escala {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return Error{ErrorKind::Invalid, "odd"};
  return x / 2;
}

Result<int> quarter(int x) {
  ESCALA_ASSIGN(const int once, half(x));
  ESCALA_ASSIGN(const int twice, half(once));
  return twice;
}

Status check_quarter(int x) {
  ESCALA_TRY(quarter(x).ok() ? ok_status() : Status(quarter(x).error().in("quartering")));
  return {};
}

TEST(Result, CarriesTheValueOrTheErrorUp) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(check_quarter(6).error(), (Error{ErrorKind::Invalid, "quartering: odd"}));
  EXPECT_TRUE(check_quarter(8).ok());
  EXPECT_EQ(half(3).value_or(-1), -1);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> made(std::make_unique<int>(7));
  const std::unique_ptr<int> taken = std::move(made).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, TheValueOfAnErrorIsOurMistake) {
  EXPECT_DEATH((void)half(1).value(), "check failed");
  EXPECT_DEATH((void)Known<double>(Unknown::Silent).value(), "check failed");
}

TEST(ErrorKind, EachHasItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorKind::Bug); ++i) names.insert(name(static_cast<ErrorKind>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(ErrorKind::Bug) + 1);
}

TEST(Random, TheSameSeedGivesTheSameRun) {
  Random a(42), b(42), c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t x = a.next();
    EXPECT_EQ(x, b.next());
    differs |= x != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Random, BelowIsEvenAndInRange) {
  Random random(1);
  std::map<uint64_t, int> seen;
  for (int i = 0; i < 30'000; ++i) ++seen[random.below(3)];
  ASSERT_EQ(seen.size(), 3U);
  for (const auto& [value, count] : seen) EXPECT_NEAR(count, 10'000, 500) << value;  // 6 standard deviations
  for (int i = 0; i < 1000; ++i) {
    const double u = random.unit();
    EXPECT_GE(u, 0);
    EXPECT_LT(u, 1);
  }
}

TEST(SecretHex, IsLongEnoughAndNeverTheSame) {
  EXPECT_EQ(secret_hex(32).size(), 64U);
  EXPECT_NE(secret_hex(16), secret_hex(16));
}

TEST(Id, OrdersAndPrintsLikeItsText) {
  EXPECT_LT(GroupName("a"), GroupName("b"));
  EXPECT_EQ(fmt::format("{}", InstanceId("i-1")), "i-1");
  static_assert(!std::is_convertible_v<GroupName, InstanceId>);
}

TEST(Log, StrangersCannotForgeLinesOrDriveTheTerminal) {
  EXPECT_EQ(printable("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
}

}  // namespace
}  // namespace escala
