#!/usr/bin/env python3
"""A full or failing disk: no new intents, the fleet untouched, a clear error, and recovery without a restart."""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import gauge as gauge_module  # noqa: E402
from manager import ApiError, Manager, main, wait_for  # noqa: E402

SLEEP = ["/bin/sleep", "100000"]


def refused_clearly(manager, expected):
    """A write through the API fails with words a person can act on; reads go on."""
    try:
        manager.api("SetDesiredCapacity", AutoScalingGroupName="disk", DesiredCapacity=3)
    except ApiError as error:
        assert error.status == 503 and expected in error.body, error
    else:
        raise AssertionError("a write was accepted that cannot be kept")
    assert manager.group("disk")["DesiredCapacity"] == 2


def two_in_service(manager, gauge):
    gauge.set("load", 50)
    manager.apply(gauge_module.group_yaml("disk", gauge.url("load"), SLEEP, min_size=2, max_size=6))
    wait_for("two in service", lambda: len(manager.instances("disk", "InService")) == 2)
    return manager.instance_processes()


def untouched(manager, before, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert manager.instance_processes() == before, "the fleet changed while nothing could be written down"
        time.sleep(0.2)


def a_full_disk_stops_intents_and_nothing_else(bin_dir):
    if os.geteuid() != 0:
        return "a file system of its own needs root"
    gauge = gauge_module.Gauge()
    directory = f"/tmp/escala-full-{os.getpid()}"
    os.mkdir(directory, 0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", directory], capture_output=True)
    if mounted.returncode != 0:
        os.rmdir(directory)
        return "mounting a tmpfs is not permitted here"
    try:
        with Manager(bin_dir, directory=directory) as manager:
            before = two_in_service(manager, gauge)
            filler = os.path.join(directory, "filler")
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"\0" * 4096)
                except OSError:
                    pass
            gauge.set("load", 400)  # asks for six
            untouched(manager, before, 6)
            refused_clearly(manager, "No space left on device")
            os.unlink(filler)
            wait_for("scale-out once there is space", lambda: len(manager.instances("disk", "InService")) == 6, 60)
            assert set(before) <= set(manager.instance_processes())
    finally:
        subprocess.run(["umount", "-l", directory], check=False)
        os.rmdir(directory)
        gauge.close()


def a_failing_sync_stops_intents_and_nothing_else(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        before = two_in_service(manager, gauge)
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e",
                                   "inject=fsync,fdatasync:error=EIO", "-p", str(manager.child("control"))],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def traced():
                with open(f"/proc/{manager.child('control')}/status") as f:
                    return any(line.startswith("TracerPid:") and int(line.split()[1]) for line in f)
            try:
                wait_for("strace to attach", traced, 10)
            except AssertionError:
                return "tracing another process is not permitted here"
            gauge.set("load", 400)
            untouched(manager, before, 6)
            refused_clearly(manager, "I/O error")
        finally:
            tracer.terminate()
            tracer.wait()
        wait_for("scale-out once syncs work again", lambda: len(manager.instances("disk", "InService")) == 6, 60)
        assert set(before) <= set(manager.instance_processes())
    gauge.close()


if __name__ == "__main__":
    main([a_full_disk_stops_intents_and_nothing_else, a_failing_sync_stops_intents_and_nothing_else])
