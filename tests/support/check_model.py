"""Holds the program's own table of operations and fields against botocore's service models, where they are installed."""

import glob
import gzip
import json
import os
import subprocess
import sys

# Fields of ours that serve several of AWS's shapes and are harmless where AWS has none.
EVERYWHERE = {"AutoScalingGroupName"}


# Our services by the name their signatures carry -> botocore's folder, and the operations of the model that ours was written
# after: what an older one lacks, AWS may have.
MODELS = {"autoscaling": ("autoscaling/2011-01-01", 66), "monitoring": ("cloudwatch/2010-08-01", 46),
          "ec2": ("ec2/2016-11-15", 765)}


def models(folder):
    places = [*sys.path, "/usr/lib/python3/dist-packages", *glob.glob(os.path.expanduser("~/.pyenv/versions/*/lib/python3*/site-packages")),
              *glob.glob("/usr/local/lib/python3*/dist-packages")]
    found = {}
    for place in dict.fromkeys(places):
        for path in glob.glob(os.path.join(place, f"botocore/data/{folder}/service-2.json*")):
            with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
                found[path] = json.load(file)
    # The one that knows most operations comes last: what it does not know, AWS does not have.
    return sorted(found.items(), key=lambda item: len(item[1]["operations"]))


# Fields of AWS that no operation of ours has, and why: a request with one is answered with a warning.
LEFT_OUT = {
    "AttachTrafficSources.SkipZonalShiftValidation": "there is no zonal shift",
    **{f"{path}.{field}": "alarms are judged by whole periods"
       for path in ("DescribeAlarms answer.MetricAlarms", "DescribeAlarmsForMetric answer.MetricAlarms", "PutMetricAlarm")
       for field in ("EvaluationState", "EvaluationCriteria", "EvaluationInterval")},
    **{f"{path}.{field}": "an alarm has one metric or one expression"
       for path in ("DescribeAlarmHistory", "DescribeAlarmHistory answer.AlarmHistoryItems")
       for field in ("AlarmContributorId", "AlarmContributorAttributes")},
    "PutMetricData.EntityMetricData": "metrics belong to no entities",
    "PutMetricData.StrictEntityValidation": "metrics belong to no entities",
    "DescribeInstanceRefreshes answer.InstanceRefreshes.RollbackDetails.RollbackStartTime": "not kept",
    "DescribeInstanceRefreshes answer.InstanceRefreshes.RollbackDetails.InstancesToUpdateOnRollback": "not kept",
    "DescribeInstanceRefreshes answer.InstanceRefreshes.RollbackDetails.ProgressDetailsOnRollback": "not kept",
}

# Lists of AWS that are always empty here, so that what their members would hold is not written down.
NEVER_TOLD = {"DescribeAlarms answer.CompositeAlarms"}


# Parts of EC2 that nothing here has: what a template may hold beyond what can be launched, what else there is to tell of an
# instance, an image, a subnet.
EC2_PARTS = ("LaunchTemplateData", "launchTemplateData", "reservationSet", "imagesSet", "subnetSet", "securityGroupInfo", "keySet",
             "availabilityZoneInfo", "DescribeKeyPairs", "DescribeImages", "DescribeSecurityGroups", "DescribeSubnets", "warning",
             "Operator", ".operator", "ResolveAlias", "IncludeManagedResources")


class Comparison:
    def __init__(self, model, newest):
        self.shapes = model["shapes"]
        self.ec2 = model["metadata"]["protocol"] == "ec2"
        self.newest = newest
        self.wrong = []

    def structure(self, path, shape, ours, seen=()):
        members = self.shapes[shape].get("members", {})
        named = {self.wire_name(name, member, " answer" in path): member for name, member in members.items()}
        for name, member in named.items():
            if name not in ours:
                if f"{path}.{name}" in LEFT_OUT or path in NEVER_TOLD:
                    continue
                if self.ec2 and any(part in f"{path}.{name}" for part in EC2_PARTS):
                    continue
                self.wrong.append(f"{path}.{name}: missing")
                continue
            self.value(f"{path}.{name}", member["shape"], ours[name], seen)
        if self.newest:
            for name in ours:
                if name not in named and name not in EVERYWHERE:
                    self.wrong.append(f"{path}.{name}: AWS has no such field")

    def wire_name(self, name, member, answer):
        """EC2's names in requests begin with a capital, unless they have one of their own there (queryName)."""
        named = member.get("locationName", name)
        if not self.ec2 or answer:
            return named
        return member.get("queryName", named[0].upper() + named[1:])

    def value(self, path, shape, ours, seen):
        kind = self.shapes[shape]["type"]
        if (kind == "list") != ours["list"]:
            self.wrong.append(f"{path}: a list in one of the two only")
            return
        if kind == "list":
            shape = self.shapes[shape]["member"]["shape"]
            kind = self.shapes[shape]["type"]
        kind = {"float": "double", "long": "integer"}.get(kind, kind)
        if kind != ours["type"]:
            self.wrong.append(f"{path}: {ours['type']}, in the model {kind}")
        elif kind == "structure" and shape not in seen:
            self.structure(path, shape, ours["fields"], (*seen, shape))


def check(escala):
    """None when all is well, a text to skip with when no model is there; AssertionError with what differs."""
    services = json.loads(subprocess.run([escala, "reference", "api", "--json"], check=True, capture_output=True,
                                         text=True).stdout)["services"]
    assert set(services) == set(MODELS), services.keys()
    wrong = []
    for service, (folder, known) in MODELS.items():
        found = models(folder)
        if not found:
            return "no botocore on this machine"
        table = services[service]
        for path, model in found:
            newest = path == found[-1][0] and len(model["operations"]) >= known
            wrong += [f"{path}: {line}" for line in differences(table, model, newest)]
    assert not wrong, "\n".join(wrong)
    missing = sorted(name for each in services.values() for name, ours in each.items() if ours is None)
    return f"what is served matches; not served: {', '.join(missing)}" if missing else None


def differences(table, model, newest):
    comparison = Comparison(model, newest)
    for name, operation in model["operations"].items():
        if table.get(name) is None:
            continue
        ours = table[name]
        if "input" in operation:
            comparison.structure(name, operation["input"]["shape"], ours["request"])
        if ("output" in operation) != (ours["answer"] is not None):
            comparison.wrong.append(f"{name}: an answer in one of the two only")
        elif "output" in operation:
            comparison.structure(name + " answer", operation["output"]["shape"], ours["answer"])
    return comparison.wrong
