// From a ProcessSpec to what exec needs: every check that can be made before anything is started, and the arguments and
// environment of one instance. No shell anywhere: an argument is an argument whatever it holds (threat S-36).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "provider/provider.h"

namespace escala {

inline constexpr uint16_t kAgentPort = 7700;
inline constexpr const char* kInstancePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// One instance, as its command and agent are told.
struct ProcessPlace {
  InstanceId id;
  GroupName group;
  Token token;
  ZoneName zone;
  std::string address;          // IPv4
  std::string home;             // its own directory; also where it starts when the spec names none
  std::string agent_path;       // when spec.agent
  std::string monitor_address;  // "host:port", when spec.agent
};

// Invalid: the specification can never be launched; the message names the fault. The answer is the absolute path of the
// command's program: names without '/' are searched in kInstancePath, relative paths in the working directory.
Result<std::string> check_process_spec(const ProcessSpec& spec);

// With a service port the agent is told to report when somebody listens there (--ready), unless its arguments say more.
// "${ESCALA_ADDRESS}" in arguments and environment values becomes the instance's address.
std::vector<std::string> process_arguments(const ProcessSpec& spec, const std::string& program,
                                           const ProcessPlace& place);
std::vector<std::string> process_environment(const ProcessSpec& spec, const ProcessPlace& place);

}  // namespace escala
