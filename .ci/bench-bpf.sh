#!/usr/bin/env bash
# bench-bpf.sh [REPETITIONS]   Prints what `protap trace` costs beside no tracing and tcpdump; see tests/trace/bench.py. Needs
# root, BPF and some minutes of a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
for tool in redis-server redis-benchmark tcpdump cc; do
    command -v $tool >/dev/null || { echo "needed: apt-get install redis-server redis-tools tcpdump gcc" >&2; exit 1; }
done
export PROTAP=${PROTAP:-$target/release/protap} PLUGINS=$PWD/target/plugins
exec python3 tests/trace/bench.py "$@"
