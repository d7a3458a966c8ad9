#!/usr/bin/env python3
"""Groups of EC2 instances, end to end: a real manager, a double of EC2 whose instances really run their user data."""

import base64
import gzip
import http.client
import http.server
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import aws  # noqa: E402
import gauge as gauge_module  # noqa: E402
from ec2_world import VARIABLES, Ec2, group_yaml  # noqa: E402
from manager import ApiError, main, wait_for  # noqa: E402

USERS_OWN = "#!/bin/sh\necho \"the user's own\" > \"$ESCALA_ROOT/own\"\n"


def in_service(manager, name):
    return manager.instances(name, "InService")


def user_data(instance):
    return gzip.decompress(base64.b64decode(instance["user_data"])).decode()


def a_fleet_finds_home_and_follows_its_load(bin_dir):
    gauge = gauge_module.Gauge()
    gauge.set("load", 50)
    with Ec2(run=True) as ec2, ec2.manager(bin_dir) as manager:
        manager.apply(group_yaml("web", url=gauge.url("load"),
                                 user_data=base64.b64encode(USERS_OWN.encode()).decode(),
                                 group="    Tags: [{Key: team, Value: red, PropagateAtLaunch: true}]"))
        first = wait_for("one in service", lambda: in_service(manager, "web"), 60)[0]["InstanceId"]
        made = ec2.instances()[0]
        assert made["tags"]["team"] == "red" and made["tags"]["escala:group"] == "web", made
        assert made["params"]["MetadataOptions.HttpTokens"] == "required", made
        # The user's own data ran, unchanged.
        wait_for("the user's own script", lambda: os.path.exists(os.path.join(ec2.directory, first, "own")))
        assert USERS_OWN in user_data(made)
        assert len(base64.b64decode(made["user_data"])) < 16384
        gauge.set("load", 140)  # 140/50: three
        wait_for("three in service", lambda: len(in_service(manager, "web")) >= 3, 60)
        zones = {i["AvailabilityZone"] for i in in_service(manager, "web")}
        assert zones == {"test-1a", "test-1b"}, zones
        gauge.set("load", 5)
        wait_for("one again", lambda: len(manager.instances("web")) == 1 and len(ec2.living()) == 1, 60)

        # An agent that starts again keeps its session; another with the same token is refused.
        left = ec2.living()[0]
        token = re.search(r"ESCALA_JOIN_TOKEN=(\w+)", user_data(left)).group(1)
        assert re.fullmatch("[0-9a-f]{64}", token), token
        kept = subprocess.run(["grep", "-r", token, manager.dir], capture_output=True, text=True)
        assert kept.stdout == "", "the token itself is stored: " + kept.stdout
        with open(os.path.join(manager.dir, "monitor.address")) as f:
            address = f.read().strip()
        thief = subprocess.Popen(
            [os.path.join(bin_dir, "escala-agent"), "--manager", address, "--group", "web", "--instance", left["id"]],
            env={"ESCALA_JOIN_TOKEN": token}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_for("the replay to be refused",
                     lambda: "refused as instance " + left["id"] in open(manager.log, errors="replace").read())
        finally:
            thief.kill()
            thief.communicate()
        # A monitor that starts again has not forgotten which agent it was.
        os.kill(manager.child("monitor"), signal.SIGKILL)
        gauge.set("load", 90)
        wait_for("two in service after the monitor came back", lambda: len(in_service(manager, "web")) >= 2, 60)
        assert left["id"] in [i["id"] for i in ec2.living()]

        # A notice of interruption: a replacement first, then the instance goes.
        count = len(ec2.living())
        begin = time.monotonic()
        ec2.set(interrupt={left["id"]: {"action": "terminate", "time": "2026-12-01T00:00:00Z"}})
        wait_for("a replacement", lambda: len(ec2.living()) > count, 30)
        replaced = time.monotonic() - begin
        print(f"a Spot notice led to a launch after {replaced:.1f} s", flush=True)
        wait_for("the interrupted one to go", lambda: left["id"] not in [i["id"] for i in ec2.living()], 60)
    gauge.close()


def certificate(directory, name):
    """One that stands for itself, as the guide makes it, for 127.0.0.1."""
    path = os.path.join(directory, name)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=escala", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path + ".key",
                    "-out", path + ".pem"], check=True, capture_output=True)
    return path + ".pem", path + ".key"


def agents_come_home_over_tls(bin_dir):
    """The monitor as the guide starts it: TLS with a certificate of its own, and join tokens to tell the agents."""
    with tempfile.TemporaryDirectory(prefix="escala-tls-") as directory, Ec2(run=True) as ec2:
        pem, key = certificate(directory, "monitor")
        other, _ = certificate(directory, "other")
        with ec2.manager(bin_dir, options=[f"--manager-ca={pem}"],
                         monitor_options=[f"--tls-certificate={pem}", f"--tls-key={key}"]) as manager:
            manager.apply(group_yaml("web", min_size=2, max_size=2, desired=2))
            wait_for("two in service", lambda: len(in_service(manager, "web")) == 2, 60)
            with open(os.path.join(manager.dir, "monitor.address")) as f:
                address = f.read().strip()

            def told(*options, token=None):
                """What an agent of this group says in its first seconds, until it has said something of its fate."""
                agent = subprocess.Popen(
                    [os.path.join(bin_dir, "escala-agent"), "--manager", address, "--group", "web", "--instance",
                     ec2.living()[0]["id"], *options], env={"ESCALA_JOIN_TOKEN": token} if token else {},
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                try:
                    return wait_for("a word of the agent", agent.stderr.readline, 20)
                finally:
                    agent.kill()
                    agent.communicate()

            assert "reset" in told() or "closed" in told()  # it speaks TLS alone
            assert "certificate verify failed" in told("--tls-ca", other)
            for token in None, "0" * 64:
                assert "come back later" in told("--tls-ca", pem, token=token)
            assert manager.log_text().count("refused as instance") >= 2
            # It has not disturbed those who belong there.
            assert len(in_service(manager, "web")) == 2 and len(ec2.living()) == 2


def a_warm_pool_rests_stopped(bin_dir):
    """PoolState Stopped, through boto3: what is prepared is stopped, and the agent comes back when it is started."""
    with Ec2(run=True) as ec2, ec2.manager(bin_dir) as manager:
        manager.apply(group_yaml("web", min_size=1, max_size=3, desired=1))
        wait_for("one in service", lambda: len(in_service(manager, "web")) == 1, 60)
        manager.api("PutWarmPool", AutoScalingGroupName="web", MaxGroupPreparedCapacity=2)

        def pool(state):
            told = manager.api("DescribeWarmPool", AutoScalingGroupName="web")
            assert told["WarmPoolConfiguration"]["PoolState"] == "Stopped", told
            return [i for i in told.get("Instances", []) if i["LifecycleState"] == state]
        resting = wait_for("one that rests", lambda: pool("Warmed:Stopped"), 60)[0]["InstanceId"]
        wait_for("EC2 to have stopped it", lambda: ec2.state_of(resting) == "stopped")
        manager.kill()
        manager.start()
        time.sleep(3)  # long enough to do something rash
        assert pool("Warmed:Stopped") and ec2.state_of(resting) == "stopped"
        launches = ec2.calls().get("RunInstances", 0)
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=2)
        wait_for("it to serve", lambda: resting in [i["InstanceId"] for i in in_service(manager, "web")], 60)
        assert ec2.state_of(resting) == "running" and ec2.calls().get("RunInstances", 0) == launches
        # A scale-in with reuse stops it again.
        manager.api("PutWarmPool", AutoScalingGroupName="web", MaxGroupPreparedCapacity=2, PoolState="Stopped",
                    InstanceReusePolicy={"ReuseOnScaleIn": True})
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=1)
        wait_for("one that rests again", lambda: pool("Warmed:Stopped"), 60)
        assert len(ec2.living()) == 1 and len(ec2.instances("stopping", "stopped")) == 1


def an_instance_that_never_reports_is_replaced(bin_dir):
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:  # its "instances" run nothing
        manager.apply(group_yaml("mute", group="    Escala: {RegistrationTimeout: 5}"))
        first = wait_for("a launch", ec2.living)[0]["id"]
        wait_for("its end", lambda: first not in [i["id"] for i in ec2.living()], 40)
        wait_for("another try", lambda: [i for i in ec2.living() if i["id"] != first], 60)
        assert not in_service(manager, "mute")


def other_zones_and_types_take_over(bin_dir):
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        ec2.set(capacity={"test-1a": 0})
        manager.apply(group_yaml("zones", min_size=4, max_size=8, agent=False))
        wait_for("four in the other zone", lambda: len(in_service(manager, "zones")) == 4, 40)
        assert {i["zone"] for i in ec2.living()} == {"test-1b"}
        asked = len([c for c in ec2.state()["call_times"] if c[1] == "RunInstances"])
        assert asked <= 6, f"{asked} calls for one launch beside a zone without capacity"
        ec2.set(capacity={"m5.large": 0})
        manager.apply(group_yaml("types", min_size=3, max_size=8, agent=False,
                                 ec2="InstanceTypes: [m5.large, c5.large]"))
        wait_for("three of the second type", lambda: len(in_service(manager, "types")) == 3, 40)
        assert {i["type"] for i in ec2.living() if i["tags"]["escala:group"] == "types"} == {"c5.large"}


def subnets_templates_and_shares(bin_dir):
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        ec2.ask("template", {"id": "lt-1", "name": "web-template",
                             "data": {"ImageId": "ami-77", "InstanceType": "m5.large"}})
        manager.api("CreateLaunchConfiguration", LaunchConfigurationName="mixed", ImageId="ami-12345678",
                    InstanceType="t3.micro", KeyName="ops", SecurityGroups=["sg-1"],
                    Ec2={"Agent": False, "InstanceTypes": ["t3.micro", "m5.large"], "OnDemandBaseCapacity": 1,
                         "OnDemandPercentageAboveBaseCapacity": 0})
        manager.api("CreateAutoScalingGroup", AutoScalingGroupName="mixed", LaunchConfigurationName="mixed", MinSize=4,
                    MaxSize=4, VPCZoneIdentifier="subnet-00000000,subnet-00000001")
        wait_for("four in service", lambda: len(in_service(manager, "mixed")) == 4, 40)
        made = ec2.living()
        assert {i["params"]["SubnetId"] for i in made} == {"subnet-00000000", "subnet-00000001"}, made
        # Two launches at once, one a subnet: each may keep the base by itself.
        assert 1 <= len([i for i in made if not i["spot"]]) <= 2, made
        manager.api("CreateLaunchConfiguration", LaunchConfigurationName="pinned",
                    Ec2={"Agent": False, "LaunchTemplateName": "web-template", "LaunchTemplateVersion": "1"})
        manager.api("CreateAutoScalingGroup", AutoScalingGroupName="pinned", LaunchConfigurationName="pinned", MinSize=1,
                    MaxSize=1, AvailabilityZones=["test-1c"])
        wait_for("one of the template", lambda: len(in_service(manager, "pinned")) == 1, 40)
        one = [i for i in ec2.living() if i["tags"]["escala:group"] == "pinned"][0]
        assert (one["type"], one["zone"], one["params"]["LaunchTemplate.Version"]) == ("m5.large", "test-1c", "1"), one


def templates_that_are_in_ec2_are_launched_and_followed(bin_dir):
    with Ec2(run=True) as ec2, ec2.manager(bin_dir) as manager:
        def version(image):
            ec2.ask("template", {"id": "lt-0123456789abcdef0", "name": "web-template",
                                 "data": {"ImageId": image, "InstanceType": "m5.large", "NetworkInterfaces": [{"Groups": ["sg-1"]}],
                                          "UserData": base64.b64encode(USERS_OWN.encode()).decode()}})

        def launched_of():
            return sorted(i["params"]["LaunchTemplate.Version"] for i in ec2.living())
        version("ami-1")
        refused = None
        try:
            manager.api("CreateAutoScalingGroup", AutoScalingGroupName="web", MinSize=1, MaxSize=3,
                        AvailabilityZones=["test-1a"], LaunchTemplate={"LaunchTemplateName": "nobodys"})
        except ApiError as error:
            refused = str(error)
        assert refused and "launch template nobodys is not kept here, and EC2 answers" in refused, refused
        manager.api("CreateAutoScalingGroup", AutoScalingGroupName="web", MinSize=1, MaxSize=3,
                    VPCZoneIdentifier="subnet-00000000,subnet-00000001",
                    LaunchTemplate={"LaunchTemplateName": "web-template", "Version": "$Latest"})
        first = wait_for("one whose agent reports", lambda: in_service(manager, "web"), 60)[0]
        assert first["LaunchTemplate"]["Version"] == "1", first
        made = ec2.living()[0]
        assert made["params"]["LaunchTemplate.LaunchTemplateId"] == "lt-0123456789abcdef0", made
        # The template has an interface, so that subnet and security groups are told as that one's.
        assert made["params"]["NetworkInterface.1.SubnetId"] in ("subnet-00000000", "subnet-00000001"), made
        assert made["params"]["NetworkInterface.1.SecurityGroupId.1"] == "sg-1" and "SubnetId" not in made["params"], made
        wait_for("the template's own script", lambda: os.path.exists(os.path.join(ec2.directory, made["id"], "own")))
        # A refresh asks at once what $Latest is; so does a manager that starts; else the next round does.
        version("ami-2")
        manager.api("StartInstanceRefresh", AutoScalingGroupName="web")
        wait_for("one of the second version", lambda: launched_of() == ["2"] and in_service(manager, "web"), 90)
        version("ami-3")
        os.kill(manager.child("control"), signal.SIGKILL)

        def follows():
            try:
                return manager.api("DescribeAutoScalingGroups", AutoScalingGroupNames=["web"])
            except (OSError, http.client.HTTPException):
                return None
        told = wait_for("control again", follows, 30)["AutoScalingGroups"][0]
        assert told["LaunchTemplate"]["Version"] == "$Latest", told
        wait_for("the log of the follower",
                 lambda: "group web: $Latest of launch template web-template is version 3 now" in open(manager.log, errors="replace").read(), 30)
        manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=2)
        wait_for("one of the third", lambda: launched_of() == ["2", "3"] and len(in_service(manager, "web")) == 2, 60)


def what_is_ec2s_to_tell_is_passed_on(bin_dir):
    """`aws ec2 describe-...` at the manager: EC2's answer, its errors, and that only who may read of all groups gets it."""
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        manager.apply(group_yaml("web", min_size=2, agent=False))
        wait_for("two in service", lambda: len(in_service(manager, "web")) == 2, 40)
        client = aws.client(manager, "ec2")
        reservations = client.describe_instances(Filters=[{"Name": "tag:escala:group", "Values": ["web"]}])["Reservations"]
        told = {i["InstanceId"] for r in reservations for i in r["Instances"]}
        assert told == {i["id"] for i in ec2.living()}, told
        zones = client.describe_availability_zones(Filters=[{"Name": "region-name", "Values": ["test-1"]}])
        assert "test-1a" in {z["ZoneName"] for z in zones["AvailabilityZones"]}, zones
        missing = aws.refusal(client.describe_subnets, SubnetIds=["subnet-0badbadbadbadbad0"])
        assert missing.startswith("InvalidSubnetID.NotFound: The subnet ID"), missing
        other = aws.client(manager, "ec2", key=aws.new_key(manager, "read:other*"))
        assert aws.refusal(other.describe_instances).startswith("UnauthorizedOperation"), "a key for some groups"
        # An EC2 that does not answer holds back nobody else.
        ec2.set(slow=5)
        waiting = threading.Thread(target=client.describe_instances)
        waiting.start()
        for _ in range(20):
            manager.api("DescribeAutoScalingGroups")
        assert waiting.is_alive()
        ec2.set(slow=0)
        waiting.join()


def sizes_are_units_where_types_have_weights(bin_dir):
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        manager.api("CreateLaunchTemplate", LaunchTemplateName="web",
                    LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "t3.micro"})
        policy = {"LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "$Latest"},
            "Overrides": [{"InstanceType": "m5.4xlarge", "WeightedCapacity": "8"},
                          {"InstanceType": "m5.large", "WeightedCapacity": "1"}]}}
        ec2.set(capacity={"m5.4xlarge": 2})
        manager.api("CreateAutoScalingGroup", AutoScalingGroupName="units", MixedInstancesPolicy=policy, MinSize=0,
                    MaxSize=40, DesiredCapacity=19, AvailabilityZones=["test-1a"], Escala={"AgentExpected": False})

        def units():
            return sum(int(i["WeightedCapacity"]) for i in in_service(manager, "units"))
        wait_for("nineteen units", lambda: units() == 19, 40)
        assert sorted(i["type"] for i in ec2.living()) == ["m5.4xlarge"] * 2 + ["m5.large"] * 3, ec2.living()
        # What is worth more than is too much stays.
        manager.api("SetDesiredCapacity", AutoScalingGroupName="units", DesiredCapacity=17)
        wait_for("seventeen", lambda: units() == 17 and len(ec2.living()) == 3, 40)
        manager.api("SetDesiredCapacity", AutoScalingGroupName="units", DesiredCapacity=8)
        os.kill(manager.child("control"), signal.SIGKILL)
        wait_for("one large", lambda: settled(manager, ec2, units, 8), 60)
        assert [i["type"] for i in ec2.living()] == ["m5.4xlarge"], ec2.living()


def settled(manager, ec2, units, wanted):
    try:
        return units() == wanted and len(ec2.living()) == len(in_service(manager, "units"))
    except (OSError, http.client.HTTPException):
        return False


def it_carries_on_where_it_died(bin_dir):
    """kill -9 of control while launches and terminations run and answers get lost: nothing twice, nothing lost."""
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        manager.apply(group_yaml("web", min_size=0, max_size=20, desired=0, agent=False))
        wanted = 0
        for round_, size in enumerate((6, 2, 9, 3, 7)):
            wanted = size
            ec2.set(lose_answers=1 if round_ % 2 else 0, slow=0.05)
            manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=size)
            time.sleep(0.05 * round_)  # somewhere else on the way each time
            os.kill(manager.child("control"), signal.SIGKILL)
            wait_for(f"{size} in service", lambda: ready(manager, ec2, wanted), 60)
        state = ec2.state()
        tokens = {i["tags"]["escala:intent"] for i in state["instances"]}
        for token in tokens:
            assert len([i for i in state["instances"] if i["tags"]["escala:intent"] == token]) <= 9, token
        known = {i["InstanceId"] for i in manager.instances("web")}
        assert known == {i["id"] for i in ec2.living()}


def ready(manager, ec2, size):
    try:
        return len(in_service(manager, "web")) == size and len(ec2.living()) == size
    except (OSError, http.client.HTTPException):
        return False


def the_doctor_says_what_to_mend(bin_dir):
    escala = os.path.join(bin_dir, "escala")
    with Ec2() as ec2:
        def doctor(code, **variables):
            done = subprocess.run([escala, "ctl", "doctor", "ec2", "--state-dir", ec2.directory], env={**os.environ, **variables}, capture_output=True,
                                  text=True, timeout=60)
            assert done.returncode == code, done.stdout + done.stderr
            return done.stdout + done.stderr
        assert "RunInstances: allowed" in doctor(0)
        ec2.set(deny=["RunInstances"])
        assert "RunInstances: NOT allowed" in doctor(1)
        ec2.set(deny=[], clock=900)
        assert "clock" in doctor(1)
        ec2.set(clock=0)
        assert "not able to validate" in doctor(1, AWS_ACCESS_KEY_ID="AKIANOBODY")
    done = subprocess.run([escala, "ctl", "iam-policy"], capture_output=True, text=True, check=True)
    assert '"ec2:RunInstances"' in done.stdout and "escala:cluster" in done.stdout


def signatures_are_what_botocore_makes(bin_dir):
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
    except ImportError:
        return "python3-botocore is not installed"
    seen = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((dict(self.headers.items()), body))
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    token = "session/token+=="
    subprocess.run([os.path.join(bin_dir, "escala"), "ctl", "doctor", "ec2"], timeout=60, capture_output=True,
                   env={**os.environ, **VARIABLES, "AWS_ENDPOINT_URL_EC2": url, "AWS_SESSION_TOKEN": token})
    server.shutdown()
    server.server_close()
    assert len(seen) >= 5, seen
    for headers, body in seen:
        ours = {k.lower(): v for k, v in headers.items()}
        names = re.search(r"SignedHeaders=([^,]+)", ours["authorization"]).group(1).split(";")
        request = AWSRequest("POST", url, data=body, headers={n: ours[n] for n in names if n != "host"})
        request.context["timestamp"] = ours["x-amz-date"]
        auth = SigV4Auth(Credentials("AKIADOUBLE", "double-secret", token), "ec2", "test-1")
        canonical = auth.canonical_request(request)
        signature = auth.signature(auth.string_to_sign(request, canonical), request)
        assert ours["authorization"].endswith("Signature=" + signature), (canonical, ours)


def motos_ec2_is_driven_too(bin_dir):
    """moto as a peer, where this machine has it."""
    moto = next((p for p in (os.environ.get("MOTO_SERVER", ""), "/opt/moto/moto_server") if os.access(p, os.X_OK)), None)
    command = [moto] if moto else [sys.executable, "-m", "moto.server"]
    if moto is None and subprocess.run([sys.executable, "-c", "import moto.server"], capture_output=True).returncode:
        return "moto is not on this machine (MOTO_SERVER names it)"
    with open(os.devnull, "w") as nowhere:
        for port in (int.from_bytes(os.urandom(2), "big") % 20000 + 20000 for _ in range(5)):
            server = subprocess.Popen([*command, "-H", "127.0.0.1", "-p", str(port)], stdout=nowhere, stderr=nowhere)
            try:
                os.environ.update(VARIABLES, AWS_REGION="us-east-1", AWS_ENDPOINT_URL_EC2=f"http://127.0.0.1:{port}")
                wait_for("moto to listen", lambda: server.poll() is not None or listening(port), 30)
                if server.poll() is not None:
                    continue  # the port was taken
                from manager import Manager
                with Manager(bin_dir, ["--provider", "ec2", "--control-option=--inventory-period=1"]) as manager:
                    manager.apply(group_yaml("web", min_size=3, agent=False).replace("test-1", "us-east-1"))
                    wait_for("three in service", lambda: len(in_service(manager, "web")) == 3, 60)
                    manager.api("UpdateAutoScalingGroup", AutoScalingGroupName="web", MinSize=1, DesiredCapacity=1)
                    wait_for("one left", lambda: len(manager.instances("web")) == 1, 60)
                    motos_warm_pool_rests(manager)
                    motos_templates_and_weights(manager, port)
                return None
            finally:
                server.kill()
                server.wait()
    return "moto found no port"


def motos_warm_pool_rests(manager):
    manager.api("PutWarmPool", AutoScalingGroupName="web", MaxGroupPreparedCapacity=2, PoolState="Stopped")

    def pool(state):
        told = manager.api("DescribeWarmPool", AutoScalingGroupName="web").get("Instances", [])
        return [i["InstanceId"] for i in told if i["LifecycleState"] == state]
    resting = wait_for("one that rests in moto", lambda: pool("Warmed:Stopped"), 60)[0]
    manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=2)
    wait_for("it to serve", lambda: resting in [i["InstanceId"] for i in in_service(manager, "web")], 60)


def ask_moto(port, action, **params):
    """As boto3 would; moto does not look at signatures."""
    from urllib.parse import urlencode
    from urllib.request import Request, urlopen
    body = urlencode({"Action": action, "Version": "2016-11-15", **params}).encode()
    credential = "AWS4-HMAC-SHA256 Credential=AKIADOUBLE/20261130/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
    with urlopen(Request(f"http://127.0.0.1:{port}/", body, {"Authorization": credential}), timeout=30) as answer:
        return answer.read().decode()


def motos_templates_and_weights(manager, port):
    made = ask_moto(port, "CreateLaunchTemplate", LaunchTemplateName="of-moto", **{
        "LaunchTemplateData.ImageId": "ami-12c6146b", "LaunchTemplateData.InstanceType": "m5.large"})
    assert "of-moto" in made, made
    manager.api("CreateAutoScalingGroup", AutoScalingGroupName="units", MinSize=0, MaxSize=9, DesiredCapacity=5,
                AvailabilityZones=["us-east-1a"], Escala={"AgentExpected": False}, MixedInstancesPolicy={"LaunchTemplate": {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": "of-moto", "Version": "$Latest"},
                    "Overrides": [{"InstanceType": "m5.xlarge", "WeightedCapacity": "2"},
                                  {"InstanceType": "m5.large", "WeightedCapacity": "1"}]}})

    def units():
        return sum(int(i["WeightedCapacity"]) for i in in_service(manager, "units"))
    # moto makes MinCount instances where MaxCount are asked for, so that the second type and another launch have a part.
    wait_for("five units, or six", lambda: 5 <= units() <= 6, 60)
    assert {i["LaunchTemplate"]["Version"] for i in in_service(manager, "units")} == {"1"}
    manager.api("SetDesiredCapacity", AutoScalingGroupName="units", DesiredCapacity=2)
    wait_for("two units", lambda: units() == 2, 60)


def listening(port):
    import socket
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def target_groups_follow_the_group(bin_dir):
    arn = "arn:aws:elasticloadbalancing:test-1:123456789012:targetgroup/web/0123456789abcdef"
    with Ec2() as ec2, ec2.manager(bin_dir) as manager:
        ec2.set(target_groups=[arn])

        def health():
            return {t["id"]: t["state"] for t in ec2.state()["targets"].get(arn, [])}

        manager.apply(group_yaml("web", min_size=2, max_size=4, agent=False,
                                 group="    HealthCheckType: ELB\n    Escala: {ReplacementPercent: 100, ReplacementWindow: 10s}"))
        wait_for("two in service", lambda: len(in_service(manager, "web")) == 2, 40)
        for wrong in ("web", "arn:aws:elasticloadbalancing:test-1:1:loadbalancer/app/web/0"):
            try:
                manager.api("AttachTrafficSources", AutoScalingGroupName="web", TrafficSources=[{"Identifier": wrong}])
                raise AssertionError(wrong)
            except ApiError as error:
                assert "expected the ARN of one" in str(error), error
        manager.api("AttachLoadBalancerTargetGroups", AutoScalingGroupName="web", TargetGroupARNs=[arn])
        wait_for("both healthy behind the target group", lambda: sorted(health()) == sorted(
            i["InstanceId"] for i in in_service(manager, "web")) and set(health().values()) == {"healthy"}, 40)

        def told():
            return manager.api("DescribeLoadBalancerTargetGroups",
                               AutoScalingGroupName="web").get("LoadBalancerTargetGroups", [])

        wait_for("InService", lambda: told()[0]["State"] == "InService", 20)
        # A new one serves when the target group says so; one that its checks refuse is replaced.
        sick = sorted(health())[0]
        ec2.set(sick=[sick])
        wait_for("the sick one replaced", lambda: sick not in {i["InstanceId"] for i in manager.instances("web")} and
                 len(in_service(manager, "web")) == 2, 90)
        assert sick not in health(), health()
        # It left the target group before it was terminated.
        calls = [(t, action) for t, action, outcome in ec2.state()["call_times"] if outcome == "ok"]
        ended = [t for t, action in calls if action == "TerminateInstances"]
        left = [t for t, action in calls if action == "DeregisterTargets"]
        assert left and ended and min(left) < min(ended), (left, ended)
        manager.api("DetachLoadBalancerTargetGroups", AutoScalingGroupName="web", TargetGroupARNs=[arn])
        wait_for("nobody behind it", lambda: not health() and not told(), 40)
        assert len(in_service(manager, "web")) == 2


if __name__ == "__main__":
    main([a_fleet_finds_home_and_follows_its_load, agents_come_home_over_tls, a_warm_pool_rests_stopped, an_instance_that_never_reports_is_replaced,
          other_zones_and_types_take_over, subnets_templates_and_shares,
          templates_that_are_in_ec2_are_launched_and_followed, what_is_ec2s_to_tell_is_passed_on, sizes_are_units_where_types_have_weights,
          it_carries_on_where_it_died,
          target_groups_follow_the_group, the_doctor_says_what_to_mend, signatures_are_what_botocore_makes, motos_ec2_is_driven_too])
