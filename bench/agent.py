#!/usr/bin/env python3
"""./dev bench agent: what an agent costs on its instance, reporting to a real monitor once a second.

Two agents: one under an instance of the process provider (it supervises the workload, samples its process tree, pushes
and can be polled), one that samples a whole machine from /proc. RSS and CPU over --seconds, from /proc.
"""

import argparse
import os
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from manager import Manager, wait_for  # noqa: E402

GROUP = """
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: agents
    MinSize: 1
    MaxSize: 1
    LaunchConfiguration:
      Process:
        Command: [/bin/sleep, "100000"]
        StopGrace: 1s
"""


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--seconds", type=int, default=300)
    options = parser.parse_args()
    agent = os.path.join(os.path.abspath(options.bin), "escala-agent")
    with Manager(options.bin) as manager:
        manager.apply(GROUP)
        wait_for("the instance", lambda: manager.instances("agents", "InService"), 60)
        supervising = next(iter(manager.instance_processes().values()))
        machine = subprocess.Popen([agent, "--group", "agents", "--instance", "i-machine", "--sampler", "proc", "--pull-only",
                                    "--listen", "127.0.0.1:0", "--log-level", "error"], stdin=subprocess.DEVNULL)
        try:
            time.sleep(5)  # the start is over
            pids = {"of an instance (--exec, tree, push and poll)": supervising, "of a machine (proc)": machine.pid}
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            begin = time.monotonic()
            most = dict.fromkeys(pids, 0.0)
            while time.monotonic() - begin < options.seconds:
                time.sleep(1)
                most = {name: max(most[name], rss_mib(pid)) for name, pid in pids.items()}
            elapsed = time.monotonic() - begin
            for name, pid in pids.items():
                share = 100 * (cpu_seconds(pid) - before[name]) / elapsed
                print(f"agent {name}: RSS {most[name]:.2f} MiB at most, CPU {share:.3f} % of a core, 1 s, {elapsed:.0f} s")
        finally:
            machine.terminate()
            machine.wait()


if __name__ == "__main__":
    main()
