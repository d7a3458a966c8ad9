"""Real AWS clients against a manager under test: its profile file, boto3 clients, the AWS CLI."""

import configparser
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import time
import urllib.parse

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


def raw(manager, method="POST", target="/", headers=(), body=b"", host=None):
    """One request over TCP, as it stands; (status, headers, body)."""
    address = urllib.parse.urlsplit(profile(manager)["endpoint_url"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or address.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def signed(manager, body, key=None, date=None, service="autoscaling", region="local", more=()):
    """Headers of a signature made here, by hand: a second opinion beside botocore's."""
    settings = profile(manager)
    key = key or (settings["aws_access_key_id"], settings["aws_secret_access_key"])
    date = date or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host = urllib.parse.urlsplit(settings["endpoint_url"]).netloc
    fields = sorted({"host": host, "x-amz-date": date, **dict(more)}.items())
    names = ";".join(name for name, _ in fields)
    canonical = "\n".join(["POST", "/", ""] + [f"{n}:{v}" for n, v in fields] + ["", names,
                                                                                 hashlib.sha256(body).hexdigest()])
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = ("AWS4" + key[1]).encode()
    for part in (date[:8], region, service, "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return [("X-Amz-Date", date), ("Content-Type", "application/x-www-form-urlencoded"), *more,
            ("Authorization", f"AWS4-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders={names}, "
                              f"Signature={signature}")]
