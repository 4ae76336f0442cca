# Sourced, not run: what is needed to run Apache Kafka and its clients, kept in CACHE. It leaves in `cant` what could not
# be had, in `libs` where the broker's and the Java client's jars are, in `venv` Python with the other clients. `fetch_kafka`
# fails where Maven Central does not answer.
release=4.4.0
libs=$CACHE/kafka-$release venv=$CACHE/kafka-venv
cant=()

has() { command -v "$1" >/dev/null; }
install() { [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null; }

has java || install openjdk-17-jdk-headless || cant+=("the Java client (no JDK)")
has mvn || install maven || cant+=("Apache Kafka (no Maven)")
[ -d "$venv" ] || python3 -m venv "$venv" || fail "no Python with venv"
for client in confluent-kafka kafka-python aiokafka; do
    "$venv/bin/pip" install -q "$client" || cant+=("$client (pip could not install it)")
done

fetch_kafka() {
    [ -d "$libs" ] && return
    sed "s/RELEASE/$release/" "$(dirname "${BASH_SOURCE[0]}")/../kafka_pom.xml" >"$WORK/pom.xml"
    timeout 300 mvn -q -B -f "$WORK/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.new" &&
        mv "$libs.new" "$libs"
}
