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


PROTOCOLS: dict[str, Protocol] = {}


def protocol(name: str, port: int, serve: Callable, is_udp: bool = False):
    """Adds a protocol, whose conversation is the function below."""
    def add(converse):
        PROTOCOLS[name] = Protocol(port, serve, converse, is_udp)
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
