// Answers of AWS's Query protocol, as a tree behind pugixml, which is kept out of everybody else's sight. Bounds on
// size, depth and number of elements are checked before anybody sees the tree; there is no DTD, hence no entities but
// the five of XML itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala {

inline constexpr int kMaxXmlDepth = 32;
inline constexpr size_t kMaxXmlElements = 400'000;

// An element of a document, or none: every question to none answers empty. Valid as long as its document.
class XmlElement {
 public:
  XmlElement() = default;
  explicit XmlElement(void* node) : node_(node) {}
  explicit operator bool() const { return node_ != nullptr; }
  std::string_view name() const;
  std::string_view text() const;  // its own
  XmlElement child(const char* name) const;
  // "placement/availabilityZone"
  XmlElement at(std::string_view path) const;
  std::string get(std::string_view path) const { return std::string(at(path).text()); }
  // The children with this name, e.g. the "item"s of a list.
  std::vector<XmlElement> all(const char* name) const;
  // Its children as XML again, but those of this name.
  std::string children_but(std::string_view name) const;

 private:
  void* node_ = nullptr;  // pugi::xml_node_struct
};

class XmlDocument {
 public:
  // Invalid when it is not well-formed, is truncated, or passes a bound.
  static Result<XmlDocument> parse(std::string text);
  XmlDocument(XmlDocument&&) noexcept;
  XmlDocument& operator=(XmlDocument&&) noexcept;
  ~XmlDocument();
  XmlElement root() const;

 private:
  struct Content;
  explicit XmlDocument(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content_;
};

}  // namespace escala
