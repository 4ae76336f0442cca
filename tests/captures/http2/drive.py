#!/usr/bin/env python3
"""drive.py OUT [NAME...]: records HTTP/2 conversations in clear text into OUT/NAME.pcap, with what the clients say of
them in OUT/NAME.log.jsonl and what tshark decodes in OUT/NAME.frames.jsonl.

Needs root (a network namespace of its own), nginx, curl, nghttp, tcpdump, tshark, and the Python packages h2, grpcio and
hypercorn. All data is generated.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

NS = "protap-http2"
NGINX, GRPC, OWN, UPGRADE = 8081, 50051, 8082, 8083


# ---- nginx, with curl and nghttp.

NGINX_CONF = """daemon off; error_log /dev/null; pid {dir}/pid; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log {dir}/access.log; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
uwsgi_temp_path {dir}; scgi_temp_path {dir};
server {{ listen 127.0.0.1:8081 http2; root {dir}/www;
  location = /page.html {{ http2_push /style.css; }}
  location = /moved {{ return 301 /small.txt?from=moved; }}
  location = /broken {{ return 503; }}
  location = /made {{ return 201 "made"; }}
}} }}
"""


def nginx(log, folder):
    os.makedirs(f"{folder}/www/deep/er")
    os.chmod(folder, 0o755)
    for name, size in (("small.txt", 20), ("big.bin", 20_000), ("style.css", 300), ("page.html", 500), ("deep/er/x", 5)):
        open(f"{folder}/www/{name}", "wb").write(b"0123456789" * (size // 10))
    open(f"{folder}/nginx.conf", "w").write(NGINX_CONF.format(dir=folder))
    server = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    url = f"http://127.0.0.1:{NGINX}"
    say = lambda **fields: log.append(fields)
    curl = ["curl", "-s", "--http2-prior-knowledge", "-w", "%{method} %{url_effective} %{response_code} %{size_download} %{size_upload}\\n"]
    paths = ["/small.txt", "/big.bin?query=secret", "/missing", "/moved", "/broken", "/deep/er/x"]
    out = "".join(subprocess.run(curl + ["-o", "/dev/null", url + path], capture_output=True, text=True).stdout for path in paths)
    open(f"{folder}/body", "wb").write(b"b" * 12_000)
    out += subprocess.run(curl + ["-o", "/dev/null", "-H", "Host: virtual.example", "--data-binary", f"@{folder}/body", url + "/made"],
                          capture_output=True, text=True).stdout
    out += subprocess.run(curl + ["-o", "/dev/null", "-I", url + "/small.txt"], capture_output=True, text=True).stdout
    for line in out.splitlines():
        method, where, code, got, sent = line.split()
        say(client="curl", method=method, url=where, code=int(code), received=int(got), sent=int(sent))
    # Many streams at once, and a push.
    run = subprocess.run(["nghttp", "-n", "-s", "-m", "3"] + [url + path for path in ("/small.txt", "/big.bin", "/page.html")],
                         capture_output=True, text=True)
    for line in run.stdout.splitlines():
        part = line.split()
        if len(part) == 7 and part[0].isdigit() or len(part) == 8 and part[0].isdigit():
            say(client="nghttp", line=part)
    time.sleep(0.2)
    server.terminate()
    server.wait()


# ---- gRPC.

def grpc_scene(log, _folder):
    import grpc
    from concurrent import futures
    identity = lambda data: data

    def unary(request, context):
        if request == b"missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: secret")
        if request == b"crash":
            raise RuntimeError("secret")
        if request == b"slow":
            time.sleep(1)
        return request * 2

    def many(request, context):
        for n in range(int(request)):
            yield b"x" * 1000
        context.set_trailing_metadata((("done", "yes"),))

    def collect(requests, _context):
        return str(sum(len(r) for r in requests)).encode()

    def chat(requests, _context):
        for request in requests:
            yield request

    def forever(_request, context):
        while context.is_active():
            yield b"tick"
            time.sleep(0.05)

    handlers = {"Unary": grpc.unary_unary_rpc_method_handler(unary), "Many": grpc.unary_stream_rpc_method_handler(many),
                "Collect": grpc.stream_unary_rpc_method_handler(collect), "Chat": grpc.stream_stream_rpc_method_handler(chat),
                "Forever": grpc.unary_stream_rpc_method_handler(forever)}
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    server.add_insecure_port(f"127.0.0.1:{GRPC}")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{GRPC}")
    path = lambda name: f"/test.Service/{name}"

    def call(name, act):
        try:
            act()
            code = 0
        except grpc.RpcError as error:
            code = error.code().value[0]
        log.append({"client": "grpc", "path": path(name), "code": code})

    unary_call = channel.unary_unary(path("Unary"))
    for data, timeout in ((b"hello", 5), (b"missing", 5), (b"crash", 5), (b"slow", 0.2), (b"z" * 17_000, 5)):
        call("Unary", lambda: unary_call(data, timeout=timeout))
    call("Nowhere", lambda: channel.unary_unary(path("Nowhere"))(b"", timeout=5))
    call("Many", lambda: list(channel.unary_stream(path("Many"))(b"12", timeout=5)))
    call("Collect", lambda: channel.stream_unary(path("Collect"))(iter([b"a" * 5000] * 4), timeout=5))
    call("Chat", lambda: list(channel.stream_stream(path("Chat"))(iter([b"a", b"bb", b"ccc"]), timeout=5)))

    def cancelled():
        stream = channel.unary_stream(path("Forever"))(b"")
        next(stream), next(stream)
        stream.cancel()
        list(stream)

    call("Forever", cancelled)
    threads = [threading.Thread(target=call, args=("Unary", lambda n=n: unary_call(b"p" * n * 200, timeout=5))) for n in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    time.sleep(1.2)
    channel.close()
    server.stop(0.5).wait()


# ---- What clients and servers rarely do, with the library h2 at both ends.

def rare(log, _folder):
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings

    listener = socket.create_server(("127.0.0.1", OWN))

    def serve():
        sock, _ = listener.accept()
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        sock.sendall(conn.data_to_send())
        paths = {}

        def answer(stream, path):
            fields = [(":status", "200"), ("server", "own"), ("x-" + path[1:], "v")]
            if path == "/provisional":
                conn.send_headers(stream, [(":status", "103"), ("link", "</x>")])
                conn.send_headers(stream, fields)
                conn.send_data(stream, b"after hints", end_stream=True)
            elif path == "/trailers":
                conn.send_headers(stream, fields)
                conn.send_data(stream, b"body")
                conn.send_headers(stream, [("checksum", "abc")], end_stream=True)
            elif path == "/padded":
                conn.send_headers(stream, fields)
                conn.send_data(stream, b"p" * 100, pad_length=50)
                conn.send_data(stream, b"q" * 10, pad_length=0, end_stream=True)
            elif path == "/reset":
                conn.send_headers(stream, fields)
                conn.send_data(stream, b"half")
                conn.reset_stream(stream, error_code=2)
            elif path == "/refused":
                conn.reset_stream(stream, error_code=7)
            elif path == "/long-headers":
                conn.send_headers(stream, fields + [(f"h{n}", "y" * 1000) for n in range(20)], end_stream=True)
            elif path == "/teapot":
                conn.send_headers(stream, [(":status", "418")], end_stream=True)
            elif path.startswith("/mixed"):
                conn.send_headers(stream, fields)
                return  # its body comes with the others', piece by piece
            else:
                conn.send_headers(stream, fields, end_stream=True)

        mixed = []
        while True:
            data = sock.recv(65536)
            if not data:
                return
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    paths[event.stream_id] = dict((k.decode() if isinstance(k, bytes) else k, v.decode() if isinstance(v, bytes) else v)
                                                  for k, v in event.headers)[":path"].split("?")[0]
                    if paths[event.stream_id] == "/early":
                        # Answered before the request has ended.
                        conn.send_headers(event.stream_id, [(":status", "413")], end_stream=True)
                        conn.reset_stream(event.stream_id, error_code=0)
                elif isinstance(event, h2.events.DataReceived):
                    conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    path = paths[event.stream_id]
                    if path == "/silent":
                        continue
                    answer(event.stream_id, path)
                    if path.startswith("/mixed"):
                        mixed.append(event.stream_id)
                    if len(mixed) == 3:
                        for n in range(3):
                            for stream in mixed:
                                conn.send_data(stream, bytes([65 + n]) * 500, end_stream=n == 2)
                        mixed.clear()
                    if path == "/bye":
                        conn.close_connection(error_code=11, last_stream_id=event.stream_id, additional_data=b"secret")
                sock.sendall(conn.data_to_send())

    threading.Thread(target=serve, daemon=True).start()
    sock = socket.create_connection(("127.0.0.1", OWN))
    conn = h2.connection.H2Connection()
    conn.initiate_connection()
    flush = lambda: sock.sendall(conn.data_to_send())
    flush()

    def receive(seconds=0.15):
        sock.settimeout(seconds)
        try:
            while True:
                data = sock.recv(65536)
                if not data:
                    return
                for event in conn.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                flush()
        except TimeoutError:
            pass

    def ask(path, method="GET", end=True, extra=()):
        stream = conn.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", "own.example"), (":path", path), ("user-agent", "drive")]
        conn.send_headers(stream, fields + list(extra), end_stream=end)
        log.append({"client": "h2", "stream": stream, "method": method, "path": path})
        return stream

    for path in ("/provisional", "/trailers?secret=1", "/padded", "/teapot", "/reset", "/refused", "/long-headers"):
        ask(path)
        flush()
        receive()
    for path in ("/mixed/a", "/mixed/b", "/mixed/c"):
        ask(path)
    flush()
    receive()
    # A body in pieces, between which other streams begin and end, and trailers behind it.
    upload = ask("/upload", "PUT", end=False)
    for n in range(3):
        conn.send_data(upload, b"u" * 400, pad_length=20)
        ask(f"/between/{n}")
        flush()
        receive(0.05)
    conn.send_headers(upload, [("md5", "x")], end_stream=True)
    flush()
    receive()
    early = ask("/early", "POST", end=False)
    flush()
    receive()
    silent = ask("/silent")
    flush()
    receive(0.05)
    conn.reset_stream(silent, error_code=8)
    # A request whose block takes CONTINUATIONs, and a smaller table.
    ask("/long-request", extra=[(f"r{n}", "z" * 1100) for n in range(18)])
    flush()
    receive()
    conn.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 256, h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 70_000})
    flush()
    receive()
    for _ in range(3):
        ask("/small/table")
        flush()
        receive(0.05)
    conn.ping(b"12345678")
    ask("/bye")
    flush()
    receive()
    sock.close()
    time.sleep(0.1)


# ---- An upgrade from HTTP/1.1.

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b"hello " + scope["path"].encode()
    code = 404 if scope["path"] == "/none" else 200
    await send({"type": "http.response.start", "status": code, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""


def upgrade(log, folder):
    open(f"{folder}/app.py", "w").write(APP)
    server = subprocess.Popen([sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{UPGRADE}", "app:app"], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    url = f"http://127.0.0.1:{UPGRADE}"
    for command in (["nghttp", "-u", "-n", url + "/first?q=secret", url + "/second"],
                    ["curl", "-s", "--http2", "-o", "/dev/null", url + "/none", "-o", "/dev/null", url + "/again"],
                    ["curl", "-s", "--http1.1", "-o", "/dev/null", url + "/plain"]):
        log.append({"client": command[0], "exit": subprocess.run(command, capture_output=True).returncode})
    time.sleep(0.2)
    server.terminate()
    server.wait()


SCENES = {"nginx": (nginx, NGINX), "grpc": (grpc_scene, GRPC), "rare": (rare, OWN), "upgrade": (upgrade, UPGRADE)}


# ---- The recording; runs outside of the namespace.

def decode(pcap, port, out):
    """One line for each frame, as tshark sees it."""
    # Of an upgrade, tshark finds out by itself.
    known = ["-d", f"tcp.port=={port},http2"] if port != UPGRADE else []
    text = subprocess.run(["tshark", "-r", pcap, *known, "-T", "json", "--no-duplicate-keys"],
                          capture_output=True, check=True).stdout
    with open(out, "w") as lines:
        for packet in json.loads(text):
            layers = packet["_source"]["layers"]
            if "http2" not in layers:
                continue
            head = {"packet": int(layers["frame"]["frame.number"]), "from": int(layers["tcp"]["tcp.srcport"]),
                    "to": int(layers["tcp"]["tcp.dstport"])}
            for layer in listed(layers["http2"]):
                if not isinstance(layer, dict):
                    continue
                for frame in listed(layer.get("http2.stream", [])):
                    if isinstance(frame, dict) and "http2.type" in frame:
                        print(json.dumps(head | fields(frame)), file=lines)


def listed(value):
    return value if isinstance(value, list) else [value]


def fields(frame):
    flags = int(frame.get("http2.flags", "0"), 16)
    kind = int(frame["http2.type"])
    kept = {"type": kind, "flags": flags, "stream": int(frame["http2.streamid"]), "length": int(frame["http2.length"])}
    headers = {}
    for header in listed(frame.get("http2.header", [])):
        if isinstance(header, dict) and header.get("http2.header.name") in KEPT:
            headers[header["http2.header.name"]] = header.get("http2.header.value")
    if headers:
        kept["headers"] = headers
    for name, key in (("http2.rst_stream.error", "error"), ("http2.goaway.error", "error"),
                      ("http2.push_promise.promised_stream_id", "promised")):
        if name in frame:
            kept[key] = int(frame[name])
    for name in ("http2.data.padding", "http2.headers.padding"):
        if name in frame:
            kept["padding"] = frame[name].count(":") + 1
    return kept


KEPT = {":method", ":path", ":authority", ":status", "content-type", "grpc-status"}


def record(name, out):
    port = SCENES[name][1]
    enter = ("ip", "netns", "exec", NS)
    pcap = f"{out}/{name}.pcap"
    with tempfile.TemporaryDirectory() as folder:
        dump = subprocess.Popen([*enter, "tcpdump", "-i", "lo", "-U", "-w", pcap, "tcp", "port", str(port)],
                                stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            subprocess.run([*enter, sys.executable, __file__, "--inside", name, f"{out}/{name}.log.jsonl", folder], check=True)
            time.sleep(1)
        finally:
            dump.terminate()
            dump.wait()
    decode(pcap, port, f"{out}/{name}.frames.jsonl")


def main():
    if sys.argv[1] == "--inside":
        log = []
        SCENES[sys.argv[2]][0](log, sys.argv[4])
        with open(sys.argv[3], "w") as lines:
            for entry in log:
                print(json.dumps(entry), file=lines)
            lines.flush()
        os._exit(0)
    subprocess.run(["ip", "netns", "add", NS], check=True)
    try:
        subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up", "mtu", "1500"], check=True)
        subprocess.run(["ip", "netns", "exec", NS, "ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off"], check=True)
        for name in sys.argv[2:] or SCENES:
            record(name, sys.argv[1])
    finally:
        subprocess.run(["ip", "netns", "del", NS], check=True)


main()
