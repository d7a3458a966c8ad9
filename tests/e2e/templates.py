#!/usr/bin/env python3
"""Launch templates and EC2's Describe operations, by boto3 and the aws CLI: a group launches from a template, follows its
newest version, is refreshed onto it, and the template cannot be taken from under it."""

import base64
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import aws  # noqa: E402
from manager import Manager, environment_of, main, wait_for  # noqa: E402


def script(color):
    """User data that is a script: what a process instance runs."""
    return base64.b64encode(f"#!/bin/sh\nexport COLOR={color}\nexec sleep 600\n".encode()).decode()


def colors(manager):
    """COLOR of the processes that run, one for each instance."""
    found = []
    for pid in manager.instance_processes().values():
        for each in [pid, *children(pid)]:
            color = environment_of(each).get(b"COLOR")
            if color:
                found.append(color.decode())
                break
    return sorted(found)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            direct = [int(word) for word in f.read().split()]
    except OSError:
        return []
    return direct + [grandchild for child in direct for grandchild in children(child)]


def templates_have_versions(bin_dir):
    with Manager(bin_dir) as manager:
        ec2 = aws.client(manager, "ec2")
        made = ec2.create_launch_template(
            LaunchTemplateName="web", VersionDescription="first",
            LaunchTemplateData={"UserData": script("red"), "InstanceType": "t3.micro", "KeyName": "ops",
                                "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1"]}],
                                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}}],
                                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "team", "Value": "shop"}]}],
        )["LaunchTemplate"]
        ident = made["LaunchTemplateId"]
        assert ident.startswith("lt-") and len(ident) == 20, made
        assert made["DefaultVersionNumber"] == made["LatestVersionNumber"] == 1 and made["Tags"][0]["Value"] == "shop", made
        second = ec2.create_launch_template_version(
            LaunchTemplateId=ident, SourceVersion="1", LaunchTemplateData={"KeyName": "dev"})["LaunchTemplateVersion"]
        assert second["VersionNumber"] == 2 and not second["DefaultVersion"], second
        data = second["LaunchTemplateData"]
        assert data["KeyName"] == "dev" and data["InstanceType"] == "t3.micro", data
        assert data["NetworkInterfaces"][0]["Groups"] == ["sg-1"], data
        assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 9, data
        versions = ec2.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
        assert [v["VersionNumber"] for v in versions] == [2, 1], versions
        newest = ec2.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"]
        assert [v["VersionNumber"] for v in newest] == [2], newest
        page = ec2.describe_launch_template_versions(LaunchTemplateName="web", MaxResults=1)
        rest = ec2.describe_launch_template_versions(LaunchTemplateName="web", MaxResults=1, NextToken=page["NextToken"])
        assert rest["LaunchTemplateVersions"][0]["VersionNumber"] == 1 and "NextToken" not in rest, rest
        assert ec2.modify_launch_template(LaunchTemplateName="web", DefaultVersion="2")["LaunchTemplate"][
            "DefaultVersionNumber"] == 2
        told = ec2.describe_launch_templates(Filters=[{"Name": "tag:team", "Values": ["sh*"]}])["LaunchTemplates"]
        assert [t["LaunchTemplateName"] for t in told] == ["web"], told
        gone = ec2.delete_launch_template_versions(LaunchTemplateName="web", Versions=["1", "2", "7"])
        assert [v["VersionNumber"] for v in gone["SuccessfullyDeletedLaunchTemplateVersions"]] == [1], gone
        assert [v["VersionNumber"] for v in gone["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [2, 7], gone
        ec2.delete_launch_template(LaunchTemplateId=ident)
        assert not ec2.describe_launch_templates()["LaunchTemplates"]


def what_is_wrong_is_told_as_ec2_does(bin_dir):
    with Manager(bin_dir) as manager:
        ec2, asg = aws.client(manager, "ec2", validate=False), aws.client(manager)
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"UserData": script("red")},
                                   ClientToken="once")
        again = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"UserData": script("red")},
                                           ClientToken="once")["LaunchTemplate"]
        assert again["LatestVersionNumber"] == 1, again

        def refused(code, call, **parameters):
            told = aws.refusal(call, **parameters)
            assert told.startswith(code + ": "), (code, told)
        data = {"UserData": script("red")}
        refused("InvalidLaunchTemplateName.AlreadyExistsException", ec2.create_launch_template, LaunchTemplateName="web",
                LaunchTemplateData=data)
        refused("InvalidParameterValue", ec2.create_launch_template, LaunchTemplateName="a b", LaunchTemplateData=data)
        refused("InvalidParameterValue", ec2.create_launch_template, LaunchTemplateName="w",
                LaunchTemplateData=data)
        refused("MissingParameter", ec2.create_launch_template, LaunchTemplateName="other")
        refused("InvalidParameterValue", ec2.create_launch_template, LaunchTemplateName="other",
                LaunchTemplateData={"UserData": "#!/bin/sh"})
        refused("DryRunOperation", ec2.create_launch_template, LaunchTemplateName="other", LaunchTemplateData=data,
                DryRun=True)
        refused("InvalidLaunchTemplateName.NotFoundException", ec2.describe_launch_templates,
                LaunchTemplateNames=["other"])
        refused("InvalidLaunchTemplateId.NotFound", ec2.delete_launch_template, LaunchTemplateId="lt-00000000000000000")
        refused("InvalidLaunchTemplateId.VersionNotFound", ec2.modify_launch_template, LaunchTemplateName="web",
                DefaultVersion="2")
        refused("MissingParameter", ec2.describe_launch_template_versions)
        refused("InvalidParameterCombination", ec2.describe_launch_template_versions, LaunchTemplateName="web",
                LaunchTemplateId="lt-00000000000000000")
        refused("InvalidParameterValue", ec2.describe_launch_templates, Filters=[{"Name": "color", "Values": ["x"]}])
        refused("InvalidAction", ec2.run_instances, MinCount=1, MaxCount=1)
        # A version that launches nothing can be a base for others, not what a group launches.
        ec2.create_launch_template(LaunchTemplateName="base", LaunchTemplateData={"KeyName": "ops"})
        sizes = {"MinSize": 0, "MaxSize": 1, "AvailabilityZones": ["local-a"]}
        told = aws.refusal(asg.create_auto_scaling_group, AutoScalingGroupName="g", **sizes,
                           LaunchTemplate={"LaunchTemplateName": "base"})
        assert "cannot be launched" in told and "nothing to launch" in told, told
        for template, words in (({"LaunchTemplateName": "web", "Version": "3"}, "specified version 3"),
                                ({"LaunchTemplateName": "web", "Version": "abc"}, "specified version abc"),
                                ({"LaunchTemplateName": "none"}, "template name none, does not exist"),
                                ({"LaunchTemplateName": "web", "LaunchTemplateId": "lt-1"}, "not both")):
            told = aws.refusal(asg.create_auto_scaling_group, AutoScalingGroupName="g", LaunchTemplate=template, **sizes)
            assert told.startswith("ValidationError") and words in told, told
        asg.create_launch_configuration(LaunchConfigurationName="lc", UserData="#!/bin/sh\nexec sleep 600\n")
        told = aws.refusal(asg.create_auto_scaling_group, AutoScalingGroupName="g", LaunchConfigurationName="lc",
                           LaunchTemplate={"LaunchTemplateName": "web"}, **sizes)
        assert told.startswith("ValidationError"), told
        assert [c["LaunchConfigurationName"] for c in asg.describe_launch_configurations()["LaunchConfigurations"]] == ["lc"]


def a_group_follows_its_template(bin_dir):
    with Manager(bin_dir) as manager:
        ec2, asg = aws.client(manager, "ec2"), aws.client(manager)
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"UserData": script("red")})
        asg.create_auto_scaling_group(
            AutoScalingGroupName="web", MinSize=1, MaxSize=4, AvailabilityZones=["local-a"],
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"}, HealthCheckGracePeriod=0)
        wait_for("one that is red", lambda: colors(manager) == ["red"])

        def group():
            return asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]
        told = group()
        assert told["LaunchTemplate"]["Version"] == "$Latest" and "LaunchConfigurationName" not in told, told
        assert told["Instances"][0]["LaunchTemplate"]["Version"] == "1", told["Instances"]
        # The next launch is of the newest version, by nobody's further word.
        ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"UserData": script("blue")})
        asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=2)
        wait_for("a second that is blue", lambda: colors(manager) == ["blue", "red"])
        # An instance refresh brings the others onto it.
        wait_for("both in service", lambda: len(manager.instances("web", "InService")) == 2)
        asg.start_instance_refresh(AutoScalingGroupName="web", Preferences={
            "SkipMatching": True, "MinHealthyPercentage": 50, "InstanceWarmup": 0})
        wait_for("all of them blue", lambda: colors(manager) == ["blue", "blue"], 60)
        wait_for("its end", lambda: asg.describe_instance_refreshes(AutoScalingGroupName="web")["InstanceRefreshes"][0][
            "Status"] == "Successful", 60)
        # A version whose launch would fail is refused while a group follows.
        told = aws.refusal(ec2.create_launch_template_version, LaunchTemplateName="web",
                           LaunchTemplateData={"KeyName": "ops"})
        assert told.startswith("InvalidParameterValue") and "AutoScalingGroup web follows" in told, told
        told = aws.refusal(ec2.delete_launch_template, LaunchTemplateName="web")
        assert told.startswith("ResourceInUse") and "web" in told, told
        # To a number: newer versions are nothing to it any more.
        asg.update_auto_scaling_group(AutoScalingGroupName="web",
                                      LaunchTemplate={"LaunchTemplateName": "web", "Version": "1"})
        ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"UserData": script("green")})
        asg.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=3)
        wait_for("one more that is red", lambda: colors(manager) == ["blue", "blue", "red"])
        assert group()["LaunchTemplate"]["Version"] == "1"
        # A refresh onto a named version makes it the group's own; rolled back, the group is as it was.
        wait_for("three in service", lambda: len(manager.instances("web", "InService")) == 3)
        refresh = asg.start_instance_refresh(
            AutoScalingGroupName="web", DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateName": "web", "Version": "3"}},
            Preferences={"MinHealthyPercentage": 0, "InstanceWarmup": 0, "SkipMatching": True})["InstanceRefreshId"]
        wait_for("one that is green", lambda: "green" in colors(manager), 60)
        told = asg.describe_instance_refreshes(AutoScalingGroupName="web", InstanceRefreshIds=[refresh])
        assert told["InstanceRefreshes"][0]["DesiredConfiguration"]["LaunchTemplate"]["Version"] == "3", told
        wait_for("its end", lambda: asg.describe_instance_refreshes(AutoScalingGroupName="web")["InstanceRefreshes"][0][
            "Status"] == "Successful", 60)
        assert group()["LaunchTemplate"]["Version"] == "3"
        assert colors(manager) == ["green"] * 3, colors(manager)
        asg.delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
        wait_for("the end of the group", lambda: not asg.describe_auto_scaling_groups()["AutoScalingGroups"])
        ec2.delete_launch_template(LaunchTemplateName="web")


def the_cli_and_yaml_know_them(bin_dir):
    with Manager(bin_dir) as manager:
        data = json.dumps({"UserData": script("red"), "InstanceType": "t3.micro", "ImageId": "ami-1"})
        made = aws.cli(manager, "ec2", "create-launch-template", "--launch-template-name", "web",
                       "--launch-template-data", data)["LaunchTemplate"]
        manager.apply("""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 1
    MaxSize: 2
    LaunchTemplate: {LaunchTemplateName: web, Version: $Default}
""")
        wait_for("one that is red", lambda: colors(manager) == ["red"])
        assert "unchanged" in manager.run("apply", "-f", os.path.join(manager.dir, "applied.yaml"))
        told = aws.cli(manager, "autoscaling", "describe-auto-scaling-instances")["AutoScalingInstances"][0]
        assert told["LaunchTemplate"] == {"LaunchTemplateId": made["LaunchTemplateId"], "LaunchTemplateName": "web",
                                          "Version": "1"}, told
        # What EC2 tells of what runs.
        found = aws.cli(manager, "ec2", "describe-instances", "--filters", "Name=tag:aws:autoscaling:groupName,Values=web",
                        "Name=instance-state-name,Values=running")["Reservations"]
        instance = found[0]["Instances"][0]
        assert instance["InstanceId"] == told["InstanceId"] and instance["ImageId"] == "ami-1", instance
        assert instance["Placement"]["AvailabilityZone"] == "local-a" and instance["InstanceType"] == "t3.micro", instance
        assert "InvalidInstanceID.NotFound" in aws.cli(
            manager, "ec2", "describe-instances", "--instance-ids", "i-0", code=(254, 255))
        zones = aws.cli(manager, "ec2", "describe-availability-zones")["AvailabilityZones"]
        assert [z["ZoneName"] for z in zones] == ["local-a"], zones
        subnet = aws.cli(manager, "ec2", "describe-subnets")["Subnets"][0]
        assert subnet["AvailabilityZone"] == "local-a", subnet
        aws.cli(manager, "autoscaling", "create-auto-scaling-group", "--auto-scaling-group-name", "by-subnet", "--min-size",
                "0", "--max-size", "1", "--vpc-zone-identifier", subnet["SubnetId"], "--launch-template",
                "LaunchTemplateName=web")
        assert manager.group("by-subnet")["AvailabilityZones"] == ["local-a"]
        assert aws.cli(manager, "ec2", "describe-images", "--image-ids", "ami-1")["Images"][0]["State"] == "available"
        named = aws.cli(manager, "ec2", "describe-security-groups", "--filters", "Name=group-name,Values=front")
        assert named["SecurityGroups"][0]["GroupName"] == "front", named
        assert aws.cli(manager, "ec2", "describe-key-pairs", "--key-names", "ops")["KeyPairs"][0]["KeyName"] == "ops"


if __name__ == "__main__":
    main([templates_have_versions, what_is_wrong_is_told_as_ec2_does, a_group_follows_its_template,
          the_cli_and_yaml_know_them])
