"""Real MongoDB servers, driven by real clients, captured by protap, compared with what the clients know.

PROTAP, PLUGINS, CACHE and WORK come from the environment (see mongodb.sh). Every driver reports the commands that it
sent, by request id, and their replies: each must have its record, with the same command, database, collection, number of
documents, outcome, cursor and counts, and no record may be of a command that nobody sent. It fails on any difference, and
if not at least one server and two clients ran.
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

PROTAP, PLUGINS, CACHE, WORK = (os.environ[name] for name in ("PROTAP", "PLUGINS", "CACHE", "WORK"))
HERE = os.path.dirname(os.path.abspath(__file__))
# What drivers send on their own account and do not report.
OWN = {"hello", "isMaster", "ismaster", "endSessions", "ping", "buildInfo"}
# Commands whose value is no collection.
NO_COLLECTION = {"ping", "noSuchCommand", "listCollections", "endSessions", "buildInfo", "commitTransaction", "bulkWrite"}
# What replies count, and where records have it.
COUNTS = {
    "n": "mongodb.n", "nModified": "mongodb.n_modified", "nInserted": "mongodb.n_inserted", "nMatched": "mongodb.n_matched",
    "nUpserted": "mongodb.n_upserted", "nDeleted": "mongodb.n_deleted",
}
WRITES = {"insert": "documents", "update": "updates", "delete": "deletes"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process, seconds=60):
    for _ in range(seconds * 10):
        if process.poll() is not None:
            return False
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


# --- servers


def secantus(port):
    program = shutil.which("secantusd-py", path=os.path.dirname(sys.executable)) or shutil.which("secantusd-py")
    return program and [program, "--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"]


def ferretdb(port):
    program = os.path.join(CACHE, "ferretdb")
    state = os.path.join(WORK, "ferretdb")
    os.makedirs(state, exist_ok=True)
    return os.access(program, os.X_OK) and [
        program, "--handler=sqlite", f"--sqlite-url=file:{state}/", f"--state-dir={state}", "--telemetry=disable",
        f"--listen-addr=127.0.0.1:{port}", "--debug-addr=-",
    ]


SERVERS = {"SecantusDB": secantus, "FerretDB": ferretdb}
# These answer writes that want no answer, and drivers take that for the answer to their next command.
ANSWERS_ALL = {"FerretDB"}

# --- clients: each gives the command that prints its events


def pymongo(*arguments):
    try:
        import pymongo  # noqa: F401
    except ImportError:
        return None
    return [sys.executable, os.path.join(HERE, "mongodb.py"), "drive", *arguments]


def node(*arguments):
    has = shutil.which("node") and os.path.isdir(os.path.join(CACHE, "node_modules", "mongodb"))
    return has and ["node", os.path.join(HERE, "mongodb.js"), *arguments]


CLIENTS = {"PyMongo": pymongo, "Node": node}


def drive(uri, acknowledged):
    """The PyMongo client: prints what the driver says of every command."""
    from bson import json_util
    from pymongo import DeleteOne, InsertOne, MongoClient, UpdateOne, WriteConcern, monitoring
    from pymongo.errors import PyMongoError

    def emit(**event):
        print(json_util.dumps(event, json_options=json_util.CANONICAL_JSON_OPTIONS), flush=True)

    class Log(monitoring.CommandListener):
        def started(self, e):
            emit(event="started", id=e.request_id, name=e.command_name, database=e.database_name, command=e.command)

        def succeeded(self, e):
            emit(event="succeeded", id=e.request_id, reply=e.reply)

        def failed(self, e):
            emit(event="failed", id=e.request_id, code=e.failure.get("code"), name=e.failure.get("codeName"))

    def step(run):
        # Servers differ in what they can do, and the driver tells what became of it.
        try:
            return run()
        except PyMongoError as error:
            return error

    with MongoClient(uri, event_listeners=[Log()], serverSelectionTimeoutMS=5000, appname="py-live") as client:
        db = client.pylive
        users = db.users
        step(users.drop)
        step(lambda: users.insert_many([{"_id": i, "i": i, "text": "text " * 20} for i in range(200)]))
        step(lambda: users.insert_one({"_id": 5}))
        step(lambda: users.insert_many([{"_id": n} for n in (1000, 1, 1001, 2)], ordered=False))
        step(lambda: list(users.find({"i": {"$gte": 0}}, batch_size=30)))
        step(lambda: list(users.find({"$or": [{"i": 1}, {"i": 2}]}, sort=[("i", -1)])))
        step(lambda: list(users.aggregate([{"$match": {"i": {"$lt": 50}}}, {"$group": {"_id": None, "n": {"$sum": 1}}}])))
        step(lambda: users.count_documents({}))
        step(lambda: users.update_many({"i": {"$lt": 10}}, {"$set": {"seen": True}}))
        step(lambda: users.replace_one({"_id": "new"}, {"q": 1}, upsert=True))
        step(lambda: users.find_one_and_update({"i": 50}, {"$set": {"w": 2}}))
        step(lambda: users.bulk_write([InsertOne({"b": 1}), UpdateOne({"b": 1}, {"$set": {"b": 2}}), DeleteOne({"b": 2})]))
        step(lambda: client.bulk_write([
            InsertOne({"_id": "bulk"}, namespace="pylive.users"), InsertOne({"_id": 1}, namespace="pylive.others"),
            UpdateOne({"_id": "bulk"}, {"$set": {"x": 1}}, namespace="pylive.users"),
            DeleteOne({"_id": "none"}, namespace="pylive.others"),
        ]))

        def watch():
            with users.watch(max_await_time_ms=300) as stream:
                users.insert_one({"watched": True})
                return [stream.try_next() for _ in range(3)]

        step(watch)
        step(lambda: users.delete_many({"i": {"$gt": 150}}))
        step(lambda: users.distinct("i"))
        step(lambda: users.create_index("i"))
        step(lambda: list(users.list_indexes()))
        step(lambda: db.list_collection_names())
        step(lambda: db.command("noSuchCommand"))
        step(lambda: users.find_one({"i": {"$noSuchOperator": 1}}))
        if not acknowledged:
            step(lambda: users.with_options(write_concern=WriteConcern(w=0)).insert_one({"unacknowledged": 1}))

        def abandon():
            cursor = users.find({}, batch_size=5)
            next(cursor)
            cursor.close()

        step(abandon)

        def transact():
            with client.start_session() as session, session.start_transaction():
                users.insert_one({"t": 1}, session=session)

        step(transact)
        step(lambda: db["fs.files"].insert_one({"filename": "x"}))
        step(users.drop)
        time.sleep(0.3)


# --- comparison


class Report:
    def __init__(self):
        self.compared, self.faults = 0, []

    def equal(self, what, ours, theirs):
        self.compared += 1
        if ours != theirs:
            self.faults.append(f"{what}: protap says {ours!r}, the client {theirs!r}")


def plain(value):
    """Canonical extended JSON, as far as numbers go: that loses no digit of an id."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    for kind, make in (("$numberLong", int), ("$numberInt", int), ("$numberDouble", float)):
        if kind in value:
            return make(value[kind])
    return {key: plain(item) for key, item in value.items()}


def number(value):
    """Ids beyond 2^53 are strings in records."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def compare_request(report, label, event, record):
    name, command, request = event["name"], event["command"], record["request"]
    attributes = record.get("attributes", {})
    report.equal(f"{label}: command", request.get("type"), name)
    # A bulkWrite is sent to admin, and is about the first of its namespaces.
    database = command["nsInfo"][0]["ns"].split(".")[0] if name == "bulkWrite" else event["database"]
    report.equal(f"{label}: database", request.get("domain"), database)
    collection = command.get("collection") if name == "getMore" else command.get(name)
    if name not in NO_COLLECTION and isinstance(collection, str):
        report.equal(f"{label}: collection", request.get("resource"), collection)
    if name in WRITES and WRITES[name] in command:
        count = len(command[WRITES[name]])
        report.equal(f"{label}: documents in", attributes.get("db.operation.batch.size", 1), max(count, 1))
    if name == "bulkWrite":
        spaces = [info["ns"] for info in command["nsInfo"]]
        report.equal(f"{label}: operations", attributes.get("db.operation.batch.size"), len(command["ops"]))
        report.equal(f"{label}: namespaces", attributes.get("mongodb.namespaces", [request.get("resource")]), spaces)
    if name == "aggregate":
        is_stream = any("$changeStream" in stage for stage in command["pipeline"])
        report.equal(f"{label}: change stream", attributes.get("mongodb.change_stream", False), is_stream)
    if name == "getMore":
        report.equal(f"{label}: cursor asked", number(attributes.get("mongodb.cursor_id")), command["getMore"])
    if "batchSize" in command:
        report.equal(f"{label}: batch size", attributes.get("mongodb.batch_size"), command["batchSize"])
    if "txnNumber" in command:
        report.equal(f"{label}: transaction number", attributes.get("mongodb.txn_number"), command["txnNumber"])
    if command.get("filter"):
        text = attributes.get("db.query.text", "")
        report.equal(f"{label}: shape has its keys", all(f'"{key}"' in text for key in command["filter"]), True)


def compare_reply(report, label, event, record):
    response, attributes = record.get("response", {}), record.get("attributes", {})
    if event["event"] == "failed":
        report.equal(f"{label}: failed", response.get("status") in ("client_error", "server_error", "timeout"), True)
        if event["code"] is not None:
            report.equal(f"{label}: code", response.get("code"), event["code"])
        if event["name"]:
            report.equal(f"{label}: name of the error", attributes.get("error.type"), event["name"])
        return
    reply = event["reply"]
    if reply is None:  # The driver did not look at it.
        return
    errors = reply.get("writeErrors", [])
    report.equal(f"{label}: status", response.get("status") == "ok", not errors)
    if errors:
        report.equal(f"{label}: code", response.get("code"), errors[0]["code"])
        report.equal(f"{label}: write errors", attributes.get("mongodb.write_errors"), len(errors))
    for field, attribute in COUNTS.items():
        if field in reply:
            report.equal(f"{label}: {field}", attributes.get(attribute), reply[field])
    if "upserted" in reply:
        report.equal(f"{label}: upserted", attributes.get("mongodb.n_upserted"), len(reply["upserted"]))
    cursor = reply.get("cursor", {})
    batch = cursor.get("firstBatch", cursor.get("nextBatch", reply.get("values")))
    # A bulkWrite's batch is what became of its operations.
    if batch is not None and record["request"]["type"] != "bulkWrite":
        report.equal(f"{label}: documents out", attributes.get("db.response.returned_rows"), len(batch))
    if "firstBatch" in cursor:
        report.equal(f"{label}: cursor", number(attributes.get("mongodb.cursor_id", 0)), cursor["id"])


def compare(events, records):
    report = Report()
    by_id = {}
    for record in records:
        if record.get("protocol") == "mongodb" and "request" in record and record["request"].get("type") != "ping":
            by_id.setdefault(record["request"].get("id"), []).append(record)
    sent = {}
    for event in events:
        # Some drivers' ids are signed.
        event["id"] &= 0xFFFFFFFF
        if event["event"] == "started":
            sent[event["id"]] = event
        found = [record for record in by_id.get(event["id"], []) if record["request"].get("type") == sent[event["id"]]["name"]]
        label = f"{sent[event['id']]['name']} {event['id']}"
        if len(found) != 1:
            report.faults.append(f"{label}: {len(found)} records")
            continue
        record = found[0]
        if event["event"] == "started":
            compare_request(report, label, event, record)
        elif record["kind"] == "oneway":
            report.equal(f"{label}: is not answered", sent[event["id"]]["command"]["writeConcern"]["w"], 0)
        else:
            report.equal(f"{label}: completeness", record.get("completeness"), "full")
            compare_reply(report, label, event, record)
    for key, found in by_id.items():
        name = found[0]["request"].get("type")
        if key not in sent and name not in OWN:
            report.faults.append(f"{name} {key}: a record of a command that the client did not send")
    return report, len(sent)


def ping(port, request_id):
    """A conversation that no driver has: an OP_MSG with a ping, and its answer."""
    document = b"\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"
    body = struct.pack("<IB", 0, 0) + struct.pack("<i", 4 + len(document)) + document
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(struct.pack("<iiii", 16 + len(body), request_id, 0, 2013) + body)
        s.recv(4096)


def begin(capture, port, records):
    """Waits until the capture has records."""
    for attempt in range(100):
        if capture.poll() is not None:
            break
        ping(port, attempt + 1)
        time.sleep(0.2)
        if os.path.getsize(records) > 0:
            return
    sys.exit("protap captures nothing: it needs the right to capture on lo")


def interact(server, client, port, arguments):
    """Captures while the client speaks with the server; gives the report, or None if the client does not run."""
    out = os.path.join(WORK, f"{server}-{client}")
    with open(out + ".records", "wb") as records, open(out + ".log", "wb") as log:
        capture = subprocess.Popen(
            [PROTAP, "live", "-i", "lo", "-p", PLUGINS, "-o", "json", "tcp", "port", str(port)],
            stdout=records, stderr=log,
        )
        begin(capture, port, records.name)
        run = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=180)
        time.sleep(1)
        capture.send_signal(signal.SIGINT)
        capture.wait(timeout=60)
    if capture.returncode != 0:
        sys.exit(f"protap ended with {capture.returncode}: {open(out + '.log').read()[-400:]}")
    if run.returncode != 0:
        print(f"  {client} could not drive {server}: {run.stderr.decode()[-300:]}")
        return None
    with open(out + ".events", "wb") as kept:
        kept.write(run.stdout)
    events = [plain(json.loads(line)) for line in run.stdout.decode().splitlines()]
    with open(out + ".records") as kept:
        return compare(events, [json.loads(line) for line in kept])


def main():
    servers, clients, faults = set(), set(), 0
    for server, command in SERVERS.items():
        port = free_port()
        arguments = command(port)
        if not arguments:
            print(f"not started: {server} (not installed)")
            continue
        with open(os.path.join(WORK, server + ".log"), "wb") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            if not wait_for(port, process):
                print(f"not started: {server} (see {log.name})")
                continue
            for client, driver in CLIENTS.items():
                uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
                arguments = driver(uri, *(["acknowledged"] if server in ANSWERS_ALL else []))
                result = interact(server, client, port, arguments) if arguments else None
                if result is None:
                    print(f"did not run: {client} against {server}")
                    continue
                report, sent = result
                servers.add(server)
                clients.add(client)
                faults += len(report.faults)
                print(f"{server}, {client}: {sent} commands, {report.compared} fields compared, {len(report.faults)} differ")
                for fault in report.faults[:20]:
                    print(f"  {fault}")
        finally:
            process.terminate()
            process.wait(timeout=30)
    if not servers or len(clients) < 2:
        print(f"too little ran: servers {sorted(servers)}, clients {sorted(clients)}")
    sys.exit(1 if faults else 3 if not servers or len(clients) < 2 else 0)


if __name__ == "__main__":
    drive(sys.argv[2], "acknowledged" in sys.argv) if sys.argv[1:2] == ["drive"] else main()
