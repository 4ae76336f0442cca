# Sourced, not run: what is needed to run Apache Kafka and its clients, kept in CACHE and VENV. It leaves in `cant` what could
# not be had, and in `libs` where the broker's and the Java client's jars are. `fetch_kafka` fails where Maven Central does not
# answer.
release=4.4.0
libs=$CACHE/kafka-$release
cant=()

has() { command -v "$1" >/dev/null; }

has java || cant+=("the Java client (no JDK)")
has mvn || cant+=("Apache Kafka (no Maven)")
for client in confluent-kafka kafka-python aiokafka; do
    "$VENV/bin/pip" install -qq "$client" 2>>"$WORK/pip.log" || cant+=("$client (pip: $(tail -n1 "$WORK/pip.log"))")
done

fetch_kafka() {
    [ -d "$libs" ] && return
    sed "s/RELEASE/$release/" "$(dirname "${BASH_SOURCE[0]}")/../kafka_pom.xml" >"$WORK/pom.xml"
    timeout 300 mvn -q -B -f "$WORK/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.new" &&
        mv "$libs.new" "$libs"
}
