#!/usr/bin/env python3
"""The short form of ./dev soak kill."""

import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "support"))
sys.path.insert(0, os.path.join(ROOT, "soak"))
import kill  # noqa: E402
from manager import main  # noqa: E402


def everything_killed_at_random_moments(bin_dir):
    kill.soak(bin_dir, kills=20, seed=7, pause=1.0)


main([everything_killed_at_random_moments])
