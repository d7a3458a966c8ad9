#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

#include "base/time.h"
#include "engine/reason_sentences.h"

namespace escala {
namespace {

// The facts of a reason, ready to be put into words.
class Facts {
 public:
  explicit Facts(const Reason& reason) : reason_(reason) {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  double number(std::string_view key) const {
    const Fact* fact = find(key);
    const double* value = fact == nullptr ? nullptr : std::get_if<double>(&fact->value);
    return value == nullptr ? 0 : *value;
  }
  // At most two decimals, and none where there are none.
  std::string amount(std::string_view key) const {
    std::string text = fmt::format("{:.2f}", number(key));
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text == "-0" ? "0" : text;
  }
  std::string text(std::string_view key) const {
    const Fact* fact = find(key);
    const std::string* value = fact == nullptr ? nullptr : std::get_if<std::string>(&fact->value);
    return value == nullptr ? std::string() : *value;
  }
  // A time left, in whole seconds or finer below one.
  std::string wait(std::string_view key) const {
    const double s = number(key);
    return to_text(from_seconds(s >= 1 ? std::ceil(s) : std::ceil(s * 1000) / 1000));
  }
  // "mean CPUUtilization 83.2 %": a unit only where the metric has one.
  std::string measured() const { return fmt::format("{} {}{}", text("metric"), amount("value"), unit()); }
  std::string with_unit(std::string_view key) const { return amount(key) + std::string(unit()); }
  // "policy cpu: ", or nothing.
  std::string who(std::string_view what) const {
    return reason_.subject.empty() ? std::string() : fmt::format("{} {}: ", what, reason_.subject);
  }
  const std::string& subject() const { return reason_.subject; }

 private:
  const Fact* find(std::string_view key) const {
    for (const Fact& fact : reason_.facts)
      if (fact.key == key) return &fact;
    return nullptr;
  }
  std::string_view unit() const {
    const std::string metric = text("metric");
    const bool counts = metric.starts_with("number of") || metric.starts_with("sum of");
    return metric.ends_with("Utilization") && !counts ? " %" : "";
  }

  const Reason& reason_;
};

std::string machines(double n) {
  return fmt::format("{:g} instance{}", n, n == 1 ? "" : "s");
}

std::string over_target(const Facts& f) {
  return fmt::format("{}{} is above the target of {}, which takes {}", f.who("policy"), f.measured(),
                     f.with_unit("target"), machines(f.number("capacity")));
}

std::string under_target(const Facts& f) {
  return fmt::format("{}{} is below the target of {}, for which {} would do", f.who("policy"), f.measured(),
                     f.with_unit("target"), machines(f.number("capacity")));
}

std::string within_tolerance(const Facts& f) {
  return fmt::format("{}{} is near enough to the target of {}", f.who("policy"), f.measured(), f.with_unit("target"));
}

std::string target_reached(const Facts& f) {
  if (f.has("alarm"))
    return fmt::format("{}alarm {} has fired, and what it asks for is there already", f.who("policy"), f.text("alarm"));
  return fmt::format("{}{} against a target of {} needs no other capacity than there is", f.who("policy"), f.measured(),
                     f.with_unit("target"));
}

std::string alarm_fired(const Facts& f) {
  std::string text = fmt::format("{}alarm {} is in ALARM", f.who("policy"), f.text("alarm"));
  if (f.has("value")) text += fmt::format(", {} against {}", f.measured(), f.with_unit("threshold"));
  if (f.has("capacity")) text += fmt::format(", which asks for {}", machines(f.number("capacity")));
  return text;
}

std::string alarm_ok(const Facts& f) {
  if (!f.has("alarm")) return f.who("policy") + "no alarm asks for it";
  std::string text = fmt::format("{}alarm {} is OK", f.who("policy"), f.text("alarm"));
  if (f.has("value")) text += fmt::format(", {} against {}", f.measured(), f.with_unit("threshold"));
  return text;
}

std::string insufficient_data(const Facts& f) {
  return fmt::format("{}alarm {} has too little data of {}", f.who("policy"), f.text("alarm"), f.text("metric"));
}

std::string metric_unknown(const Facts& f) {
  std::string text = fmt::format("{}{} is unknown ({})", f.who("policy"), f.text("metric"), f.text("cause"));
  if (f.has("of")) text += fmt::format(", {:g} of {} report it", f.number("counted"), machines(f.number("of")));
  return text;
}

std::string in_flight(const Facts& f) {
  std::string text;
  const auto add = [&](std::string_view key, std::string_view words) {
    if (f.number(key) > 0) text += fmt::format("{}{:g} {}", text.empty() ? "" : ", ", f.number(key), words);
  };
  add("warming", "warming up");
  add("coming", "launching");
  add("terminating", "terminating");
  return text.empty() ? "instances are on their way" : text;
}

std::string warming_up(const Facts& f) {
  std::string text = fmt::format("{}what was ordered is on its way: {}", f.who("policy"), in_flight(f));
  if (f.has("seconds")) text += fmt::format(", the next is warm in {}", f.wait("seconds"));
  return text;
}

std::string sample_refused(const Facts& f) {
  return fmt::format("{:g} impossible value{} of {} refused{}", f.number("count"), f.number("count") == 1 ? "" : "s",
                     f.text("metric"), f.subject().empty() ? "" : fmt::format(", among them of {}", f.subject()));
}

std::string suspect_change(const Facts& f) {
  return fmt::format("{}{} fell from {} to {} within one period; held until it proves true", f.who("policy"),
                     f.text("metric"), f.with_unit("before"), f.with_unit("value"));
}

std::string clamped_to_min(const Facts& f) {
  return fmt::format("{:g} is below the minimum size of {:g}", f.number("wanted"), f.number("bound"));
}

std::string clamped_to_max(const Facts& f) {
  return fmt::format("{:g} is above the maximum size of {:g}", f.number("wanted"), f.number("bound"));
}

std::string cooldown_active(const Facts& f) {
  if (!f.has("seconds")) return f.who("policy") + "the activity before is not done, its cooldown follows";
  return fmt::format("{}in cooldown for another {}", f.who("policy"), f.wait("seconds"));
}

std::string stabilization_holds(const Facts& f) {
  return fmt::format("{}{:g} is wanted, {:g} held by the stabilization window for another {}", f.who("policy"),
                     f.number("wanted"), f.number("held"), f.wait("seconds"));
}

std::string scale_in_disabled(const Facts& f) {
  return fmt::format("{}{:g} would do, but it does not scale in", f.who("policy"), f.number("wanted"));
}

std::string scale_in_not_agreed(const Facts& f) {
  return fmt::format("{:g} would do for some, but {} does not agree", f.number("wanted"),
                     f.subject().empty() ? "not every policy" : fmt::format("policy {}", f.subject()));
}

std::string launch_in_progress(const Facts& f) {
  return fmt::format("{}waiting for what is under way: {}", f.who("policy"), in_flight(f));
}

std::string fail_static(const Facts& f) {
  return fmt::format("held at {:g}: nothing is removed while an input of policy {} is unknown", f.number("held"),
                     f.text("policy"));
}

std::string process_suspended(const Facts& f) {
  std::string text = f.subject().empty() ? std::string() : fmt::format("{}: ", f.subject());
  text += fmt::format("the process {} is suspended", f.text("process"));
  if (f.has("wanted")) text += fmt::format(", else the capacity would be {:g}", f.number("wanted"));
  return text;
}

std::string paused(const Facts& f) {
  std::string text = fmt::format("the {} is paused", f.text("scope") == "fleet" ? "whole fleet" : "group");
  if (!f.text("why").empty()) text += fmt::format(" ({})", f.text("why"));
  if (f.has("would_be")) text += fmt::format("; it would be {:g}", f.number("would_be"));
  return text;
}

std::string observe_only(const Facts& f) {
  if (!f.has("would_be")) return "observing only: nothing is done";
  return fmt::format("observing only: the capacity would be {:g}", f.number("would_be"));
}

std::string evaluation_not_due(const Facts& f) {
  return fmt::format("policies are evaluated again in {}", f.wait("seconds"));
}

std::string scheduled_action_ran(const Facts& f) {
  std::string text = fmt::format("scheduled action {} set", f.subject());
  std::string_view comma = " ";
  for (const auto& [key, words] :
       {std::pair{"min", "minimum"}, std::pair{"max", "maximum"}, std::pair{"desired", "desired"}}) {
    if (!f.has(key)) continue;
    text += fmt::format("{}{} {:g}", comma, words, f.number(key));
    comma = ", ";
  }
  if (comma == " ") text += " nothing";
  if (f.number("late_seconds") >= 60) text += fmt::format(", {} late", f.wait("late_seconds"));
  return text;
}

std::string desired_changed(const Facts& f) {
  return fmt::format("desired capacity was changed from {:g} to {:g}", f.number("from"), f.number("to"));
}

std::string forecast(const Facts& f) {
  return fmt::format(
      "demand {} instances' worth, {} expected by the {} with an error of {}; at a price of {} for unserved "
      "demand {} instances are worth having",
      f.amount("demand"), f.amount("forecast"), f.text("by"), f.amount("error"), f.amount("price"),
      f.amount("capacity"));
}
std::string forecast_asks(const Facts& f) {
  return f.who("policy") + forecast(f);
}
std::string forecast_only(const Facts& f) {
  return f.who("policy") + "forecasts only: " + forecast(f);
}

std::string datapoints_needed(const Facts& f) {
  if (!f.has("datapoints"))
    return fmt::format("{}{} is above the target of {}, but not yet for {:g} datapoints in a row", f.who("policy"),
                       f.measured(), f.with_unit("target"), f.number("needed"));
  return fmt::format("{}{} is below the target of {}, for {:g} of the {:g} datapoints needed", f.who("policy"),
                     f.measured(), f.with_unit("target"), f.number("datapoints"), f.number("needed"));
}

struct Phrase {
  ReasonCode code;
  std::string (*words)(const Facts&);
};

constexpr std::array kPhrases{
    Phrase{ReasonCode::OverTarget, over_target},
    Phrase{ReasonCode::UnderTarget, under_target},
    Phrase{ReasonCode::WithinTolerance, within_tolerance},
    Phrase{ReasonCode::TargetReached, target_reached},
    Phrase{ReasonCode::AlarmFired, alarm_fired},
    Phrase{ReasonCode::AlarmOk, alarm_ok},
    Phrase{ReasonCode::InsufficientData, insufficient_data},
    Phrase{ReasonCode::MetricUnknown, metric_unknown},
    Phrase{ReasonCode::WarmingUp, warming_up},
    Phrase{ReasonCode::SampleRefused, sample_refused},
    Phrase{ReasonCode::SuspectChange, suspect_change},
    Phrase{ReasonCode::ClampedToMin, clamped_to_min},
    Phrase{ReasonCode::ClampedToMax, clamped_to_max},
    Phrase{ReasonCode::CooldownActive, cooldown_active},
    Phrase{ReasonCode::StabilizationHolds, stabilization_holds},
    Phrase{ReasonCode::ScaleInDisabled, scale_in_disabled},
    Phrase{ReasonCode::ScaleInNotAgreed, scale_in_not_agreed},
    Phrase{ReasonCode::LaunchInProgress, launch_in_progress},
    Phrase{ReasonCode::FailStatic, fail_static},
    Phrase{ReasonCode::ProcessSuspended, process_suspended},
    Phrase{ReasonCode::Paused, paused},
    Phrase{ReasonCode::ObserveOnly, observe_only},
    Phrase{ReasonCode::PolicyDisabled,
           [](const Facts& f) { return fmt::format("policy {} is disabled", f.subject()); }},
    Phrase{ReasonCode::NoPolicy, [](const Facts&) { return std::string("no policy asks for anything"); }},
    Phrase{ReasonCode::EvaluationNotDue, evaluation_not_due},
    Phrase{ReasonCode::ScheduledActionRan, scheduled_action_ran},
    Phrase{ReasonCode::DesiredChangedByUser, desired_changed},
    Phrase{ReasonCode::GroupDeleting,
           [](const Facts&) { return std::string("the group is being deleted, all its instances go"); }},
    Phrase{ReasonCode::DatapointsNeeded, datapoints_needed},
    Phrase{ReasonCode::ForecastAsks, forecast_asks},
    Phrase{ReasonCode::ForecastOnly, forecast_only},
};

}  // namespace

std::optional<std::string> scale_sentence(const Reason& reason) {
  for (const Phrase& phrase : kPhrases)
    if (phrase.code == reason.code) return phrase.words(Facts(reason));
  return std::nullopt;
}

}  // namespace escala
