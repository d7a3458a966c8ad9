// CreateAccessKey, ListAccessKeys, DeleteAccessKey: ours, over the unix socket only. A secret is shown once, at its
// making; it never appears in logs, exports or the audit log.
#include <fmt/format.h>

#include "api/actions.h"
#include "api/gate.h"
#include "api/security.pb.h"
#include "base/random.h"

namespace escala::api {
namespace {

constexpr size_t kIdLetters = 16;
constexpr size_t kSecretBytes = 20;  // 160 bits, in 40 characters as AWS's secrets have

// "ESCA" and 16 of A-Z2-7: looks like AWS's to programs that check.
std::string new_key_id() {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const std::string random = secret_hex(kIdLetters);
  std::string id = "ESCA";
  for (size_t i = 0; i < kIdLetters; ++i)
    id += kLetters[static_cast<size_t>(random[2 * i] % 16) * 2 + static_cast<size_t>(random[2 * i + 1] % 2)];
  return id;
}

Failure create(const Context& context, const CreateAccessKeyRequest& request, CreateAccessKeyResponse& response) {
  return change(context, [&](Batch& batch) -> Failure {
    response.Clear();
    auto existing = context.store.scan(kAccessKeys, {}, kMaxAccessKeys);
    if (!existing) return from_error(existing.error());
    if (existing->size() >= kMaxAccessKeys)
      return limit_exceeded(fmt::format("this manager has {} access keys, the most it takes", kMaxAccessKeys));
    AccessKey& key = *response.mutable_key();
    key.set_accesskeyid(new_key_id());
    if (request.has_name()) key.set_name(request.name());
    *key.mutable_grants() = request.grants();
    key.set_createdtime(iso8601(context.clock.now()));
    response.set_secretaccesskey(secret_hex(kSecretBytes));
    StoredAccessKey stored;
    *stored.mutable_key() = key;
    stored.set_secret(response.secretaccesskey());
    batch.expect(access_key_record(key.accesskeyid()), 0);
    batch.put(access_key_record(key.accesskeyid()), stored.SerializeAsString());
    return std::nullopt;
  });
}

Failure list(const Context& context, const ListAccessKeysRequest&, ListAccessKeysResponse& response) {
  auto records = context.store.scan(kAccessKeys);
  if (!records) return from_error(records.error());
  for (const Record& record : *records) {
    auto stored = parse<StoredAccessKey>(record.key, record.value);
    if (!stored) return from_error(stored.error());
    *response.add_keys() = stored->key();
  }
  return std::nullopt;
}

Failure remove(const Context& context, const DeleteAccessKeyRequest& request, Empty&) {
  return change(context, [&](Batch& batch) -> Failure {
    const std::string key = access_key_record(request.accesskeyid());
    auto record = context.store.get(key);
    if (!record) return from_error(record.error());
    if (!*record) return validation_error(fmt::format("access key not found - '{}'", shown(request.accesskeyid())));
    batch.expect(key, (*record)->version).erase(key);
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> access_key_actions() {
  return {owner_row("CreateAccessKey", kChanges, create), owner_row("ListAccessKeys", kReads, list),
          owner_row("DeleteAccessKey", kChanges, remove)};
}

}  // namespace escala::api
