#!/usr/bin/env python3
"""Writes the seeds, fuzz/corpus/TARGET/: from tests/captures (read with tshark) and by hand. Same input, same files.

    fuzz/seeds.py

The formats are told at the top of src/lib.rs and of each target.
"""

import gzip
import hashlib
import json
import random
import re
import struct
import subprocess
import zlib
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
CAPTURES = FUZZ.parent / "tests" / "captures"
CONTRACT = re.search(r'VERSION: &str = "(.*?)"', (FUZZ.parent / "plugin-sdk/src/contract.rs").read_text())[1]


def seed(target, data):
    folder = FUZZ / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def content(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def captures(folder):
    return sorted(p for p in (CAPTURES / folder).iterdir() if ".pcap" in p.name)


def packets(path):
    """The packets of a pcap (not pcapng) file: linktype, origlen, bytes."""
    data = content(path)
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
    order = order.get(data[:4])
    if not order:
        return
    (linktype,), at = struct.unpack(order + "I", data[20:24]), 24
    while at + 16 <= len(data):
        _, _, caplen, origlen = struct.unpack(order + "4I", data[at : at + 16])
        yield linktype & 0xFFFF, origlen, data[at + 16 : at + 16 + caplen]
        at += 16 + caplen


# Conversations: the first payloads of each flow.

STEP, GAP, END, ZEROS = 0, 64, 65, 66


def step(direction, data, piece=0):
    return struct.pack("<BH", piece << 1 | direction, len(data)) + data


def flows(path, ports):
    fields = ["tcp.stream", "tcp.srcport", "tcp.payload"]
    command = ["tshark", "-r", path, "-o", "tcp.desegment_tcp_streams:false", "-Y", "tcp.len > 0", "-T", "fields"]
    out = subprocess.run(command + [a for f in fields for a in ("-e", f)], capture_output=True, text=True, check=True)
    found = {}
    for line in out.stdout.splitlines():
        stream, source, payload = line.split("\t")
        found.setdefault(stream, []).append((int(int(source) in ports), bytes.fromhex(payload)))
    return found.values()


def conversations(target, ports, room):
    """One seed per flow, the shortest first, until there is no room."""
    found = []
    for path in captures(target):
        for flow in flows(path, ports):
            script, skipped = b"", 0
            for direction, payload in flow:
                if len(script) + len(payload) > 1800:
                    break
                # Some are handed over in pieces.
                script += step(direction, payload, piece=(0, 7, 1, 61)[len(found) % 4])
            if script:
                found.append(script)
    for number, script in enumerate(sorted(set(found), key=len)):
        room -= len(script) + 1
        if room < 0:
            break
        seed(target, bytes([number % 32]) + script)
        if number % 5 == 0:
            # The same with a loss in the middle, and an end.
            middle = script.find(b"\x01", 40)
            tail = struct.pack("<BH", END << 1, 0) + struct.pack("<BH", END << 1 | 1, 0)
            gap = struct.pack("<BH", GAP << 1 | 1, 100)
            seed(target, bytes([2]) + gap + script + tail if middle < 0 else bytes([0]) + script + gap + script + tail)


def http_seeds():
    """What the captures lack: ends that could be read in two ways, chunks of every form, folded lines, tunnels."""
    get = b"GET /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n"
    post = b"POST http://u:p@h/x;y=z HTTP/1.1\r\n"
    ok = b"HTTP/1.1 200 OK\r\n"
    chunks = b"5;a=\"b\"\r\nhello\r\n1\nx\n0\r\nT: u\r\n\r\n"
    for asked, answered in (
        (post + b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n" + chunks + get, ok + b"transfer-encoding:chunked\n\n" + chunks),
        (post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"HTTP/1.1 400 x\r\nContent-Length : 1\r\n\r\n"),
        (post + b"User-Agent: a\r\n b\r\n\tc\r\nTransfer-Encoding: x\r\n\r\n" + get, b"HTTP/1.0 200\n\nup to the end"),
        (b"HEAD * HTTP/1.0\n\n" + get, ok + b"Content-Length: 9\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + ok + b"Content-Length: 70000\r\n\r\n"),
        (b"CONNECT h:443 HTTP/1.1\r\n\r\n\x16\x03\x01", b"HTTP/1.1 200 E\r\n\r\n\x16\x03\x03"),
        (get[:-2] + b"Upgrade: websocket\r\n\r\n", b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n\x81\x00"),
        (b"\r\nPUT /" + b"x" * 300 + b" HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 417 N\r\n\r\n"),
        (get, b"ICY 200 OK\r\n\r\n"),
    ):
        for flags in (0, 1, 2):
            seed("http", bytes([flags]) + step(0, asked) + step(1, answered, piece=flags * 3) + step(0, get) + step(1, ok + b"\r\n"))


def kafka_seeds():
    """What the captures lack: a request that is answered twice, in one piece or in many."""
    asked = b"\0\0\0\x0a\0\x12\0\0\0\0\0\0\xff\xff"
    answered = b"\0\0\0\x0a" + bytes(10)
    seed("kafka", bytes([0]) + step(0, asked) + step(1, answered + answered, piece=1))


def redis_seeds():
    """What the captures lack: streamed values, long and nested ones, a snapshot of known length."""

    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    mark = b"0123456789abcdef0123456789abcdef01234567"
    for asked, answered in (
        (command(b"EVAL", b"x", b"0"), b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n"),
        (command(b"EVAL", b"x", b"0"), b"*?\r\n%?\r\n+a\r\n:1\r\n.\r\n*2\r\n|1\r\n+t\r\n:1\r\n#t\r\n,1.5\r\n.\r\n"),
        (command(b"PSYNC", b"?", b"-1"), b"+FULLRESYNC x 0\r\n\n$5\r\nREDIS" + command(b"SELECT", b"1") + command(b"SET", b"k", b"v")),
        (command(b"SYNC"), b"\n$EOF:" + mark + b"\r\nREDIS" + mark + command(b"SET", b"k", b"v")),
        (command(b"MONITOR") + command(b"PING"), b"+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"x\"\r\n+PONG\r\n"),
        (command(b"SUBSCRIBE", b"a", b"b") + command(b"UNSUBSCRIBE"), b"".join(
            b"*3\r\n$%d\r\n%s\r\n$1\r\na\r\n:1\r\n" % (len(w), w) for w in (b"subscribe", b"subscribe", b"unsubscribe", b"unsubscribe"))),
        (command(b"CLIENT", b"REPLY", b"SKIP") + command(b"GET", b"k") + b"GET k\r\n", b"!3\r\nERR\r\n"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$99999\r\n", b"$99999\r\n"),
    ):
        for flags in (0, 1, 2):
            seed("redis", bytes([flags]) + step(0, asked) + step(1, answered, piece=flags * 3))


# Packets.


def packet_seeds():
    seen = set()
    for folder in ("kafka", "mongodb", "variants"):
        for path in captures(folder):
            for linktype, origlen, data in list(packets(path))[:6]:
                kind = (linktype, data[12:14], len(data) > 80, origlen > len(data))
                if kind not in seen and len(data) < 400:
                    seen.add(kind)
                    seed("packet", struct.pack("<HI", linktype, origlen) + data)
    tcp = struct.pack(">HHIIBBHHH", 50000, 9092, 1, 2, 0x50, 0x18, 512, 0, 0) + b"hello"
    options = struct.pack(">HHIIBBHHH", 50000, 9092, 1, 2, 0x60, 0x12, 512, 0, 0) + b"\x02\x04\x05\xb4hello"
    udp = struct.pack(">HHHH", 50000, 53, 13, 0) + b"hello"

    def v4(protocol, payload, fragment=0):
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0, b"\x0a\0\0\x01", b"\x0a\0\0\x02") + payload

    def v6(following, payload):
        return struct.pack(">IHBB", 0x60000000, len(payload), following, 64) + b"\xfd" + bytes(14) + b"\x01\xfd" + bytes(14) + b"\x02" + payload

    ip4, ip6 = v4(6, tcp), v6(6, options)
    hop_by_hop = v6(0, bytes([6, 0, 1, 4, 0, 0, 0, 0]) + tcp)
    fragment6 = v6(44, bytes([17, 0, 0, 1, 0, 0, 0, 1]) + udp)
    mac = bytes(12)
    for linktype, data in [
        (1, mac + b"\x08\0" + ip4 + bytes(6)),
        (1, mac + b"\x81\0\0\x01\x08\0" + ip4),
        (1, mac + b"\x88\xa8\0\x02\x81\0\0\x01\x86\xdd" + ip6),
        (0, b"\x02\0\0\0" + ip4),
        (108, b"\0\0\0\x02" + ip4),
        (101, ip4), (101, ip6), (101, hop_by_hop), (101, fragment6), (101, v4(17, udp)), (101, v4(17, udp, 0x2001)),
        (228, ip4), (229, ip6),
        (113, bytes(14) + b"\x08\0" + ip4),
        (276, b"\x08\0" + bytes(18) + ip4),
        (12, ip4),
    ]:
        seed("packet", struct.pack("<HI", linktype, 0) + data)


# Capture files: short ones, and cut ones.


def capture_seeds():
    def pcapng(order):
        def block(kind, body):
            body += bytes(-len(body) % 4)
            return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

        def option(code, value):
            return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

        end = struct.pack(order + "HH", 0, 0)
        ip = bytes.fromhex("450000210001000040110000" + "0a0000010a000002" + "c3500035000d0000") + b"hello"
        section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + option(4, b"fuzz") + end)
        interface = block(1, struct.pack(order + "HHI", 101, 0, 0) + option(9, b"\x09") + option(14, bytes(8)) + end)
        enhanced = block(6, struct.pack(order + "IIIII", 0, 1, 2, len(ip), len(ip)) + ip)
        simple = block(3, struct.pack(order + "I", len(ip)) + ip)
        old = block(2, struct.pack(order + "HHIIII", 0, 5, 1, 2, len(ip), len(ip)) + ip)
        statistics = block(5, struct.pack(order + "III", 0, 1, 2) + option(4, struct.pack(order + "Q", 9)) + option(5, struct.pack(order + "Q", 7)) + end)
        return section + interface + enhanced + simple + old + block(0xBAD, b"????") + statistics + section + interface + enhanced

    def pcap(order, magic):
        head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 101)
        return head + b"".join(struct.pack(order + "IIII", n, n, n, n + n % 2) + bytes(n) for n in (20, 0, 3))

    files = [pcapng("<"), pcapng(">")]
    files += [pcap(order, magic) for order in "<>" for magic in (0xA1B2C3D4, 0xA1B23C4D)]
    for path in captures("variants") + captures("kafka")[:2] + captures("mongodb")[:2]:
        files.append(content(path)[:1500])
    for data in files:
        seed("capture_file", data)
    seed("capture_file", gzip.compress(files[0], mtime=0))
    seed("capture_file", gzip.compress(files[2], mtime=0)[:-9])
    # A zstd frame of one raw block.
    raw = files[2]
    seed("capture_file", struct.pack("<IBB", 0xFD2FB528, 0x20, len(raw)) + struct.pack("<I", len(raw) << 3 | 1)[:3] + raw)


# Segments: see fuzz_targets/reassembly.rs.


def reassembly_seeds():
    CLIENT, SERVER, SYN, FIN, RST, ACK = 0, 1, 2, 4, 8, 16

    def segment(flags, seq, ack, size=0, time=1, more=0):
        return struct.pack("<BBhhBb", flags, more, seq, ack, size, time)

    shake = [segment(CLIENT | SYN, -1, 0), segment(SERVER | SYN | ACK, -1, 0), segment(CLIENT | ACK, 0, 0)]
    ask = [segment(CLIENT | ACK, 0, 0, 100), segment(SERVER | ACK, 0, 100, 50), segment(CLIENT | ACK, 100, 50, 30)]
    bye = [segment(CLIENT | FIN | ACK, 130, 50), segment(SERVER | FIN | ACK, 50, 131), segment(CLIENT | ACK, 131, 51)]
    for start in (0, 1, 2):
        for script in (
            shake + ask + bye,
            ask + bye,
            shake + ask[::-1] + bye[::-1],
            shake[::-1] + ask + bye,
            shake + ask[1:] + bye + ask[:1],
            shake + ask + ask + [segment(SERVER | RST, 50, 0)] + shake,
            shake + [segment(CLIENT | ACK, 200 * n, 0, 150, 1, n % 8) for n in range(12)] + bye,
            shake + [segment(CLIENT | ACK, 1000 - n, n, 20, -1, 0) for n in range(0, 120, 11)],
        ):
            seed("reassembly", bytes([start]) + b"".join(script))


# Answers: see fuzz_targets/answer.rs. Layouts: plugin-sdk/CONTRACT.md.


def answer_seeds():
    def answer(messages, facts=b"", fact_count=0, verb=0):
        strings = b"hello" + b"\xff\xfe"
        def at(offset, count):
            return struct.pack("<II", offset, count)
        text, bad = at(16, 5), at(21, 2)
        lists = at(48 + 16 - 16, 0)
        base = 24
        attributes = [
            struct.pack("<HBBI", 0, 0, 0, 0) + text,
            struct.pack("<HBBIq", 1, 1, 0, 0, -7),
            struct.pack("<HBBId", 2, 2, 0, 0, 0.5),
            struct.pack("<HBBIQ", 3, 3, 0, 0, 1),
            struct.pack("<HBBI", 4, 4, 0, 0) + at(base, 2),
            struct.pack("<HBBI", 5, 6, 0, 1) + at(base, 2),
            struct.pack("<HBBI", 0, 5, 0, 0) + bad,
        ]
        memory = bytes(16) + strings + b"\0" + text + bad
        attributes_at = len(memory)
        memory += b"".join(attributes)
        messages_at = len(memory)
        for flags, kind, status, completeness, protocol, facts_index in messages:
            memory += struct.pack("<QQQQqII4BHH", 0, 10, 1, 2, 3, flags, 9, kind, status, completeness, 0, protocol, facts_index)
            memory += text * 8 + text + at(attributes_at, 7) + struct.pack("<II", 16, 0)
        facts_at = len(memory)
        memory += struct.pack("<II", 1, 0) + text + bad
        result = len(memory)
        memory += struct.pack("<IIQIIIIII", verb, 4, 5, messages_at, len(messages), 144, facts_at, 1, 24) + text
        seed("answer", struct.pack("<I", result) + memory)

    answer([])
    answer([(3, 0, 0, 0, 0, 0)])
    answer([(1, 0, 0, 0, 0, 0), (7, 1, 1, 1, 1, 1), (32, 2, 2, 2, 0, 2)], verb=6)
    answer([(64, 1, 3, 0, 0, 0), (128 | 16, 1, 4, 0, 0, 0), (1 << 9, 0, 0, 0, 0, 0)], verb=9)


# Manifests and modules.


def manifest_seeds():
    whole = {
        "contract": CONTRACT, "name": "x", "version": "1.0", "protocols": ["x", "y"], "transports": ["tcp", "udp"],
        "ports": [1, 65535], "window": 64, "attributes": [{"name": "a.b", "type": "str"}, {"name": "c"}],
        "facts": ["f"], "options": [{"key": "k", "default": "d", "help": "h"}], "decodes": ["all"],
    }
    manifests = [json.dumps(m).encode() for m in (whole, {"contract": CONTRACT, "name": "x", "version": "1"}, {"contract": "99.0"})]
    manifests.append(b'{"contract":"%s","name":"x","version":"1","window":1048577}' % CONTRACT.encode())
    for manifest in manifests:
        seed("manifest", manifest)

    def leb(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + leb(n >> 7)

    def named(name):
        return leb(len(name)) + name

    def section(number, body):
        return bytes([number]) + leb(len(body)) + body

    names = [b"protap_" + n for n in (b"input", b"configure", b"probe", b"open", b"close", b"parse", b"resync")]
    types = section(1, b"\x02\x60\0\0\x60\x03\x7f\x7e\x7f\x01\x7f")
    imports = section(2, b"\x02" + named(b"protap") + named(b"pending") + b"\0\x01" + named(b"wasi_snapshot_preview1") + named(b"fd_write") + b"\0\0")
    functions, memory = section(3, b"\x01\0"), section(5, b"\x01\0\x01")
    exports = section(7, leb(len(names) + 1) + b"".join(named(n) + b"\0\x02" for n in names) + named(b"memory") + b"\x02\0")
    code, custom = section(10, b"\x01\x02\0\x0b"), section(0, named(b"protap.manifest") + manifests[0])
    magic = b"\0asm\x01\0\0\0"
    for parts in (
        (types, imports, functions, memory, exports, code, custom), (types, functions, memory, exports, code, custom),
        (custom,), (types, imports), (),
    ):
        seed("manifest", magic + b"".join(parts))
    seed("manifest", b"\0asm\x0d\0\x01\0" + custom)


# Scripts of answers, and modules.


def guest_seeds():
    for n in range(18):
        rng = random.Random(n)
        probe = 3 | rng.choice([0, 1, 2]) << 2
        answers = b"".join(
            struct.pack(
                "<BBHIBHH", rng.choice([0, 0, 0, 1, 2, 4]), rng.randrange(10), rng.randrange(256), rng.randrange(256),
                rng.randrange(5), rng.randrange(100), 0,
            )
            for _ in range(rng.randrange(1, 12))
        )
        seed("guest", bytes([n % 3, rng.choice([0, 3, 255]), probe]) + answers)


def module_seeds():
    for n in range(8):
        rng = random.Random(n)
        seed("module", bytes(rng.randrange(256) for _ in range(400 * (n + 1))))
    # As the compiler of this machine makes them: to start from, not to be committed.
    for built in sorted((FUZZ.parent / "target").glob("guests/*.wasm")):
        seed("module", built.read_bytes())


# Records and contexts of DeepFlow's ABI.


def golden(name):
    text = (FUZZ.parent / "tests/goldens/deepflow" / (name + ".hex")).read_text()
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def deepflow_seeds():
    for flags in range(4):
        for era in ["l0", "l1", "l3", "l4", "pb"]:
            seed("deepflow_record", bytes([flags]) + golden(era + ("_response" if flags & 1 else "_request")))
    seed("deepflow_record", b"\0" + golden("l4_batch") + golden("pb_request"))
    for name in ["pb_no_status", "http_result"]:
        seed("deepflow_record", b"\1" + golden(name))
    for n in range(8):
        rng = random.Random(n)
        seed("deepflow_context", golden("hooks_all") + bytes(rng.randrange(256) for _ in range(60 * (n + 1))))


conversations("http", {8080, 8000, 8001, 3000}, 20_000)
http_seeds()
conversations("kafka", {9092, 9093, 9094, 19092, 29092}, 45_000)
kafka_seeds()
conversations("mongodb", {27017, 27018, 27019}, 45_000)
conversations("redis", {6379, 6380, 7000, 7001}, 45_000)
redis_seeds()
packet_seeds()
capture_seeds()
reassembly_seeds()
answer_seeds()
manifest_seeds()
deepflow_seeds()
guest_seeds()
module_seeds()
