// Instance refresh, warm pools, attaching, detaching and ordering instances, over a memory store: semantics and wording
// as in AWS, refusals that change nothing. What control makes of it: engine/refresh_test, tests/e2e/upkeep.py.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/test_support.h"
#include "store/activity.h"

namespace escala::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class Upkeep : public ApiOverMemory {
 protected:
  Upkeep() {
    for (const char* name : {"lc", "lc2"})
      (void)call("CreateLaunchConfiguration",
                 fmt::format(R"({{"LaunchConfigurationName":"{}","Process":{{"Command":["sleep","9"]}}}})", name));
    EXPECT_EQ(call("CreateAutoScalingGroup",
                   R"({"AutoScalingGroupName":"web","LaunchConfigurationName":"lc","MinSize":1,"MaxSize":4})"),
              "{}");
  }
  std::string web(const std::string& operation, const std::string& more = "") {
    return call(operation, R"({"AutoScalingGroupName":"web")" + (more.empty() ? "" : "," + more) + "}");
  }
  std::string refused(const std::string& operation, const std::string& more = "") {
    const Revision before = store_.revision();
    std::string answer = web(operation, more);
    EXPECT_EQ(store_.revision(), before) << "a refused request changed something: " << operation << " " << more;
    return answer;
  }
  Group group() { return std::get<0>(load_group(context_, GroupName("web"))).group; }
  void edit(const std::function<void(Group&)>& change) {
    LoadedGroup loaded = std::get<0>(load_group(context_, GroupName("web")));
    change(loaded.group);
    Batch batch;
    put(batch, loaded);
    ASSERT_TRUE(store_.commit(batch).ok());
  }
  Instance& prepared(const std::string& id, LifecycleState state) {
    made_.group = GroupName("web");
    made_.instance = {};
    made_.version = 0;
    made_.instance.id = InstanceId(id);
    made_.instance.zone = ZoneName("local-a");
    made_.instance.state = state;
    made_.instance.launched_at = made_.instance.state_since = kNow;
    return made_.instance;
  }
  void add(const std::string& id, LifecycleState state = LifecycleState::InService) {
    prepared(id, state);
    Batch batch;
    put(batch, made_);
    ASSERT_TRUE(store_.commit(batch).ok());
  }
  void add_detached(const std::string& id, const std::string& zone = "local-a") {
    Instance& instance = prepared(id, LifecycleState::Detached);
    instance.zone = ZoneName(zone);
    state::DetachedInstance record;
    *record.mutable_instance() = encode(instance);
    record.set_group("old");
    Batch batch;
    batch.put(keys::detached(instance.id), record.SerializeAsString());
    ASSERT_TRUE(store_.commit(batch).ok());
  }
  Instance instance(const std::string& id) { return std::get<0>(find_instance(context_, InstanceId(id))).instance; }

  LoadedInstance made_;
};

TEST_F(Upkeep, ARefreshIsARequestInTheGroupAndARecordOfItsOwn) {
  EXPECT_THAT(web("StartInstanceRefresh", R"("Preferences":{"MinHealthyPercentage":90,"CheckpointPercentages":[20,100]},
      "DesiredConfiguration":{"LaunchConfigurationName":"lc2"})"),
              HasSubstr("InstanceRefreshId"));
  ASSERT_TRUE(group().refresh.has_value());
  EXPECT_EQ(group().refresh->preferences.min_healthy_percent, 90);
  EXPECT_EQ(group().refresh->preferences.max_healthy_percent, 100) << "AWS's own when less than 100 is asked for";
  EXPECT_EQ(group().spec.id.str(), "lc2");
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(R"("LaunchConfigurationName":"lc")"))
      << "what is tried out is not the group's yet";
  const std::string told = web("DescribeInstanceRefreshes");
  EXPECT_THAT(told, HasSubstr(R"("Status":"Pending")"));
  EXPECT_THAT(told, HasSubstr(R"("CheckpointDelay":3600)"));
  EXPECT_THAT(told, HasSubstr(R"("DesiredConfiguration":{"LaunchConfigurationName":"lc2"})"));
  EXPECT_THAT(refused("StartInstanceRefresh"), HasSubstr("InstanceRefreshInProgress: An Instance Refresh is already"));
  EXPECT_THAT(refused("UpdateAutoScalingGroup", R"("LaunchConfigurationName":"lc")"),
              HasSubstr("An active instance refresh with a desired configuration exists."));
  EXPECT_THAT(call("DeleteLaunchConfiguration", R"({"LaunchConfigurationName":"lc"})"), HasSubstr("ResourceInUse"))
      << "the refresh may be rolled back to it";
  EXPECT_THAT(web("RollbackInstanceRefresh"), HasSubstr(group().refresh->id));
  EXPECT_TRUE(group().refresh->rolled_back);
  EXPECT_THAT(refused("RollbackInstanceRefresh"), HasSubstr("ActiveInstanceRefreshNotFound"));
  EXPECT_THAT(web("CancelInstanceRefresh", R"("WaitForTransitioningInstances":false)"), HasSubstr(group().refresh->id));
  EXPECT_TRUE(group().refresh->cancelled);
  EXPECT_FALSE(group().refresh->cancel_waits);
}

TEST_F(Upkeep, ARefreshThatMakesNoSenseIsRefused) {
  EXPECT_THAT(refused("CancelInstanceRefresh"), HasSubstr("ActiveInstanceRefreshNotFound"));
  EXPECT_THAT(refused("RollbackInstanceRefresh"), HasSubstr("ActiveInstanceRefreshNotFound"));
  const std::pair<std::string, std::string> rows[] = {
      {R"("Strategy":"AllAtOnce")", "enum value set: [Rolling]"},
      {R"("Preferences":{"MinHealthyPercentage":101})", "less than or equal to 100"},
      {R"("Preferences":{"MaxHealthyPercentage":120})", "without MinHealthyPercentage"},
      {R"("Preferences":{"MinHealthyPercentage":50,"MaxHealthyPercentage":200})", "is greater than 100"},
      {R"("Preferences":{"CheckpointPercentages":[50,20]})", "20 follows 50"},
      {R"("Preferences":{"CheckpointPercentages":[50,101]})", "101 is outside 1..100"},
      {R"("Preferences":{"CheckpointDelay":5})", "without CheckpointPercentages"},
      {R"("Preferences":{"AutoRollback":true})", "AutoRollback needs a DesiredConfiguration"},
      {R"("Preferences":{"AlarmSpecification":{"Alarms":["none"]}})", "has no alarm 'none'"},
      {R"("Preferences":{"ScaleInProtectedInstances":"Kill"})", "[Refresh, Ignore, Wait]"},
      {R"("DesiredConfiguration":{"LaunchConfigurationName":"no"})", "Launch configuration name not found"},
      {R"("DesiredConfiguration":{"LaunchTemplate":{"LaunchTemplateName":"tmpl"}})",
       "template name tmpl, does not exist"},
  };
  for (const auto& [request, expected] : rows)
    EXPECT_THAT(refused("StartInstanceRefresh", request), HasSubstr(expected));
  EXPECT_FALSE(group().refresh.has_value());
  (void)web("StartInstanceRefresh");
  EXPECT_THAT(refused("RollbackInstanceRefresh"), HasSubstr("IrreversibleInstanceRefresh"));
}

TEST_F(Upkeep, RefreshesAreToldInPagesNewestFirst) {
  for (int i = 0; i < 3; ++i) {
    clock_.advance(1s);
    ASSERT_THAT(web("StartInstanceRefresh"), HasSubstr("InstanceRefreshId"));
    edit([](Group& g) { g.refresh.reset(); });
  }
  const auto first = read_json(web("DescribeInstanceRefreshes", R"("MaxRecords":2)"));
  ASSERT_TRUE(first->find("NextToken") != nullptr);
  const std::string rest =
      web("DescribeInstanceRefreshes", fmt::format(R"("NextToken":"{}")", first->find("NextToken")->text));
  EXPECT_THAT(rest, HasSubstr("2026-11-23T12:00:01"));
  EXPECT_THAT(rest, Not(HasSubstr("2026-11-23T12:00:02")));
}

TEST_F(Upkeep, WarmPools) {
  EXPECT_THAT(refused("PutWarmPool", R"("PoolState":"Stopped")"), HasSubstr("cannot stop an instance and keep it"));
  EXPECT_THAT(refused("PutWarmPool", R"("PoolState":"Hibernated")"), HasSubstr("PoolState Hibernated"));
  EXPECT_THAT(refused("PutWarmPool", R"("MinSize":-1)"), HasSubstr("greater than or equal to 0"));
  EXPECT_THAT(refused("DeleteWarmPool"), HasSubstr("No warm pool found for Auto Scaling group web"));
  EXPECT_EQ(web("PutWarmPool", R"("MinSize":2,"InstanceReusePolicy":{"ReuseOnScaleIn":true})"), "{}");
  EXPECT_EQ(group().warm_pool->min_size, 2);
  EXPECT_TRUE(group().warm_pool->reuse_on_scale_in);
  EXPECT_FALSE(group().warm_pool->max_prepared.has_value());
  add("i-1");
  add("i-2", LifecycleState::WarmedRunning);
  const std::string pool = web("DescribeWarmPool");
  EXPECT_THAT(pool, HasSubstr(R"("PoolState":"Running")"));
  EXPECT_THAT(pool, HasSubstr(R"("LifecycleState":"Warmed:Running")"));
  EXPECT_THAT(pool, Not(HasSubstr("i-1")));
  EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), Not(HasSubstr("i-2"))) << "they are not the group's capacity";
  EXPECT_THAT(refused("DeleteAutoScalingGroup"), HasSubstr("ResourceInUse"));
  EXPECT_EQ(web("DeleteWarmPool"), "{}");
  EXPECT_THAT(web("DescribeWarmPool"), HasSubstr("PendingDelete"));
  EXPECT_THAT(refused("PutWarmPool"), HasSubstr("is being deleted"));
  EXPECT_EQ(web("DeleteWarmPool", R"("ForceDelete":true)"), "{}");
  EXPECT_FALSE(group().warm_pool.has_value());
}

TEST_F(Upkeep, WarmPoolsRestWhereTheProviderCanStopInstances) {
  context_.can_stop = true;
  EXPECT_EQ(web("PutWarmPool"), "{}");
  EXPECT_EQ(group().warm_pool->state, PoolState::Stopped) << "AWS's standard";
  for (const char* state : {"Running", "Stopped", "Hibernated"}) {
    EXPECT_EQ(web("PutWarmPool", fmt::format(R"("PoolState":"{}")", state)), "{}");
    EXPECT_EQ(group().warm_pool->state, pool_state(state));
    EXPECT_THAT(web("DescribeWarmPool"), HasSubstr(fmt::format(R"("PoolState":"{}")", state)));
    EXPECT_THAT(call("DescribeAutoScalingGroups", "{}"), HasSubstr(fmt::format(R"("PoolState":"{}")", state)));
  }
  const auto launches = [&](const std::function<void(state::Ec2Spec&)>& change) {
    state::LaunchSpec spec;
    spec.set_id(group().spec.id.str());
    spec.set_provider("ec2");
    change(*spec.mutable_ec2());
    Batch batch;
    batch.put(keys::spec(group().spec.id), spec.SerializeAsString());
    ASSERT_TRUE(context_.store.commit(batch).ok());
  };
  launches([](state::Ec2Spec&) {});
  EXPECT_EQ(web("PutWarmPool"), "{}");
  EXPECT_THAT(refused("PutWarmPool", R"("PoolState":"Hibernated")"), HasSubstr("HibernationOptions.Configured"));
  launches([](state::Ec2Spec& ec2) { ec2.set_hibernation(true); });
  EXPECT_EQ(web("PutWarmPool", R"("PoolState":"Hibernated")"), "{}");
  launches([](state::Ec2Spec& ec2) { ec2.set_spot(true); });
  EXPECT_THAT(refused("PutWarmPool"), HasSubstr("Spot instances or a mix with them, which EC2 does not stop"));
  EXPECT_EQ(web("PutWarmPool", R"("PoolState":"Running")"), "{}");
}

TEST_F(Upkeep, DetachLetsGoWithOrWithoutItsShare) {
  edit([](Group& g) { g.desired_capacity = 2; });
  add("i-1");
  add("i-2");
  EXPECT_THAT(refused("DetachInstances", R"("InstanceIds":["i-1","i-1"],"ShouldDecrementDesiredCapacity":true)"),
              HasSubstr("given twice"));
  EXPECT_THAT(refused("DetachInstances", R"("InstanceIds":["i-9"],"ShouldDecrementDesiredCapacity":true)"),
              HasSubstr("Instance Id not found"));
  EXPECT_THAT(refused("DetachInstances", R"("InstanceIds":["i-1","i-2"],"ShouldDecrementDesiredCapacity":true)"),
              HasSubstr("min size constraint"));
  EXPECT_THAT(refused("DetachInstances", R"("InstanceIds":["i-1"])"), HasSubstr("shouldDecrementDesiredCapacity"));
  EXPECT_THAT(web("DetachInstances", R"("InstanceIds":["i-1"],"ShouldDecrementDesiredCapacity":true)"),
              HasSubstr("shrinking the capacity from 2 to 1"));
  EXPECT_EQ(group().desired_capacity, 1);
  EXPECT_EQ(instance("i-1").state, LifecycleState::Detaching);
  EXPECT_THAT(refused("DetachInstances", R"("InstanceIds":["i-1"],"ShouldDecrementDesiredCapacity":false)"),
              HasSubstr("not in InService or Standby"));
  EXPECT_THAT(web("DetachInstances", R"("InstanceIds":["i-2"],"ShouldDecrementDesiredCapacity":false)"),
              HasSubstr("Detaching EC2 instance: i-2"));
  EXPECT_EQ(group().desired_capacity, 1) << "it is made up for";
}

TEST_F(Upkeep, AttachTakesWhatWasDetached) {
  add_detached("i-1");
  add_detached("i-2", "elsewhere");
  add("i-3");
  EXPECT_THAT(refused("AttachInstances", R"("InstanceIds":["i-9"])"), HasSubstr("Invalid Instance ID(s): [i-9]"));
  EXPECT_THAT(refused("AttachInstances", R"("InstanceIds":["i-3"])"),
              HasSubstr("already part of AutoScalingGroup:web"));
  EXPECT_THAT(refused("AttachInstances", R"("InstanceIds":["i-2"])"), HasSubstr("availability zone elsewhere"));
  EXPECT_EQ(web("AttachInstances", R"("InstanceIds":["i-1"])"), "{}");
  EXPECT_EQ(group().desired_capacity, 2);
  EXPECT_EQ(instance("i-1").state, LifecycleState::Pending);
  EXPECT_FALSE(store_.get(keys::detached(InstanceId("i-1")))->has_value());
  EXPECT_THAT(web("DescribeScalingActivities"), HasSubstr("Attaching an existing EC2 instance: i-1"));
  edit([](Group& g) { g.desired_capacity = 4; });
  add_detached("i-4");
  EXPECT_THAT(refused("AttachInstances", R"("InstanceIds":["i-4"])"),
              HasSubstr("has max-size:4, current desired-capacity:4, and attempted to attach instances: 1."));
}

TEST_F(Upkeep, LaunchInstancesIsAnIntentOnceForEachClientToken) {
  const std::string request = R"("RequestedCapacity":2,"ClientToken":"t1")";
  EXPECT_EQ(web("LaunchInstances", request), R"({"AutoScalingGroupName":"web","ClientToken":"t1"})");
  EXPECT_EQ(group().desired_capacity, 3);
  const auto intents = store_.scan(keys::operations(GroupName("web")));
  ASSERT_EQ(intents->size(), 1u);
  const auto intent = *parse<state::Operation>("", intents->front().value);
  EXPECT_EQ(intent.count(), 2);
  EXPECT_EQ(intent.spec().id(), "lc");
  const Revision before = store_.revision();
  EXPECT_EQ(web("LaunchInstances", request), R"({"AutoScalingGroupName":"web","ClientToken":"t1"})");
  EXPECT_EQ(store_.revision(), before) << "the same request again orders nothing";
  EXPECT_THAT(refused("LaunchInstances", R"("RequestedCapacity":1,"ClientToken":"t1")"),
              HasSubstr("IdempotentParameterMismatch"));
  EXPECT_THAT(refused("LaunchInstances", R"("RequestedCapacity":2,"ClientToken":"t2")"), HasSubstr("exceed max-size"));
  EXPECT_THAT(refused("LaunchInstances", R"("RequestedCapacity":1,"ClientToken":"t2","AvailabilityZones":["mars"])"),
              HasSubstr("does not use availability zone mars"));
  add("i-kept");
  add("i-leaving", LifecycleState::Terminating);
  edit([](Group& g) { g.desired_capacity = 1; });
  EXPECT_THAT(refused("LaunchInstances", R"("RequestedCapacity":2,"ClientToken":"t2")"),
              HasSubstr("max-size:4 and 3 instances in service or on their way"));
  edit([](Group& g) { g.suspended.set(static_cast<size_t>(Process::Launch)); });
  EXPECT_THAT(refused("LaunchInstances", R"("RequestedCapacity":1,"ClientToken":"t2")"), HasSubstr("suspended"));
  // What control records is what a repetition tells.
  state::Activity activity = *parse<state::Activity>("", (*store_.get(intent.activity()))->value);
  activity.set_instance("i-7");
  finish_activity(activity, state::Activity::SUCCESSFUL, "", kNow);
  Batch batch;
  batch.put(intent.activity(), activity.SerializeAsString());
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_THAT(web("LaunchInstances", request), HasSubstr(R"("InstanceIds":["i-7"])"));
}

TEST_F(Upkeep, ALaunchThatFailedIsToldAndGivenUpUnlessItIsToBeRetried) {
  (void)web("LaunchInstances", R"("RequestedCapacity":1,"ClientToken":"t1")");
  const auto intents = store_.scan(keys::operations(GroupName("web")));
  const auto intent = *parse<state::Operation>("", intents->front().value);
  state::Activity activity = *parse<state::Activity>("", (*store_.get(intent.activity()))->value);
  finish_activity(activity, state::Activity::FAILED, "no room", kNow);
  Batch batch;
  batch.put(intent.activity(), activity.SerializeAsString());
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_THAT(web("LaunchInstances", R"("RequestedCapacity":1,"ClientToken":"t1")"),
              HasSubstr(R"("ErrorMessage":"no room")"));
}

TEST_F(Upkeep, LifetimeMaintenancePolicyAndRebalanceAreSettingsOfTheGroup) {
  EXPECT_EQ(web("UpdateAutoScalingGroup", R"("MaxInstanceLifetime":86400,"CapacityRebalance":false,
      "InstanceMaintenancePolicy":{"MinHealthyPercentage":90,"MaxHealthyPercentage":120})"),
            "{}");
  EXPECT_EQ(group().max_instance_lifetime, 24h);
  EXPECT_FALSE(group().capacity_rebalance);
  EXPECT_EQ(group().maintenance->max_healthy_percent, 120);
  const std::string told = call("DescribeAutoScalingGroups", "{}");
  EXPECT_THAT(told, HasSubstr(R"("MaxInstanceLifetime":86400)"));
  EXPECT_THAT(told, HasSubstr(R"("InstanceMaintenancePolicy":{"MinHealthyPercentage":90,"MaxHealthyPercentage":120})"));
  (void)web("StartInstanceRefresh");
  EXPECT_EQ(group().refresh->preferences.max_healthy_percent, 120) << "the policy governs a refresh that says nothing";
  const std::pair<std::string, std::string> rows[] = {
      {R"("MaxInstanceLifetime":3600)", "3600 is neither 0 nor at least 86400"},
      {R"("MaxInstanceLifetime":40000000)", "less than or equal to"},
      {R"("InstanceMaintenancePolicy":{"MinHealthyPercentage":90})",
       "both MinHealthyPercentage and MaxHealthyPercentage"},
      {R"("InstanceMaintenancePolicy":{"MinHealthyPercentage":50,"MaxHealthyPercentage":200})", "at most 100 apart"},
      {R"("InstanceMaintenancePolicy":{"MinHealthyPercentage":-1,"MaxHealthyPercentage":120})", "or -1 for both"}};
  for (const auto& [request, expected] : rows)
    EXPECT_THAT(refused("UpdateAutoScalingGroup", request), HasSubstr(expected)) << request;
  EXPECT_EQ(web("UpdateAutoScalingGroup", R"("MaxInstanceLifetime":0,
      "InstanceMaintenancePolicy":{"MinHealthyPercentage":-1,"MaxHealthyPercentage":-1})"),
            "{}");
  EXPECT_EQ(group().max_instance_lifetime, Duration{0});
  EXPECT_FALSE(group().maintenance.has_value());
}

TEST_F(Upkeep, TrafficSourcesInTheirThreeSpellings) {
  EXPECT_THAT(refused("AttachLoadBalancers", R"("LoadBalancerNames":["web"])"),
              HasSubstr("No load balancer is configured"));
  context_.load_balancer = LoadBalancer::Haproxy;
  EXPECT_THAT(refused("AttachTrafficSources", R"("TrafficSources":[{"Identifier":"x","Type":"vpc-lattice"}])"),
              HasSubstr("only elb and elbv2"));
  EXPECT_THAT(refused("AttachTrafficSources", R"("TrafficSources":[{"Type":"elb"}])"), HasSubstr("dentifier"));
  EXPECT_EQ(web("AttachLoadBalancers", R"("LoadBalancerNames":["front"])"), "{}");
  EXPECT_EQ(web("AttachLoadBalancers", R"("LoadBalancerNames":["front"])"), "{}") << "twice is once";
  const std::string arn = "arn:aws:elasticloadbalancing:local:0:targetgroup/api/1";
  EXPECT_EQ(web("AttachTrafficSources", R"("TrafficSources":[{"Identifier":")" + arn + R"("}])"), "{}");
  ASSERT_EQ(group().traffic_sources.size(), 2u);
  EXPECT_THAT(web("DescribeLoadBalancers"), HasSubstr(R"({"LoadBalancerName":"front","State":"Adding"})"));
  EXPECT_THAT(web("DescribeLoadBalancerTargetGroups"), HasSubstr(arn));
  EXPECT_THAT(web("DescribeTrafficSources", R"("TrafficSourceType":"elbv2")"), Not(HasSubstr("front")));
  EXPECT_THAT(refused("DetachLoadBalancerTargetGroups", R"("TargetGroupARNs":["front"])"),
              HasSubstr("not part of the group: front"));
  EXPECT_EQ(web("DetachLoadBalancers", R"("LoadBalancerNames":["front"])"), "{}");
  EXPECT_EQ(group().traffic_sources.size(), 1u);
  // What the load balancer's keeper wrote is what is told.
  state::TrafficState state;
  for (const auto& [type, name, word] :
       {std::tuple{"elbv2", arn.c_str(), "InService"}, std::tuple{"elb", "front", "InService"}}) {
    auto& source = *state.add_sources();
    source.set_type(type);
    source.set_identifier(name);
    source.set_state(word);
  }
  Batch batch;
  batch.put(keys::traffic(GroupName("web")), state.SerializeAsString());
  ASSERT_TRUE(store_.commit(batch).ok());
  EXPECT_THAT(web("DescribeTrafficSources"), HasSubstr(R"("State":"InService")"));
  EXPECT_THAT(web("DescribeLoadBalancers"), HasSubstr(R"({"LoadBalancerName":"front","State":"Removing"})"));
  edit([](Group& g) {
    g.refresh.emplace();
    g.refresh->previous = g.spec;
  });
  EXPECT_THAT(refused("AttachLoadBalancers", R"("LoadBalancerNames":["more"])"),
              HasSubstr("InstanceRefreshInProgress"));
}

TEST_F(Upkeep, NotificationsAreConfiguredAndTried) {
  const std::string types = R"("NotificationTypes":["autoscaling:EC2_INSTANCE_LAUNCH"])";
  for (const char* topic : {"arn:aws:sns:local:0:topic", "ftp://host/", "http://example.org/", "https://u:p@host/",
                            "http://127.0.0.1.example.org/", "https://ho st/"})
    EXPECT_THAT(refused("PutNotificationConfiguration", fmt::format(R"("TopicARN":"{}",{})", topic, types)),
                HasSubstr("ValidationError: TopicARN"))
        << topic;
  EXPECT_THAT(refused("PutNotificationConfiguration", R"("TopicARN":"https://h/","NotificationTypes":["x"])"),
              HasSubstr("enum value set"));
  EXPECT_EQ(web("PutNotificationConfiguration", R"("TopicARN":"https://h/t",)" + types), "{}");
  const auto notices = store_.scan(keys::kNotices);
  ASSERT_EQ(notices->size(), 1u) << "a test message goes out at once";
  EXPECT_THAT(parse<state::Notice>("", notices->front().value)->message(), HasSubstr("TEST_NOTIFICATION"));
  EXPECT_THAT(call("DescribeNotificationConfigurations", R"({"AutoScalingGroupNames":["web"]})"),
              HasSubstr(R"("NotificationType":"autoscaling:EC2_INSTANCE_LAUNCH")"));
  EXPECT_THAT(refused("DeleteNotificationConfiguration", R"("TopicARN":"https://h/other")"), HasSubstr("not found"));
  EXPECT_EQ(web("DeleteNotificationConfiguration", R"("TopicARN":"https://h/t")"), "{}");
  EXPECT_TRUE(group().notifications.empty());
  EXPECT_THAT(refused("PutLifecycleHook", R"("LifecycleHookName":"h",
      "LifecycleTransition":"autoscaling:EC2_INSTANCE_LAUNCHING","NotificationTargetARN":"http://far.example/")"),
              HasSubstr("loopback"));
}

TEST_F(Upkeep, MetricsOfTheGroupArePublishedWhenAskedFor) {
  EXPECT_THAT(refused("EnableMetricsCollection", R"("Granularity":"5Minute")"), HasSubstr("[1Minute]"));
  EXPECT_THAT(refused("EnableMetricsCollection", R"("Granularity":"1Minute","Metrics":["GroupSize"])"),
              HasSubstr("Metric 'GroupSize' is none of a group"));
  EXPECT_EQ(web("EnableMetricsCollection", R"("Granularity":"1Minute","Metrics":["GroupInServiceInstances"])"), "{}");
  add("i-1");
  add("i-2", LifecycleState::WarmedRunning);
  EXPECT_THAT(metrics_text(context_),
              HasSubstr(R"(escala_aws_autoscaling{group="web",metric="GroupInServiceInstances"} 1)"));
  EXPECT_EQ(web("EnableMetricsCollection", R"("Granularity":"1Minute")"), "{}");
  EXPECT_THAT(metrics_text(context_), HasSubstr(R"(metric="WarmPoolWarmedCapacity"} 1)"));
  EXPECT_EQ(web("DisableMetricsCollection"), "{}");
  EXPECT_THAT(metrics_text(context_), Not(HasSubstr("escala_aws_autoscaling")));
}

}  // namespace
}  // namespace escala::api
