"""Real AWS clients against a manager under test: its profile file, boto3 clients, the AWS CLI."""

import configparser
import json
import os
import subprocess

from manager import wait_for


def profile(manager):
    """The settings of the profile file that control writes when it listens."""
    path = os.path.join(manager.dir, "aws.config")

    def read():
        config = configparser.ConfigParser()
        config.read(path)
        settings = dict(config["profile escala"])
        # From an earlier start, the address is another's.
        return settings if os.path.getmtime(path) >= manager.started_at else None
    return wait_for("the AWS profile file", lambda: os.path.exists(path) and read())


def client(manager, service="autoscaling", key=None, **more):
    """A boto3 client; `key` = (id, secret) instead of the profile's own."""
    import boto3
    import botocore.config
    settings = profile(manager)
    key = key or (settings["aws_access_key_id"], settings["aws_secret_access_key"])
    config = botocore.config.Config(retries={"max_attempts": 0}, parameter_validation=more.pop("validate", True))
    return boto3.client(service, endpoint_url=settings["endpoint_url"], region_name=settings["region"],
                        aws_access_key_id=key[0], aws_secret_access_key=key[1], config=config, **more)


def new_key(manager, *grants):
    words = [word for grant in grants for word in ("--grant", grant)]
    lines = dict(line.split(" = ") for line in manager.run("ctl", "key", "create", *words).strip().splitlines())
    return lines["aws_access_key_id"], lines["aws_secret_access_key"]


def cli(manager, *words, code=(0,), program="aws"):
    """`aws WORDS`; its JSON, or the text of an error. code: the exit codes that are right (v1 says 255 where v2 says 254)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment.update(AWS_CONFIG_FILE=os.path.join(manager.dir, "aws.config"), AWS_PROFILE="escala",
                       AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_PAGER="", AWS_MAX_ATTEMPTS="1")
    done = subprocess.run([program, "--endpoint-url", profile(manager)["endpoint_url"], "--output", "json", *words],
                          capture_output=True, text=True, env=environment, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode in code, f"aws {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    if 0 not in code:
        return done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def refusal(call, **parameters):
    """"Code: message" of a refused call."""
    import botocore.exceptions
    try:
        call(**parameters)
    except botocore.exceptions.ClientError as error:
        answer = error.response
        assert answer["ResponseMetadata"]["RequestId"], answer
        return f"{answer['Error']['Code']}: {answer['Error']['Message']}"
    raise AssertionError(f"{call.__name__}({parameters}) was not refused")
