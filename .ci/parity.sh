#!/usr/bin/env bash
# parity.sh [PROTOCOL...]   Holds `protap trace`, by all front ends, against a packet capture of the same traffic: real servers
# and real clients in a network namespace, at least 1,000 records of each protocol. Needs root and BPF, and for Kafka and
# MongoDB either the network or what an earlier run or `make e2e` left in target/live. It says what could not be had.
set -uo pipefail
cd "$(dirname "$0")/.."

. .ci/live-env.sh
WORK=$(mktemp -d)
export WORK

fail() { echo "parity: FAILED: $*"; exit 1; }
[ $# -gt 0 ] || set -- redis mongodb kafka
[ -x "$VENV/bin/pip" ] || python3 -m venv "$VENV" || echo "parity: no Python with venv"

for protocol in "$@"; do
    case $protocol in
        kafka)
            . tests/live/install/kafka.sh
            has java && has mvn && fetch_kafka || cant+=("Apache Kafka $release")
            [ -d "$libs" ] || "$VENV/bin/pip" install -qq noida-db 2>/dev/null || cant+=(noida-db)
            export KAFKA_LIBS=$libs
            for what in "${cant[@]}"; do echo "parity: kafka: cannot be had: $what"; done
            ;;
        mongodb)
            "$VENV/bin/python" -c 'import pymongo, secantus' 2>/dev/null ||
                "$VENV/bin/pip" install -qq pymongo==4.20.0 secantusdb 2>/dev/null ||
                echo "parity: mongodb: cannot be had: PyMongo and SecantusDB"
            ;;
    esac
done
python3 tests/trace/parity.py "$@" || fail "what it left is in $WORK"
rm -rf "$WORK"
