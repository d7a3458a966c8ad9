#!/usr/bin/env python3
"""The AWS SDK for Go, from Debian's package, against a manager."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import aws  # noqa: E402
from manager import Manager, main  # noqa: E402

GOPATH = "/usr/share/gocode"
PROGRAM = r"""
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/autoscaling"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	s, err := session.NewSession(&aws.Config{Endpoint: aws.String(os.Args[1]), Region: aws.String("local"), MaxRetries: aws.Int(0)})
	must(err)
	asg := autoscaling.New(s)
	_, err = asg.CreateLaunchConfiguration(&autoscaling.CreateLaunchConfigurationInput{LaunchConfigurationName: aws.String("lc"),
		ImageId: aws.String("ami-1"), InstanceType: aws.String("t3.micro"),
		UserData: aws.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\nexec sleep 100000\n")))})
	must(err)
	for i := 0; i < 3; i++ {
		_, err = asg.CreateAutoScalingGroup(&autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: aws.String(fmt.Sprintf("g%d", i)),
			LaunchConfigurationName: aws.String("lc"), MinSize: aws.Int64(0), MaxSize: aws.Int64(3), DesiredCapacity: aws.Int64(int64(i)),
			AvailabilityZones: aws.StringSlice([]string{"local-a"})})
		must(err)
	}
	groups := 0
	must(asg.DescribeAutoScalingGroupsPages(&autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int64(2)},
		func(page *autoscaling.DescribeAutoScalingGroupsOutput, last bool) bool {
			groups += len(page.AutoScalingGroups)
			return true
		}))
	fmt.Println("groups", groups)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := asg.DescribeAutoScalingInstances(&autoscaling.DescribeAutoScalingInstancesInput{})
		must(err)
		serving := 0
		for _, i := range out.AutoScalingInstances {
			if *i.LifecycleState == "InService" {
				serving++
			}
		}
		if serving == 3 {
			fmt.Println("in service", serving)
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "in service after 30 s:", serving)
			os.Exit(1)
		}
	}
	_, err = asg.SetDesiredCapacity(&autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("g1"), DesiredCapacity: aws.Int64(9)})
	if failure, ok := err.(awserr.RequestFailure); ok {
		fmt.Println("refused", failure.StatusCode(), failure.Code(), failure.RequestID() != "")
	}
	policy, err := asg.PutScalingPolicy(&autoscaling.PutScalingPolicyInput{AutoScalingGroupName: aws.String("g1"), PolicyName: aws.String("cpu"),
		PolicyType: aws.String("TargetTrackingScaling"), TargetTrackingConfiguration: &autoscaling.TargetTrackingConfiguration{
			TargetValue: aws.Float64(50), PredefinedMetricSpecification: &autoscaling.PredefinedMetricSpecification{
				PredefinedMetricType: aws.String("ASGAverageCPUUtilization")}}})
	must(err)
	fmt.Println("alarms", len(policy.Alarms))
	for i := 0; i < 3; i++ {
		_, err = asg.DeleteAutoScalingGroup(&autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String(fmt.Sprintf("g%d", i)), ForceDelete: aws.Bool(true)})
		must(err)
	}
	must(asg.WaitUntilGroupNotExists(&autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: aws.StringSlice([]string{"g2"})}))
	fmt.Println("deleted")
}
"""


def the_go_sdk_drives_a_group(bin_dir):
    if not shutil.which("go") or not os.path.isdir(GOPATH + "/src/github.com/aws/aws-sdk-go"):
        return "Go and golang-github-aws-aws-sdk-go-dev are not installed"
    with Manager(bin_dir) as manager, tempfile.TemporaryDirectory() as directory:
        source, program = os.path.join(directory, "main.go"), os.path.join(directory, "client")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        build = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOFLAGS": "",
                 "GOCACHE": os.path.join(directory, "cache"), "HOME": directory}
        subprocess.run(["go", "build", "-o", program, source], env=build, check=True, timeout=300)
        settings = aws.profile(manager)
        environment = {"AWS_ACCESS_KEY_ID": settings["aws_access_key_id"],
                       "AWS_SECRET_ACCESS_KEY": settings["aws_secret_access_key"]}
        done = subprocess.run([program, settings["endpoint_url"]], env=environment, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.split("\n")[:-1] == ["groups 3", "in service 3", "refused 400 ValidationError true",
                                                "alarms 2", "deleted"], done.stdout


TESTS = [the_go_sdk_drives_a_group]

if __name__ == "__main__":
    main(TESTS)
