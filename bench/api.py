#!/usr/bin/env python3
"""What the AWS face costs: requests per second beside moto's server, answers of a large fleet, and under attack.

./dev bench api [rate] [fleet] [attack]     all three without a word. The client, bench_load, costs little:
it sends one signed request (botocore's own signer) again and again over loopback; a signature holds for five minutes.

rate     100 groups, 16 connections: DescribeAutoScalingGroups of all of them, ours and (--moto COMMAND) moto's in turns.
fleet    --groups 2000 of --instances 10 in the EC2 double: by name, a page of 100, control's memory.
attack   a well-behaved client beside slow heads, slow bodies, nonsense, oversized requests, and a flood from another key.
"""

import argparse
import http.client
import json
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from aws import client, new_key, profile  # noqa: E402
from ec2_world import Ec2  # noqa: E402
from manager import Manager, wait_for  # noqa: E402

FAST = ("--control-option=--reads-per-second=1000000", "--control-option=--changes-per-second=1000000")


# --- requests

def signed(url, operation, key, region="us-east-1", **parameters):
    """Headers and body of a request of the Query protocol."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    body = urllib.parse.urlencode({"Action": operation, "Version": "2011-01-01", **parameters})
    request = AWSRequest("POST", url + "/", data=body, headers={
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    SigV4Auth(Credentials(*key), "autoscaling", region).add_auth(request)
    headers = dict(request.headers.items())
    headers["Host"] = urllib.parse.urlsplit(url).netloc
    return headers, body


class Load:
    """One run of bench_load with one request, in the background; answer() waits for its figures."""

    def __init__(self, load, url, operation, key, connections=16, seconds=10, region="us-east-1", **parameters):
        headers, body = signed(url, operation, key, region, **parameters)
        headers["Content-Length"] = str(len(body))
        with tempfile.NamedTemporaryFile("w", newline="", delete=False) as file:
            file.write("POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n" + body)
        self.file = file.name
        address = urllib.parse.urlsplit(url)
        self.process = subprocess.Popen([load, address.hostname, str(address.port), file.name, str(connections),
                                         str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def answer(self):
        out = self.process.communicate()[0]
        os.unlink(self.file)
        found = re.search(r"FIGURES (.*)", out)
        assert found, out
        requests, seconds, not_200, broken, p50, p99, most, size = (float(x) for x in found.group(1).split())
        return {"requests": int(requests), "rate": requests / seconds, "status": int(not_200), "broken": int(broken),
                "p50": p50 / 1e3, "p99": p99 / 1e3, "max": most / 1e3, "bytes": size / requests}


def paced(url, operation, key, seconds, region, rate=200, **parameters):
    """A client that behaves: so many requests a second, one after the other, each timed."""
    headers, body = signed(url, operation, key, region, **parameters)
    address = urllib.parse.urlsplit(url)
    took, refused, size, connection = [], 0, 0, None
    begin = time.perf_counter()
    for number in range(int(seconds * rate)):
        time.sleep(max(0, begin + number / rate - time.perf_counter()))
        at = time.perf_counter()
        if connection is None:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        size += len(answer.read())
        took.append((time.perf_counter() - at) * 1000)
        refused += answer.status != 200
        if answer.will_close:
            connection.close()
            connection = None
    took.sort()
    return {"rate": len(took) / (time.perf_counter() - begin), "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100],
            "max": took[-1], "bytes": size / len(took), "status": refused, "broken": 0}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        fields = f.read().rsplit(b")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def table(*heads):
    row(*heads)
    row(*("---" for _ in heads))


def told(figures):
    return (f"{figures['rate']:.0f}", f"{figures['p50']:.2f}", f"{figures['p99']:.2f}", f"{figures['max']:.1f}",
            f"{figures['bytes'] / 1024:.0f}", figures["status"] + figures["broken"])


HEADS = ("requests/s", "p50 ms", "p99 ms", "max ms", "KiB an answer", "refused or broken")


def control_key(manager):
    settings = profile(manager)
    return settings["endpoint_url"], (settings["aws_access_key_id"], settings["aws_secret_access_key"])


# --- beside moto

def make_groups(autoscaling, count):
    autoscaling.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-12345678", InstanceType="t3.micro")
    zone = autoscaling.meta.region_name + ("-a" if autoscaling.meta.region_name == "local" else "a")
    for n in range(count):
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=f"group-{n:03}", LaunchConfigurationName="lc", MinSize=0, MaxSize=5,
            AvailabilityZones=[zone], Tags=[{"Key": "team", "Value": f"t{n % 7}", "PropagateAtLaunch": True}])


class Moto:
    """moto's server on a port of its own."""

    def __init__(self, command):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = dict(os.environ, AWS_ACCESS_KEY_ID="AKIAMOTO", AWS_SECRET_ACCESS_KEY="moto")
        self.process = subprocess.Popen([*shlex.split(command), "-p", str(port)], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("moto's server", lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def rate(options):
    import boto3
    with Manager(options.bin, FAST) as manager:
        make_groups(client(manager), 100)
        url, key = control_key(manager)
        pid = manager.child("control")
        region = profile(manager)["region"]
        print("DescribeAutoScalingGroups of 100 groups, 16 connections\n")
        table("", *HEADS, "CPU ms a request")

        def ours():
            before = cpu_seconds(pid)
            figures = Load(options.load, url, "DescribeAutoScalingGroups", key, 16, options.seconds, region, MaxRecords=100).answer()
            used = (cpu_seconds(pid) - before) * 1000 / figures["requests"]
            row("ours", *told(figures), f"{used:.2f}")
            return figures
        if not options.moto:
            ours()
            return
        with Moto(options.moto) as moto:
            moto_key = ("AKIAMOTO", "moto")
            make_groups(boto3.client("autoscaling", endpoint_url=moto.url, region_name="us-east-1",
                                     aws_access_key_id=moto_key[0], aws_secret_access_key=moto_key[1]), 100)
            ratios = []
            for _ in range(3):
                mine = ours()
                before = cpu_seconds(moto.process.pid)
                figures = Load(options.load, moto.url, "DescribeAutoScalingGroups", moto_key, 16, options.seconds,
                              MaxRecords=100).answer()
                used = (cpu_seconds(moto.process.pid) - before) * 1000 / max(figures["requests"], 1)
                row("moto", *told(figures), f"{used:.2f}")
                ratios.append(mine["rate"] / figures["rate"])
            print(f"\nrequests per second, ours to moto's: {', '.join(f'{r:.0f}' for r in ratios)}")


# --- a large fleet

def fleet(options):
    with Ec2() as ec2, Manager(options.bin, ["--provider", "ec2", *FAST]) as manager:
        manager.api("CreateLaunchConfiguration", LaunchConfigurationName="web", ImageId="ami-12345678",
                    InstanceType="t3.micro", Ec2={"Agent": False})
        begin = time.time()
        for n in range(options.groups):
            manager.api("CreateAutoScalingGroup", AutoScalingGroupName=f"group-{n:04}", LaunchConfigurationName="web",
                        MinSize=options.instances, MaxSize=options.instances * 2,
                        AvailabilityZones=["test-1a", "test-1b"])
        wanted = options.groups * options.instances
        wait_for("all launched", lambda: len(ec2.living()) == wanted, 3600)
        print(f"\n{options.groups} groups, {wanted} instances, launched in {time.time() - begin:.0f} s\n", flush=True)
        time.sleep(60)  # until a list has shown them all
        url, key = control_key(manager)
        region = profile(manager)["region"]
        pid = manager.child("control")
        before, at = cpu_seconds(pid), time.time()
        time.sleep(options.seconds)
        print(f"control at rest: {memory_mib(pid):.0f} MiB, {(cpu_seconds(pid) - before) / (time.time() - at) * 100:.1f} % of a core\n")
        table("DescribeAutoScalingGroups", *HEADS)
        for connections in (1, 16):
            row(f"by name, {connections} connections", *told(Load(options.load, 
                url, "DescribeAutoScalingGroups", key, connections, options.seconds, region,
                **{"AutoScalingGroupNames.member.1": "group-1000" if options.groups > 1000 else "group-0000"}).answer()))
            row(f"a page of 100, {connections} connections", *told(Load(options.load, 
                url, "DescribeAutoScalingGroups", key, connections, options.seconds, region, MaxRecords=100).answer()))
        print(f"\ncontrol afterwards: {memory_mib(pid):.0f} MiB")


# --- attacks (threat model: slow, oversized, malformed, floods)

class Attack:
    """Threads that do their worst until told to stop; counts what they sent."""

    def __init__(self, address, worst, threads):
        self.stopped = threading.Event()
        self.count = 0
        self.threads = [threading.Thread(target=self._run, args=(address, worst), daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, address, worst):
        while not self.stopped.is_set():
            try:
                with socket.create_connection(address, 2) as connection:
                    connection.settimeout(2)
                    worst(connection, self.stopped)
            except OSError:
                self.stopped.wait(0.01)
            self.count += 1

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)


def slow_heads(connection, stopped):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
    while not stopped.wait(0.5):
        connection.sendall(b"X-%d: y\r\n" % random.randrange(1000))


def slow_bodies(connection, stopped):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
    while not stopped.wait(0.5):
        connection.sendall(b"a")


def slow_readers(connection, stopped):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    for _ in range(100):
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    while not stopped.wait(0.5):
        connection.recv(16)


def nonsense(connection, _):
    connection.sendall(random.randbytes(random.randrange(1, 4096)))
    connection.recv(4096)


def oversized(connection, _):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"a" * 65536)
    connection.recv(4096)


def attack(options):
    with Manager(options.bin, FAST[1:]) as manager:  # reads per second as they are by default
        make_groups(client(manager), 100)
        url, key = control_key(manager)
        region = profile(manager)["region"]
        pid = manager.child("control")
        address = (urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).port)
        by_name = {"AutoScalingGroupNames.member.1": "group-001"}

        def beside(what, threads, worst):
            enemy = Attack(address, worst, threads) if worst else None
            figures = paced(url, "DescribeAutoScalingGroups", key, options.seconds, region, **by_name)
            if enemy:
                enemy.stop()
            row(what, *told(figures), f"{memory_mib(pid):.0f}", enemy.count if enemy else "")

        print("\nDescribeAutoScalingGroups by name, 200 a second, beside\n")
        table("", *HEADS, "control MiB", "attacks")
        beside("nobody", 0, None)
        beside("200 slow heads", 200, slow_heads)
        beside("200 slow bodies", 200, slow_bodies)
        beside("200 slow readers", 200, slow_readers)
        beside("nonsense, 4 threads", 4, nonsense)
        beside("oversized, 4 threads", 4, oversized)
        other = new_key(manager, "read:*")
        flood = Load(options.load, url, "DescribeAutoScalingGroups", other, 64, options.seconds + 2, region, **by_name)
        beside("a flood over 64 connections, another key", 0, None)
        figures = flood.answer()
        print(f"\nthe flood: {figures['requests']} requests, {figures['status']} of them told Throttling")
        assert manager.child("control") == pid, "control was started again"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("parts", nargs="*", help="rate, fleet, attack")
    parser.add_argument("--moto", help="the command of moto's server, where there is one")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--groups", type=int, default=2000)
    parser.add_argument("--instances", type=int, default=10, help="of each group")
    options = parser.parse_args()
    options.load = os.path.join(options.bin, "bench_load")
    for part in options.parts or ("rate", "fleet", "attack"):
        {"rate": rate, "fleet": fleet, "attack": attack}[part](options)


if __name__ == "__main__":
    main()
