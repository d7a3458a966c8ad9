#!/usr/bin/env python3
"""./dev soak properties: the properties that ./dev test checks with one seed, with a new seed each round. One that fails
is printed with the line that repeats it."""
import argparse
import os
import random
import subprocess
import sys
import time

# Program and the tests of it that draw their cases.
PROGRAMS = (("engine_test", "*Propert*:Victims.EqualTheSlowReference"),
            ("history_test", "MetricMath.AnyTextIsAnsweredOrRefused:HistoryBlock.*"),
            ("store_test", "Records.SurviveHostileBytes"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cases", type=int, default=20_000, help="of each property in a round")
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    rounds = failures = 0
    while time.monotonic() < until:
        rounds += 1
        seed = random.SystemRandom().randrange(1, 2**63)
        for program, tests in PROGRAMS:
            params = f"seed={seed} max_success={options.cases}"
            run = subprocess.run([os.path.join(options.bin, program), "--gtest_brief=1", "--gtest_filter=" + tests],
                                 env={**os.environ, "RC_PARAMS": params}, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
            if run.returncode != 0:
                failures += 1
                print(f"{run.stdout}\nrepeat it with: RC_PARAMS='{params}' {program} --gtest_filter='{tests}'", flush=True)
    print(f"{rounds} rounds of {options.cases} cases of each property, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
