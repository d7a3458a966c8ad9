#!/usr/bin/env python3
"""The slice of CloudWatch: metrics put and asked for, alarms that really drive policies, in both dialects."""

import datetime
import gzip
import json
import os
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import aws  # noqa: E402
from manager import Manager, UnixConnection, main, wait_for  # noqa: E402

MINUTE = datetime.timedelta(minutes=1)
SLEEPERS = """
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: {name}
    MinSize: 1
    MaxSize: 6
    DefaultInstanceWarmup: 0
    LaunchConfiguration:
      Process: {{Command: [sleep, "100000"], StopGrace: 1s}}
    Policies:
      - PolicyName: more
        PolicyType: StepScaling
        AdjustmentType: ChangeInCapacity
        StepAdjustments: [{{MetricIntervalLowerBound: 0, ScalingAdjustment: 2}}]
      - PolicyName: fewer
        PolicyType: StepScaling
        AdjustmentType: ChangeInCapacity
        StepAdjustments: [{{MetricIntervalUpperBound: 0, ScalingAdjustment: -1}}]
"""


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def whole_minute(minutes_ago):
    return now().replace(second=0, microsecond=0) - minutes_ago * MINUTE


def policy_arn(manager, name, group="web"):
    for policy in aws.client(manager).describe_policies(AutoScalingGroupName=group)["ScalingPolicies"]:
        if policy["PolicyName"] == name:
            return policy["PolicyARN"]
    raise AssertionError(name)


def desired(manager, name="web"):
    return manager.group(name)["DesiredCapacity"]


# --- metrics ------------------------------------------------------------------------------------------------------------


def metrics_are_put_and_asked_for(bin_dir):
    with Manager(bin_dir) as manager:
        cw = aws.client(manager, "cloudwatch")
        north = [{"Name": "Site", "Value": "north & <south>"}]
        start = whole_minute(30)
        cw.put_metric_data(Namespace="Shop", MetricData=[
            {"MetricName": "Orders", "Dimensions": north, "Timestamp": start + i * MINUTE, "Value": 10.5 * i,
             "Unit": "Count"} for i in range(10)])
        cw.put_metric_data(Namespace="Shop", MetricData=[
            {"MetricName": "Visits", "Timestamp": start, "Values": [1, 2, 3], "Counts": [5, 3, 2]},
            {"MetricName": "Visits", "Timestamp": start + MINUTE,
             "StatisticValues": {"SampleCount": 4, "Sum": 20, "Minimum": 1, "Maximum": 12}}])
        points = cw.get_metric_statistics(Namespace="Shop", MetricName="Orders", Dimensions=north, StartTime=start,
                                          EndTime=start + 10 * MINUTE, Period=300,
                                          Statistics=["Average", "Sum", "Minimum", "Maximum", "SampleCount"],
                                          ExtendedStatistics=["p50"])
        assert points["Label"] == "Orders", points
        told = {p["Timestamp"]: p for p in points["Datapoints"]}
        assert sum(p["SampleCount"] for p in told.values()) == 10 and sum(p["Sum"] for p in told.values()) == 472.5, told
        assert all(p["Minimum"] <= p["ExtendedStatistics"]["p50"] <= p["Maximum"] for p in told.values()), told

        visits = cw.get_metric_statistics(Namespace="Shop", MetricName="Visits", StartTime=start, Period=60,
                                          EndTime=start + 2 * MINUTE, Statistics=["Average", "SampleCount", "Maximum"])
        assert [(p["SampleCount"], p["Average"], p["Maximum"]) for p in sorted(
            visits["Datapoints"], key=lambda p: p["Timestamp"])] == [(10, 1.7, 3), (4, 5, 12)], visits

        def stat(name, ident, **more):
            metric = {"Namespace": "Shop", "MetricName": name, **more}
            return {"Id": ident, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False}
        asked = {"StartTime": start, "EndTime": start + 10 * MINUTE, "ScanBy": "TimestampAscending",
                 "MetricDataQueries": [stat("Orders", "m1", Dimensions=north), stat("Visits", "m2"),
                                       {"Id": "e1", "Expression": "m1 / m2", "Label": "orders per visit"},
                                       {"Id": "e2", "Expression": "FILL(m2, 0) + m1"}]}
        answer = cw.get_metric_data(**asked)["MetricDataResults"]
        assert [(r["Id"], r["Label"], len(r["Values"])) for r in answer] == [
            ("e1", "orders per visit", 2), ("e2", "e2", 10)], answer
        assert answer[0]["Values"] == [0, 10.5 / 20] and answer[0]["Timestamps"][0] == start, answer
        pages = list(cw.get_paginator("get_metric_data").paginate(**asked, PaginationConfig={"PageSize": 5}))
        values = [v for page in pages for r in page["MetricDataResults"] if r["Id"] == "e2" for v in r["Values"]]
        assert len(pages) > 1 and values == answer[1]["Values"], (len(pages), values)

        listed = cw.list_metrics(Namespace="Shop")["Metrics"]
        assert [(m["MetricName"], m["Dimensions"]) for m in listed] == [("Orders", north), ("Visits", [])], listed
        assert cw.list_metrics(Dimensions=[{"Name": "Site"}], RecentlyActive="PT3H")["Metrics"] == [
            {"Namespace": "Shop", "MetricName": "Orders", "Dimensions": north}]
        told = aws.cli(manager, "cloudwatch", "list-metrics", "--namespace", "Shop", program="/usr/bin/aws")
        assert len(told["Metrics"]) == 2, told
        aws.cli(manager, "cloudwatch", "put-metric-data", "--namespace", "Shop", "--metric-name", "Carts", "--value", "7",
                program="/usr/bin/aws")
        assert cw.list_metrics(MetricName="Carts")["Metrics"][0]["Namespace"] == "Shop"


def wrong_metrics_are_refused(bin_dir):
    with Manager(bin_dir) as manager:
        cw = aws.client(manager, "cloudwatch", validate=False)

        def refused(code, namespace="N", call=None, **datum):
            told = aws.refusal(cw.put_metric_data, Namespace=namespace, MetricData=[{"MetricName": "m", **datum}])
            assert told.startswith(code + ": "), (code, datum, told)
            return told
        for value in (float("nan"), float("inf"), 1e127):
            refused("InvalidParameterValue", Value=value)
        refused("MissingParameter")
        refused("InvalidParameterCombination", Value=1, Values=[1])
        refused("InvalidParameterCombination", Values=[1, 2], Counts=[1])
        refused("InvalidParameterValue", Values=[1], Counts=[-1])
        refused("InvalidParameterValue", Value=1, Timestamp=now() - datetime.timedelta(days=21))
        refused("InvalidParameterValue", Value=1, Timestamp=now() + datetime.timedelta(hours=3))
        refused("InvalidParameterValue", Value=1, namespace="")
        refused("InvalidParameterValue", Value=1, namespace="AWS/Mine")
        refused("InvalidParameterValue", Value=1, Dimensions=[{"Name": f"d{i}", "Value": "v"} for i in range(31)])
        refused("InvalidParameterValue", StatisticValues={"SampleCount": 1, "Sum": 1, "Minimum": 3, "Maximum": 1})
        told = aws.refusal(cw.put_metric_data, Namespace="N", MetricData=[
            {"MetricName": "good", "Value": 1}, {"MetricName": "bad", "Value": 1e16}])
        assert "MetricData[1]" in told or "metricData.2" in told or "member.2" in told, told
        assert cw.list_metrics()["Metrics"] == [], "nothing of a refused request is kept"
        hour = {"StartTime": whole_minute(60), "EndTime": whole_minute(0)}
        metric = {"Namespace": "N", "MetricName": "m"}
        for code, more in (("MissingParameter", {"Period": 60}),
                           ("InvalidParameterValue", {"Period": 7, "Statistics": ["Sum"]}),
                           ("InvalidParameterCombination", {"Period": 1, "Statistics": ["Sum"]}),
                           ("InvalidParameterCombination", {"Period": 60, "Statistics": ["Sum"],
                                                            "EndTime": whole_minute(90)}),
                           ("InvalidParameterValue", {"Period": 60, "ExtendedStatistics": ["p101"]})):
            told = aws.refusal(cw.get_metric_statistics, **{**metric, **hour, **more})
            assert told.startswith(code), (code, more, told)
        told = aws.refusal(cw.get_metric_data, **hour, MetricDataQueries=[{"Id": "e1", "Expression": "m9 +"}])
        assert told.startswith("ValidationError") and "m9" in told, told


def both_dialects_answer(bin_dir):
    """awsJson1.0 as newer clients speak it, with a gzip body; the Query protocol is what Debian's boto3 speaks."""
    with Manager(bin_dir) as manager:
        def json_call(operation, body, status=200, squeeze=False):
            connection = UnixConnection(os.path.join(manager.dir, "api.sock"), 10)
            data = json.dumps(body).encode()
            headers = {"Content-Type": "application/x-amz-json-1.0",
                       "X-Amz-Target": "GraniteServiceVersion20100801." + operation}
            if squeeze:
                data = gzip.compress(data)
                headers["Content-Encoding"] = "gzip"
            connection.request("POST", "/", body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == status, (answer.status, text)
            return json.loads(text), answer.headers
        at = whole_minute(5).timestamp()
        json_call("PutMetricData", {"Namespace": "Shop", "MetricData": [
            {"MetricName": "m", "Timestamp": at, "Value": v} for v in (1, 2, 6)]}, squeeze=True)
        answer, _ = json_call("GetMetricStatistics", {
            "Namespace": "Shop", "MetricName": "m", "StartTime": at, "EndTime": at + 60, "Period": 60,
            "Statistics": ["Average"], "ExtendedStatistics": ["p90"]})
        point = answer["Datapoints"][0]
        assert point["Average"] == 3 and point["Timestamp"] == at and abs(point["ExtendedStatistics"]["p90"] - 6) < .1, point
        answer, _ = json_call("GetMetricData", {"StartTime": at, "EndTime": at + 60, "MetricDataQueries": [
            {"Id": "m1", "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}]})
        assert answer["MetricDataResults"][0]["Values"] == [9] and answer["MetricDataResults"][0]["Timestamps"] == [at]
        answer, headers = json_call("GetMetricData", {"StartTime": at}, status=400)
        assert "MissingParameter" in answer["__type"] and headers["x-amzn-query-error"].startswith("MissingParameter;")


def groups_are_measured_and_survive_a_kill(bin_dir):
    with Manager(bin_dir) as manager:
        manager.apply(SLEEPERS.format(name="web"))
        asg, cw = aws.client(manager), aws.client(manager, "cloudwatch")
        asg.enable_metrics_collection(AutoScalingGroupName="web", Granularity="1Minute",
                                      Metrics=["GroupDesiredCapacity", "GroupInServiceInstances"])
        of_group = [{"Name": "AutoScalingGroupName", "Value": "web"}]

        def statistics(namespace, name, period, stat):
            return cw.get_metric_statistics(Namespace=namespace, MetricName=name, Dimensions=of_group, Period=period,
                                            StartTime=whole_minute(10), EndTime=now() + MINUTE,
                                            Statistics=[stat])["Datapoints"]
        cpu = wait_for("three seconds of CPU", lambda: (lambda p: p if len(p) >= 3 else None)(
            statistics("AWS/EC2", "CPUUtilization", 1, "Average")), 60)
        assert all(0 <= p["Average"] <= 100 and p["Unit"] == "Percent" for p in cpu), cpu
        wait_for("the group's size", lambda: statistics("AWS/AutoScaling", "GroupDesiredCapacity", 60, "Maximum")[-1][
            "Maximum"] == 1 if statistics("AWS/AutoScaling", "GroupDesiredCapacity", 60, "Maximum") else None, 60)
        names = {m["MetricName"] for m in cw.list_metrics(Dimensions=of_group)["Metrics"]}
        assert {"CPUUtilization", "MemoryUtilization", "GroupDesiredCapacity"} <= names, names

        # A minute that is over is written within seconds; kill -9 takes only the one that runs.
        at = whole_minute(20)
        cw.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "m", "Timestamp": at, "Value": 42}])
        import sqlite3
        path = os.path.join(manager.dir, "history.db")

        def written():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                return db.execute("select count(*) from minutes").fetchone()[0]
        wait_for("the minute to be written", written, 30)
        manager.kill()
        manager.start()
        cw = aws.client(manager, "cloudwatch")
        kept = cw.get_metric_statistics(Namespace="Shop", MetricName="m", StartTime=at, EndTime=at + MINUTE, Period=60,
                                        Statistics=["Sum"])["Datapoints"]
        assert [p["Sum"] for p in kept] == [42], kept


# --- alarms -------------------------------------------------------------------------------------------------------------


def alarms_over_custom_metrics_scale(bin_dir):
    """A queue's length per worker, by metric math: grows the group while it is long, shrinks it when it is short."""
    with Manager(bin_dir) as manager:
        manager.apply(SLEEPERS.format(name="web"))
        cw = aws.client(manager, "cloudwatch")

        def alarm(name, comparison, threshold, policy):
            def metric(ident, metric_name):
                return {"Id": ident, "ReturnData": False, "MetricStat": {
                    "Metric": {"Namespace": "Shop", "MetricName": metric_name}, "Period": 10, "Stat": "Average"}}
            cw.put_metric_alarm(AlarmName=name, ComparisonOperator=comparison, Threshold=threshold, EvaluationPeriods=1,
                                AlarmActions=[policy_arn(manager, policy)],
                                Metrics=[metric("m1", "Queue"), metric("m2", "Workers"),
                                         {"Id": "e1", "Expression": "m1 / m2", "Label": "per worker"}])
        alarm("long", "GreaterThanThreshold", 10, "more")
        alarm("short", "LessThanThreshold", 2, "fewer")
        told = cw.describe_alarms(AlarmNames=["long"])["MetricAlarms"][0]
        assert told["Metrics"][2]["Expression"] == "m1 / m2" and "MetricName" not in told, told
        wait_for("one in service", lambda: len(manager.instances("web", "InService")) == 1)

        def put(queue):
            cw.put_metric_data(Namespace="Shop", MetricData=[
                {"MetricName": "Queue", "Value": queue, "StorageResolution": 1},
                {"MetricName": "Workers", "Value": 2, "StorageResolution": 1}])

        def fed(what, queue, condition):
            def look():
                put(queue)
                time.sleep(0.4)  # a sample now and then, as an application sends them
                return condition()
            return wait_for(what, look, 60)
        fed("growth", 100, lambda: desired(manager) >= 3)
        explained = manager.run("ctl", "explain", "web")
        activity = wait_for("its cause", lambda: [a for a in manager.activities("web") if "long" in a["Cause"]])
        assert activity, explained
        state = cw.describe_alarms(AlarmNames=["long"])["MetricAlarms"][0]
        assert state["StateValue"] == "ALARM" and "greater than the threshold (10.0)" in state["StateReason"], state
        wait_for("what was ordered", lambda: len(manager.instances("web", "InService")) == desired(manager), 60)
        sizes = []  # it may still grow on what was put before

        def shrinks():
            sizes.append(desired(manager))
            return sizes[-1] < max(sizes)
        fed("shrinking", 1, shrinks)
        # Silence is no reason to shrink: without samples nothing more goes.
        wait_for("INSUFFICIENT_DATA", lambda: cw.describe_alarms(AlarmNames=["short"])["MetricAlarms"][0][
            "StateValue"] == "INSUFFICIENT_DATA", 90)
        quiet = desired(manager)
        time.sleep(3)
        assert desired(manager) == quiet, "nothing is removed while nothing is known"
        history = cw.describe_alarm_history(AlarmName="long", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
        assert any(i["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to ALARM" for i in history) or any(
            i["HistorySummary"] == "Alarm updated from OK to ALARM" for i in history), history
        acted = cw.describe_alarm_history(AlarmName="long", HistoryItemType="Action")["AlarmHistoryItems"]
        assert acted and "more" in acted[0]["HistorySummary"], acted


def alarms_are_kept_and_forced(bin_dir):
    with Manager(bin_dir) as manager:
        manager.apply(SLEEPERS.format(name="web"))
        manager.apply(SLEEPERS.format(name="db"))
        asg, cw = aws.client(manager), aws.client(manager, "cloudwatch")
        more = policy_arn(manager, "more")
        # AlarmActions tell the group.
        hot = {"AlarmName": "hot", "Namespace": "Shop", "MetricName": "Heat", "Statistic": "Average", "Period": 60,
               "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 70.5, "AlarmDescription": "too hot",
               "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "ignore",
               "AlarmActions": [more]}
        cw.put_metric_alarm(**hot)
        told = cw.describe_alarms()["MetricAlarms"]
        assert len(told) == 1, told
        for name, value in hot.items():
            assert told[0][name] == value, (name, told)
        assert told[0]["StateValue"] == "INSUFFICIENT_DATA" and told[0]["AlarmArn"].endswith(":hot"), told
        assert told[0]["AlarmConfigurationUpdatedTimestamp"].tzinfo and told[0]["StateReason"], told
        cw.put_metric_alarm(AlarmName="cpu", Namespace="AWS/EC2", MetricName="CPUUtilization", Statistic="Average",
                            Dimensions=[{"Name": "AutoScalingGroupName", "Value": "db"}], Period=60, EvaluationPeriods=1,
                            Threshold=90, ComparisonOperator="GreaterThanThreshold")
        listed = aws.cli(manager, "cloudwatch", "describe-alarms", "--alarm-name-prefix", "c", program="/usr/bin/aws")
        assert [a["AlarmName"] for a in listed["MetricAlarms"]] == ["cpu"], listed
        pages = list(cw.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 1}))
        assert [a["AlarmName"] for p in pages for a in p["MetricAlarms"]] == ["cpu", "hot"], pages
        assert [a["AlarmName"] for a in cw.describe_alarms_for_metric(
            Namespace="AWS/EC2", MetricName="CPUUtilization",
            Dimensions=[{"Name": "AutoScalingGroupName", "Value": "db"}])["MetricAlarms"]] == ["cpu"]
        assert cw.describe_alarms(ActionPrefix="arn:aws:sns")["MetricAlarms"] == []

        # A target tracking policy's own alarms are told with the others.
        asg.put_scaling_policy(AutoScalingGroupName="db", PolicyName="t", PolicyType="TargetTrackingScaling",
                               TargetTrackingConfiguration={"TargetValue": 50, "PredefinedMetricSpecification": {
                                   "PredefinedMetricType": "ASGAverageCPUUtilization"}})
        tracking = cw.describe_alarms(AlarmNamePrefix="TargetTracking-db")["MetricAlarms"]
        assert [a["Threshold"] for a in tracking] == [50, 35], tracking

        # SetAlarmState acts, once, though nothing was measured.
        wait_for("one in service", lambda: len(manager.instances("web", "InService")) == 1)
        cw.disable_alarm_actions(AlarmNames=["hot"])
        cw.set_alarm_state(AlarmName="hot", StateValue="ALARM", StateReason="a drill without actions")
        wait_for("ALARM", lambda: cw.describe_alarms(StateValue="ALARM")["MetricAlarms"])
        assert desired(manager) == 1, "its actions are disabled"
        cw.set_alarm_state(AlarmName="hot", StateValue="OK", StateReason="back")
        wait_for("OK", lambda: cw.describe_alarms(AlarmNames=["hot"])["MetricAlarms"][0]["StateValue"] == "OK")
        cw.enable_alarm_actions(AlarmNames=["hot"])
        cw.set_alarm_state(AlarmName="hot", StateValue="ALARM", StateReason="a drill")
        wait_for("growth", lambda: desired(manager) == 3)
        assert cw.describe_alarms(AlarmNames=["hot"])["MetricAlarms"][0]["StateReason"] == "a drill"
        fewer = policy_arn(manager, "fewer")
        cw.put_metric_alarm(**{**hot, "AlarmName": "cold", "AlarmActions": [fewer], "Threshold": 5,
                               "ComparisonOperator": "LessThanThreshold"})
        wait_for("three in service", lambda: len(manager.instances("web", "InService")) == 3, 60)
        cw.set_alarm_state(AlarmName="hot", StateValue="OK", StateReason="the drill is over")  # in ALARM it objects
        wait_for("OK again", lambda: cw.describe_alarms(AlarmNames=["hot"])["MetricAlarms"][0]["StateValue"] == "OK")
        cw.set_alarm_state(AlarmName="cold", StateValue="ALARM", StateReason="a drill of the other kind")
        wait_for("one fewer", lambda: desired(manager) == 2)
        items = cw.describe_alarm_history(AlarmName="hot", ScanBy="TimestampAscending")["AlarmHistoryItems"]
        kinds = [i["HistoryItemType"] for i in items]
        assert kinds[0] == "ConfigurationUpdate" and "StateUpdate" in kinds and "Action" in kinds, items
        assert json.loads([i for i in items if i["HistoryItemType"] == "StateUpdate"][-1]["HistoryData"])["newState"][
            "stateReason"] == "the drill is over", items

        # One name, one alarm: put on another group's policy it moves there.
        cw.put_metric_alarm(**{**hot, "AlarmActions": [policy_arn(manager, "more", "db")]})
        assert [a["AlarmName"] for a in manager.api("DescribeAlarms", AutoScalingGroupName="web")["MetricAlarms"]] == [
            "cold"]
        for code, change in (("ValidationError", {"Period": 7}), ("ValidationError", {"EvaluationPeriods": 0}),
                             ("ValidationError", {"DatapointsToAlarm": 4}),
                             ("ValidationError", {"TreatMissingData": "missng"}),
                             ("ValidationError", {"AlarmActions": ["arn:aws:sns:local:0:topic"]}),
                             ("ValidationError", {"AlarmActions": [more.replace("policyName/more", "policyName/none")]}),
                             ("ValidationError", {"Metrics": [{"Id": "m1", "Expression": "1"}]}),
                             ("ValidationError", {"ComparisonOperator": "GreaterThanUpperThreshold"})):
            told = aws.refusal(aws.client(manager, "cloudwatch", validate=False).put_metric_alarm, **{**hot, **change})
            assert told.startswith(code), (change, told)
        told = aws.refusal(cw.put_metric_alarm, **{**hot, "AlarmActions": []})
        assert "Auto Scaling group" in told, told
        assert aws.refusal(cw.delete_alarms, AlarmNames=["hot", "nobody"]).startswith("ResourceNotFound")
        cw.delete_alarms(AlarmNames=["hot", "cold", "cpu"])
        assert [a for a in cw.describe_alarms()["MetricAlarms"] if not a["AlarmName"].startswith("Target")] == []


def keys_see_their_groups_metrics(bin_dir):
    with Manager(bin_dir) as manager:
        manager.apply(SLEEPERS.format(name="web"))
        manager.apply(SLEEPERS.format(name="db"))
        whole = aws.client(manager, "cloudwatch")
        datum = {"MetricName": "m", "Value": 1}

        def of(group):
            return [{"Name": "AutoScalingGroupName", "Value": group}]
        whole.put_metric_data(Namespace="Shop", MetricData=[{**datum, "Dimensions": of("db")}, datum])
        web = aws.client(manager, "cloudwatch", key=aws.new_key(manager, "operate:web*"))
        web.put_metric_data(Namespace="Shop", MetricData=[{**datum, "Dimensions": of("web")}])
        assert "AccessDenied" in aws.refusal(web.put_metric_data, Namespace="Shop", MetricData=[datum])
        assert "AccessDenied" in aws.refusal(web.put_metric_data, Namespace="Shop",
                                             MetricData=[{**datum, "Dimensions": of("db")}])
        assert [m["Dimensions"] for m in web.list_metrics(Namespace="Shop")["Metrics"]] == [of("web")]
        hour = {"StartTime": whole_minute(60), "EndTime": whole_minute(0), "Period": 60, "Statistics": ["Sum"]}
        assert "AccessDenied" in aws.refusal(web.get_metric_statistics, Namespace="Shop", MetricName="m", **hour)
        settings = {"Namespace": "Shop", "MetricName": "m", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
                    "Statistic": "Sum", "ComparisonOperator": "GreaterThanThreshold"}
        web.put_metric_alarm(AlarmName="mine", AlarmActions=[policy_arn(manager, "more", "web")], **settings)
        told = aws.refusal(web.put_metric_alarm, AlarmName="theirs", AlarmActions=[policy_arn(manager, "more", "db")],
                           **settings)
        assert told.startswith("AccessDenied") and "cloudwatch:PutMetricAlarm" in told, told
        whole.put_metric_alarm(AlarmName="theirs", AlarmActions=[policy_arn(manager, "more", "db")], **settings)
        assert [a["AlarmName"] for a in web.describe_alarms()["MetricAlarms"]] == ["mine"]
        assert "AccessDenied" in aws.refusal(web.delete_alarms, AlarmNames=["theirs"])
        reader = aws.client(manager, "cloudwatch", key=aws.new_key(manager, "read:*"))
        assert len(reader.list_metrics(Namespace="Shop")["Metrics"]) == 3
        assert "AccessDenied" in aws.refusal(reader.put_metric_data, Namespace="Shop", MetricData=[datum])


if __name__ == "__main__":
    main([metrics_are_put_and_asked_for, wrong_metrics_are_refused, both_dialects_answer,
          groups_are_measured_and_survive_a_kill, alarms_over_custom_metrics_scale, alarms_are_kept_and_forced,
          keys_see_their_groups_metrics])
