#include "engine/combine.h"

#include <algorithm>

#include "engine/reason_facts.h"

namespace escala {
namespace {

void append(std::vector<Reason>& to, const std::vector<Reason>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// Why nothing changes, in the words of each policy.
Combined hold(std::span<const Ballot> ballots, int current, std::vector<Reason> first) {
  Combined held{current, std::move(first)};
  for (const Ballot& ballot : ballots) append(held.reasons, ballot.opinion.reasons);
  return held;
}

}  // namespace

Combined combine(std::span<const Ballot> ballots, int current, bool in_allowed) {
  int most = current;
  for (const Ballot& ballot : ballots)
    if (ballot.opinion.stand == Stand::Out) most = std::max(most, ballot.opinion.capacity);
  if (most > current) {
    Combined out{most, {}};
    for (const Ballot& ballot : ballots)
      if (ballot.opinion.stand == Stand::Out && ballot.opinion.capacity == most)
        append(out.reasons, ballot.opinion.reasons);
    return out;
  }
  int least = 0;
  bool asked = false;
  const Ballot* unknown = nullptr;
  const Ballot* objects = nullptr;
  for (const Ballot& ballot : ballots) {
    const Opinion& opinion = ballot.opinion;
    if (opinion.stand == Stand::In || opinion.stand == Stand::NoObjection) least = std::max(least, opinion.capacity);
    asked |= opinion.stand == Stand::In;
    if (opinion.stand == Stand::Unknown && unknown == nullptr) unknown = &ballot;
    if (opinion.stand == Stand::Hold && objects == nullptr) objects = &ballot;
  }
  if (!asked || !in_allowed) return hold(ballots, current, {});
  if (unknown != nullptr)
    return hold(ballots, current,
                {{ReasonCode::FailStatic, "", {fact("held", current), fact("policy", unknown->policy.str())}}});
  if (objects != nullptr || least >= current) {
    const std::string who = objects != nullptr ? objects->policy.str() : std::string();
    return hold(ballots, current, {{ReasonCode::ScaleInNotAgreed, who, {fact("wanted", least)}}});
  }
  Combined in{least, {}};
  for (const Ballot& ballot : ballots)
    if (ballot.opinion.stand == Stand::In) append(in.reasons, ballot.opinion.reasons);
  return in;
}

}  // namespace escala
