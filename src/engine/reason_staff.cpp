// The sentences of staffing. Facts, by code (numbers unless "text" is said; what is absent is left out):
//   BelowDesired, AboveDesired  desired, in_service, coming; of one launch: subject = zone, desired, launching
//   LaunchBackOff               subject = zone; failures, error (text), until (text; absent while a probe is awaited)
//   LaunchBudgetSpent           per_hour
//   VictimChosen                subject = instance; zone (text), in_zone, by (text), unwell (text)
//   NoVictim                    unanswered
//   ProtectedFromScaleIn        protected, wanted
//   UnhealthyProvider, LaunchDied  subject = instance; state (text)
//   UnhealthyAgent              subject = instance; seconds
//   UnhealthyUser, UnhealthyTrafficSource  subject = instance; said (text)
//   GracePeriod                 subject = instance; seconds (left)
//   NeverRegistered             subject = instance; seconds
//   ReplacementBudgetSpent      subject = instance; percent, window (text)
//   BreakerOpen                 unwell, in_service
//   SubstituteStays             subject = instance; replaces (text)
//   ZoneRebalance               subject = instance; from (text), in_zone, to (text)
//   HookWaiting                 subject = instance; hook (text), until (text)
//   HookContinued, HookAbandoned, HookExpired  subject = instance; hook (text), result (text)
//   AtCapacity                  running, max
//   MinHolds                    in_service, min
//   TransitionCompleted         subject = instance; state (text)
//   InstanceRefreshed           subject = instance; refresh (text)
//   RefreshHeld                 subject = refresh; why (text), until (text)
//   RefreshEnded                subject = refresh; status (text), why (text)
//   LifetimeReached             subject = instance; seconds, held (text)
//   WarmPoolShort               prepared, wanted; of one launch: subject = zone, launching
//   WarmPoolSurplus, WarmPoolDrawn, WarmPoolReturned, WarmPoolStops, WarmPoolStarts  subject = instance
//   TrafficAwaited, TrafficDraining  subject = instance; until (text)
//   LaunchOrdered               count
//   AgentsAllSilent             subject = a new instance that waits to be heard, or empty
// All of them may carry `more` (so many alike are not listed) and, when an instance is replaced, `replaced_by` (text).
#include <fmt/format.h>

#include <map>
#include <string>

#include "engine/reason_sentences.h"

namespace escala {
namespace {

std::string text_of(const std::variant<double, std::string>& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return fmt::format("{:.6g}", std::get<double>(value));
}

// The facts of one reason as words.
class Words {
 public:
  explicit Words(const Reason& reason) : reason_(reason) {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::string operator[](std::string_view key) const {
    const Fact* fact = find(key);
    return fact ? text_of(fact->value) : "?";
  }
  // before + value + after, or nothing without the fact.
  std::string if_known(std::string_view before, std::string_view key, std::string_view after = "") const {
    return has(key) ? fmt::format("{}{}{}", before, (*this)[key], after) : "";
  }
  const std::string& subject() const { return reason_.subject; }

 private:
  const Fact* find(std::string_view key) const {
    for (const Fact& fact : reason_.facts)
      if (fact.key == key) return &fact;
    return nullptr;
  }
  const Reason& reason_;
};

using Sentence = std::string (*)(const Words&);

std::string size_difference(const Words& w, std::string_view side) {
  if (w.has("launching"))
    return fmt::format("launching {} in {} to reach {}", w["launching"], w.subject(), w["desired"]);
  return fmt::format("{} in service and {} coming are {} the desired {}", w["in_service"], w["coming"], side,
                     w["desired"]);
}

std::string hook_result(const Words& w, std::string_view what) {
  return fmt::format("instance {}: hook {} {}{}", w.subject(), w["hook"], what, w.if_known(", with ", "result"));
}

const std::map<ReasonCode, Sentence>& sentences() {
  using enum ReasonCode;
  static const std::map<ReasonCode, Sentence> table{
      {BelowDesired, [](const Words& w) { return size_difference(w, "below"); }},
      {AboveDesired, [](const Words& w) { return size_difference(w, "above"); }},
      {LaunchBackOff,
       [](const Words& w) {
         return fmt::format("launches in {} failed {} times in a row, {}{}", w.subject(), w["failures"],
                            w.has("until") ? "the next try is at " + w["until"] : "one probe is under way",
                            w.if_known(": ", "error"));
       }},
      {LaunchBudgetSpent,
       [](const Words& w) { return fmt::format("the bound of {} launches per hour is reached", w["per_hour"]); }},
      {NoZone, [](const Words&) { return std::string("the group has no zone to launch in"); }},
      {VictimChosen,
       [](const Words& w) {
         return fmt::format("instance {} is terminated to scale in: {}{}{}", w.subject(),
                            w.has("unwell") ? "it is unwell, " : "", w.if_known("chosen by ", "by"),
                            w.has("in_zone") ? fmt::format(" in {}, which has {}", w["zone"], w["in_zone"]) : "");
       }},
      {NoVictim,
       [](const Words& w) {
         return fmt::format("{} launches that are not answered yet are too many: they are waited for", w["unanswered"]);
       }},
      {ProtectedFromScaleIn,
       [](const Words& w) {
         return fmt::format("{} more should go, but the {} others are protected from scale-in", w["wanted"],
                            w["protected"]);
       }},
      {UnhealthyProvider,
       [](const Words& w) {
         return fmt::format("instance {} is unhealthy: its provider says {}", w.subject(), w["state"]);
       }},
      {UnhealthyAgent,
       [](const Words& w) {
         return fmt::format(
             "instance {} is unhealthy: its agent {}", w.subject(),
             w.has("seconds") ? fmt::format("has been silent for {} s", w["seconds"]) : "has never been heard");
       }},
      {UnhealthyUser,
       [](const Words& w) { return fmt::format("instance {} was set Unhealthy by a user", w.subject()); }},
      {UnhealthyTrafficSource,
       [](const Words& w) { return fmt::format("instance {} failed the checks of its traffic source", w.subject()); }},
      {NeverRegistered,
       [](const Words& w) {
         return fmt::format("instance {} has not reported{}: the launch has failed", w.subject(),
                            w.if_known(" within ", "seconds", " s"));
       }},
      {Vanished, [](const Words& w) { return fmt::format("instance {} no longer exists", w.subject()); }},
      {SuspectRead,
       [](const Words&) {
         return std::string(
             "the provider's last list lost too many instances at once: nothing is terminated or replaced on its word");
       }},
      {GracePeriod,
       [](const Words& w) {
         return fmt::format("instance {} is silent, but within its health check grace period{}", w.subject(),
                            w.if_known(" for another ", "seconds", " s"));
       }},
      {ReplacementBudgetSpent,
       [](const Words& w) {
         return fmt::format("instance {} waits: {} % of the group may be replaced per {}", w.subject(), w["percent"],
                            w["window"]);
       }},
      {FleetBudgetSpent,
       [](const Words& w) { return fmt::format("instance {} waits: the fleet's budget is spent", w.subject()); }},
      {BreakerOpen,
       [](const Words& w) {
         return fmt::format("{} of {} are unhealthy or vanished at once: replacing is stopped, launching goes on",
                            w["unwell"], w["in_service"]);
       }},
      {BreakerClosed, [](const Words&) { return std::string("few enough are unhealthy: replacing goes on"); }},
      {WaitingForReplacement,
       [](const Words& w) { return fmt::format("instance {} stays until its substitute is in service", w.subject()); }},
      {SubstituteStays,
       [](const Words& w) {
         return fmt::format("instance {} stays, and so does instance {}, which it was launched to replace", w.subject(),
                            w["replaces"]);
       }},
      {LaunchesFailing,
       [](const Words& w) {
         return (w.subject().empty() ? "" : fmt::format("instance {} stays: ", w.subject())) +
                "nothing is replaced while launches fail";
       }},
      {ZoneRebalance,
       [](const Words& w) {
         return fmt::format("instance {} is moved to even out the zones{}", w.subject(),
                            w.has("from") ? fmt::format(": {} has {}", w["from"], w["in_zone"]) : "");
       }},
      {InterruptionNotice,
       [](const Words& w) { return fmt::format("instance {} will be taken by its provider", w.subject()); }},
      {HookWaiting,
       [](const Words& w) {
         return fmt::format("instance {} waits for hook {}{}", w.subject(), w["hook"], w.if_known(" until ", "until"));
       }},
      {HookContinued, [](const Words& w) { return hook_result(w, "was answered"); }},
      {HookAbandoned, [](const Words& w) { return hook_result(w, "was answered"); }},
      {HookExpired, [](const Words& w) { return hook_result(w, "expired"); }},
      {AtCapacity,
       [](const Words& w) {
         return fmt::format("no room: {} run already and the maximum is {}", w["running"], w["max"]);
       }},
      {InventoryIncomplete,
       [](const Words& w) {
         return w.subject().empty()
                    ? std::string("no complete list of instances yet: nothing is launched or given up before it")
                    : fmt::format("instance {} is overdue: the provider's next list decides", w.subject());
       }},
      {InstanceTerminated, [](const Words& w) { return fmt::format("instance {} has been terminated", w.subject()); }},
      {AgentRecovered, [](const Words& w) { return fmt::format("instance {} is healthy again", w.subject()); }},
      {AgentsAllSilent,
       [](const Words& w) {
         return w.subject().empty()
                    ? std::string("all agents of the group are silent at once: none is given up for that")
                    : fmt::format("instance {} has not reported, but nobody can be heard: it is not given up",
                                  w.subject());
       }},
      {LaunchDied,
       [](const Words& w) {
         return fmt::format("instance {} died before it was in service{}", w.subject(),
                            w.if_known(": its provider says ", "state"));
       }},
      {MinHolds,
       [](const Words& w) {
         return fmt::format("{}{} in service, and the minimum is {}: none is terminated",
                            w.subject().empty() ? "" : fmt::format("instance {} stays: ", w.subject()), w["in_service"],
                            w["min"]);
       }},
      {InstanceRefreshed,
       [](const Words& w) {
         return fmt::format("instance {} is replaced by instance refresh {}", w.subject(), w["refresh"]);
       }},
      {RefreshHeld,
       [](const Words& w) {
         return fmt::format("instance refresh {} waits: {}{}", w.subject(), w["why"], w.if_known(" until ", "until"));
       }},
      {RefreshEnded,
       [](const Words& w) {
         return fmt::format("instance refresh {} is {}{}", w.subject(), w["status"], w.if_known(": ", "why"));
       }},
      {LifetimeReached,
       [](const Words& w) {
         return fmt::format("instance {} is older than the maximum instance lifetime{}{}", w.subject(),
                            w.if_known(" of ", "seconds", " s"), w.if_known(", but ", "held"));
       }},
      {WarmPoolShort,
       [](const Words& w) {
         if (w.has("launching"))
           return fmt::format("launching {} in {} for the warm pool", w["launching"], w.subject());
         return fmt::format("the warm pool has {} of {} instances", w["prepared"], w["wanted"]);
       }},
      {WarmPoolSurplus,
       [](const Words& w) { return fmt::format("instance {} is one too many in the warm pool", w.subject()); }},
      {WarmPoolDrawn,
       [](const Words& w) { return fmt::format("instance {} is taken from the warm pool", w.subject()); }},
      {WarmPoolReturned,
       [](const Words& w) { return fmt::format("instance {} goes back to the warm pool", w.subject()); }},
      {WarmPoolStops,
       [](const Words& w) { return fmt::format("instance {} is stopped, ready in the warm pool", w.subject()); }},
      {WarmPoolStarts,
       [](const Words& w) { return fmt::format("instance {} from the warm pool is started", w.subject()); }},
      {TrafficAwaited,
       [](const Words& w) {
         return fmt::format("instance {} waits to be healthy in its traffic source{}", w.subject(),
                            w.if_known(" until ", "until"));
       }},
      {TrafficDraining,
       [](const Words& w) {
         return fmt::format("instance {} is being drained{}", w.subject(), w.if_known(" until ", "until"));
       }},
      {LaunchOrdered, [](const Words& w) { return fmt::format("{} were ordered by a user", w["count"]); }},
      {TransitionCompleted,
       [](const Words& w) {
         return fmt::format("instance {} {}", w.subject(),
                            w.has("state") ? "has nothing left to wait for" : "is ready for its next state");
       }},
  };
  return table;
}

}  // namespace

std::optional<std::string> staff_sentence(const Reason& reason) {
  const auto found = sentences().find(reason.code);
  if (found == sentences().end()) return std::nullopt;
  const Words words(reason);
  return found->second(words) + words.if_known("; replaced by ", "replaced_by") +
         words.if_known(" (and ", "more", " more)");
}

}  // namespace escala
