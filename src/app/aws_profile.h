// The file that lets AWS's own tools speak to this manager at once: region, address, and an access key of its own.
#pragma once

#include <cstdint>
#include <string>

#include "api/context.h"
#include "base/result.h"

namespace escala::app {

inline constexpr const char* kAwsProfile = "escala";

inline std::string aws_profile_file(const std::string& dir) {
  return dir + "/aws.config";
}
// Writes the file (0600) for an API at `url`. The key in it is made once, with the role admin on all groups, and kept
// as long as the store has it.
Status write_aws_profile(const std::string& dir, const api::Context& context, const std::string& url,
                         const std::string& region);
// The two lines that a person types; empty while the file is not there.
std::string aws_profile_lines(const std::string& dir);

}  // namespace escala::app
