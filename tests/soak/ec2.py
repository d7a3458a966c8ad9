#!/usr/bin/env python3
"""Control is killed at every call to EC2 and every write to its store, one after the other: nothing twice, nothing lost.

strace delivers SIGKILL at the N-th of the system calls that send to EC2 (sendto) or write the store (pwrite64,
fdatasync), for N = 1, 2, ... in a fresh process each time, while a group grows and shrinks and some answers are lost.
After each death a control without strace takes over, and what EC2 has must become exactly what the store says.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from ec2_world import Ec2, group_yaml  # noqa: E402
from manager import Manager, wait_for  # noqa: E402

CALLS = "sendto,pwrite64,fdatasync"


class Control(Manager):
    """Control alone: groups without agents need no monitor."""

    def begin(self, kill_at=None):
        command = [self.escala, "control", "--state-dir", self.dir, "--listen", "", "--provider", "ec2",
                   "--inventory-period", "0.5", "--log-level", "warning"]
        if kill_at:
            command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e",
                       f"inject={CALLS}:signal=KILL:when={kill_at}"] + command
        with open(self.log, "ab") as log:
            self.serve = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          start_new_session=True)

    def end(self):
        if self.serve is None:
            return
        try:
            os.killpg(self.serve.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.serve.wait()
        self.serve = None

    def died(self):
        return self.serve.poll() is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--first", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed")
    deaths = lost = 0
    with Ec2() as ec2:
        control = Control(options.bin, start=False, directory=tempfile.mkdtemp(prefix="escala-ec2-kill-"))
        try:
            control.begin()
            wait_for("the API", lambda: control.api("DescribeAutoScalingGroups") is not None, 30)
            control.apply(group_yaml("web", min_size=0, max_size=9, desired=2, agent=False,
                                     group="    Escala: {MaxLaunchesPerHour: 100000}"))
            settled(control, ec2, 2)
            for n in range(options.first, options.first + options.kills):
                size = (5, 2, 7, 1)[n % 4]
                control.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=size)
                control.end()
                if n % 3 == 0:
                    ec2.set(lose_answers=1)
                    lost += 1
                control.begin(kill_at=n)
                try:
                    wait_for("its death", control.died, 6)
                    deaths += 1
                except AssertionError:
                    pass  # it had less to do than that
                control.end()
                ec2.set(lose_answers=0)
                control.begin()
                settled(control, ec2, size)
            state = ec2.state()
            per_token = {}
            for instance in state["instances"]:
                token = instance["tags"]["escala:intent"]
                per_token[token] = per_token.get(token, 0) + 1
            twice = [t for t, made in per_token.items() if made > 7]
            known = {i["InstanceId"] for i in control.instances("web")}
            orphans = {i["id"] for i in ec2.living()} - known
            print(f"points of death tried {options.kills}, deaths {deaths}, answers lost {lost}, instances launched "
                  f"{len(state['instances'])}, tokens {len(per_token)}, launched twice {len(twice)}, "
                  f"orphans {len(orphans)}, parameter mismatches {state['mismatches']}")
            if twice or orphans:
                sys.exit(1)
        finally:
            control.end()
            shutil.rmtree(control.dir, ignore_errors=True)


def settled(control, ec2, size):
    def right():
        serving = {i["InstanceId"] for i in control.instances("web", "InService")}
        every = {i["InstanceId"] for i in control.instances("web")}
        living = {i["id"] for i in ec2.living()}
        return len(serving) == size and serving == every == living
    wait_for(f"{size} instances, the same in EC2 and in the store", right, 60)


if __name__ == "__main__":
    main()
