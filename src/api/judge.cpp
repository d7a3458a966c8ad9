#include "api/judge.h"

#include <algorithm>
#include <set>

#include "api/apply.h"
#include "api/fill.h"
#include "api/validate.h"
#include "api/yaml_reader.h"

namespace escala::api {

Faults judge_document(std::string_view text, TimePoint now, Document& document, std::vector<std::string>& warnings) {
  Faults faults;
  const std::optional<Node> node = read_yaml(text, faults);
  if (!node) return faults;
  Marks marks;
  fill(document, *node, {}, faults, &marks);
  if (node->kind != Node::Kind::Map) return faults;
  std::set<std::string> unreadable;
  for (const Fault& fault : faults) unreadable.insert(fault.path);
  Faults later;
  validate(document, later);
  check_document(document, now, later, warnings);
  for (Fault& fault : later) {
    // A value that could not be read looks absent: saying so too would be noise.
    if (unreadable.contains(fault.path)) continue;
    fault.mark = mark_of(marks, fault.path);
    faults.push_back(std::move(fault));
  }
  std::stable_sort(faults.begin(), faults.end(), [](const Fault& a, const Fault& b) {
    return std::pair(a.mark.line, a.mark.column) < std::pair(b.mark.line, b.mark.column);
  });
  return faults;
}

}  // namespace escala::api
