// `escala ctl key create|list|delete`: who may sign requests, and what they may then do.
#include <fmt/format.h>

#include <cstdio>

#include "api/node.h"
#include "api/security.pb.h"
#include "api/suggest.h"
#include "app/ctl.h"

namespace escala::app {
namespace {

std::string grants_text(const api::AccessKey& key) {
  std::string out;
  for (const api::AccessGrant& grant : key.grants())
    out += fmt::format("{}{}:{}", out.empty() ? "" : ", ", grant.role(), grant.groups());
  return out;
}

}  // namespace

int Ctl::key() {
  const std::string& verb = options_.verb;
  if (verb == "create") return create_key();
  if (verb == "list") return list_keys();
  if (verb == "delete") return delete_key();
  return complain(fmt::format("ctl key: '{}'; expected create, list or delete{}", api::shown(verb),
                              api::did_you_mean(verb, std::vector<std::string>{"create", "list", "delete"})),
                  2);
}

int Ctl::create_key() {
  api::CreateAccessKeyRequest request;
  if (!options_.key_name.empty()) request.set_name(options_.key_name);
  if (options_.grants.empty())
    return complain("ctl key create: --grant ROLE:GROUPS is missing, such as --grant operate:web-*", 2);
  for (const std::string& text : options_.grants) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos)
      return complain(
          fmt::format("--grant: '{}'; expected ROLE:GROUPS such as read:* or operate:web-*", api::shown(text)), 2);
    api::AccessGrant& grant = *request.add_grants();
    grant.set_role(text.substr(0, colon));
    grant.set_groups(text.substr(colon + 1));
  }
  api::CreateAccessKeyResponse made;
  if (const Status done = client_.call("CreateAccessKey", request, made); !done) return fail(done.error());
  if (options_.output == "json") {
    std::fputs(pretty_json(made).c_str(), stdout);
  } else {
    std::printf("aws_access_key_id = %s\naws_secret_access_key = %s\n", made.key().accesskeyid().c_str(),
                made.secretaccesskey().c_str());
    std::fputs("The secret is not shown again.\n", stderr);
  }
  return 0;
}

int Ctl::list_keys() {
  api::ListAccessKeysResponse answer;
  if (const Status done = client_.call("ListAccessKeys", api::ListAccessKeysRequest(), answer); !done)
    return fail(done.error());
  Table table({"KEY", "NAME", "GRANTS", "CREATED"});
  for (const api::AccessKey& key : answer.keys())
    table.add({{key.accesskeyid()}, {key.name()}, {grants_text(key)}, {key.createdtime()}});
  return show(answer, table, "no access keys");
}

int Ctl::delete_key() {
  if (options_.names.size() != 1) return complain("ctl key delete: expected one access key id", 2);
  api::DeleteAccessKeyRequest request;
  request.set_accesskeyid(options_.names[0]);
  api::Empty none;
  if (const Status done = client_.call("DeleteAccessKey", request, none); !done) return fail(done.error());
  std::printf("key %s: deleted\n", options_.names[0].c_str());
  return 0;
}

}  // namespace escala::app
