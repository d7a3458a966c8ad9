#!/usr/bin/env python3
"""The AWS SDK for Ruby, from Debian's package, against a manager."""

import os
import shutil
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import aws  # noqa: E402
from manager import Manager, main, wait_for  # noqa: E402

PROGRAM = r"""
require "aws-sdk"
require "base64"

address, port = ARGV
AWS.config(auto_scaling_endpoint: address, auto_scaling_port: port.to_i, auto_scaling_region: "local", use_ssl: false,
           cloud_watch_endpoint: address, cloud_watch_port: port.to_i, cloud_watch_region: "local",
           access_key_id: ENV["AWS_ACCESS_KEY_ID"], secret_access_key: ENV["AWS_SECRET_ACCESS_KEY"], max_retries: 0)
asg = AWS::AutoScaling::Client.new
asg.create_launch_configuration(launch_configuration_name: "lc", image_id: "ami-1", instance_type: "t3.micro",
                                user_data: Base64.strict_encode64("#!/bin/sh\nexec sleep 100000\n"))
3.times do |i|
  asg.create_auto_scaling_group(auto_scaling_group_name: "g#{i}", launch_configuration_name: "lc", min_size: 0, max_size: 3,
                                desired_capacity: i, availability_zones: ["local-a"],
                                tags: [{key: "team", value: "<red> & blue", propagate_at_launch: true}])
end
groups, token = [], nil
loop do
  page = asg.describe_auto_scaling_groups({max_records: 2, next_token: token}.compact)
  groups.concat(page[:auto_scaling_groups])
  break unless (token = page[:next_token])
end
puts "groups #{groups.size} #{groups[0][:tags][0][:value]} #{groups[0][:created_time].class}"
deadline = Time.now + 30
until (serving = asg.describe_auto_scaling_instances[:auto_scaling_instances].count { |i| i[:lifecycle_state] == "InService" }) == 3
  abort "in service after 30 s: #{serving}" if Time.now > deadline
  sleep 0.1
end
puts "in service #{serving}"
begin
  asg.set_desired_capacity(auto_scaling_group_name: "g1", desired_capacity: 9)
rescue AWS::AutoScaling::Errors::ValidationError => refused
  puts "refused #{refused.http_response.status} #{refused.code}"
end
policy = asg.put_scaling_policy(auto_scaling_group_name: "g1", policy_name: "out", adjustment_type: "ChangeInCapacity",
                                scaling_adjustment: 1)
AWS::CloudWatch::Client.new.put_metric_alarm(
  alarm_name: "busy", namespace: "AWS/EC2", metric_name: "CPUUtilization", statistic: "Average", period: 60,
  evaluation_periods: 1, threshold: 70.0, comparison_operator: "GreaterThanThreshold", alarm_actions: [policy[:policy_arn]],
  dimensions: [{name: "AutoScalingGroupName", value: "g1"}])
puts "alarms #{asg.describe_policies(auto_scaling_group_name: "g1")[:scaling_policies][0][:alarms].map { |a| a[:alarm_name] }}"
asg.execute_policy(auto_scaling_group_name: "g1", policy_name: "out")
puts "desired #{asg.describe_auto_scaling_groups(auto_scaling_group_names: ["g1"])[:auto_scaling_groups][0][:desired_capacity]}"
3.times { |i| asg.delete_auto_scaling_group(auto_scaling_group_name: "g#{i}", force_delete: true) }
"""


def the_ruby_sdk_drives_a_group(bin_dir):
    if not shutil.which("ruby") or subprocess.run(["ruby", "-e", "require 'aws-sdk'"], capture_output=True).returncode:
        return "Ruby and ruby-aws-sdk are not installed"
    with Manager(bin_dir) as manager:
        settings = aws.profile(manager)
        url = urllib.parse.urlsplit(settings["endpoint_url"])
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": settings["aws_access_key_id"],
                       "AWS_SECRET_ACCESS_KEY": settings["aws_secret_access_key"]}
        done = subprocess.run(["ruby", "-W0", "-e", PROGRAM, url.hostname, str(url.port)], env=environment,
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.split("\n")[:-1] == ["groups 3 <red> & blue Time", "in service 3", "refused 400 ValidationError",
                                                'alarms ["busy"]', "desired 2"], done.stdout
        wait_for("the groups to be gone", lambda: not manager.api("DescribeAutoScalingGroups").get("AutoScalingGroups"), 30)


TESTS = [the_ruby_sdk_drives_a_group]

if __name__ == "__main__":
    main(TESTS)
