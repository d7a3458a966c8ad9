#!/usr/bin/env python3
"""Notifications reach a receiver, signed, once each; what is not taken is tried again, also after a kill of the manager."""

import hashlib
import hmac
import http.server
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from manager import Manager, main, wait_for  # noqa: E402


class Receiver:
    """Takes notifications while it is willing; everything taken, in order."""

    def __init__(self):
        receiver = self
        self.taken, self.refused, self.willing = [], 0, True

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.willing:
                    receiver.taken.append((dict(self.headers), body))
                else:
                    receiver.refused += 1
                self.send_response(200 if receiver.willing else 503)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/topic"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def events(self):
        return [json.loads(json.loads(body)["Message"]) for _, body in self.taken]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def told(receiver, **wanted):
    return [e for e in receiver.events() if all(e.get(k) == v for k, v in wanted.items())]


def notifications_are_signed_and_retried(bin_dir):
    receiver = Receiver()
    try:
        with Manager(bin_dir) as manager:
            manager.apply("""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 0
    MaxSize: 4
    DesiredCapacity: 0
    DefaultCooldown: 0
    LaunchConfiguration:
      Process: {Command: [/bin/sleep, "100000"], StopGrace: 1s}
""")
            manager.api("PutNotificationConfiguration", AutoScalingGroupName="web", TopicARN=receiver.url,
                        NotificationTypes=["autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE"])
            wait_for("the test message", lambda: told(receiver, Event="autoscaling:TEST_NOTIFICATION"))
            manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=1)
            launched = wait_for("the launch", lambda: told(receiver, Event="autoscaling:EC2_INSTANCE_LAUNCH"))[0]
            assert launched["AutoScalingGroupName"] == "web", launched
            instance = wait_for("it in service", lambda: manager.instances("web", "InService"))[0]["InstanceId"]
            assert launched["EC2InstanceId"] == instance, launched
            with open(os.path.join(manager.dir, "notify.key")) as f:
                secret = f.read().strip()
            assert os.stat(os.path.join(manager.dir, "notify.key")).st_mode & 0o077 == 0
            for headers, body in receiver.taken:
                moment, mac = headers["X-Escala-Signature"].split(",")
                text = moment[2:].encode() + b"." + body
                assert mac == "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
                assert json.loads(body)["TopicArn"] == receiver.url and json.loads(body)["Type"] == "Notification"
            # Refused: kept, across a kill, and delivered when it is taken.
            receiver.willing = False
            manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=0)
            wait_for("a refusal", lambda: receiver.refused)
            manager.kill()
            receiver.willing = True
            manager.start()
            ended = wait_for("the termination", lambda: told(receiver, Event="autoscaling:EC2_INSTANCE_TERMINATE"))
            assert [e["EC2InstanceId"] for e in ended] == [instance], ended
            ids = [json.loads(body)["MessageId"] for _, body in receiver.taken]
            assert len(ids) == len(set(ids)), ids
    finally:
        receiver.close()


def hooks_tell_their_target_the_token(bin_dir):
    receiver = Receiver()
    try:
        with Manager(bin_dir) as manager:
            manager.apply("""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 0
    MaxSize: 1
    DesiredCapacity: 0
    DefaultCooldown: 0
    LaunchConfiguration:
      Process: {Command: [/bin/sleep, "100000"], StopGrace: 1s}
""")
            for name, transition in (("warm", "LAUNCHING"), ("drain", "TERMINATING")):
                manager.api("PutLifecycleHook", AutoScalingGroupName="web", LifecycleHookName=name,
                            LifecycleTransition="autoscaling:EC2_INSTANCE_" + transition,
                            NotificationTargetARN=receiver.url, NotificationMetadata="for you", DefaultResult="CONTINUE")
            manager.api("SetDesiredCapacity", AutoScalingGroupName="web", DesiredCapacity=1)
            for name, after in (("warm", "InService"), ("drain", None)):
                event = wait_for(f"hook {name}", lambda: told(receiver, LifecycleHookName=name))[0]  # noqa: B023
                assert event["NotificationMetadata"] == "for you", event
                manager.api("CompleteLifecycleAction", AutoScalingGroupName="web", LifecycleHookName=name,
                            LifecycleActionToken=event["LifecycleActionToken"], LifecycleActionResult="CONTINUE")
                if after:
                    wait_for(f"it to be {after}", lambda: manager.instances("web", after))  # noqa: B023
                    manager.api("TerminateInstanceInAutoScalingGroup", InstanceId=event["EC2InstanceId"],
                                ShouldDecrementDesiredCapacity=True)
            wait_for("it to go", lambda: not manager.instances("web"))
    finally:
        receiver.close()


if __name__ == "__main__":
    main([notifications_are_signed_and_retried, hooks_tell_their_target_the_token])
