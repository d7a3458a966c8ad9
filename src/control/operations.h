// Intents: what we promised ourselves to do at a provider, from the moment the promise is durable to the moment its
// outcome is recorded (rule R3). Doors 9 and 11 on the way of a number.
//
//   Planned   the intent stands in the store, in one batch with everything that follows from it; nobody was asked yet
//   Issued    the provider was asked; known to this process only: after a restart every intent is asked for again, with
//             its own token, and the provider's idempotency makes that harmless
//   Unknown   it may or may not have happened: the same token again after a back-off, which is stored
//   closed    the outcome is recorded, the intent deleted, both in one batch
//
// An intent never gets another token, and a token never other parameters. This class only keeps what the store says and
// asks the provider; batches are written by the reconcilers.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "engine/snapshot.h"
#include "provider/provider.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala {

inline constexpr Duration kRetryBase{1s};
inline constexpr Duration kRetryCap{60s};
inline constexpr int kMaxLaunchTries = 4;        // of a launch that surely did not happen (throttled, unavailable)
inline constexpr Duration kAnswerOverdue{2min};  // asked and nothing heard: ask again with the same token
inline constexpr size_t kMaxErrorText = 512;     // characters of a provider's message that are kept

// base * 2^(attempts-1), at most the cap. attempts >= 1.
Duration retry_back_off(int attempts);

// At most 64 of [A-Za-z0-9-]. Unique for ever: the epoch is durable before the first token of a process is made.
class TokenMaker {
 public:
  TokenMaker(std::string cluster, uint64_t epoch) : cluster_(std::move(cluster)), epoch_(epoch) {}
  Token next(const GroupName& group);
  uint64_t epoch() const { return epoch_; }

 private:
  std::string cluster_;
  uint64_t epoch_;
  uint64_t counter_ = 0;
};

// What an answer means for its intent.
enum class Verdict : uint8_t {
  Done,      // record what it made, close it
  Refused,   // it did not happen and will not by itself: record the failure, close it
  AskAgain,  // the same token again, after a back-off
};
// `unsure`: it may have happened at an earlier asking. Then only the provider's word on this very token ends it: one
// that never looked at the token (throttled, unavailable, denied) has not said that nothing was made.
Verdict judge(const state::Operation& intent, const Status& outcome, bool unsure);

class Operations {
 public:
  struct Entry {
    state::Operation intent;
    Revision version = 0;
    bool issued = false;
    bool again = false;  // the provider may have been asked before, by us or by a process before us
    TimePoint issued_at{};
    uint32_t asking = 0;  // how often this process has asked
    // An earlier asking, by us or by who was here before us, may have been carried out without our hearing of it.
    bool unsure = false;
  };

  // As the store has it now. An intent that was known keeps whether it is issued, unless it is to be asked again: the
  // provider is then told that it may know the token.
  void put(state::Operation intent, Revision version, bool ask_again = false);
  // What one asking came to: unknown outcomes are remembered with the intent.
  void note_outcome(const Token& token, const Status& outcome);
  // As a process before us left it: it may have been asked for already.
  void inherit(state::Operation intent, Revision version);
  void erase(const Token& token);
  const Entry* find(const Token& token) const;
  size_t size() const { return entries_.size(); }
  bool any(const GroupName& group) const { return by_group_.contains(group); }
  // Launches of a group, as decide() wants them: sorted by token.
  std::vector<PendingLaunch> launches(const GroupName& group) const;
  // The intent to terminate this instance, if there is one.
  const Entry* terminating(const GroupName& group, const InstanceId& instance) const;
  // The intent to stop it or to start it again, if there is one; there is never more than one.
  const Entry* power(const GroupName& group, const InstanceId& instance) const;
  std::vector<Token> tokens(const GroupName& group) const;

  // Asks the provider for every intent that is due. Launches whose spec the store does not have are answered right
  // here. `cluster` goes into the tags. Returns when to be called again.
  TimePoint submit_due(TimePoint now, const std::string& cluster, const Store& store, Provider& provider);
  // Answers made here, without the provider.
  std::vector<Completion> take_own_answers() { return std::exchange(own_answers_, {}); }

 private:
  template <typename Kind>  // Kind(kind of operation) -> bool
  const Entry* about(const GroupName& group, const InstanceId& instance, Kind kind) const;
  Status submit(Entry& entry, const std::string& cluster, const Store& store, Provider& provider);
  TimePoint due_at(const Entry& entry) const;

  std::map<Token, Entry> entries_;
  std::map<GroupName, std::vector<Token>> by_group_;  // sorted
  std::vector<Completion> own_answers_;
};

LaunchSpec to_launch_spec(const state::LaunchSpec& record);

}  // namespace escala
