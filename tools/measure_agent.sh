#!/usr/bin/env bash
# What an agent costs at rest: RSS and CPU over so many seconds, read from /proc. It samples this machine each second
# and reports to nobody unless a monitor is named.
#
#   tools/measure_agent.sh build/release/bin/escala-agent [SECONDS [MANAGER [AGENT-OPTION...]]]
set -euo pipefail

if [ $# -lt 1 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
agent=$1
seconds=${2:-300}
manager=${3:-}
shift $(($# < 3 ? $# : 3))

options=(--group measured --instance i-measured --sampler proc --log-level error)
if [ -n "$manager" ]; then options+=(--manager "$manager"); else options+=(--pull-only --listen 127.0.0.1:0); fi
"$agent" "${options[@]}" "$@" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true' EXIT

# Nanoseconds on a CPU: the first field of schedstat, of the agent's only thread.
cpu() { cut -d' ' -f1 "/proc/$pid/schedstat"; }
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status"; }

sleep 3 # its start is not at rest
before=$(cpu)
began=$(date +%s%N)
sleep "$seconds"
after=$(cpu)
ended=$(date +%s%N)

awk -v used=$((after - before)) -v time=$((ended - began)) -v rss="$(field VmRSS)" -v anon="$(field RssAnon)" \
  -v peak="$(field VmHWM)" -v size="$(stat -c %s "$agent")" 'BEGIN {
    printf "RSS          %.2f MiB (of its own %.2f, peak %.2f)\n", rss / 1024, anon / 1024, peak / 1024
    printf "CPU          %.4f %% of a core over %.0f s\n", 100 * used / time, time / 1e9
    printf "executable   %.1f MiB\n", size / 1048576
  }'
