// The groups as they are told, kept as written XML: what DescribeAutoScalingGroups says of a group is made of its
// record and its instances' records, so it is written once for each change of these, not once for each question. What
// changed is learnt from the store's change feed, at each question; so an answer is never older than the question.
//
// Threads: any.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/context.h"

namespace escala::api {

inline constexpr size_t kMaxCachedBytes = 64 << 20;  // of written groups; beyond, all of it is written anew

class GroupCache {
 public:
  explicit GroupCache(const Store& store) : store_(store) {}

  // Of each group after this key (store/records.h), by key, until it answers false: the key, the name, and what is told
  // of it ("<member><AutoScalingGroupName>web</AutoScalingGroupName>...</member>").
  using Visit = std::function<bool(const std::string& key, const std::string& name, const std::string& told)>;
  Failure walk(const Context& context, std::string_view after, const Visit& visit);
  // What so many groups take, about: bytes.
  size_t size_of(size_t groups);
  // Of one group; not called when there is none.
  Failure look(const Context& context, const std::string& key, const Visit& visit);

 private:
  struct Entry {
    std::string name, told;  // told empty: both are to be written
  };
  Failure catch_up();
  Failure start_anew();
  void forget_told(std::string_view instance_key);
  Failure write(const Context& context, const std::string& key, Entry& entry);

  const Store& store_;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;  // by the key of the group's record
  bool started_ = false;
  Revision seen_ = 0;
  size_t bytes_ = 0;
};

}  // namespace escala::api
