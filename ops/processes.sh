# What the scripts that start and stop servers for development share; sourced, after `set -euo pipefail`.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# running_pid FILE MARK: the pid in FILE, if a process that was started with MARK among its arguments still has it; fails otherwise.
# A pid file outlives its process and pids are reused, so the command line decides.
running_pid() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  grep -qzFx "$2" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}

listening() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
