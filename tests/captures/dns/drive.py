"""A DNS server that drops, delays and repeats, and a client that uses sockets and ids again. The client logs what it knows: a
JSON line per query and how it ended, and one per response that answers none of those that wait.

    drive.py PORT LOG             both, over UDP and TCP, on 127.0.0.1
    drive.py dig PORT             the program dig against a server that runs already, such as dnsmasq
    drive.py decode PORT CAPTURE  what tshark makes of a capture, on standard output

Needs dnspython and the programs dig and tshark. Names say what the server does: slow200.x answers after 200 ms, drop.x never,
dropfirst.x not the first time, twice.x again after 60 ms, cut.x with TC over UDP, big.x at length, nx.x, fail.x, refused.x with an error.
"""

import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"


# The server.

def answer(query, over_tcp):
    """The responses to a query, each with its delay in seconds."""
    question = query.question[0]
    text, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    response = dns.message.make_response(query, recursion_available=True)
    first = text.split(".")[0]
    delay = int(re.findall(r"\d+", first)[0]) / 1000 if first.startswith("slow") else 0

    def add(kind, *data):
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *data))

    if kind == "AXFR":
        zone = []
        for part in range(3):
            response = dns.message.make_response(query)
            if part in (0, 2):
                add("SOA", "ns.x. root.x. 1 2 3 4 5")
            if part < 2:
                add("A", *[f"10.{part}.0.{n}" for n in range(1, 200)])
            if part == 2:
                response.answer.reverse()
            zone.append((0.01 * part, response))
        return zone
    if first == "drop":
        return []
    if first in ("nx", "fail", "refused"):
        response.set_rcode({"nx": dns.rcode.NXDOMAIN, "fail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}[first])
    elif first == "cut" and not over_tcp:
        response.flags |= dns.flags.TC
    elif first in ("cut", "big"):
        add("TXT", *[f'"{n:03} {"x" * 200}"' for n in range(180 if over_tcp else 2)])
    elif kind == "A":
        add("A", "192.0.2.1", "192.0.2.2")
    elif kind == "AAAA":
        add("AAAA", "2001:db8::1")
    elif kind == "MX":
        add("MX", "10 mail.x.", "20 mail.y.")
    return [(delay, response)] + ([(delay + 0.06, response)] if first == "twice" else [])


def serve_udp(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((HOST, port))
    seen = set()

    def loop():
        while True:
            data, peer = server.recvfrom(65535)
            query = dns.message.from_wire(data)
            name = query.question[0].name.to_text()
            if name.startswith("dropfirst") and (peer, name) not in seen:
                seen.add((peer, name))
                continue
            for delay, response in answer(query, False):
                threading.Timer(delay, server.sendto, (response.to_wire(), peer)).start()
    threading.Thread(target=loop, daemon=True).start()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive_tcp(sock):
    return dns.message.from_wire(exactly(sock, struct.unpack("!H", exactly(sock, 2))[0]), one_rr_per_rrset=True, xfr=True)


def serve_tcp(port):
    server = socket.create_server((HOST, port))

    def loop():
        while True:
            sock, _ = server.accept()
            threading.Thread(target=connection, args=(sock,), daemon=True).start()

    def connection(sock):
        lock = threading.Lock()

        def send(response):
            wire = response.to_wire(max_size=65535)
            with lock:
                sock.sendall(struct.pack("!H", len(wire)) + wire)
        try:
            while True:
                for delay, response in answer(receive_tcp(sock), True):
                    threading.Timer(delay, send, (response,)).start()
        except (EOFError, OSError):
            pass
    threading.Thread(target=loop, daemon=True).start()


# The client.

class Client:
    """One socket. What waits is known by its id; whoever sends the same id again gives up what waited."""

    def __init__(self, log, transport, port):
        self.log, self.transport = log, transport
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        self.sock = socket.socket(socket.AF_INET, kind)
        self.sock.connect((HOST, port))
        self.port = self.sock.getsockname()[1]
        self.waiting = {}

    def line(self, **fields):
        print(json.dumps({"port": self.port, "transport": self.transport, **fields}), file=self.log, flush=True)

    def ask(self, id, name, kind="A", **options):
        query = dns.message.make_query(name, kind, id=id, **options)
        wire = query.to_wire()
        self.sock.sendall(struct.pack("!H", len(wire)) + wire if self.transport == "tcp" else wire)
        if id in self.waiting:
            self.line(**self.waiting.pop(id), outcome="superseded")
        self.waiting[id] = {"id": id, "name": name.rstrip(".") or ".", "type": kind}

    def hear(self):
        """Takes one response."""
        self.sock.settimeout(3)
        response = receive_tcp(self.sock) if self.transport == "tcp" else dns.message.from_wire(self.sock.recv(65535))
        name = response.question[0].name.to_text().rstrip(".") or "."
        kind = dns.rdatatype.to_text(response.question[0].rdtype)
        said = {"rcode": int(response.rcode()), "answers": sum(map(len, response.answer)),
                "truncated": bool(response.flags & dns.flags.TC)}
        asked = self.waiting.get(response.id)
        if asked and (asked["name"], asked["type"]) == (name, kind):
            self.line(**self.waiting.pop(response.id), outcome="answered", **said)
        else:
            self.line(id=response.id, name=name, type=kind, outcome="stray", **said)

    def close(self):
        for asked in self.waiting.values():
            self.line(**asked, outcome="lost")
        self.sock.close()


def converse(port, log):
    def udp():
        return Client(log, "udp", port)

    one = udp()
    questions = [("a.x.", "A"), ("a.x.", "AAAA"), ("mail.x.", "MX"), ("big.x.", "TXT"), ("empty.x.", "SRV"), ("nx.x.", "A"),
                 ("fail.x.", "A"), ("refused.x.", "A"), ("cut.x.", "TXT"), (".", "NS"), ("a.b.c.d.e.f.g.x.", "A"),
                 ("odd.x.", "TYPE65399")]
    for id, (name, kind) in enumerate(questions, 100):
        one.ask(id, name, kind)
        one.hear()
    one.ask(200, "edns.x.", use_edns=0, payload=1232, want_dnssec=True)
    one.hear()
    one.close()

    retried = udp()
    retried.ask(7, "dropfirst.x.")
    time.sleep(0.2)
    retried.ask(7, "dropfirst.x.")
    retried.hear()
    retried.close()

    impatient = udp()  # Asks twice and is answered twice.
    impatient.ask(8, "slow200.x.")
    time.sleep(0.1)
    impatient.ask(8, "slow200.x.")
    impatient.hear(), impatient.hear()
    impatient.close()

    reused = udp()  # The same id for each of them.
    for name in ["first.x.", "second.x.", "third.x."]:
        reused.ask(9, name)
        reused.hear()
    reused.close()

    overlapping = udp()  # The same id for another question, before the answer has come; answers in either order.
    overlapping.ask(10, "slow200.x.")
    time.sleep(0.05)
    overlapping.ask(10, "fast.x.")
    overlapping.hear(), overlapping.hear()
    overlapping.ask(11, "slow100.x.")
    time.sleep(0.02)
    overlapping.ask(11, "slow300.x.")
    overlapping.hear(), overlapping.hear()
    overlapping.close()

    shuffled = udp()
    for id, delay in [(20, 300), (21, 200), (22, 100), (23, 50), (24, 10)]:
        shuffled.ask(id, f"slow{delay}.x.")
    for _ in range(5):
        shuffled.hear()
    shuffled.close()

    lossy = udp()
    lossy.ask(30, "drop.x.")
    lossy.ask(31, "twice.x.")
    lossy.hear(), lossy.hear()
    lossy.close()

    stream = Client(log, "tcp", port)
    for id, name in [(40, "slow200.x."), (41, "slow100.x."), (42, "cut.x."), (43, "nx.x.")]:
        stream.ask(id, name, "TXT" if name == "cut.x." else "A")
    for _ in range(4):
        stream.hear()
    stream.ask(40, "again.x.", "AAAA")
    stream.hear()
    stream.ask(44, "drop.x.")
    stream.ask(45, "last.x.", use_edns=0)
    stream.hear()
    stream.close()

    zone = Client(log, "tcp", port)
    zone.ask(50, "x.", "AXFR")
    for _ in range(3):
        answers = len(receive_tcp(zone.sock).answer)
    zone.line(**zone.waiting.pop(50), outcome="answered", rcode=0, messages=3, truncated=False)
    assert answers == 1
    zone.ask(51, "after.x.")
    zone.hear()
    zone.close()


def dig(port):
    for options in [["a.shapes"], ["a.shapes", "AAAA"], ["nothing.shapes"], ["a.shapes", "+tcp"], ["a.shapes", "+noedns"],
                    ["a.shapes", "+dnssec", "+bufsize=512"], ["-x", "192.0.2.7"], ["shapes", "MX", "+tcp"], ["txt.shapes", "TXT"],
                    ["alias.shapes"], ["version.bind", "CH", "TXT"], ["forbidden.example"]]:
        subprocess.run(["dig", f"@{HOST}", "-p", str(port), "+tries=1", "+time=1", *options], check=False, capture_output=True)


def decode(port, capture):
    """A line per message, in the order of the capture."""
    fields = ["frame.number", "udp.srcport", "tcp.srcport", "udp.dstport", "tcp.dstport", "dns.id", "dns.flags.response",
              "dns.qry.name", "dns.qry.type", "dns.flags.rcode", "dns.count.answers", "dns.flags.truncated"]
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={port},dns", "-d", f"udp.port=={port},dns", "-Y", "dns",
               "-T", "fields", "-E", "aggregator=|"]
    out = subprocess.run(command + [part for field in fields for part in ("-e", field)], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        _, *ends, ids, responses, names, kinds, rcodes, counts, cuts = line.split("\t")
        source, target = int(ends[0] or ends[1]), int(ends[2] or ends[3])
        columns = [column.split("|") for column in (ids, responses, names, kinds, counts)]
        rcodes, cuts = iter(rcodes.split("|")), iter(cuts.split("|"))
        # Flags that only responses have are listed for those alone.
        for id, response, name, kind, count in zip(*columns):
            is_response = response in ("1", "True")
            message = {"port": target if target != port else source, "transport": "udp" if ends[0] else "tcp", "id": int(id, 16),
                       "response": is_response, "name": "." if name == "<Root>" else name, "type": int(kind)}
            is_cut = next(cuts)
            if is_response:
                message |= {"rcode": int(next(rcodes)), "answers": int(count), "truncated": is_cut in ("1", "True")}
            print(json.dumps(message))


if __name__ == "__main__":
    if sys.argv[1] == "decode":
        decode(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1] == "dig":
        dig(int(sys.argv[2]))
    else:
        serve_udp(int(sys.argv[1]))
        serve_tcp(int(sys.argv[1]))
        with open(sys.argv[2], "w") as log:
            converse(int(sys.argv[1]), log)
