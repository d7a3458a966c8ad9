// The faces that AWS's clients speak, over the same operations as the JSON face: the Query protocol (form in, XML out)
// and awsJson1.0 (newer clients of CloudWatch). No sockets here.
#pragma once

#include "api/routes.h"
#include "api/services.h"

namespace escala::api {

inline constexpr size_t kMaxInflatedBytes = 1 << 20;  // of a body that came with Content-Encoding: gzip

// POST / with a form. `owner`: may go unsigned.
Answer query(const Context& context, const Head& head, const std::string& body, bool owner,
             const std::string& request_id);
// POST / with X-Amz-Target.
Answer aws_json(const Context& context, const Head& head, const std::string& body, bool owner);

// Signed requests are the key's, others the owner's where that is allowed, else refused (MissingAuthenticationToken).
// On success context.caller points to `caller` or is null.
Failure authenticate(Context& context, Caller& caller, const Head& head, std::string_view body, bool owner,
                     std::string_view service);

// Fields that were taken without effect, by path, each with the reason: "EbsOptimized: ...".
std::vector<std::string> ignored_fields(const google::protobuf::Message& request);
// As x-escala-warning: one line of printable ASCII; empty for none.
std::string warning_header(const std::vector<std::string>& unknown, const std::vector<std::string>& ignored);

}  // namespace escala::api
