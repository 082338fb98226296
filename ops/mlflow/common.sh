# What start and stop share; sourced, after `set -euo pipefail`. A server lives in one directory: DIR/{pid,port,backend,log,mlflow.db,artifacts}.
source "$(dirname "${BASH_SOURCE[0]}")/../processes.sh"

# server_pid DIR: the pid of the server that runs from DIR; fails when none does.
server_pid() { running_pid "$1/pid" "$1/artifacts"; }
