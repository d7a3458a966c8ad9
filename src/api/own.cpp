// Operations that AWS does not have: Apply, Explain, Pause, Resume, SetObserve, DescribeFleet, Export.
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "api/actions.h"
#include "api/apply.h"
#include "api/paging.h"
#include "engine/decision.h"
#include "store/export.h"

namespace escala::api {
namespace {

void explain_reasons(const google::protobuf::RepeatedPtrField<state::Reason>& from,
                     google::protobuf::RepeatedPtrField<ExplainedReason>& to) {
  for (const state::Reason& record : from) {
    const Result<Reason> reason = decode(record);
    if (!reason) continue;  // of a newer version; the rest still explains
    ExplainedReason& out = *to.Add();
    out.set_code(std::string(name(reason->code)));
    out.set_text(sentence(*reason));
  }
}

void explain_decision(const state::Decision& from, ExplainedDecision& to) {
  to.set_at(iso8601(from_us(from.at())));
  to.set_lastat(iso8601(from_us(from.last_at())));
  to.set_desiredbefore(from.desired_before());
  to.set_desiredcapacity(from.desired());
  to.set_minsize(from.min_size());
  to.set_maxsize(from.max_size());
  to.set_inservice(static_cast<int32_t>(from.in_service()));
  to.set_pending(static_cast<int32_t>(from.pending()));
  if (from.has_in_service_units()) to.set_inservicecapacity(static_cast<int32_t>(from.in_service_units()));
  if (from.has_pending_units()) to.set_pendingcapacity(static_cast<int32_t>(from.pending_units()));
  for (const state::AggregateSeen& seen : from.inputs()) {
    ExplainedInput& input = *to.add_inputs();
    input.set_metric(seen.metric());
    if (seen.known())
      input.set_value(seen.value());
    else
      input.set_unknown(seen.unknown());
    input.set_age(seconds(Duration(seen.age())));
    input.set_counted(static_cast<int32_t>(seen.counted()));
    input.set_silent(static_cast<int32_t>(seen.silent()));
    input.set_warming(static_cast<int32_t>(seen.warming()));
  }
  for (const state::Proposal& each : from.proposals()) {
    ExplainedProposal& proposal = *to.add_proposals();
    proposal.set_policyname(each.policy());
    if (each.has_capacity()) proposal.set_capacity(each.capacity());
    explain_reasons(each.reasons(), *proposal.mutable_reasons());
  }
  explain_reasons(from.reasons(), *to.mutable_reasons());
  for (const std::string& action : from.actions()) to.add_actions(action);
  if (from.look_again_at() != 0) to.set_lookagainat(iso8601(from_us(from.look_again_at())));
}

Failure explain(const Context& context, const ExplainRequest& request, ExplainResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  ESCALA_API_LOAD(const LoadedGroup loaded, load_group(context, name));
  response.set_autoscalinggroupname(loaded.group.name.str());
  response.set_now(iso8601(context.clock.now()));
  auto records = context.store.scan(keys::decisions(name));
  if (!records) return from_error(records.error());
  const auto live = context.live.get(name);
  if (live != nullptr) explain_decision(*live, *response.mutable_decision());
  const int wanted = request.has_maxrecords() ? request.maxrecords() : 5;
  for (auto record = records->rbegin(); record != records->rend(); ++record) {
    auto decision = parse<state::Decision>(record->key, record->value);
    if (!decision) return from_error(decision.error());
    if (!response.has_decision())
      explain_decision(*decision, *response.mutable_decision());
    else if (response.earlier_size() < wanted && (live == nullptr || decision->sequence() != live->sequence()))
      explain_decision(*decision, *response.add_earlier());
    if (response.earlier_size() >= wanted) break;
  }
  if (!request.includesnapshot()) return std::nullopt;
  auto snapshots = context.store.scan(keys::decision_snapshots(name));
  if (!snapshots) return from_error(snapshots.error());
  if (snapshots->empty())
    return validation_error(
        fmt::format("group {} has no kept decision with a snapshot yet; try again in a moment", name));
  const auto seen = parse<state::Snapshot>(snapshots->back().key, snapshots->back().value);
  if (!seen) return from_error(seen.error());
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (const auto done = google::protobuf::util::MessageToJsonString(*seen, response.mutable_snapshot(), options);
      !done.ok())
    return ApiError{"InternalFailure", 500, std::string(done.message().data(), done.message().size())};
  return std::nullopt;
}

// The whole fleet's switches: one record.
Failure change_fleet(const Context& context, const std::function<void(state::Fleet&)>& edit) {
  return change(context, [&](Batch& batch) -> Failure {
    auto record = context.store.get(keys::kFleet);
    if (!record) return from_error(record.error());
    state::Fleet fleet;
    if (*record) {
      auto read = parse<state::Fleet>(keys::kFleet, (*record)->value);
      if (!read) return from_error(read.error());
      fleet = std::move(*read);
    }
    edit(fleet);
    batch.expect(keys::kFleet, *record ? (*record)->version : 0).put(keys::kFleet, fleet.SerializeAsString());
    return std::nullopt;
  });
}

Failure pause(const Context& context, const PauseRequest& request, Empty&) {
  const std::string reason = request.has_reason() ? request.reason() : "paused by a user";
  if (request.has_autoscalinggroupname())
    return change_group(context, GroupName(request.autoscalinggroupname()),
                        [&](LoadedGroup& loaded, Batch&) -> Failure {
                          loaded.group.paused = true;
                          loaded.group.paused_reason = reason;
                          return std::nullopt;
                        });
  return change_fleet(context, [&](state::Fleet& fleet) {
    fleet.set_paused(true);
    fleet.set_paused_reason(reason);
    fleet.set_paused_by("api");
    fleet.set_paused_at(to_us(context.clock.now()));
  });
}

Failure resume_control(const Context& context, const ResumeRequest& request, Empty&) {
  if (request.has_autoscalinggroupname())
    return change_group(context, GroupName(request.autoscalinggroupname()),
                        [&](LoadedGroup& loaded, Batch&) -> Failure {
                          loaded.group.paused = false;
                          loaded.group.paused_reason.clear();
                          return std::nullopt;
                        });
  return change_fleet(context, [&](state::Fleet& fleet) {
    fleet.set_paused(false);
    fleet.clear_paused_reason();
    fleet.clear_paused_by();
    fleet.clear_paused_at();
  });
}

Failure set_observe(const Context& context, const SetObserveRequest& request, Empty&) {
  if (request.has_autoscalinggroupname())
    return change_group(context, GroupName(request.autoscalinggroupname()),
                        [&](LoadedGroup& loaded, Batch&) -> Failure {
                          loaded.group.observe = request.observe();
                          return std::nullopt;
                        });
  return change_fleet(context, [&](state::Fleet& fleet) { fleet.set_observe(request.observe()); });
}

Failure describe_fleet(const Context& context, const DescribeFleetRequest&, DescribeFleetResponse& response) {
  auto record = context.store.get(keys::kFleet);
  if (!record) return from_error(record.error());
  state::Fleet fleet;
  if (*record) {
    auto read = parse<state::Fleet>(keys::kFleet, (*record)->value);
    if (!read) return from_error(read.error());
    fleet = std::move(*read);
  }
  response.set_paused(fleet.paused());
  if (fleet.paused()) {
    response.set_pausedreason(fleet.paused_reason());
    response.set_pausedat(iso8601(from_us(fleet.paused_at())));
  }
  response.set_observe(fleet.observe());
  auto groups = context.store.scan(keys::kGroups);
  if (!groups) return from_error(groups.error());
  response.set_groups(static_cast<int32_t>(groups->size()));
  if (const Status writable = context.store.writable(); !writable) response.set_unwritable(writable.error().message);
  return std::nullopt;
}

Failure export_records(const Context& context, const ExportRequest& request, ExportResponse& response) {
  auto json = export_json(context.store, request.prefix());
  if (!json) return from_error(json.error());
  response.set_json(std::move(*json));
  return std::nullopt;
}

}  // namespace

std::vector<Action> own_actions() {
  return {admin_row("Apply", kChanges, apply),
          row("Explain", kReads, explain),
          row("Pause", kChanges, pause),
          row("Resume", kChanges, resume_control),
          row("SetObserve", kChanges, set_observe),
          listing_row("DescribeFleet", describe_fleet),
          admin_row("Export", kChanges, export_records)};  // not a change, but all there is: for the trusted only
}

}  // namespace escala::api
