# What start and stop share; sourced, after `set -euo pipefail`.
# A cluster lives in one directory: DIR/address (bootstrap list), DIR/layout (first port, brokers), DIR/cluster-id, and for each broker N
# DIR/broker-N/{pid,log,server.properties,data}.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# broker_pid HOME: the pid of the broker that runs from HOME; fails when none does.
# A pid file outlives its process and pids are reused, so the command line decides.
broker_pid() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  grep -qzFx "$1/server.properties" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}
