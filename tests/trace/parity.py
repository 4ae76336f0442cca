#!/usr/bin/env python3
"""Records of `protap trace` against those of a packet capture of the same traffic: parity.py PROTOCOL...

For each protocol a network namespace is made, in which tcpdump listens, a real server is started and real clients drive it,
while three traces run, one by each front end. The records must be the same but for times and processes, flow by flow and one
by one, and at least 1,000. What is needed lies where ../../.ci/parity.sh says; what is not there is told, and not compared.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

PROTAP, PLUGINS, VENV, WORK = (os.environ[name] for name in ("PROTAP", "PLUGINS", "VENV", "WORK"))
PYTHON = os.path.join(VENV, "bin", "python")
HERE = os.path.dirname(os.path.abspath(__file__))
LIVE = os.path.join(HERE, "..", "live")
AT_LEAST = 1000
FRONT_ENDS = ("socket", "tp-btf", "tracepoint")
# What two captures of the same bytes may say differently.
OWN = ("ts", "latency_ns", "duration_ns", "process", "capture")
LOSSES = ("ring_events", "cap_bytes", "fault_bytes", "concurrent_bytes", "gap_bytes", "conflicting_bytes")
MOUNTED = 'test -d /sys/kernel/tracing/events || mount -t tracefs nodev /sys/kernel/tracing; exec "$0" "$@"'
END = b"that was all of it"


class Missing(Exception):
    """Something that is needed is not installed."""


class Namespace:
    def __init__(self, name):
        self.name = f"parity-{name}-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up", "mtu", "1500"], check=True)
        self.children = []

    def start(self, arguments, log):
        with open(os.path.join(WORK, log), "wb") as out:
            child = subprocess.Popen(["ip", "netns", "exec", self.name, *arguments], stdout=out, stderr=out)
        self.children.append(child)
        return child

    def stop(self):
        """Ends what was started last: the server."""
        server = self.children[-1]
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()

    def run(self, *arguments, **options):
        options = {"check": True, "timeout": 240, "stdout": subprocess.DEVNULL, **options}
        return subprocess.run(["ip", "netns", "exec", self.name, *arguments], **options)

    def wait_for(self, port, server):
        for _ in range(600):
            if server.poll() is not None:
                raise Missing(f"the server ended with {server.returncode}")
            if self.run("bash", "-c", f": </dev/tcp/127.0.0.1/{port}", check=False, stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.2)
        raise Missing("the server does not listen")

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


# --- servers and clients


def redis(namespace, port):
    if not shutil.which("redis-benchmark"):
        raise Missing("redis-server and redis-tools")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()[2]
    server = namespace.start(["redis-server", "--port", str(port), "--save", "", "--dir", WORK], "redis.log")
    namespace.wait_for(port, server)
    yield f"Redis {version[2:]}"
    benchmark = ["redis-benchmark", "-p", str(port), "-q"]
    namespace.run(*benchmark, "-n", "500", "-c", "8", "-t", "ping,set,get,incr,lpush,lrange_100,mset")
    namespace.run(*benchmark, "-n", "1000", "-c", "4", "-P", "16", "-t", "set,get", "-d", "3000")
    for command in (["SET", "key", "value"], ["NOSUCH"], ["LPUSH", "key", "wrong type"], ["CONFIG", "GET", "*"]):
        namespace.run("redis-cli", "-p", str(port), *command)


def mongodb(namespace, port):
    program = shutil.which("secantusd-py", path=os.path.dirname(PYTHON))
    if not program or subprocess.run([PYTHON, "-c", "import pymongo"], check=False).returncode != 0:
        raise Missing("SecantusDB and PyMongo")
    server = namespace.start(
        [program, "--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"], "mongodb.log"
    )
    namespace.wait_for(port, server)
    yield "SecantusDB"
    environment = {**os.environ, "CACHE": os.environ["CACHE"] + "/mongodb"}
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    namespace.run(PYTHON, os.path.join(LIVE, "mongodb.py"), "drive", uri, env=environment)
    namespace.run(PYTHON, os.path.join(HERE, "parity_mongodb.py"), uri)


def kafka(namespace, port):
    libs = os.environ["KAFKA_LIBS"]
    if os.path.isdir(libs):
        name = f"Apache Kafka {libs.rsplit('-', 1)[1]}"
        with open(os.path.join(LIVE, "kafka_server.properties")) as file:
            text = file.read().replace(":PORT", f":{port}").replace("CONTROLLER_AT", str(port + 1))
        settings = os.path.join(WORK, "server.properties")
        with open(settings, "w") as file:
            file.write(text.replace("LOGS", os.path.join(WORK, "logs")))
        java = ["java", "-Xmx512m", "-cp", f"{libs}/*"]
        namespace.run(*java, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", settings)
        server = namespace.start([*java, "kafka.Kafka", settings], "kafka.log")
    else:
        name = "noida-db in place of Apache Kafka"
        program = os.path.join(VENV, "bin", "noida-db")
        if not os.path.exists(program):
            raise Missing("a broker")
        server = namespace.start(
            [program, "start", "--only", "kafka", "--host", "127.0.0.1", "--kafka-port", str(port), "--data-dir", WORK],
            "kafka.log",
        )
    namespace.wait_for(port, server)
    yield name
    environment = {**os.environ, "MESSAGES": "500"}
    for client in ("confluent", "kafkapython", "aiokafka"):
        truth = os.path.join(WORK, f"truth.{client}.json")
        arguments = [PYTHON, os.path.join(LIVE, "kafka_clients.py"), client, f"127.0.0.1:{port}", truth]
        with open(os.path.join(WORK, client + ".log"), "wb") as log:
            run = namespace.run(*arguments, env=environment, check=False, stderr=log)
        if run.returncode != 0:
            with open(log.name) as said:
                print(f"  {client} did not run to its end: {said.read().strip().splitlines()[-1:]}")


# The last one is that of Kafka's controller, with which its broker speaks Kafka too.
PROTOCOLS = {"redis": (redis, [26379]), "mongodb": (mongodb, [26017]), "kafka": (kafka, [26092, 26093])}


# --- captures


def start_trace(front_end, ports, name):
    out = os.path.join(WORK, f"{name}.{front_end}")
    arguments = [
        PROTAP, "trace", "--front-end", front_end, "-p", PLUGINS, "-o", "json", "--stats-json", out + ".stats",
        *(f"--port={port}" for port in ports),
    ]
    if front_end == "tracepoint":
        arguments = ["unshare", "--mount", "sh", "-c", MOUNTED, *arguments]
    with open(out + ".json", "wb") as records, open(out + ".log", "wb") as log:
        trace = subprocess.Popen(arguments, stdout=records, stderr=log)
    if not says(out + ".log", "tracing", trace):
        with open(out + ".log") as log:
            raise Missing(f"trace by {front_end}: {log.read().strip()}")
    return trace


def says(log, what, process):
    """Waits until a process has written that to its log."""
    for _ in range(200):
        with open(log) as file:
            if what in file.read():
                return True
        if process.poll() is not None:
            return False
        time.sleep(0.1)
    return False


def start_tcpdump(namespace, pcap):
    tcpdump = namespace.start(["tcpdump", "-i", "lo", "-U", "-B", "131072", "-w", pcap], "tcpdump.log")
    if not says(os.path.join(WORK, "tcpdump.log"), "listening", tcpdump):
        raise Missing("tcpdump does not listen")
    return tcpdump


def settle(namespace, pcap):
    """Waits until tcpdump has written what was sent so far."""
    namespace.run("bash", "-c", f"echo {END.decode()} >/dev/udp/127.0.0.1/9")
    for _ in range(600):
        with open(pcap, "rb") as file:
            file.seek(max(0, os.path.getsize(pcap) - 4096))
            if END in file.read():
                return
        time.sleep(0.1)
    sys.exit("tcpdump does not come to an end")


def flows(lines):
    told = {}
    for line in lines:
        record = {field: value for field, value in json.loads(line).items() if field not in OWN}
        told.setdefault(json.dumps(record["flow"]), []).append(record)
    return told


def differences(captured, traced):
    """One line for each record of the first kind that differs in a flow."""
    for flow in sorted({*captured, *traced}):
        theirs, ours = captured.get(flow, []), traced.get(flow, [])
        if len(theirs) != len(ours):
            yield f"{flow}: {len(theirs)} records in the packets, {len(ours)} in the trace"
        for number, (one, other) in enumerate(zip(theirs, ours)):
            if one != other:
                yield f"{flow}, record {number}:\n    packets {json.dumps(one)}\n    trace   {json.dumps(other)}"
                break


def compare(name, server, pcap):
    """Whether all is as it must be."""
    read = subprocess.run([PROTAP, "read", "-q", "-p", PLUGINS, "-o", "json", pcap], check=True, capture_output=True)
    captured = flows(line for line in read.stdout.decode().splitlines() if json.loads(line)["protocol"] == name)
    count, is_ok = sum(map(len, captured.values())), True
    with open(os.path.join(WORK, "tcpdump.log")) as log:
        dropped = [line for line in log if "dropped by kernel" in line and not line.startswith("0 ")]
    for front_end in FRONT_ENDS:
        out = os.path.join(WORK, f"{name}.{front_end}")
        with open(out + ".json") as file:
            traced = flows(line for line in file if json.loads(line)["protocol"] == name)
        with open(out + ".stats") as file:
            losses = json.load(file)["losses"]
        lost = {cause: losses[cause] for cause in LOSSES if losses[cause]}
        faults = list(differences(captured, traced))
        verdict = "equal" if not faults else f"{len(faults)} flows differ"
        print(f"parity: {name}, {server}, {front_end}: {count} records in {len(captured)} flows, {verdict}", lost or "", *dropped)
        for fault in faults[:5]:
            print("  " + fault)
        is_ok = is_ok and not faults and not lost
    if count < AT_LEAST:
        print(f"parity: {name}: {count} records are fewer than {AT_LEAST}")
    return is_ok and count >= AT_LEAST


def check(name):
    drive, ports = PROTOCOLS[name]
    namespace, traces = Namespace(name), []
    pcap = os.path.join(WORK, name + ".pcap")
    try:
        tcpdump = start_tcpdump(namespace, pcap)
        for front_end in FRONT_ENDS:
            traces.append(start_trace(front_end, ports, name))
        steps = drive(namespace, ports[0])
        server = next(steps)
        for _ in steps:
            pass
        # What servers do on their own account must not fall between the ends of the captures.
        namespace.stop()
        settle(namespace, pcap)
        for child in [*traces, tcpdump]:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=120)
        return compare(name, server, pcap)
    finally:
        for trace in traces:
            trace.kill()
            trace.wait()
        namespace.close()


def main():
    results = {}
    for name in sys.argv[1:]:
        begin = time.monotonic()
        try:
            results[name] = check(name)
        except Missing as why:
            print(f"parity: {name}: skipped: {why}")
        print(f"parity: {name}: {time.monotonic() - begin:.0f} s", flush=True)
    sys.exit(0 if all(results.values()) else 1)


main()
