#!/usr/bin/env python3
"""Runs every test there is and ends in one plain line: N passed, N failed.

Two kinds: the GoogleTest programs of the build (<bin>/*_test) and the end-to-end scripts (tests/e2e/*.py), which print
"ok NAME", "not ok NAME: WHY" or "skip NAME: WHY" a line. A program that crashes, hangs past its limit or runs no test
counts as one failure.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM_LIMIT_S = 600
# The same cases in each run, so that a change is judged by what it changes; ./dev soak properties draws new ones.
PROPERTIES = "seed=20 max_success=500"


def run(command, limit, env=None):
    """Exit code (None: past the limit) and output. The whole process group ends with it."""
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                 start_new_session=True, cwd=ROOT, env=env)
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        out.seek(0)
        return code, out.read()


def run_gtest(path, filter_):
    name = os.path.basename(path)
    passed, failed, skipped = 0, [], []
    os.environ.setdefault("RC_PARAMS", PROPERTIES)
    with tempfile.TemporaryDirectory() as tmp:
        report = os.path.join(tmp, "report.json")
        command = [path, "--gtest_output=json:" + report, "--gtest_brief=1"]
        if filter_:
            command.append("--gtest_filter=" + filter_)
        code, output = run(command, PROGRAM_LIMIT_S)
        try:
            with open(report, encoding="utf-8", errors="replace") as f:
                suites = json.load(f)["testsuites"]
        except (OSError, ValueError):
            suites = []
        for suite in suites:
            for case in suite["testsuite"]:
                full = f"{name}: {suite['name']}.{case['name']}"
                if "failures" in case:
                    failed.append(full)
                elif case.get("result") == "SKIPPED":
                    skipped.append(full)
                elif case.get("status") == "RUN":
                    passed += 1
    if code is None:
        failed.append(f"{name}: still running after {PROGRAM_LIMIT_S} s")
    elif code != 0 and not failed:
        failed.append(f"{name}: ended with {code}")
    elif passed + len(failed) + len(skipped) == 0 and not filter_:
        failed.append(f"{name}: ran no test")
    return name, passed, failed, skipped, output


def run_script(path, bin_dir):
    name = os.path.basename(path)
    code, output = run([sys.executable, path, "--bin", bin_dir], PROGRAM_LIMIT_S)
    passed, failed, skipped = 0, [], []
    for line in output.splitlines():
        if re.match(r"ok \S", line):
            passed += 1
        elif line.startswith("not ok "):
            failed.append(f"{name}: {line[7:]}")
        elif line.startswith("skip "):
            skipped.append(f"{name}: {line[5:]}")
    if code is None:
        failed.append(f"{name}: still running after {PROGRAM_LIMIT_S} s")
    elif code != 0 and not failed:
        failed.append(f"{name}: ended with {code}")
    elif passed + len(failed) + len(skipped) == 0:
        failed.append(f"{name}: ran no test")
    return name, passed, failed, skipped, output


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="where the built programs are")
    parser.add_argument("--only", default="", help="programs and scripts whose name contains this; 'e2e' means the scripts")
    parser.add_argument("--filter", default="", help="passed on as --gtest_filter")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    bin_dir = os.path.abspath(options.bin)

    programs = sorted(glob.glob(os.path.join(bin_dir, "*_test")))
    scripts = sorted(p for p in glob.glob(os.path.join(ROOT, "tests/e2e/*.py"))
                     if not os.path.basename(p).startswith("_"))
    if options.only == "e2e":
        programs = []
    elif options.only:
        programs = [p for p in programs if options.only in os.path.basename(p)]
        scripts = [p for p in scripts if options.only in os.path.basename(p)]
    if not programs and not scripts:
        sys.exit(f"no test program or script matches '{options.only}'")

    begin = time.monotonic()
    passed, failed, skipped = 0, [], []

    def take(result, seconds):
        nonlocal passed
        name, ok, bad, left_out, output = result
        passed += ok
        failed.extend(bad)
        skipped.extend(left_out)
        print(f"{name}: {ok} passed, {len(bad)} failed" + (f", {len(left_out)} skipped" if left_out else "") +
              f" ({seconds:.1f} s)", flush=True)
        if bad:
            print("\n".join("    " + line for line in output.splitlines()[-200:]), flush=True)

    def timed(function, *arguments):
        start = time.monotonic()
        return function(*arguments), time.monotonic() - start

    # Programs side by side; scripts one after another, since they measure waits.
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(timed, run_gtest, p, options.filter) for p in programs]):
            take(*future.result())
    for script in scripts:
        take(*timed(run_script, script, bin_dir))

    for line in skipped:
        print("skipped: " + line)
    for line in failed:
        print("FAILED: " + line)
    print(f"in {time.monotonic() - begin:.0f} s")
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    sys.exit(1 if failed or passed == 0 else 0)


if __name__ == "__main__":
    main()
