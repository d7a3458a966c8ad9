// Everything that makes control an EC2 one: settings found where the AWS tools look, credentials, the driver, the door
// where new instances fetch their agent, the tokens they join with.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/agent_door.h"
#include "app/ec2_asker.h"
#include "app/join_secret.h"
#include "app/target_groups.h"
#include "base/time.h"
#include "board/board.h"
#include "provider/ec2_driver.h"

namespace escala::app {

struct Ec2Wanted {
  std::string region, profile;  // else as the AWS tools find them
  std::string agent_listen;     // where the agent is served; empty: instances are not bootstrapped
  std::string agent_url;        // how instances reach that; empty: by the monitor's address
  std::string manager_ca;       // PEM file: who signed the monitor's certificate
  bool public_addresses = false;
};

struct Ec2Setup {
  std::shared_ptr<Ec2Driver> driver;
  std::shared_ptr<Ec2Asker> asker;
  std::unique_ptr<AgentDoor> door;                         // null without bootstrap
  std::function<board::JoinHash(const Token&)> join_hash;  // empty without bootstrap
  std::unique_ptr<TargetGroups> target_groups;
};

// Invalid, with what was expected, when a setting is missing; credentials are looked for at the first call.
Result<Ec2Setup> make_ec2(const Ec2Wanted& wanted, const std::string& state_dir, const std::string& agent_path,
                          std::shared_ptr<const Clock> clock);
// The driver alone, for the doctor.
Result<std::shared_ptr<Ec2Driver>> make_ec2_driver(const AwsSettings& settings, std::shared_ptr<const Clock> clock);

}  // namespace escala::app
