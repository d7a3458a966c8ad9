#!/usr/bin/env python3
"""./dev soak sim: as many simulated runs as fit into the time, on all cores; any failure fails, with its seed."""
import argparse
import os
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=100_000)
    options = parser.parse_args()
    program = os.path.join(options.bin, "escala-sim")
    run = subprocess.run([program, "--minutes", str(options.minutes), "--seeds", str(options.seeds),
                          "--first", str(options.first), "--twice-every", "100", "--keep-going"], check=False)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
