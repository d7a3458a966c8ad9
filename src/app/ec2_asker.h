// What the API asks EC2 while a client waits: launch templates that groups name, and what EC2 answers to clients of its
// own that come here. Apart from the driver: with short waits and a rate of its own, so that nobody who asks much, and
// no EC2 that answers late, holds back what control does.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <variant>

#include "api/context.h"
#include "provider/ec2_driver.h"

namespace escala::app {

inline constexpr Duration kEc2AskTimeout{3s};   // of one try, of three
inline constexpr double kEc2AsksPerSecond = 5;  // five times as many at once
inline constexpr Duration kEc2AskPatience{1s};  // for who asks before us: the API has two threads, and one must be free

// Threads: any; one question at a time, others are told ServiceUnavailable.
class Ec2Asker {
 public:
  explicit Ec2Asker(const Ec2DriverOptions& options);
  Result<api::Ec2TemplateVersion> find(const api::LaunchTemplateSpecification& wanted);
  std::variant<std::string, api::ApiError> answer(std::string_view action, const api::Parameters& parameters);

 private:
  std::timed_mutex asking_;
  Ec2Driver driver_;
};

}  // namespace escala::app
