#include "app/cli_explain.h"

#include <fmt/format.h>

#include "app/cli_output.h"
#include "base/log.h"
#include "base/time.h"

namespace escala::app {
namespace {

// "3.2 s ago", or the moment itself when one of the two is no moment.
std::string ago(const std::string& moment, const std::string& now) {
  const Result<TimePoint> at = parse_iso8601(moment), to = parse_iso8601(now);
  if (!at || !to) return moment;
  return *at > *to ? "in " + age_text(seconds(*at - *to)) : age_text(seconds(*to - *at)) + " ago";
}

std::string inputs_text(const api::ExplainedDecision& decision, bool colours) {
  std::string out;
  for (const api::ExplainedInput& input : decision.inputs()) {
    const std::string value = input.has_value() ? fmt::format("{:.4g}, {} old", input.value(), age_text(input.age()))
                                                : coloured("unknown: " + input.unknown(), Colour::Red, colours);
    out += fmt::format("  {}: {} ({} counted, {} silent, {} warming up)\n", printable(input.metric()), value,
                       input.counted(), input.silent(), input.warming());
  }
  return out;
}

std::string proposals_text(const api::ExplainedDecision& decision) {
  std::string out;
  for (const api::ExplainedProposal& proposal : decision.proposals()) {
    out += fmt::format("  {}: {}\n", printable(proposal.policyname()),
                       proposal.has_capacity() ? std::to_string(proposal.capacity()) : "cannot say");
    for (const api::ExplainedReason& reason : proposal.reasons())
      out += fmt::format("    {}\n", printable(reason.text()));
  }
  return out;
}

std::string decided(const api::ExplainedDecision& decision) {
  std::string text = fmt::format("desired {} -> {}", decision.desiredbefore(), decision.desiredcapacity());
  if (decision.reasons_size() > 0) text += ": " + printable(decision.reasons(0).text());
  return text;
}

// Newest first; neighbours that say the same share a line.
std::string earlier_text(const api::ExplainResponse& answer) {
  std::string out;
  for (int i = 0; i < answer.earlier_size();) {
    const std::string text = decided(answer.earlier(i));
    int last = i;
    while (last + 1 < answer.earlier_size() && decided(answer.earlier(last + 1)) == text) ++last;
    out += fmt::format("  {}: {}", ago(answer.earlier(i).at(), answer.now()), text);
    if (last > i)
      out += fmt::format(" ({} times, first {})", last - i + 1, ago(answer.earlier(last).at(), answer.now()));
    out += '\n';
    i = last + 1;
  }
  return out;
}

std::string section(const char* title, const std::string& lines, bool colours) {
  return lines.empty() ? "" : coloured(title, Colour::Bold, colours) + "\n" + lines;
}

std::string size_text(double seconds_each, int datapoints) {
  return fmt::format("{} x {} s", datapoints, seconds_each);
}

}  // namespace

std::string explain_text(const api::ExplainResponse& answer, const api::AutoScalingGroup& group, bool colours) {
  std::string out;
  const std::string name = coloured(printable(answer.autoscalinggroupname()), Colour::Bold, colours);
  if (group.paused())
    out += coloured(fmt::format("paused: {}", printable(group.pausedreason())), Colour::Red, colours) + "\n";
  if (group.escala().observe()) out += coloured("observe mode: decides, does not act", Colour::Yellow, colours) + "\n";
  if (!answer.has_decision()) return out + name + ": not decided yet\n";
  const api::ExplainedDecision& decision = answer.decision();
  const std::string there =
      decision.has_inservicecapacity()
          ? fmt::format("{} units in service ({} instances), {} units coming", decision.inservicecapacity(),
                        decision.inservice(), decision.pendingcapacity())
          : fmt::format("{} in service, {} coming", decision.inservice(), decision.pending());
  out += fmt::format("{}: desired {} (min {}, max {}), {}; decided {}\n", name, decision.desiredcapacity(),
                     decision.minsize(), decision.maxsize(), there, ago(decision.lastat(), answer.now()));
  if (decision.desiredbefore() != decision.desiredcapacity())
    out += fmt::format("changed from {} to {}\n", decision.desiredbefore(), decision.desiredcapacity());
  out += section("it saw", inputs_text(decision, colours), colours);
  out += section("the policies proposed", proposals_text(decision), colours);
  std::string why, actions;
  for (const api::ExplainedReason& reason : decision.reasons()) why += fmt::format("  {}\n", printable(reason.text()));
  for (const std::string& action : decision.actions()) actions += fmt::format("  {}\n", printable(action));
  out += section("why this, and not more or less", why, colours);
  out += section("it does", actions, colours);
  if (decision.has_lookagainat())
    out += fmt::format("next look by itself: {}\n", ago(decision.lookagainat(), answer.now()));
  const std::string earlier = earlier_text(answer);
  return out + section("before that", earlier, colours);
}

std::string policy_text(const api::ScalingPolicy& policy) {
  if (policy.has_targettrackingconfiguration()) {
    const api::TargetTrackingConfiguration& config = policy.targettrackingconfiguration();
    const std::string metric = config.has_predefinedmetricspecification()
                                   ? config.predefinedmetricspecification().predefinedmetrictype()
                                   : config.customizedmetricspecification().metricname();
    const int period = config.has_period() ? config.period() : 60;
    return fmt::format("{} at {}, out after {}, in after {}", metric, config.targetvalue(),
                       size_text(period, config.has_scaleoutdatapoints() ? config.scaleoutdatapoints() : 3),
                       config.disablescalein()
                           ? "never"
                           : size_text(period, config.has_scaleindatapoints() ? config.scaleindatapoints() : 15));
  }
  if (policy.stepadjustments_size() > 0)
    return fmt::format("{} in {} steps", policy.adjustmenttype(), policy.stepadjustments_size());
  return fmt::format("{} {:+}", policy.adjustmenttype(), policy.scalingadjustment());
}

}  // namespace escala::app
