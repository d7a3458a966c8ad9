// What leaves as XML or JSON is taken by strict parsers, whatever text is in it.
#include "api/xml.h"

#include "api.h"
#include "api/autoscaling.pb.h"
#include "api/json_reader.h"
#include "api/query.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  return {"plain", "<&>\r\n\t\"'", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", std::string("\0\x01\x7f\xff\xfe", 5),
          "\xed\xa0\x80\xef\xbf\xbe]]>"};
}

// What a reader of our XML is to find: the text, with U+FFFD for each byte that is no part of a character.
std::string expected(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t good = std::min(api::find_bad_character(text), text.size());
    out += text.substr(0, good);
    if (good < text.size()) out += "\xEF\xBF\xBD";
    text.remove_prefix(std::min(good + 1, text.size()));
  }
  return out;
}

void fuzz_one(Input input) {
  const std::string text(input.rest());
  std::string xml;
  api::append_element(xml, "a", text);
  pugi::xml_document document;
  parse_strictly(xml, document);
  const std::string wanted = expected(text);
  // A byte of zero ends pugixml's texts; there is none in ours.
  HOLDS(document.child("a").text().get() == wanted);

  api::DescribeAutoScalingGroupsResponse response;
  auto& group = *response.add_autoscalinggroups();
  group.set_autoscalinggroupname(text);
  group.add_availabilityzones(text);
  group.add_tags()->set_value(text);
  for (const api::ListStyle style : {api::ListStyle::Member, api::ListStyle::Flat}) {
    xml = "<r>";
    api::append_members(xml, response, style);
    parse_strictly(xml + "</r>", document);
    const bool member = style == api::ListStyle::Member;  // else as EC2 writes: items, and names that begin small
    const char* item = member ? "member" : "item";
    const pugi::xml_node groups = document.child("r").child(member ? "AutoScalingGroups" : "autoScalingGroups");
    const pugi::xml_node found = groups.child(item);
    HOLDS(found.child_value(member ? "AutoScalingGroupName" : "autoScalingGroupName") == wanted);
    HOLDS(found.child(member ? "AvailabilityZones" : "availabilityZones").child_value(item) == wanted);
  }

  for (const char c : api::warning_header({text}, {text})) HOLDS(c >= 32 && c < 127);
  const Result<api::Node> quoted = api::read_json(api::json_quote(text));
  HOLDS(quoted.ok() && (is_text(text) ? quoted->text == text : is_text(api::json_quote(text))));
  const api::Answer error = api::error_answer({"Code", 400, text}, "id");
  HOLDS(is_text(error.body) && api::read_json(error.body).ok());
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
