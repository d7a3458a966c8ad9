// The API's JSON: read_json, fill, validate; and what json_quote writes comes back.
#include "api/json_reader.h"

#include "api.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  const std::string first(1, '\0');
  return {
      first + R"({"AutoScalingGroupName": "web", "MinSize": 1, "MaxSize": 4, "Tags": [{"Key": "k", "Value": "v"}]})",
      first + R"({"a": [1, -2.5e3, true, false, null, "x\n\u00e4\ud83d\ude00\"\\"], "b": {}, "c": []})",
      first + R"([[[[[[["deep"]]]]]]])",
      first + R"({"Namespace": "app", "MetricData": [{"MetricName": "m", "Value": 1, "Timestamp": 1795435200.5}]})",
  };
}

void write(const api::Node& node, std::string& out) {
  switch (node.kind) {
    case api::Node::Kind::Null:
      out += "null";
      return;
    case api::Node::Kind::Scalar:
      out += node.quoted ? api::json_quote(node.text) : node.text;
      return;
    case api::Node::Kind::List:
      out += '[';
      for (const api::Node& item : node.items) {
        if (&item != &node.items.front()) out += ',';
        write(item, out);
      }
      out += ']';
      return;
    case api::Node::Kind::Map:
      out += '{';
      for (const api::Entry& entry : node.entries) {
        if (&entry != &node.entries.front()) out += ',';
        out += api::json_quote(entry.key) + ':';
        write(entry.value, out);
      }
      out += '}';
  }
}

int depth_of(const api::Node& node) {
  int deepest = 0;
  for (const api::Node& item : node.items) deepest = std::max(deepest, 1 + depth_of(item));
  for (const api::Entry& entry : node.entries) deepest = std::max(deepest, 1 + depth_of(entry.value));
  return deepest;
}

void check_text(const api::Node& node) {
  HOLDS(is_text(node.text));
  for (const api::Node& item : node.items) check_text(item);
  for (const api::Entry& entry : node.entries) {
    HOLDS(is_text(entry.key) && node.find(entry.key) == &entry.value);
    check_text(entry.value);
  }
}

void fuzz_one(Input input) {
  const api::Action& action = action_of(input);
  const Result<api::Node> node = api::read_json(input.rest());
  if (!node) {
    HOLDS(is_text(node.error().message));
    return check_error(node.error());
  }
  HOLDS(depth_of(*node) <= api::kMaxDepth + 1);
  check_text(*node);
  std::string written, again;
  write(*node, written);
  const Result<api::Node> read = api::read_json(written);
  HOLDS(read.ok());
  write(*read, again);
  HOLDS(written == again);
  fill_and_validate(action, *node, {.plain_text = false, .null_is_absent = true});
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
