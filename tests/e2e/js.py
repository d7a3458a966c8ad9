#!/usr/bin/env python3
"""The AWS SDK for JavaScript, from npm, against a manager: Auto Scaling, CloudWatch and launch templates."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import aws  # noqa: E402
from manager import Manager, main, wait_for  # noqa: E402

# The newest line that runs on Debian 12's Node.js 18.
VERSION = "3.750.0"
PACKAGES = [f"@aws-sdk/client-{name}@{VERSION}" for name in ("auto-scaling", "cloudwatch", "ec2")]
PROGRAM = """
import { AutoScalingClient, CreateAutoScalingGroupCommand, DescribeAutoScalingGroupsCommand, PutScalingPolicyCommand,
         SetDesiredCapacityCommand, paginateDescribeAutoScalingGroups } from "@aws-sdk/client-auto-scaling";
import { CloudWatchClient, PutMetricDataCommand, GetMetricDataCommand, PutMetricAlarmCommand, DescribeAlarmsCommand }
  from "@aws-sdk/client-cloudwatch";
import { EC2Client, CreateLaunchTemplateCommand, DescribeLaunchTemplateVersionsCommand } from "@aws-sdk/client-ec2";

const settings = JSON.parse(process.argv[2]);
const auto = new AutoScalingClient(settings), watch = new CloudWatchClient(settings), ec2 = new EC2Client(settings);
const said = {};
const script = Buffer.from("#!/bin/sh\\nexec sleep 600\\n").toString("base64");
await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName: "web", LaunchTemplateData: { UserData: script } }));
said.versions = (await ec2.send(new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateName: "web" })))
  .LaunchTemplateVersions;
for (const name of ["web", "web-2", "web-3"])
  await auto.send(new CreateAutoScalingGroupCommand({
    AutoScalingGroupName: name, MinSize: 0, MaxSize: 3, AvailabilityZones: ["local-a"],
    LaunchTemplate: { LaunchTemplateName: "web", Version: "$Latest" },
    Tags: [{ Key: "text", Value: "<&> \\u00e9\\u4e2d", PropagateAtLaunch: true }] }));
await auto.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: "web", DesiredCapacity: 1 }));
said.names = [];
for await (const page of paginateDescribeAutoScalingGroups({ client: auto, pageSize: 2 }, {}))
  said.names.push(...page.AutoScalingGroups.map((group) => group.AutoScalingGroupName));
said.group = (await auto.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: ["web"] }))).AutoScalingGroups[0];
const policy = await auto.send(new PutScalingPolicyCommand({
  AutoScalingGroupName: "web", PolicyName: "more", PolicyType: "StepScaling", AdjustmentType: "ChangeInCapacity",
  StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 1 }] }));
const minute = new Date(Math.floor(Date.now() / 60000) * 60000 - 300000);
await watch.send(new PutMetricDataCommand({ Namespace: "Shop", MetricData: [
  { MetricName: "Queue", Timestamp: minute, Values: [1, 5], Counts: [1, 1] }] }));
said.data = (await watch.send(new GetMetricDataCommand({
  StartTime: minute, EndTime: new Date(minute.getTime() + 60000), MetricDataQueries: [
    { Id: "m1", ReturnData: false, MetricStat: { Metric: { Namespace: "Shop", MetricName: "Queue" }, Period: 60, Stat: "Sum" } },
    { Id: "half", Expression: "m1 / 2" }] }))).MetricDataResults;
await watch.send(new PutMetricAlarmCommand({
  AlarmName: "long", Namespace: "Shop", MetricName: "Queue", Statistic: "Average", Period: 60, EvaluationPeriods: 1,
  Threshold: 10, ComparisonOperator: "GreaterThanThreshold", AlarmActions: [policy.PolicyARN] }));
said.alarm = (await watch.send(new DescribeAlarmsCommand({ AlarmNames: ["long"] }))).MetricAlarms[0];
try {
  await auto.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: "web", DesiredCapacity: 99 }));
} catch (error) {
  said.refused = error.name + ": " + error.message;
}
console.log(JSON.stringify(said));
"""


def the_javascript_sdk_drives_it(bin_dir):
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "Node.js and npm are not on this machine"
    with tempfile.TemporaryDirectory(prefix="escala-js-") as directory, Manager(bin_dir) as manager:
        with open(os.path.join(directory, "package.json"), "w") as file:
            json.dump({"private": True, "type": "module"}, file)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-update-notifier", *PACKAGES], cwd=directory,
                              capture_output=True, text=True, timeout=240)
        if done.returncode:
            return "npm's registry does not give the SDK: " + done.stderr.strip().splitlines()[-1]
        with open(os.path.join(directory, "drive.js"), "w") as file:
            file.write(PROGRAM)
        profile = aws.profile(manager)
        settings = {"endpoint": profile["endpoint_url"], "region": profile["region"], "maxAttempts": 1,
                    "credentials": {"accessKeyId": profile["aws_access_key_id"],
                                    "secretAccessKey": profile["aws_secret_access_key"]}}
        done = subprocess.run(["node", "drive.js", json.dumps(settings)], cwd=directory, capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout)
        assert [v["VersionNumber"] for v in said["versions"]] == [1], said["versions"]
        assert said["names"] == ["web", "web-2", "web-3"], said["names"]
        assert said["group"]["Tags"][0]["Value"] == "<&> \u00e9\u4e2d", said["group"]
        assert said["group"]["LaunchTemplate"]["Version"] == "$Latest", said["group"]
        assert [r["Values"] for r in said["data"]] == [[3]], said["data"]
        assert said["alarm"]["MetricName"] == "Queue" and said["alarm"]["AlarmActions"][0].endswith("policyName/more"), said
        assert said["refused"].startswith("ValidationError: ") and "above max value 3" in said["refused"], said["refused"]
        wait_for("an instance", lambda: len(manager.instances("web", "InService")) == 1)


if __name__ == "__main__":
    main([the_javascript_sdk_drives_it])
