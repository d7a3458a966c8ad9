#!/usr/bin/env python3
"""The CPU of an instance is measured as a share of what it is allotted: a worker with a tenth of a core is at 100 % when
it uses that tenth, and at half when it uses half of it. The kernel's own account of the process is what is compared with."""

import os
import re
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from manager import Manager, main, wait_for  # noqa: E402

ALLOTTED = 0.1    # cores
REQUEST_S = 0.02  # of CPU each
WATCHED_S = 8


def group_yaml(escala):
    return f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: limited
    MinSize: 1
    MaxSize: 1
    LaunchConfiguration:
      Process:
        Command: ["{escala}", worker, --cpu-ms, "{REQUEST_S * 1000:g}"]
        CpuLimit: {ALLOTTED}
        ServicePort: 8080
        StopGrace: 1s
"""


class Load:
    """`clients` of one request after the other, each followed by `pause` seconds."""

    def __init__(self, address, clients, pause):
        self.over = threading.Event()

        def ask():
            while not self.over.is_set():
                try:
                    urllib.request.urlopen(f"http://{address}/", timeout=10).read()
                except OSError:
                    pass
                self.over.wait(pause)
        self.threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def shown(manager, instance):
    """Sequence and CPU percent as the board has them."""
    row = re.search(rf"^{instance} .* (\d+\.\d) .* (\d+)$", manager.run("board", "--once"), re.M)
    fields = row.group(0).split() if row else []
    return (int(fields[-1]), float(fields[3])) if fields and fields[3] != "-" else None


def cpu_used(pid):
    """CPU seconds of a process by the kernel's account."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured_and_used(manager, instance, pid):
    """Mean of the samples of some seconds, and what the kernel says of the same time; both in percent of the allotment."""
    samples = {}
    begin, used = time.monotonic(), cpu_used(pid)
    while time.monotonic() - begin < WATCHED_S:
        seen = shown(manager, instance)
        if seen:
            samples[seen[0]] = seen[1]
        time.sleep(0.2)
    real = 100 * (cpu_used(pid) - used) / (time.monotonic() - begin) / ALLOTTED
    assert len(samples) >= WATCHED_S / 2, samples
    return sum(samples.values()) / len(samples), real, samples


def cpu_is_a_share_of_what_is_allotted(bin_dir):
    with Manager(bin_dir) as manager:
        manager.apply(group_yaml(manager.escala))
        instance = wait_for("one in service", lambda: manager.instances("limited", "InService"))[0]
        name, address = instance["InstanceId"], instance["Address"]
        agent = manager.instance_processes()[name]
        with open(f"/proc/{agent}/task/{agent}/children") as f:
            worker = int(f.read().split()[0])
        with open(f"/proc/{worker}/cgroup") as f:
            if name not in f.read():
                return "control groups with a limit of our own are not permitted here"
        wait_for("the worker to answer", lambda: urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read())

        load = Load(address, clients=4, pause=0)  # as much as it can take
        time.sleep(2)
        measured, real, samples = measured_and_used(manager, name, worker)
        load.stop()
        assert 85 <= real <= 115, f"the limit does not hold: {real:.0f} % of the allotment used"
        assert 85 <= measured <= 100 and max(samples.values()) <= 100, f"{measured:.0f} % measured, {real:.0f} % used: {samples}"

        load = Load(address, clients=1, pause=2 * REQUEST_S / ALLOTTED)  # somewhat less than half
        time.sleep(2)
        measured, real, samples = measured_and_used(manager, name, worker)
        load.stop()
        assert 20 <= real <= 60, f"the load is not what it should be: {real:.0f} %"
        assert abs(measured - real) <= 15, f"{measured:.0f} % measured, {real:.0f} % used: {samples}"


if __name__ == "__main__":
    main([cpu_is_a_share_of_what_is_allotted])
