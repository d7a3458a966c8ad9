// People: two clients who call any operation at any moment, through the API's own handlers. Each call is compared with
// a small reference model that says what the records must be afterwards, or that the call must be refused.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "sim/ledger.h"
#include "sim/sim_store.h"

namespace escala::sim {

// What a group launches with a mixed instances policy whose types have weights; it is always there.
inline constexpr const char* kWeightedSpec = "weighted";
const Weights& weights_of_spec(const std::string& name);

// Virtual time as a Clock, with a wall clock that may jump.
class QueueClock final : public Clock {
 public:
  explicit QueueClock(const EventQueue& queue) : queue_(queue) {}
  TimePoint now() const override { return queue_.now(); }
  TimePoint wall_now() const override { return queue_.now() + jumped_; }
  void jump(Duration by) { jumped_ += by; }

 private:
  const EventQueue& queue_;
  Duration jumped_{0};
};

class Users {
 public:
  Users(SimStore& store, const QueueClock& clock, const Ledger& ledger, Marks& marks, uint64_t seed);
  ~Users();
  // Told when a call did something else than the model says.
  std::function<void(std::string)> complain;
  std::function<void(const std::string&)> tell;

  // A new group and its launch configuration; false when the store refuses.
  bool create(const Group& group);
  // One that was deleted is made again, through the API and smaller.
  void create_again(const GroupName& group);
  // One call of any kind.
  void call();
  // Everything is allowed again, everybody healthy and unprotected, nobody in standby.
  void restore();

  // Single calls, for scripts. True: done.
  bool set_desired(const GroupName& group, int desired);
  bool update(const GroupName& group, int min, int max);
  bool remove(const GroupName& group);
  bool attach(const GroupName& group, const TrafficSource& source);
  bool detach(const GroupName& group, const TrafficSource& source);
  bool set_health(const InstanceId& instance, bool healthy);
  bool answer_hook(const GroupName& group, const InstanceId& instance, const HookWait& wait, bool proceed);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace escala::sim
