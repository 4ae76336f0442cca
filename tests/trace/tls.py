#!/usr/bin/env python3
"""A Redis client over TLS that writes down what it did: tls.py CASE PORT CERTIFICATE.

As cases.py, it prints "ready", waits for a line, does what the case asks for, and prints "done". Before that it prints
its log: a JSON array a command, [its port, command, bytes it wrote, bytes it got, status]. Only the standard library
is used; its TLS is OpenSSL: on the socket itself in the blocking cases, over a BIO pair in those with asyncio.
"""
import asyncio
import json
import signal
import socket
import ssl
import sys
import time

case, port, certificate = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False
log = []


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def note(own, bytes_, answer, *words):
    log.append([own, words[0], len(bytes_), len(answer), "client_error" if answer[:1] == b"-" else "ok"])


def workload():
    """Commands and the answers that must come, of all sizes: below and above a TLS record's 16 KiB."""
    for i in range(400):
        size = (i * i * 7) % 3000 if i % 40 else 20_000 + 1_000 * i
        yield b"+OK\r\n", ("SET", "key:%d" % i, "v" * size)
        yield b"$%d\r\n%s\r\n" % (size, b"v" * size), ("GET", "key:%d" % i)
    yield b"-ERR", ("NOSUCH",)


def connect():
    for _ in range(100):
        try:
            return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("the server does not listen")


def ask(sock, expected, *words):
    bytes_ = command(*words)
    sock.sendall(bytes_)
    answer = b""
    while len(answer) < len(expected) or not answer.endswith(b"\r\n"):
        more = sock.recv(max(len(expected) - len(answer), 1))
        if not more:
            sys.exit("the server closed the connection")
        answer += more
    assert answer.startswith(expected), (words[:2], answer[:80])
    note(sock.getsockname()[1], bytes_, answer, *words)


def blocking(sock):
    for expected, words in workload():
        ask(sock, expected, *words)


def old(sock):
    for _ in range(100):
        ask(sock, b"+PONG\r\n", "PING")


def short(sock):
    # A connection that says nothing would be an unclaimed flow.
    ask(sock, b"+PONG\r\n", "PING")
    for _ in range(100):
        with connect() as inner:
            ask(inner, b"+PONG\r\n", "PING")


def burst(sock):
    """More than a small ring takes, and then what it does take."""
    value = "x" * 100
    for _ in range(300):
        bytes_ = command("SET", "burst", value) * 20
        sock.sendall(bytes_)
        answer = b""
        while len(answer) < 20 * 5:
            answer += sock.recv(100)
        for _ in range(20):
            note(sock.getsockname()[1], bytes_[: len(bytes_) // 20], b"+OK\r\n", "SET")
    for _ in range(20):
        time.sleep(0.05)
        ask(sock, b"+PONG\r\n", "PING")


async def ask_async(reader, writer, expected, *words):
    bytes_ = command(*words)
    writer.write(bytes_)
    answer = await reader.readexactly(len(expected))
    if not answer.endswith(b"\r\n"):
        answer += await reader.readuntil(b"\r\n")
    assert answer.startswith(expected), (words[:2], answer[:80])
    note(writer.get_extra_info("sockname")[1], bytes_, answer, *words)


async def converse(streams, commands):
    for expected, words in commands:
        await ask_async(*streams, expected, *words)


async def many(is_old):
    """Three connections at a time, in one thread."""
    connections = []
    for i in range(3):
        if not is_old:
            ready()
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 21)
        connections.append(streams)
    if is_old:
        for streams in connections:
            await ask_async(*streams, b"+PONG\r\n", "PING")
        log.clear()
        ready()
    pings = [(b"+PONG\r\n", ("PING",))] * 100
    await asyncio.gather(*(converse(streams, pings if is_old else workload()) for streams in connections))
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()


is_ready = False


def ready():
    global is_ready
    if not is_ready:
        print("ready", flush=True)
        sys.stdin.readline()
    is_ready = True


# Whatever goes wrong, it does not hang.
signal.alarm(60)
if case.startswith("asyncio"):
    asyncio.run(many(case == "asyncio_old"))
else:
    sock = connect() if case == "old" else None
    if sock:
        ask(sock, b"+PONG\r\n", "PING")
        log.clear()
    ready()
    sock = sock or connect()
    globals()[case](sock)
    sock.close()
for entry in log:
    print(json.dumps(entry))
print("done", flush=True)
sys.stdin.readline()
