// The head of an HTTP/1.1 request, read strictly: whatever two programs could read in two ways is refused (S-20). Known
// parsers, Beast's among them, accept repeated Host fields, folded lines, lists of transfer codings; a request that a
// proxy and we understand differently is how requests are smuggled. Pure; no sockets here.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>

namespace escala::api {

inline constexpr size_t kMaxHeadBytes = 8 << 10;
inline constexpr size_t kMaxHeaders = 64;
inline constexpr size_t kMaxTargetBytes = 2 << 10;

struct Head {
  std::string method;
  std::string target;                         // origin form: begins with '/', ASCII 33-126
  std::map<std::string, std::string> fields;  // names in lower case; of a repeated harmless field, the last value
  std::set<std::string> repeated;             // names given more than once
  size_t content_length = 0;
  bool has_body = false;  // a Content-Length was there, even 0
  bool keep_alive = true;
  bool expects_continue = false;

  std::string_view field(const std::string& lower_name) const {
    const auto found = fields.find(lower_name);
    return found == fields.end() ? std::string_view() : std::string_view(found->second);
  }
};

struct Refusal {
  int status = 400;
  std::string why;
};

// `text` ends with the empty line. Bodies come with Content-Length only: transfer codings are refused as a whole.
std::variant<Head, Refusal> parse_head(std::string_view text, size_t max_body_bytes);

// "%2F" -> "/". False for a bad escape, a NUL, or what is no valid text.
bool percent_decode(std::string_view text, std::string& out);

}  // namespace escala::api
