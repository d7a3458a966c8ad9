// A document of `escala apply` -> groups. Checked twice by the same code: where the file is, so that faults can be told
// with line and column, and where the store is. A group is created or changed in one atomic batch.
#pragma once

#include "api/autoscaling.pb.h"
#include "api/context.h"

namespace escala::api {

inline constexpr int kDocumentVersion = 1;

// Everything that can be said of the document without knowing what exists; on top of api/validate. `warnings` are
// sentences about what is allowed and hardly meant. now: the calendar's.
void check_document(const Document& document, TimePoint now, Faults& faults, std::vector<std::string>& warnings);

// The group that a document's part describes, as it would be made where none of its name exists. For simulations:
// faults were told by judge_document. now: the calendar's.
Group group_of(const GroupDocument& from, TimePoint now);

// ApplyRequest's handler.
Failure apply(const Context& context, const ApplyRequest& request, ApplyResponse& response);

// The name of a group's inline launch configuration: the group's, and a hash of the contents.
std::string inline_spec_name(const std::string& group, const LaunchConfiguration& configuration);

}  // namespace escala::api
