// What `escala ctl` can do, one method a subcommand: asking in ctl_ask.cpp, telling in ctl_tell.cpp, the command line
// in ctl_command.cpp. Everything goes over the unix socket in the state directory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/autoscaling.pb.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/state_dir.h"
#include "base/time.h"

namespace escala::app {

struct CtlOptions {
  std::string state_dir = default_state_dir();
  std::string output = "table";
  std::string group;
  std::vector<std::string> names;  // instances, processes
  std::string reason, prefix, save;
  std::string verb, key_name;       // of `ctl key`
  std::vector<std::string> grants;  // "operate:web-*"
  int64_t capacity = 0, max_records = 20;
  bool wait = false, yes = false, force = false, decrement = false, off = false, honor_cooldown = false;
  Duration timeout{10min};
};

// Each method of its public part carries out one subcommand and answers with the exit code.
class Ctl {
 public:
  explicit Ctl(CtlOptions& options) : options_(options), client_(options.state_dir) {}

  int groups();
  int instances();
  int activities();
  int policies();
  int explain();
  int export_records();
  int doctor();  // ctl_ec2.cpp
  int iam_policy();

  int set_desired();
  int suspend() { return processes("SuspendProcesses", "suspended"); }
  int resume();
  int pause();
  int observe();
  int terminate();
  int protect();
  int remove();
  int key();

 private:
  using IdsByGroup = std::map<std::string, std::vector<std::string>>;

  static int fail(const Error& error) { return complain(error.message, 1); }
  std::string subject() const { return options_.group.empty() ? "the whole fleet" : "group " + options_.group; }
  template <typename Request, typename Response>
  int every_page(const std::string& operation, Request request, Response& all);
  // Loads the group into state_of_group_, or complains with the nearest name.
  int require_group();
  int no_such_group();

  int show(const google::protobuf::Message& message, const Table& table, const char* nothing);
  int fleet_notice();
  // A group that is gone still has its activities.
  bool known_to_history();

  int processes(const char* operation, const char* done_word);
  int look_up_instances(IdsByGroup& by_group);
  // Row of the blast radius (rule R5) for people: more than a tenth of a group needs --force.
  int check_share(const std::string& group, const std::vector<std::string>& ids);
  int confirm(const IdsByGroup& by_group);
  int create_key();
  int list_keys();
  int delete_key();

  CtlOptions& options_;
  ApiClient client_;
  api::AutoScalingGroup state_of_group_;
};

template <typename Request, typename Response>
int Ctl::every_page(const std::string& operation, Request request, Response& all) {
  for (;;) {
    Response page;
    if (const Status done = client_.call(operation, request, page); !done) return fail(done.error());
    const std::string token = page.nexttoken();
    page.clear_nexttoken();
    all.MergeFrom(page);
    if (token.empty()) return 0;
    request.set_nexttoken(token);
  }
}

}  // namespace escala::app
