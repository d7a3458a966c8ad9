#include "store/memory_store.h"

#include <utility>

namespace escala {

Result<std::optional<Record>> MemoryStore::get(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  return image_.get(key);
}

Result<std::vector<Record>> MemoryStore::scan(std::string_view prefix, std::string_view after, size_t limit) const {
  const std::lock_guard lock(mutex_);
  return image_.scan(prefix, after, limit);
}

Result<size_t> MemoryStore::count(std::string_view prefix) const {
  const std::lock_guard lock(mutex_);
  return image_.count(prefix);
}

std::vector<Result<Revision>> MemoryStore::commit(std::span<const Batch> batches) {
  std::function<void()> listener;
  std::function<Status(std::span<const Batch>)> ask;
  std::vector<Result<Revision>> answers;
  {
    const std::lock_guard lock(mutex_);
    ask = ask_;
  }
  const Status asked = ask ? ask(batches) : ok_status();
  {
    const std::lock_guard lock(mutex_);
    Status status = asked.ok() ? writable_ : asked;
    if (status.ok() && failures_left_ > 0) {
      --failures_left_;
      status = Error{ErrorKind::Unavailable, "state store cannot be written: injected fault"};
    }
    if (!status.ok()) return std::vector<Result<Revision>>(batches.size(), Result<Revision>(status.error()));
    // One at a time: a power cut may fall between any two of them.
    for (const Batch& batch : batches) {
      StagedCommit staged = image_.begin();
      image_.stage(staged, std::span(&batch, 1));
      answers.push_back(staged.answers.front());
      if (staged.accepted == 0) continue;
      remember(staged);
      durable_commits_ += staged.durable ? 1 : 0;
      image_.take_over(std::move(staged));
      ++commits_;
      listener = listener_;
    }
  }
  if (listener) listener();
  return answers;
}

// A Durable batch takes the Lazy ones before it to the disk: they share one log.
void MemoryStore::remember(const StagedCommit& staged) {
  if (staged.durable) {
    lazy_.clear();
    return;
  }
  Undo undo{image_.revision(), {}};
  for (const auto& [key, after] : staged.after) undo.records.push_back({key, image_.get(key)});
  lazy_.push_back(std::move(undo));
  if (lazy_.size() > kMaxLazyBatches) lazy_.pop_front();
}

void MemoryStore::lose_lazy(size_t keep) {
  const std::lock_guard lock(mutex_);
  while (lazy_.size() > keep) {
    Undo undo = std::move(lazy_.back());
    lazy_.pop_back();
    for (Before& before : undo.records) {
      if (before.record)
        image_.restore(before.key, std::move(before.record->value), before.record->version);
      else
        image_.restore(before.key, std::nullopt, 0);
    }
    image_.restart_feed(undo.revision);
  }
}

Result<std::vector<Store::Change>> MemoryStore::changes(std::string_view prefix, Revision since) const {
  const std::lock_guard lock(mutex_);
  return image_.changes(prefix, since);
}

Revision MemoryStore::revision() const {
  const std::lock_guard lock(mutex_);
  return image_.revision();
}

void MemoryStore::on_commit(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

Status MemoryStore::writable() const {
  const std::lock_guard lock(mutex_);
  return writable_;
}

void MemoryStore::fail_next_commits(int n) {
  const std::lock_guard lock(mutex_);
  failures_left_ = n;
}

void MemoryStore::set_writable(Status status) {
  const std::lock_guard lock(mutex_);
  writable_ = std::move(status);
}

void MemoryStore::intercept(std::function<Status(std::span<const Batch>)> ask) {
  const std::lock_guard lock(mutex_);
  ask_ = std::move(ask);
}

uint64_t MemoryStore::commits() const {
  const std::lock_guard lock(mutex_);
  return commits_;
}
uint64_t MemoryStore::durable_commits() const {
  const std::lock_guard lock(mutex_);
  return durable_commits_;
}

}  // namespace escala
