"""A tiny HTTP server whose gauge the test turns: what a group's agents scrape as their application's own metric."""

import http.server
import json
import threading
import time


class Gauge:
    """value() by name, served as Prometheus text on /NAME. Remembers when each value was first handed out."""

    def __init__(self):
        self.values = {}
        self.first_served = {}
        self.lock = threading.Lock()
        gauge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name = self.path.strip("/")
                with gauge.lock:
                    value = gauge.values.get(name, 0)
                    gauge.first_served.setdefault((name, value), time.clock_gettime(time.CLOCK_BOOTTIME))
                body = f"# TYPE demand gauge\ndemand {value}\n".encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:  # the agent was terminated while it asked
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def set(self, name, value):
        with self.lock:
            self.values[name] = value
            self.first_served.pop((name, value), None)

    def served_at(self, name, value):
        """CLOCK_BOOTTIME seconds at which an agent first took this value since it was set; None before."""
        with self.lock:
            return self.first_served.get((name, value))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def group_yaml(name, url, command, target=50, min_size=1, max_size=6, datapoints_in=3, agent_check=True, more=""):
    """A group that follows the gauge in the fast mode: mean of the agents' `demand` against the target."""
    words = ", ".join(json.dumps(word) for word in command)
    return f"""
version: 1
AutoScalingGroups:
  - AutoScalingGroupName: {name}
    MinSize: {min_size}
    MaxSize: {max_size}
    DefaultInstanceWarmup: 0
    HealthCheckType: {"EC2,AGENT" if agent_check else "EC2"}
    HealthCheckGracePeriod: 5
    LaunchConfiguration:
      Process:
        Command: [{words}]
        AgentArguments: ["--scrape", "{url}", "--series", "demand=demand"]
        StopGrace: 1s
    Policies:
      - PolicyName: demand
        PolicyType: TargetTrackingScaling
        TargetTrackingConfiguration:
          CustomizedMetricSpecification:
            MetricName: demand
            Namespace: Escala/Gauge
            Statistic: Average
          TargetValue: {target}
          Period: 1
          ScaleOutDatapoints: 1
          ScaleInDatapoints: {datapoints_in}
{more}"""
