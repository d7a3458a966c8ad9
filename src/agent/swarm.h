// `escala-agent swarm N ...`: N simulated agents in one process, each with a connection of its own, for benchmarks and
// demos. What they send is what real agents send; only the load is made up.
#pragma once

namespace escala {

// argv[0] is "swarm". Returns the exit status: 0 after a signal or --duration, 1 when it could not run, 2 for usage.
int run_swarm(int argc, char** argv);

}  // namespace escala
