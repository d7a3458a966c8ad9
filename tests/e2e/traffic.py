#!/usr/bin/env python3
"""Groups behind a real HAProxy: registered when they serve, checked, drained before they go, taken out when they are gone."""

import http.client
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from manager import ApiError, Manager, main, wait_for  # noqa: E402

# Answers with its address; 503 to checks and all else while a file of its address's name exists in the given directory.
SERVICE = """
import http.server, os, sys, time
address, port = os.environ['ESCALA_ADDRESS'], 8080
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/slow':
            open(os.path.join(sys.argv[1], address + '.asked'), 'w').close()
            while not os.path.exists(os.path.join(sys.argv[1], 'go')):
                time.sleep(0.05)
        sick = os.path.exists(os.path.join(sys.argv[1], address))
        self.send_response(503 if sick else 200)
        self.end_headers()
        self.wfile.write(address.encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((address, port), Handler).serve_forever()
"""


class Balancer:
    """haproxy in a directory of its own, listening on unix sockets alone."""

    def __init__(self, directory):
        self.dir = directory
        self.admin, self.front = os.path.join(directory, "admin.sock"), os.path.join(directory, "front.sock")
        config = os.path.join(directory, "haproxy.cfg")
        with open(config, "w") as f:
            f.write(f"""
global
    stats socket {self.admin} mode 600 level admin
    hard-stop-after 1s
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
frontend front
    bind unix@{self.front}
    default_backend web
backend web
    balance roundrobin
    option httpchk GET /
""")
        self.process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", config, "-db"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for("haproxy", lambda: self.ask("show info"))

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.admin)
            s.sendall(command.encode() + b"\n")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        return answer.decode()

    def servers(self):
        """Our servers: name -> status."""
        lines = self.ask("show stat").splitlines()
        head = lines[0][2:].split(",")
        rows = [dict(zip(head, line.split(","))) for line in lines[1:] if line]
        return {r["svname"]: r["status"] for r in rows if r["pxname"] == "web" and r["svname"].startswith("escala-")}

    def get(self, path="/"):
        connection = http.client.HTTPConnection("front")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(self.front)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def behind_haproxy(bin_dir, story, health="EC2"):
    if not (shutil.which("haproxy") or os.path.exists("/usr/sbin/haproxy")):
        return "haproxy is not installed"
    with Manager(bin_dir, start=False) as manager:
        switches = os.path.join(manager.dir, "switches")
        os.mkdir(switches)
        balancer = Balancer(manager.dir)
        try:
            manager.serve_options = ["--control-option=--haproxy-socket", f"--control-option={balancer.admin}"]
            manager.start()
            service = os.path.join(manager.dir, "service.py")
            with open(service, "w") as f:
                f.write(SERVICE)
            manager.apply(f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 0
    MaxSize: 4
    DesiredCapacity: 2
    DefaultCooldown: 0
    HealthCheckType: {health}
    HealthCheckGracePeriod: 0
    LaunchConfiguration:
      Process: {{Command: [/usr/bin/python3, {service}, {switches}], StopGrace: 1s, ServicePort: 8080}}
""")
            story(manager, balancer, switches)
        finally:
            balancer.close()
    return None


def in_service(manager, count):
    found = manager.instances("web", "InService")
    return found if len(found) == count else None


def state(manager):
    sources = manager.api("DescribeTrafficSources", AutoScalingGroupName="web").get("TrafficSources", [])
    return sources[0]["State"] if sources else None


def instances_are_registered_drained_and_taken_out(bin_dir):
    def story(manager, balancer, switches):
        wait_for("two in service", lambda: in_service(manager, 2))
        manager.api("AttachLoadBalancers", AutoScalingGroupName="web", LoadBalancerNames=["web"])
        wait_for("both to be up", lambda: sorted(s[:2] for s in balancer.servers().values()) == ["UP", "UP"])
        wait_for("the state to say so", lambda: state(manager) == "InService")
        answers = {balancer.get()[1] for _ in range(8)}
        assert answers == {i["Address"].rsplit(":", 1)[0] for i in manager.instances("web")}, answers
        # A request under way holds its instance in Terminating until it is answered.
        slow = subprocess.Popen([sys.executable, "-c", "import http.client,socket,sys\n"
                                 "c=http.client.HTTPConnection('x'); c.sock=socket.socket(socket.AF_UNIX)\n"
                                 "c.sock.connect(sys.argv[1]); c.request('GET','/slow')\n"
                                 "print(c.getresponse().status)", balancer.front], stdout=subprocess.PIPE, text=True)
        try:
            asked = wait_for("the slow request", lambda: [f for f in os.listdir(switches) if f.endswith(".asked")])
            address = asked[0][:-len(".asked")]
            busy = next(i["InstanceId"] for i in manager.instances("web") if i["Address"].startswith(address + ":"))
            manager.api("TerminateInstanceInAutoScalingGroup", InstanceId=busy, ShouldDecrementDesiredCapacity=True)
            wait_for("it to be drained", lambda: "DRAIN" in str(balancer.servers()))
            assert busy in manager.instance_processes(), "terminated with a request under way"
            assert {balancer.get()[1] for _ in range(4)} != {address}
            open(os.path.join(switches, "go"), "w").close()
            assert slow.communicate(timeout=30)[0].strip() == "200"
        finally:
            slow.kill()
            slow.wait()
        wait_for("it to go", lambda: busy not in manager.instance_processes())
        wait_for("its server to go", lambda: len(balancer.servers()) == 1)
        manager.kill()
        manager.start()
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=2)
        wait_for("another to be up", lambda: sorted(s[:2] for s in balancer.servers().values()) == ["UP", "UP"])
        manager.api("DetachLoadBalancers", AutoScalingGroupName="web", LoadBalancerNames=["web"])
        wait_for("all of them to be taken out", lambda: not balancer.servers() and state(manager) is None)
        assert in_service(manager, 2), "detaching a load balancer terminates nobody"
    return behind_haproxy(bin_dir, story)


def the_health_of_the_traffic_source_counts(bin_dir):
    def story(manager, balancer, switches):
        wait_for("two in service", lambda: in_service(manager, 2))
        manager.api("AttachTrafficSources", AutoScalingGroupName="web",
                    TrafficSources=[{"Identifier": "web", "Type": "elb"}])
        wait_for("both to be up", lambda: sorted(s[:2] for s in balancer.servers().values()) == ["UP", "UP"])
        sick = manager.instances("web")[0]
        open(os.path.join(switches, sick["Address"].rsplit(":", 1)[0]), "w").close()
        wait_for("it to be replaced", lambda: sick["InstanceId"] not in manager.instance_processes()
                 and in_service(manager, 2), 60)
        assert any("traffic source" in a["Cause"] for a in manager.activities("web")), manager.activities("web")
        wait_for("two servers that are up", lambda: sorted(s[:2] for s in balancer.servers().values()) == ["UP", "UP"])
        manager.api("DeleteAutoScalingGroup", AutoScalingGroupName="web", ForceDelete=True)
        wait_for("nothing to be left of it", lambda: not balancer.servers() and not manager.group("web"), 60)
    return behind_haproxy(bin_dir, story, "ELB")


def what_cannot_be_attached_says_why(bin_dir):
    with Manager(bin_dir) as manager:
        manager.apply("""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 0
    MaxSize: 1
    LaunchConfiguration:
      Process: {Command: [/bin/sleep, "100000"]}
""")
        try:
            manager.api("AttachLoadBalancers", AutoScalingGroupName="web", LoadBalancerNames=["web"])
        except ApiError as error:
            assert error.status == 400 and "--haproxy-socket" in error.body, error
        else:
            raise AssertionError("attached to nothing")


if __name__ == "__main__":
    main([instances_are_registered_drained_and_taken_out, the_health_of_the_traffic_source_counts,
          what_cannot_be_attached_says_why])
