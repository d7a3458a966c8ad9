#!/usr/bin/env python3
"""The AWS SDKs for Go, from Debian's packages, against a manager: version 1, and version 2 in the order of Terraform's calls."""

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


# What the resources aws_launch_configuration, aws_autoscaling_group (with wait_for_capacity, metrics, suspended processes and
# a warm pool), aws_autoscaling_policy and aws_autoscaling_lifecycle_hook call, create, read, update and destroy.
TERRAFORMS = r"""
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/smithy-go"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	ctx := context.Background()
	asg := autoscaling.New(autoscaling.Options{Region: "local", RetryMaxAttempts: 1,
		Credentials:      credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		EndpointResolver: autoscaling.EndpointResolverFromURL(os.Args[1])})
	name := aws.String("terraform-20261130")
	group := func() *types.AutoScalingGroup {
		out, err := asg.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{*name}})
		must(err)
		if len(out.AutoScalingGroups) == 0 {
			return nil
		}
		return &out.AutoScalingGroups[0]
	}
	wait := func(what string, done func() bool) {
		for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				fmt.Fprintln(os.Stderr, "waited 30 s for", what)
				os.Exit(1)
			}
		}
		fmt.Println(what)
	}
	_, err := asg.CreateLaunchConfiguration(ctx, &autoscaling.CreateLaunchConfigurationInput{LaunchConfigurationName: aws.String("lc"),
		ImageId: aws.String("ami-1"), InstanceType: aws.String("t3.micro"), EbsOptimized: aws.Bool(false),
		InstanceMonitoring: &types.InstanceMonitoring{Enabled: aws.Bool(true)},
		UserData:           aws.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\nexec sleep 100000\n")))})
	must(err)
	read, err := asg.DescribeLaunchConfigurations(ctx, &autoscaling.DescribeLaunchConfigurationsInput{LaunchConfigurationNames: []string{"lc"}})
	must(err)
	fmt.Println("configurations", len(read.LaunchConfigurations), *read.LaunchConfigurations[0].ImageId)
	_, err = asg.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: name,
		LaunchConfigurationName: aws.String("lc"), MinSize: aws.Int32(1), MaxSize: aws.Int32(4), DesiredCapacity: aws.Int32(2),
		AvailabilityZones: []string{"local-a"}, DefaultCooldown: aws.Int32(10), HealthCheckType: aws.String("EC2"),
		HealthCheckGracePeriod: aws.Int32(30), NewInstancesProtectedFromScaleIn: aws.Bool(false), CapacityRebalance: aws.Bool(false),
		TerminationPolicies: []string{"OldestInstance"}, MaxInstanceLifetime: aws.Int32(86400),
		Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("web"), PropagateAtLaunch: aws.Bool(true), ResourceId: name,
			ResourceType: aws.String("auto-scaling-group")}}})
	must(err)
	wait("capacity", func() bool {
		serving := 0
		for _, i := range group().Instances {
			if i.LifecycleState == types.LifecycleStateInService && *i.HealthStatus == "Healthy" {
				serving++
			}
		}
		return serving == 2
	})
	_, err = asg.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: name, ScalingProcesses: []string{"AZRebalance"}})
	must(err)
	_, err = asg.EnableMetricsCollection(ctx, &autoscaling.EnableMetricsCollectionInput{AutoScalingGroupName: name, Granularity: aws.String("1Minute"),
		Metrics: []string{"GroupDesiredCapacity"}})
	must(err)
	_, err = asg.PutWarmPool(ctx, &autoscaling.PutWarmPoolInput{AutoScalingGroupName: name, MinSize: aws.Int32(1), PoolState: types.WarmPoolStateRunning})
	must(err)
	_, err = asg.PutLifecycleHook(ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: name, LifecycleHookName: aws.String("bye"),
		LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), DefaultResult: aws.String("CONTINUE"), HeartbeatTimeout: aws.Int32(30)})
	must(err)
	hooks, err := asg.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: name, LifecycleHookNames: []string{"bye"}})
	must(err)
	policy, err := asg.PutScalingPolicy(ctx, &autoscaling.PutScalingPolicyInput{AutoScalingGroupName: name, PolicyName: aws.String("cpu"),
		PolicyType: aws.String("TargetTrackingScaling"), EstimatedInstanceWarmup: aws.Int32(30),
		TargetTrackingConfiguration: &types.TargetTrackingConfiguration{TargetValue: aws.Float64(50),
			PredefinedMetricSpecification: &types.PredefinedMetricSpecification{PredefinedMetricType: types.MetricTypeASGAverageCPUUtilization}}})
	must(err)
	g := group()
	fmt.Println("read", *g.MaxSize, *g.Tags[0].ResourceType, len(g.SuspendedProcesses), len(g.EnabledMetrics), *g.WarmPoolConfiguration.MinSize,
		g.TerminationPolicies[0], *g.MaxInstanceLifetime, len(hooks.LifecycleHooks), len(policy.Alarms))
	_, err = asg.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: name, MaxSize: aws.Int32(1), MinSize: aws.Int32(2)})
	var refused smithy.APIError
	fmt.Println("refused", errors.As(err, &refused), refused.ErrorCode())
	_, err = asg.CreateOrUpdateTags(ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("red"),
		PropagateAtLaunch: aws.Bool(false), ResourceId: name, ResourceType: aws.String("auto-scaling-group")}}})
	must(err)
	// destroy
	_, err = asg.DeletePolicy(ctx, &autoscaling.DeletePolicyInput{AutoScalingGroupName: name, PolicyName: aws.String("cpu")})
	must(err)
	_, err = asg.DeleteLifecycleHook(ctx, &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: name, LifecycleHookName: aws.String("bye")})
	must(err)
	_, err = asg.DeleteWarmPool(ctx, &autoscaling.DeleteWarmPoolInput{AutoScalingGroupName: name, ForceDelete: aws.Bool(true)})
	must(err)
	wait("no warm pool", func() bool { return group().WarmPoolConfiguration == nil })
	_, err = asg.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: name, MinSize: aws.Int32(0),
		MaxSize: aws.Int32(0), DesiredCapacity: aws.Int32(0)})
	must(err)
	wait("drained", func() bool { return len(group().Instances) == 0 })
	_, err = asg.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: name, ForceDelete: aws.Bool(false)})
	must(err)
	wait("deleted", func() bool { return group() == nil })
	_, err = asg.DeleteLaunchConfiguration(ctx, &autoscaling.DeleteLaunchConfigurationInput{LaunchConfigurationName: aws.String("lc")})
	must(err)
}
"""


def run_program(bin_dir, package, text):
    if not shutil.which("go") or not os.path.isdir(f"{GOPATH}/src/github.com/aws/{package}"):
        return None, f"Go and golang-github-aws-{package}-dev are not installed"
    with Manager(bin_dir) as manager, tempfile.TemporaryDirectory() as directory:
        source, program = os.path.join(directory, "main.go"), os.path.join(directory, "client")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        build = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOFLAGS": "",
                 "GOCACHE": os.path.join(directory, "cache"), "HOME": directory}
        subprocess.run(["go", "build", "-o", program, source], env=build, check=True, timeout=300)
        settings = aws.profile(manager)
        environment = {"AWS_ACCESS_KEY_ID": settings["aws_access_key_id"],
                       "AWS_SECRET_ACCESS_KEY": settings["aws_secret_access_key"]}
        done = subprocess.run([program, settings["endpoint_url"]], env=environment, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split("\n")[:-1], None


def the_go_sdk_drives_a_group(bin_dir):
    told, missing = run_program(bin_dir, "aws-sdk-go", PROGRAM)
    if missing:
        return missing
    assert told == ["groups 3", "in service 3", "refused 400 ValidationError true", "alarms 2", "deleted"], told


def terraforms_calls_with_its_sdk(bin_dir):
    told, missing = run_program(bin_dir, "aws-sdk-go-v2", TERRAFORMS)
    if missing:
        return missing
    assert told == ["configurations 1 ami-1", "capacity", "read 4 auto-scaling-group 1 1 1 OldestInstance 86400 1 2",
                    "refused true ValidationError", "no warm pool", "drained", "deleted"], told


TESTS = [the_go_sdk_drives_a_group, terraforms_calls_with_its_sdk]

if __name__ == "__main__":
    main(TESTS)
