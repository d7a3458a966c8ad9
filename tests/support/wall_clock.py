"""A wall clock of its own for the processes of a test, ahead of the true one by any number of seconds; every other clock
of theirs is left alone."""

import os
import shutil
import struct
import subprocess
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wall_clock.c")


def can_be_had():
    return bool(shutil.which("gcc"))


class WallClock:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="escala-clock-")
        library, self.file = os.path.join(self.dir, "wall_clock.so"), os.path.join(self.dir, "ahead")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        self.jump(0)
        # What a process must be started with, besides what it has.
        self.environment = {"LD_PRELOAD": library, "ESCALA_TEST_CLOCK": self.file}

    def jump(self, ahead):
        """Seconds by which the clock is ahead of the true one from now on; negative: behind."""
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb", buffering=0) as f:
            f.write(struct.pack("q", ahead))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)
