// The subcommands of `escala`. Each takes what follows its name and answers with the exit code: 0 done, 1 refused or
// failed, 2 a wrong command line or configuration.
#pragma once

namespace escala::app {

int run_serve(int argc, char** argv);  // monitor and control as two children
int run_demo(int argc, char** argv);   // serve, and a real load to scale
int run_monitor(int argc, char** argv);
int run_control(int argc, char** argv);
int run_board(int argc, char** argv);      // the board, live in the terminal
int run_apply(int argc, char** argv);      // group.yaml -> groups
int run_ctl(int argc, char** argv);        // groups, instances, explain, ...
int run_simulate(int argc, char** argv);   // a group on a load history
int run_compare(int argc, char** argv);    // beside other scalers
int run_tune(int argc, char** argv);       // searches a policy
int run_trace(int argc, char** argv);      // made-up load histories
int run_replay(int argc, char** argv);     // decisions of a live group, again
int run_test(int argc, char** argv);       // .scenario files
int run_audit(int argc, char** argv);      // whether the audit log is unbroken
int run_reference(int argc, char** argv);  // pages of docs/reference
int run_completion(int argc, char** argv);
int run_worker(int argc, char** argv);  // the demo's HTTP worker

}  // namespace escala::app
