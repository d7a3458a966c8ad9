#!/usr/bin/env python3
"""Lifecycle hooks, standby, scheduled actions, policies executed by hand, and polled agents, end to end through the API."""

import datetime
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gauge as gauge_module  # noqa: E402
from manager import ApiError, Manager, main, wait_for  # noqa: E402

LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"


def plain_group(manager, min_size=0, max_size=4, desired=0):
    """A group that nothing scales but the test."""
    manager.apply(f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: {min_size}
    MaxSize: {max_size}
    DesiredCapacity: {desired}
    DefaultCooldown: 0
    LaunchConfiguration:
      Process: {{Command: [/bin/sleep, "100000"], StopGrace: 1s}}
""")


def in_state(manager, state):
    return [i["InstanceId"] for i in manager.instances("web", state)]


def hook(manager, name, transition, default):
    manager.api("PutLifecycleHook", AutoScalingGroupName="web", LifecycleHookName=name, LifecycleTransition=transition,
                HeartbeatTimeout=300, DefaultResult=default)


def complete(manager, name, instance, result):
    manager.api("CompleteLifecycleAction", AutoScalingGroupName="web", LifecycleHookName=name, InstanceId=instance,
                LifecycleActionResult=result)


def stays(manager, seconds, state, instance):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert in_state(manager, state) == [instance], manager.instances("web")
        assert instance in manager.instance_processes(), f"{instance} is {state} and has no process"
        time.sleep(0.2)


def a_launching_hook_holds_until_it_is_answered(bin_dir):
    with Manager(bin_dir) as manager:
        plain_group(manager)
        hook(manager, "warm", LAUNCHING, "ABANDON")
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=1)
        first = wait_for("an instance that waits", lambda: in_state(manager, "Pending:Wait"))[0]
        assert "warm" in manager.run("ctl", "explain", "web"), "explain does not say what is waited for"
        stays(manager, 2, "Pending:Wait", first)
        complete(manager, "warm", first, "ABANDON")
        second = wait_for("another in its place", lambda: [i for i in in_state(manager, "Pending:Wait") if i != first])[0]
        wait_for("the abandoned one to go", lambda: set(manager.instance_processes()) == {second})
        manager.kill()  # what is waited for is in the store
        manager.start()
        stays(manager, 2, "Pending:Wait", second)
        complete(manager, "warm", second, "CONTINUE")
        wait_for("it in service", lambda: in_state(manager, "InService") == [second])
        try:
            complete(manager, "warm", second, "CONTINUE")
        except ApiError as error:
            assert error.status == 400 and second in error.body, error
        else:
            raise AssertionError("an action was completed twice")


def a_terminating_hook_holds_until_it_is_answered(bin_dir):
    with Manager(bin_dir) as manager:
        plain_group(manager, desired=1)
        instance = wait_for("one in service", lambda: in_state(manager, "InService"))[0]
        hook(manager, "drain", TERMINATING, "CONTINUE")
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=0)
        wait_for("it to wait", lambda: in_state(manager, "Terminating:Wait"))
        stays(manager, 2, "Terminating:Wait", instance)
        manager.api("RecordLifecycleActionHeartbeat", AutoScalingGroupName="web", LifecycleHookName="drain",
                    InstanceId=instance)
        manager.kill()
        manager.start()
        stays(manager, 2, "Terminating:Wait", instance)
        complete(manager, "drain", instance, "CONTINUE")
        wait_for("it to go", lambda: not manager.instances("web") and not manager.instance_processes())
        wait_for("its activity to end well",
                 lambda: all(a["StatusCode"] == "Successful" for a in manager.activities("web")))


def standby_is_out_of_service_and_comes_back(bin_dir):
    with Manager(bin_dir) as manager:
        plain_group(manager, min_size=1, desired=2)
        both = wait_for("two in service", lambda: (lambda i: i if len(i) == 2 else None)(in_state(manager, "InService")))
        aside = both[0]
        processes = manager.instance_processes()
        manager.api("EnterStandby", AutoScalingGroupName="web", InstanceIds=[aside], ShouldDecrementDesiredCapacity=True)
        wait_for("one on standby", lambda: in_state(manager, "Standby") == [aside])
        assert manager.group("web")["DesiredCapacity"] == 1
        time.sleep(2)
        assert manager.instance_processes() == processes, "standby changed the processes"
        assert in_state(manager, "InService") == [both[1]]
        manager.api("ExitStandby", AutoScalingGroupName="web", InstanceIds=[aside])
        wait_for("both in service", lambda: sorted(in_state(manager, "InService")) == sorted(both))
        assert manager.group("web")["DesiredCapacity"] == 2
        assert manager.instance_processes() == processes
        # Without the decrement the one on standby is made up for.
        manager.api("EnterStandby", AutoScalingGroupName="web", InstanceIds=[aside], ShouldDecrementDesiredCapacity=False)
        wait_for("a third in its stead",
                 lambda: len(in_state(manager, "InService")) == 2 and in_state(manager, "Standby") == [aside])


def a_scheduled_action_changes_the_sizes_in_time(bin_dir):
    with Manager(bin_dir) as manager:
        plain_group(manager)
        at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=5)
        manager.api("PutScheduledUpdateGroupAction", AutoScalingGroupName="web", ScheduledActionName="opening",
                    StartTime=at.strftime("%Y-%m-%dT%H:%M:%SZ"), MinSize=1, MaxSize=6, DesiredCapacity=2)
        while datetime.datetime.now(datetime.timezone.utc) < at - datetime.timedelta(milliseconds=200):
            assert manager.group("web")["DesiredCapacity"] == 0, "too early"
            time.sleep(0.1)
        wait_for("the new sizes", lambda: manager.group("web")["DesiredCapacity"] == 2, 5)
        late = (datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()
        assert late < 3, f"{late:.1f} s late"
        group = manager.group("web")
        assert (group["MinSize"], group["MaxSize"]) == (1, 6), group
        wait_for("two in service", lambda: len(in_state(manager, "InService")) == 2)
        causes = " ".join(a["Cause"] for a in manager.activities("web"))
        assert "opening" in causes, causes


def policies_are_executed_by_hand(bin_dir):
    with Manager(bin_dir) as manager:
        plain_group(manager, min_size=1, desired=1)
        wait_for("one in service", lambda: in_state(manager, "InService"))
        manager.api("PutScalingPolicy", AutoScalingGroupName="web", PolicyName="two-more", PolicyType="SimpleScaling",
                    AdjustmentType="ChangeInCapacity", ScalingAdjustment=2)
        manager.api("PutScalingPolicy", AutoScalingGroupName="web", PolicyName="steps", PolicyType="StepScaling",
                    AdjustmentType="ChangeInCapacity", StepAdjustments=[
                        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 1},
                        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 3},
                        {"MetricIntervalUpperBound": 0, "ScalingAdjustment": -2}])
        manager.api("ExecutePolicy", AutoScalingGroupName="web", PolicyName="two-more")
        wait_for("three in service", lambda: len(in_state(manager, "InService")) == 3)
        manager.api("ExecutePolicy", AutoScalingGroupName="web", PolicyName="steps", MetricValue=95, BreachThreshold=70)
        wait_for("MaxSize in service", lambda: len(in_state(manager, "InService")) == 4)
        manager.api("ExecutePolicy", AutoScalingGroupName="web", PolicyName="steps", MetricValue=10, BreachThreshold=30)
        wait_for("two in service", lambda: len(manager.instances("web")) == 2)
        assert manager.group("web")["DesiredCapacity"] == 2


def a_polled_group_follows_its_load(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        text = gauge_module.group_yaml("web", gauge.url("load"), ["/bin/sleep", "100000"],
                                       more="    Escala: {MetricsMode: Pull, MetricsPeriod: 1s}\n")
        manager.apply(text.replace('"demand=demand"]', '"demand=demand", "--pull-only"]'))
        wait_for("one in service", lambda: in_state(manager, "InService"))
        gauge.set("load", 140)
        wait_for("at least three in service", lambda: len(in_state(manager, "InService")) >= 3)
        gauge.set("load", 50)
        victim, pid = sorted(manager.instance_processes().items())[0]
        os.kill(pid, signal.SIGKILL)
        wait_for("the dead one to be gone", lambda: victim not in [i["InstanceId"] for i in manager.instances("web")])
        gauge.set("load", 5)
        wait_for("one again", lambda: len(manager.instances("web")) == 1 and len(manager.instance_processes()) == 1, 60)
    gauge.close()


if __name__ == "__main__":
    main([a_launching_hook_holds_until_it_is_answered, a_terminating_hook_holds_until_it_is_answered,
          standby_is_out_of_service_and_comes_back, a_scheduled_action_changes_the_sizes_in_time,
          policies_are_executed_by_hand, a_polled_group_follows_its_load])
