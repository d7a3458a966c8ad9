// The operations over a memory store: semantics and wording as in AWS, conditions on what was read, refusals that
// change nothing.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fill.h"
#include "api/test_support.h"
#include "store/activity.h"

namespace escala::api {
namespace {

using testing::HasSubstr;

class Api : public ApiOverMemory {
 protected:
  std::string refused(const std::string& operation, const std::string& json) {
    const Revision before = store_.revision();
    std::string answer = call(operation, json);
    EXPECT_EQ(store_.revision(), before) << "a refused request changed something: " << operation << " " << json;
    return answer;
  }
  void make_group(const std::string& name = "web", const std::string& more = "") {
    (void)call("CreateLaunchConfiguration",
               R"({"LaunchConfigurationName":"lc","Process":{"Command":["sleep","9"],"ServicePort":80}})");
    ASSERT_EQ(
        call("CreateAutoScalingGroup", R"({"AutoScalingGroupName":")" + name +
                                           R"(","LaunchConfigurationName":"lc","MinSize":1,"MaxSize":4)" + more + "}"),
        "{}");
  }
  Group group(const std::string& name = "web") { return std::get<0>(load_group(context_, GroupName(name))).group; }
  void add_instance(const std::string& id, LifecycleState state = LifecycleState::InService,
                    const std::string& group = "web") {
    LoadedInstance loaded;
    loaded.group = GroupName(group);
    loaded.instance.id = InstanceId(id);
    loaded.instance.zone = ZoneName("local-a");
    loaded.instance.state = state;
    loaded.instance.address = "127.0.0.9:80";
    loaded.instance.launched_at = loaded.instance.state_since = loaded.instance.health_since = kNow;
    loaded.instance.in_service_at = kNow;
    Batch batch;
    put(batch, loaded);
    ASSERT_TRUE(store_.commit(batch).ok());
  }
  Instance instance(const std::string& id) { return std::get<0>(find_instance(context_, InstanceId(id))).instance; }
};

// Seed 1205187: deleted, made anew with other contents, and asked for under the same token.
TEST_F(Api, ALaunchConfigurationThatIsBeingLaunchedStays) {
  make_group();
  ASSERT_EQ(
      call("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"other","Process":{"Command":["/bin/sleep"]}})"),
      "{}");
  ASSERT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","LaunchConfigurationName":"other"})"),
            "{}");
  state::Operation intent;
  intent.set_token("t-1");
  intent.set_group("web");
  intent.set_kind(state::Operation::LAUNCH);
  intent.mutable_spec()->set_id("lc");
  const std::string key = keys::operation(GroupName("web"), Token("t-1"));
  Batch batch;
  batch.put(key, intent.SerializeAsString());
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_THAT(refused("DeleteLaunchConfiguration", R"({"LaunchConfigurationName":"lc"})"), HasSubstr("ResourceInUse"));
  Batch closed;
  closed.erase(key);
  ASSERT_TRUE(store_.commit(closed).ok());
  EXPECT_EQ(call("DeleteLaunchConfiguration", R"({"LaunchConfigurationName":"lc"})"), "{}");
}

TEST_F(Api, CreatesDescribesUpdatesAndDeletesAGroup) {
  make_group();
  EXPECT_EQ(group().desired_capacity, 1);
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(R"("AutoScalingGroupName":"web")"));
  EXPECT_THAT(refused("CreateAutoScalingGroup",
                      R"({"AutoScalingGroupName":"web","LaunchConfigurationName":"lc","MinSize":1,"MaxSize":4})"),
              HasSubstr("AlreadyExists"));
  // Desired is pulled into the new bounds, and otherwise left alone.
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MinSize":2})"), "{}");
  EXPECT_EQ(group().desired_capacity, 2);
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MinSize":1,"MaxSize":9})"), "{}");
  EXPECT_EQ(group().desired_capacity, 2);
  EXPECT_THAT(refused("DeleteLaunchConfiguration", R"({"LaunchConfigurationName":"lc"})"), HasSubstr("ResourceInUse"));
  add_instance("i-1");
  EXPECT_THAT(refused("DeleteAutoScalingGroup", R"({"AutoScalingGroupName":"web"})"),
              HasSubstr("ResourceInUse: You cannot delete an AutoScalingGroup while there are instances"));
  EXPECT_EQ(call("DeleteAutoScalingGroup", R"({"AutoScalingGroupName":"web","ForceDelete":true})"), "{}");
  EXPECT_TRUE(group().deleting);
  EXPECT_THAT(refused("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","MaxSize":3})"),
              HasSubstr("ScalingActivityInProgress"));
}

TEST_F(Api, ADecisionThatWaitsForNothingHasNoNextLook) {
  make_group();
  state::Decision decision;
  live_.put(GroupName("web"), std::make_shared<state::Decision>(decision));
  EXPECT_THAT(call("Explain", R"({"AutoScalingGroupName":"web"})"), Not(HasSubstr("LookAgainAt")));
  decision.set_look_again_at(to_us(kNow));
  live_.put(GroupName("web"), std::make_shared<state::Decision>(decision));
  EXPECT_THAT(call("Explain", R"({"AutoScalingGroupName":"web"})"), HasSubstr("LookAgainAt"));
}

TEST_F(Api, ExecutingASimplePolicyAsksForItsCooldown) {
  make_group();
  (void)call("PutScalingPolicy", R"({"AutoScalingGroupName":"web","PolicyName":"one","PolicyType":"SimpleScaling",
    "AdjustmentType":"ChangeInCapacity","ScalingAdjustment":1,"Cooldown":90})");
  ASSERT_EQ(call("ExecutePolicy", R"({"AutoScalingGroupName":"web","PolicyName":"one"})"), "{}");
  EXPECT_EQ(group().desired_capacity, 2);
  ASSERT_TRUE(group().executed);
  EXPECT_EQ(group().executed->cooldown, 90s);
}

TEST_F(Api, RebalanceIsASettingOfTheGroup) {
  make_group("web", R"(,"Escala":{"Rebalance":true})");
  EXPECT_TRUE(group().rebalance);
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(R"("Rebalance":true)"));
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","Escala":{"Observe":true}})"), "{}");
  EXPECT_TRUE(group().rebalance) << "what is not named stays";
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","Escala":{"DrainTimeout":90}})"), "{}");
  EXPECT_EQ(group().drain_timeout, 90s);
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(R"("DrainTimeout":90)"));
  EXPECT_EQ(call("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"web","Escala":{"Rebalance":false}})"), "{}");
  EXPECT_FALSE(group().rebalance);
}

TEST_F(Api, SaysWhatIsWrongAsAwsDoes) {
  make_group();
  const std::pair<std::string, std::string> create[] = {
      {R"({"MinSize":-1,"MaxSize":4,"LaunchConfigurationName":"lc","AutoScalingGroupName":"a:b"})",
       "ValidationError: 2 validation errors detected: Value 'a:b' at 'autoScalingGroupName' failed to satisfy "
       "constraint: Member must satisfy regular "
       "expression pattern: [!-9;-~]+; Value '-1' at 'minSize' failed to satisfy constraint: Member must have value "
       "greater than or equal to 0"},
      {R"({"AutoScalingGroupName":"b","MinSize":"abc","MaxSize":4})",
       "Value 'abc' at 'minSize' failed to satisfy constraint: Member must be an integer"},
      {R"({"AutoScalingGroupName":"b","MinSize":1.5,"MaxSize":4})",
       "Value '1.5' at 'minSize' failed to satisfy constraint: Member must be an integer"},
      {R"({"AutoScalingGroupName":"b","MinSize":2147483648,"MaxSize":4})", "'minSize' failed to satisfy constraint"},
      {R"({"AutoScalingGroupName":"b","MinSize":1})",
       "Value null at 'maxSize' failed to satisfy constraint: Member must not be null"},
      {R"({"AutoScalingGroupName":"b","MinSize":3,"MaxSize":1,"LaunchConfigurationName":"lc"})",
       "Max bound, 1, must be greater than or equal to min bound, 3"},
      {R"({"AutoScalingGroupName":"b","MinSize":1,"MaxSize":1,"DesiredCapacity":10,"LaunchConfigurationName":"lc"})",
       "Desired capacity:10 must be between the specified min size:1 and max size:1"},
      {R"({"AutoScalingGroupName":"b","MinSize":1,"MaxSize":1})",
       "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy "
       "parameter."},
      {R"({"AutoScalingGroupName":"b","MinSize":1,"MaxSize":1,"LaunchConfigurationName":"none"})",
       "Launch configuration name not found"},
      {R"({"AutoScalingGroupName":"b","MinSze":1})", "unknown key 'MinSze'; did you mean 'MinSize'?"},
      {R"({"AutoScalingGroupName":"b","MinSize":1,"MaxSize":1,"LaunchConfigurationName":"lc","Tags":[{"Key":"aws:x","Value":"1"}]})",
       "reserved"},
      {R"({"AutoScalingGroupName":"b","MinSize":1,"MaxSize":1,"LaunchConfigurationName":"lc","TerminationPolicies":["Foo"]})",
       "Value 'Foo' at 'terminationPolicies.1.member' failed to satisfy constraint: Member must satisfy enum value "
       "set: [Default, "},
  };
  for (const auto& [json, expected] : create)
    EXPECT_THAT(refused("CreateAutoScalingGroup", json), HasSubstr(expected)) << json;
  EXPECT_THAT(refused("UpdateAutoScalingGroup", R"({"AutoScalingGroupName":"nobody"})"),
              HasSubstr("ValidationError: AutoScalingGroup name not found"));
  EXPECT_THAT(call("DescribeAutoScalingGroups", R"({"AutoScalingGroupNames":["nobody"]})"), "{}");
  EXPECT_THAT(refused("Foo", "{}"), HasSubstr("InvalidAction: Could not find operation Foo for version 2011-01-01"));
  EXPECT_THAT(refused("SetDesiredCapcity", "{}"), HasSubstr("did you mean 'SetDesiredCapacity'?"));
  EXPECT_THAT(refused("SetDesiredCapacity", R"({"AutoScalingGroupName":"web","DesiredCapacity":9})"),
              HasSubstr("above max value 4"));
  EXPECT_THAT(refused("SetDesiredCapacity", R"({"AutoScalingGroupName":"web","DesiredCapacity":0})"),
              HasSubstr("below min value 1"));
  EXPECT_THAT(refused("SuspendProcesses", R"({"AutoScalingGroupName":"web","ScalingProcesses":["Lanch"]})"),
              HasSubstr("[Launch, Terminate, "));
  EXPECT_THAT(
      refused("PutLifecycleHook", R"({"AutoScalingGroupName":"web","LifecycleHookName":"h","HeartbeatTimeout":29})"),
      HasSubstr("greater than or equal to 30"));
}

TEST_F(Api, PagesWithSealedTokens) {
  for (const char* name : {"a", "b", "c"}) make_group(name);
  const std::string first = call("DescribeAutoScalingGroups", R"({"MaxRecords":2})");
  EXPECT_THAT(first, HasSubstr(R"("AutoScalingGroupName":"b")"));
  EXPECT_THAT(first, testing::Not(HasSubstr(R"("AutoScalingGroupName":"c")")));
  const std::string token = read_json(first)->find("NextToken")->text;
  const std::string second = call("DescribeAutoScalingGroups", R"({"MaxRecords":2,"NextToken":")" + token + "\"}");
  EXPECT_THAT(second, HasSubstr(R"("AutoScalingGroupName":"c")"));
  EXPECT_THAT(second, testing::Not(HasSubstr("NextToken")));
  for (size_t i = 0; i < token.size(); i += 7) {
    std::string changed = token;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_THAT(call("DescribeAutoScalingGroups", R"({"NextToken":")" + changed + "\"}"), HasSubstr("InvalidNextToken"))
        << i;
  }
  EXPECT_THAT(call("DescribePolicies", R"({"NextToken":")" + token + "\"}"), HasSubstr("InvalidNextToken"));
  clock_.advance(2h);
  EXPECT_THAT(call("DescribeAutoScalingGroups", R"({"NextToken":")" + token + "\"}"), HasSubstr("InvalidNextToken"));
  EXPECT_THAT(call("DescribeAutoScalingGroups", R"({"MaxRecords":101})"), HasSubstr("less than or equal to 100"));
}

TEST_F(Api, TerminatesInstancesOnRequest) {
  make_group(
      "web",
      R"(,"DesiredCapacity":2,"LifecycleHookSpecificationList":[{"LifecycleHookName":"drain","LifecycleTransition":"autoscaling:EC2_INSTANCE_TERMINATING"}])");
  add_instance("i-1");
  add_instance("i-2");
  EXPECT_THAT(
      refused("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-9","ShouldDecrementDesiredCapacity":true})"),
      HasSubstr("No managed instance found for instance ID i-9"));
  EXPECT_THAT(refused("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-1"})"),
              HasSubstr("Value null at 'shouldDecrementDesiredCapacity'"));
  EXPECT_THAT(
      call("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-1","ShouldDecrementDesiredCapacity":true})"),
      HasSubstr("shrinking the capacity from 2 to 1"));
  EXPECT_EQ(group().desired_capacity, 1);
  EXPECT_EQ(instance("i-1").state, LifecycleState::TerminatingWait);
  ASSERT_EQ(instance("i-1").hooks.size(), 1U);
  EXPECT_EQ(instance("i-1").hooks[0].token.str().size(), 36U);
  EXPECT_THAT(
      refused("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-1","ShouldDecrementDesiredCapacity":false})"),
      HasSubstr("already Terminating:Wait"));
  EXPECT_THAT(
      refused("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-2","ShouldDecrementDesiredCapacity":true})"),
      HasSubstr("min size 1"));
  // Without the decrement a replacement is due.
  EXPECT_THAT(
      call("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-2","ShouldDecrementDesiredCapacity":false})"),
      HasSubstr("MidLifecycleAction"));
  EXPECT_TRUE(instance("i-2").terminate_for_replacement);
  EXPECT_EQ(group().desired_capacity, 1);
  EXPECT_THAT(call("DescribeScalingActivities", R"({"AutoScalingGroupName":"web"})"),
              HasSubstr("Terminating EC2 instance: i-2"));

  // Hooks answer once, by token or by instance.
  const std::string token = instance("i-1").hooks[0].token.str();
  EXPECT_EQ(call("RecordLifecycleActionHeartbeat",
                 R"({"AutoScalingGroupName":"web","LifecycleHookName":"drain","InstanceId":"i-2"})"),
            "{}");
  const std::string complete =
      R"({"AutoScalingGroupName":"web","LifecycleHookName":"drain","LifecycleActionResult":"CONTINUE",)";
  EXPECT_EQ(call("CompleteLifecycleAction", complete + R"("LifecycleActionToken":")" + token + "\"}"), "{}");
  EXPECT_EQ(instance("i-1").hooks[0].continued, std::optional(true));
  EXPECT_THAT(refused("CompleteLifecycleAction", complete + R"("InstanceId":"i-1"})"),
              HasSubstr("No active Lifecycle Action found with instance ID i-1"));
  clock_.advance(3h);
  EXPECT_THAT(refused("RecordLifecycleActionHeartbeat",
                      R"({"AutoScalingGroupName":"web","LifecycleHookName":"drain","InstanceId":"i-2"})"),
              HasSubstr("No active Lifecycle Action found"));
}

TEST_F(Api, WhoTerminatesAComingInstanceEndsItsLaunch) {
  make_group("web", R"(,"DesiredCapacity":1)");
  add_instance("i-1", LifecycleState::Pending);
  state::Activity launch = start_activity(ActivityId("launch"), GroupName("web"), launch_description(InstanceId("i-1")),
                                          "because", clock_.now());
  launch.set_instance("i-1");
  Batch batch;
  batch.put(activity_key(launch), launch.SerializeAsString());
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_THAT(
      call("TerminateInstanceInAutoScalingGroup", R"({"InstanceId":"i-1","ShouldDecrementDesiredCapacity":false})"),
      HasSubstr("InProgress"));
  const std::string told = call("DescribeScalingActivities", R"({"AutoScalingGroupName":"web"})");
  EXPECT_THAT(told, HasSubstr("Cancelled"));
  EXPECT_THAT(told, HasSubstr("terminated in response to a user request"));
}

TEST_F(Api, StandbyHealthAndProtection) {
  make_group("web", R"(,"DesiredCapacity":2)");
  add_instance("i-1");
  add_instance("i-2");
  EXPECT_EQ(call("SetInstanceProtection",
                 R"({"AutoScalingGroupName":"web","InstanceIds":["i-1"],"ProtectedFromScaleIn":true})"),
            "{}");
  EXPECT_TRUE(instance("i-1").protected_from_scale_in);
  EXPECT_THAT(refused("SetInstanceProtection",
                      R"({"AutoScalingGroupName":"web","InstanceIds":["i-1","i-1"],"ProtectedFromScaleIn":false})"),
              HasSubstr("twice"));
  EXPECT_EQ(
      call("SetInstanceHealth", R"({"InstanceId":"i-2","HealthStatus":"Unhealthy","ShouldRespectGracePeriod":false})"),
      "{}");
  EXPECT_EQ(instance("i-2").health, HealthStatus::Unhealthy);
  EXPECT_THAT(refused("SetInstanceHealth", R"({"InstanceId":"i-2","HealthStatus":"Sick"})"),
              HasSubstr("[Healthy, Unhealthy]"));
  EXPECT_THAT(call("EnterStandby",
                   R"({"AutoScalingGroupName":"web","InstanceIds":["i-1"],"ShouldDecrementDesiredCapacity":true})"),
              HasSubstr("Successful"));
  EXPECT_EQ(instance("i-1").state, LifecycleState::Standby);
  EXPECT_EQ(group().desired_capacity, 1);
  EXPECT_THAT(refused("EnterStandby",
                      R"({"AutoScalingGroupName":"web","InstanceIds":["i-2"],"ShouldDecrementDesiredCapacity":true})"),
              HasSubstr("min size"));
  EXPECT_THAT(call("ExitStandby", R"({"AutoScalingGroupName":"web","InstanceIds":["i-1"]})"), HasSubstr("Successful"));
  EXPECT_EQ(instance("i-1").state, LifecycleState::Pending);
  EXPECT_EQ(group().desired_capacity, 2);
}

TEST_F(Api, PoliciesAlarmsSchedulesHooksAndTags) {
  make_group();
  const std::string tracking =
      R"({"AutoScalingGroupName":"web","PolicyName":"cpu","PolicyType":"TargetTrackingScaling","TargetTrackingConfiguration":)";
  const std::string cpu =
      R"({"PredefinedMetricSpecification":{"PredefinedMetricType":"ASGAverageCPUUtilization"},"TargetValue":50,"Period":1})";
  EXPECT_THAT(call("PutScalingPolicy", tracking + cpu + "}"), HasSubstr("arn:aws:autoscaling:"));
  EXPECT_THAT(refused("PutScalingPolicy", tracking + R"({"TargetValue":50}})"), HasSubstr("exactly one of"));
  EXPECT_THAT(
      refused(
          "PutScalingPolicy",
          R"({"AutoScalingGroupName":"web","PolicyName":"cpu2","PolicyType":"TargetTrackingScaling","TargetTrackingConfiguration":)" +
              cpu + "}"),
      HasSubstr("same metric"));
  EXPECT_THAT(refused("ExecutePolicy", R"({"AutoScalingGroupName":"web","PolicyName":"cpu"})"),
              HasSubstr("cannot be executed"));
  EXPECT_THAT(
      call(
          "PutScalingPolicy",
          R"({"AutoScalingGroupName":"web","PolicyName":"add","AdjustmentType":"ChangeInCapacity","ScalingAdjustment":2})"),
      HasSubstr("policyName/add"));
  EXPECT_EQ(call("ExecutePolicy", R"({"AutoScalingGroupName":"web","PolicyName":"add"})"), "{}");
  EXPECT_EQ(group().desired_capacity, 3);
  const std::string described = call("DescribePolicies", R"({"AutoScalingGroupName":"web"})");
  EXPECT_THAT(described, HasSubstr(R"("PredefinedMetricType":"ASGAverageCPUUtilization")"));
  EXPECT_THAT(described, HasSubstr(R"("Period":1)"));

  const std::string ahead =
      R"({"AutoScalingGroupName":"web","PolicyName":"ahead","PolicyType":"PredictiveScaling","PredictiveScalingConfiguration":)";
  const std::string pair =
      R"("MetricSpecifications":[{"TargetValue":50,"PredefinedMetricPairSpecification":{"PredefinedMetricType":"ASGCPUUtilization"}}])";
  EXPECT_THAT(refused("PutScalingPolicy", ahead + "{" + pair + R"(,"MaxCapacityBuffer":5}})"),
              HasSubstr("IncreaseMaxCapacity only"));
  EXPECT_THAT(refused("PutScalingPolicy", ahead + "{" + pair + R"(,"UnservedPrice":5,"UnservedObjective":0.1}})"),
              HasSubstr("exclude each other"));
  EXPECT_THAT(refused("PutScalingPolicy", ahead + R"({"MetricSpecifications":[{"TargetValue":50}]}})"),
              HasSubstr("exactly one of"));
  EXPECT_THAT(
      call("PutScalingPolicy",
           ahead + "{" + pair + R"(,"Mode":"ForecastAndScale","SchedulingBufferTime":120,"UnservedObjective":0.001}})"),
      HasSubstr("policyName/ahead"));
  EXPECT_THAT(call("DescribePolicies", R"({"AutoScalingGroupName":"web","PolicyNames":["ahead"]})"),
              testing::AllOf(HasSubstr(R"("Mode":"ForecastAndScale")"), HasSubstr(R"("SchedulingBufferTime":120)"),
                             HasSubstr(R"("PredefinedMetricType":"ASGCPUUtilization")")));
  const std::string day =
      R"({"AutoScalingGroupName":"web","PolicyName":"ahead","StartTime":"2026-11-23T12:00:00Z","EndTime":"2026-11-24T12:00:00Z"})";
  EXPECT_THAT(refused("GetPredictiveScalingForecast", day), HasSubstr("no forecast yet"));
  EXPECT_THAT(refused("GetPredictiveScalingForecast",
                      R"({"AutoScalingGroupName":"web","PolicyName":"ahead","StartTime":"x","EndTime":"y"})"),
              HasSubstr("startTime"));
  {
    GroupMemory memory;
    ForecastMemory& forecast = memory.policies[PolicyName("ahead")].forecast.edit();
    for (int64_t i = 0; i < 120; ++i) learn(forecast, {kNow.time_since_epoch() / kForecastPeriod - 120 + i, 8, false});
    // As control writes them: in two records.
    state::GroupMemory plain;
    encode(memory, plain, Forecasts::Apart);
    state::Forecasts learned;
    encode_forecasts(memory, learned);
    Batch batch;
    batch.put(keys::memory(GroupName("web")), plain.SerializeAsString());
    batch.put(keys::forecasts(GroupName("web")), learned.SerializeAsString());
    ASSERT_TRUE(store_.commit(batch).ok());
    const std::string told = call("GetPredictiveScalingForecast", day);
    EXPECT_THAT(told, testing::AllOf(HasSubstr(R"("LoadForecast":[{)"), HasSubstr("2026-11-24T11:00:00Z"),
                                     HasSubstr(R"("UpdateTime":"2026-11-23T12:00:00Z")")));
  }

  const std::string alarm =
      R"({"AutoScalingGroupName":"web","AlarmName":"hot","MetricName":"CPUUtilization","Period":60,"EvaluationPeriods":2,"Threshold":70,"ComparisonOperator":"GreaterThanThreshold")";
  EXPECT_EQ(call("PutMetricAlarm", alarm + R"(,"AlarmActions":["add"]})"), "{}");
  EXPECT_THAT(call("DescribeAlarms", "{}"), HasSubstr(R"("StateValue":"INSUFFICIENT_DATA")"));
  EXPECT_THAT(refused("PutMetricAlarm", alarm + R"(,"DatapointsToAlarm":3})"),
              HasSubstr("3 is more than EvaluationPeriods 2"));
  EXPECT_EQ(call("DeletePolicy", R"({"AutoScalingGroupName":"web","PolicyName":"add"})"), "{}");
  EXPECT_TRUE(group().alarms[0].alarm_actions.empty());

  const std::string action =
      R"({"AutoScalingGroupName":"web","ScheduledActionName":"n","Recurrence":"0 8 * * *","MinSize":2)";
  EXPECT_EQ(call("PutScheduledUpdateGroupAction", action + R"(,"TimeZone":"Europe/Berlin"})"), "{}");
  EXPECT_THAT(refused("PutScheduledUpdateGroupAction", action + R"(,"TimeZone":"Mars/Base"})"), HasSubstr("time zone"));
  EXPECT_THAT(call("DescribeScheduledActions", "{}"), HasSubstr(R"("TimeZone":"Europe/Berlin")"));
  EXPECT_EQ(call("DeleteScheduledAction", R"({"AutoScalingGroupName":"web","ScheduledActionName":"n"})"), "{}");

  EXPECT_EQ(call("CreateOrUpdateTags", R"({"Tags":[{"ResourceId":"web","Key":"k","Value":"v"}]})"), "{}");
  EXPECT_THAT(call("DescribeTags", R"({"Filters":[{"Name":"key","Values":["k"]}]})"), HasSubstr(R"("Value":"v")"));
  EXPECT_EQ(call("DeleteTags", R"({"Tags":[{"ResourceId":"web","Key":"k","Value":"other"}]})"), "{}");
  EXPECT_EQ(group().tags.size(), 1U);

  EXPECT_EQ(call("SuspendProcesses", R"({"AutoScalingGroupName":"web","ScalingProcesses":["Launch"]})"), "{}");
  EXPECT_TRUE(has(group().suspended, Process::Launch));
  EXPECT_FALSE(has(group().suspended, Process::Terminate));
  EXPECT_EQ(call("ResumeProcesses", R"({"AutoScalingGroupName":"web"})"), "{}");
  EXPECT_TRUE(group().suspended.none());
}

TEST_F(Api, AlarmsOverTheHistory) {
  make_group();
  const std::string alarm =
      R"({"AlarmName":"deep","EvaluationPeriods":1,"Threshold":10,"ComparisonOperator":"GreaterThanThreshold")";
  const std::string custom = alarm + R"(,"Namespace":"MyApp","MetricName":"Depth","Period":10)";
  EXPECT_THAT(refused("PutMetricAlarm", custom + "}"), HasSubstr("An alarm is one of an Auto Scaling group here"));
  EXPECT_THAT(refused("PutMetricAlarm", custom + R"(,"AutoScalingGroupName":"web","Statistic":"Most"})"),
              HasSubstr("Most"));
  EXPECT_EQ(call("PutMetricAlarm", custom + R"(,"AutoScalingGroupName":"web","Statistic":"Sum"})"), "{}");
  EXPECT_THAT(call("DescribeAlarms", R"({"AlarmNames":["deep"]})"),
              testing::AllOf(HasSubstr(R"("Namespace":"MyApp")"), HasSubstr(R"("Statistic":"Sum")")));
  EXPECT_THAT(call("DescribeAlarmsForMetric", R"({"Namespace":"MyApp","MetricName":"Depth"})"), HasSubstr("deep"));
  EXPECT_THAT(call("DescribeAlarmsForMetric", R"({"Namespace":"MyApp","MetricName":"Depth","Statistic":"Average"})"),
              testing::Not(HasSubstr("deep")));

  // Metric math: one query returns data, and what it reads is there.
  const std::string m1 =
      R"({"Id":"m1","ReturnData":false,"MetricStat":{"Metric":{"Namespace":"MyApp","MetricName":"Depth"},"Period":60,"Stat":"Sum"}})";
  const auto math = [&](const std::string& queries) {
    return alarm + R"(,"AutoScalingGroupName":"web","Metrics":[)" + queries + "]}";
  };
  EXPECT_THAT(refused("PutMetricAlarm", math(m1)), HasSubstr("0 of the queries return data"));
  EXPECT_THAT(refused("PutMetricAlarm", math(m1 + R"(,{"Id":"e","Expression":"m1 / m2"})")), HasSubstr("m2"));
  EXPECT_EQ(call("PutMetricAlarm", math(m1 + R"(,{"Id":"e","Expression":"m1 / 2"})")), "{}");
  ASSERT_EQ(group().alarms.size(), 1u);  // the same name: it has become this one
  EXPECT_EQ(group().alarms[0].queries.size(), 2u);

  // States are set by their name; the engine carries it out.
  EXPECT_THAT(refused("SetAlarmState", R"({"AlarmName":"none","StateValue":"OK","StateReason":"r"})"),
              HasSubstr("Unknown alarm: none"));
  EXPECT_EQ(call("SetAlarmState", R"({"AlarmName":"deep","StateValue":"ALARM","StateReason":"drill"})"), "{}");
  ASSERT_TRUE(group().alarms[0].forced);
  EXPECT_EQ(group().alarms[0].forced->state, AlarmState::Alarm);
  EXPECT_EQ(call("DisableAlarmActions", R"({"AlarmNames":["deep"]})"), "{}");
  EXPECT_FALSE(group().alarms[0].actions_enabled);
  EXPECT_THAT(call("DescribeAlarmHistory", R"({"AlarmName":"deep"})"), HasSubstr("actions are disabled"));

  // A name is one alarm in the whole fleet: put in another group, it leaves this one.
  make_group("db");
  EXPECT_EQ(call("PutMetricAlarm", custom + R"(,"AutoScalingGroupName":"db","Statistic":"Sum"})"), "{}");
  EXPECT_TRUE(group().alarms.empty());
  EXPECT_EQ(group("db").alarms.size(), 1u);
  EXPECT_THAT(refused("DeleteAlarms", R"({"AlarmNames":["deep","none"]})"), HasSubstr("Unknown alarm: none"));
  EXPECT_EQ(call("DeleteAlarms", R"({"AlarmNames":["deep"]})"), "{}");
  EXPECT_TRUE(group("db").alarms.empty());
}

TEST_F(Api, MetricsArePutAndRead) {
  EXPECT_THAT(refused("PutMetricData", R"({"Namespace":"MyApp","MetricData":[{"MetricName":"Depth","Value":1}]})"),
              HasSubstr("metrics are not kept here"));
  const auto history = history::History::open({}).value();
  context_.history = history.get();
  const auto datum = [&](const std::string& what) {
    return call("PutMetricData", R"({"Namespace":"MyApp","MetricData":[{"MetricName":"Depth")" + what + "}]}");
  };
  EXPECT_THAT(datum(""), HasSubstr("one of Value, Values and StatisticValues is needed"));
  EXPECT_THAT(datum(R"(,"Value":1,"Values":[2])"), HasSubstr("exclude each other"));
  EXPECT_THAT(datum(R"(,"Value":1e300)"), HasSubstr("less than or equal to 1000000000000000"));
  EXPECT_THAT(datum(R"(,"Values":[1,2],"Counts":[1])"), HasSubstr("2 Values and 1 Counts"));
  EXPECT_THAT(datum(R"(,"Value":1,"Timestamp":"2026-01-01T00:00:00Z")"), HasSubstr("at most two weeks ago"));
  EXPECT_THAT(call("PutMetricData", R"({"Namespace":"AWS/EC2","MetricData":[{"MetricName":"x","Value":1}]})"),
              HasSubstr("services' own"));
  EXPECT_EQ(datum(R"(,"Values":[10,20],"Counts":[1,3],"Timestamp":"2026-11-23T11:58:30Z")"), "{}");
  const std::string range = R"("StartTime":"2026-11-23T11:50:00Z","EndTime":"2026-11-23T12:00:00Z")";
  EXPECT_THAT(call("GetMetricStatistics",
                   R"({"Namespace":"MyApp","MetricName":"Depth","Period":60,"Statistics":["Average","SampleCount"],)" +
                       range + "}"),
              testing::AllOf(HasSubstr(R"("Average":17.5)"), HasSubstr(R"("SampleCount":4)")));
  EXPECT_THAT(call("GetMetricData",
                   R"({"MetricDataQueries":[{"Id":"m1","ReturnData":false,"MetricStat":{"Metric":{"Namespace":"MyApp",)"
                   R"("MetricName":"Depth"},"Period":60,"Stat":"Sum"}},{"Id":"e","Expression":"m1 * 2"}],)" +
                       range + "}"),
              testing::AllOf(HasSubstr(R"("Values":[140])"), testing::Not(HasSubstr(R"("Id":"m1")"))));
  EXPECT_THAT(call("ListMetrics", "{}"), HasSubstr(R"("MetricName":"Depth")"));
}

TEST_F(Api, PausesAndResumesGroupAndFleet) {
  make_group();
  EXPECT_EQ(call("Pause", R"({"AutoScalingGroupName":"web","Reason":"maintenance"})"), "{}");
  EXPECT_TRUE(group().paused);
  EXPECT_EQ(group().paused_reason, "maintenance");
  EXPECT_EQ(call("Resume", R"({"AutoScalingGroupName":"web"})"), "{}");
  EXPECT_FALSE(group().paused);
  EXPECT_EQ(call("Pause", "{}"), "{}");
  EXPECT_THAT(call("DescribeFleet", "{}"), HasSubstr(R"("Paused":true)"));
  EXPECT_EQ(call("Resume", "{}"), "{}");
  EXPECT_THAT(call("DescribeFleet", "{}"), HasSubstr(R"("Paused":false)"));
}

TEST_F(Api, AppliesADocumentAndTellsWhatChanged) {
  const auto document = [](const std::string& fields) {
    return R"({"Document":{"version":1,"AutoScalingGroups":[{"AutoScalingGroupName":"web","MinSize":1,)" + fields +
           R"("LaunchConfiguration":{"Process":{"Command":["sleep","9"]}}}]}})";
  };
  std::string dry = document(R"("MaxSize":4,)");
  dry.insert(1, R"("DryRun":true,)");
  EXPECT_THAT(refused("Apply", dry), HasSubstr(R"("Result":"created")"));
  EXPECT_THAT(call("Apply", document(R"("MaxSize":4,)")), HasSubstr(R"("Name":"web","Result":"created")"));
  EXPECT_THAT(group().spec.id.str(), testing::MatchesRegex("web-[0-9a-f]+"));
  const Revision before = store_.revision();
  EXPECT_THAT(call("Apply", document(R"("MaxSize":4,)")), HasSubstr(R"("Name":"web","Result":"unchanged")"));
  EXPECT_EQ(store_.revision(), before);
  EXPECT_EQ(call("SetDesiredCapacity", R"({"AutoScalingGroupName":"web","DesiredCapacity":3})"), "{}");
  EXPECT_EQ(call("SuspendProcesses", R"({"AutoScalingGroupName":"web","ScalingProcesses":["Launch"]})"), "{}");
  EXPECT_THAT(call("Apply", document(R"("MaxSize":8,)")), HasSubstr(R"({"Field":"MaxSize","Old":"4","New":"8"})"));
  EXPECT_EQ(group().desired_capacity, 3) << "desired belongs to the autoscaler";
  EXPECT_TRUE(has(group().suspended, Process::Launch)) << "what operators set by hand stays";
  EXPECT_THAT(call("Apply", document(R"("MaxSize":2,)")),
              HasSubstr(R"("Field":"DesiredCapacity","Old":"3","New":"2")"));
  EXPECT_THAT(refused("Apply", document(R"("MaxSize":0,)")), HasSubstr("must be greater than or equal to"));
}

TEST_F(Api, ApplyingADocumentKeepsWhatNoDocumentCanSay) {
  const auto document = [](const std::string& command, int max) {
    return fmt::format(R"({{"Document":{{"version":1,"AutoScalingGroups":[{{"AutoScalingGroupName":"web","MinSize":1,
      "MaxSize":{},"LaunchConfiguration":{{"Process":{{"Command":["{}"]}}}}}}]}}}})",
                       max, command);
  };
  (void)call("Apply", document("one", 4));
  const LaunchSpecRef own = group().spec;
  ASSERT_EQ(call("PutWarmPool", R"({"AutoScalingGroupName":"web","MinSize":1})"), "{}");
  ASSERT_EQ(call("EnableMetricsCollection", R"({"AutoScalingGroupName":"web","Granularity":"1Minute"})"), "{}");
  ASSERT_EQ(call("PutNotificationConfiguration", R"({"AutoScalingGroupName":"web",
    "TopicARN":"https://127.0.0.1:9/t","NotificationTypes":["autoscaling:EC2_INSTANCE_LAUNCH"]})"),
            "{}");
  (void)call("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"two","Process":{"Command":["two"]}})");
  ASSERT_THAT(call("StartInstanceRefresh", R"({"AutoScalingGroupName":"web",
    "DesiredConfiguration":{"LaunchConfigurationName":"two"}})"),
              HasSubstr("InstanceRefreshId"));
  const Group before = group();
  // The group's own configuration is the one before the refresh: to name it changes nothing, and the refresh goes on.
  EXPECT_THAT(call("Apply", document("one", 4)), HasSubstr(R"("Result":"unchanged")"));
  EXPECT_EQ(group(), before);
  EXPECT_THAT(call("Apply", document("one", 6)),
              AllOf(HasSubstr(R"("Changes":[{"Field":"MaxSize")"), Not(HasSubstr("Command"))));
  Group wanted = before;
  wanted.max_size = 6;
  EXPECT_EQ(group(), wanted);
  EXPECT_THAT(refused("Apply", document("three", 6)), HasSubstr("An active instance refresh"));
  EXPECT_EQ(group().refresh->previous, own);
}

TEST_F(Api, NothingIsAnsweredToWhoDoesNotSign) {
  make_group();
  for (const Action& action : actions()) {
    Head head;
    head.method = "POST";
    head.target = "/v1/" + std::string(action.name);
    head.fields["content-type"] = "application/json";
    const Revision before = store_.revision();
    const Answer answer = route(context_, head, R"({"AutoScalingGroupName":"web"})", Trust::Reads, "id");
    EXPECT_EQ(answer.status, 403) << action.name;
    EXPECT_THAT(answer.body, HasSubstr("MissingAuthenticationToken")) << action.name;
    EXPECT_EQ(store_.revision(), before) << action.name;
  }
}

TEST_F(Api, NothingIsChangedWhileNoChangeMayBe) {
  make_group();
  context_.no_changes = [] { return std::string("the clock cannot be true"); };
  const Revision before = store_.revision();
  for (const Action& action : actions()) {
    if (!action.changes) continue;
    EXPECT_EQ(call(std::string(action.name), R"({})"), "ServiceUnavailable: the clock cannot be true") << action.name;
    EXPECT_EQ(store_.revision(), before) << action.name;
  }
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr("web"));
  context_.no_changes = [] { return std::optional<std::string>(); };
  EXPECT_THAT(call("SuspendProcesses", R"({"AutoScalingGroupName":"web"})"), HasSubstr("{"));
  EXPECT_NE(store_.revision(), before);
}

TEST_F(Api, DiscoveryAndMetrics) {
  make_group();
  add_instance("i-1");
  add_instance("i-2", LifecycleState::Pending);
  Head head;
  head.method = "GET";
  head.target = "/v1/discovery/web";
  EXPECT_EQ(
      route(context_, head, "", Trust::Reads, "id").body,
      R"([{"targets":["127.0.0.9:80"],"labels":{"__meta_escala_group":"web","__meta_escala_instance":"i-1","__meta_escala_zone":"local-a"}}])");
  head.target = "/v1/discovery/nobody";
  EXPECT_EQ(route(context_, head, "", Trust::Reads, "id").status, 404);
  head.target = "/metrics";
  EXPECT_THAT(route(context_, head, "", Trust::Reads, "id").body,
              HasSubstr("escala_group_desired_capacity{group=\"web\"} 1"));
  head.method = "POST";
  EXPECT_EQ(route(context_, head, "", Trust::Reads, "id").status, 405);
  head.target = "/v1/DescribeAutoScalingGroups";
  EXPECT_EQ(route(context_, head, "{}", Trust::Reads, "id").status, 415);
}

}  // namespace
}  // namespace escala::api
