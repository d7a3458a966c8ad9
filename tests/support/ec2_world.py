"""A region of EC2 for a test: the double as a process of our own, and a manager whose provider it is."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request

from manager import Manager

DOUBLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ec2_double.py")
VARIABLES = {"AWS_ACCESS_KEY_ID": "AKIADOUBLE", "AWS_SECRET_ACCESS_KEY": "double-secret", "AWS_REGION": "test-1",
             "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent",
             "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


class Ec2:
    def __init__(self, run=False, options=()):
        self.directory = tempfile.mkdtemp(prefix="escala-ec2-")
        words = [sys.executable, DOUBLE, *options] + (["--run", self.directory] if run else [])
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("port "), line
        self.url = f"http://127.0.0.1:{int(line.split()[1])}"
        os.environ.update(VARIABLES, AWS_ENDPOINT_URL_EC2=self.url, AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2=self.url)

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + "/_double/" + path, data=data), timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def set(self, **knobs):
        self.ask("set", knobs)

    def state(self):
        return self.ask("state")

    def instances(self, *states):
        return [i for i in self.state()["instances"] if not states or i["state"] in states]

    def state_of(self, instance):
        return next((i["state"] for i in self.instances() if i["id"] == instance), None)

    def calls(self):
        """How often each action was called, by its name."""
        return self.state()["calls"]

    def living(self):
        return self.instances("pending", "running")

    def manager(self, bin_dir, inventory=1, options=(), monitor_options=(), **more):
        """A manager that launches here and serves its agent on a port of the kernel's choice."""
        return Manager(bin_dir, ["--provider", "ec2", "--control-option=--agent-listen=127.0.0.1:0",
                                 f"--control-option=--inventory-period={inventory}",
                                 *(f"--control-option={each}" for each in options),
                                 *(f"--monitor-option={each}" for each in monitor_options)], **more)

    def console(self, instance):
        """What the instance and its agent said."""
        out = ""
        for name in ("console.log", "var/lib/escala/agent.log"):
            try:
                with open(os.path.join(self.directory, instance, name), errors="replace") as f:
                    out += f.read()
            except OSError:
                pass
        return out

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def group_yaml(name, min_size=1, max_size=6, desired=None, url=None, agent=True, ec2="", group="", user_data=""):
    """A group of EC2; with the URL of a gauge it follows that."""
    arguments = f', AgentArguments: ["--scrape", "{url}", "--series", "demand=demand"]' if url else ""
    policy = f"""
    Policies:
      - PolicyName: demand
        PolicyType: TargetTrackingScaling
        TargetTrackingConfiguration:
          CustomizedMetricSpecification: {{MetricName: demand, Namespace: Escala/Gauge, Statistic: Average}}
          TargetValue: 50
          Period: 1
          ScaleOutDatapoints: 1
          ScaleInDatapoints: 3""" if url else ""
    return f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: {name}
    MinSize: {min_size}
    MaxSize: {max_size}
    {f"DesiredCapacity: {desired}" if desired is not None else ""}
    DefaultInstanceWarmup: 0
    HealthCheckGracePeriod: 5
    AvailabilityZones: [test-1a, test-1b]
{group}
    LaunchConfiguration:
      ImageId: ami-12345678
      InstanceType: t3.micro
      {f"UserData: {user_data}" if user_data else ""}
      Ec2: {{Agent: {"true" if agent else "false"}{arguments}{", " + ec2 if ec2 else ""}}}
{policy}
"""
