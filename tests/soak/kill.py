#!/usr/bin/env python3
"""./dev soak kill: monitor, control, agents, workloads and serve itself killed with -9 at random moments, under a load
that changes all the time. What must hold at every moment and at the end:

  - each instance's command was started exactly once: never two launches for one intent (the command writes its own
    start into a file);
  - desired is always within [MinSize, MaxSize], and no more instances exist than MaxSize plus the one that a
    replacement may add;
  - at the end, when nobody kills any more: in service == desired == what the load asks for, every living process belongs
    to an instance of the group, and every instance lives.
"""

import argparse
import collections
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gauge as gauge_module  # noqa: E402
from manager import Manager, wait_for  # noqa: E402

MIN, MAX = 1, 6
SURPLUS = 1  # a replacement comes before the one it replaces goes


def workload(starts):
    return ["/bin/sh", "-c", f'echo "$ESCALA_TOKEN $ESCALA_INSTANCE_ID" >> {starts}; exec sleep 100000']


def starts_per_instance(path):
    try:
        with open(path) as f:
            return collections.Counter(line.split()[1] for line in f if len(line.split()) == 2)
    except OSError:
        return collections.Counter()


def kill_something(manager, rng):
    """One SIGKILL; answers who got it."""
    victim = rng.choices(["monitor", "control", "agent", "workload", "serve"], [4, 6, 3, 2, 2])[0]
    if victim == "serve":
        manager.kill()
        if rng.random() < 0.5:
            time.sleep(rng.random())
        manager.start()
        return victim
    if victim in ("monitor", "control"):
        pid = manager.child(victim)
    else:
        leaders = manager.instance_processes()
        if not leaders:
            return "nobody"
        pid = rng.choice(sorted(leaders.values()))
        if victim == "workload":
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    children = f.read().split()
            except OSError:
                return "nobody"
            if not children:
                return "nobody"
            pid = int(children[0])
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return victim


def soak(bin_dir, kills, seed, pause, strike=kill_something):
    """`kills` strikes, each by strike(manager, rng), which answers whom it hit."""
    rng = random.Random(seed)
    print(f"{strike.__name__}: seed {seed}, {kills} times", flush=True)
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        starts = os.path.join(manager.dir, "starts")
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("soak", gauge.url("load"), workload(starts), min_size=MIN, max_size=MAX,
                                              more="    Escala: {ReplacementPercent: 100, ReplacementWindow: 10s, MaxLaunchesPerHour: 100000}\n"))
        wait_for("the first instance in service", lambda: manager.instances("soak", "InService"), 30)
        done = collections.Counter()
        most = 0
        begin = time.monotonic()
        while sum(done.values()) - done["nobody"] < kills:
            time.sleep(rng.random() * pause)
            if rng.random() < 0.4:
                gauge.set("load", rng.choice([10, 30, 50, 50, 70, 120]))
            done[strike(manager, rng)] += 1
            twice = {i: n for i, n in starts_per_instance(starts).items() if n > 1}
            assert not twice, f"commands started more than once: {twice}"
            alive = len(manager.instance_processes())
            most = max(most, alive)
            assert alive <= MAX + SURPLUS, f"{alive} instances alive, MaxSize is {MAX}"
            group = wait_for("the group", lambda: manager.group("soak"), 60)
            assert MIN <= group["DesiredCapacity"] <= MAX, group
        gauge.set("load", 50)  # at the target: what is there is right

        def settled():
            group = manager.group("soak")
            members = {i["InstanceId"] for i in group["Instances"] if i["LifecycleState"] == "InService"}
            return (group if len(group["Instances"]) == len(members) == group["DesiredCapacity"]
                    and set(manager.instance_processes()) == members else None)

        group = wait_for("in service == desired == the living processes", settled, 120)
        # Then the load asks for more, and less, and is obeyed.
        gauge.set("load", 400)
        wait_for("MaxSize in service", lambda: len(manager.instances("soak", "InService")) == MAX and settled(), 120)
        gauge.set("load", 1)
        wait_for("MinSize in service", lambda: len(manager.instances("soak", "InService")) == MIN and settled(), 180)
        launched = starts_per_instance(starts)
        assert max(launched.values()) == 1, launched
        print(f"{strike.__name__}: {dict(done)} in {time.monotonic() - begin:.0f} s; {len(launched)} instances launched, each once; "
              f"at most {most} alive; settled at {group['DesiredCapacity']}, then {MAX}, then {MIN}", flush=True)
    gauge.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=2.0, help="longest pause between two kills, seconds")
    options = parser.parse_args()
    soak(options.bin, options.kills, options.seed, options.pause)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
