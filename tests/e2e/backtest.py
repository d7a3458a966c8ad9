#!/usr/bin/env python3
"""The tools that prove a policy before it is deployed: test, simulate, compare, tune, replay, as people run them."""

import glob
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from manager import Manager, main, wait_for  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUP = """
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 1
    MaxSize: 300
    DefaultInstanceWarmup: 60
    LaunchConfiguration:
      Process: {Command: [/bin/sleep, "100000"], Environment: {MODE: "on", EMPTY: "", NUMBER: "010"}}
    Tags: [{Key: "yes", Value: "a: b", PropagateAtLaunch: true}]
    Policies:
      - PolicyName: cpu
        PolicyType: TargetTrackingScaling
        TargetTrackingConfiguration:
          PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}
          TargetValue: 50
"""


class Bench:
    """A directory with a group and a made-up load, and the command to run on them."""

    def __init__(self, bin_dir, days=3):
        self.escala = os.path.join(os.path.abspath(bin_dir), "escala")
        self.dir = tempfile.mkdtemp(prefix="escala-backtest-")
        self.write("group.yaml", GROUP)
        self.write("load.csv", self.ok("trace", "generate", "--days", str(days), "--seed", "7"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, *words):
        return subprocess.run([self.escala, *words], cwd=self.dir, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def refused(self, code, words, *parts):
        done = self.run(*words)
        assert done.returncode == code, f"{words} ended with {done.returncode}, not {code}: {done.stdout} {done.stderr}"
        for part in parts:
            assert part in done.stderr, f"{words}: '{part}' is not in: {done.stderr}"
        assert "terminate called" not in done.stderr


BOTH = ("-f", "group.yaml", "--trace", "load.csv")


def stories_are_told_as_they_are_written(bin_dir):
    with Bench(bin_dir) as bench:
        stories = sorted(glob.glob(os.path.join(ROOT, "tests/scenario/*.scenario")))
        assert f"{len(stories)} passed, 0 failed" in bench.ok("test", "-q", *stories)
        shutil.copy(os.path.join(ROOT, "tests/scenario/classic.scenario"), bench.path("classic.scenario"))
        told = bench.ok("test", "classic.scenario")
        golden = os.path.join(ROOT, "tests/golden/test_classic.txt")
        if os.environ.get("UPDATE_GOLDEN"):
            with open(golden, "w", encoding="utf-8") as f:
                f.write(told)
        with open(golden, encoding="utf-8") as f:
            assert told == f.read(), f"not what tests/golden/test_classic.txt says:\n{told}"
        head = "group web min 1 max 5 desired 1\npolicy cpu target 50\n"
        bench.write("wrong.scenario", head + "at 0s load 90 expect desired 5\n")
        bench.refused(1, ["test", "wrong.scenario"], "escala: wrong.scenario:3: expected desired 5, found 2")
        bench.write("broken.scenario", head + "at 0s weather good\n")
        bench.refused(2, ["test", "classic.scenario", "broken.scenario"],
                      "escala: broken.scenario:3: 'weather' is not understood here")
        bench.refused(2, ["test"], "missing SCENARIO; usage: escala test")
        bench.refused(2, ["test", "none.scenario"], "none.scenario: No such file or directory")
        bench.refused(2, ["test", "."], "is a directory; expected a file")


def wrong_command_lines_say_what_was_expected(bin_dir):
    with Bench(bin_dir) as bench:
        bench.write("two.yaml", GROUP + GROUP.split("AutoScalingGroups:")[1].replace(": web", ": db", 1))
        bench.write("queue.yaml", GROUP.replace(
            "PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}",
            "CustomizedMetricSpecification: {MetricName: depth, Namespace: Escala/Gauge, Statistic: Sum}"))
        bench.write("broken.yaml", GROUP.replace("MaxSize: 300", "MaxSize: 010"))
        bench.write("gap.csv", "0,1\n60,2\n600,3\n")
        cases = [
            (["simulate"], "missing --file"),
            (["simulate", "-f", "group.yaml"], "missing --trace"),
            (["simulate", *BOTH, "--boot", "90"], "--boot: '90'; expected a duration such as 10s, 5m; range 0s..1d"),
            (["simulate", *BOTH, "--boot", "-5s"], "--boot: '-5s'; expected a duration"),
            (["simulate", *BOTH, "--boot", "1500ms"], "boot delay 1s500ms: expected whole seconds"),
            (["simulate", *BOTH, "--capacity", "nan"], "--capacity: "),
            (["simulate", *BOTH, "--capacity", "0x1p3"], "--capacity: "),
            (["simulate", *BOTH, "--capacity", "0"], "--capacity: 0 is outside"),
            (["simulate", *BOTH, "--output", "xml"], "--output: 'xml'; expected table, json"),
            (["simulate", *BOTH, "--fill", "cubic"], "--fill: 'cubic'; expected hold, zero, linear"),
            (["simulate", *BOTH, "--start", "yesterday"], "--start: 'yesterday' is no moment"),
            (["simulate", *BOTH, "--repot", "x"], "unknown option --repot; did you mean --report?"),
            (["simulate", *BOTH, "--boot", "1m", "--boot", "2m"], "--boot: given twice"),
            (["simulate", "-f", "two.yaml", "--trace", "load.csv"], "two.yaml: 2 groups; --group says which: web, db"),
            (["simulate", "-f", "two.yaml", "--trace", "load.csv", "--group", "wbe"], "did you mean 'web'?"),
            (["simulate", "-f", "queue.yaml", "--trace", "load.csv"], "policy cpu looks at sum of depth"),
            (["simulate", "-f", "broken.yaml", "--trace", "load.csv"], "broken.yaml:"),
            (["simulate", "-f", "-", "--trace", "-"], "--file and --trace cannot both read standard input"),
            (["simulate", "-f", "group.yaml", "--trace", "gap.csv"], "gap.csv:3: 8m missing before this row"),
            (["simulate", "-f", "group.yaml", "--trace", "none.csv"], "none.csv: No such file or directory"),
            (["compare", *BOTH, "--rival", "hpb"], "--rival: no rival 'hpb'"),
            (["compare", *BOTH, "--rival", "hpa:target=0"], "--rival: rival hpa: target is 0"),
            (["compare", *BOTH, "--rival", "hpa:traget=1"], "--rival: rival hpa has no parameter 'traget'"),
            (["compare", *BOTH, "--rival", "hpa@0s"], "--rival: period"),
            (["tune", *BOTH], "missing --slo"),
            (["tune", *BOTH, "--slo", "0"], "--slo: 0 is outside 0%..100%"),
            (["tune", *BOTH, "--slo", "101%"], "--slo: 101% is outside 0%..100%"),
            (["tune", *BOTH, "--slo", "little"], "--slo: 'little' is not a decimal number"),
            (["tune", *BOTH, "--slo", "1%", "--seed", "abc"], "--seed: 'abc' is not"),
            (["tune", *BOTH, "--slo", "1%", "--kinds", "Magic"], "--kinds: unknown policy type 'Magic'"),
            (["tune", *BOTH, "--slo", "1%", "--targets", "50,,60"], "--targets: "),
            (["tune", *BOTH, "--slo", "1%", "--targets", ",".join(["50"] * 1000), "--tolerances", ",".join(["0.1"] * 1000)],
             "grid has 2.16e+08 points, limit 1e+06"),
            (["trace"], "missing COMMAND: expected generate"),
            (["trace", "generate", "--days", "010"], "--days: '010' is ambiguous (octal?); write 10 or 8"),
        ]
        for words, part in cases:
            bench.refused(2, words, part)
        bench.refused(1, ["simulate", *BOTH, "--report", "/no/such/place/r.html"], "--report: /no/such/place/r.html")


def a_group_is_measured_against_the_least_possible(bin_dir):
    with Bench(bin_dir) as bench:
        once = json.loads(bench.ok("simulate", *BOTH, "--output", "json"))
        assert once == json.loads(bench.ok("simulate", *BOTH, "--output", "json")), "a second run differs"
        run = once["runs"][0]
        assert run["policy"] == "group web" and once["horizon_seconds"] == 3 * 86400
        assert run["cost_instance_seconds"] > once["least_possible"]["cost_instance_seconds"] > 0
        assert 0 <= run["unserved"] < 0.2 and run["j100"] > 1
        bench.write("crowds.csv", bench.ok("trace", "generate", "--days", "3", "--crowds", "6"))
        quick, slow = (json.loads(bench.ok("simulate", "-f", "group.yaml", "--trace", "crowds.csv", "--output", "json",
                                           "--boot", boot))["runs"][0] for boot in ("1m", "10m"))
        assert slow["unserved"] > quick["unserved"] > 0, "slower boots do not hurt"
        all_of_them = json.loads(bench.ok("compare", *BOTH, "--output", "json"))["runs"]
        assert all_of_them[0] == run and len(all_of_them) == 9
        assert [r for r in all_of_them if r["policy"].startswith("static")][0]["unserved"] == 0
        some = bench.ok("compare", *BOTH, "--rival", "hpa:target=60@15s", "--rival", "nomad")
        assert "hpa:target=60@15s" in some and "nomad" in some and "Google" not in some
        told = bench.ok("simulate", *BOTH)
        assert re.search(r"cost +[0-9.]+ instance-hours, [0-9.]+ times the least", told), told


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.outside = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "data", "xlink:href") or "url(" in (value or ""):
                self.outside.append((tag, name, value))


def the_report_stands_in_a_real_browser(bin_dir):
    with Bench(bin_dir) as bench:
        bench.write("load.csv", bench.ok("trace", "generate", "--days", "366"))  # a year of minutes
        bench.ok("compare", *BOTH, "--report", "report.html")
        size = os.path.getsize(bench.path("report.html"))
        assert size < 4 << 20, f"{size} bytes for a year: not downsampled"
        browser = shutil.which("chromium")
        if not browser:
            return "no chromium here"
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
             "--user-data-dir=" + bench.path("profile"), "--dump-dom", "file://" + bench.path("report.html")],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        page = Page()
        page.feed(done.stdout)
        assert page.tags.count("figure") == 11, page.tags.count("figure")  # nine courses, cost, lost
        assert page.tags.count("details") == 8 and page.tags.count("h1") == 1 and page.tags.count("main") == 1
        assert page.outside == [], page.outside
        assert "prefers-color-scheme" in done.stdout and done.stdout.count('role="img"') == 11
        assert done.stdout.count("NaN") == 0 and "inf " not in done.stdout
        assert "Group web on load.csv" in done.stdout


def what_tune_writes_can_be_applied(bin_dir):
    with Bench(bin_dir) as bench, Manager(bin_dir) as manager:
        told = bench.ok("tune", *BOTH, "--slo", "1%", "--settings", "60", "--write", "tuned.yaml")
        assert "60 settings of group web" in told and "risk: " in told and "written: tuned.yaml" in told, told
        assert "group web: created (dry run)" in bench.ok("apply", "-f", "tuned.yaml", "--dry-run", "--state-dir", manager.dir)
        bench.ok("apply", "-f", "tuned.yaml", "--state-dir", manager.dir)
        group = manager.api("DescribeAutoScalingGroups")["AutoScalingGroups"][0]
        assert group["Tags"][0]["Key"] == "yes" and group["Tags"][0]["Value"] == "a: b", group
        # As good in simulation as tune said: the same engine.
        said = json.loads(bench.ok("tune", *BOTH, "--slo", "1%", "--settings", "60", "--output", "json"))
        again = json.loads(bench.ok("simulate", "-f", "tuned.yaml", "--trace", "load.csv", "--output", "json"))["runs"][0]
        assert abs(again["cost_instance_seconds"] - said["all"]["cost_instance_seconds"]) < 1, (again, said)
        # The other kind, with its alarms.
        done = bench.run("tune", *BOTH, "--slo", "5%", "--settings", "20", "--kinds", "StepScaling", "--write", "steps.yaml")
        assert done.returncode in (0, 1), done.stderr
        told = bench.ok("apply", "-f", "steps.yaml", "--dry-run", "--state-dir", manager.dir)
        assert "group web: updated (dry run)" in told and "Alarms" in told, told


def decisions_of_a_live_group_come_out_again(bin_dir):
    with Bench(bin_dir) as bench, Manager(bin_dir) as manager:
        manager.apply("""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 0
    MaxSize: 4
    DesiredCapacity: 2
    LaunchConfiguration: {Process: {Command: [/bin/sleep, "100000"], StopGrace: 1s}}
""")
        wait_for("two instances", lambda: len(manager.instances("web", "InService")) == 2)
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=3)
        wait_for("three instances", lambda: len(manager.instances("web", "InService")) == 3)
        exported = bench.ok("ctl", "export", "--state-dir", manager.dir)
        bench.write("records.json", exported)
        told = bench.ok("replay", "records.json")
        found = re.fullmatch(r"(\d+) decisions repeated, 0 differ; \d+ have no snapshot any more\n", told)
        assert found and int(found.group(1)) >= 3, told
        assert "0 differ" in bench.ok("replay", "--state-dir", manager.dir, "--group", "web")
        bench.refused(1, ["replay", "records.json", "--group", "db"], "no decision with a snapshot")
        # One digit changed on the way.
        changed, count = re.subn(r'("key":"decision/web/[0-9]+".*?"desired":)([0-9])',
                                 lambda m: m.group(1) + str((int(m.group(2)) + 1) % 10), exported, count=1)
        assert count == 1
        bench.write("changed.json", changed)
        bench.refused(1, ["replay", "changed.json"], "checksum mismatch; replay stops here")
        bench.write("short.json", exported[:exported.rindex('"decision/') + 30])
        bench.refused(1, ["replay", "short.json"], "cut off; replay stops here")
        bench.refused(2, ["replay", "none.json"], "none.json: No such file or directory")
        # The last one as a file of its own.
        manager.run("ctl", "explain", "web", "--save", bench.path("seen.json"))
        assert "group web: desired 3 -> 3" in bench.ok("replay", "seen.json")


if __name__ == "__main__":
    main([stories_are_told_as_they_are_written, wrong_command_lines_say_what_was_expected,
          a_group_is_measured_against_the_least_possible, the_report_stands_in_a_real_browser,
          what_tune_writes_can_be_applied, decisions_of_a_live_group_come_out_again])
