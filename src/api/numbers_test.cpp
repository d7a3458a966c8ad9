#include "api/numbers.h"

#include <gtest/gtest.h>

namespace escala::api {
namespace {

std::string complaint(const std::string& text) {
  const Result<int64_t> value = parse_integer(text);
  return value ? "" : value.error().message;
}

TEST(Numbers, IntegersAreDecimalAndNothingElse) {
  EXPECT_EQ(parse_integer("0").value_or(-1), 0);
  EXPECT_EQ(parse_integer("-17").value_or(0), -17);
  EXPECT_EQ(parse_integer("9223372036854775807").value_or(0), INT64_MAX);
  EXPECT_EQ(complaint("010"), "'010' is ambiguous (octal?); write 10 or 8");
  EXPECT_EQ(complaint("09"), "'09' begins with 0; write 9");
  EXPECT_EQ(complaint("0x1F"), "'0x1F' is not a decimal integer");
  EXPECT_EQ(complaint(""), "empty value");
  for (const char* text :
       {"1e3", "3.7", "1_000", "5 ", " 5", "+5", "\xEF\xBC\x95", "-", "--5", "5a", "9223372036854775808"})
    EXPECT_NE(complaint(text), "") << text;
}

TEST(Numbers, DecimalsAreFiniteAndDecimal) {
  EXPECT_DOUBLE_EQ(parse_decimal("0.5").value_or(0), 0.5);
  EXPECT_DOUBLE_EQ(parse_decimal("-2").value_or(0), -2);
  EXPECT_DOUBLE_EQ(parse_decimal("1e3").value_or(0), 1000);
  for (const char* text : {"nan", "NaN", "inf", "-inf", ".inf", ".nan", "1e400", "0x1p3", "010", "1,5", "", ".5", "5.",
                           "1e", "1e+", "Infinity"})
    EXPECT_FALSE(parse_decimal(text).ok()) << text;
  EXPECT_NE(parse_decimal("1e400").error().message.find("finite"), std::string::npos);
}

}  // namespace
}  // namespace escala::api
