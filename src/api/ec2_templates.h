// Launch templates that are in EC2 itself, for groups whose instances are EC2's. A group that names one launches a
// version of it by its number, as a spec "lt-...:web:3" like those of templates that are kept here (api/templates);
// what $Latest and $Default are is asked when the group names them, when an instance refresh starts, and once a round.
#pragma once

#include <set>
#include <string>
#include <variant>

#include "api/context.h"
#include "api/templates.h"

namespace escala::api {

inline constexpr Duration kEc2TemplatePeriod{60s};    // of rounds
inline constexpr size_t kEc2TemplatesInARound = 100;  // calls of one round at most; the next goes on where it ended

// ValidationError when EC2 has no such version; ServiceUnavailable when it does not answer.
std::variant<Ec2TemplateVersion, ApiError> ask_ec2(const Context& context, const LaunchTemplateSpecification& wanted);
TemplateRef ref_of(const Ec2TemplateVersion& version);
// ValidationError when it says too little to be launched: an image and, unless a policy names types, a type.
std::variant<state::LaunchSpec, ApiError> spec_in_ec2(const Ec2TemplateVersion& version, const GroupDocument& document);
// The group launches what it follows in EC2 as that is now.
Failure look_up_followed(const Context& context, LoadedGroup& loaded, Batch& batch);

// Moves groups that follow a template in EC2, and deletes specs of such templates that nobody launches any more. What
// EC2 does not answer stays as it is.
class Ec2TemplateFollower {
 public:
  // Threads: one at a time.
  void round(const Context& context);

 private:
  using Followed = std::pair<std::string, std::string>;  // id of the template; $Latest or $Default
  void follow(const Context& context, const Followed& what, const std::set<GroupName>& groups);
  void refused(std::string why);
  void prune(const Context& context);

  Followed last_;                                // asked last in the round before
  std::set<std::string> refused_, refused_now_;  // told in the log; said in this round
  std::set<std::string> unused_;                 // keys of specs that nobody launched in the round before
};

}  // namespace escala::api
