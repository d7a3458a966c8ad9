#!/usr/bin/env python3
"""Calls to EC2 a minute with many instances: at rest, while half of the groups fail, and while EC2 throttles.

A real manager against the double; instances are records of the double. Prints the table of docs/benchmarks.md.
"""

import argparse
import os
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from ec2_world import Ec2  # noqa: E402
from manager import Manager, wait_for  # noqa: E402

CHANGES = ("RunInstances", "TerminateInstances", "CreateTags")


def calls(ec2, since):
    seen = [c for c in ec2.state()["call_times"] if c[0] >= since]
    reads = [c for c in seen if c[1] not in CHANGES]
    changes = [c for c in seen if c[1] in CHANGES]
    busiest = max((sum(1 for c in seen if t <= c[0] < t + 1) for t in {int(c[0]) for c in seen}), default=0)
    return reads, changes, busiest


def row(what, ec2, since):
    minutes = (time.time() - since) / 60
    reads, changes, busiest = calls(ec2, since)
    good = len([c for c in changes if c[2] == "ok"])
    print(f"| {what} | {len(reads) / minutes:.1f} | {len(changes) / minutes:.1f} | {good / minutes:.1f} | {busiest} |",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=3, help="of each phase")
    parser.add_argument("--throttle-minutes", type=float, default=10)
    options = parser.parse_args()
    each = options.instances // options.groups
    with Ec2() as ec2, Manager(options.bin, ["--provider", "ec2"]) as manager:
        manager.api("CreateLaunchConfiguration", LaunchConfigurationName="web", ImageId="ami-12345678",
                    InstanceType="t3.micro", Ec2={"Agent": False})
        for n in range(options.groups):
            manager.api("CreateAutoScalingGroup", AutoScalingGroupName=f"group-{n}", LaunchConfigurationName="web",
                        MinSize=each, MaxSize=2 * each, AvailabilityZones=["test-1a", "test-1b"])
        begin = time.time()
        wait_for("all in service", lambda: len(ec2.living()) == each * options.groups, 600)
        print(f"{each * options.groups} instances in {options.groups} groups launched in {time.time() - begin:.0f} s\n")
        time.sleep(60)  # until a list has shown them all
        print("| | reads a minute | changes asked a minute | carried out a minute | most calls in one second |")
        print("|---|---|---|---|---|", flush=True)
        since = time.time()
        time.sleep(options.minutes * 60)
        row("at rest", ec2, since)

        ec2.set(capacity={"test-1a": 0, "test-1b": 0})
        for n in range(options.groups // 2):
            manager.api("SetDesiredCapacity", AutoScalingGroupName=f"group-{n}", DesiredCapacity=each + 1)
        since = time.time()
        time.sleep(options.minutes * 60)
        row("half of the groups fail to launch", ec2, since)

        ec2.set(capacity={}, throttle=0.5)
        since = time.time()
        n = options.groups // 2
        while time.time() - since < options.throttle_minutes * 60:
            manager.api("SetDesiredCapacity", AutoScalingGroupName=f"group-{n}", DesiredCapacity=each + 1)
            n = min(n + 1, options.groups - 1)
            time.sleep(10)
        row(f"half of all calls throttled, {options.throttle_minutes:g} minutes", ec2, since)
        ec2.set(throttle=0)
        wanted = sum(g["DesiredCapacity"] for g in every_group(manager))
        begin = time.time()
        wait_for("what was wanted", lambda: len(ec2.living()) == wanted, 900)
        print(f"\nafter the throttling: {wanted} instances as wanted after {time.time() - begin:.0f} s")


def every_group(manager):
    out, token = [], None
    while True:
        page = manager.api("DescribeAutoScalingGroups", IncludeInstances=False, **({"NextToken": token} if token else {}))
        out += page.get("AutoScalingGroups", [])
        token = page.get("NextToken")
        if not token:
            return out


if __name__ == "__main__":
    main()
