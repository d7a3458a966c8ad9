#include "provider/aws_xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

namespace escala {
namespace {

pugi::xml_node as_node(void* node) {
  return pugi::xml_node(static_cast<pugi::xml_node_struct*>(node));
}

Error too_deep() {
  return {ErrorKind::Invalid, fmt::format("XML deeper than {} elements", kMaxXmlDepth)};
}

// Depth and number of elements by counting tags, before there is a tree. Comments and quotes can only make it count
// elements too many, or levels too few.
Status check_bounds(std::string_view text) {
  int depth = 0, deepest = 0;
  size_t elements = 0, close = 0;  // close: the next '>', looked for once only
  for (size_t i = text.find('<'); i != std::string_view::npos && i + 1 < text.size(); i = text.find('<', i + 1)) {
    const char next = text[i + 1];
    if (next == '?' || next == '!') continue;
    if (next == '/') {
      --depth;
      continue;
    }
    ++elements;
    if (close <= i) close = std::min(text.find('>', i), text.size());
    if (text[close - 1] == '/') continue;
    deepest = std::max(deepest, ++depth);
    if (deepest > kMaxXmlDepth) return too_deep();
  }
  if (elements > kMaxXmlElements)
    return Error{ErrorKind::Invalid, fmt::format("XML of {} elements, expected at most {}", elements, kMaxXmlElements)};
  return ok_status();
}

// The depth as it is: the parser itself recurses nowhere, but what reads its tree may.
struct DepthCheck final : pugi::xml_tree_walker {
  bool for_each(pugi::xml_node& node) override { return node.type() != pugi::node_element || depth() < kMaxXmlDepth; }
};

}  // namespace

struct XmlDocument::Content {
  std::string text;  // parsed in place
  pugi::xml_document document;
};

XmlDocument::XmlDocument(std::unique_ptr<Content> content) : content_(std::move(content)) {}
XmlDocument::XmlDocument(XmlDocument&&) noexcept = default;
XmlDocument& XmlDocument::operator=(XmlDocument&&) noexcept = default;
XmlDocument::~XmlDocument() = default;

Result<XmlDocument> XmlDocument::parse(std::string text) {
  if (text.find("<!DOCTYPE") != std::string::npos)
    return Error{ErrorKind::Invalid, "XML with a document type, which no answer of AWS has"};
  if (text.find('\0') != std::string::npos) return Error{ErrorKind::Invalid, "XML with a zero byte"};
  ESCALA_TRY(check_bounds(text));
  auto content = std::make_unique<Content>();
  content->text = std::move(text);
  const pugi::xml_parse_result parsed =
      content->document.load_buffer_inplace(content->text.data(), content->text.size(), pugi::parse_default);
  if (!parsed)
    return Error{ErrorKind::Invalid, fmt::format("malformed XML at byte {}: {}", parsed.offset, parsed.description())};
  if (!content->document.document_element()) return Error{ErrorKind::Invalid, "XML without an element"};
  if (DepthCheck check; !content->document.traverse(check)) return too_deep();
  return XmlDocument(std::move(content));
}

XmlElement XmlDocument::root() const {
  return XmlElement(content_->document.document_element().internal_object());
}

std::string_view XmlElement::name() const {
  return as_node(node_).name();
}

std::string_view XmlElement::text() const {
  return as_node(node_).child_value();
}

XmlElement XmlElement::child(const char* name) const {
  return XmlElement(as_node(node_).child(name).internal_object());
}

XmlElement XmlElement::at(std::string_view path) const {
  XmlElement here = *this;
  while (!path.empty() && here) {
    const size_t slash = path.find('/');
    here = here.child(std::string(path.substr(0, slash)).c_str());
    path = slash == std::string_view::npos ? "" : path.substr(slash + 1);
  }
  return here;
}

std::vector<XmlElement> XmlElement::all(const char* name) const {
  std::vector<XmlElement> out;
  for (const pugi::xml_node& node : as_node(node_).children(name)) out.emplace_back(node.internal_object());
  return out;
}

std::string XmlElement::children_but(std::string_view name) const {
  std::ostringstream out;
  for (const pugi::xml_node& node : as_node(node_).children())
    if (node.name() != name) node.print(out, "", pugi::format_raw);
  return std::move(out).str();
}

}  // namespace escala
