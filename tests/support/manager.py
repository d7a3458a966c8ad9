"""A real manager under test: `escala serve` in a directory of its own, and everything a test asks of it.

Waits for conditions with a deadline, lets the kernel choose ports, and stops only the processes it started: by pid, and
instances by the launch token in their environment.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the manager's unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


def wait_for(what, condition, seconds=30.0):
    """The first true answer of condition(); AssertionError that says what was waited for when the time is up."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, ApiError, http.client.HTTPException, json.JSONDecodeError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}; last seen: {last!r}")
        time.sleep(0.05)


def environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return dict(item.split(b"=", 1) for item in f.read().split(b"\0") if b"=" in item)
    except OSError:
        return {}


def state_of(pid):
    """The process's state letter, or None."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return chr(f.read().rsplit(b")", 1)[1].split()[0][0])
    except (OSError, IndexError):
        return None


class Manager:
    def __init__(self, bin_dir, serve_options=(), directory=None, start=True, environment=None):
        self.bin = os.path.abspath(bin_dir)
        self.escala = os.path.join(self.bin, "escala")
        self.dir = directory or tempfile.mkdtemp(prefix="escala-test-")
        os.chmod(self.dir, 0o700)
        self.serve_options = list(serve_options)
        self.environment = environment  # besides our own
        self.log = os.path.join(self.dir, "serve.log")
        self.serve = None
        if start:
            self.start()

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self):
        self.started_at = time.time() - 0.1
        with open(self.log, "ab") as log:
            self.serve = subprocess.Popen(
                [self.escala, "serve", "--state-dir", self.dir, "--listen", "127.0.0.1:0",
                 "--monitor-listen", "127.0.0.1:0"] + self.serve_options,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(self.environment or {})})
        try:
            wait_for("the API to answer", lambda: self.api("DescribeAutoScalingGroups") is not None, 60)
        except AssertionError:
            self.kill()
            raise

    def child(self, command):
        """The pid of serve's child that runs `escala COMMAND`."""
        def find():
            try:
                with open(f"/proc/{self.serve.pid}/task/{self.serve.pid}/children") as f:
                    children = f.read().split()
            except OSError:
                return None
            for pid in children:
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        words = f.read().split(b"\0")
                except OSError:
                    continue
                if len(words) > 1 and words[1] == command.encode():
                    return int(pid)
            return None
        return wait_for(f"a running {command}", find)

    def instance_processes(self, alive_only=True):
        """Instance id -> pid of its first process, read from the processes themselves."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            env = environment_of(entry)
            if env.get(b"ESCALA_STATE", b"").decode() != self.dir and not self._ours(env):
                continue
            if b"ESCALA_INSTANCE_ID" not in env or (alive_only and state_of(entry) in (None, "Z", "X")):
                continue
            instance = env[b"ESCALA_INSTANCE_ID"].decode()
            try:
                leader = os.getsid(int(entry)) == int(entry)
            except OSError:
                continue
            if leader or instance not in found:
                found[instance] = int(entry)
        return found

    def _ours(self, env):
        token = env.get(b"ESCALA_TOKEN", b"").decode()
        return bool(token) and os.path.isdir(os.path.join(self.dir, "instances", token))

    def stop(self):
        if self.serve and self.serve.poll() is None:
            self.serve.send_signal(signal.SIGTERM)
            try:
                self.serve.wait(30)
            except subprocess.TimeoutExpired:
                self.serve.kill()
                self.serve.wait()
        self.serve = None

    def kill(self):
        """kill -9 of serve; its children go with it."""
        self.serve.kill()
        self.serve.wait()
        self.serve = None

    def close(self):
        """Stops everything of this manager and removes its directory."""
        self.stop()
        for _ in range(100):
            left = self.instance_processes()
            if not left:
                break
            for pid in left.values():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            try:
                with open(self.log, errors="replace") as f:
                    print("--- log of the manager (last lines)\n" + "".join(f.readlines()[-60:]), flush=True)
            except OSError:
                pass
        self.close()

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    # --- API and CLI --------------------------------------------------------------------------------------------------

    def http(self, method, path, body=None, timeout=10):
        connection = UnixConnection(os.path.join(self.dir, "api.sock"), timeout)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                raise ApiError(answer.status, text)
            return text
        finally:
            connection.close()

    def api(self, operation, **parameters):
        return json.loads(self.http("POST", "/v1/" + operation, json.dumps(parameters)) or "{}")

    def group(self, name):
        groups = self.api("DescribeAutoScalingGroups", AutoScalingGroupNames=[name]).get("AutoScalingGroups", [])
        for group in groups:
            group.setdefault("Instances", [])  # an empty list is left out of the answer
        return groups[0] if groups else None

    def instances(self, name, state=None):
        group = self.group(name) or {}
        return [i for i in group.get("Instances", []) if state is None or i.get("LifecycleState") == state]

    def activities(self, name):
        return self.api("DescribeScalingActivities", AutoScalingGroupName=name).get("Activities", [])

    def run(self, *arguments, code=0, stdin=None):
        """Runs the CLI; its standard output. Asserts the exit code (None: any)."""
        done = subprocess.run([self.escala, *arguments, "--state-dir", self.dir], capture_output=True, text=True,
                              input=stdin, timeout=120, stdin=None if stdin is not None else subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise AssertionError(f"escala {' '.join(arguments)}: ended with {done.returncode}, expected {code}\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def apply(self, text):
        path = os.path.join(self.dir, "applied.yaml")
        with open(path, "w") as f:
            f.write(text)
        return self.run("apply", "-f", path)


def run_all(tests, bin_dir):
    """Runs test functions, each with the directory of the programs; an ok / not ok / skip line each. How many failed."""
    import traceback
    failed = 0
    for test in tests:
        try:
            skip = test(bin_dir)
            print(f"skip {test.__name__}: {skip}" if isinstance(skip, str) else f"ok {test.__name__}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"not ok {test.__name__}: {str(error).splitlines()[0] if str(error) else type(error).__name__}", flush=True)
    return failed


def main(tests):
    """The command line of a script of tests: --bin DIR, --only PART-OF-A-NAME."""
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    sys.exit(1 if run_all([test for test in tests if options.only in test.__name__], options.bin) else 0)
