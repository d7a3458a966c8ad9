// The agent as a whole: wires sampler, collector, reporter, responder and workload together on one loop.
#pragma once

#include "agent/options.h"

namespace escala {

// Runs until the workload ends, or without one until SIGTERM or SIGINT; answers with the exit status.
// Signals must not be blocked or handled elsewhere; one agent per process, one thread.
int run_agent(const AgentOptions& options);

}  // namespace escala
