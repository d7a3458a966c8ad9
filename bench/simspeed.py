#!/usr/bin/env python3
"""How much faster the simulator is than a straightforward Python version of the same model.

./dev bench simspeed [--bin DIR]: runs `bench_quality speed`, then the plant with EC2's target tracking in plain Python
over a made trace of two months of minutes, and prints the steps a second of both.
"""
import argparse
import math
import random
import subprocess
import time
from pathlib import Path


def made(days):
    rng = random.Random(1)
    return [max(0.0, 20 * (1 - 0.6 * math.cos(2 * math.pi * m / 1440)) * rng.gauss(1, 0.08)) for m in range(days * 1440)]


def plain(demand, target=50, warmup=300, low=0.7, boot=120, period=60):
    n = max(1, math.ceil(max(demand[:10])))
    batches = [[-10**9, n]]
    cost = unserved = 0
    cpus = []
    for step, d in enumerate(demand):
        t = step * period
        in_service = sum(count for ready, count in batches if ready <= t)
        size = sum(count for _, count in batches)
        if t > 0:
            cpus.append(100.0 if last > served else 100.0 * last / served)
            warmed = sum(count for ready, count in batches if ready + warmup <= t and ready <= t)
            wanted = size
            if len(cpus) >= 3 and all(c > target for c in cpus[-3:]):
                wanted = max(size, math.ceil(warmed * cpus[-1] / target - 1e-9))
            elif len(cpus) >= 15 and all(c < low * target for c in cpus[-15:]) and warmed == size:
                wanted = max(1, min(size, math.ceil(size * cpus[-1] / target - 1e-9)))
            if wanted > size:
                batches.append([t + boot, wanted - size])
            while wanted < size:
                gone = min(size - wanted, batches[-1][1])
                batches[-1][1] -= gone
                size -= gone
                if batches[-1][1] == 0:
                    batches.pop()
            in_service = sum(count for ready, count in batches if ready <= t)
            size = sum(count for _, count in batches)
        served, last = in_service, d
        cost += size * period
        unserved += max(0.0, d - in_service) * period
    return cost, unserved


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="build/release/bin", type=Path)
    options = parser.parse_args()
    out = subprocess.run([options.bin / "bench_quality", "speed"], check=True, capture_output=True, text=True).stdout
    print(out)
    demand = made(60)
    begin = time.process_time()
    plain(demand)
    python = len(demand) / (time.process_time() - begin)
    print(f"plain Python, the plant with target tracking: {python:,.0f} steps/s")
    for line in out.splitlines():
        if " steps/s" in line:
            name, rest = line[:58].strip(), line[58:].split()
            print(f"  {name}: {float(rest[0]) / python:,.1f} times as fast")


if __name__ == "__main__":
    main()
