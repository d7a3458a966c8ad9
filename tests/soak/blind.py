#!/usr/bin/env python3
"""./dev soak blind [--minutes 10]: a group without trustworthy data for a long time, in real time: the monitor stopped;
the monitor stopped and the board unlinked; numbers that cannot be. Each for so many minutes, one after the other. Desired
never falls and nobody is terminated; when the data comes back, the same group does scale in."""

import argparse
import os
import signal
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "support"))
sys.path.insert(0, os.path.join(ROOT, "e2e"))
import blind  # noqa: E402
import gauge as gauge_module  # noqa: E402
from manager import Manager, run_all, wait_for  # noqa: E402


def without_monitor_and_board(bin_dir, seconds):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        blind.at_four(manager, gauge)
        monitor = manager.child("monitor")
        os.kill(monitor, signal.SIGSTOP)
        try:
            blind.unlink_board(manager)
            gauge.set("load", 1)
            blind.holds(manager, seconds, "the monitor was stopped and the board unlinked")
        finally:
            os.kill(monitor, signal.SIGCONT)
        wait_for("scale-in over the new board", lambda: manager.group("blind")["DesiredCapacity"] == 1, 60)
    gauge.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--minutes", type=float, default=10, help="how long each of the three lasts")
    options = parser.parse_args()
    seconds = options.minutes * 60

    def a_stopped_monitor(bin_dir):
        return blind.a_stopped_monitor_never_shrinks_the_group(bin_dir, seconds)

    def a_stopped_monitor_and_an_unlinked_board(bin_dir):
        return without_monitor_and_board(bin_dir, seconds)

    def impossible_numbers(bin_dir):
        return blind.impossible_numbers_never_shrink_the_group(bin_dir, seconds)

    tests = [a_stopped_monitor, a_stopped_monitor_and_an_unlinked_board, impossible_numbers]
    print(f"blind: {len(tests)} kinds of blindness, {options.minutes:g} minutes each", flush=True)
    failed = run_all(tests, options.bin)
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
