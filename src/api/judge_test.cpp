// Documents of `escala apply`: what is accepted, and how each fault is told (rows 21-45, 49, 51, 53 of the catalogue).
#include "api/judge.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/test_support.h"

namespace escala::api {
namespace {

using testing::HasSubstr;

std::string group(const std::string& more, const std::string& sizes = "    MinSize: 1\n    MaxSize: 4\n") {
  return "version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n" + sizes +
         "    LaunchConfiguration:\n      Process:\n        Command: [sleep, infinity]\n" + more;
}

std::string tracking(const std::string& more) {
  return group(
      "    Policies:\n      - PolicyName: cpu\n        PolicyType: TargetTrackingScaling\n        "
      "TargetTrackingConfiguration:\n" +
      more);
}

std::string step(const std::string& steps) {
  return group(
      "    Policies:\n      - PolicyName: s\n        PolicyType: StepScaling\n        AdjustmentType: "
      "ChangeInCapacity\n        StepAdjustments: " +
      steps + "\n");
}

std::string scheduled(const std::string& fields) {
  return group("    ScheduledActions:\n      - {ScheduledActionName: a, MinSize: 1, " + fields + "}\n");
}

// Every fault as "line:column: what", one a line.
std::string faults_of(const std::string& text) {
  Document document;
  std::vector<std::string> warnings;
  std::string out;
  for (const Fault& fault : judge_document(text, kNow, document, warnings))
    out += fmt::format("{}:{}: {}\n", fault.mark.line, fault.mark.column, fault.what);
  return out;
}

TEST(Judge, TakesADocumentWithEverything) {
  EXPECT_EQ(faults_of(R"(version: 1
LaunchConfigurations:
  - LaunchConfigurationName: lc
    Process: {Command: [/bin/sleep, infinity], Environment: {A: "1"}, CpuLimit: 0.5, StopGrace: 3s, ServicePort: 80}
AutoScalingGroups:
  - AutoScalingGroupName: web
    LaunchConfigurationName: lc
    MinSize: 1
    MaxSize: 10
    DesiredCapacity: 2
    AvailabilityZones: [a, b]
    HealthCheckType: EC2,AGENT
    TerminationPolicies: [OldestInstance, Default]
    Tags: [{Key: team, Value: 5}]
    Escala: {MetricsMode: Pull, MetricsPeriod: 3s, EvaluationInterval: 10}
    Policies:
      - PolicyName: cpu
        PolicyType: TargetTrackingScaling
        TargetTrackingConfiguration:
          PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}
          TargetValue: 50
      - {PolicyName: add, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}
    Alarms:
      - {AlarmName: hot, MetricName: queue, Namespace: Escala/Gauge, Statistic: Sum, Period: 60, EvaluationPeriods: 3, DatapointsToAlarm: 2,
         Threshold: 100, ComparisonOperator: GreaterThanThreshold, AlarmActions: [add]}
    ScheduledActions:
      - {ScheduledActionName: morning, Recurrence: "0 8 * * MON-FRI", TimeZone: Europe/Berlin, MinSize: 2}
    LifecycleHooks:
      - {LifecycleHookName: drain, LifecycleTransition: "autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout: 30}
)"),
            "");
}

TEST(Judge, TellsEveryFaultAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(faults_of("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 5\n    MaxSize: 3\n "
                      "   MinSize: 4\n"
                      "    DefaultColdown: 3\n    LaunchConfiguration: {Process: {Command: [sleep]}}\n"),
            "4:14: AutoScalingGroups[0].MinSize: group 'web': min 5 is greater than max 3\n"
            "6:5: 'MinSize' repeated (first at 4:5)\n"
            "7:5: unknown key 'DefaultColdown' in AutoScalingGroups[0]; did you mean 'DefaultCooldown'?\n");
}

struct Row {
  const char* name;
  std::string text;
  const char* expected;
};

TEST(Judge, TheCatalogue) {
  const auto sizes = [](const char* min, const char* max, const char* more = "") {
    return group("", fmt::format("    MinSize: {}\n    MaxSize: {}\n{}", min, max, more));
  };
  const auto named = [](const std::string& name) {
    return "version: 1\nAutoScalingGroups:\n  - {AutoScalingGroupName: " + name +
           ", MinSize: 0, MaxSize: 1, LaunchConfigurationName: x}\n";
  };
  const auto tt = [](const char* target, const char* metric = "CPUUtilization") {
    return tracking(fmt::format(
        "          CustomizedMetricSpecification: {{MetricName: {}}}\n          TargetValue: {}\n", metric, target));
  };
  const Row rows[] = {
      {"22 no colon", "version 1\n", "1:1: expected a mapping, found 'version 1'; missing ':'?"},
      {"24 empty", "# nothing\n", "empty; expected 'version: 1'"},
      {"25 octal", sizes("010", "20"),
       "4:14: AutoScalingGroups[0].MinSize: '010' is ambiguous (octal?); write 10 or 8"},
      {"25 hex", sizes("0x1", "20"), "'0x1' is not a decimal integer"},
      {"26 nan", tt(".nan"), "must be a finite number"},
      {"26 inf", tt("-.inf"), "must be a finite number"},
      {"32 unknown key", group("    colldown: 3\n"),
       "unknown key 'colldown' in AutoScalingGroups[0]; did you mean 'DefaultCooldown'?"},
      {"33 list for a number", sizes("[1]", "3"), "expected an integer 0..10000, found a list"},
      {"33 text for a number", sizes("\"1\"", "3"), "expected an integer 0..10000, found text '1'"},
      {"33 nothing for a number", sizes("", "3"), "empty value; expected an integer 0..10000"},
      {"33 word for a list", group("    Tags: yes\n"), "expected a list of mappings, found 'yes'"},
      {"33 no for a bool", group("    NewInstancesProtectedFromScaleIn: no\n"),
       "expected bool (true, false), found 'no'"},
      {"34 min over max", sizes("5", "3"), "group 'web': min 5 is greater than max 3"},
      {"35 desired outside", sizes("2", "6", "    DesiredCapacity: 9\n"), "group 'web': desired 9 is outside 2..6"},
      {"out of range", sizes("-1", "6"), "-1 is below 0; expected an integer 0..10000"},
      {"out of range", sizes("1", "99999999999"), "99999999999 is outside the range"},
      {"36 colon", named("'a:b'"), "a name is 1 to 255 of ASCII 33-126 without ':'"},
      {"36 empty", named("''"), "'' is shorter than 1"},
      {"36 long", named(std::string(256, 'a')), "at most 255"},
      {"36 space", named("'a b'"), "a name is 1 to 255"},
      {"36 not ASCII", named("w\xC3\xA9"), "a name is 1 to 255"},
      {"36 escape", named("\"a\\e[1m\""), "byte 0x1B in 'a\\x1b[1m' is not allowed text"},
      {"37 twice",
       "version: 1\nAutoScalingGroups:\n  - {AutoScalingGroupName: a, MinSize: 0, MaxSize: 1, LaunchConfigurationName: "
       "x}\n"
       "  - {AutoScalingGroupName: A, MinSize: 0, MaxSize: 1, LaunchConfigurationName: x}\n",
       "4:5: AutoScalingGroups[1]: group 'A' repeated (first as AutoScalingGroups[0])"},
      {"38 unknown policy",
       group("    Policies: [{PolicyName: add, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}]\n"
             "    Alarms: [{AlarmName: h, MetricName: CPUUtilization, Period: 60, EvaluationPeriods: 1, Threshold: 1, "
             "ComparisonOperator: GreaterThanThreshold, AlarmActions: [ad]}]\n"),
       "alarm 'h' names policy 'ad', which group 'web' does not have; did you mean 'add'?"},
      {"38 unknown metric", tt("50", "CPUUtilisation"), "unknown metric 'CPUUtilisation'"},
      {"39 overlap",
       step("[{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 1}, "
            "{MetricIntervalLowerBound: 5, ScalingAdjustment: 2}]"),
       "step 1 [0, 10) and step 2 [5, +inf) overlap"},
      {"39 gap",
       step("[{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 1}, "
            "{MetricIntervalLowerBound: 20, ScalingAdjustment: 2}]"),
       "there is a gap between step 1 [0, 10) and step 2 [20, +inf)"},
      {"39 two open",
       step("[{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}, {MetricIntervalLowerBound: 5, ScalingAdjustment: "
            "2}]"),
       "overlap"},
      {"39 reversed", step("[{MetricIntervalLowerBound: 9, MetricIntervalUpperBound: 3, ScalingAdjustment: 1}]"),
       "must be less than the upper bound"},
      {"40 target 0", tt("0"), "0 must be > 0"},
      {"40 target below 0", tt("-5"), "-5 must be > 0"},
      {"41 never leaves 0",
       group("    Policies:\n      - PolicyName: cpu\n        PolicyType: TargetTrackingScaling\n        "
             "TargetTrackingConfiguration: "
             "{PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}, TargetValue: 50}\n",
             "    MinSize: 0\n    MaxSize: 3\n"),
       "can never leave 0"},
      {"41 a sum of CPU never leaves 0",
       group("    Policies:\n      - {PolicyName: out, PolicyType: SimpleScaling, AdjustmentType: ChangeInCapacity, "
             "ScalingAdjustment: 1}\n    Alarms:\n      - {AlarmName: high, MetricName: CPUUtilization, Namespace: "
             "AWS/EC2, Statistic: Sum, Period: 60, EvaluationPeriods: 1, Threshold: 5, ComparisonOperator: "
             "GreaterThanThreshold, AlarmActions: [out]}\n",
             "    MinSize: 0\n    MaxSize: 3\n"),
       "can never leave 0"},
      {"35 in a scheduled action", scheduled("Recurrence: '0 8 * * *', MaxSize: 3, DesiredCapacity: 9"),
       "DesiredCapacity 9 is outside 1..3"},
      {"45 the same moments",
       group("    ScheduledActions:\n      - {ScheduledActionName: a, Recurrence: '0 8 * * *', MinSize: 1}\n      - "
             "{ScheduledActionName: b, Recurrence: '0 8 * * *', MinSize: 2}\n",
             "    MinSize: 1\n    MaxSize: 3\n"),
       "'a' and 'b' start at the same instant"},
      {"43 minute", scheduled("Recurrence: '61 * * * *'"), "61"},
      {"43 never", scheduled("Recurrence: '0 0 30 2 *'"), "never fires"},
      {"43 six fields", scheduled("Recurrence: '0 0 0 * * *'"), "Recurrence"},
      {"43 reboot", scheduled("Recurrence: '@reboot'"), "Recurrence"},
      {"44 zone", scheduled("Recurrence: '0 8 * * *', TimeZone: Mars/Base"), "unknown IANA time zone"},
      {"45 past", scheduled("StartTime: 2020-01-01T00:00:00Z"), "is in the past"},
      {"45 end before start", scheduled("StartTime: 2027-01-02T00:00:00Z, EndTime: 2027-01-01T00:00:00Z"),
       "is not after StartTime"},
      {"49 no command",
       "version: 1\nAutoScalingGroups:\n  - {AutoScalingGroupName: a, MinSize: 0, MaxSize: 1, LaunchConfiguration: "
       "{Process: {Command: []}}}\n",
       "Process.Command: missing"},
      {"49 text for a list",
       "version: 1\nAutoScalingGroups:\n  - {AutoScalingGroupName: a, MinSize: 0, MaxSize: 1, LaunchConfiguration: "
       "{Process: {Command: sleep 5}}}\n",
       "expected a list of text, found 'sleep 5'"},
      {"51 blast radius", group("    Escala: {ReplacementPercent: 101}\n"), "101 is above 100"},
      {"51 blast radius", group("    Escala: {ReplacementPercent: 0}\n"), "0 must be > 0"},
      {"53 newer", "version: 9\n", "1:10: version: version 9 is newer than this escala (1)"},
      {"no version", "AutoScalingGroups: []\n", "version: missing"},
      {"enum", group("    TerminationPolicies: [OldestInstnce]\n"), "did you mean 'OldestInstance'?"},
      {"health check", group("    HealthCheckType: EC2,AGNET\n"), "'AGNET'; expected one or more of"},
      {"period",
       tracking("          CustomizedMetricSpecification: {MetricName: CPUUtilization}\n          TargetValue: 5\n     "
                "     Period: 7\n"),
       "7 is no period"},
      {"both metrics", tracking("          TargetValue: 5\n"),
       "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification"},
      {"no launch configuration",
       "version: 1\nAutoScalingGroups: [{AutoScalingGroupName: a, MinSize: 0, MaxSize: 1}]\n",
       "exactly one of LaunchConfiguration, LaunchConfigurationName, LaunchTemplate and Mixed"},
      {"policy twice",
       group("    Policies:\n      - {PolicyName: a, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}\n"
             "      - {PolicyName: a, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 2}\n"),
       "'a' repeated (first as Policies[0])"},
  };
  for (const Row& row : rows) EXPECT_THAT(faults_of(row.text), HasSubstr(row.expected)) << row.name << "\n" << row.text;
}

TEST(Judge, WarnsOfWhatIsHardlyMeant) {
  Document document;
  std::vector<std::string> warnings;
  EXPECT_TRUE(judge_document(group("    DefaultInstanceWarmup: 600\n    Escala: {RegistrationTimeout: 60s}\n"), kNow,
                             document, warnings)
                  .empty());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings[0], HasSubstr("RegistrationTimeout 1m is shorter than DefaultInstanceWarmup 10m"));
}

}  // namespace
}  // namespace escala::api
