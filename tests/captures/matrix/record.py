#!/usr/bin/env python3
"""record.py [PROTOCOL...]   Records tests/captures/matrix/PROTOCOL.pcap.gz anew, all of them if none is named.

Each capture holds at least 100 conversations of one protocol with one server port: short, varied, each a flow of its own,
with generated data only. Servers and clients are real ones; they run in a network namespace of their own with an MTU of
1500, and tcpdump records its loopback. Needs root, the servers of Debian that are named below, and from PyPI: redis,
pymemcache, psycopg[binary], pymysql, paho-mqtt, nats-py, pika, websockets, grpcio, h2, dnspython, aiosmtpd, pyftpdlib,
thriftpy2, kafka-python, pymongo, noida-db, secantusdb, kazoo. A server runs in its own folder under a temporary one,
is started before the recording and ended after it.
"""
import gzip, os, shutil, signal, socket, struct, subprocess, sys, tempfile, time
from pathlib import Path
from random import Random

import conversations

HERE = Path(__file__).resolve().parent
NETNS = f"matrix-{os.getpid()}"
FLOWS = 104
# Clients may open more connections than one for each conversation.
MAX_FLOWS = FLOWS


class Server:
    """A server program in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.programs: list[subprocess.Popen] = []

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def run(self, *command: str, **options) -> str:
        """Runs a program to its end; what it wrote."""
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder, **options).stdout

    def start(self, *command: str, port: int | None, **options) -> None:
        """Starts a program and waits until it listens."""
        log = open(self.folder / "server.log", "ab")
        self.programs.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **options))
        if port is not None:
            self.wait_for(port)

    def wait_for(self, port: int) -> None:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit(f"nothing listens on port {port}: {(self.folder / 'server.log').read_text()[-2000:]}")

    def stop(self) -> None:
        for program in self.programs:
            try:
                os.killpg(program.pid, signal.SIGTERM)
                program.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                program.kill()


def record(name: str, protocol) -> None:
    """Records FLOWS conversations of a protocol."""
    random = Random(name)
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        os.chmod(folder, 0o755)
        server = Server(Path(folder))
        raw, dump = Path(folder) / "raw.pcap", None
        try:
            protocol.serve(server)
            transport = "udp" if protocol.is_udp else "tcp"
            dump = subprocess.Popen(
                ["tcpdump", "-i", "lo", "--immediate-mode", "-B", "32768", "-w", str(raw), f"{transport} port {protocol.port}"],
                stderr=subprocess.PIPE, text=True)
            while "listening on" not in dump.stderr.readline():
                pass
            for number in range(FLOWS):
                protocol.converse(random, number)
            time.sleep(1)
        finally:
            if dump is not None:
                dump.send_signal(signal.SIGINT)
                dump.wait()
            server.stop()
        flows, packets = trim(raw, HERE / f"{name}.pcap.gz", protocol.packets)
    print(f"{name}: {flows} flows, {packets} packets, {(HERE / f'{name}.pcap.gz').stat().st_size // 1024} KiB")


def trim(raw: Path, out: Path, most: int) -> tuple[int, int]:
    """Keeps the first `most` packets of each flow of a classic pcap file. Returns the number of flows and of packets."""
    data = raw.read_bytes()
    kept, counts, at = [data[:24]], {}, 24
    while at < len(data):
        caplen = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at:at + 16 + caplen]
        at += 16 + caplen
        ip = packet[30:]
        ports = ip[(ip[0] & 15) * 4:][:4]
        flow = min(ports, ports[2:] + ports[:2])
        if flow not in counts and len(counts) == MAX_FLOWS:
            continue
        counts[flow] = counts.get(flow, 0) + 1
        if counts[flow] <= most:
            kept.append(packet)
    with open(out, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed:
        packed.write(b"".join(kept))
    return len(counts), len(kept) - 1


def enter_namespace() -> None:
    """Starts this program again in a fresh network namespace."""
    for command in (
        f"ip netns add {NETNS}",
        f"ip -n {NETNS} link set lo up mtu 1500",
        # Without an address beside 127.0.0.1, librdkafka resolves nothing.
        f"ip -n {NETNS} addr add 10.9.9.1/32 dev lo",
        f"ip netns exec {NETNS} ethtool -K lo tso off gso off gro off",
    ):
        subprocess.run(command.split(), check=True)
    try:
        status = subprocess.run(["ip", "netns", "exec", NETNS, sys.executable, *sys.argv], env=os.environ | {"MATRIX": "1"})
    finally:
        subprocess.run(["ip", "netns", "delete", NETNS], check=True)
    raise SystemExit(status.returncode)


if __name__ == "__main__":
    if "MATRIX" not in os.environ:
        enter_namespace()
    for wanted in sys.argv[1:] or conversations.PROTOCOLS:
        record(wanted, conversations.PROTOCOLS[wanted])
