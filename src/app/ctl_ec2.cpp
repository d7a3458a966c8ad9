// `escala ctl doctor ec2` and `escala ctl iam-policy`: whether EC2 can be worked with from here, and what it takes.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "app/ctl.h"
#include "app/ec2_setup.h"
#include "provider/aws_credentials.h"
#include "wire/address.h"

namespace escala::app {
namespace {

// Terminating and tagging is bound to what carries our tag; launching is bound to tagging it. Reading cannot be bound.
constexpr std::string_view kPolicy = R"({
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Look", "Effect": "Allow",
     "Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeAvailabilityZones",
                "ec2:DescribeSubnets", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions"],
     "Resource": "*"},
    {"Sid": "TargetGroups", "Effect": "Allow",
     "Action": ["elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:RegisterTargets",
                "elasticloadbalancing:DeregisterTargets"],
     "Resource": "*"},
    {"Sid": "LaunchWithOurTag", "Effect": "Allow", "Action": "ec2:RunInstances",
     "Resource": ["arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*"],
     "Condition": {"StringLike": {"aws:RequestTag/escala:cluster": "*"}}},
    {"Sid": "LaunchFromThese", "Effect": "Allow", "Action": "ec2:RunInstances",
     "Resource": ["arn:aws:ec2:*::image/*", "arn:aws:ec2:*::snapshot/*", "arn:aws:ec2:*:*:subnet/*",
                  "arn:aws:ec2:*:*:network-interface/*", "arn:aws:ec2:*:*:security-group/*",
                  "arn:aws:ec2:*:*:key-pair/*", "arn:aws:ec2:*:*:launch-template/*",
                  "arn:aws:ec2:*:*:placement-group/*", "arn:aws:ec2:*:*:spot-instances-request/*"]},
    {"Sid": "TagAtLaunch", "Effect": "Allow", "Action": "ec2:CreateTags",
     "Resource": ["arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*"],
     "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
    {"Sid": "EndOurOwn", "Effect": "Allow",
     "Action": ["ec2:TerminateInstances", "ec2:StopInstances", "ec2:StartInstances"],
     "Resource": "arn:aws:ec2:*:*:instance/*",
     "Condition": {"StringLike": {"aws:ResourceTag/escala:cluster": "*"}}}
  ]
}
)";
constexpr std::string_view kPassRole =
    "To launch instances with an instance profile, allow iam:PassRole for its role as well.\n";

constexpr Duration kSkewWorth{30s};

struct Report {
  int faults = 0;
  static void good(const std::string& what) { std::fputs(("ok    " + what + "\n").c_str(), stdout); }
  static void note(const std::string& what) { std::fputs(("note  " + what + "\n").c_str(), stdout); }
  void bad(const std::string& what, const std::string& mend) {
    ++faults;
    std::fputs(fmt::format("FAULT {}\n      {}\n", what, mend).c_str(), stdout);
  }
};

void check_calls(Ec2Driver& driver, Report& report) {
  bool reached = false;
  for (const Ec2Driver::Check& check : driver.check_permissions(nullptr)) {
    reached = reached || check.outcome.ok() || check.outcome.error().kind == ErrorKind::Denied;
    if (check.outcome.ok()) {
      Report::good(check.what + ": allowed");
      continue;
    }
    const Error& error = check.outcome.error();
    if (error.kind == ErrorKind::Denied)
      report.bad(fmt::format("{}: NOT allowed: {}", check.what, error.message),
                 "`escala ctl iam-policy` prints the policy these credentials need");
    else
      report.bad(fmt::format("{}: {}", check.what, error.message),
                 "look at AWS_ENDPOINT_URL_EC2, the region, name resolution, and the proxy");
    if (!reached) break;  // the others would say the same
  }
  const Duration skew = driver.client().counters().skew;
  if (std::chrono::abs(skew) > kSkewWorth)
    report.bad(
        fmt::format("the clock here is {} {} EC2's", to_text(std::chrono::abs(skew)),
                    skew < Duration{0} ? "ahead of" : "behind"),
        "set the clock (chrony, systemd-timesyncd): signatures are corrected, certificates and schedules are not");
  else if (reached)
    Report::good("the clock agrees with EC2's");
}

// From outside: an address that instances can reach at all.
void check_monitor(const std::string& dir, Report& report) {
  std::ifstream file(monitor_address_file(dir));
  std::string address;
  if (!std::getline(file, address))
    return Report::note("no manager has run here yet: where instances would dial is unknown");
  const auto where = wire::parse_host_port(address);
  const auto numeric =
      where.ok() ? wire::numeric_address(where->host, where->port) : Result<wire::SocketAddress>(where.error());
  if (numeric.ok() && (numeric->is_loopback() || where->host == "0.0.0.0" || where->host == "::"))
    return report.bad(fmt::format("instances are told to dial {}, which is not reachable from them", address),
                      "give `escala monitor` --listen an address of this machine's network, or --advertise");
  Report::good(fmt::format("instances dial {}; its port must be open to their security group", address));
}

}  // namespace

int Ctl::doctor() {
  if (options_.group != "ec2") return complain(fmt::format("no doctor for '{}'; expected ec2", options_.group), 2);
  auto settings = find_settings(process_environment());
  if (!settings.ok()) return complain(settings.error().message, 2);
  Report report;
  Report::good(fmt::format("region {}, endpoint {}", settings->region, settings->endpoint("ec2")));
  const auto clock = std::make_shared<SystemClock>();
  AwsCredentialsChain chain(*settings, std::make_shared<HttpClient>(), clock);
  const auto credentials = chain.get(false);
  if (!credentials.ok()) {
    report.bad(credentials.error().message, "the guide, docs/guide/ec2.md, tells where credentials are looked for");
    return 1;
  }
  Report::good(fmt::format("credentials from {}", credentials->source));
  auto driver = make_ec2_driver(*settings, clock);
  if (!driver.ok()) return fail(driver.error());
  check_calls(**driver, report);
  check_monitor(options_.state_dir, report);
  if (report.faults == 0) Report::good("EC2 can be worked with from here");
  return report.faults == 0 ? 0 : 1;
}

int Ctl::iam_policy() {
  std::fwrite(kPolicy.data(), 1, kPolicy.size(), stdout);
  std::fwrite(kPassRole.data(), 1, kPassRole.size(), stderr);
  return 0;
}

}  // namespace escala::app
