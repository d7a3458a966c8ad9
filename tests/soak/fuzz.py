#!/usr/bin/env python3
"""./dev soak fuzz: libFuzzer on every parser that reads what strangers send (tests/fuzz), with the sanitizers.

    ./dev soak fuzz                            all targets, ten minutes each
    ./dev soak fuzz form json --seconds 60     those
    ./dev soak fuzz --replay FILE form         one input again, with all that is told of it

What reached new code is kept in build/fuzz/corpus, so that the next run goes on from there. Ends with non-zero when
anything was found; the inputs that show it are in build/fuzz/findings.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

MEMORY_MB = 1024  # of a target
SLOWEST = 10  # seconds of one input
MAX_LEN = 4096
LONGER = {"door": 8192, "store": 8192, "http2": 16384, "yaml": 2048, "time": 256}
FUZZ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz")
ENVIRONMENT = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_stack_use_after_return=0"}


def targets_in(folder):
    return sorted(os.path.basename(path)[len("fuzz_"):] for path in glob.glob(os.path.join(folder, "fuzz_*")))


def program(options, target):
    return os.path.join(options.bin, "fuzz_" + target)


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def run(options, target):
    """Runs one target; its row of the table, and the inputs that show a fault."""
    build = os.path.dirname(os.path.abspath(options.bin))
    corpus = os.path.join(build, "corpus", target)
    findings = os.path.join(build, "findings")
    seeds = os.path.join(build, "seeds", target)
    for folder in (corpus, findings, seeds):
        os.makedirs(folder, exist_ok=True)
    subprocess.run([program(options, target), "--seeds", seeds], check=True)
    before = set(glob.glob(os.path.join(findings, target + "-*")))
    command = [program(options, target), corpus, seeds, f"-max_total_time={options.seconds}", "-print_final_stats=1",
               f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOWEST}", f"-max_len={LONGER.get(target, MAX_LEN)}",
               f"-artifact_prefix={findings}/{target}-", f"-seed={options.seed}"]
    words = os.path.join(FUZZ, target + ".dict")
    if os.path.exists(words):
        command.append("-dict=" + words)
    log = os.path.join(findings, target + ".log")
    with open(log, "w", encoding="utf-8") as out:
        ended = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               env=ENVIRONMENT, check=False)
    with open(log, encoding="utf-8", errors="replace") as out:
        text = out.read()
    new = sorted(set(glob.glob(os.path.join(findings, target + "-*"))) - before)
    executions = last_number(r"stat::number_of_executed_units:\s*(\d+)", text) or last_number(r"#(\d+)\s", text)
    row = (target, executions, executions // max(1, options.seconds), last_number(r"\bcov: (\d+)", text), len(new))
    return row, new, log if ended.returncode != 0 else None


def tell(found, log):
    with open(log, encoding="utf-8", errors="replace") as out:
        lines = [line.rstrip() for line in out
                 if re.search(r"does not hold|runtime error|ERROR: |SUMMARY|^\s+#\d+ .* in .*escala", line)]
    print("\n".join(lines[:12]))
    for path in found:
        with open(path, "rb") as file:
            content = file.read()
        print(f"{path}\n{content.hex()}")
    print(f"all of it: {log}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at once")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--replay", metavar="FILE", help="run this input of the one TARGET")
    options = parser.parse_args()
    known = targets_in(options.bin)
    unknown = sorted(set(options.targets) - set(known))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are: {' '.join(known)}")
    if options.replay:
        if len(options.targets) != 1:
            parser.error("--replay FILE takes the one target that reads it")
        return subprocess.run([program(options, options.targets[0]), options.replay], env=ENVIRONMENT,
                              check=False).returncode
    print(f"{'target':16} {'executions':>12} {'per second':>11} {'coverage':>9} {'findings':>9}", flush=True)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for row, found, log in pool.map(lambda target: run(options, target), options.targets or known):
            print("{:16} {:12,} {:11,} {:9,} {:9}".format(*row), flush=True)
            if log:
                failed.append((found, log))
    for found, log in failed:
        tell(found, log)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
