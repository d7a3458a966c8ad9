// The kinds of --sampler: a table, so that adding one is a row and its file.
#pragma once

#include <memory>
#include <string>

#include "agent/options.h"
#include "agent/sampler.h"

namespace escala {

// The sampler that options.sampler names. told must outlive it. boot_now: when the agent started.
// Invalid names the option and what is wrong with it.
Result<std::unique_ptr<Sampler>> make_sampler(const AgentOptions& options, const Told& told, Duration boot_now);
// A line for each kind, for --help.
std::string samplers_help();

}  // namespace escala
