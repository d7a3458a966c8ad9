#!/usr/bin/env python3
"""Requests as nobody should send them, as they stand on the wire: each gets its error, and nothing is half-done."""

import base64
import hashlib
import os
import socket
import sys
import threading
import time
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import aws  # noqa: E402
from manager import Manager, main, wait_for  # noqa: E402

VERSION = {"autoscaling": "2011-01-01", "monitoring": "2010-08-01", "ec2": "2016-11-15"}
SCRIPT = "#!/bin/sh\nexec sleep 100000\n"


def send(manager, form, service="autoscaling", **more):
    """(status, headers, body) of a signed form, which is text as it goes over the wire."""
    body = form.encode() if isinstance(form, str) else form
    return aws.raw(manager, headers=aws.signed(manager, body, service=service, **more), body=body)


def form_of(action, service="autoscaling", **fields):
    fields = {"Action": action, "Version": VERSION[service], **fields}
    return "&".join(f"{name}={urllib.parse.quote(str(value), safe='')}" for name, value in fields.items())


class Rows:
    """All rows are tried before any of them fails."""

    def __init__(self, manager):
        self.manager = manager
        self.wrong = []
        self.count = 0

    def form(self, form, status, *expected, service="autoscaling"):
        self.check(form[:200], send(self.manager, form, service=service), status, *expected)

    def call(self, action, fields, *expected, status=400, service="autoscaling"):
        self.form(form_of(action, service, **fields), status, *expected, service=service)

    def check(self, what, answer, status, *expected):
        self.count += 1
        if answer[0] != status or any(text not in answer[2] for text in expected):
            self.wrong.append(f"{what}\n    expected {status} {expected}\n    got {answer[0]} {answer[2][:600]}")

    def done(self):
        assert not self.wrong, f"{len(self.wrong)} of {self.count} rows:\n" + "\n".join(self.wrong)


def settled(asg, name="web", count=1):
    def look():
        groups = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        instances = groups[0]["Instances"]
        return instances if len(instances) == count and all(
            i["LifecycleState"] == "InService" for i in instances) else None
    return wait_for(f"{count} of {name} in service", look, 60)


def make_world(manager):
    asg = aws.client(manager)
    asg.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-1", InstanceType="t3.micro",
                                    UserData=SCRIPT)
    for name in ("web", "db"):
        asg.create_auto_scaling_group(AutoScalingGroupName=name, MinSize=1, MaxSize=3, DesiredCapacity=1,
                                      LaunchConfigurationName="lc", AvailabilityZones=["local-a"],
                                      HealthCheckGracePeriod=0, DefaultCooldown=3600)
    return asg, settled(asg)[0]["InstanceId"], settled(asg, "db")[0]["InstanceId"]


# --- the wire -------------------------------------------------------------------------------------------------------------


def signatures_are_taken_apart(bin_dir):
    form = form_of("DescribeAutoScalingGroups").encode()
    with Manager(bin_dir) as manager:
        rows = Rows(manager)
        right = dict(aws.signed(manager, form))
        authorization = right["Authorization"]
        kind = [("Content-Type", right["Content-Type"]), ("X-Amz-Date", right["X-Amz-Date"])]

        def with_authorization(text, status, *expected):
            rows.check(text[:150], aws.raw(manager, headers=[*kind, ("Authorization", text)], body=form), status, *expected)
        for part, named in (("Signature=", "Signature"), ("SignedHeaders=", "SignedHeaders"), ("Credential=", "Credential")):
            with_authorization(authorization.replace(part, "X" + part), 400, "IncompleteSignature", named)
        with_authorization(authorization.replace("SignedHeaders=host;x-amz-date", "SignedHeaders="), 400,
                           "IncompleteSignature", "SignedHeaders")
        with_authorization(authorization.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), 400, "IncompleteSignature")
        with_authorization(authorization.replace("Credential=", "Credential=a/b/"), 400, "IncompleteSignature", "Credential")
        flipped = authorization[:-1] + ("0" if authorization[-1] != "0" else "1")
        with_authorization(flipped, 403, "SignatureDoesNotMatch")
        assert "canonical" not in aws.raw(manager, headers=[*kind, ("Authorization", flipped)], body=form)[2].lower()
        with_authorization(authorization.replace("SignedHeaders=host;", "SignedHeaders="), 403)
        # The day of the scope is that of the date.
        day = right["X-Amz-Date"][:8]
        other = time.strftime("%Y%m%d", time.gmtime(time.time() - 86400))
        with_authorization(authorization.replace(f"/{day}/", f"/{other}/"), 403, "SignatureDoesNotMatch")
        for payload in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", hashlib.sha256(b"other").hexdigest()):
            rows.check(payload, aws.raw(manager, headers=aws.signed(manager, form, more=[
                ("x-amz-content-sha256", payload)]), body=form), 403, "SignatureDoesNotMatch")
        rows.done()


def forms_are_read_strictly(bin_dir):
    with Manager(bin_dir) as manager:
        asg, _, _ = make_world(manager)
        before = manager.run("ctl", "export", "--prefix", "group/")
        rows = Rows(manager)
        list_groups = form_of("DescribeAutoScalingGroups")
        update = form_of("UpdateAutoScalingGroup", AutoScalingGroupName="web")
        # 62, 63: action and version
        rows.form("Version=2011-01-01", 400, "MissingAction")
        rows.form(list_groups + "&Action=DescribePolicies", 400, "ValidationError", "Action", "twice")
        rows.form(form_of("Foo"), 400, "InvalidAction", "Could not find operation Foo for version 2011-01-01")
        for version in ("", "&Version=2009-01-01", "&Version=abc"):
            rows.form("Action=DescribeAutoScalingGroups" + version, 400, "2011-01-01")
        rows.form("Action=DescribeAutoScalingGroups&Version=2010-08-01", 403, "monitoring")  # that is another service
        # 64: integers
        for value in ("abc", "1.5", "1e2", "", " 5", "+5", "0x1F", "１"):
            rows.form(update + "&MinSize=" + urllib.parse.quote(value, safe=""), 400, "ValidationError",
                      "'minSize' failed to satisfy constraint: Member must be an integer")
        for value in ("2147483648", "-2147483649", "99999999999999999999"):
            rows.form(update + "&MinSize=" + value, 400, "ValidationError", "minSize")
        rows.form(update + "&MinSize=-1", 400, "ValidationError", "minSize")
        # 68: text that XML or names cannot hold
        for name in ("%00", "%FF", "%ED%A0%80", "%EF%BF%BE", "a%3Ab", "%1B%5B2J", "a" * 256, "%FF" * 60_000):
            rows.form(f"Action=DeleteAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName={name}", 400,
                      "ValidationError")
        # 70: places of a list
        for place in ("0", "2", "99999999999999", "-1", "x", "1.member.1", ""):
            rows.form(list_groups + f"&AutoScalingGroupNames.member.{place}=web", 400, "ValidationError",
                      "AutoScalingGroupNames")
        # 71: bounds
        rows.form(list_groups + "".join(f"&x{i}=1" for i in range(1001)), 400, "1000")
        rows.form(list_groups + "&" + "k" * 1_000_000 + "=1", 413, "262144 bytes")
        rows.form(list_groups + "&AutoScalingGroupNames" + ".member.1" * 50 + "=x", 400, "ValidationError")
        # 72, 73: percent-encoding; twice
        for bad in ("%", "%G1", "%2"):
            rows.form(list_groups + "&AutoScalingGroupNames.member.1=a" + bad, 400, "ValidationError", "percent")
        rows.form(update + "&MinSize=1&MinSize=2", 400, "ValidationError", "MinSize", "twice")
        rows.form(update + "&MinSize=1&MinSize=1", 400, "ValidationError", "MinSize", "twice")
        # 74: unknown parameters are ignored and told
        status, headers, _ = send(manager, list_groups + "&MinSze=1")
        assert status == 200 and "MinSze" in headers["x-escala-warning"], headers
        status, _, text = send(manager, list_groups.replace("&", "&AutoScalingGroupNames.member.1=a+b&", 1))
        assert status == 200 and "<member>" not in text, text
        # 75: pages
        for value in ("0", "101", "-1", "abc"):
            rows.form(list_groups + f"&MaxRecords={value}", 400, "ValidationError", "maxRecords")
        page = asg.describe_auto_scaling_groups(MaxRecords=1)
        token = urllib.parse.quote(page["NextToken"], safe="")
        rows.form(form_of("DescribePolicies") + f"&NextToken={token}", 400, "InvalidNextToken")
        rows.form(list_groups + f"&NextToken={token[:-3]}AAA", 400, "InvalidNextToken")
        rows.form(list_groups + "&NextToken=" + "a" * 100_000, 400)
        stranger = aws.new_key(manager, "read:*")
        body = (list_groups + f"&NextToken={token}").encode()
        rows.check("a token of another caller", aws.raw(manager, headers=aws.signed(manager, body, key=stranger), body=body),
                   400, "InvalidNextToken")
        # 104, 105: methods and types
        answer = aws.raw(manager, method="GET", target="/?Action=DescribeAutoScalingGroups", body=b"x=1")
        assert answer[0] in (400, 403, 405), answer
        for content, status in (("application/json", 415), ("multipart/form-data; boundary=x", 415), ("text/plain", 415)):
            headers = [h for h in aws.signed(manager, list_groups.encode()) if h[0] != "Content-Type"]
            answer = aws.raw(manager, headers=[*headers, ("Content-Type", content)], body=list_groups.encode())
            assert answer[0] == status, (content, answer)
        rows.done()
        assert manager.run("ctl", "export", "--prefix", "group/") == before, "a refused request changed something"


def requests_that_could_be_read_in_two_ways_are_not_read(bin_dir):
    """106: and what follows on the connection is never answered."""
    form = form_of("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=3).encode()
    with Manager(bin_dir) as manager:
        asg, _, _ = make_world(manager)
        address = urllib.parse.urlsplit(aws.profile(manager)["endpoint_url"])
        headers = [f"{n}: {v}" for n, v in aws.signed(manager, form)]
        length = f"Content-Length: {len(form)}"
        host = f"Host: {address.netloc}"
        plain = b"POST / HTTP/1.1\r\n" + "\r\n".join([host, length, *headers]).encode() + b"\r\n\r\n" + form

        def exchange(data):
            with socket.create_connection((address.hostname, address.port), 20) as peer:
                peer.settimeout(20)
                try:
                    peer.sendall(data)
                    answer = b""
                    while chunk := peer.recv(65536):
                        answer += chunk
                except ConnectionResetError:
                    pass
                return answer.decode(errors="replace")

        def head(*lines, body=form, first="POST / HTTP/1.1", end="\r\n"):
            return end.join([first, *lines, *headers]).encode() + (end * 2).encode() + body
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(form), form)
        wrong = {
            "length and chunks": head(host, length, "Transfer-Encoding: chunked", body=chunked),
            "two lengths": head(host, length, f"Content-Length: {len(form) - 1}"),
            "length with a sign": head(host, f"Content-Length: +{len(form)}"),
            "xchunked": head(host, "Transfer-Encoding: xchunked", body=chunked),
            "chunked twice": head(host, "Transfer-Encoding: chunked, chunked", body=chunked),
            "folded line": head(host, length, "X-A: b\r\n c"),
            "two hosts": head(host, host, length),
            "no host": head(length),
            "absolute target": head(host, length, first="POST http://evil.example/ HTTP/1.1"),
            "bare LF": head(host, length, end="\n"),
            "NUL": head(host, length, "X-A: a\0b"),
            "9 KB of header": head(host, length, "X-A: " + "b" * 9000),
            "500 headers": head(host, length, *[f"X-{i}: b" for i in range(500)]),
            "space before the colon": head(host, length, "X-A : b"),
            "HTTP/1.7": head(host, length, first="POST / HTTP/1.7"),
            "chunk extension of 3 KB": head(host, "Transfer-Encoding: chunked",
                                            body=b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(form), b"e" * 3000, form)),
        }
        faults = []
        for what, data in wrong.items():
            answer = exchange(data + plain)
            status = answer.split(" ")[1] if answer else "nothing"
            if not status.startswith("4") or answer.count("HTTP/1.1 ") != 1:
                faults.append(f"{what}: {status}, {answer.count('HTTP/1.1 ')} answers")
        assert not faults, "\n".join(faults)
        assert asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]["DesiredCapacity"] == 1


# --- what the operations refuse -------------------------------------------------------------------------------------------


def groups_and_instances(bin_dir):
    with Manager(bin_dir) as manager:
        asg, web, db = make_world(manager)
        rows = Rows(manager)
        new = {"AutoScalingGroupName": "new", "LaunchConfigurationName": "lc", "MinSize": 0, "MaxSize": 1,
               "AvailabilityZones.member.1": "local-a"}
        group = {"AutoScalingGroupName": "web"}
        tag = {"Tags.member.1.ResourceId": "web", "Tags.member.1.ResourceType": "auto-scaling-group"}
        # 66, 69, 77, 78, 79
        rows.call("SetDesiredCapacity", {**group, "DesiredCapacity": 9}, "above max value 3")
        rows.call("SetDesiredCapacity", {**group, "DesiredCapacity": 0}, "below min value 1")
        rows.call("CreateOrUpdateTags", {**tag, "Tags.member.1.Value": "v"}, "ValidationError", "tags.1.member.key")
        rows.call("CreateOrUpdateTags", {**tag, "Tags.member.1.Key": "aws:x"}, "reserved")
        rows.call("UpdateAutoScalingGroup", {"AutoScalingGroupName": "nobody", "MinSize": 1}, "AutoScalingGroup name not found")
        rows.call("DeleteAutoScalingGroup", {"AutoScalingGroupName": "nobody"}, "AutoScalingGroup name not found")
        rows.call("CreateAutoScalingGroup", {**new, "LaunchTemplate.LaunchTemplateName": "sleeper"}, "Valid requests must contain either")
        rows.call("CreateAutoScalingGroup", {k: v for k, v in new.items() if k != "LaunchConfigurationName"}, "Valid requests must contain either")
        # 80, 81, 82
        rows.call("DeleteAutoScalingGroup", group, "ResourceInUse", web)
        rows.call("DeleteLaunchConfiguration", {"LaunchConfigurationName": "lc"}, "ResourceInUse")
        rows.call("UpdateAutoScalingGroup", {"AutoScalingGroupName": "db", "DeletionProtection": "prevent-all-deletion"}, status=200)
        rows.call("DeleteAutoScalingGroup", {"AutoScalingGroupName": "db", "ForceDelete": "true"}, "DeletionProtection")
        # 84, 85, 96
        end = {"ShouldDecrementDesiredCapacity": "false"}
        rows.call("TerminateInstanceInAutoScalingGroup", {"InstanceId": "i-0123456789abcdef0", **end}, "ValidationError", "not found")
        rows.call("TerminateInstanceInAutoScalingGroup", {"InstanceId": web, "ShouldDecrementDesiredCapacity": "true"}, "min size 1", "0")
        rows.call("TerminateInstanceInAutoScalingGroup", {"InstanceId": web, "ShouldDecrementDesiredCapacity": "maybe"}, "ValidationError", "maybe", "shouldDecrementDesiredCapacity")
        rows.call("TerminateInstanceInAutoScalingGroup", {"InstanceId": web}, "ValidationError", "shouldDecrementDesiredCapacity")
        rows.call("EnterStandby", {**group, "InstanceIds.member.1": db, "ShouldDecrementDesiredCapacity": "false"}, "ValidationError", db)
        rows.call("EnterStandby", {**group, "InstanceIds.member.1": web, "ShouldDecrementDesiredCapacity": "true"}, "ValidationError", "1")
        rows.call("DetachInstances", {**group, "InstanceIds.member.1": "i-0123456789abcdef0", "ShouldDecrementDesiredCapacity": "false"}, "ValidationError")
        rows.call("AttachInstances", {**group, **{f"InstanceIds.member.{i}": f"i-{i:017x}" for i in range(1, 22)}}, "ValidationError", "20")
        rows.call("AttachInstances", {**group, "InstanceIds.member.1": db}, "ValidationError", db)
        rows.call("SetInstanceHealth", {"InstanceId": web, "HealthStatus": "Sick"}, "[Healthy, Unhealthy]")
        # 97, 99
        rows.call("SuspendProcesses", {**group, "ScalingProcesses.member.1": "Lanch"}, "Launch, Terminate, AddToLoadBalancer")
        rows.call("UpdateAutoScalingGroup", {**group, "MaxInstanceLifetime": 86399}, "ValidationError", "86400")
        for low, high in ((101, 110), (90, 99), (0, 201)):
            rows.call("UpdateAutoScalingGroup", {**group, "InstanceMaintenancePolicy.MinHealthyPercentage": low,
                                                 "InstanceMaintenancePolicy.MaxHealthyPercentage": high}, "ValidationError")
        rows.call("UpdateAutoScalingGroup", {**group, "InstanceMaintenancePolicy.MinHealthyPercentage": 90}, "ValidationError", "MaxHealthyPercentage")
        # 98, 101
        rows.call("PutWarmPool", {**group, "MinSize": 50, "MaxGroupPreparedCapacity": 4}, "ValidationError", "MinSize 50")
        rows.call("PutWarmPool", {**group, "PoolState": "Frozen"}, "ValidationError", "[Stopped, Running, Hibernated]")
        launch = {**group, "RequestedCapacity": 1, "ClientToken": "t1", "AvailabilityZones.member.1": "local-a"}
        rows.call("LaunchInstances", {**launch, "ClientToken": "a" * 65}, "ValidationError", "clientToken")
        rows.call("LaunchInstances", {**launch, "ClientToken": "a b"}, "ValidationError", "clientToken")
        assert send(manager, form_of("LaunchInstances", **launch))[0] == 200
        rows.call("LaunchInstances", {**launch, "RequestedCapacity": 2}, "IdempotentParameterMismatch")
        # 83
        asg.put_scaling_policy(AutoScalingGroupName="web", PolicyName="one", PolicyType="SimpleScaling",
                               AdjustmentType="ChangeInCapacity", ScalingAdjustment=1)
        settled(asg, count=2)  # LaunchInstances made one
        asg.execute_policy(AutoScalingGroupName="web", PolicyName="one")
        wait_for("the cooldown", lambda: "ScalingActivityInProgress" in send(manager, form_of(
            "SetDesiredCapacity", **group, DesiredCapacity=2, HonorCooldown="true"))[2], 30)
        rows.call("SetDesiredCapacity", {**group, "DesiredCapacity": 2, "HonorCooldown": "true"}, "ScalingActivityInProgress")
        rows.done()


def policies_hooks_and_schedules(bin_dir):
    with Manager(bin_dir) as manager:
        asg, web, _ = make_world(manager)
        rows = Rows(manager)
        group = {"AutoScalingGroupName": "web"}
        step = {**group, "PolicyName": "p", "PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity"}
        one = {"StepAdjustments.member.1.MetricIntervalLowerBound": 0, "StepAdjustments.member.1.ScalingAdjustment": 1}
        track = {**group, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
        configuration = "TargetTrackingConfiguration."
        cpu = {configuration + "PredefinedMetricSpecification.PredefinedMetricType": "ASGAverageCPUUtilization"}
        # 86, 87
        rows.call("PutScalingPolicy", step, "StepAdjustments")
        rows.call("PutScalingPolicy", {**track, **cpu, configuration + "TargetValue": 50, **one}, "ValidationError", "StepAdjustments")
        for value in ("0", "-1", "NaN", "1e308", "", "fifty"):
            rows.call("PutScalingPolicy", {**track, **cpu, configuration + "TargetValue": value}, "ValidationError")
        rows.call("PutScalingPolicy", {**track, configuration + "PredefinedMetricSpecification.PredefinedMetricType": "ASGAverageMoney", configuration + "TargetValue": 1}, "enum value set")
        rows.call("PutScalingPolicy", {**track, **cpu, configuration + "TargetValue": 1, configuration + "CustomizedMetricSpecification.MetricName": "m", configuration + "CustomizedMetricSpecification.Namespace": "n", configuration + "CustomizedMetricSpecification.Statistic": "Average"}, "exactly one of")
        rows.call("PutScalingPolicy", {**step, **one, "AdjustmentType": "ChangeCapacity"}, "ValidationError", "ExactCapacity")
        two = {"StepAdjustments.member.2.ScalingAdjustment": 2}
        rows.call("PutScalingPolicy", {**step, **one, **two, "StepAdjustments.member.2.MetricIntervalLowerBound": 5}, "ValidationError", "overlap")
        rows.call("PutScalingPolicy", {**step, **one, "StepAdjustments.member.1.MetricIntervalUpperBound": 1, **two, "StepAdjustments.member.2.MetricIntervalLowerBound": 5}, "ValidationError", "gap")
        rows.call("PutScalingPolicy", {**step, "StepAdjustments.member.1.MetricIntervalLowerBound": 5, "StepAdjustments.member.1.MetricIntervalUpperBound": 5, "StepAdjustments.member.1.ScalingAdjustment": 1}, "ValidationError")
        # 88, 89
        asg.put_scaling_policy(AutoScalingGroupName="web", PolicyName="cpu", PolicyType="TargetTrackingScaling",
                               TargetTrackingConfiguration={"TargetValue": 50, "PredefinedMetricSpecification": {
                                   "PredefinedMetricType": "ASGAverageCPUUtilization"}})
        rows.call("PutScalingPolicy", {**track, **cpu, configuration + "TargetValue": 60}, "ValidationError", "cpu")
        rows.call("ExecutePolicy", {**group, "PolicyName": "cpu"}, "ValidationError")
        asg.put_scaling_policy(AutoScalingGroupName="web", PolicyName="simple", PolicyType="SimpleScaling",
                               AdjustmentType="ChangeInCapacity", ScalingAdjustment=1)
        rows.call("ExecutePolicy", {**group, "PolicyName": "simple", "MetricValue": 5, "BreachThreshold": 1}, "ValidationError")
        # 90, 91, 92
        hook = {**group, "LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}
        for seconds in ("29", "7201", "1h"):
            rows.call("PutLifecycleHook", {**hook, "HeartbeatTimeout": seconds}, "ValidationError", "heartbeatTimeout")
        rows.call("PutLifecycleHook", {**hook, "DefaultResult": "MAYBE"}, "[CONTINUE, ABANDON]")
        rows.call("PutLifecycleHook", {**hook, "LifecycleTransition": "autoscaling:LAUNCHING"}, "ValidationError")
        rows.call("PutLifecycleHook", {**hook, "LifecycleHookName": "a b"}, "ValidationError", "pattern")
        for i in range(50):
            asg.put_lifecycle_hook(AutoScalingGroupName="db", LifecycleHookName=f"h{i}",
                                   LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout=30)
        rows.call("PutLifecycleHook", {**hook, "AutoScalingGroupName": "db"}, "LimitExceeded", "50")
        asg.put_lifecycle_hook(AutoScalingGroupName="web", LifecycleHookName="h", LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING")
        done = {**group, "LifecycleHookName": "h", "LifecycleActionResult": "CONTINUE"}
        rows.call("CompleteLifecycleAction", {**done, "InstanceId": web}, f"No active Lifecycle Action found with instance ID {web}")
        rows.call("CompleteLifecycleAction", {**done, "LifecycleActionToken": "0" * 36}, "ValidationError", "No active Lifecycle Action found")
        rows.call("CompleteLifecycleAction", {**done, "InstanceId": web, "LifecycleActionResult": "YES"}, "ValidationError")
        rows.call("RecordLifecycleActionHeartbeat", {**group, "LifecycleHookName": "h", "InstanceId": web}, "No active Lifecycle Action found")
        # 93
        action = {**group, "ScheduledActionName": "s", "DesiredCapacity": 1}
        stamp = lambda seconds: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))  # noqa: E731
        rows.call("PutScheduledUpdateGroupAction", {**action, "StartTime": stamp(-3600)}, "past")
        rows.call("PutScheduledUpdateGroupAction", {**action, "StartTime": stamp(7200), "EndTime": stamp(3600)}, "ValidationError")
        for recurrence in ("61 * * * *", "0 0 30 2 *", "* * * * * *", "@reboot", "x"):
            rows.call("PutScheduledUpdateGroupAction", {**action, "Recurrence": recurrence}, "ValidationError")
        rows.call("PutScheduledUpdateGroupAction", {**action, "Recurrence": "0 8 * * *", "TimeZone": "Mars/Base"}, "Mars/Base")
        rows.call("PutScheduledUpdateGroupAction", {k: v for k, v in action.items() if k != "DesiredCapacity"} | {"Recurrence": "0 8 * * *"}, "ValidationError")
        for first in range(0, 125, 25):
            asg.batch_put_scheduled_update_group_action(AutoScalingGroupName="web", ScheduledUpdateGroupActions=[
                {"ScheduledActionName": f"a{i}", "Recurrence": f"{i % 60} {i // 60} * * *", "DesiredCapacity": 1}
                for i in range(first, first + 25)])
        rows.call("PutScheduledUpdateGroupAction", {**action, "Recurrence": "0 8 * * *"}, "LimitExceeded", "125")
        # 94, 95
        preferences = lambda **p: {**group, **{f"Preferences.{k}": v for k, v in p.items()}}  # noqa: E731
        rows.call("StartInstanceRefresh", preferences(MinHealthyPercentage=101), "ValidationError")
        rows.call("StartInstanceRefresh", preferences(MinHealthyPercentage=90, MaxHealthyPercentage=99), "ValidationError")
        rows.call("StartInstanceRefresh", preferences(MinHealthyPercentage=90, MaxHealthyPercentage=201), "ValidationError")
        rows.call("StartInstanceRefresh", preferences(MinHealthyPercentage=10, MaxHealthyPercentage=150), "ValidationError", "100")
        rows.call("StartInstanceRefresh", {**preferences(), "Preferences.CheckpointPercentages.member.1": 50, "Preferences.CheckpointPercentages.member.2": 20}, "ValidationError", "20 follows 50")
        rows.call("StartInstanceRefresh", {**preferences(), "Preferences.CheckpointPercentages.member.1": 101}, "ValidationError")
        # 67: the word of the enumeration, both faults at once
        rows.call("StartInstanceRefresh", preferences(ScaleInProtectedInstances="", StandbyInstances="foo"), "2 validation errors detected", "'preferences.scaleInProtectedInstances' failed to satisfy constraint: Member must satisfy enum value set: [Refresh, Ignore, Wait]", "preferences.standbyInstances")
        rows.call("CancelInstanceRefresh", group, "ActiveInstanceRefreshNotFound")
        rows.call("RollbackInstanceRefresh", group, "ActiveInstanceRefreshNotFound")
        rows.call("StartInstanceRefresh", preferences(AutoRollback="true"), "ValidationError")
        asg.start_instance_refresh(AutoScalingGroupName="web")
        rows.call("StartInstanceRefresh", group, "InstanceRefreshInProgress")
        rows.call("RollbackInstanceRefresh", group, "IrreversibleInstanceRefresh")
        rows.done()


def templates_metrics_and_alarms(bin_dir):
    with Manager(bin_dir) as manager:
        make_world(manager)
        rows = Rows(manager)
        new = {"AutoScalingGroupName": "new", "MinSize": 0, "MaxSize": 1, "AvailabilityZones.member.1": "local-a"}
        template = {"LaunchTemplateName": "sleeper", "LaunchTemplateData.UserData": base64.b64encode(SCRIPT.encode()).decode()}
        rows.call("CreateLaunchTemplate", template, status=200, service="ec2")
        # 100
        made = {"LaunchTemplate.LaunchTemplateName": "sleeper"}
        rows.call("CreateAutoScalingGroup", {**new, **made, "LaunchTemplate.LaunchTemplateId": "lt-0123456789abcdef0"}, "ValidationError")
        for version in ("abc", "99", "$Newest", "-1"):
            rows.call("CreateAutoScalingGroup", {**new, **made, "LaunchTemplate.Version": version}, "ValidationError", version)
        rows.call("CreateLaunchTemplate", {**template, "LaunchTemplateName": "other", "LaunchTemplateData.UserData": "!"}, "base64", service="ec2")
        rows.call("CreateLaunchTemplate", {**template, "LaunchTemplateName": "other", "LaunchTemplateData.UserData": "A" * 30000}, "21847", service="ec2")
        # 102
        datum = {"Namespace": "shop", "MetricData.member.1.MetricName": "m", "MetricData.member.1.Value": 1}
        put = lambda expected, drop=(), **more: rows.call("PutMetricData", {k: v for k, v in {**datum, **{"MetricData.member.1." + n: v for n, v in more.items()}}.items() if k not in drop}, *expected, service="monitoring")  # noqa: E731
        for value in ("NaN", "Infinity", "-Infinity", "1e127", "abc"):
            put(["metricData.1.member.value"], Value=value)
        put(["Timestamp"], Timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 22 * 86400)))
        put(["Timestamp"], Timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 3600)))
        put(["amespace"], drop=["Namespace"])
        rows.call("PutMetricData", {**datum, "Namespace": "AWS/EC2"}, "AWS/", service="monitoring")
        put(["InvalidParameterCombination"], drop=["MetricData.member.1.Value"], **{"Values.member.1": 1, "Values.member.2": 2, "Counts.member.1": 1})
        put(["imensions", "30"], **{f"Dimensions.member.{i}.{part}": f"d{i}" for i in range(1, 32) for part in ("Name", "Value")})
        many = {"Namespace": "shop", **{f"MetricData.member.{i}.{n}": v for i in range(1, 1002) for n, v in (("MetricName", "m"), ("Value", 1))}}
        rows.call("PutMetricData", many, "1000", service="monitoring")
        # 103
        alarm = {"AlarmName": "a", "Namespace": "shop", "MetricName": "m", "Statistic": "Average", "Period": 60,
                 "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold",
                 "Dimensions.member.1.Name": "AutoScalingGroupName", "Dimensions.member.1.Value": "web"}
        for change in ({"Period": 7}, {"Period": 0}, {"EvaluationPeriods": 0}, {"DatapointsToAlarm": 2},
                       {"TreatMissingData": "guess"}, {"ComparisonOperator": "Above"}, {"Threshold": "NaN"},
                       {"Metrics.member.1.Id": "m1", "Metrics.member.1.MetricStat.Stat": "Average",
                        "Metrics.member.1.MetricStat.Period": 60, "Metrics.member.1.MetricStat.Metric.MetricName": "m"},
                       {"AlarmActions.member.1": "arn:aws:autoscaling:local:123456789012:scalingPolicy:none"},
                       {"ExtendedStatistic": "p99"}):
            rows.call("PutMetricAlarm", {**alarm, **change}, "Error", service="monitoring")
        rows.call("PutMetricAlarm", alarm, status=200, service="monitoring")
        rows.done()


# --- many at once -----------------------------------------------------------------------------------------------------------


def two_clients_at_once_never_mix(bin_dir):
    """110: pairs of MinSize and MaxSize that only make sense together, from both sides."""
    with Manager(bin_dir) as manager:
        asg, _, _ = make_world(manager)
        asg.suspend_processes(AutoScalingGroupName="web")
        outcomes = []

        def write(low):
            for _ in range(40):
                form = form_of("UpdateAutoScalingGroup", AutoScalingGroupName="web", MinSize=low, MaxSize=low + 1,
                               DesiredCapacity=low)
                outcomes.append(send(manager, form)[:3:2])
        threads = [threading.Thread(target=write, args=(low,)) for low in (1, 5)]
        for thread in threads:
            thread.start()
        mixed = []
        while any(thread.is_alive() for thread in threads):
            seen = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]
            sizes = seen["MinSize"], seen["MaxSize"]
            if sizes not in ((1, 2), (5, 6), (1, 3)):
                mixed.append(sizes)
        for thread in threads:
            thread.join()
        assert not mixed, mixed
        for status, text in outcomes:
            assert status == 200 or (status == 500 and "ResourceContention" in text), (status, text)
        assert any(status == 200 for status, _ in outcomes)


def who_hangs_up_loses_only_the_answer(bin_dir):
    """109: a change is made as a whole or not at all, whenever its client goes."""
    with Manager(bin_dir) as manager:
        asg, _, _ = make_world(manager)
        asg.suspend_processes(AutoScalingGroupName="web")
        address = urllib.parse.urlsplit(aws.profile(manager)["endpoint_url"])
        for i in range(30):
            low = 1 + i % 2 * 4
            form = form_of("UpdateAutoScalingGroup", AutoScalingGroupName="web", MinSize=low, MaxSize=low + 1,
                           DesiredCapacity=low).encode()
            head = "\r\n".join(["POST / HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(form)}",
                                *[f"{n}: {v}" for n, v in aws.signed(manager, form)]]).encode() + b"\r\n\r\n"
            whole = head + form
            with socket.create_connection((address.hostname, address.port), 20) as peer:
                peer.sendall(whole[:len(whole) - i * 7 % 40])  # now and then all of it
            seen = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]
            assert (seen["MinSize"], seen["MaxSize"]) in ((1, 2), (5, 6), (1, 3)), seen


def who_asks_too_often_is_told(bin_dir):
    """112: and nobody else is slowed down."""
    with Manager(bin_dir, serve_options=["--control-option=--reads-per-second=20"]) as manager:
        make_world(manager)
        for _ in range(2000):
            status, _, text = send(manager, form_of("DescribeAutoScalingGroups"))
            if status != 200:
                break
        assert status == 400 and "Throttling" in text and "Rate exceeded" in text, (status, text)
        other = aws.client(manager, key=aws.new_key(manager, "read:*"))
        assert len(other.describe_auto_scaling_groups()["AutoScalingGroups"]) == 2


TESTS = [signatures_are_taken_apart, forms_are_read_strictly, requests_that_could_be_read_in_two_ways_are_not_read,
         groups_and_instances, policies_hooks_and_schedules, templates_metrics_and_alarms, two_clients_at_once_never_mix,
         who_hangs_up_loses_only_the_answer, who_asks_too_often_is_told]

if __name__ == "__main__":
    main(TESTS)
