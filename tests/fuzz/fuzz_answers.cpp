// Short answers of others: credentials in JSON, the files of AWS profiles, HAProxy's statistics.
#include "fuzz.h"
#include "provider/aws_json.h"
#include "provider/aws_settings.h"
#include "traffic/haproxy.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  return {
      R"({"AccessKeyId": "a", "SecretAccessKey": "b\u00e4\n", "Expiration": "2026-11-23T12:00:00Z", "Version": 1})",
      R"({"a": {"b": [1, {"c": null}]}, "d": true, "e": "\ud83d\ude00"})",
      "[default]\nregion = a # comment\n\n[profile x]\nsource_profile=y\n  nested = z\nkey = a#b\n[open\n",
      "# pxname,svname,addr,status,check_status,scur\nweb,a,127.0.0.1:80,UP 1/2,L7OK,3\nweb,BACKEND,,UP,,5\n",
  };
}

void fuzz_one(Input input) {
  const auto members = parse_flat_json(input.rest());
  if (!members) check_error(members.error());
  for (const auto& [section, settings] : parse_sections(input.rest()))
    for (const auto& [name, value] : settings) {
      HOLDS(name.find('\n') == std::string::npos && value.find('\n') == std::string::npos);
      HOLDS(section.size() + name.size() + value.size() < input.rest().size());
    }
  const auto servers = traffic::parse_stat(std::string(input.rest()), "web");
  if (!servers) return check_error(servers.error());
  for (const traffic::Server& server : *servers) HOLDS(server.name.size() < input.rest().size());
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
