"""The protocols that record.py records: for each, how to start a server, and one short conversation with it, which is
varied by its number and by random numbers that are the same in every run."""
import json, logging, socket, ssl, struct, time
from dataclasses import dataclass
from random import Random
from typing import Callable

HOST = "127.0.0.1"
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa".split()


@dataclass
class Protocol:
    port: int
    serve: Callable
    converse: Callable
    is_udp: bool = False
    # Of a flow, so many packets are kept: what comes later tells little about how it begins.
    packets: int = 24


PROTOCOLS: dict[str, Protocol] = {}


def protocol(name: str, port: int, serve: Callable, is_udp: bool = False, packets: int = 24):
    """Adds a protocol, whose conversation is the function below."""
    def add(converse):
        PROTOCOLS[name] = Protocol(port, serve, converse, is_udp, packets)
        return converse
    return add


def text(random: Random, most: int = 40) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(1, max(1, most // 6))))


def blob(random: Random, most: int = 160) -> bytes:
    """Bytes of a payload: of text, random, mostly zeros, or with lengths at their front as binary protocols have."""
    body = random.randbytes(random.randint(0, most))
    return random.choice([
        lambda: text(random, most).encode(),
        lambda: body,
        lambda: bytes(b if b < 40 else 0 for b in body),
        lambda: struct.pack(">IHHI", len(body) + 8, random.randrange(20), random.randrange(12), random.randrange(1000)) + body,
        lambda: struct.pack("<IIII", len(body) + 16, random.randrange(1000), 0, random.choice([1, 2004, 2013])) + body,
    ])()


def connected(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(2)
    return connection


def exchange(connection: socket.socket, *requests: bytes) -> None:
    """Sends each request and takes one read of what comes back."""
    for request in requests:
        connection.sendall(request)
        try:
            connection.recv(65536)
        except TimeoutError:
            pass


# --- Redis: RESP2 and RESP3, pipelines, transactions, subscriptions, inline commands

def serve_redis(server):
    server.start("redis-server", "--port", "6379", "--save", "", "--appendonly", "no", port=6379)


@protocol("redis", 6379, serve_redis)
def redis(random: Random, number: int):
    import redis as module
    if number % 11 == 10:
        with connected(6379) as raw:
            exchange(raw, b"PING\r\n", b"set inline %d\r\n" % number, b"get inline\r\n", b"nonsense\r\n")
        return
    client = module.Redis(port=6379, protocol=2 + number % 2, db=number % 4)
    key = f"{random.choice(WORDS)}:{number}"
    if number % 5 == 0:
        with client.pipeline(transaction=number % 2 == 0) as pipe:
            for i in range(random.randint(2, 8)):
                pipe.set(f"{key}:{i}", blob(random))
                pipe.get(f"{key}:{i}")
            pipe.execute()
    elif number % 5 == 1:
        subscription = client.pubsub()
        subscription.subscribe(key)
        subscription.get_message(timeout=1)
        module.Redis(port=6379).publish(key, blob(random))
        subscription.get_message(timeout=1)
        subscription.close()
    elif number % 5 == 2:
        client.hset(key, mapping={"a": text(random), "b": random.random()})
        client.hgetall(key)
        client.lpush(key + "l", *[blob(random, 60) for _ in range(5)])
        client.lrange(key + "l", 0, -1)
        try:
            client.incr(key)
        except module.ResponseError:
            pass
    else:
        client.set(key, blob(random, 500), ex=random.randint(1, 9999))
        client.get(key)
        client.exists(key, "nothing")
        client.eval("return {1, 'two', redis.call('get', KEYS[1])}", 1, key)
    client.close()


# --- memcached: classic text, meta commands, binary

def serve_memcached(server):
    server.start("memcached", "-u", "nobody", "-l", HOST, "-p", "11211", "-U", "11211", port=11211)


@protocol("memcached-text", 11211, serve_memcached)
def memcached_text(random: Random, number: int):
    from pymemcache.client.base import Client
    client = Client((HOST, 11211), no_delay=True)
    key = f"{random.choice(WORDS)}_{number}"
    if number % 3 == 0:
        client.set(key, blob(random, 400), expire=random.randint(0, 100), noreply=number % 2 == 0)
        client.get(key)
        client.append(key, b"more")
        client.gets_many([key, "nothing", *WORDS[:4]])
    elif number % 3 == 1:
        client.set(key, str(number), noreply=False)
        client.incr(key, 5)
        client.decr(key, 2)
        client.touch(key, 50)
        client.delete(key, noreply=False)
        client.delete(key, noreply=False)
    else:
        client.get(key)
        client.stats(*random.choice([[], ["items"], ["slabs"]]))
        client.version()
    client.quit()


@protocol("memcached-meta", 11211, serve_memcached)
def memcached_meta(random: Random, number: int):
    with connected(11211) as raw:
        key, value = f"{random.choice(WORDS)}{number}".encode(), blob(random, 300)
        exchange(
            raw,
            b"ms %s %d T%d\r\n%s\r\n" % (key, len(value), random.randint(0, 90), value),
            b"mg %s v t f\r\n" % key,
            b"mg %s\r\n" % random.choice(WORDS).encode(),
            random.choice([b"md %s\r\n" % key, b"ma %s N0 J7 v\r\n" % key, b"mn\r\n", b"me %s\r\n" % key]),
        )


def memcached_frame(opcode: int, key: bytes = b"", extras: bytes = b"", value: bytes = b"", opaque: int = 0) -> bytes:
    total = len(key) + len(extras) + len(value)
    return struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, total, opaque, 0) + extras + key + value


@protocol("memcached-binary", 11211, serve_memcached)
def memcached_binary(random: Random, number: int):
    with connected(11211) as raw:
        key, opaque = f"{random.choice(WORDS)}{number}".encode(), random.randrange(1 << 16)
        exchange(
            raw,
            memcached_frame(1, key, struct.pack(">II", 0, 60), blob(random), opaque),
            memcached_frame(0, key, opaque=opaque + 1),
            memcached_frame(random.choice([0, 4, 0x0C]), b"nothing", opaque=opaque + 2),
            memcached_frame(5, key + b"n", struct.pack(">QQI", 1, 5, 0), opaque=opaque + 3),
            memcached_frame(random.choice([0x0A, 0x0B, 0x10])),
            memcached_frame(7),
        )


# --- PostgreSQL: simple and extended queries, errors, copy, refused TLS

def serve_postgresql(server):
    programs = "/usr/lib/postgresql/15/bin"
    server.run("chown", "postgres", str(server.folder))
    as_postgres = ["runuser", "-u", "postgres", "--"]
    server.run(*as_postgres, f"{programs}/initdb", "-D", f"{server.folder}/data", "-A", "trust", "-U", "tester", "-N")
    server.start(*as_postgres, f"{programs}/postgres", "-D", f"{server.folder}/data", "-k", str(server.folder),
                 "-c", f"listen_addresses={HOST}", "-c", "fsync=off", port=5432)
    import psycopg
    with psycopg.connect("host=127.0.0.1 user=tester dbname=postgres", autocommit=True) as setup:
        setup.execute("create table t(id int primary key, name text, data bytea)")


@protocol("postgresql", 5432, serve_postgresql)
def postgresql(random: Random, number: int):
    import psycopg
    mode = random.choice(["disable", "prefer"])
    with psycopg.connect(f"host={HOST} user=tester dbname=postgres sslmode={mode}", autocommit=number % 2 == 0) as client:
        if number % 4 == 0:
            client.execute("insert into t values (%s, %s, %s)", (number, text(random), blob(random)))
            client.execute("select * from t where id >= %s order by id limit 5", (number - 3,)).fetchall()
        elif number % 4 == 1:
            try:
                client.execute("select * from nowhere")
            except psycopg.Error:
                client.rollback()
        elif number % 4 == 2:
            with client.cursor() as cursor, cursor.copy("copy t (id, name) from stdin") as copy:
                for i in range(5):
                    copy.write_row((number * 1000 + i, text(random)))
        else:
            for i in range(3):
                client.execute("select %s::int, repeat('x', %s)", (i, random.randint(0, 500)), prepare=True).fetchone()


# --- MySQL: MariaDB with PyMySQL

def serve_mysql(server):
    server.run("chmod", "777", str(server.folder))
    data = f"--datadir={server.folder}/data"
    server.run("mariadb-install-db", "--user=mysql", data, "--auth-root-authentication-method=normal")
    server.start("mariadbd", "--user=mysql", data, "--port=3306", f"--bind-address={HOST}", "--skip-log-bin",
                 f"--socket={server.folder}/sql.sock", port=3306)
    import pymysql
    setup = pymysql.connect(host=HOST, user="root", autocommit=True).cursor()
    setup.execute("create user tester@'%' identified by 'secret'")
    setup.execute("grant all on *.* to tester@'%'")
    setup.execute("create database shop")
    setup.execute("create table shop.t (id int primary key, name varchar(500), data blob)")


@protocol("mysql", 3306, serve_mysql)
def mysql(random: Random, number: int):
    import pymysql
    try:
        password = "wrong" if number % 20 == 19 else "secret"
        client = pymysql.connect(host=HOST, user="tester", password=password, database=random.choice(["shop", None]))
    except pymysql.Error:
        return
    with client, client.cursor() as cursor:
        try:
            if number % 3 == 0:
                cursor.execute("insert into shop.t values (%s, %s, %s)", (number, text(random), blob(random)))
                cursor.execute("select * from shop.t order by id desc limit 5")
                client.commit()
            elif number % 3 == 1:
                cursor.execute("select version(), %s", (text(random),))
                client.ping()
                cursor.execute("select repeat('y', %s)", (random.randint(0, 3000),))
            else:
                client.select_db("shop")
                cursor.execute("show tables")
                cursor.execute("select * from nowhere")
        except pymysql.Error:
            pass


# --- MQTT 3.1.1 and 5

def serve_mqtt(server):
    conf = server.file("m.conf", f"listener 1883 {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n")
    server.start("mosquitto", "-c", conf, port=1883)


@protocol("mqtt", 1883, serve_mqtt)
def mqtt(random: Random, number: int):
    import paho.mqtt.client as module
    version = random.choice([module.MQTTv311, module.MQTTv5])
    client = module.Client(module.CallbackAPIVersion.VERSION2, client_id=f"{random.choice(WORDS)}-{number}", protocol=version)
    state = {"acked": False}
    client.on_publish = lambda *_: state.update(acked=True)
    client.on_connect = lambda *_: state.update(open=True)
    if number % 3 == 0:
        client.will_set("wills/" + random.choice(WORDS), blob(random, 50), qos=1)
    client.connect(HOST, 1883, keepalive=random.randint(5, 600))
    client.subscribe([(f"{word}/#", random.randrange(3)) for word in random.sample(WORDS, 2)])
    for _ in range(random.randint(1, 4)):
        client.publish(f"{random.choice(WORDS)}/{number}", blob(random), qos=random.randrange(3), retain=random.random() < 0.2)
    until = time.time() + 0.15
    while time.time() < until:
        client.loop(0.02)
    client.disconnect()
    client.loop(0.02)


# --- NATS: publications with and without headers, requests, JetStream

def serve_nats(server):
    server.start("nats-server", "-a", HOST, "-p", "4222", "-js", "-sd", str(server.folder), port=4222)


@protocol("nats", 4222, serve_nats)
def nats(random: Random, number: int):
    import asyncio
    import nats as module

    async def talk():
        client = await module.connect(f"nats://{HOST}:4222")
        got = []

        async def take(message):
            got.append(message)
            if message.reply:
                await message.respond(b"pong")

        await client.subscribe(f"{random.choice(WORDS)}.*", cb=take)
        await client.subscribe(f"service.{number}", cb=take)
        for _ in range(random.randint(1, 4)):
            headers = {"kind": random.choice(WORDS)} if random.random() < 0.5 else None
            await client.publish(f"{random.choice(WORDS)}.x", blob(random), headers=headers)
        if number % 3 == 0:
            await client.request(f"service.{number}", b"ping", timeout=2)
        if number % 10 == 0:
            stream = client.jetstream()
            await stream.add_stream(name=f"S{number}", subjects=[f"s{number}.*"])
            await stream.publish(f"s{number}.a", blob(random))
        await client.flush()
        await client.close()
    asyncio.run(talk())


# --- AMQP 0-9-1: RabbitMQ

def serve_amqp(server):
    server.run("chmod", "777", str(server.folder))
    settings = {"RABBITMQ_NODENAME": "matrix@localhost", "RABBITMQ_MNESIA_BASE": f"{server.folder}/db", "HOME": str(server.folder),
                "RABBITMQ_LOG_BASE": f"{server.folder}/log", "RABBITMQ_NODE_IP_ADDRESS": HOST, "RABBITMQ_ENABLED_PLUGINS_FILE":
                server.file("plugins", "[rabbitmq_stomp].\n"), "ERL_EPMD_ADDRESS": HOST, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    server.start("/usr/lib/rabbitmq/bin/rabbitmq-server", port=5672, env=settings)
    server.wait_for(61613)


@protocol("amqp", 5672, serve_amqp)
def amqp(random: Random, number: int):
    import pika
    client = pika.BlockingConnection(pika.ConnectionParameters(HOST, 5672))
    channel = client.channel()
    queue = f"q{number}"
    channel.queue_declare(queue, exclusive=True)
    if number % 3 == 0:
        channel.confirm_delivery()
    for i in range(random.randint(1, 3)):
        properties = pika.BasicProperties(headers={"n": i}, content_type="text/plain", delivery_mode=1 + i % 2)
        channel.basic_publish("", queue, blob(random), properties)
    channel.basic_get(queue, auto_ack=number % 2 == 0)
    if number % 7 == 6:
        try:
            channel.queue_declare("nowhere", passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            pass
    client.close()


@protocol("stomp", 61613, serve_amqp)
def stomp(random: Random, number: int):
    import stomp as module
    client = module.Connection12([(HOST, 61613)], vhost="/")
    client.connect("guest", "guest", wait=True)
    client.subscribe(f"/queue/{number}", id=str(number), ack=random.choice(["auto", "client"]))
    for _ in range(random.randint(1, 3)):
        client.send(f"/queue/{random.choice([number, 0])}", text(random, 200), content_type=random.choice(["text/plain", "application/json"]))
    time.sleep(0.05)
    client.disconnect()


# --- HTTP/1.1 and HTTP/2 without TLS, WebSocket, gRPC, TLS

def serve_nginx(server):
    server.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "9",
               "-subj", "/CN=matrix.test")
    server.run("chmod", "755", str(server.folder))
    for number, size in enumerate([0, 20, 300, 5000]):
        (server.folder / f"file{number}.bin").write_bytes(Random(number).randbytes(size))
    sites = "".join(f"""server {{ listen {listen}; root {server.folder}; {tls}
        location /echo {{ client_max_body_size 1m; return 200 "$request_method $http_user_agent\\n"; }}
        location /moved {{ return 302 /file1.bin; }} }}""" for listen, tls in [
            ("8080", ""), ("8082 http2", ""), ("8443 ssl http2", "ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2 TLSv1.3;")])
    conf = server.file("nginx.conf", f"""daemon off; pid {server.folder}/pid; error_log stderr;
        events {{}} http {{ access_log off; client_body_temp_path {server.folder}/body; {sites} }}""")
    server.start("nginx", "-p", str(server.folder), "-c", conf, port=8443)


@protocol("http", 8080, serve_nginx)
def http1(random: Random, number: int):
    import http.client
    import subprocess
    if number % 4 == 3:
        data = server_file(blob(random))
        subprocess.run(["curl", "-s", "-o", "/dev/null", "--data-binary", f"@{data}", f"http://{HOST}:8080/echo?n={number}"], check=True)
        return
    client = http.client.HTTPConnection(HOST, 8080)
    for _ in range(random.randint(1, 3)):
        method = random.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
        path = random.choice(["/", "/file1.bin", "/file2.bin", "/echo", "/moved", "/nowhere", f"/{random.choice(WORDS)}?q={number}"])
        body = blob(random) if method in ("POST", "PUT") else None
        headers = {"User-Agent": f"{random.choice(WORDS)}/{number}", "Cookie": f"id={random.getrandbits(64):x}"}
        if body and random.random() < 0.3:
            body = iter([body[:10], body[10:]])
        client.request(method, path, body, headers, encode_chunked=False)
        client.getresponse().read()
    client.close()


def server_file(data: bytes) -> str:
    path = "/tmp/matrix-body"
    with open(path, "wb") as file:
        file.write(data)
    return path


@protocol("http2", 8082, serve_nginx)
def http2(random: Random, number: int):
    import subprocess
    urls = [f"http://{HOST}:8082{path}" for path in random.sample(["/", "/file1.bin", "/file2.bin", "/echo", "/moved", "/nowhere"], 2)]
    if number % 3 == 0:
        command = ["nghttp", "-n", *urls]
    elif number % 3 == 1:
        command = ["curl", "-s", "-o", "/dev/null", "-o", "/dev/null", "--http2-prior-knowledge", *urls]
    else:
        data = server_file(blob(random))
        command = ["curl", "-s", "-o", "/dev/null", "--http2-prior-knowledge", "-A", text(random), "--data-binary", f"@{data}", urls[0]]
    subprocess.run(command, capture_output=True)


@protocol("tls", 8443, serve_nginx, packets=9)
def tls(random: Random, number: int):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(random.choice([["http/1.1"], ["h2"], ["h2", "http/1.1"], ["mqtt"]][:3]))
    version = random.choice([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    context.maximum_version = context.minimum_version = version
    with connected(8443) as raw:
        with context.wrap_socket(raw, server_hostname=random.choice(["matrix.test", f"{random.choice(WORDS)}.test"])) as client:
            exchange(client, f"GET /file{number % 3}.bin HTTP/1.1\r\nHost: {text(random)}\r\n\r\n".encode())


def serve_websocket(server):
    import threading
    from websockets.sync.server import serve

    def echo(connection):
        for message in connection:
            connection.send(message)
    server.websocket = serve(echo, HOST, 8765)
    threading.Thread(target=server.websocket.serve_forever, daemon=True).start()


@protocol("http-websocket", 8765, serve_websocket)
def websocket(random: Random, number: int):
    from websockets.sync.client import connect
    compression = random.choice([None, "deflate"])
    with connect(f"ws://{HOST}:8765/{random.choice(WORDS)}", compression=compression) as client:
        for _ in range(random.randint(1, 4)):
            client.send(random.choice([text(random), blob(random)]))
            client.recv()
        if number % 4 == 0:
            client.ping().wait(1)


def serve_grpc(server):
    from concurrent.futures import ThreadPoolExecutor
    import grpc
    handlers = {
        "Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request[::-1]),
        "List": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request, b"", request])),
        "Fail": grpc.unary_unary_rpc_method_handler(lambda request, context: context.abort(grpc.StatusCode.NOT_FOUND, "not here")),
    }
    server.grpc = grpc.server(ThreadPoolExecutor(2))
    server.grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("matrix.Test", handlers)])
    server.grpc.add_insecure_port(f"{HOST}:50051")
    server.grpc.start()


@protocol("http2-grpc", 50051, serve_grpc)
def grpc(random: Random, number: int):
    import grpc as module
    # A subchannel of its own, or connections are shared.
    with module.insecure_channel(f"{HOST}:50051", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        for _ in range(random.randint(1, 2)):
            channel.unary_unary("/matrix.Test/Say")(blob(random), metadata=[("trace", f"{random.getrandbits(64):x}")])
        if number % 3 == 0:
            list(channel.unary_stream("/matrix.Test/List")(blob(random)))
        if number % 4 == 0:
            try:
                channel.unary_unary("/matrix.Test/Fail")(b"")
            except module.RpcError:
                pass


# --- DNS over UDP and TCP, TFTP, NTP, SNMP, syslog over UDP and TCP

def serve_dns(server):
    (server.folder / "tftp").mkdir()
    for number, size in enumerate([10, 400, 1200]):
        (server.folder / "tftp" / f"file{number}").write_bytes(Random(number).randbytes(size))
    records = "".join(f"address=/{word}.test/10.1.{n}.1\naddress=/{word}.test/fd00::{n}\ntxt-record=t.{word}.test,{word} {'x' * (n * 12)}\n"
                      f"mx-host={word}.test,mail.{word}.test,10\nsrv-host=_x._tcp.{word}.test,{word}.test,99\n" for n, word in enumerate(WORDS))
    conf = server.file("dns.conf", f"port=53\nno-resolv\nno-hosts\nlisten-address={HOST}\nbind-interfaces\nuser=root\n"
                       f"enable-tftp\ntftp-root={server.folder}/tftp\n{records}")
    server.start("dnsmasq", "-k", "-C", conf, port=53)


def ask(random: Random, number: int, over_tcp: bool):
    import dns.exception, dns.message, dns.query
    for _ in range(random.randint(1, 3) if over_tcp else 1):
        word = random.choice(WORDS)
        name = random.choice([f"{word}.test", f"t.{word}.test", f"_x._tcp.{word}.test", f"www.{word}.test", "no.such.name", "4.3.2.1.in-addr.arpa"])
        query = dns.message.make_query(name, random.choice(["A", "AAAA", "TXT", "MX", "SRV", "ANY", "PTR"]),
                                       use_edns=random.choice([None, 0]), want_dnssec=random.random() < 0.2)
        query.id = random.randrange(1 << 16)
        if over_tcp:
            dns.query.tcp(query, HOST, 2)
            return
        else:
            dns.query.udp(query, HOST, 2)


@protocol("dns-udp", 53, serve_dns, is_udp=True)
def dns_udp(random: Random, number: int):
    ask(random, number, False)


@protocol("dns-tcp", 53, serve_dns)
def dns_tcp(random: Random, number: int):
    ask(random, number, True)


def serve_ntp(server):
    conf = server.file("chrony.conf", f"local stratum 5\nallow\nbindaddress {HOST}\ncmdport 0\npidfile {server.folder}/pid\n")
    server.start("chronyd", "-d", "-x", "-u", "root", "-f", conf, port=None)
    time.sleep(2)


@protocol("ntp", 123, serve_ntp, is_udp=True)
def ntp(random: Random, number: int):
    import ntplib
    ntplib.NTPClient().request(HOST, version=random.choice([2, 3, 4]), timeout=2)


def serve_snmp(server):
    conf = server.file("snmpd.conf", "rocommunity public\nrwcommunity private\n")
    server.start("snmpd", "-f", "-C", "-c", conf, f"udp:{HOST}:161", port=None)
    time.sleep(2)


@protocol("snmp", 161, serve_snmp, is_udp=True)
def snmp(random: Random, number: int):
    import subprocess
    oid = random.choice(["1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.2.2.1.2.1", "1.3.6.1.4.1.9999.1", "1.3.6.1.2.1.1.9.1.3.4"])
    version = random.choice(["1", "2c"])
    commands = [["snmpget"], ["snmpgetnext"], *([["snmpbulkget", "-Cr4"]] if version == "2c" else [])]
    subprocess.run([*random.choice(commands), "-m", "", "-r", "0", "-t", "1", "-v", version, "-c", "public", HOST, oid, "1.3.6.1.2.1.1.5.0"],
                   capture_output=True)


def serve_syslog(server):
    import socketserver, threading

    class Sink(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.read()

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server.tcp = socketserver.ThreadingTCPServer((HOST, 1514), Sink)
    server.udp = socketserver.UDPServer((HOST, 1514), socketserver.BaseRequestHandler)
    for sink in (server.tcp, server.udp):
        threading.Thread(target=sink.serve_forever, daemon=True).start()


def log_lines(random: Random, number: int):
    for _ in range(random.randint(1, 5)):
        priority, word = random.randrange(192), random.choice(WORDS)
        yield random.choice([
            f"<{priority}>Nov 22 10:{number % 60:02}:07 {word} sshd[{number}]: {text(random, 120)}",
            f"<{priority}>1 2026-11-22T10:00:{number % 60:02}.003Z {word} app {number} ID47 [x@32473 k=\"{word}\"] {text(random, 90)}",
        ])


@protocol("syslog-tcp", 1514, serve_syslog)
def syslog_tcp(random: Random, number: int):
    with connected(1514) as raw:
        for line in log_lines(random, number):
            raw.sendall(f"{len(line)} {line}".encode() if number % 2 else f"{line}\n".encode())


@protocol("syslog-udp", 1514, serve_syslog, is_udp=True)
def syslog_udp(random: Random, number: int):
    with socket.socket(type=socket.SOCK_DGRAM) as raw:
        for line in log_lines(random, number):
            raw.sendto(line.encode(), (HOST, 1514))


# --- SSH, SMTP, FTP (commands), ZooKeeper, Thrift, LDAP

def serve_ssh(server):
    server.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host")
    server.run("rm", "-f", "/tmp/matrix-client")
    server.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/tmp/matrix-client")
    server.run("cp", "/tmp/matrix-client.pub", "keys")
    server.run("mkdir", "-p", "/run/sshd")
    conf = server.file("sshd.conf", f"Port 2222\nListenAddress {HOST}\nHostKey {server.folder}/host\nPermitRootLogin yes\nStrictModes no\n"
                       f"AuthorizedKeysFile {server.folder}/keys\nPidFile none\nUsePAM no\nMaxStartups 500\nPerSourceMaxStartups none\n")
    server.start("/usr/sbin/sshd", "-D", "-e", "-f", conf, port=2222)


@protocol("ssh", 2222, serve_ssh, packets=11)
def ssh(random: Random, number: int):
    import subprocess
    exchanges = ["curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"]
    ciphers = ["aes128-ctr", "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]
    subprocess.run(["ssh", "-p", "2222", "-i", "/tmp/matrix-client", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                    "-o", "BatchMode=yes", "-c", random.choice(ciphers), "-o", f"KexAlgorithms={random.choice(exchanges)}", f"root@{HOST}",
                    f"echo {text(random)}"], capture_output=True)


def serve_smtp(server):
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink
    server.smtp = Controller(Sink(), hostname=HOST, port=2525)
    server.smtp.start()


@protocol("smtp", 2525, serve_smtp)
def smtp(random: Random, number: int):
    import smtplib
    with smtplib.SMTP(HOST, 2525) as client:
        if number % 5 == 4:
            client.verify(random.choice(WORDS))
        body = f"Subject: {text(random)}\r\n\r\n{text(random, 300)}\r\n".encode() + blob(random).hex().encode()
        client.sendmail(f"{random.choice(WORDS)}@a.test", [f"{word}@b.test" for word in random.sample(WORDS, 2)], body)


def serve_ftp(server):
    import threading
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_user("tester", "secret", str(server.folder), perm="elradfmw")
    FTPHandler.authorizer = authorizer
    server.ftp = FTPServer((HOST, 2121), FTPHandler)
    threading.Thread(target=server.ftp.serve_forever, daemon=True).start()


@protocol("ftp", 2121, serve_ftp)
def ftp(random: Random, number: int):
    import ftplib, io
    with ftplib.FTP() as client:
        client.connect(HOST, 2121)
        client.login("tester", "secret")
        try:
            client.storbinary(f"STOR {random.choice(WORDS)}", io.BytesIO(blob(random)))
            client.size(random.choice(WORDS))
            client.nlst()
        except ftplib.Error:
            pass


def serve_zookeeper(server):
    conf = server.file("zoo.cfg", f"dataDir={server.folder}/zk\nclientPort=2181\nclientPortAddress={HOST}\nadmin.enableServer=false\n"
                       "maxClientCnxns=0\n")
    server.start("/usr/share/zookeeper/bin/zkServer.sh", "start-foreground", conf, port=2181)
    time.sleep(2)


@protocol("zookeeper", 2181, serve_zookeeper)
def zookeeper(random: Random, number: int):
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    if number % 10 == 9:
        with connected(2181) as raw:
            exchange(raw, random.choice([b"ruok", b"srvr", b"conf"]))
        return
    client = KazooClient(f"{HOST}:2181", timeout=random.choice([4.0, 10.0, 30.0]))
    client.start()
    path = f"/{random.choice(WORDS)}/{number}"
    client.create(path, blob(random), makepath=True, ephemeral=number % 2 == 0)
    client.get(path)
    client.get_children("/")
    try:
        client.set(path, blob(random), version=random.choice([-1, 7]))
        client.delete("/nothing")
    except KazooException:
        pass
    client.stop()
    client.close()


def thrift_service(server=None):
    import thriftpy2
    path = "/tmp/matrix.thrift"
    with open(path, "w") as file:
        file.write("exception Bad { 1: string why }\nstruct Item { 1: i32 id, 2: string name, 3: binary data, 4: list<i64> numbers }\n"
                   "service Shop { Item echo(1: Item item), i32 add(1: i32 a, 2: i32 b) throws (1: Bad bad), oneway void note(1: string text) }\n")
    return thriftpy2.load(path, module_name="matrix_thrift")


def serve_thrift(server):
    import threading
    from thriftpy2.protocol import TBinaryProtocolFactory
    from thriftpy2.rpc import make_server
    from thriftpy2.transport import TFramedTransportFactory
    definition = thrift_service()

    class Shop:
        def echo(self, item):
            return item

        def add(self, a, b):
            if a > b:
                raise definition.Bad(why="too much")
            return a + b

        def note(self, text):
            pass
    server.thrift = make_server(definition.Shop, Shop(), HOST, 9090, proto_factory=TBinaryProtocolFactory(),
                                trans_factory=TFramedTransportFactory(), client_timeout=None)
    threading.Thread(target=server.thrift.serve, daemon=True).start()
    server.wait_for(9090)


@protocol("thrift", 9090, serve_thrift)
def thrift(random: Random, number: int):
    from thriftpy2.rpc import client_context
    from thriftpy2.transport import TFramedTransportFactory
    definition = thrift_service()
    with client_context(definition.Shop, HOST, 9090, trans_factory=TFramedTransportFactory()) as client:
        client.echo(definition.Item(id=number, name=text(random), data=blob(random), numbers=[random.getrandbits(40) for _ in range(3)]))
        try:
            client.add(random.randrange(99), random.randrange(99))
        except definition.Bad:
            pass
        client.note(text(random))
        client.add(1, number + 1)


# --- Kafka and MongoDB

def serve_kafka(server):
    server.start("noida-db", "start", "--only", "kafka", "--host", HOST, "--kafka-port", "19092", "--data-dir", str(server.folder), port=19092)
    time.sleep(1)
    import kafka as module
    producer = module.KafkaProducer(bootstrap_servers=f"{HOST}:19092")
    for word in WORDS[:4]:
        producer.send(word, b"first").get(5)
    producer.close()


@protocol("kafka", 19092, serve_kafka)
def kafka(random: Random, number: int):
    topic = random.choice(WORDS[:4])
    import kafka as module
    name = f"{random.choice(WORDS)}-{number}"
    if number % 3 < 2:
        producer = module.KafkaProducer(bootstrap_servers=f"{HOST}:19092", acks=1, client_id=name, compression_type=[None, "gzip"][number % 2])
        producer.send(topic, blob(random), key=random.choice([None, b"key"])).get(5)
        producer.close()
        return
    consumer = module.KafkaConsumer(bootstrap_servers=f"{HOST}:19092", client_id=name, enable_auto_commit=False, consumer_timeout_ms=300)
    consumer.assign([module.TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    for _, _ in zip(range(3), consumer):
        pass
    consumer.close()


def serve_mongodb(server):
    server.start("secantusd-py", "--host", HOST, "--port", "27017", "--storage-path", ":memory:", port=27017)


@protocol("mongodb", 27017, serve_mongodb)
def mongodb(random: Random, number: int):
    import pymongo
    client = pymongo.MongoClient(HOST, 27017, serverSelectionTimeoutMS=3000, maxPoolSize=1, appname=random.choice(WORDS), directConnection=True)
    items = client.shop[random.choice(WORDS[:4])]
    try:
        items.insert_many([{"_id": f"{number}-{i}", "name": text(random), "data": blob(random), "n": random.random()} for i in range(3)])
        list(items.find({"name": {"$exists": True}}, batch_size=2).limit(3))
        items.update_one({"_id": f"{number}-0"}, {"$set": {"seen": True}})
        if number % 4 == 0:
            items.insert_one({"_id": f"{number}-0"})
    except pymongo.errors.PyMongoError:
        pass
    client.close()
