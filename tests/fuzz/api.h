// What the targets of the API's parsers share.
#pragma once

#include <pugixml.hpp>

#include <memory>

#include "api/actions.h"
#include "api/fill.h"
#include "api/routes.h"
#include "api/services.h"
#include "api/validate.h"
#include "base/text.h"
#include "fuzz.h"

namespace escala::fuzz {

inline constexpr TimePoint kNow = TimePoint(std::chrono::seconds(1'795'435'200));  // 2026-11-23T12:00:00Z

inline bool is_text(std::string_view text) {
  return api::find_bad_character(text) == std::string_view::npos;
}

inline void check_error(const api::ApiError& error) {
  HOLDS(!error.code.empty() && !error.message.empty());
  HOLDS(error.http_status >= 400 && error.http_status < 600);
}

inline void check_faults(const api::Faults& faults) {
  HOLDS(faults.size() <= 2 * api::kMaxFaults);  // of reading, and of judging
  for (const api::Fault& fault : faults) HOLDS(!fault.what.empty());
}

// Every operation's request: the first byte of an input chooses one.
inline const api::Action& action_of(Input& input) {
  const auto all = api::actions();
  return all[input.byte() % all.size()];
}

// A node in the request's shape, judged: what passes is text throughout.
inline void fill_and_validate(const api::Action& action, const api::Node& node, const api::FillOptions& options) {
  const std::unique_ptr<google::protobuf::Message> request(action.request->New());
  api::Faults faults;
  api::Marks marks;
  api::fill(*request, node, options, faults, &marks);
  api::validate(*request, faults);
  check_faults(faults);
  if (!faults.empty()) {
    HOLDS(!api::aws_message(faults).empty());
    for (const api::Fault& fault : faults) api::mark_of(marks, fault.path);
    return;
  }
  const Result<std::string> json = api::to_json(*request);
  HOLDS(json.ok() && is_text(*json));
}

// XML that a strict parser takes: characters of XML 1.0 only, well-formed, one root.
inline void parse_strictly(const std::string& xml, pugi::xml_document& document) {
  HOLDS(is_text(xml));
  HOLDS(document.load_buffer(xml.data(), xml.size(), pugi::parse_full | pugi::parse_ws_pcdata, pugi::encoding_utf8));
  HOLDS(document.document_element());
}

}  // namespace escala::fuzz
