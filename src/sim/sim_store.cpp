#include "sim/sim_store.h"

namespace escala::sim {

using enum FaultKind;

std::optional<Error> SimStore::refusal() {
  const TimePoint now = queue_.now();
  if (faults_.open(DiskFull, now)) {
    marks_.hit(DiskFull);
    return Error{ErrorKind::Unavailable, "state store cannot be written: no space left on device"};
  }
  if (faults_.open(WriteFails, now) && random_.chance(0.5)) {
    marks_.hit(WriteFails);
    return Error{ErrorKind::Unavailable, "state store cannot be written: input/output error"};
  }
  return std::nullopt;
}

Status SimStore::writable() const {
  if (faults_.open(DiskFull, queue_.now())) return Error{ErrorKind::Unavailable, "no space left on device"};
  return {};
}

std::vector<Result<Revision>> SimStore::commit(std::span<const Batch> batches) {
  if (between && actor_ > 0 && !in_between_ && faults_.open(CallBetween, queue_.now()) && random_.chance(0.3)) {
    in_between_ = true;
    marks_.hit(CallBetween);
    const int actor = std::exchange(actor_, kPeople);
    between();
    actor_ = actor;
    in_between_ = false;
  }
  const auto step = [&] {
    if (step_ && !in_between_) step_();
  };
  step();
  if (const auto refused = refusal()) {
    marks_.hit(refused->kind);
    return std::vector<Result<Revision>>(batches.size(), Result<Revision>(*refused));
  }
  if (faults_.open(SlowSync, queue_.now())) {
    marks_.hit(SlowSync);
    delay_ += from_seconds(random_.between(0.1, 30));
  }
  std::vector<Result<Revision>> answers;
  bool changed = false;
  for (const Batch& batch : batches) {
    if (!answers.empty()) step();  // each batch is atomic by itself: a kill may fall between two of them
    answers.push_back(inner_.commit(batch));
    if (!answers.back().ok()) {
      marks_.hit(answers.back().error().kind);
      continue;
    }
    changed = true;
    if (watcher_ && !batch.writes.empty()) watcher_->committed(actor_, batch, *answers.back());
  }
  if (changed && listener_) listener_();
  step();
  return answers;
}

void SimStore::lose_lazy() {
  inner_.lose_lazy(random_.below(4));
}

}  // namespace escala::sim
