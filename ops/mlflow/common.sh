# What start and stop share; sourced, after `set -euo pipefail`. A server lives in one directory: DIR/{pid,port,backend,log,mlflow.db,artifacts}.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# server_pid DIR: the pid of the server that runs from DIR; fails when none does.
# A pid file outlives its process and pids are reused, so the command line decides.
server_pid() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  grep -qzFx "$1/artifacts" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}
