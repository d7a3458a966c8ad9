#!/usr/bin/env python3
"""AWS's own clients against a running manager: Debian's boto3 and AWS CLI, newer ones where the machine has them."""

import base64
import datetime
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import aws  # noqa: E402
from manager import Manager, main, wait_for  # noqa: E402

SCRIPT = base64.b64encode(b"#!/bin/sh\nexec sleep 100000\n").decode()
HOUR = datetime.timedelta(hours=1)


def soon():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + HOUR


def make_group(asg, name="web", desired=1, **more):
    """A group of sleeping processes, made as on EC2: the script is the configuration's user data."""
    if not asg.describe_launch_configurations(LaunchConfigurationNames=["lc"])["LaunchConfigurations"]:
        # boto3 encodes the user data by itself.
        asg.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-1", InstanceType="t3.micro",
                                        UserData=base64.b64decode(SCRIPT).decode())
    settings = {"MinSize": 0, "MaxSize": 4, "DesiredCapacity": desired, "LaunchConfigurationName": "lc",
                "AvailabilityZones": ["local-a"], "HealthCheckGracePeriod": 0, "DefaultCooldown": 1, **more}
    asg.create_auto_scaling_group(AutoScalingGroupName=name, **settings)


def group(asg, name="web"):
    return asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]


def in_service(asg, count, name="web"):
    return wait_for(f"{count} in service", lambda: [
        i for i in group(asg, name)["Instances"] if i["LifecycleState"] == "InService"] if sum(
            i["LifecycleState"] == "InService" for i in group(asg, name)["Instances"]) == count
        and len(group(asg, name)["Instances"]) == count else None, 60) if count else wait_for(
            "no instances", lambda: not group(asg, name)["Instances"], 60)


# --- what people do -----------------------------------------------------------------------------------------------------


def a_group_lives_through_boto3(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg, desired=2, Tags=[{"Key": "app", "Value": "shop", "PropagateAtLaunch": True}])
        seen = in_service(asg, 2)
        assert {i["HealthStatus"] for i in seen} == {"Healthy"}, seen
        made = group(asg)
        assert made["AutoScalingGroupARN"].startswith("arn:aws:autoscaling:") and made["CreatedTime"].tzinfo, made
        for empty in ("LoadBalancerNames", "TargetGroupARNs", "SuspendedProcesses", "EnabledMetrics"):
            assert made[empty] == [], (empty, made)
        everything = asg.describe_auto_scaling_instances()["AutoScalingInstances"]
        assert {i["AutoScalingGroupName"] for i in everything} == {"web"} and len(everything) == 2

        asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=3)
        first = in_service(asg, 3)[0]["InstanceId"]
        asg.set_instance_protection(AutoScalingGroupName="web", InstanceIds=[first], ProtectedFromScaleIn=True)
        asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
        assert in_service(asg, 1)[0]["InstanceId"] == first, "the protected one stays"

        entered = asg.enter_standby(AutoScalingGroupName="web", InstanceIds=[first], ShouldDecrementDesiredCapacity=True)
        assert entered["Activities"][0]["StatusCode"] == "Successful", entered
        assert group(asg)["Instances"][0]["LifecycleState"] == "Standby"
        assert asg.exit_standby(AutoScalingGroupName="web", InstanceIds=[first])["Activities"][0]["Cause"]
        in_service(asg, 1)

        asg.set_instance_protection(AutoScalingGroupName="web", InstanceIds=[first], ProtectedFromScaleIn=False)
        asg.set_instance_health(InstanceId=first, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
        wait_for("a replacement", lambda: in_service(asg, 1)[0]["InstanceId"] != first, 60)
        second = in_service(asg, 1)[0]["InstanceId"]
        gone = asg.terminate_instance_in_auto_scaling_group(InstanceId=second, ShouldDecrementDesiredCapacity=True)
        assert second in gone["Activity"]["Description"], gone
        in_service(asg, 0)
        assert group(asg)["DesiredCapacity"] == 0

        history = asg.describe_scaling_activities(AutoScalingGroupName="web")["Activities"]
        assert all(a["Cause"].startswith("At 20") and a["StartTime"] for a in history), history
        failed = asg.describe_scaling_activities(AutoScalingGroupName="web", Filters=[
            {"Name": "Status", "Values": ["Failed"]}]) if hasattr(asg.meta.service_model.shape_for(
                "DescribeScalingActivitiesType"), "members") and "Filters" in asg.meta.service_model.shape_for(
                    "DescribeScalingActivitiesType").members else {"Activities": []}
        assert failed["Activities"] == [], failed
        pages = list(asg.get_paginator("describe_scaling_activities").paginate(
            AutoScalingGroupName="web", PaginationConfig={"PageSize": 2}))
        assert len(pages) > 1 and sum(len(p["Activities"]) for p in pages) == len(history)

        assert aws.refusal(asg.delete_launch_configuration, LaunchConfigurationName="lc").startswith("ResourceInUse")
        asg.update_auto_scaling_group(AutoScalingGroupName="web", MinSize=1, MaxSize=5)
        in_service(asg, 1)
        assert aws.refusal(asg.delete_auto_scaling_group, AutoScalingGroupName="web").startswith("ResourceInUse")
        asg.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
        wait_for("the group to be gone", lambda: not asg.describe_auto_scaling_groups()["AutoScalingGroups"], 60)
        asg.delete_launch_configuration(LaunchConfigurationName="lc")
        assert not asg.describe_scaling_activities()["Activities"]
        assert asg.describe_scaling_activities(IncludeDeletedGroups=True)["Activities"]


def a_group_lives_through_the_cli(bin_dir):
    """Create, scale by step, schedule, hook, standby, protect, delete, with the CLI of Debian and any newer one."""
    programs = [p for p in ["/usr/bin/aws", shutil.which("aws")] if p and os.access(p, os.X_OK)]
    if not programs:
        return "no AWS CLI on this machine"
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        for number, program in enumerate(dict.fromkeys(programs)):
            name = f"cli-{number}"

            def run(*words, code=(0,), program=program):
                return aws.cli(manager, "autoscaling", *words, code=code, program=program)
            make_group(asg, name="unused", desired=0) if number == 0 else None
            run("create-auto-scaling-group", "--auto-scaling-group-name", name, "--launch-configuration-name", "lc",
                "--min-size", "0", "--max-size", "3", "--desired-capacity", "1", "--availability-zones", "local-a",
                "--tags", "Key=a,Value=b c&<>,PropagateAtLaunch=false")
            in_service(asg, 1, name)
            arn = run("put-scaling-policy", "--auto-scaling-group-name", name, "--policy-name", "up", "--policy-type",
                      "StepScaling", "--adjustment-type", "ChangeInCapacity", "--step-adjustments",
                      "MetricIntervalLowerBound=0,ScalingAdjustment=2")["PolicyARN"]
            run("execute-policy", "--policy-name", arn, "--metric-value", "80", "--breach-threshold", "70")
            one = in_service(asg, 3, name)[0]["InstanceId"]
            run("set-instance-protection", "--auto-scaling-group-name", name, "--instance-ids", one,
                "--protected-from-scale-in")
            run("put-scheduled-update-group-action", "--auto-scaling-group-name", name, "--scheduled-action-name", "n",
                "--recurrence", "0 8 * * 1-5", "--time-zone", "Europe/Berlin", "--desired-capacity", "2")
            assert run("describe-scheduled-actions", "--auto-scaling-group-name", name)[
                "ScheduledUpdateGroupActions"][0]["TimeZone"] == "Europe/Berlin"
            run("put-lifecycle-hook", "--auto-scaling-group-name", name, "--lifecycle-hook-name", "drain",
                "--lifecycle-transition", "autoscaling:EC2_INSTANCE_TERMINATING", "--default-result", "CONTINUE")
            assert run("describe-lifecycle-hooks", "--auto-scaling-group-name", name)["LifecycleHooks"][0][
                "HeartbeatTimeout"] == 3600
            run("delete-lifecycle-hook", "--auto-scaling-group-name", name, "--lifecycle-hook-name", "drain")
            run("suspend-processes", "--auto-scaling-group-name", name, "--scaling-processes", "AZRebalance")
            run("enter-standby", "--auto-scaling-group-name", name, "--instance-ids", one,
                "--should-decrement-desired-capacity")
            run("exit-standby", "--auto-scaling-group-name", name, "--instance-ids", one)
            text = run("create-auto-scaling-group", "--auto-scaling-group-name", name, "--launch-configuration-name",
                       "lc", "--min-size", "0", "--max-size", "1", "--availability-zones", "local-a", code=(254, 255))
            assert "(AlreadyExists)" in text, text
            shown = run("describe-auto-scaling-groups", "--auto-scaling-group-names", name)["AutoScalingGroups"][0]
            assert shown["Tags"][0]["Value"] == "b c&<>" and shown["SuspendedProcesses"], shown
            run("delete-auto-scaling-group", "--auto-scaling-group-name", name, "--force-delete")
            wait_for("its end", lambda: not run("describe-auto-scaling-groups", "--auto-scaling-group-names", name)[
                "AutoScalingGroups"], 60)


def hooks_wait_for_an_answer(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg, LifecycleHookSpecificationList=[
            {"LifecycleHookName": "ready", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
             "HeartbeatTimeout": 300, "DefaultResult": "ABANDON"}])
        waiting = wait_for("a waiting instance", lambda: [
            i for i in group(asg)["Instances"] if i["LifecycleState"] == "Pending:Wait"])[0]["InstanceId"]
        hook = asg.describe_lifecycle_hooks(AutoScalingGroupName="web")["LifecycleHooks"][0]
        assert hook["GlobalTimeout"] == 30000 and hook["DefaultResult"] == "ABANDON", hook
        names = {"AutoScalingGroupName": "web", "LifecycleHookName": "ready"}
        asg.record_lifecycle_action_heartbeat(InstanceId=waiting, **names)
        assert "LifecycleActionResult" in aws.refusal(
            asg.complete_lifecycle_action, InstanceId=waiting, LifecycleActionResult="YES", **names).replace(
                "lifecycleActionResult", "LifecycleActionResult")
        asg.complete_lifecycle_action(InstanceId=waiting, LifecycleActionResult="CONTINUE", **names)
        in_service(asg, 1)
        text = aws.refusal(asg.complete_lifecycle_action, InstanceId=waiting, LifecycleActionResult="CONTINUE", **names)
        assert f"No active Lifecycle Action found with instance ID {waiting}" in text, text
        assert "No active Lifecycle Action" in aws.refusal(
            asg.record_lifecycle_action_heartbeat, InstanceId=waiting, **names)
        asg.put_lifecycle_hook(**names, HeartbeatTimeout=60)
        assert asg.describe_lifecycle_hooks(AutoScalingGroupName="web")["LifecycleHooks"][0]["HeartbeatTimeout"] == 60
        asg.delete_lifecycle_hook(**names)
        assert asg.describe_lifecycle_hooks(AutoScalingGroupName="web")["LifecycleHooks"] == []


def policies_schedules_processes_and_tags(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg)
        in_service(asg, 1)
        tracking = asg.put_scaling_policy(
            AutoScalingGroupName="web", PolicyName="cpu", PolicyType="TargetTrackingScaling",
            TargetTrackingConfiguration={"TargetValue": 50.0, "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ASGAverageCPUUtilization"}})
        assert len(tracking["Alarms"]) == 2 and tracking["PolicyARN"], tracking
        shown = asg.describe_policies(PolicyNames=["cpu"])["ScalingPolicies"][0]
        assert shown["Alarms"] == tracking["Alarms"] and shown["TargetTrackingConfiguration"]["TargetValue"] == 50.0
        asg.put_scaling_policy(AutoScalingGroupName="web", PolicyName="one", AdjustmentType="ChangeInCapacity",
                               ScalingAdjustment=1, Cooldown=600)
        asg.execute_policy(AutoScalingGroupName="web", PolicyName="one")
        in_service(asg, 2)
        assert [p["PolicyName"] for p in asg.describe_policies(AutoScalingGroupName="web", PolicyTypes=[
            "SimpleScaling"])["ScalingPolicies"]] == ["one"]
        asg.delete_policy(PolicyName=tracking["PolicyARN"])
        asg.delete_policy(AutoScalingGroupName="web", PolicyName="one")
        assert asg.describe_policies()["ScalingPolicies"] == []

        start = soon()
        asg.put_scheduled_update_group_action(AutoScalingGroupName="web", ScheduledActionName="a", StartTime=start,
                                              MinSize=1)
        failed = asg.batch_put_scheduled_update_group_action(AutoScalingGroupName="web", ScheduledUpdateGroupActions=[
            {"ScheduledActionName": "b", "StartTime": start + HOUR, "DesiredCapacity": 1},
            {"ScheduledActionName": "c", "StartTime": start, "DesiredCapacity": 1}])
        assert [f["ScheduledActionName"] for f in failed["FailedScheduledUpdateGroupActions"]] == ["c"], failed
        assert failed["FailedScheduledUpdateGroupActions"][0]["ErrorCode"] == "AlreadyExists", failed
        shown = asg.describe_scheduled_actions(AutoScalingGroupName="web")["ScheduledUpdateGroupActions"]
        assert [(a["ScheduledActionName"], a["StartTime"]) for a in shown] == [("a", start), ("b", start + HOUR)], shown
        later = asg.describe_scheduled_actions(AutoScalingGroupName="web", StartTime=start + HOUR / 2)
        assert [a["ScheduledActionName"] for a in later["ScheduledUpdateGroupActions"]] == ["b"], later
        asg.delete_scheduled_action(AutoScalingGroupName="web", ScheduledActionName="a")
        failed = asg.batch_delete_scheduled_action(AutoScalingGroupName="web", ScheduledActionNames=["b", "nobody"])
        assert [f["ScheduledActionName"] for f in failed["FailedScheduledActions"]] == ["nobody"], failed
        assert asg.describe_scheduled_actions()["ScheduledUpdateGroupActions"] == []

        asg.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
        assert group(asg)["SuspendedProcesses"][0]["ProcessName"] == "Launch"
        assert "User suspended at" in group(asg)["SuspendedProcesses"][0]["SuspensionReason"]
        asg.resume_processes(AutoScalingGroupName="web")
        assert group(asg)["SuspendedProcesses"] == []

        tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "k", "PropagateAtLaunch": False}
        asg.create_or_update_tags(Tags=[{**tag, "Value": "v"}])
        found = asg.describe_tags(Filters=[{"Name": "key", "Values": ["k"]}])["Tags"]
        assert found == [{**tag, "Value": "v"}], found
        if "Filters" in asg.meta.service_model.shape_for("AutoScalingGroupNamesType").members:
            assert asg.describe_auto_scaling_groups(Filters=[{"Name": "tag:k", "Values": ["v"]}])["AutoScalingGroups"]
            assert not asg.describe_auto_scaling_groups(Filters=[{"Name": "tag-key", "Values": ["no"]}])[
                "AutoScalingGroups"]
        asg.delete_tags(Tags=[tag])
        assert asg.describe_tags()["Tags"] == []


def what_there_is_can_be_listed(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg, desired=0)
        limits = asg.describe_account_limits()
        assert limits["NumberOfAutoScalingGroups"] == 1 and limits["NumberOfLaunchConfigurations"] == 1, limits
        assert limits["MaxNumberOfAutoScalingGroups"] == 10000, limits
        assert {t["AdjustmentType"] for t in asg.describe_adjustment_types()["AdjustmentTypes"]} == {
            "ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity"}
        assert len(asg.describe_scaling_process_types()["Processes"]) == 9
        assert "Default" in asg.describe_termination_policy_types()["TerminationPolicyTypes"]
        assert len(asg.describe_lifecycle_hook_types()["LifecycleHookTypes"]) == 2
        assert len(asg.describe_auto_scaling_notification_types()["AutoScalingNotificationTypes"]) == 5
        kinds = asg.describe_metric_collection_types()
        assert kinds["Granularities"] == [{"Granularity": "1Minute"}] and len(kinds["Metrics"]) == 20, kinds
        shown = asg.describe_launch_configurations()["LaunchConfigurations"][0]
        assert base64.b64decode(shown["UserData"]).startswith(b"#!/bin/sh") and shown["ImageId"] == "ami-1", shown


def hostile_text_survives_or_is_refused(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg, desired=0)
        tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "k", "PropagateAtLaunch": False}
        for value in ["<b>&amp;\"'", "a\r\nb\tc", "]]>", "\u00e9\u4e2d\U0001f600\u202e", "<!ENTITY x 'y'>", " spaced ", "%41+&=;"]:
            asg.create_or_update_tags(Tags=[{**tag, "Value": value}])
            assert asg.describe_tags()["Tags"][0]["Value"] == value, repr(value)  # through expat
        for value in ["\x00", "\x1b[2J", "\ufffe", "\x7f\x01"]:
            text = aws.refusal(asg.create_or_update_tags, Tags=[{**tag, "Value": value}])
            assert text.startswith("ValidationError") and "\x1b" not in text, repr(text)
        assert asg.describe_tags()["Tags"][0]["Value"] == "%41+&=;"


# --- what is refused (bad-inputs, C) --------------------------------------------------------------------------------------


def wrong_requests_change_nothing_and_say_why(bin_dir):
    with Manager(bin_dir) as manager:
        asg = aws.client(manager, validate=False)
        make_group(asg)
        one = in_service(asg, 1)[0]["InstanceId"]
        web = {"AutoScalingGroupName": "web"}
        new = {"AutoScalingGroupName": "new", "LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 1,
               "AvailabilityZones": ["local-a"]}
        tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "k", "PropagateAtLaunch": False}
        step = {**web, "PolicyName": "p", "PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity"}
        track = {**web, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
        cpu = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}}
        hook = {**web, "LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}
        action = {**web, "ScheduledActionName": "s"}
        rows = [
            (asg.create_auto_scaling_group, {**new, "MinSize": "abc"}, "Value 'abc' at 'minSize' failed to satisfy constraint: Member must be an integer"),
            (asg.create_auto_scaling_group, {**new, "MinSize": 3}, "Max bound, 1, must be greater than or equal to min bound, 3"),
            (asg.create_auto_scaling_group, {**new, "DesiredCapacity": 10}, "Desired capacity:10 must be between the specified min size:0 and max size:1"),
            (asg.create_auto_scaling_group, {**new, "AutoScalingGroupName": "a:b"}, "regular expression pattern"),
            (asg.create_auto_scaling_group, {**new, "AutoScalingGroupName": "a" * 256}, "length less than or equal to 255"),
            (asg.create_auto_scaling_group, {**new, "AutoScalingGroupName": "web"}, "AlreadyExists"),
            (asg.create_auto_scaling_group, {k: v for k, v in new.items() if k != "LaunchConfigurationName"}, "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter."),
            (asg.create_auto_scaling_group, {**new, "LaunchConfigurationName": "none"}, "Launch configuration name not found"),
            (asg.create_auto_scaling_group, {k: v for k, v in new.items() if k != "MinSize"}, "Value null at 'minSize' failed to satisfy constraint: Member must not be null"),
            (asg.create_auto_scaling_group, {**new, "TerminationPolicies": ["Oldest"]}, "Member must satisfy enum value set"),
            (asg.create_auto_scaling_group, {**new, "Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
            (asg.create_auto_scaling_group, {**new, "Tags": [{"Key": "k" * 129, "Value": ""}]}, "length less than or equal to 128"),
            (asg.create_auto_scaling_group, {**new, "Tags": [{"Key": str(i), "Value": ""} for i in range(51)]}, "50"),
            (asg.update_auto_scaling_group, {"AutoScalingGroupName": "nobody"}, "AutoScalingGroup name not found"),
            (asg.delete_auto_scaling_group, {"AutoScalingGroupName": "nobody"}, "not found"),
            (asg.delete_auto_scaling_group, web, "ResourceInUse"),
            (asg.delete_launch_configuration, {"LaunchConfigurationName": "lc"}, "ResourceInUse"),
            (asg.create_launch_configuration, {"LaunchConfigurationName": "lc2", "UserData": "x" * 30000}, "21847"),
            (asg.set_desired_capacity, {**web, "DesiredCapacity": 99}, "above max value 4"),
            (asg.terminate_instance_in_auto_scaling_group, {"InstanceId": "i-none", "ShouldDecrementDesiredCapacity": True}, "Instance Id not found"),
            (asg.terminate_instance_in_auto_scaling_group, {"InstanceId": one}, "shouldDecrementDesiredCapacity"),
            (asg.set_instance_health, {"InstanceId": one, "HealthStatus": "Sick"}, "enum value set: [Healthy, Unhealthy]"),
            (asg.suspend_processes, {**web, "ScalingProcesses": ["Lanch"]}, "Launch, Terminate, AddToLoadBalancer"),
            (asg.put_scaling_policy, step, "needs StepAdjustments"),
            (asg.put_scaling_policy, {**step, "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}, {"MetricIntervalLowerBound": 5, "ScalingAdjustment": 1}]}, "overlap"),
            (asg.put_scaling_policy, {**step, "StepAdjustments": [{"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 1, "ScalingAdjustment": 1}, {"MetricIntervalLowerBound": 5, "ScalingAdjustment": 1}]}, "gap"),
            (asg.put_scaling_policy, {**step, "AdjustmentType": "Change", "StepAdjustments": [{"ScalingAdjustment": 1}]}, "ExactCapacity"),
            (asg.put_scaling_policy, {**track, "TargetTrackingConfiguration": {**cpu, "TargetValue": 0}}, "greater than 0"),
            (asg.put_scaling_policy, {**track, "TargetTrackingConfiguration": {**cpu, "TargetValue": "nan"}}, "finite number"),
            (asg.put_scaling_policy, {**track, "TargetTrackingConfiguration": {"TargetValue": 1}}, "exactly one of"),
            (asg.put_scaling_policy, {**track, "TargetTrackingConfiguration": {"TargetValue": 1, "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"}}}, "not measured here"),
            (asg.execute_policy, {**web, "PolicyName": "nobody"}, "PolicyName not found"),
            (asg.put_lifecycle_hook, {**hook, "HeartbeatTimeout": 29}, "greater than or equal to 30"),
            (asg.put_lifecycle_hook, {**hook, "HeartbeatTimeout": 7201}, "less than or equal to 7200"),
            (asg.put_lifecycle_hook, {**hook, "DefaultResult": "MAYBE"}, "enum value set: [CONTINUE, ABANDON]"),
            (asg.put_lifecycle_hook, {**hook, "LifecycleTransition": "LAUNCH"}, "enum value set"),
            (asg.put_lifecycle_hook, {**hook, "LifecycleHookName": "a b"}, "pattern"),
            (asg.complete_lifecycle_action, {**web, "LifecycleHookName": "h", "LifecycleActionResult": "CONTINUE", "LifecycleActionToken": "short"}, "length greater than or equal to 36"),
            (asg.put_scheduled_update_group_action, action, "scheduled action"),
            (asg.put_scheduled_update_group_action, {**action, "Recurrence": "x", "MinSize": 1}, "ValidationError"),
            (asg.put_scheduled_update_group_action, {**action, "StartTime": soon() - 2 * HOUR, "MinSize": 1}, "past"),
            (asg.put_scheduled_update_group_action, {**action, "Recurrence": "0 8 * * *", "TimeZone": "Mars", "MinSize": 1}, "Mars"),
            (asg.delete_scheduled_action, action, "not found"),
            (asg.create_or_update_tags, {"Tags": [{**tag, "Value": "v" * 257}]}, "length less than or equal to 256"),
            (asg.create_or_update_tags, {"Tags": [tag, tag]}, "Duplicate tag key"),
            (asg.describe_tags, {"Filters": [{"Name": "colour", "Values": ["x"]}]}, "Allowed Filter types"),
            (asg.describe_auto_scaling_groups, {"MaxRecords": 0}, "greater than or equal to 1"),
            (asg.describe_auto_scaling_groups, {"MaxRecords": 101}, "less than or equal to 100"),
            (asg.describe_auto_scaling_groups, {"NextToken": "garbage"}, "InvalidNextToken"),
            (asg.enter_standby, {**web, "InstanceIds": ["i-none"], "ShouldDecrementDesiredCapacity": False}, "not found"),
            (asg.exit_standby, {**web, "InstanceIds": [one]}, "not Standby"),
            (asg.set_instance_protection, {**web, "InstanceIds": [], "ProtectedFromScaleIn": True}, "instanceIds"),
        ]
        asg.update_auto_scaling_group(**web, MinSize=1)
        before = manager.run("ctl", "export", "--prefix", "group/")
        for call, parameters, expected in rows:
            text = aws.refusal(call, **parameters)
            assert expected in text, f"{call.__name__}({parameters}): {text!r} has no {expected!r}"
        text = aws.refusal(asg.terminate_instance_in_auto_scaling_group, InstanceId=one,
                           ShouldDecrementDesiredCapacity=True)
        assert "min size 1" in text and "would become 0" in text, text
        assert manager.run("ctl", "export", "--prefix", "group/") == before, "a refused request changed something"
        assert asg.describe_auto_scaling_groups(AutoScalingGroupNames=["nobody"])["AutoScalingGroups"] == []


def who_does_not_sign_gets_nothing(bin_dir):
    form = b"Action=DescribeAutoScalingGroups&Version=2011-01-01"
    with Manager(bin_dir) as manager:
        asg = aws.client(manager)
        make_group(asg, desired=0)
        make_group(asg, name="db", desired=0)
        assert aws.raw(manager, headers=aws.signed(manager, form), body=form)[0] == 200
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        minutes = lambda n: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + 60 * n))  # noqa: E731
        for headers, status, code in [
                ([kind], 403, "MissingAuthenticationToken"),
                (aws.signed(manager, form, key=("ESCANOBODY", "x")), 403, "InvalidClientTokenId"),
                (aws.signed(manager, form, key=(aws.profile(manager)["aws_access_key_id"], "x")), 403, "SignatureDoesNotMatch"),
                (aws.signed(manager, b"other"), 403, "SignatureDoesNotMatch"),
                (aws.signed(manager, form, region="us-east-1"), 403, "valid region: 'local'"),
                (aws.signed(manager, form, service="ec2"), 403, "correct service"),
                (aws.signed(manager, form, date=minutes(-6)), 403, "Signature expired"),
                (aws.signed(manager, form, date=minutes(6)), 403, "Signature not yet current"),
                (aws.signed(manager, form, more=[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]), 403, "SignatureDoesNotMatch"),
                (aws.signed(manager, form) + [("x-amz-meta", "1")], 403, "must be a 'SignedHeader'"),
                (aws.signed(manager, form) + aws.signed(manager, form)[-1:], 400, "given twice"),
                ([kind, ("Authorization", "AWS4-HMAC-SHA1 x")], 400, "IncompleteSignature"),
                ([kind, ("Authorization", "Basic eDp5")], 400, "IncompleteSignature")]:
            answer = aws.raw(manager, headers=headers, body=form)
            assert answer[0] == status and code in answer[2], (headers, answer)
        assert "query string" in aws.raw(manager, target="/?X-Amz-Signature=1", headers=aws.signed(manager, form), body=form)[2]
        assert aws.raw(manager, host="evil.example", headers=aws.signed(manager, form), body=form)[0] == 421
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            status, headers, _ = aws.raw(manager, method=method)
            assert status == 405 and headers["Allow"] and not any("ccess-Control" in h for h in headers), headers
        assert aws.raw(manager, headers=[("Content-Type", "multipart/form-data")], body=form)[0] == 415

        # Roles, from the outside.
        reader = aws.client(manager, key=aws.new_key(manager, "read:we*"))
        assert [g["AutoScalingGroupName"] for g in reader.describe_auto_scaling_groups()["AutoScalingGroups"]] == ["web"]
        assert aws.refusal(reader.set_desired_capacity, AutoScalingGroupName="web", DesiredCapacity=0).startswith(
            "AccessDenied: User: ESCA")
        key = aws.new_key(manager, "operate:web")
        operator = aws.client(manager, key=key)
        operator.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
        assert "on group db" in aws.refusal(operator.set_desired_capacity, AutoScalingGroupName="db", DesiredCapacity=0)
        assert "AccessDenied" in aws.refusal(operator.delete_auto_scaling_group, AutoScalingGroupName="web")
        manager.run("ctl", "key", "delete", key[0])
        assert aws.refusal(operator.describe_auto_scaling_groups).startswith("InvalidClientTokenId")
        assert key[0] not in manager.run("ctl", "key", "list")

        # No secret is anywhere but in its file and the store.
        secret = aws.profile(manager)["aws_secret_access_key"]
        assert os.stat(os.path.join(manager.dir, "aws.config")).st_mode & 0o777 == 0o600
        with open(manager.log, encoding="utf-8") as log, open(os.path.join(manager.dir, "audit.log"),
                                                              encoding="utf-8") as audit:
            for text in (log.read(), audit.read(), manager.run("ctl", "export")):
                assert secret not in text and key[1] not in text

        assert "unbroken" in manager.run("audit", "verify")
        path = os.path.join(manager.dir, "audit.log")
        with open(path, "rb") as file:
            whole = file.read()
        assert b'"outcome":"AccessDenied"' in whole and b'"action":"CreateAutoScalingGroup"' in whole
        with open(path, "wb") as file:
            file.write(whole.replace(b"AccessDenied", b"ok", 1))
        assert "does not have the hash" in manager.run("audit", "verify", code=1)


def unsigned_is_for_who_asks_for_it(bin_dir):
    import botocore
    import botocore.config
    import boto3
    with Manager(bin_dir, serve_options=["--control-option=--allow-unsigned"]) as manager:
        asg = boto3.client("autoscaling", endpoint_url=aws.profile(manager)["endpoint_url"], region_name="local",
                           config=botocore.config.Config(signature_version=botocore.UNSIGNED))
        make_group(asg, desired=0)
        assert group(asg)["AutoScalingGroupName"] == "web"
        wrong = aws.client(manager, key=("test", "test"))
        assert "InvalidClientTokenId" in aws.refusal(wrong.describe_auto_scaling_groups), "what is signed is verified"


def tls_and_off_loopback(bin_dir):
    with Manager(bin_dir, start=False) as manager:
        certificate, key = os.path.join(manager.dir, "c.pem"), os.path.join(manager.dir, "k.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1,DNS:localhost"], check=True, capture_output=True)
        refused = subprocess.run([manager.escala, "control", "--state-dir", manager.dir, "--listen", "0.0.0.0:0"],
                                 capture_output=True, text=True, timeout=60)
        assert refused.returncode == 2 and "TLS only" in refused.stderr, refused
        manager.serve_options = [f"--control-option=--tls-cert={certificate}", f"--control-option=--tls-key={key}"]
        manager.start()
        asg = aws.client(manager, verify=certificate)
        assert asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
        address = urllib.parse.urlsplit(aws.profile(manager)["endpoint_url"])
        assert address.scheme == "https"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        try:
            with socket.create_connection((address.hostname, address.port), 10) as plain:
                old.wrap_socket(plain)
            raise AssertionError("TLS 1.1 was taken")
        except OSError:
            pass


def every_operation_has_the_shape_of_the_model(bin_dir):
    """The generated table of fields against botocore's own model, where it is installed: names and types."""
    import check_model
    return check_model.check(os.path.join(bin_dir, "escala"))


def the_reference_page_is_the_programs_own(bin_dir):
    """docs/reference/api.md is made by the program: it cannot say something else than what is served."""
    made = subprocess.run([os.path.join(bin_dir, "escala"), "reference", "api"], check=True, capture_output=True,
                          text=True).stdout
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "reference", "api.md")
    with open(page, encoding="utf-8") as f:
        assert f.read() == made, "out of date: escala reference api > docs/reference/api.md"


TESTS = [a_group_lives_through_boto3, a_group_lives_through_the_cli, hooks_wait_for_an_answer,
         policies_schedules_processes_and_tags, what_there_is_can_be_listed, hostile_text_survives_or_is_refused,
         wrong_requests_change_nothing_and_say_why, who_does_not_sign_gets_nothing, unsigned_is_for_who_asks_for_it,
         tls_and_off_loopback, every_operation_has_the_shape_of_the_model,
         the_reference_page_is_the_programs_own]

if __name__ == "__main__":
    main(TESTS)
