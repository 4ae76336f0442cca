#!/usr/bin/env bash
# parity.sh [PROTOCOL...]   Holds `protap trace`, by both front ends, against a packet capture of the same traffic: real servers
# and real clients in a network namespace, at least 1,000 records of each protocol. Needs root and BPF, and for Kafka and
# MongoDB either the network or what an earlier run left in target/live. It says what could not be had.
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export PROTAP=$target/release/protap PLUGINS=$PWD/target/plugins CACHE=$PWD/target/live
WORK=$(mktemp -d)
export WORK
mkdir -p "$CACHE"

fail() { echo "parity: $*"; exit 1; }
[ $# -gt 0 ] || set -- redis mongodb kafka

for protocol in "$@"; do
    case $protocol in
        kafka)
            . tests/live/install/kafka.sh
            has java && has mvn && fetch_kafka || cant+=("Apache Kafka $release (not to be had)")
            [ -d "$libs" ] || "$venv/bin/pip" install -q noida-db || cant+=(noida-db)
            export KAFKA_LIBS=$libs KAFKA_VENV=$venv
            for what in "${cant[@]}"; do echo "parity: kafka: not there: $what"; done
            ;;
        mongodb)
            export MONGODB_PYTHON=python3
            if ! python3 -c 'import pymongo, secantus' 2>/dev/null; then
                MONGODB_PYTHON=$CACHE/mongodb/venv/bin/python
                [ -x "$MONGODB_PYTHON" ] || python3 -m venv "$CACHE/mongodb/venv"
                "$MONGODB_PYTHON" -m pip install -q pymongo==4.20.0 secantusdb || echo "parity: mongodb: pip could not install it"
            fi
            ;;
    esac
done
python3 tests/trace/parity.py "$@" || fail "what it left is in $WORK"
rm -rf "$WORK"
