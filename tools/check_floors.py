#!/usr/bin/env python3
"""Holds the architecture against the code: who may include whom, and what the pure floors must not touch.

A file includes its own folder and lower floors (docs/architecture.md). engine/ and control/ run in virtual time too, so
whatever makes a second run differ from the first is kept out of them. Prints each breach as file:line: what; exit 1.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Folder -> folders it may include besides its own. Neighbours on floor 2 do not know each other.
MAY_INCLUDE = {
    "base": set(),
    "engine": {"base"},
    "wire": {"base"},
    "board": {"engine", "base"},
    "store": {"engine", "base"},
    "history": {"engine", "base"},
    "provider": {"engine", "base"},
    "agent": {"wire", "base"},
    "monitor": {"wire", "board", "engine", "base"},
    "control": {"history", "store", "provider", "board", "engine", "base"},
    "api": {"history", "store", "engine", "base"},
    "traffic": {"store", "engine", "base"},
    "notify": {"store", "engine", "base"},
    "sim": {"api", "control", "traffic", "history", "store", "provider", "board", "engine", "base"},
    "app": {"sim", "agent", "monitor", "control", "api", "traffic", "notify", "wire", "board", "history", "store", "provider", "engine", "base"},
}

# Within these folders (tests apart) a second run must equal the first.
PURE = {"engine", "control"}
FORBIDDEN = [
    (r"\b(system|steady|high_resolution)_clock::now\b", "reads a clock; time is passed in"),
    (r"\b(clock_gettime|gettimeofday|time)\s*\((?:NULL|nullptr|0|&|CLOCK)", "reads a clock; time is passed in"),
    (r"\b(sleep_for|sleep_until|usleep|nanosleep)\b", "sleeps; answer when to be called again"),
    (r"\bstd::(jthread|thread|async|mutex|condition_variable)\b", "uses threads; one owner thread calls"),
    (r"(?<!\w::)\b(std::)?(ifstream|ofstream|fstream|fopen|open|socket|connect)\s*\(", "does I/O; that goes through a seam"),
    (r"\b(getenv|secure_getenv|setenv)\s*\(", "reads the environment"),
    (r"\b(random_device|getrandom|std::rand|srand|system_seed|secret_hex)\b", "draws randomness; a Random is passed in"),
    (r"\bunordered_(map|set|multimap|multiset)\b", "unordered container: its order differs between runs"),
    (r"\bSystemClock\b", "makes a live clock"),
]
COMMENT = re.compile(r"//.*$")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/')


def main():
    breaches = []
    src = os.path.join(ROOT, "src")
    for folder in sorted(os.listdir(src)):
        if folder not in MAY_INCLUDE:
            breaches.append(f"src/{folder}: this folder stands on no floor; add it to tools/check_floors.py")
            continue
        for file in sorted(os.listdir(os.path.join(src, folder))):
            if not file.endswith((".h", ".cpp")):
                continue
            test = file.endswith(("_test.cpp", "_bench.cpp")) or "_contract" in file
            with open(os.path.join(src, folder, file), encoding="utf-8") as f:
                for number, line in enumerate(f, 1):
                    place = f"src/{folder}/{file}:{number}"
                    found = INCLUDE.match(line)
                    if found and found.group(1) != folder and found.group(1) not in MAY_INCLUDE[folder]:
                        breaches.append(f"{place}: {folder} must not include {found.group(1)}")
                    if folder in PURE and not test:
                        code = COMMENT.sub("", STRING.sub('""', line))
                        for pattern, why in FORBIDDEN:
                            if re.search(pattern, code):
                                breaches.append(f"{place}: {why}: {line.strip()}")
    print("\n".join(breaches) if breaches else "floors: all includes go down, engine and control are pure")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
