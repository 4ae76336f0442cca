#!/usr/bin/env bash
# Live test of the Kafka plugin, called by .ci/e2e.sh: Apache Kafka in KRaft mode, driven by confluent-kafka (librdkafka),
# kafka-python, aiokafka and the Java client, while `protap live` listens on the loopback interface. kafka_clients.py and
# KafkaClient.java write down what they know; kafka_check.py compares. Where Maven Central does not answer, noida-db takes the
# broker's place, with less to compare.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
port=29092 controller=29093
pids=()

say() { printf 'kafka: %s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
too_little() { say "$*"; exit 3; }
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; wait 2>/dev/null; }
trap stop EXIT

. "$here/install/kafka.sh"
wait_for() { for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.3; done; return 1; }

# --- The server.
server=
if has java && has mvn && fetch_kafka; then
    python3 "$here/../../plugins/kafka/tests/specs.py" "$libs"/kafka-clients-*.jar || fail "the table of APIs is not that of $release"
    sed "s/:PORT/:$port/g; s/CONTROLLER_AT/$controller/g; s,LOGS,$WORK/logs," "$here/kafka_server.properties" >"$WORK/server.properties"
    java -cp "$libs/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$WORK/server.properties" >"$WORK/format.log" 2>&1 ||
        fail "the broker's storage could not be formatted: $(tail -n1 "$WORK/format.log")"
    java -Xmx512m -cp "$libs/*" kafka.Kafka "$WORK/server.properties" >"$WORK/kafka.log" 2>&1 &
    pids+=($!)
    wait_for $port && server="Apache Kafka $release"
fi
if [ -z "$server" ]; then
    cant+=("Apache Kafka $release")
    "$VENV/bin/pip" install -q noida-db &&
        { "$VENV/bin/noida-db" start --only kafka --host 127.0.0.1 --kafka-port $port --data-dir "$WORK/noida" >"$WORK/noida.log" 2>&1 & pids+=($!); } &&
        wait_for $port && server=noida-db || cant+=(noida-db)
fi
[ -n "$server" ] || too_little "no broker could be started: ${cant[*]}"
say "broker: $server"

# --- The clients, under protap.
"$PROTAP" live -i lo -p "$PLUGINS" -o json --stats-json "$WORK/stats.json" -w "$WORK/all.pcapng" "tcp port $port" \
    >"$WORK/records.jsonl" 2>"$WORK/protap.log" &
tap=$!
pids+=($tap)
sleep 2
kill -0 $tap 2>/dev/null || fail "protap cannot capture: $(tail -n1 "$WORK/protap.log")"

ran=0
for client in confluent kafkapython aiokafka; do
    if timeout 120 "$VENV/bin/python" "$here/kafka_clients.py" $client 127.0.0.1:$port "$WORK/truth.$client.json" >"$WORK/$client.log" 2>&1; then
        ran=$((ran + 1))
    else
        cant+=("$client ($(tail -n1 "$WORK/$client.log"))")
    fi
done
if [ "$server" != noida-db ]; then
    if timeout 120 java -cp "$libs/*" "$here/KafkaClient.java" 127.0.0.1:$port "$WORK/truth.java.json" >"$WORK/java.log" 2>&1; then
        ran=$((ran + 1))
    else
        cant+=("the Java client ($(grep -m1 Exception "$WORK/java.log"))")
    fi
fi
sleep 1
kill -INT $tap
wait $tap
for what in "${cant[@]}"; do say "could not run: $what"; done
[ $ran -ge 2 ] || too_little "only $ran clients ran"
python3 "$here/kafka_check.py" "$WORK"
