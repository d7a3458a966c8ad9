#!/usr/bin/env python3
"""./dev soak faults: the faults of the simulation against the real programs, where a machine can make them.

  - control killed with -9 at its first, second, ... n-th sync, fork and signal, while it scales out and in, to the last;
  - one sync that fails, and one that takes its time, at each n-th;
  - control, monitor, agents and serve stopped (SIGSTOP) for a while, and going on, at random moments under a load that
    changes;
  - the wall clock jumping by hours, days and years, forwards and back, with the monotonic clock left alone;
  - a disk of one mebibyte that fills up.

What must hold each time: no command is started twice, nothing dies that nobody asked for, desired stays within its
bounds, and in the end in service == desired == the processes that live.
"""

import argparse
import glob
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "support"))
sys.path.insert(0, os.path.join(ROOT, "soak"))
import gauge as gauge_module  # noqa: E402
import kill  # noqa: E402
import wall_clock  # noqa: E402
from manager import ApiError, Manager, run_all, wait_for  # noqa: E402

FEW, MANY, MAX = 2, 5, 6
MORE = "    Escala: {ReplacementPercent: 100, ReplacementWindow: 10s, MaxLaunchesPerHour: 100000}\n"
PATIENCE = 90
FEW_STEPS = 12  # how many of them are made to fail or to be slow, one by one
STOPS = 40
MOST_STEPS = 200  # calls of one kind in one change of two to five instances: far more than there are


class Story:
    """A group of two instances that note their own start, to be scaled to five and back."""

    def __init__(self, manager):
        self.manager = manager
        self.gauge = gauge_module.Gauge()
        self.starts = os.path.join(manager.dir, "starts")
        self.gauge.set("load", 50)  # at the target: nobody but the story changes the size
        manager.apply(gauge_module.group_yaml("faults", self.gauge.url("load"), kill.workload(self.starts), min_size=1,
                                              max_size=MAX, more=MORE))
        self.ask(FEW)
        self.comes_to(FEW)

    def ask(self, desired):
        wait_for("the API to take the new size", lambda: self.try_ask(desired), PATIENCE)

    def try_ask(self, desired):
        self.manager.api("SetDesiredCapacity", AutoScalingGroupName="faults", DesiredCapacity=desired)
        return True

    def is_at(self, size):
        group = self.manager.group("faults")
        members = {i["InstanceId"] for i in group["Instances"] if i["LifecycleState"] == "InService"}
        return (len(group["Instances"]) == len(members) == group["DesiredCapacity"] == size
                and set(self.manager.instance_processes()) == members)

    def comes_to(self, size):
        wait_for(f"in service == desired == the living processes == {size}", lambda: self.is_at(size), PATIENCE)
        twice = {i: n for i, n in kill.starts_per_instance(self.starts).items() if n > 1}
        assert not twice, f"commands started more than once: {twice}"

    def close(self):
        self.gauge.close()


class Injection:
    """strace on a running control that does something at the n-th of some system calls, counted in each thread."""

    def __init__(self, pid, calls, what):
        self.pid = pid
        self.tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e",
                                        f"inject={calls}:{what}", "-p", str(pid)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("strace to attach", self.attached, 20)

    def attached(self):
        if self.tracer.poll() is not None:
            raise AssertionError("strace ended before it was attached: tracing another process is not permitted here?")
        # Every thread has to be traced, or the calls of one of them are missed.
        for task in glob.glob(f"/proc/{self.pid}/task/*/status"):
            with open(task) as f:
                if not any(line.startswith("TracerPid:") and int(line.split()[1]) for line in f):
                    return False
        return True

    def close(self):
        self.tracer.terminate()
        self.tracer.wait()


def each_nth(bin_dir, calls, what, fatal):
    """Scales out and in, with the fault at the first, second, ... of these calls in any thread: until control outlives the
    change (fatal), or a few times (not fatal)."""
    changes = deaths = 0
    with Manager(bin_dir) as manager:
        story = Story(manager)
        for size, other in ((MANY, FEW), (FEW, MANY)):
            for n in range(1, MOST_STEPS + 1):
                story.ask(other)
                story.comes_to(other)
                control = manager.child("control")
                injection = Injection(control, calls, f"{what}:when={n}")
                try:
                    story.ask(size)
                    story.comes_to(size)
                finally:
                    injection.close()
                changes += 1
                died = gone(control)
                deaths += died
                if (fatal and not died) or (not fatal and n >= FEW_STEPS):
                    break
            else:
                raise AssertionError(f"still dying at call {MOST_STEPS}")
        story.close()
    assert deaths > 0 or not fatal, f"control never made one of these calls: {calls}"
    print(f"  {changes} changes of size, {deaths} deaths", flush=True)


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")


def killed_at_each_sync(bin_dir):
    each_nth(bin_dir, 'fsync,fdatasync', 'signal=KILL', True)


def killed_at_each_fork(bin_dir):
    each_nth(bin_dir, 'clone,clone3,fork,vfork', 'signal=KILL', True)


def killed_at_each_signal_it_sends(bin_dir):
    each_nth(bin_dir, 'kill,tgkill,pidfd_send_signal', 'signal=KILL', True)


def one_sync_fails(bin_dir):
    each_nth(bin_dir, 'fsync,fdatasync', 'error=EIO', False)


def one_sync_is_slow(bin_dir):
    each_nth(bin_dir, 'fsync,fdatasync', 'delay_enter=5000000', False)


def stop_something(manager, rng):
    """One SIGSTOP for up to six seconds; answers who stood still."""
    victim = rng.choices(["monitor", "control", "agent", "serve"], [4, 6, 3, 2])[0]
    if victim in ("monitor", "control"):
        pid = manager.child(victim)
    elif victim == "serve":
        pid = manager.serve.pid
    else:
        leaders = manager.instance_processes()
        if not leaders:
            return "nobody"
        pid = rng.choice(sorted(leaders.values()))
    try:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.random() * 6)  # the fault itself: this long it stands still
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return "nobody"
    return victim


def stopped_for_a_while(bin_dir):
    kill.soak(bin_dir, kills=STOPS, seed=5, pause=0.5, strike=stop_something)


def the_wall_clock_jumps(bin_dir):
    if not wall_clock.can_be_had():
        return "there is no compiler for the clock's stand-in"
    with wall_clock.WallClock() as clock, Manager(bin_dir, environment=clock.environment) as manager:
        jumps_change_nothing(manager, clock.jump)


def jumps_change_nothing(manager, jump):
    hour, day = 3600, 86400
    story = Story(manager)
    size = FEW
    for ahead in (hour, -hour, 2 * day, -2 * day, 400 * day, -400 * day, 3650 * day, 0):
        living = manager.instance_processes()
        jump(ahead)
        # Whoever believed the wall clock would act now: grace periods, cooldowns, time-outs would all be over.
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert manager.instance_processes() == living, f"the fleet changed when the clock went {ahead} s ahead"
            time.sleep(0.2)
        size = MANY if size == FEW else FEW
        story.ask(size)
        story.comes_to(size)
    moments = [a["StartTime"] for a in reversed(manager.activities("faults"))]
    assert moments == sorted(moments), f"activities are dated out of order: {moments}"
    story.close()


def a_disk_of_one_mebibyte(bin_dir):
    if os.geteuid() != 0:
        return "a file system of its own needs root"
    directory = f"/tmp/escala-small-{os.getpid()}"
    os.mkdir(directory, 0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", directory], capture_output=True)
    if mounted.returncode != 0:
        os.rmdir(directory)
        return "mounting a tmpfs is not permitted here"
    try:
        with Manager(bin_dir, directory=directory) as manager:
            story = Story(manager)
            refused, size = None, FEW
            for _ in range(400):  # each change writes: sooner or later there is no room
                size = MANY if size == FEW else FEW
                try:
                    story.try_ask(size)
                    story.comes_to(size)
                except (ApiError, AssertionError) as error:
                    refused = error
                    break
            assert refused is not None, "a mebibyte was enough for 400 changes"
            desired = manager.group("faults")["DesiredCapacity"]  # reading goes on
            living = manager.instance_processes()
            try:
                story.try_ask(FEW if desired == MANY else MANY)
            except ApiError as error:
                assert error.status == 503 and "space" in error.body, error
            else:
                raise AssertionError("a write was accepted that cannot be kept")
            end = time.monotonic() + 6
            while time.monotonic() < end:
                assert manager.instance_processes() == living, "the fleet changed while nothing could be written down"
                time.sleep(0.2)
            subprocess.run(["mount", "-o", "remount,size=8m", directory], check=True)
            story.ask(MANY)
            story.comes_to(MANY)
            print(f"  full: {refused}", flush=True)
            story.close()
    finally:
        subprocess.run(["umount", "-l", directory], check=False)
        os.rmdir(directory)
    return None


TESTS = [killed_at_each_sync, killed_at_each_fork, killed_at_each_signal_it_sends, one_sync_fails, one_sync_is_slow,
         stopped_for_a_while, the_wall_clock_jumps, a_disk_of_one_mebibyte]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="", help="part of a fault's name")
    options = parser.parse_args()
    begin = time.monotonic()
    tests = [test for test in TESTS if options.only in test.__name__]
    failed = run_all(tests, options.bin)
    print(f"faults: {time.monotonic() - begin:.0f} s")
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
