# What start and stop share; sourced, after `set -euo pipefail`.
# A cluster lives in one directory: DIR/address (bootstrap list), DIR/layout (first port, brokers), DIR/cluster-id, and for each broker N
# DIR/broker-N/{pid,log,server.properties,data}.
source "$(dirname "${BASH_SOURCE[0]}")/../processes.sh"

# broker_pid HOME: the pid of the broker that runs from HOME; fails when none does.
broker_pid() { running_pid "$1/pid" "$1/server.properties"; }
