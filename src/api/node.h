// A document before it has a type: what the readers of JSON, YAML (and later the Query protocol) give, and api/fill
// turns into messages. Every part knows where it stood, so that faults can be told with line and column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace escala::api {

inline constexpr int kMaxDepth = 32;              // of nested lists and mappings
inline constexpr size_t kMaxNodes = 200'000;      // in one document
inline constexpr size_t kMaxAliasNodes = 10'000;  // that YAML aliases may add
inline constexpr size_t kMaxDocumentBytes = 1 << 20;
inline constexpr size_t kMaxFaults = 100;  // told at once; a file that is not ours at all has thousands

// 1-based; 0 = unknown. Columns count bytes.
struct Mark {
  int line = 0;
  int column = 0;
  friend bool operator==(const Mark&, const Mark&) = default;
};

// One thing wrong with what somebody wrote.
struct Fault {
  std::string path;  // "AutoScalingGroups[0].MinSize"; empty = the whole document
  std::string what;  // for people: what is wrong; what was expected
  std::string aws;   // AWS's sentence; empty = the same as `what`
  Mark mark;
};
using Faults = std::vector<Fault>;
// `aws`: AWS's sentence, where it is not `what` without its path.
inline void add(Faults& faults, const std::string& path, const std::string& what, const std::string& aws = {}) {
  faults.push_back(
      {.path = path, .what = path.empty() ? what : path + ": " + what, .aws = aws.empty() ? what : aws, .mark = {}});
}

struct Entry;

struct Node {
  enum class Kind : uint8_t { Null, Scalar, List, Map };
  Kind kind = Kind::Null;
  std::string text;     // Scalar
  bool quoted = false;  // Scalar: written as text; "5" is not a number
  Mark mark;
  std::vector<Node> items;     // List
  std::vector<Entry> entries;  // Map, in the order written; keys are unique

  const Node* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Mark mark;
  Node value;
};

// For messages: "a list", "text 'abc'"; long text is cut.
std::string describe(const Node& node);
// The text for a message: control characters as \xNN, at most 80 characters.
std::string shown(std::string_view text);

// The first byte that is no valid UTF-8, or is a control character other than tab, CR and LF, or U+FFFE and U+FFFF:
// what XML 1.0, hence every AWS SDK, refuses. npos when all is well.
size_t find_bad_character(std::string_view text);
// How AWS says so.
inline constexpr std::string_view kLegalText =
    "Member must satisfy regular expression pattern: "
    "[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r\\n\\t]*";

}  // namespace escala::api
