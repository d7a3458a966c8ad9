// Answers of AWS and of clouds like it: XmlDocument, and the errors in it.
#include <pugixml.hpp>

#include "fuzz.h"
#include "provider/aws_client.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  return {
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/\">"
      "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><placement><availabilityZone>a"
      "</availabilityZone></placement></item></instancesSet></item></reservationSet><nextToken/>"
      "</DescribeInstancesResponse>",
      "<Response><Errors><Error><Code>Throttling</Code><Message>a &lt; b &#65;</Message></Error></Errors>"
      "<RequestID>r</RequestID></Response>",
      "<ErrorResponse><Error><Code>x</Code></Error></ErrorResponse>",
      "<a><!-- </b> --><![CDATA[</c><d>]]><e f='/>'><?g </h>?></e></a>",
      "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
  };
}

// No tree is deeper, or has more elements, than the header says; all of it can be read.
void check_tree(const XmlDocument& document, std::string_view names) {
  std::vector<std::pair<XmlElement, int>> todo{{document.root(), 1}};
  size_t elements = 0;
  while (!todo.empty()) {
    const auto [element, depth] = todo.back();
    todo.pop_back();
    HOLDS(depth <= kMaxXmlDepth && ++elements <= kMaxXmlElements);
    HOLDS(element && !element.name().empty());
    // Children are asked for by name only: those of the input's own names.
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string name(names.substr(i, 1));
      for (const XmlElement& child : element.all(name.c_str())) todo.emplace_back(child, depth + 1);
    }
  }
}

void fuzz_one(Input input) {
  const std::string text(input.rest());
  const AwsFault fault = parse_fault(text);
  HOLDS(fault.code.size() <= text.size() && fault.message.size() <= text.size());
  const Result<XmlDocument> document = XmlDocument::parse(text);
  if (!document) return check_error(document.error());
  check_tree(*document, "abcdefgh");
  HOLDS(document->root().at("a/b//c").name().size() <= text.size());
  // As pugixml sees it, whatever the names are.
  pugi::xml_document tree;
  HOLDS(tree.load_buffer(text.data(), text.size()));
  struct Depth : pugi::xml_tree_walker {
    bool for_each(pugi::xml_node& node) override {
      if (node.type() == pugi::node_element) HOLDS(depth() < kMaxXmlDepth);
      return true;
    }
  } walker;
  tree.traverse(walker);
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
