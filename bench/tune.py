#!/usr/bin/env python3
"""./dev bench tune: how long `escala tune` takes for 1,000 settings on a month of minutes, and a year of them simulated.

A made-up load (`escala trace generate`), the default grid, all cores; wall time with start and reading of the files.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time

GROUP = """
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 1
    MaxSize: 1000
    LaunchConfiguration: {Process: {Command: [/bin/true]}}
    Policies:
      - PolicyName: cpu
        PolicyType: TargetTrackingScaling
        TargetTrackingConfiguration:
          PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}
          TargetValue: 50
"""


def timed(*command):
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode > 1:
        raise SystemExit(done.stderr)
    return time.monotonic() - begin, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--settings", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    escala = os.path.join(os.path.abspath(options.bin), "escala")
    with tempfile.TemporaryDirectory() as work:
        group, month, year = (os.path.join(work, name) for name in ("group.yaml", "month.csv", "year.csv"))
        with open(group, "w", encoding="utf-8") as f:
            f.write(GROUP)
        for path, days in ((month, options.days), (year, 366)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(timed(escala, "trace", "generate", "--days", str(days))[1])
        seconds, told = timed(escala, "tune", "-f", group, "--trace", month, "--slo", "0.1%", "--settings",
                              str(options.settings), "--output", "json")
        tried = json.loads(told)["tried"]
        steps = tried * options.days * 1440
        print(f"tune: {tried} settings x {options.days} days of minutes on {os.cpu_count()} cores: {seconds:.1f} s "
              f"({steps / seconds / 1e6:.1f} M steps/s)")
        seconds, _ = timed(escala, "simulate", "-f", group, "--trace", year, "--output", "json")
        print(f"simulate: a year of minutes: {seconds:.2f} s")
        seconds, _ = timed(escala, "compare", "-f", group, "--trace", year, "--report", os.path.join(work, "r.html"))
        print(f"compare: the same with eight rivals and a report of {os.path.getsize(os.path.join(work, 'r.html')) >> 10} KiB: "
              f"{seconds:.2f} s")
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main()
