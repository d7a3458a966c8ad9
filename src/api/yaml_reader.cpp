#include "api/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <set>
#include <sstream>

namespace escala::api {
namespace {

Mark to_mark(const YAML::Mark& mark) {
  return mark.is_null() ? Mark{} : Mark{mark.line + 1, mark.column + 1};
}

Mark mark_at(std::string_view text, size_t at) {
  Mark mark{1, 1};
  for (size_t i = 0; i < at; ++i) {
    mark.column = text[i] == '\n' ? 1 : mark.column + 1;
    if (text[i] == '\n') ++mark.line;
  }
  return mark;
}

size_t count(const Node& node) {
  size_t n = 1;
  for (const Node& item : node.items) n += count(item);
  for (const Entry& entry : node.entries) n += count(entry.value);
  return n;
}

// Thrown through yaml-cpp to leave it, caught in read_yaml.
struct Stop {
  Fault fault;
};

// Builds the tree. A mapping's key arrives as a node of its own and waits until its value comes.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Faults& faults) : faults_(faults) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf({.mark = to_mark(mark)}, anchor); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    leaf({.kind = Node::Kind::Scalar, .text = value, .quoted = tag == "!", .mark = to_mark(mark)}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw Stop{{.path = {}, .what = "an alias refers to itself", .aws = {}, .mark = to_mark(mark)}};
    expanded_ += count(found->second);
    if (expanded_ > kMaxAliasNodes)
      throw Stop{{.path = {},
                  .what = fmt::format("aliases expand to more than {} nodes", kMaxAliasNodes),
                  .aws = {},
                  .mark = to_mark(mark)}};
    Node copy = found->second;
    copy.mark = to_mark(mark);
    finish(std::move(copy));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open({.kind = Node::Kind::List, .mark = to_mark(mark)}, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open({.kind = Node::Kind::Map, .mark = to_mark(mark)}, anchor);
  }
  void OnMapEnd() override { close(); }

  std::optional<Node> take() { return std::move(root_); }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    std::optional<Node> key;
  };

  void grow(const Mark& mark) {
    if (++nodes_ > kMaxNodes)
      throw Stop{{.path = {}, .what = fmt::format("more than {} values", kMaxNodes), .aws = {}, .mark = mark}};
  }
  void leaf(Node node, YAML::anchor_t anchor) {
    grow(node.mark);
    if (anchor != 0) anchors_[anchor] = node;
    finish(std::move(node));
  }
  void open(Node node, YAML::anchor_t anchor) {
    grow(node.mark);
    if (stack_.size() >= static_cast<size_t>(kMaxDepth))
      throw Stop{{.path = {}, .what = fmt::format("nesting deeper than {}", kMaxDepth), .aws = {}, .mark = node.mark}};
    stack_.push_back({std::move(node), anchor, std::nullopt});
  }
  void close() {
    Open done = std::move(stack_.back());
    stack_.pop_back();
    if (done.anchor != 0) anchors_[done.anchor] = done.node;
    finish(std::move(done.node));
  }
  void finish(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == Node::Kind::List) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      if (node.kind != Node::Kind::Scalar)
        throw Stop{{.path = {},
                    .what = fmt::format("expected a name as key, found {}", describe(node)),
                    .aws = {},
                    .mark = node.mark}};
      parent.key = std::move(node);
    } else {
      add(parent, std::move(node));
    }
  }
  void add(Open& parent, Node value) {
    const Node key = std::move(*parent.key);
    parent.key.reset();
    for (const Entry& entry : parent.node.entries)
      if (entry.key == key.text) {
        faults_.push_back(
            {.path = {},
             .what = fmt::format("'{}' repeated (first at {}:{})", shown(key.text), entry.mark.line, entry.mark.column),
             .aws = {},
             .mark = key.mark});
        return;
      }
    parent.node.entries.push_back({key.text, key.mark, std::move(value)});
  }

  Faults& faults_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::optional<Node> root_;
  size_t nodes_ = 0;
  size_t expanded_ = 0;
};

// What can be seen in the bytes, before any parsing.
std::optional<Fault> check_bytes(std::string_view text) {
  if (text.size() > kMaxDocumentBytes)
    return Fault{
        .path = {}, .what = fmt::format("{} bytes; at most {}", text.size(), kMaxDocumentBytes), .aws = {}, .mark = {}};
  if (const size_t bad = find_bad_character(text); bad != std::string_view::npos) {
    const Mark mark = mark_at(text, bad);
    const unsigned byte = static_cast<unsigned char>(text[bad]);
    return Fault{.path = {},
                 .what = byte < 0x20 || byte == 0x7F ? fmt::format("control character 0x{:02X} is not allowed", byte)
                                                     : fmt::format("byte 0x{:02X} is not valid UTF-8 text", byte),
                 .aws = {},
                 .mark = mark};
  }
  bool indentation = true;
  for (size_t i = 0; i < text.size(); ++i) {
    if (indentation && text[i] == '\t')
      return Fault{
          .path = {}, .what = "tabs are not allowed as indentation; use spaces", .aws = {}, .mark = mark_at(text, i)};
    indentation = text[i] == '\n' || (indentation && text[i] == ' ');
  }
  return std::nullopt;
}

}  // namespace

std::optional<Node> read_yaml(std::string_view text, Faults& faults) {
  if (auto fault = check_bytes(text)) {
    faults.push_back(std::move(*fault));
    return std::nullopt;
  }
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(faults);
    if (!parser.HandleNextDocument(builder)) {
      faults.push_back({.path = {}, .what = "empty; expected 'version: 1'", .aws = {}, .mark = {}});
      return std::nullopt;
    }
    std::optional<Node> root = builder.take();
    Faults ignored;
    Builder second(ignored);
    if (parser.HandleNextDocument(second)) {
      const std::optional<Node> other = second.take();
      faults.push_back({.path = {}, .what = "more than one document", .aws = {}, .mark = other ? other->mark : Mark{}});
    }
    return root;
  } catch (const Stop& stop) {
    faults.push_back(stop.fault);
  } catch (const YAML::Exception& error) {
    faults.push_back({.path = {}, .what = shown(error.msg), .aws = {}, .mark = to_mark(error.mark)});
  }
  return std::nullopt;
}

}  // namespace escala::api
