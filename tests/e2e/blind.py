#!/usr/bin/env python3
"""Without trustworthy data a group holds: no scale-in follows from a stopped monitor, a board that is gone, or numbers
that cannot be. And each time, when the data comes back, the same group does scale in: the test can fail."""

import glob
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gauge as gauge_module  # noqa: E402
from manager import Manager, main, wait_for  # noqa: E402

SLEEP = ["/bin/sleep", "100000"]


def at_four(manager, gauge):
    """A group that its load has brought to four instances, at rest."""
    gauge.set("load", 50)
    manager.apply(gauge_module.group_yaml("blind", gauge.url("load"), SLEEP, max_size=6))
    wait_for("one in service", lambda: manager.instances("blind", "InService"))
    manager.api("SetDesiredCapacity", AutoScalingGroupName="blind", DesiredCapacity=4)
    wait_for("four in service", lambda: len(manager.instances("blind", "InService")) == 4)


def holds(manager, seconds, what):
    """Desired stays at four and nobody is terminated for so long."""
    before = manager.instance_processes()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        group = manager.group("blind")
        assert group["DesiredCapacity"] >= 4, f"scaled in while {what}: {group['DesiredCapacity']}"
        assert set(before) <= set(manager.instance_processes()), f"an instance was terminated while {what}"
        time.sleep(0.25)


def a_stopped_monitor_never_shrinks_the_group(bin_dir, seconds=15):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        at_four(manager, gauge)
        monitor = manager.child("monitor")
        os.kill(monitor, signal.SIGSTOP)
        try:
            gauge.set("load", 1)  # would mean one instance, if anybody knew
            holds(manager, seconds, "the monitor was stopped")
            explained = manager.run("ctl", "explain", "blind")
            assert "monitor" in explained or "silent" in explained or "unknown" in explained, explained
        finally:
            os.kill(monitor, signal.SIGCONT)
        wait_for("scale-in once the monitor speaks again", lambda: manager.group("blind")["DesiredCapacity"] == 1, 60)
    gauge.close()


def unlink_board(manager):
    """Both regions; answers the pattern that finds them when they are made anew."""
    name = open(os.path.join(manager.dir, "board.name")).read().strip()
    pattern = f"/dev/shm/escala-{name}.*"
    regions = glob.glob(pattern)
    assert len(regions) == 2, regions
    for region in regions:
        os.unlink(region)
    return pattern


def an_unlinked_board_never_shrinks_the_group(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        at_four(manager, gauge)
        pattern = unlink_board(manager)
        holds(manager, 10, "the board was unlinked")
        wait_for("the board to be made anew", lambda: len(glob.glob(pattern)) == 2, 30)
        gauge.set("load", 1)
        wait_for("scale-in over the new board", lambda: manager.group("blind")["DesiredCapacity"] == 1, 60)
    gauge.close()


def impossible_numbers_never_shrink_the_group(bin_dir, seconds=3):
    try:
        from liar import Liar
    except ImportError:
        return "python3-grpcio is not installed"
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        at_four(manager, gauge)
        liar = Liar(open(os.path.join(manager.dir, "monitor.address")).read().strip())
        members = [i["InstanceId"] for i in manager.instances("blind", "InService")]
        incarnation = 2 ** 62  # later than any honest agent: it is believed to be the instance's own
        answers = set()
        end = time.monotonic() + seconds
        sequence = 0
        while time.monotonic() < end:
            sequence += 1
            for value in (float("nan"), -1.0, 1e308, float("inf"), -float("inf"), -0.0001):
                answers.add(liar.send(members[0], "blind", incarnation, sequence, gauges={"demand": value}, cpu_percent=value))
            answers.add(liar.send(members[1], "blind", incarnation, sequence, cpu_percent=101.0))
            group = manager.group("blind")
            assert group["DesiredCapacity"] >= 4, f"scaled in by a lie: {group['DesiredCapacity']}"
            time.sleep(0.1)
        assert "INVALID_ARGUMENT" in answers, answers
        assert liar.send("i-nobody", "blind", 1, 1, cpu_percent=1.0) == "PERMISSION_DENIED"
        liar.close()
    gauge.close()


if __name__ == "__main__":
    main([a_stopped_monitor_never_shrinks_the_group, an_unlinked_board_never_shrinks_the_group,
          impossible_numbers_never_shrink_the_group])
