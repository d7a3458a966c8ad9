#!/usr/bin/env python3
"""./dev bench latency: from the sample that crosses a threshold to the launch at the provider.

Real processes: the agents of each group scrape a gauge once a second. It is raised above the target; the moment an agent
first takes the raised value is compared with the moment the new instance's process was started (both on the boot clock;
the kernel tells process starts in steps of 10 ms). Many groups side by side, each scaled out by one again and again.
"""

import argparse
import os
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import gauge as gauge_module  # noqa: E402
from manager import Manager, environment_of, wait_for  # noqa: E402

TARGET = 50


def started_at(pid):
    """CLOCK_BOOTTIME seconds at which the process was started."""
    with open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rsplit(b")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")


def trial(manager, gauge, names, number):
    """Scales every group from `number` to `number` + 1 instances; seconds from sample to launch, one a group."""
    wait_for("everybody at rest", lambda: all(
        len(manager.instances(n, "InService")) == number for n in names), 60)
    time.sleep(2.5)  # two periods at the target at least, so that no earlier breach is left
    known = set(manager.instance_processes().values())
    raised = round(TARGET * (number + 0.5) / number, 3)  # asks for one more
    for name in names:
        gauge.set(name, raised)
    launched = {}

    def all_launched():
        for pid in set(manager.instance_processes().values()) - known:
            group = environment_of(pid).get(b"ESCALA_GROUP", b"").decode()
            if group and group not in launched:
                launched[group] = started_at(pid)
                crossed[group] = gauge.served_at(group, raised)
                gauge.set(group, TARGET)
        return len(launched) == len(names)

    crossed = {}
    wait_for("a launch in every group", all_launched, 60)
    return [launched[n] - crossed[n] for n in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--trials", type=int, default=10, help="per group")
    options = parser.parse_args()
    gauge = gauge_module.Gauge()
    delays = []
    with Manager(options.bin) as manager:
        names = [f"g{i}" for i in range(options.groups)]
        for name in names:
            gauge.set(name, TARGET)
            manager.apply(gauge_module.group_yaml(name, gauge.url(name), ["/bin/sleep", "100000"], target=TARGET,
                                                  max_size=100, datapoints_in=1000, agent_check=False))
        for number in range(1, options.trials + 1):
            delays += trial(manager, gauge, names, number)
    gauge.close()
    delays.sort()

    def pick(share):
        return delays[min(len(delays) - 1, int(share * len(delays)))]

    print(f"{len(delays)} trials ({options.groups} groups side by side): sample over the target -> launch, seconds: "
          f"min {delays[0]:.2f}  p50 {pick(.5):.2f}  p90 {pick(.9):.2f}  p99 {pick(.99):.2f}  max {delays[-1]:.2f}")


if __name__ == "__main__":
    main()
