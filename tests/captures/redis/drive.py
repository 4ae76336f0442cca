#!/usr/bin/env python3
"""Records the captures in this folder, with what the clients themselves saw as the oracle.

    drive.py OUT [SCENARIO...]      in a private network namespace, with redis-server 7.0, tcpdump, `pip install redis`

For each scenario OUT/NAME.pcap, and OUT/oracle/NAME.client.jsonl with a line per event, in the order in which each client
saw them: {"port", "kind": "session" | "oneway" | "message" | "master" | "response", "type", "status", "error", "replies", "db"}. They come
from redis-py's own connections (what it packs and what it unpacks), and from a small reader of RESP for what redis-py does
not do. Nothing of protap is used here.
"""

import collections
import faulthandler
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis
import redis.connection
from redis._parsers import base, resp3

PORT, REPLICA, CLUSTER = 6379, 6380, (7000, 7001)
SERVER_ERRORS = "BUSY CLUSTERDOWN FAILOVER LOADING MASTERDOWN MISCONF NOREPLICAS OOM TRYAGAIN UNBLOCKED".split()
SUBSCRIPTIONS = {p + w for p in ("", "p", "s") for w in ("subscribe", "unsubscribe")}
MESSAGES = {"message", "pmessage", "smessage"}


class Log:
    """What clients saw, by their ports."""

    def __init__(self):
        self.events, self.pending, self.db, self.containers, self.queued = [], {}, {}, {}, {}

    def type_name(self, args):
        words = [a.decode("latin-1") if isinstance(a, bytes) else str(a) for a in args]
        words = sum([w.split(" ") for w in words[:1]], []) + words[1:]
        name = words[0].upper()
        if len(words) > 1 and words[1].upper() in self.containers.get(name, ()):
            return f"{name} {words[1].upper()}", words
        return name, words

    def asked(self, port, args, replies=1, kind="session"):
        name, words = self.type_name(args)
        event = {"port": port, "kind": kind, "type": name, "replies": 0}
        self.events.append(event)
        if kind == "session":
            self.pending.setdefault(port, collections.deque()).append([event, replies, words])

    def answered(self, port, error=None, result=None):
        waiting = self.pending[port][0]
        event, waiting[1] = waiting[0], waiting[1] - 1
        event["replies"] += 1
        if waiting[1] > 0:
            return
        self.pending[port].popleft()
        inner = None
        if event["type"] == "EXEC" and isinstance(result, list):
            inner = next((raw(r) for r in result if isinstance(r, Exception)), None)
        error = error or inner
        event["status"] = "ok" if not error else "server_error" if error.split(" ")[0] in SERVER_ERRORS else "client_error"
        if error:
            event["error"] = error.split(" ")[0]
        self.follow(port, event, waiting[2], result, error)
        event["db"] = self.db.get(port, 0)

    def follow(self, port, event, words, result, error):
        """Which database the connection is on."""
        if error:
            return
        text = result.decode("latin-1") if isinstance(result, bytes) else result
        if event["type"] == "SELECT" and text == "QUEUED":
            self.queued[port] = int(words[1])
        elif event["type"] == "SELECT":
            self.db[port] = int(words[1])
        elif event["type"] == "EXEC" and port in self.queued:
            self.db[port] = self.queued.pop(port)
        elif event["type"] == "RESET":
            self.db[port] = 0

    def message(self, port, name, kind="message"):
        self.events.append({"port": port, "kind": kind, "type": name})

    def write(self, path):
        with open(path, "w") as out:
            for event in self.events:
                out.write(json.dumps(event) + "\n")


LOG = Log()


def raw(error):
    return getattr(error, "raw", str(error))


# redis-py, with its commands, replies and errors noted down.

parse_error = base.BaseParser.parse_error.__func__


def noted_error(cls, response):
    error = parse_error(cls, response)
    error.raw = response
    return error


base.BaseParser.parse_error = classmethod(noted_error)
handle_push = resp3._RESP3Parser.handle_push_response


def noted_push(self, response):
    port = self._sock.getsockname()[1]
    on_pushed(port, response)
    return handle_push(self, response)


resp3._RESP3Parser.handle_push_response = noted_push


def on_pushed(port, response):
    kind = response[0].decode() if isinstance(response[0], bytes) else response[0]
    waiting = LOG.pending.get(port)
    if kind in SUBSCRIPTIONS and waiting and waiting[0][0]["type"] == kind.upper():
        LOG.answered(port)
    else:
        LOG.message(port, kind)


class Packer:
    def __init__(self, inner, connection):
        self.inner, self.connection = inner, connection

    def pack(self, *args):
        port = self.connection._sock.getsockname()[1]
        name = str(args[0]).upper()
        replies = len(args) - 1 if name.lower() in SUBSCRIPTIONS and len(args) > 1 else 1
        if name in ("UNSUBSCRIBE", "PUNSUBSCRIBE") and len(args) == 1:
            replies = self.connection.subscribed_to(name)
        LOG.asked(port, args, replies)
        return self.inner.pack(*args)


class Connection(redis.connection.Connection):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._command_packer = Packer(self._command_packer, self)
        self.all_of = {}

    def subscribed_to(self, name):
        return self.all_of.get(name, 1)

    def read_response(self, *args, **kwargs):
        port = self._sock.getsockname()[1]
        is_resp3 = self.protocol in ("3", 3)
        try:
            result = super().read_response(*args, **kwargs)
        except redis.ResponseError as error:
            LOG.answered(port, error=raw(error))
            raise
        if kwargs.get("push_request") and is_resp3 and isinstance(result, list):
            return result
        if isinstance(result, list) and result and result[0] in [m.encode() for m in MESSAGES | SUBSCRIPTIONS]:
            on_pushed(port, result)
        else:
            LOG.answered(port, result=result)
        return result


def client(protocol=2, **kwargs):
    kwargs = {"host": "127.0.0.1", "port": PORT, **kwargs}
    pool = redis.ConnectionPool(connection_class=Connection, protocol=protocol, **kwargs)
    return redis.Redis(connection_pool=pool)


def attempt(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except redis.RedisError as error:
        return error


# A client of our own, for what redis-py does not do.


class Error(str):
    pass


class Plain:
    def __init__(self, port=PORT):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.port = self.sock.getsockname()[1]

    def send(self, *commands, inline=False, kind="session", replies=1):
        out = b""
        for args in commands:
            LOG.asked(self.port, args, replies, kind)
            words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
            if inline:
                out += b" ".join(words) + b"\r\n"
            else:
                out += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.sock.sendall(out)

    def value(self):
        line = self.file.readline()
        kind, text = line[:1], line[1:-2]
        if kind in b"-":
            return Error(text.decode())
        if kind == b"+":
            return text.decode("latin-1")
        if kind in b"$=!":
            if text == b"-1":
                return None
            body = self.file.read(int(text) + 2)[:-2]
            return Error(body.decode()) if kind == b"!" else body
        if kind in b"*~%>":
            if text == b"-1":
                return None
            items = [self.value() for _ in range(int(text) * (2 if kind == b"%" else 1))]
            return ("push", items) if kind == b">" else items
        if kind == b"|":
            [self.value() for _ in range(2 * int(text))]
            return self.value()
        return int(text) if kind == b":" else text

    def expect(self, count=1):
        """Reads answers; pushes between them are noted."""
        out = []
        while len(out) < count:
            value = self.value()
            if isinstance(value, tuple):
                before = len(LOG.pending[self.port])
                on_pushed(self.port, value[1])
                if len(LOG.pending[self.port]) < before:
                    out.append(value)
            else:
                LOG.answered(self.port, error=value if isinstance(value, Error) else None, result=value)
                out.append(value)
        return out

    def ask(self, *commands, **kwargs):
        self.send(*commands, **kwargs)
        return self.expect(len(commands))

    def close(self):
        self.sock.close()


# Scenarios.


def commands(protocol):
    r = client(protocol, db=0)
    r.flushall()
    r.set("k", "v"), r.get("k"), r.get("nope"), r.set("n", 1, ex=100), r.incr("n"), r.ttl("n"), r.type("k")
    r.mset({f"m{i}": i for i in range(40)}), r.mget([f"m{i}" for i in range(40)] + ["x"])
    attempt(r.lpush, "k", "x"), attempt(r.incr, "k"), attempt(r.execute_command, "NOSUCHCOMMAND", "secret-argument")
    attempt(r.execute_command, "JSON.GET", "k"), attempt(r.execute_command, "GET")
    r.hset("h", mapping={"a": 1, "b": "two"}), r.hgetall("h"), r.rpush("l", *range(2000)), r.lrange("l", 0, -1)
    r.sadd("s", "a", "b"), r.smembers("s"), r.zadd("z", {"a": 1.5, "b": 2}), r.zrange("z", 0, -1, withscores=True), r.zscore("z", "a")
    r.config_get("max*"), r.client_setname("me"), r.client_list(), r.client_id(), r.object("encoding", "k"), r.memory_usage("k")
    r.info(), r.dbsize(), r.execute_command("COMMAND COUNT"), r.slowlog_get()
    with r.pipeline(transaction=False) as p:
        for i in range(300):
            p.set(f"p:{i}", "x" * i), p.get(f"p:{i}")
        p.execute()
    with r.pipeline(transaction=True) as p:
        p.set("t", 1), p.incr("t"), p.get("t"), p.execute()
    with r.pipeline(transaction=True) as p:
        p.set("k", "v"), p.lpush("k", 1), p.hget("k", "f"), p.incr("t"), p.execute(raise_on_error=False)
    with r.pipeline(transaction=True) as p:
        p.set("k", "v"), p.execute_command("NOSUCH"), attempt(p.execute)
    with r.pipeline(transaction=True) as p:
        p.watch("k"), client(protocol).set("k", "w"), p.multi(), p.set("k", 1), attempt(p.execute)
    r.eval("return {1,'a',redis.call('get',KEYS[1]),{2,3}}", 1, "k"), attempt(r.eval, "return redis.error_reply('MYERR no')", 0)
    attempt(r.eval, "return redis.call('nosuch')", 0), attempt(r.eval, "return {redis.error_reply('FIRST x'), 1}", 0)
    sha = r.script_load("return KEYS[1]")
    r.evalsha(sha, 1, "k"), attempt(r.evalsha, "0" * 40, 0)
    r.function_load("#!lua name=lib\nredis.register_function('f', function(keys, args) return 1 end)", replace=True), r.fcall("f", 0)
    ids = [r.xadd("st", {"f": "v" * 10}) for _ in range(5)]
    r.xread({"st": "0"}), r.xrange("st"), r.xinfo_stream("st"), r.xgroup_create("st", "g", "0"), attempt(r.xgroup_create, "st", "g", "0")
    r.xreadgroup("g", "c", {"st": ">"}, count=2), r.xack("st", "g", ids[0]), r.xpending("st", "g"), attempt(r.xreadgroup, "nope", "c", {"st": ">"})
    r.blpop("empty", timeout=0.05), r.blpop("l", timeout=1), r.xread({"st": "$"}, block=30), r.wait(1, 20), r.bzpopmin("nothing", timeout=0.03)
    big = b"B" * (1 << 20)
    r.set("big", big), r.get("big"), r.append("big", "x"), r.getrange("big", 0, 9), r.strlen("big")
    list(r.scan_iter(count=200)), r.sort("l", start=0, num=5), r.zunionstore("zz", ["z", "z"]), r.sintercard(1, ["s"]), r.lmpop(1, "l", direction="LEFT")
    r.dump("k"), r.copy("k", "k2"), r.rename("k2", "k3"), r.unlink("k3"), r.expire("k", 1000), r.geoadd("geo", (13.36, 38.11, "p"))
    r.select(3), r.set("other", 1), r.get("other"), attempt(r.select, 99), r.get("other"), r.execute_command("MOVE", "other", 4)
    with r.pipeline(transaction=False) as p:
        p.execute_command("SELECT", 5), p.set("q", 1), p.execute_command("SELECT", 6), p.get("q"), p.execute_command("SELECT", 777), p.get("q"), p.execute(raise_on_error=False)
    r.execute_command("QUIT")
    other = client(protocol, db=2, client_name="named")
    other.set("x", "y"), other.get("x"), other.acl_whoami()


def pubsub(protocol):
    r = client(protocol)
    ps = r.pubsub()
    ps.subscribe("a", "b", "c"), ps.psubscribe("p*")
    for _ in range(4):
        ps.get_message(timeout=1)
    for channel in ("a", "b", "pq", "zzz", "a"):
        r.publish(channel, "hello " * 10)
    while ps.get_message(timeout=0.2):
        pass
    ps.ping() if protocol == 3 else None
    ps.unsubscribe("a"), ps.get_message(timeout=0.3)
    ps.connection.all_of = {"UNSUBSCRIBE": 2, "PUNSUBSCRIBE": 1}
    ps.unsubscribe(), ps.punsubscribe()
    for _ in range(4):
        ps.get_message(timeout=0.3)
    s = r.pubsub()
    s.ssubscribe("shard"), s.get_message(timeout=0.5), r.execute_command("SPUBLISH", "shard", "x"), s.get_message(timeout=0.5)
    if protocol == 3:
        c = Plain()
        c.ask(("HELLO", 3)), c.ask(("CLIENT", "TRACKING", "ON")), c.ask(("GET", "tracked"))
        r.set("tracked", 1), time.sleep(0.05)
        c.ask(("GET", "tracked"), ("PING",)), r.set("tracked", 2), time.sleep(0.05)
        c.ask(("GET", "k")), c.close()
    p = Plain()
    p.send(("SUBSCRIBE", "one", "two"), replies=2)
    [on_pushed(p.port, p.value()) for _ in range(2)]
    r.publish("one", "1")
    on_pushed(p.port, p.value())
    p.ask(("PING",)), p.ask(("GET", "refused")), r.publish("two", "2")
    on_pushed(p.port, p.value())
    p.send(("UNSUBSCRIBE",), replies=2)
    [on_pushed(p.port, p.value()) for _ in range(2)]
    p.send(("UNSUBSCRIBE",))
    on_pushed(p.port, p.value())
    p.ask(("GET", "k")), p.ask(("QUIT",)), p.close()


def oddities():
    c = Plain()
    c.ask(("PING",), ("SET", "k", "v"), ("GET", "k"), ("get", "nope"), inline=True)
    c.sock.sendall(b"\r\n*0\r\n")
    c.ask(("ECHO", '"quoted words"'), inline=True)
    c.ask(("CONFIG", "GET", "maxmemory"), inline=True)
    for word in "string integer double null array set map attrib verbatim true false bignum".split():
        c.ask(("DEBUG", "PROTOCOL", word))
    c.ask(("HELLO", 3)), c.ask(("HELLO", 9)), c.ask(("HELLO", 3, "AUTH", "default", "secret-password"))
    for word in "string integer double null array set map attrib verbatim true false bignum".split():
        c.ask(("DEBUG", "PROTOCOL", word))
    c.send(("DEBUG", "PROTOCOL", "push"))
    on_pushed(c.port, c.value()[1])
    c.expect()
    c.send(("CLIENT", "REPLY", "SKIP"), kind="oneway"), c.send(("SET", "skipped", 1), kind="oneway"), c.ask(("GET", "skipped"))
    c.send(("CLIENT", "REPLY", "OFF"), ("SET", "off", 1), ("INCR", "off"), ("NOSUCH", "x"), kind="oneway")
    c.ask(("CLIENT", "REPLY", "ON")), c.ask(("GET", "off")), c.ask(("AUTH", "user", "secret-password")), c.ask(("SELECT", 4)), c.ask(("RESET",))
    c.ask(("MULTI",), ("SET", "a", 1), ("SELECT", 7), ("GET", "a"), ("EXEC",), ("GET", "a")), c.ask(("MULTI",), ("SET", "a", 1), ("DISCARD",), ("EXEC",))
    watcher, other = Plain(), Plain()
    watcher.ask(("MONITOR",)), other.ask(("SET", "watched", "secret \r\n value"), ("SELECT", 1), ("LPUSH", "w", "x" * 5000), ("NOSUCH",))
    # What fails before it runs is not shown.
    for _ in range(3):
        watcher.value(), LOG.message(watcher.port, "monitor")
    watcher.send(("PING",))
    for line in (watcher.value(), watcher.value()):
        LOG.message(watcher.port, "monitor") if line[0].isdigit() else LOG.answered(watcher.port, result=line)
    watcher.ask(("RESET",)), watcher.ask(("QUIT",)), other.ask(("QUIT",)), watcher.close(), other.close()
    c.ask(("HELLO", 3), ("CLIENT", "TRACKING", "ON", "BCAST")), other_set("tracked"), time.sleep(0.05), c.ask(("GET", "nothing")), c.close()


def other_set(key):
    c = Plain()
    c.ask(("SET", key, 1)), c.close()


def errors():
    r = client()
    r.flushall(), r.config_set("maxmemory", "1mb"), attempt(r.set, "k", "v"), r.config_set("maxmemory", 0)
    r.config_set("min-replicas-to-write", 1), attempt(r.set, "k", "v"), r.config_set("min-replicas-to-write", 0)
    r.config_set("busy-reply-threshold", 20)
    slow = client()
    thread = threading.Thread(target=lambda: attempt(slow.eval, "while true do end", 0))
    thread.start(), time.sleep(0.2), attempt(r.get, "k"), r.script_kill(), thread.join()
    r.execute_command("ACL SETUSER", "limited", "on", ">secret", "+get", "~a*"), attempt(Plain().ask, ("AUTH", "limited", "wrong"))
    c = Plain()
    c.ask(("AUTH", "limited", "secret")), c.ask(("GET", "b"), ("SET", "a", 1), ("GET", "a")), c.close()
    r.config_set("requirepass", "secret"), Plain().ask(("GET", "k"), ("AUTH", "secret"), ("GET", "k"), ("CONFIG", "SET", "requirepass", ""))
    r.config_set("maxclients", 6)
    extra = [Plain() for _ in range(9)]
    for e in extra:
        e.sock.settimeout(0.2)
        if attempt_to_read(e):
            LOG.message(e.port, "ERR", "response")
        e.close()
    r.config_set("maxclients", 1000)
    a, b = (Plain(port) for port in CLUSTER)
    a.ask(("GET", "foo"), ("CLUSTER", "INFO"), ("CLUSTER", "ADDSLOTSRANGE", 0, 8191)), b.ask(("CLUSTER", "ADDSLOTSRANGE", 8192, 16383))
    a.ask(("CLUSTER", "MEET", "127.0.0.1", CLUSTER[1]))
    for _ in range(100):
        time.sleep(0.2)
        if all(b"cluster_state:ok" in c.ask(("CLUSTER", "INFO"))[0] for c in (a, b)):
            break
    for key in ("foo", "bar", "hello"):
        [c.ask(("SET", key, 1), ("GET", key)) for c in (a, b)]
    a.ask(("MGET", "foo", "bar"), ("CLUSTER", "SLOTS")), b.ask(("SELECT", 1))
    # bar is in slot 5061 of the first: on its way to the second.
    other = b.ask(("CLUSTER", "MYID"))[0].decode()
    a.ask(("CLUSTER", "SETSLOT", 5061, "MIGRATING", other)), a.ask(("GET", "{bar}x"), ("MGET", "bar", "{bar}x")), a.close(), b.close()


def attempt_to_read(c):
    try:
        return c.value()
    except OSError:
        return None


def replication():
    master, replica = client(), Plain(REPLICA)
    master.flushall(), [master.set(f"before{i}", "x" * 100) for i in range(50)]
    replica.ask(("REPLICAOF", "127.0.0.1", PORT))
    for _ in range(100):
        time.sleep(0.1)
        if b"master_link_status:up" in replica.ask(("INFO", "replication"))[0]:
            break
    time.sleep(0.3)
    for command in (("SET", "a", 1), ("INCR", "a"), ("LPUSH", "l", "x" * 20000)):
        master.execute_command(*command), LOG.message(0, command[0], "master")
    master.select(3), LOG.message(0, "SELECT", "master"), master.set("in3", 1), LOG.message(0, "SET", "master")
    with master.pipeline() as p:
        p.set("b", 1), p.rpush("c", 1, 2), p.execute()
    [LOG.message(0, name, "master") for name in ("MULTI", "SET", "RPUSH", "EXEC")]
    master.wait(1, 1000), replica.ask(("SET", "refused", 1)), time.sleep(1.2)
    replica.ask(("REPLICAOF", "NO", "ONE")), replica.close()


def pipelined():
    """A client that does not wait. Of every request and its answer, the lengths are its own."""
    c = Plain()

    def write():
        for length in range(1, 121):
            c.send(("ECHO", "x" * length)), time.sleep(0.0003)

    writer = threading.Thread(target=write)
    writer.start(), time.sleep(0.001), c.expect(120), writer.join(), c.close()


def midstream(start):
    """Recording begins when connections are open, and one is in the middle of a value."""
    r2, r3, c, sub = client(2, db=3), client(3), Plain(), Plain()
    r2.get("k"), r3.get("k"), sub.send(("SUBSCRIBE", "ch"), replies=1), on_pushed(sub.port, sub.value())
    c.ask(("SET", "big", "z" * 300_000), ("SELECT", 2)), c.sock.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$30\r\nhalf of ")
    time.sleep(0.2)
    LOG.events.clear()
    start()
    c.sock.sendall(b"the value is here     \r\n"), c.value()
    LOG.message(c.port, "OK", "response")
    for r in (r2, r3):
        for i in range(30):
            r.set(f"k{i}", "v" * i), r.get(f"k{i}"), attempt(r.lpush, "k1", 1)
        r.select(5), r.set("a", 1), r.lrange("nolist", 0, -1), r.publish("ch", "x")
    for _ in range(2):
        on_pushed(sub.port, sub.value())
    c.ask(("GET", "k")), c.ask(("GET", "big"), ("GET", "k"), ("MGET", "k", "k1", "k2"))
    for i in range(20):
        c.ask(("SET", f"k{i}", "y" * 40), ("GET", f"k{i}"))


SCENARIOS = {
    "commands_resp2": lambda _: commands(2),
    "commands_resp3": lambda _: commands(3),
    "pubsub_resp2": lambda _: pubsub(2),
    "pubsub_resp3": lambda _: pubsub(3),
    "oddities": lambda _: oddities(),
    "errors": lambda _: errors(),
    "replication": lambda _: replication(),
    "pipelined": lambda _: pipelined(),
    "clients_midstream": midstream,
}


def server(port, folder, *options):
    os.makedirs(folder, exist_ok=True)
    arguments = ["redis-server", "--port", str(port), "--save", "", "--dir", folder, "--enable-debug-command", "yes", *options]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except OSError:
            time.sleep(0.05)
    sys.exit(f"no server on port {port}")


def record(out, name):
    global LOG
    with tempfile.TemporaryDirectory() as folder:
        servers = [server(PORT, f"{folder}/0", "--repl-diskless-sync-delay", "0")]
        if name == "replication":
            servers.append(server(REPLICA, f"{folder}/1"))
        if name == "errors":
            servers += [server(port, f"{folder}/{port}", "--cluster-enabled", "yes") for port in CLUSTER]
        LOG = Log()
        with redis.Redis(port=PORT, protocol=2) as r:
            r.response_callbacks.clear()
            for info in r.execute_command("COMMAND"):
                if info[9]:
                    LOG.containers[info[0].decode().upper()] = {sub[0].decode().split("|")[1].upper() for sub in info[9]}
        # Newer ones, and those that the server does not list.
        LOG.containers["CLIENT"] |= {"SETINFO", "MAINT_NOTIFICATIONS"}
        LOG.containers["DEBUG"] = {"PROTOCOL"}
        LOG.events.clear(), LOG.pending.clear()
        time.sleep(0.2)
        dump = []

        def start():
            ports = " or ".join(f"port {p}" for p in (PORT, REPLICA, *CLUSTER))
            dump.append(subprocess.Popen(["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-B", "65536", "-w", f"{out}/{name}.pcap", ports], stderr=subprocess.DEVNULL))
            time.sleep(1)

        if name != "clients_midstream":
            start()
        try:
            SCENARIOS[name](start)
            time.sleep(1)
        finally:
            for process in dump + servers:
                process.terminate(), process.wait()
        LOG.write(f"{out}/oracle/{name}.client.jsonl")


def main():
    faulthandler.dump_traceback_later(40, exit=True)
    out = sys.argv[1]
    os.makedirs(f"{out}/oracle", exist_ok=True)
    for name in sys.argv[2:] or SCENARIOS:
        record(out, name)
        print(name, len(LOG.events), "events,", sum(map(len, LOG.pending.values())), "unanswered", flush=True)


main()
