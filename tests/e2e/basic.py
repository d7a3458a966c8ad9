#!/usr/bin/env python3
"""The main job, end to end: real processes under `escala serve`, driven through the CLI and the API."""

import glob
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import gauge as gauge_module  # noqa: E402
from manager import Manager, main, state_of, wait_for  # noqa: E402

SLEEP = ["/bin/sleep", "100000"]
# Listens on port 8080 once the file it is given exists.
LATE = """
import os, socket, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
listener = socket.create_server((os.environ['ESCALA_ADDRESS'], 8080))
while True:
    listener.accept()[0].close()
"""


def a_group_follows_its_load(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), SLEEP))
        wait_for("one in service", lambda: len(manager.instances("web", "InService")) == 1)
        gauge.set("load", 140)  # 140/50: three
        wait_for("at least three in service", lambda: len(manager.instances("web", "InService")) >= 3)
        gauge.set("load", 5)
        wait_for("one again", lambda: len(manager.instances("web")) == 1 and len(manager.instance_processes()) == 1, 60)
        done = [a for a in manager.activities("web") if a["StatusCode"] == "Successful"]
        causes = " ".join(a["Cause"] for a in done)
        assert any(a["Description"].startswith("Launching a new") for a in done), done
        assert any(a["Description"].startswith("Terminating") for a in done), done
        assert "from 1 to 3" in causes or "demand" in causes, causes
        explained = manager.run("ctl", "explain", "web")
        assert "demand" in explained, explained
    gauge.close()


def a_dead_instance_is_replaced(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), SLEEP, min_size=2))
        wait_for("two in service", lambda: len(manager.instances("web", "InService")) == 2)
        victim, pid = sorted(manager.instance_processes().items())[0]
        os.kill(pid, signal.SIGKILL)

        def replaced():  # by one answer: two would be of different moments
            states = {i["InstanceId"]: i["LifecycleState"] for i in manager.instances("web")}
            return victim not in states and list(states.values()) == ["InService", "InService"]
        wait_for("another in its place", replaced, 60)
        processes = manager.instance_processes()
        assert victim not in processes and len(processes) == 2, processes
    gauge.close()


def the_classic_example_runs(bin_dir):
    with Manager(bin_dir) as manager:
        manager.run("apply", "-f", os.path.join(ROOT, "examples", "classic.yaml"))
        wait_for("two in service", lambda: len(manager.instances("classic", "InService")) == 2)
        # The ramp passes 70 % within 60 s of the start.
        wait_for("a third because of the ramp", lambda: manager.group("classic")["DesiredCapacity"] >= 3, 120)
        texts = manager.run("ctl", "explain", "classic")
        assert "hot" in texts or "one-more" in texts, texts


def restarts_change_nothing(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), SLEEP, min_size=3))
        wait_for("three in service", lambda: len(manager.instances("web", "InService")) == 3)
        before = manager.instance_processes()
        manager.kill()
        time.sleep(1)
        assert manager.instance_processes() == before, "instances died with their manager"
        manager.start()
        time.sleep(3)
        assert manager.instance_processes() == before, "instances changed over a restart"
        wait_for("all in service again", lambda: len(manager.instances("web", "InService")) == 3)
    gauge.close()


def deleting_leaves_nothing_behind(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), SLEEP, min_size=2))
        wait_for("two in service", lambda: len(manager.instances("web", "InService")) == 2)
        manager.api("DeleteAutoScalingGroup", AutoScalingGroupName="web", ForceDelete=True)
        wait_for("the group and its processes to be gone", lambda: manager.group("web") is None
                 and not manager.instance_processes(), 60)
        assert manager.activities("web"), "the history of a deleted group is kept"
    gauge.close()


def a_workload_is_asked_once_and_politely(bin_dir):
    with Manager(bin_dir) as manager:
        heard = os.path.join(manager.dir, "heard")
        command = (f"import signal, time\nf = open({heard!r}, 'a', buffering=1)\n"
                   "signal.signal(signal.SIGTERM, lambda *_: f.write('TERM\\n'))\n"
                   "f.write('ready\\n')\nsignal.pause()\ntime.sleep(0.5)\n")
        manager.apply(f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: polite
    MinSize: 0
    MaxSize: 1
    DesiredCapacity: 1
    LaunchConfiguration:
      Process: {{Command: [/usr/bin/python3, -c, {json.dumps(command)}], StopGrace: 5s}}
""")
        wait_for("the workload", lambda: os.path.exists(heard) and manager.instances("polite", "InService"))
        manager.api("SetDesiredCapacity", AutoScalingGroupName="polite", DesiredCapacity=0)
        wait_for("its end", lambda: not manager.instance_processes() and not manager.instances("polite"))
        with open(heard) as f:
            assert f.read().split() == ["ready", "TERM"], "one SIGTERM, and time to follow it"


def suspending_pausing_and_protecting_hold(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), SLEEP, min_size=1))
        wait_for("one in service", lambda: manager.instances("web", "InService"))
        manager.run("ctl", "pause", "web", "--reason", "maintenance")
        gauge.set("load", 200)
        time.sleep(4)
        assert len(manager.instance_processes()) == 1, "a paused group launched"
        assert "maintenance" in manager.run("ctl", "explain", "web")
        manager.kill()
        manager.start()
        time.sleep(3)
        assert len(manager.instance_processes()) == 1, "a restart undid the pause"
        manager.run("ctl", "resume", "web")
        wait_for("more once resumed", lambda: len(manager.instances("web", "InService")) >= 4)
        ids = [i["InstanceId"] for i in manager.instances("web", "InService")]
        manager.api("SetInstanceProtection", AutoScalingGroupName="web", InstanceIds=ids, ProtectedFromScaleIn=True)
        gauge.set("load", 1)
        time.sleep(6)
        assert set(ids) <= set(manager.instance_processes()), "a protected instance was terminated"
    gauge.close()


def instance_log(manager):
    logs = glob.glob(os.path.join(manager.dir, "instances", "*", "*", "log"))
    return open(logs[0]).read() if logs else ""


def doors_for_others_answer(bin_dir):
    gauge = gauge_module.Gauge()
    with Manager(bin_dir) as manager:
        gauge.set("load", 50)
        go = os.path.join(manager.dir, "go")
        manager.apply(gauge_module.group_yaml("web", gauge.url("load"), ["/usr/bin/python3", "-c", LATE, go]).replace(
            "        StopGrace: 1s", "        StopGrace: 1s\n        ServicePort: 8080"))
        # In service means that it can be asked: its agent waits until somebody listens.
        wait_for("it to wait", lambda: "nothing is reported until somebody listens" in instance_log(manager))
        assert not manager.instances("web", "InService") and not json.loads(manager.http("GET", "/v1/discovery/web"))
        open(go, "w").close()
        wait_for("one in service", lambda: manager.instances("web", "InService"))
        targets = json.loads(manager.http("GET", "/v1/discovery/web"))
        assert re.fullmatch(r"127\.\d+\.\d+\.\d+:8080", targets[0]["targets"][0]), targets
        metrics = manager.http("GET", "/metrics")
        assert re.search(r'escala_group_desired_capacity\{[^}]*group="web"[^}]*\} 1', metrics), metrics[:2000]
        # The board shows it too.
        assert manager.instances("web")[0]["InstanceId"] in manager.run("board", "--once")
    gauge.close()


def wrong_input_says_what_where_and_what_was_expected(bin_dir):
    with Manager(bin_dir) as manager:
        path = os.path.join(manager.dir, "bad.yaml")
        with open(path, "w") as f:
            f.write("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 5\n    MaxSize: 3\n"
                    "    MinSize: 4\n    DefaultColdown: 3\n")
        out = manager.run("apply", "-f", path, code=2)
        for expected in ("bad.yaml:6:5", "MinSize", "DefaultCooldown"):
            assert expected in out, out
        assert manager.api("DescribeAutoScalingGroups").get("AutoScalingGroups", []) == []
        with open(path, "w") as f:
            f.write("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 0\n    MaxSize: 1\n"
                    "    LaunchConfiguration: {Process: {Command: [/bin/true], Environment: {DB_PASSWORD: hunter2}}}\n")
        os.chmod(path, 0o644)
        out = manager.run("apply", "-f", path, "--dry-run", code=None)
        assert "mode 0644 lets everybody" in out and "DB_PASSWORD" in out and "hunter2" not in out, out
        os.chmod(path, 0o600)
        assert "lets everybody" not in manager.run("apply", "-f", path, "--dry-run", code=None)
        with open(path, "w") as f:
            f.write("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 1\n    MaxSize: 1\n"
                    "    LaunchConfiguration: {Process: {Command: [/nonexistent/x]}}\n")
        out = manager.run("apply", "-f", path, "--wait", "--timeout", "3s", code=1)
        assert "warning: " in out and "command '/nonexistent/x' is not found" in out, out
        assert "web: 0 of 1 in service" in out and "(failed: " in out, out
        assert "did you mean" in manager.run("ctl", "grups", code=2)
        assert "not found" in manager.run("ctl", "explain", "nobody", code=1)
        # A second controller on the same directory is refused, with the pid of the first.
        out = manager.run("control", "--listen", "127.0.0.1:0", code=1)
        assert str(manager.child("control")) in out and "locked" in out, out
        out = manager.run("serve", "--listen", "127.0.0.1:0", code=1)
        assert f"locked by pid {manager.serve.pid}" in out, out
        # More agents than there may be file descriptors.
        done = subprocess.run([manager.escala, "monitor", "--state-dir", os.path.join(manager.dir, "other"), "--listen",
                               "127.0.0.1:0", "--max-agents", "100000"], capture_output=True, text=True, timeout=60, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
        assert done.returncode == 2 and "need 100256 file descriptors for 100000 agents, limit is 1024" in done.stderr, done
        # What could not be printed whole is an error, unless the reader wanted no more.
        export = [manager.escala, "ctl", "export", "--state-dir", manager.dir]
        with open("/dev/full", "w") as full:
            done = subprocess.run(export, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "not whole" in done.stderr, done
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(export, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(writer)
        assert done.returncode == 0 and done.stderr == "", done


if __name__ == "__main__":
    main([a_group_follows_its_load, a_dead_instance_is_replaced, the_classic_example_runs, restarts_change_nothing,
          deleting_leaves_nothing_behind, a_workload_is_asked_once_and_politely, suspending_pausing_and_protecting_hold, doors_for_others_answer,
          wrong_input_says_what_where_and_what_was_expected])
