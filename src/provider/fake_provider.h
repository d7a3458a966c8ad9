// A Provider that behaves: it boots, runs and ends instances in the time it is told, never makes two for one token, and
// can be given the faults of real ones. For control's tests and the simulator; passes the provider contract test.
//
// A request takes effect when it is submitted; its answer comes by poll() once `answer_delay` has passed. Time is what
// the newest poll() or set_now() said. No randomness: whoever wants chance draws it and turns the knobs.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "provider/provider.h"

namespace escala {

struct FakeProviderOptions {
  std::vector<ZoneName> zones{ZoneName("local-a")};
  Duration answer_delay{0};     // from submit to completion
  Duration boot_delay{0};       // Pending to Running; its agent can only report then
  Duration terminate_delay{0};  // ShuttingDown to Gone
  Duration remember_gone{1h};   // how long describe() still shows what is gone; launch() remembers for ever
};

// Threads: one.
class FakeProvider final : public Provider {
 public:
  explicit FakeProvider(FakeProviderOptions options = {});

  Status submit(const ProviderRequest& request) override;
  std::vector<Completion> poll(TimePoint now) override;
  std::vector<ZoneName> zones() const override { return options_.zones; }

  void set_now(TimePoint now);

  // --- faults ---
  // At most n instances not gone in the zone; beyond it NoCapacity, or fewer than asked when some fit.
  void set_capacity(const ZoneName& zone, int n);
  // The next n launches are refused with this error and make nothing.
  void refuse_launches(int n, Error error);
  // The next n launches and terminations are carried out, but the answer is Unknown.
  void lose_answers(int n);
  // The next n launches and terminations get lost on their way: nothing happens and the answer is Unknown.
  void lose_requests(int n);
  // The next n descriptions fail with this error.
  void fail_describes(int n, Error error);
  // Descriptions leave these out, though they run and the list is called complete (eventual consistency, a bad page).
  void hide(const InstanceId& id);
  void show_all();
  // No answer for this group until it is released; requests of others go on. Describe belongs to the empty group.
  void hang(const GroupName& group);
  void release(const GroupName& group);
  // Whoever asked is dead: answers under way reach nobody.
  void drop_answers();
  // The instance ends by itself, now.
  void kill(const InstanceId& id, std::string detail = "killed");

  // --- what the tests look at ---
  // All ever made, by id, in their state at this moment.
  std::vector<ProviderInstance> everything() const;
  // Not Gone, of the group.
  std::vector<ProviderInstance> living(const GroupName& group) const;
  // How many were ever made for the token.
  int made_for(const Token& token) const;
  int launches_carried_out() const { return launches_; }
  int terminates_carried_out() const { return terminates_; }
  int stops_carried_out() const { return stops_; }
  int starts_carried_out() const { return starts_; }
  int describes_answered() const { return describes_; }
  // Launches that came with a known token but asked for something else (invariant I-12).
  int mismatches() const { return mismatches_; }
  size_t waiting() const { return answers_.size(); }

 private:
  struct Made {
    ProviderInstance instance;
    TimePoint running_at{};
    TimePoint gone_at = kNever;
    bool stopped = false;
  };
  struct Launched {
    LaunchSpecId spec;
    int count = 0;
    std::vector<InstanceId> ids;
  };
  struct Answer {
    Completion completion;
    ProviderRequest describe;  // a description is made when it is answered
    TimePoint due{};
  };
  ProviderInstance seen(const Made& made) const;
  int living_in(const ZoneName& zone) const;
  Completion launch(const ProviderRequest& request);
  Completion terminate(const ProviderRequest& request);
  Completion stop_or_start(const ProviderRequest& request);
  Completion describe(const ProviderRequest& request);
  static bool take(int& left) { return left > 0 && left-- > 0; }

  FakeProviderOptions options_;
  TimePoint now_{};
  std::map<InstanceId, Made> made_;
  std::map<Token, Launched> launched_;
  std::deque<Answer> answers_;
  std::map<ZoneName, int> capacity_;
  std::set<InstanceId> hidden_;
  std::set<GroupName> hanging_;
  int refusals_left_ = 0;
  Error refusal_;
  int lost_answers_left_ = 0;
  int lost_requests_left_ = 0;
  int failed_describes_left_ = 0;
  Error describe_error_;
  int launches_ = 0;
  int terminates_ = 0;
  int stops_ = 0;
  int starts_ = 0;
  int describes_ = 0;
  int mismatches_ = 0;
};

}  // namespace escala
