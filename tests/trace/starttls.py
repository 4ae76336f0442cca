#!/usr/bin/env python3
"""One socket that is plain, then TLS, then plain again: starttls.py PORT CERTIFICATE KEY [blocking | asyncio].

The server is a process of its own. It speaks as Redis does and knows three commands: PING, STARTTLS, and CCC, after which
it goes on in plain. A client over a BIO pair (asyncio) does not ask for the last one, which asyncio has no way to do.
"""
import asyncio
import os
import signal
import socket
import ssl
import sys

port, certificate, key, client = int(sys.argv[1]), *sys.argv[2:]


def answer(sock):
    """Answers until the socket is to be another one; which command says so."""
    while True:
        asked = sock.recv(100)
        if not asked:
            return None
        sock.sendall(b"+PONG\r\n" if b"PING" in asked else b"+OK\r\n")
        if b"PING" not in asked:
            return asked


def serve(listener):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    sock, _ = listener.accept()
    answer(sock)
    sock = context.wrap_socket(sock, server_side=True)
    if answer(sock):
        answer(sock.unwrap())


def command(word):
    return b"*1\r\n$%d\r\n%s\r\n" % (len(word), word)


def ask(sock, *words):
    for word in words:
        sock.sendall(command(word))
        assert sock.recv(100)


def blocking():
    sock = socket.create_connection(("127.0.0.1", port))
    ask(sock, b"PING", b"PING", b"PING", b"STARTTLS")
    sock = context.wrap_socket(sock)
    ask(sock, b"PING", b"PING", b"CCC")
    sock = sock.unwrap()
    ask(sock, b"PING", b"PING")
    sock.close()


async def over_bio_pair():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(*words):
        for word in words:
            writer.write(command(word))
            assert await reader.read(100)

    await ask(b"PING", b"PING", b"PING", b"STARTTLS")
    await writer.start_tls(context)
    await ask(b"PING", b"PING")
    writer.close()


# Whatever goes wrong, it does not hang.
signal.alarm(30)
listener = socket.create_server(("127.0.0.1", port))
if os.fork() == 0:
    signal.alarm(30)
    serve(listener)
    os._exit(0)
listener.close()
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False
if client == "asyncio":
    asyncio.run(over_bio_pair())
else:
    blocking()
os.wait()
