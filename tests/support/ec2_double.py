#!/usr/bin/env python3
"""EC2, as far as Escala speaks with it, over HTTP on loopback: it behaves, and can be given every fault of the real one.

    ec2_double.py [--port 0] [--zones a,b] [--no-auth] [--run DIR]

Prints "port N" when it listens. It checks SigV4 by itself (own code, against the scope, the date and the body), honours
ClientToken, shows new instances late if asked to, throttles, runs out of capacity, loses answers, breaks its XML.
Knobs: POST /_double/set {"name": value, ...}; GET /_double/state tells everything; see World.knobs.

With --run DIR the "instances" are plain processes: each runs the script parts of its user data, with ESCALA_ROOT in a
directory of its own, an address in 127.80.0.0/12 and an instance metadata service (IMDSv2 alone) of its own. They end
when they are terminated, and with this process.
"""

import argparse
import base64
import calendar
import email
import gzip
import hashlib
import hmac
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

XMLNS = 'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"'


def iso(t):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(t))


class Members(list):
    """A list as the newer services write it."""


class Repeated(list):
    """A list whose elements have a name of their own."""

    def __init__(self, name, values):
        super().__init__(values)
        self.name = name


def xml(value):
    """dict -> elements, list -> <item>s (Members -> <member>s), anything else -> text."""
    if isinstance(value, Repeated):
        return "".join(f"<{value.name}>{xml(v)}</{value.name}>" for v in value)
    if isinstance(value, Members):
        return "".join(f"<member>{xml(v)}</member>" for v in value)
    if isinstance(value, dict):
        return "".join(f"<{k}>{xml(v)}</{k}>" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return "".join(f"<item>{xml(v)}</item>" for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


class Fault(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class DropAnswer(Exception):
    pass


class World:
    """The account. Everything under one lock."""

    def __init__(self, options):
        self.lock = threading.RLock()
        self.options = options
        self.random = random.Random(options.seed)
        self.instances = {}      # id -> dict
        self.tokens = {}         # ClientToken -> (fingerprint, [ids])
        self.templates = {}      # id -> {"name", "default", "versions": {n: data}}
        self.calls = {}          # action -> number
        self.ok_calls = {}
        self.call_times = []     # (time, action, outcome)
        self.subnets = {f"subnet-{i:08x}": z for i, z in enumerate(options.zones)}
        self.types = {"t3.micro": (2, 1024), "m5.large": (2, 8192), "c5.large": (2, 4096), "m5.xlarge": (4, 16384)}
        self.keys = {"AKIADOUBLE": {"secret": "double-secret", "token": None, "expired": False}}
        self.session_count = 0
        self.pages = {}
        self.imds_tokens = set()
        self.targets = {}        # ARN -> {instance id: [registered at, deregistered at or None]}
        self.max_intent_live = {}
        self.mismatches = 0
        # What tests turn. Times in seconds.
        self.knobs = {
            "throttle": 0.0,            # share of calls answered RequestLimitExceeded
            "throttle_actions": None,   # or only these
            "capacity": {},             # zone or type or "zone/type" -> how many it still has
            "fail": [],                 # [{"action","code","status","message","times"}]
            "lose_answers": 0,          # next changes: act, then break the connection
            "lose_requests": 0,         # next changes: break the connection, do nothing
            "visible_after": 0.0,       # until Describe shows a new instance
            "boot": 0.0,                # pending -> running
            "shutdown": 0.0,            # shutting-down -> terminated
            "remember": 3600.0,         # how long what is terminated is shown
            "token_memory": 86400.0,    # how long a ClientToken is known
            "shift_pages": False,       # pages overlap and are shuffled
            "slow": 0.0,                # before each answer
            "malformed": 0,             # next answers
            "truncated": 0,
            "clock": 0.0,               # our clock minus the machine's
            "page_size": 1000,
            "impaired": [],
            "hide": [],
            "honour_tokens": True,
            "honour_tags": True,
            "deny": [],                 # actions the policy does not allow
            "interrupt": {},            # instance id -> {"action","time"}: spot/instance-action
            "rebalance": {},            # instance id -> noticeTime
            "role": "escala-manager",   # of the machine, in the metadata service
            "target_groups": [],        # ARNs there are
            "sick": [],                 # instance ids that their target group's checks fail
            "check": 0.3,               # until a new target's first check
            "deregistration": 1.0,      # how long a target is drained
        }

    # --- time --------------------------------------------------------------------------------------------------------

    def now(self):
        return time.time() + self.knobs["clock"]

    def state(self, i):
        t = time.time()
        if i["ended"] is not None:
            return "terminated" if t >= i["ended"] + self.knobs["shutdown"] else "shutting-down"
        if i["stopped"] is not None:
            return "stopped" if t >= i["stopped"] + self.knobs["shutdown"] else "stopping"
        return "running" if t >= i["made"] + self.knobs["boot"] else "pending"

    CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

    def show(self, i):
        state = i.get("forced_state") or self.state(i)
        gone = state == "terminated"
        return {
            "instanceId": i["id"], "imageId": i["image"],
            "instanceState": {"code": self.CODES[state], "name": state},
            "privateIpAddress": None if gone else i["address"], "instanceType": i["type"],
            "launchTime": iso(i["made"]), "placement": {"availabilityZone": i["zone"], "tenancy": "default"},
            "subnetId": i["subnet"], "clientToken": i["token"],
            "stateReason": {"code": i["reason"], "message": i["reason"]} if i["reason"] else None,
            "instanceLifecycle": "spot" if i["spot"] else None,
            "tagSet": [{"key": k, "value": v} for k, v in i["tags"].items()] if i["tags"] else None,
        }

    # --- actions -----------------------------------------------------------------------------------------------------

    def RunInstances(self, p):
        if p.get("DryRun") == "true":
            raise Fault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        low, high = int(p["MinCount"]), int(p["MaxCount"])
        token = p.get("ClientToken", "")
        if len(token) > 64:
            raise Fault("InvalidParameterValue", "ClientToken is longer than 64 characters")
        data = base64.b64decode(p.get("UserData", ""))
        if len(data) > 16384:
            raise Fault("InvalidUserData.Malformed", "User data is limited to 16384 bytes")
        fingerprint = hashlib.sha256(json.dumps(
            {k: v for k, v in p.items() if k != "Signature"}, sort_keys=True).encode()).hexdigest()
        if token and token in self.tokens and self.knobs["honour_tokens"]:
            known, ids, at = self.tokens[token]
            alive = [i for i in ids if self.instances[i]["ended"] is None]
            if alive or time.time() - at < self.knobs["token_memory"]:
                if known != fingerprint:
                    self.mismatches += 1
                    raise Fault("IdempotentParameterMismatch", "The token was used with other parameters")
                if not alive:
                    raise Fault("IdempotentInstanceTerminated", "All instances of the token have been terminated")
                return self.launched(ids)
        template = {}
        for name in ("LaunchTemplateId", "LaunchTemplateName"):
            if "LaunchTemplate." + name in p:
                template = self.template_data(p["LaunchTemplate." + name], p.get("LaunchTemplate.Version", "$Default"))
        image = p.get("ImageId", template.get("ImageId", ""))
        kind = p.get("InstanceType", template.get("InstanceType", "m1.small"))
        if not image.startswith("ami-") or "0000000000" in image:
            raise Fault("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
        if template.get("NetworkInterfaces") and ("SubnetId" in p or "SecurityGroupId.1" in p):
            raise Fault("InvalidParameterCombination", "Network interfaces and an instance-level subnet ID may not be specified "
                                                       "on the same request")
        subnet = p.get("SubnetId") or p.get("NetworkInterface.1.SubnetId")
        zone = self.subnets.get(subnet) if subnet else p.get("Placement.AvailabilityZone", self.options.zones[0])
        if zone not in self.options.zones:
            raise Fault("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        room = high
        for key in (zone, kind, f"{zone}/{kind}", "spot" if p.get("InstanceMarketOptions.MarketType") else "on-demand"):
            if key in self.knobs["capacity"]:
                room = min(room, self.knobs["capacity"][key])
        if room < low:
            raise Fault("InsufficientInstanceCapacity",
                        f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested "
                        f"({zone}).", 500)
        for key in (zone, kind, f"{zone}/{kind}"):
            if key in self.knobs["capacity"]:
                self.knobs["capacity"][key] -= room
        tags = {}
        if self.knobs["honour_tags"]:
            for n in range(1, 10):
                if p.get(f"TagSpecification.{n}.ResourceType") == "instance":
                    for k in range(1, 60):
                        if f"TagSpecification.{n}.Tag.{k}.Key" in p:
                            tags[p[f"TagSpecification.{n}.Tag.{k}.Key"]] = p[f"TagSpecification.{n}.Tag.{k}.Value"]
        ids = []
        for _ in range(room):
            n = len(self.instances) + 1
            i = {"id": f"i-{self.random.getrandbits(68):017x}", "image": image, "type": kind, "zone": zone,
                 "subnet": subnet, "token": token, "spot": p.get("InstanceMarketOptions.MarketType") == "spot",
                 "made": time.time(), "ended": None, "stopped": None, "reason": "", "tags": dict(tags), "user_data": data,
                 "params": {k: v for k, v in p.items() if k != "UserData"},
                 "address": f"127.{80 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}", "process": None}
            self.instances[i["id"]] = i
            ids.append(i["id"])
        if token:
            self.tokens[token] = (fingerprint, ids, time.time())
        if self.options.run:
            for each in ids:
                self.start_process(self.instances[each])
        return self.launched(ids)

    def launched(self, ids):
        return {"reservationId": "r-" + hashlib.sha256(ids[0].encode()).hexdigest()[:17], "ownerId": "123456789012",
                "instancesSet": [self.show(self.instances[i]) for i in ids]}

    def matches(self, i, filters):
        for name, values in filters:
            if name.startswith("tag:"):
                if i["tags"].get(name[4:]) not in values:
                    return False
            elif name == "tag-key":
                if not any(v in i["tags"] for v in values):
                    return False
            elif name == "instance-state-name":
                if self.state(i) not in values:
                    return False
            elif name not in ("region-name",):
                raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
        return True

    @staticmethod
    def filters(p):
        out = []
        for n in range(1, 20):
            if f"Filter.{n}.Name" in p:
                out.append((p[f"Filter.{n}.Name"],
                            [p[f"Filter.{n}.Value.{k}"] for k in range(1, 200) if f"Filter.{n}.Value.{k}" in p]))
        return out

    def DescribeInstances(self, p):
        asked = [v for k, v in p.items() if k.startswith("InstanceId.")]
        t = time.time()
        visible = [i for i in self.instances.values()
                   if t >= i["made"] + self.knobs["visible_after"] and i["id"] not in self.knobs["hide"] and
                   not (i["ended"] is not None and t - i["ended"] > self.knobs["remember"])]
        if asked:
            known = {i["id"]: i for i in visible}
            for each in asked:
                if not each.startswith("i-"):
                    raise Fault("InvalidInstanceID.Malformed", f"Invalid id: \"{each}\"")
                if each not in known:
                    raise Fault("InvalidInstanceID.NotFound", f"The instance ID '{each}' does not exist")
            visible = [known[each] for each in asked]
        filters = self.filters(p)
        found = [i for i in visible if self.matches(i, filters)]
        found.sort(key=lambda i: i["id"])
        size = min(int(p.get("MaxResults", 1000)), self.knobs["page_size"])
        start = 0
        if "NextToken" in p:
            if p["NextToken"] not in self.pages:
                raise Fault("InvalidNextToken", "The token is not valid")
            start = self.pages.pop(p["NextToken"])
        if self.knobs["shift_pages"] and start > 0:
            start = max(0, start - 1)  # somebody has gone meanwhile: the last of the page before comes again
            size += 1
        page = found[start:start + size]
        if self.knobs["shift_pages"]:
            self.random.shuffle(page)
        out = {"reservationSet": [{"reservationId": "r-" + i["id"][2:], "ownerId": "123456789012",
                                   "instancesSet": [self.show(i)]} for i in page]}
        if start + size < len(found):
            token = f"{self.random.getrandbits(64):016x}"
            self.pages[token] = start + size
            out["nextToken"] = token
        return out

    def StopInstances(self, p):
        def stop(i):
            if i["stopped"] is None:
                if p.get("Hibernate") == "true" and i["params"].get("HibernationOptions.Configured") != "true":
                    raise Fault("UnsupportedHibernationConfiguration", "The instance is not enabled for hibernation")
                i["stopped"] = time.time()
                self.stop_process(i)
        return self.switch(p, ("running", "stopping", "stopped"), stop)

    def StartInstances(self, p):
        def start(i):
            if i["stopped"] is not None:
                i["stopped"], i["made"] = None, time.time()
                if self.options.run:
                    self.boot_process(i)
        return self.switch(p, ("pending", "running", "stopped"), start)

    def switch(self, p, allowed, do):
        """Each instance in an allowed state is as asked for afterwards; none of them in another one."""
        which = self.named_instances(p)
        for i in which:
            if self.state(i) not in allowed:
                raise Fault("IncorrectInstanceState",
                            f"The instance '{i['id']}' is not in a state from which it can be switched: {self.state(i)}")
            if i["spot"]:
                raise Fault("UnsupportedOperation", "You can't stop or start a one-time Spot Instance")
        out = []
        for i in which:
            before = self.state(i)
            do(i)
            out.append({"instanceId": i["id"], "currentState": {"code": 0, "name": self.state(i)},
                        "previousState": {"code": 0, "name": before}})
        return {"instancesSet": out}

    def named_instances(self, p):
        ids = [v for k, v in p.items() if k.startswith("InstanceId.")]
        for each in ids:
            if not each.startswith("i-"):
                raise Fault("InvalidInstanceID.Malformed", f"Invalid id: \"{each}\"")
            if each not in self.instances or time.time() < self.instances[each]["made"] + self.knobs["visible_after"]:
                raise Fault("InvalidInstanceID.NotFound", f"The instance ID '{each}' does not exist")
        if p.get("DryRun") == "true":
            raise Fault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        return [self.instances[each] for each in ids]

    def TerminateInstances(self, p):
        out = []
        for i in self.named_instances(p):
            each, before = i["id"], self.state(i)
            self.end(i, "Client.UserInitiatedShutdown: User initiated shutdown")
            out.append({"instanceId": each, "currentState": {"code": 0, "name": self.state(i)},
                        "previousState": {"code": 0, "name": before}})
        return {"instancesSet": out}

    def end(self, i, reason):
        if i["ended"] is None:
            i["ended"] = time.time()
            i["reason"] = reason
            self.stop_process(i)

    def CreateTags(self, p):
        ids = [v for k, v in p.items() if k.startswith("ResourceId.")]
        for each in ids:
            if each not in self.instances:
                raise Fault("InvalidInstanceID.NotFound", f"The instance ID '{each}' does not exist")
        if p.get("DryRun") == "true":
            raise Fault("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        for each in ids:
            for n in range(1, 60):
                if f"Tag.{n}.Key" in p:
                    self.instances[each]["tags"][p[f"Tag.{n}.Key"]] = p.get(f"Tag.{n}.Value", "")
        return {"return": True}

    def DescribeInstanceStatus(self, p):
        which = [name for name, _ in self.filters(p)]
        out = []
        for each in self.knobs["impaired"]:
            out.append({"instanceId": each, "instanceStatus": {"status": "impaired"},
                        "systemStatus": {"status": "impaired" if "system-status.status" in which else "ok"}})
        return {"instanceStatusSet": out}

    # --- Elastic Load Balancing ---

    def targets_of(self, p):
        arn = p.get("TargetGroupArn", "")
        if arn not in self.knobs["target_groups"]:
            raise Fault("TargetGroupNotFound", f"One or more target groups not found: {arn}")
        targets = self.targets.setdefault(arn, {})
        for each in list(targets):
            over = targets[each][1] is not None and time.time() > targets[each][1] + self.knobs["deregistration"]
            if over or each not in self.instances or self.state(self.instances[each]) == "terminated":
                del targets[each]
        return targets

    @staticmethod
    def target_ids(p):
        return [v for k, v in p.items() if k.startswith("Targets.member.") and k.endswith(".Id")]

    def RegisterTargets(self, p):
        targets = self.targets_of(p)
        for each in self.target_ids(p):
            if each not in self.instances or self.state(self.instances[each]) != "running":
                raise Fault("InvalidTarget", f"The following targets are not in a running state and cannot be registered: '{each}'")
        for each in self.target_ids(p):
            targets[each] = [time.time(), None]
        return {"RegisterTargetsResult": {}}

    def DeregisterTargets(self, p):
        targets = self.targets_of(p)
        for each in self.target_ids(p):
            if each in targets and targets[each][1] is None:
                targets[each][1] = time.time()
        return {"DeregisterTargetsResult": {}}

    def DescribeTargetHealth(self, p):
        def health(each, since, until):
            if until is not None:
                return {"State": "draining", "Reason": "Target.DeregistrationInProgress",
                        "Description": "Target deregistration is in progress"}
            if time.time() < since + self.knobs["check"]:
                return {"State": "initial", "Reason": "Elb.RegistrationInProgress", "Description": "Target registration is in progress"}
            if each in self.knobs["sick"]:
                return {"State": "unhealthy", "Reason": "Target.FailedHealthChecks", "Description": "Health checks failed"}
            return {"State": "healthy"}
        return {"DescribeTargetHealthResult": {"TargetHealthDescriptions": Members(
            {"Target": {"Id": each, "Port": 80}, "TargetHealth": health(each, *times)}
            for each, times in sorted(self.targets_of(p).items()))}}

    def DescribeAvailabilityZones(self, p):
        return {"availabilityZoneInfo": [{"zoneName": z, "zoneState": "available", "regionName": self.options.region}
                                         for z in self.options.zones]}

    def DescribeSubnets(self, p):
        asked = [v for k, v in p.items() if k.startswith("SubnetId.")]
        for each in asked:
            if each not in self.subnets:
                raise Fault("InvalidSubnetID.NotFound", f"The subnet ID '{each}' does not exist")
        return {"subnetSet": [{"subnetId": s, "availabilityZone": z, "state": "available"}
                              for s, z in self.subnets.items() if not asked or s in asked]}

    def DescribeInstanceTypes(self, p):
        asked = [v for k, v in p.items() if k.startswith("InstanceType.")]
        for each in asked:
            if each not in self.types:
                raise Fault("InvalidInstanceType", f"The following supplied instance types do not exist: [{each}]")
        return {"instanceTypeSet": [{"instanceType": t, "vCpuInfo": {"defaultVCpus": c}, "memoryInfo": {"sizeInMiB": m}}
                                    for t, (c, m) in self.types.items() if not asked or t in asked]}

    def template_data(self, which, version):
        for key, template in self.templates.items():
            if which in (key, template["name"]):
                n = {"$Default": template["default"], "$Latest": max(template["versions"])}.get(version) or int(version)
                if n not in template["versions"]:
                    raise Fault("InvalidLaunchTemplateId.VersionNotFound", f"Could not find version {version}")
                return template["versions"][n]
        raise Fault("InvalidLaunchTemplateName.NotFoundException", "At least one of the launch templates does not exist")

    def DescribeLaunchTemplateVersions(self, p):
        which = p.get("LaunchTemplateId") or p.get("LaunchTemplateName")
        version = p.get("LaunchTemplateVersion.1", "$Default")
        data = self.template_data(which, version)
        for key, template in self.templates.items():
            if which in (key, template["name"]):
                n = {"$Default": template["default"], "$Latest": max(template["versions"])}.get(version) or int(version)
                told = {lower: data[k] for k, lower in (("ImageId", "imageId"), ("InstanceType", "instanceType"),
                                                        ("UserData", "userData")) if k in data}
                if "NetworkInterfaces" in data:
                    told["networkInterfaceSet"] = [
                        {"deviceIndex": 0, "groupSet": Repeated("groupId", each.get("Groups", [])),
                         "associatePublicIpAddress": each.get("AssociatePublicIpAddress")}
                        for each in data["NetworkInterfaces"]]
                if "InstanceMarketOptions" in data:
                    market = data["InstanceMarketOptions"]
                    told["instanceMarketOptions"] = {"marketType": market["MarketType"], "spotOptions": {
                        "maxPrice": market.get("SpotOptions", {}).get("MaxPrice", "")}}
                return {"launchTemplateVersionSet": [{
                    "launchTemplateId": key, "launchTemplateName": template["name"], "versionNumber": n,
                    "createTime": iso(self.now() - 3600),
                    "launchTemplateData": told}]}
        return {}

    # --- STS ---------------------------------------------------------------------------------------------------------

    def session(self, seconds=3600):
        self.session_count += 1
        key = f"ASIADOUBLE{self.session_count}"
        self.keys[key] = {"secret": f"session-secret-{self.session_count}", "token": f"session/token+{self.session_count}==",
                          "expired": False}
        return {"AccessKeyId": key, "SecretAccessKey": self.keys[key]["secret"],
                "SessionToken": self.keys[key]["token"], "Expiration": iso(self.now() + seconds)}

    def AssumeRole(self, p):
        return {"AssumeRoleResult": {"Credentials": self.session()}}

    def AssumeRoleWithWebIdentity(self, p):
        if p.get("WebIdentityToken") != "a-web-identity":
            raise Fault("InvalidIdentityToken", "The web identity token is not valid")
        return {"AssumeRoleWithWebIdentityResult": {"Credentials": self.session()}}

    # --- instances as processes --------------------------------------------------------------------------------------

    def start_process(self, i):
        root = os.path.join(self.options.run, i["id"])
        os.makedirs(os.path.join(root, "var/lib/cloud/scripts/per-boot"), exist_ok=True)
        data = i["user_data"]
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data.startswith(b"#!"):
            parts = [("user-data", data)]
        else:
            message = email.message_from_bytes(data)
            parts = [(part.get_filename() or f"part-{n}", part.get_payload(decode=True))
                     for n, part in enumerate(message.walk()) if part.get_content_type() == "text/x-shellscript"]
        lines = []
        for n, (name, script) in enumerate(parts):
            path = os.path.join(root, f"part-{n:03d}-{os.path.basename(name)}")
            with open(path, "wb") as f:
                f.write(script)
            os.chmod(path, 0o700)
            lines.append(f'"{path}" || echo "part {n} failed"')
        self.run_script(i, root, lines)

    def boot_process(self, i):
        """As after a stop: user data does not run again, what it left to run at each boot does."""
        root = os.path.join(self.options.run, i["id"])
        per_boot = os.path.join(root, "var/lib/cloud/scripts/per-boot")
        self.run_script(i, root, [f'"{os.path.join(per_boot, name)}"' for name in sorted(os.listdir(per_boot))])

    def run_script(self, i, root, lines):
        script = "\n".join(lines) + "\nwhile :; do sleep 3600; done\n"
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": root, "ESCALA_ROOT": root,
               "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self.options.port}/imds/{i['id']}",
               "ESCALA_SOURCE_ADDRESS": i["address"], "EC2_DOUBLE_INSTANCE": i["id"]}
        with open(os.path.join(root, "console.log"), "ab") as log:
            i["process"] = subprocess.Popen(["/bin/sh", "-c", script], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True, cwd=root)

    @staticmethod
    def stop_process(i):
        process = i["process"]
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        i["process"] = None

    def close(self):
        with self.lock:
            for i in self.instances.values():
                self.stop_process(i)

    # --- what tests see ----------------------------------------------------------------------------------------------

    def summary(self):
        return {
            "calls": self.calls, "ok_calls": self.ok_calls, "mismatches": self.mismatches,
            "call_times": self.call_times[-200_000:],
            "targets": {arn: [{"id": each["Target"]["Id"], "state": each["TargetHealth"]["State"]} for each in
                              self.DescribeTargetHealth({"TargetGroupArn": arn})["DescribeTargetHealthResult"]
                              ["TargetHealthDescriptions"]] for arn in self.knobs["target_groups"]},
            "tokens": {t: ids for t, (_, ids, _) in self.tokens.items()},
            "instances": [{"id": i["id"], "zone": i["zone"], "type": i["type"], "state": self.state(i), "tags": i["tags"],
                           "spot": i["spot"], "token": i["token"], "params": i["params"], "address": i["address"],
                           "user_data": base64.b64encode(i["user_data"]).decode(), "made": i["made"],
                           "ended": i["ended"]}
                          for i in self.instances.values()],
        }


def expected_signature(secret, method, path, headers, signed, body, date, region, service):
    canonical = "\n".join([method, path, "", *(f"{h}:{' '.join(headers.get(h, '').split())}" for h in signed), "",
                           ";".join(signed), hashlib.sha256(body).hexdigest()])
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for step in (date[:8], region, service, "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None
    options = None

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(self.world.now() if timestamp is None else timestamp)

    def answer(self, status, body, kind="text/xml"):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def fault(self, fault, form):
        if form.get("Version", "")[:4] in ("2011", "2015"):
            return self.answer(fault.status, f"<ErrorResponse><Error><Type>Sender</Type><Code>{fault.code}</Code>"
                               f"<Message>{escape(fault.message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>")
        return self.answer(fault.status, f"<?xml version=\"1.0\"?><Response><Errors><Error><Code>{fault.code}</Code>"
                           f"<Message>{escape(fault.message)}</Message></Error></Errors><RequestID>r</RequestID></Response>")

    def check_signature(self, body, form):
        world = self.world
        if form.get("Action") == "AssumeRoleWithWebIdentity" or self.options.no_auth:
            return
        header = self.headers.get("Authorization", "")
        if not header.startswith("AWS4-HMAC-SHA256 "):
            raise Fault("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        parts = dict(p.strip().split("=", 1) for p in header[len("AWS4-HMAC-SHA256 "):].split(","))
        key, day, region, service, end = parts["Credential"].split("/")
        signed = parts["SignedHeaders"].split(";")
        headers = {k.lower(): v for k, v in self.headers.items()}
        date = headers.get("x-amz-date", "")
        if not {"host", "x-amz-date"} <= set(signed) or signed != sorted(signed) or end != "aws4_request":
            raise Fault("IncompleteSignature", "host and x-amz-date must be signed", 400)
        known = world.keys.get(key)
        if known is None:
            raise Fault("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        wanted = {"2011": "sts", "2015": "elasticloadbalancing"}.get(form.get("Version", "")[:4], "ec2")
        if service != wanted or region != self.options.region:
            raise Fault("SignatureDoesNotMatch", "Credential should be scoped to a valid region and service", 403)
        if day != date[:8]:
            raise Fault("SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from ISO-8601", 403)
        skew = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) - world.now()
        if skew < -300:
            raise Fault("RequestExpired", "Request has expired.")
        if skew > 300:
            raise Fault("RequestInTheFuture", "Request is in the future.")
        expected = expected_signature(known["secret"], self.command, self.path, headers, signed, body, date, region, service)
        if not hmac.compare_digest(expected, parts["Signature"]):
            raise Fault("SignatureDoesNotMatch", "The request signature we calculated does not match", 403)
        if known["token"] is not None and headers.get("x-amz-security-token") != known["token"]:
            raise Fault("InvalidClientTokenId", "The security token included in the request is invalid", 403)
        if known["expired"]:
            raise Fault("ExpiredToken", "The security token included in the request is expired")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        world = self.world
        if self.path.startswith("/_double/"):
            return self.control(body)
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action = form.get("Action", "")
        knobs = world.knobs
        if knobs["slow"]:
            time.sleep(knobs["slow"])
        change = action in ("RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "CreateTags",
                            "RegisterTargets", "DeregisterTargets")
        try:
            with world.lock:
                world.calls[action] = world.calls.get(action, 0) + 1
                try:
                    text = self.act(action, form, body, change)
                    world.ok_calls[action] = world.ok_calls.get(action, 0) + 1
                    world.call_times.append((time.time(), action, "ok"))
                except Fault as fault:
                    world.call_times.append((time.time(), action, fault.code))
                    raise
                except DropAnswer:
                    world.call_times.append((time.time(), action, "dropped"))
                    raise
            self.answer(200, text)
        except Fault as fault:
            self.fault(fault, form)
        except DropAnswer:
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def act(self, action, form, body, change):
        world, knobs = self.world, self.world.knobs
        self.check_signature(body, form)
        listed = knobs["throttle_actions"]
        if knobs["throttle"] and (listed is None or action in listed) and world.random.random() < knobs["throttle"]:
            raise Fault("RequestLimitExceeded", "Request limit exceeded.", 503)
        if action in knobs["deny"]:
            raise Fault("UnauthorizedOperation", f"You are not authorized to perform this operation: ec2:{action}.", 403)
        for rule in knobs["fail"]:
            if rule.get("action", action) == action and rule.get("times", 1) > 0:
                rule["times"] = rule.get("times", 1) - 1
                raise Fault(rule["code"], rule.get("message", rule["code"]), rule.get("status", 400))
        if change and knobs["lose_requests"] > 0:
            knobs["lose_requests"] -= 1
            raise DropAnswer
        method = getattr(world, action, None) if action[:1].isupper() else None
        if method is None:
            raise Fault("InvalidAction", f"The action {action} is not valid for this web service.")
        result = method(form)
        if change and knobs["lose_answers"] > 0:
            knobs["lose_answers"] -= 1
            raise DropAnswer
        text = f'<?xml version="1.0" encoding="UTF-8"?><{action}Response {XMLNS}><requestId>r</requestId>{xml(result)}' \
               f"</{action}Response>"
        if knobs["malformed"] > 0:
            knobs["malformed"] -= 1
            return text.replace("</requestId>", "</request>", 1)
        if knobs["truncated"] > 0:
            knobs["truncated"] -= 1
            return text[:len(text) // 2]
        return text

    def control(self, body):
        world = self.world
        with world.lock:
            if self.path == "/_double/set":
                for name, value in json.loads(body).items():
                    if name not in world.knobs:
                        return self.answer(400, f"no knob {name}")
                    world.knobs[name] = value
            elif self.path == "/_double/kill":  # an instance ends by itself
                for each in json.loads(body):
                    world.end(world.instances[each], "Server.SpotInstanceTermination: taken back")
            elif self.path == "/_double/stop":
                for each in json.loads(body):
                    world.instances[each]["forced_state"] = "stopped"
            elif self.path == "/_double/template":
                asked = json.loads(body)
                template = world.templates.setdefault(asked["id"], {"name": asked["name"], "default": 1, "versions": {}})
                template["versions"][len(template["versions"]) + 1] = asked["data"]
                template["default"] = asked.get("default", template["default"])
            elif self.path == "/_double/expire":
                for key in world.keys.values():
                    key["expired"] = True
            elif self.path == "/_double/make":  # a crowd, at once: {"n", "groups", "cluster"}
                asked = json.loads(body)
                for n in range(asked["n"]):
                    world.RunInstances({"MinCount": "1", "MaxCount": "1", "ImageId": "ami-1", "InstanceType": "t3.micro",
                                        "TagSpecification.1.ResourceType": "instance",
                                        "TagSpecification.1.Tag.1.Key": "escala:cluster",
                                        "TagSpecification.1.Tag.1.Value": asked["cluster"],
                                        "TagSpecification.1.Tag.2.Key": "escala:group",
                                        "TagSpecification.1.Tag.2.Value": f"group-{n % asked['groups']}"})
            else:
                return self.answer(404, "no such knob")
        return self.answer(200, "{}", "application/json")

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/latest/api/token") or "X-aws-ec2-metadata-token-ttl-seconds" not in self.headers:
            return self.answer(404, "")
        token = base64.b64encode(os.urandom(24)).decode()
        with self.world.lock:
            self.world.imds_tokens.add(token)
        return self.answer(200, token, "text/plain")

    def do_GET(self):
        world = self.world
        if self.path == "/_double/state":
            with world.lock:
                text = json.dumps(world.summary())
            return self.answer(200, text, "application/json")
        if self.path == "/container/credentials":
            if self.headers.get("Authorization") != "container-secret":
                return self.answer(401, "{}")
            with world.lock:
                c = world.session()
            c["Token"] = c.pop("SessionToken")
            return self.answer(200, json.dumps(c), "application/json")
        which, path = None, self.path
        if path.startswith("/imds/"):
            which, path = path[6:].split("/", 1)
            path = "/" + path
        if not path.startswith("/latest/"):
            return self.answer(404, "")
        with world.lock:
            if self.headers.get("X-aws-ec2-metadata-token") not in world.imds_tokens:
                return self.answer(401, "")
            text = self.metadata(path[len("/latest/"):], which)
        return self.answer(404, "") if text is None else self.answer(200, text, "text/plain")

    def metadata(self, path, which):
        world = self.world
        credentials = "meta-data/iam/security-credentials/"
        if path == credentials:
            return world.knobs["role"]
        if path == credentials + world.knobs["role"]:
            c = world.session()
            c["Token"] = c.pop("SessionToken")
            return json.dumps({"Code": "Success", **c})
        instance = world.instances.get(which)
        if instance is None:
            return None
        plain = {"meta-data/instance-id": instance["id"], "meta-data/local-ipv4": instance["address"],
                 "meta-data/placement/availability-zone": instance["zone"]}
        if path in plain:
            return plain[path]
        if path == "meta-data/spot/instance-action" and which in world.knobs["interrupt"]:
            return json.dumps(world.knobs["interrupt"][which])
        if path == "meta-data/events/recommendations/rebalance" and which in world.knobs["rebalance"]:
            return json.dumps({"noticeTime": world.knobs["rebalance"][which]})
        return None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default="test-1")
    parser.add_argument("--zones", default="test-1a,test-1b,test-1c", type=lambda text: text.split(","))
    parser.add_argument("--no-auth", action="store_true")
    parser.add_argument("--run", default="")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    Handler.options = options
    Handler.world = World(options)
    server = Server(("127.0.0.1", options.port), Handler)
    options.port = server.server_address[1]
    signal.signal(signal.SIGTERM, lambda *_: (Handler.world.close(), os._exit(0)))
    print(f"port {options.port}", flush=True)
    # Whoever started us holds our standard input: when it closes, we are not needed any more.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while sys.stdin.buffer.read(4096):
        pass
    Handler.world.close()


if __name__ == "__main__":
    main()
