"""Drives a MySQL or MariaDB server and logs what the client knows: a JSON line per command, in the order of each connection.

    drive.py pymysql|connector|cli|compressed|tls PORT LOG   against a server with the user probe/probe and the database shapes
    drive.py sha2 PORT LOG                                   against a server of its own that asks for caching_sha2_password
    drive.py decode PORT CAPTURE                             what tshark makes of a capture, on standard output

Needs pymysql, cryptography, mysql-connector-python and the programs mariadb and tshark. A line: the client's port, the command, the
first word of its SQL, and how it ended: rows that came back, or the error's number. (The program mariadb logs nothing.)
"""

import json
import socket
import subprocess
import sys
import tempfile
import threading

HOST = "127.0.0.1"
USER, PASSWORD, DATABASE = "probe", "probe", "shapes"


class Log:
    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()

    def line(self, port, command, **fields):
        with self.lock:
            print(json.dumps({"port": port, "command": command, **fields}), file=self.file, flush=True)


def verb(sql):
    return sql.split("*/")[-1].split()[0].strip("(;").upper()


def with_pymysql(port, log):
    import pymysql
    from pymysql.constants import CLIENT, COMMAND

    def connect(**more):
        options = {"host": HOST, "port": port, "user": USER, "password": PASSWORD, "database": DATABASE,
                   "ssl_disabled": True, "autocommit": None, "local_infile": True,
                   "client_flag": CLIENT.MULTI_STATEMENTS, **more}
        connection = pymysql.connect(**options, defer_connect=True)
        sock = socket.create_connection((HOST, port))
        me = sock.getsockname()[1]
        try:
            connection.connect(sock)
            log.line(me, "LOGIN", ok=True)
            log.line(me, "COM_QUERY", verb="SET", ok=True)  # SET NAMES, which pymysql sends on its own
        except pymysql.err.MySQLError as error:
            log.line(me, "LOGIN", ok=False, errno=error.args[0])
            return None, me
        return connection, me

    connection, me = connect()

    def query(sql):
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows = 0
            while True:
                rows += len(cursor.fetchall())
                if not cursor.nextset():
                    break
            log.line(me, "COM_QUERY", verb=verb(sql), ok=True, rows=rows)
        except pymysql.err.MySQLError as error:
            log.line(me, "COM_QUERY", verb=verb(sql), ok=False, errno=error.args[0])

    connection.ping(reconnect=False)
    log.line(me, "COM_PING", ok=True)
    query("DROP TABLE IF EXISTS t")
    query("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20000))")
    query("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)")
    query("SELECT * FROM t")
    query("  (SELECT name FROM t WHERE id = 99)")
    query("SELECT * FROM nowhere")
    query("SELEKT 1")
    query("INSERT INTO t VALUES (1, 'again')")
    query("SELECT 1; SELECT 2, 3; INSERT INTO t VALUES (4, 'four'); SELECT * FROM t")
    query("INSERT INTO t VALUES (5, '" + "x" * 18_000 + "')")
    query("SELECT name FROM t WHERE id = 5")
    query("SELECT a.id FROM t a, t b, t c")
    query("UPDATE t SET name = 'zwei' WHERE id = 2")
    query("/* a comment */ DELETE FROM t WHERE id = 3")
    query("BEGIN")
    query("ROLLBACK")
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as rows:
        rows.write("".join(f"{n},row {n}\n" for n in range(100, 140)))
        rows.flush()
        query(f"LOAD DATA LOCAL INFILE '{rows.name}' INTO TABLE t FIELDS TERMINATED BY ','")
    for name in [DATABASE, "no_such_database"]:
        try:
            connection.select_db(name)
            log.line(me, "COM_INIT_DB", ok=True)
        except pymysql.err.MySQLError as error:
            log.line(me, "COM_INIT_DB", ok=False, errno=error.args[0])
    connection._execute_command(COMMAND.COM_STATISTICS, b"")
    connection._read_packet()
    log.line(me, "COM_STATISTICS", ok=True)
    connection.close()
    log.line(me, "COM_QUIT")
    connect(password="wrong")
    connect(database="no_such_database")
    connect(user="nobody")


def with_connector(port, log):
    import mysql.connector
    from mysql.connector.protocol import MySQLProtocol

    names = {1: "COM_QUIT", 2: "COM_INIT_DB", 3: "COM_QUERY", 14: "COM_PING", 17: "COM_CHANGE_USER", 22: "COM_STMT_PREPARE",
             23: "COM_STMT_EXECUTE", 24: "COM_STMT_SEND_LONG_DATA", 25: "COM_STMT_CLOSE", 26: "COM_STMT_RESET",
             28: "COM_STMT_FETCH", 31: "COM_RESET_CONNECTION", 9: "COM_STATISTICS", 13: "COM_DEBUG"}
    make = MySQLProtocol.make_command  # A static method.
    lines = []

    # What the driver sends on its own is logged too: every command goes through this method (but a change of user).
    def watched(command, argument=None):
        text = bytes(argument or b"").decode("utf-8", "replace")
        word = {"verb": verb(text)} if command in (3, 22) and text else {}
        lines.append((names.get(command, str(command)), word))
        return make(command, argument)

    MySQLProtocol.make_command = staticmethod(watched)
    connection = mysql.connector.connect(host=HOST, port=port, user=USER, password=PASSWORD, database=DATABASE,
                                         use_pure=True, ssl_disabled=True, autocommit=True)
    me = connection._socket.sock.getsockname()[1]
    log.line(me, "LOGIN", ok=True)
    cursor = connection.cursor(prepared=True)
    cursor.execute("SELECT id, name FROM t WHERE id = ?", (1,))
    cursor.fetchall()
    cursor.execute("SELECT id, name FROM t WHERE id = ?", (2,))
    cursor.fetchall()
    cursor.close()
    cursor = connection.cursor(prepared=True)
    cursor.execute("INSERT INTO t VALUES (?, ?)", (1000, "thousand"))
    cursor.execute("INSERT INTO t VALUES (?, ?)", (1001, "and one"))
    try:
        cursor.execute("INSERT INTO t VALUES (?, ?)", (1001, "twice"))
    except mysql.connector.Error:
        pass
    cursor.close()
    cursor = connection.cursor(prepared=True)
    for sql in ["SELECT * FROM nowhere WHERE id = ?", "DELETE FROM t WHERE id >= ?"]:
        try:
            cursor.execute(sql, (1000,))
        except mysql.connector.Error:
            pass
    cursor.close()
    cursor = connection.cursor(prepared=True)
    cursor.execute("SELECT 1")
    cursor.fetchall()
    cursor.close()
    connection.cmd_reset_connection()
    connection.cmd_change_user(USER, PASSWORD, DATABASE)
    connection.ping()
    connection.cmd_statistics()
    connection.close()
    for command, word in lines:
        log.line(me, command, **word)


def with_cli(port, log, *options):
    del log
    script = b"SELECT 1;\nUSE shapes;\nSELECT COUNT(*) FROM t;\nSHOW TABLES;\nSELECT broken FROM t;\n"
    subprocess.run(["mariadb", "-h", HOST, "-P", str(port), f"-u{USER}", f"-p{PASSWORD}", "--force", *options, DATABASE],
                   input=script, check=False)


def with_tls(port, log):
    with_cli(port, log, "--ssl")


def with_plain_cli(port, log):
    # With the names of tables and columns for completion, which it asks for beforehand.
    with_cli(port, log, "--skip-ssl", "--auto-rehash")


def with_compression(port, log):
    with_cli(port, log, "--skip-ssl", "--compress")


def decode(port, capture):
    """A line per packet that begins an exchange, or says that it failed."""
    fields = ["tcp.srcport", "tcp.dstport", "mysql.packet_number", "mysql.command", "mysql.error_code"]
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={port},mysql", "-Y", "mysql", "-T", "fields"]
    out = subprocess.run(command + [part for field in fields for part in ("-e", field)], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        source, target, number, code, error = line.split("\t")
        # Whatever is not number 0 belongs to an exchange, which tshark takes for commands.
        if int(source) != port and code and number == "0":
            print(json.dumps({"port": int(source), "command": int(code)}))
        if int(source) == port and error:
            print(json.dumps({"port": int(target), "error": int(error)}))


def read_packet(sock):
    def exactly(count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data
    header = exactly(4)
    return header[3], exactly(int.from_bytes(header[:3], "little"))


def sha2_server(listener, log):
    """Asks for full authentication: the client fetches the key, sends the password under it, and is let in."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sock, (_, client) = listener.accept()
    # Long password, protocol 4.1, transactions, secure connection, multi results, plugin auth, deprecated EOF.
    flags = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x20000 | 0x80000 | 0x1000000
    low, high = (flags & 0xffff).to_bytes(2, "little"), (flags >> 16).to_bytes(2, "little")
    nonce = bytes(range(65, 85))
    greeting = (b"\x0a8.0.99-shapes\0" + (7).to_bytes(4, "little") + nonce[:8] + b"\0" + low + b"\xff\x02\0" + high
                + b"\x15" + bytes(10) + nonce[8:] + b"\0caching_sha2_password\0")

    def send(seq, payload):
        sock.sendall(len(payload).to_bytes(3, "little") + bytes([seq]) + payload)

    send(0, greeting)
    seq, _ = read_packet(sock)
    send(seq + 1, b"\xfecaching_sha2_password\0" + nonce + b"\0")  # Once more, as for a user of another method.
    seq, _ = read_packet(sock)
    send(seq + 1, b"\x01\x04")
    seq, _ = read_packet(sock)
    send(seq + 1, b"\x01" + pem)
    seq, _ = read_packet(sock)
    send(seq + 1, b"\0\0\0\x02\0\0\0")
    log.line(client, "LOGIN", ok=True)
    try:
        while True:
            _, payload = read_packet(sock)
            if payload[:1] == b"\x01":
                log.line(client, "COM_QUIT")
                return
            if payload[:1] == b"\x03" and b"SELECT" in payload:
                column = b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0"
                log.line(client, "COM_QUERY", verb="SELECT", ok=True, rows=1)
                send(1, b"\x01"), send(2, column), send(3, b"\x011"), send(4, b"\xfe\0\0\x02\0\0\0")
                continue
            word = {"verb": verb(payload[1:].decode())} if payload[:1] == b"\x03" else {}
            log.line(client, "COM_QUERY" if word else "COM_PING", ok=True, **word)
            send(1, b"\0\0\0\x02\0\0\0")
    except EOFError:
        pass


def with_sha2(port, log):
    import pymysql

    listener = socket.create_server((HOST, port))
    server = threading.Thread(target=sha2_server, args=(listener, log))
    server.start()
    connection = pymysql.connect(host=HOST, port=port, user=USER, password=PASSWORD, ssl_disabled=True)
    connection.ping(reconnect=False)
    connection.query("SET @a = 1")
    connection.close()
    server.join()


if __name__ == "__main__":
    scenario, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if scenario == "decode":
        decode(port, path)
    else:
        scenarios = {"pymysql": with_pymysql, "connector": with_connector, "cli": with_plain_cli, "tls": with_tls,
                     "compressed": with_compression, "sha2": with_sha2}
        scenarios[scenario](port, Log(path))
