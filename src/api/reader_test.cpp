// What the readers of JSON and YAML take, and what they refuse: rows 21-31 of the catalogue of bad inputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "api/json_reader.h"
#include "api/yaml_reader.h"

namespace escala::api {
namespace {

using testing::HasSubstr;

std::string json_fault(std::string_view text) {
  const auto node = read_json(text);
  return node.ok() ? "" : node.error().message;
}

// "line:column: what" of the first fault.
std::string yaml_fault(std::string_view text) {
  Faults faults;
  (void)read_yaml(text, faults);
  if (faults.empty()) return "";
  return std::to_string(faults[0].mark.line) + ":" + std::to_string(faults[0].mark.column) + ": " + faults[0].what;
}

TEST(Json, ReadsWhatTheStandardAllows) {
  const auto node = read_json(R"( {"a": [1, -2.5e3, true, null], "b": {"c": "x\"\u00e9\ud83d\ude00\n"}} )");
  ASSERT_TRUE(node.ok()) << node.error().message;
  const Node* list = node->find("a");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->items.size(), 4U);
  EXPECT_EQ(list->items[1].text, "-2.5e3");
  EXPECT_FALSE(list->items[1].quoted);
  EXPECT_EQ(list->items[3].kind, Node::Kind::Null);
  EXPECT_EQ(node->find("b")->find("c")->text, "x\"\xC3\xA9\xF0\x9F\x98\x80\n");
}

TEST(Json, RefusesTheRest) {
  EXPECT_THAT(json_fault("{\"a\":1,\"a\":2}"), HasSubstr("'a' given twice"));
  EXPECT_THAT(json_fault("{\"a\":1\n x}"), HasSubstr("2:2: expected ',' or '}'"));
  for (const char* text : {"",
                           "{",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "'a'",
                           "[1] [2]",
                           "\"\\ud800\"",
                           "\"\\udc00x\"",
                           "\"\\x\"",
                           "\"\n\"",
                           "\"abc",
                           "nul",
                           "{\"a\"}",
                           "[NaN]",
                           "\"\xff\"",
                           "{\"\xc0\x80\":1}",
                           "\"\\u0000\"",
                           "\"\\b\"",
                           "\"\\uffff\""})
    EXPECT_NE(json_fault(text), "") << text;
  EXPECT_THAT(json_fault(std::string(100'000, '[')), HasSubstr("nesting deeper than 32"));
}

TEST(Yaml, KeepsPositionsAndQuotes) {
  Faults faults;
  const auto node = read_yaml("version: 1\nlist:\n  - a: '5'\n  - b\n", faults);
  ASSERT_TRUE(node && faults.empty());
  EXPECT_FALSE(node->find("version")->quoted);
  const Node& first = node->find("list")->items[0];
  EXPECT_TRUE(first.find("a")->quoted);
  EXPECT_EQ(first.entries[0].mark, (Mark{3, 5}));
  EXPECT_EQ(first.find("a")->mark, (Mark{3, 8}));
}

TEST(Yaml, TellsFaultsWithTheirPosition) {
  EXPECT_EQ(yaml_fault("a: 1\nb: 2\na: 3\n"), "3:1: 'a' repeated (first at 1:1)");
  EXPECT_EQ(yaml_fault("a: 1\n---\nb: 2\n"), "3:1: more than one document");
  EXPECT_THAT(yaml_fault(""), HasSubstr("empty; expected 'version: 1'"));
  EXPECT_THAT(yaml_fault("# only a comment\n"), HasSubstr("empty; expected 'version: 1'"));
  EXPECT_EQ(yaml_fault("a:\n\tb: 1\n"), "2:1: tabs are not allowed as indentation; use spaces");
  EXPECT_EQ(yaml_fault("a: \"x\xFF\"\n"), "1:6: byte 0xFF is not valid UTF-8 text");
  EXPECT_EQ(yaml_fault("a:\nd: \"\\x84\\"), "2:11: unknown escape character: \\x04");  // the parser's own word
  EXPECT_EQ(yaml_fault(std::string_view("a: \0", 4)), "1:4: control character 0x00 is not allowed");
  EXPECT_THAT(yaml_fault("a: [1, 2"), HasSubstr(":"));
  EXPECT_THAT(yaml_fault("? [a]\n: 1\n"), HasSubstr("expected a name as key, found a list"));
  EXPECT_THAT(yaml_fault("a: &x [*x]\n"), HasSubstr("alias"));
}

TEST(Yaml, BombsAreRefusedQuickly) {
  const auto start = std::chrono::steady_clock::now();
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 8; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) bomb += (k > 0 ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(yaml_fault(bomb), HasSubstr("aliases expand to more than 10000 nodes"));
  EXPECT_THAT(yaml_fault(std::string(100'000, '[')), HasSubstr("nesting deeper than 32"));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_THAT(yaml_fault(deep), HasSubstr("nesting deeper than 32"));
  EXPECT_THAT(yaml_fault("a: '" + std::string(2 << 20, 'x') + "'"), HasSubstr("at most 1048576"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace escala::api
