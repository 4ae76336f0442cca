#!/usr/bin/env python3
"""A Redis client that uses its sockets in one unusual way: cases.py CASE PORT.

It connects, prints "ready", waits for a line, does what the case asks for, prints "done" and waits again: so what is
connected before is older than any trace that was begun in between. Only the standard library is used.
"""
import ctypes
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def connect(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit("the server does not listen")


def receive(sock, length):
    got = b""
    while len(got) < length:
        more = sock.recv(length - len(got))
        if not more:
            sys.exit("the server closed the connection")
        got += more
    return got


def ask(sock, expected, *words):
    sock.sendall(command(*words))
    got = receive(sock, len(expected))
    assert got == expected, (words[:2], got[:80])


def commands(sock, port):
    for i in range(1100):
        ask(sock, b"+OK\r\n", "SET", "key:%d" % i, "v" * (i % 300))
    for i in range(300):
        ask(sock, b"$%d\r\n%s\r\n" % (i, b"v" * i), "GET", "key:%d" % i)
    sock.sendall(b"".join(command("INCR", "n") for _ in range(100)))
    receive(sock, sum(len(":%d\r\n" % n) for n in range(1, 101)))
    sock.sendall(command("NOSUCH"))
    sock.recv(4096)


def old(sock, port):
    for _ in range(10):
        ask(sock, b"+PONG\r\n", "PING")


def dup(sock, port):
    twin = socket.socket(fileno=os.dup(sock.fileno()))
    for i in range(20):
        (sock, twin)[i % 2].sendall(command("PING"))
        assert receive((twin, sock)[i % 2], 7) == b"+PONG\r\n"


def fork(sock, port):
    ask(sock, b"+OK\r\n", "SET", "parent", 1)
    child = os.fork()
    if child == 0:
        ask(sock, b"+OK\r\n", "SET", "child", 1)
        os._exit(0)
    os.waitpid(child, 0)
    ask(sock, b"+OK\r\n", "SET", "parent", 2)


def iovecs(sock, port):
    for i in range(5):
        bytes_ = command("SET", "many", "x" * 1200)
        size = len(bytes_) // 63
        parts = [bytes_[at:at + size] for at in range(0, len(bytes_), size)]
        assert 64 <= len(parts) <= 66
        assert sock.sendmsg(parts) == len(bytes_)
        assert receive(sock, 5) == b"+OK\r\n"
        sock.sendall(command("GET", "many"))
        buffers = [bytearray(20) for _ in range(64)]
        got = 0
        while got < 1200 + 9:
            got += sock.recvmsg_into(buffers)[0]


def mib(sock, port):
    value = os.urandom(1 << 20)
    ask(sock, b"+OK\r\n", "SET", "big", value)
    ask(sock, b"$1048576\r\n" + value + b"\r\n", "GET", "big")
    ask(sock, b"+PONG\r\n", "PING")


def sendfile(sock, port):
    for _ in range(5):
        ask(sock, b"+PONG\r\n", "PING")
    with tempfile.TemporaryFile() as file:
        file.write(command("ECHO", "from a file") * 3)
        file.flush()
        size = file.tell()
        assert os.sendfile(sock.fileno(), file.fileno(), 0, size) == size
    receive(sock, 3 * len(b"$11\r\nfrom a file\r\n"))
    for _ in range(5):
        ask(sock, b"+PONG\r\n", "PING")


def peek(sock, port):
    for i in range(10):
        sock.sendall(command("PING"))
        while len(sock.recv(7, socket.MSG_PEEK)) < 7:
            pass
        assert receive(sock, 7) == b"+PONG\r\n"


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("len", ctypes.c_uint)]


def messages(buffers):
    array = (Mmsghdr * len(buffers))()
    for message, buffer in zip(array, buffers):
        message.iov = ctypes.pointer(Iovec(ctypes.addressof(buffer), len(buffer)))
        message.iovlen = 1
    return array


def recvmmsg(sock, port):
    libc = ctypes.CDLL(None, use_errno=True)
    for i in range(10):
        bytes_ = command("PING")
        halves = [ctypes.create_string_buffer(part, len(part)) for part in (bytes_[:5], bytes_[5:])]
        assert libc.sendmmsg(sock.fileno(), messages(halves), 2, 0) == 2
        while len(sock.recv(7, socket.MSG_PEEK)) < 7:
            pass
        halves = [ctypes.create_string_buffer(size) for size in (3, 4)]
        assert libc.recvmmsg(sock.fileno(), messages(halves), 2, 0, None) == 2
        assert b"".join(half.raw for half in halves) == b"+PONG\r\n"


def threads(sock, port):
    """Several threads send at once, each call a command of another length."""
    def ask(name):
        for i in range(500):
            word = command("ECHO", name * (1 + (i * 7) % 90))
            assert sock.send(word) == len(word)
    names = "abcd"
    asking = [threading.Thread(target=ask, args=name) for name in names]
    [thread.start() for thread in asking]
    lengths = [1 + (i * 7) % 90 for i in range(500)]
    receive(sock, len(names) * sum(len(b"$%d\r\n%s\r\n" % (length, b"x" * length)) for length in lengths))
    [thread.join() for thread in asking]


def killed(sock, port):
    child = os.fork()
    if child == 0:
        inner = connect(port)
        ask(inner, b"+PONG\r\n", "PING")
        inner.sendall(command("SET", "half", "x" * 100)[:60])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    ask(sock, b"+PONG\r\n", "PING")


def left(sock, port):
    """The client is gone before the server has read what it asked, of which it answers the half: to a reset."""
    sock.sendall(command("INFO", "server"))
    server = int(sock.recv(65536).split(b"process_id:")[1].split()[0])
    inner = connect(port)
    ask(inner, b"+PONG\r\n", "PING")
    os.kill(server, signal.SIGSTOP)
    try:
        inner.sendall(command("PING") + command("BLPOP", "nothing", 0))
        inner.close()
        time.sleep(0.2)
    finally:
        os.kill(server, signal.SIGCONT)
    ask(sock, b"+PONG\r\n", "PING")


def short(sock, port):
    for _ in range(1000):
        with connect(port) as inner:
            ask(inner, b"+PONG\r\n", "PING")


def again(sock, port):
    """A port is used again as soon as it can be: after the client's reset, or after the server's FIN."""
    for i in range(40):
        with socket.socket() as inner:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            inner.bind(("127.0.0.1", 9))
            inner.connect(("127.0.0.1", port))
            for word in range(3):
                ask(inner, b"$2\r\n%02d\r\n" % i, "ECHO", b"%02d" % i)
            if i % 2:
                inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                ask(inner, b"+OK\r\n", "QUIT")
                assert inner.recv(1) == b""


def muted(sock, port):
    for i in range(1000):
        ask(sock, b"+PONG\r\n", "PING")
        if i % 200 == 0:
            # Time to give it up.
            time.sleep(0.3)
    print("more", flush=True)
    sys.stdin.readline()
    for i in range(100):
        ask(sock, b"+PONG\r\n", "PING")


def closed(sock, port):
    """Each connection follows one that nobody claims and that is closed by the time it is muted."""
    def answer(inner):
        while inner.recv(65536):
            inner.sendall(b"\xbe\xef" * 300)
        inner.close()

    def listen(server):
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    def ask_after():
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", 9)) as inner:
                inner.sendall(b"\xde\xad" * 300)
                inner.recv(4096)
            with connect(port) as inner:
                for _ in range(20):
                    ask(inner, b"+PONG\r\n", "PING")
                    time.sleep(0.001)

    threading.Thread(target=listen, args=(socket.create_server(("127.0.0.1", 9)),), daemon=True).start()
    asking = [threading.Thread(target=ask_after) for _ in range(4)]
    [thread.start() for thread in asking]
    [thread.join() for thread in asking]


def burst(sock, port):
    for i in range(200):
        sock.sendall(command("SET", "burst", "x" * 100) * 20)
        receive(sock, 20 * 5)


# Whatever goes wrong, it does not hang.
signal.alarm(60)
case, port = sys.argv[1], int(sys.argv[2])
sock = connect(port) if case == "old" else None
if sock:
    ask(sock, b"+PONG\r\n", "PING")
print("ready", flush=True)
sys.stdin.readline()
sock = sock or connect(port)
globals()[case](sock, port)
sock.close()
print("done", flush=True)
sys.stdin.readline()
