#!/usr/bin/env python3
"""A system clock that cannot be true: control starts, the fleet is kept, and no change is taken until it is set or
somebody says that it is right."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import wall_clock  # noqa: E402
from manager import ApiError, Manager, main, wait_for  # noqa: E402

DAY = 86400
GROUP = """version: 1
AutoScalingGroups:
  - AutoScalingGroupName: kept
    MinSize: 1
    MaxSize: 4
    DesiredCapacity: 2
    HealthCheckGracePeriod: 5
    LaunchConfiguration:
      Process: {Command: [/bin/sleep, "100000"], StopGrace: 1s}
"""


def refused(manager, *expected):
    try:
        manager.api("SetDesiredCapacity", AutoScalingGroupName="kept", DesiredCapacity=3)
    except ApiError as error:
        assert error.status == 503 and all(words in error.body for words in expected), error
    else:
        raise AssertionError("a change was taken while the clock cannot be true")
    assert manager.group("kept")["DesiredCapacity"] == 2


def a_clock_behind_the_last_record_takes_no_change(bin_dir):
    if not wall_clock.can_be_had():
        return "there is no compiler for the clock's stand-in"
    with wall_clock.WallClock() as clock, Manager(bin_dir, environment=clock.environment) as manager:
        manager.apply(GROUP)
        wait_for("two in service", lambda: len(manager.instances("kept", "InService")) == 2)
        before = manager.instance_processes()
        manager.stop()

        clock.jump(-3 * DAY)
        manager.start()
        refused(manager, "system clock (", "is earlier than the last record (", "fix time or --accept-clock")
        out = manager.run("ctl", "set-desired", "kept", "3", code=1)
        assert "is earlier than the last record (" in out, out
        assert manager.instance_processes() == before
        # What died is replaced all the same: that does not go by this clock.
        victim, pid = sorted(before.items())[0]
        os.kill(pid, signal.SIGKILL)
        wait_for("a replacement", lambda: len(manager.instances("kept", "InService")) == 2 and
                 victim not in manager.instance_processes())
        # A restart alone makes nothing true.
        manager.stop()
        manager.start()
        refused(manager, "is earlier than the last record (")

        # The clock is set while we run.
        clock.jump(0)
        wait_for("the clock to be believed", lambda: "changes are taken again" in manager.log_text())
        manager.api("SetDesiredCapacity", AutoScalingGroupName="kept", DesiredCapacity=3)
        wait_for("three in service", lambda: len(manager.instances("kept", "InService")) == 3)


def an_accepted_clock_stays_accepted(bin_dir):
    if not wall_clock.can_be_had():
        return "there is no compiler for the clock's stand-in"
    with wall_clock.WallClock() as clock, Manager(bin_dir, environment=clock.environment) as manager:
        manager.apply(GROUP)
        wait_for("two in service", lambda: len(manager.instances("kept", "InService")) == 2)
        manager.stop()

        clock.jump(-40 * 365 * DAY)
        manager.start()
        refused(manager, "system clock (198")
        manager.stop()
        manager.serve_options.append("--accept-clock")
        manager.start()
        manager.api("SetDesiredCapacity", AutoScalingGroupName="kept", DesiredCapacity=3)
        wait_for("three in service", lambda: len(manager.instances("kept", "InService")) == 3)
        manager.stop()
        # Said once is enough.
        manager.serve_options.remove("--accept-clock")
        manager.start()
        manager.api("SetDesiredCapacity", AutoScalingGroupName="kept", DesiredCapacity=1)
        wait_for("one in service", lambda: len(manager.instances("kept", "InService")) == 1)


if __name__ == "__main__":
    main([a_clock_behind_the_last_record_takes_no_change, an_accepted_clock_stays_accepted])
