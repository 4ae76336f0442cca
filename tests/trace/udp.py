#!/usr/bin/env python3
"""DNS over UDP in all the ways that datagrams are sent and received: udp.py all PORT.

A server on the wildcard address of both families, and clients with connected and other sockets. It speaks as cases.py
does: "ready", a line, the work, "done". Only the standard library is used.
"""
import ctypes
import os
import signal
import socket
import struct
import sys


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("pad", ctypes.c_int), ("len", ctypes.c_uint)]


def query(id_, name):
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    return struct.pack(">6H", id_, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def answer(asked):
    record = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 4) + bytes([10, 0, 0, asked[1]])
    return asked[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + asked[12:] + record


def serve(server):
    """Receives and sends in turn by each pair of calls."""
    while True:
        asked, client = server.recvfrom(4096)
        server.sendto(answer(asked), client)
        asked, _, _, client = server.recvmsg(4096)
        reply = answer(asked)
        server.sendmsg([reply[:7], reply[7:]], [], 0, client)


def messages(buffers, address):
    array = (Mmsghdr * len(buffers))()
    for message, buffer in zip(array, buffers):
        if address:
            message.name, message.namelen = ctypes.cast(address, ctypes.c_void_p).value, len(address)
        message.iov = ctypes.pointer(Iovec(ctypes.addressof(buffer), len(buffer)))
        message.iovlen = 1
    return array


def connected(port):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    for i in range(100):
        client.send(query(i, "connected%d.example" % i))
        assert client.recv(4096)[:2] == struct.pack(">H", i)
    for i in range(100):
        client.sendmsg([query(i, "gathered%d.example" % i)[:9], query(i, "gathered%d.example" % i)[9:]])
        assert client.recvmsg(4096)[0][:2] == struct.pack(">H", i)


def unconnected(port, address="127.0.0.1", family=socket.AF_INET):
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.bind((address, 0))
    for i in range(100):
        client.sendto(query(i, "unconnected%d.example" % i), (address, port))
        assert client.recvfrom(4096)[0][:2] == struct.pack(">H", i)
    # Looked at, and then taken.
    client.sendto(query(500, "peek.example"), (address, port))
    assert client.recvfrom(4096, socket.MSG_PEEK) == client.recvfrom(4096)


def several(port):
    """Eight datagrams in one call each way."""
    libc = ctypes.CDLL(None, use_errno=True)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    address = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) +
                                          socket.inet_aton("127.0.0.1") + bytes(8), 16)
    for round_ in range(10):
        asked = [query(8 * round_ + i, "several%d.example" % (8 * round_ + i)) for i in range(8)]
        buffers = [ctypes.create_string_buffer(bytes_, len(bytes_)) for bytes_ in asked]
        assert libc.sendmmsg(client.fileno(), messages(buffers, address), 8, 0) == 8
        got = 0
        while got < 8:
            buffers = [ctypes.create_string_buffer(4096) for _ in range(8 - got)]
            names = ctypes.create_string_buffer(16)
            more = libc.recvmmsg(client.fileno(), messages(buffers, names), 8 - got, 0x10000, None)
            assert more > 0
            got += more


# Whatever goes wrong, it does not hang.
signal.alarm(60)
port = int(sys.argv[2])
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.bind(("::", port))
child = os.fork()
if child == 0:
    serve(server)
server.close()
print("ready", flush=True)
sys.stdin.readline()
connected(port)
unconnected(port)
several(port)
unconnected(port, "::1", socket.AF_INET6)
print("done", flush=True)
sys.stdin.readline()
os.kill(child, signal.SIGKILL)
