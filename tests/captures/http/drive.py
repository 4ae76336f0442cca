#!/usr/bin/env python3
"""drive.py OUT [NAME...]: records HTTP/1 conversations into OUT/NAME.pcap, with what tshark decodes of them in
OUT/oracle/NAME.tshark.jsonl, a line per exchange: {"port", "server", "method", "uri", "host", "agent", "sent", "code",
"received", "interim"}; what is absent is null. "drive.py --decode OUT [NAME...]" decodes what is there once more.

Needs root (a network namespace of its own), nginx, curl, h2load, node, tcpdump, tshark 4. All data is generated.
"""

import gzip
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

NS = "protap-http"
NGINX, PYTHON, NODE = 8080, 8000, 3000
URL = f"http://127.0.0.1:{NGINX}"

NGINX_CONF = """daemon off; error_log /dev/null; pid {dir}/pid; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
uwsgi_temp_path {dir}; scgi_temp_path {dir}; gzip on; gzip_min_length 1; gzip_types text/plain;
server {{ listen 127.0.0.1:8080; root {dir}/www; client_max_body_size 100k;
  location = /moved {{ return 301 /small.txt?from=moved; }}
  location = /broken {{ return 503; }}
  location = /made {{ return 201 "made"; }}
  location = /nothing {{ return 204; }}
  location = /sink {{ proxy_pass http://127.0.0.1:3000/sink; }}
}} }}
"""

NODE_JS = r"""
const http = require('http'), net = require('net'), crypto = require('crypto');
const server = http.createServer((req, res) => {
  const path = req.url.split('?')[0];
  if (path.endsWith('/chunks')) { res.writeHead(200, {Trailer: 'X-Sum'}); res.write('a'.repeat(1000)); res.write('b'.repeat(2000));
    res.addTrailers({'X-Sum': '1'}); return res.end('c'); }
  if (path === '/events') { res.writeHead(200, {'Content-Type': 'text/event-stream'}); let n = 0;
    const tick = setInterval(() => { res.write(`data: ${n}\n\n`); if (++n == 12) { clearInterval(tick); res.end(); } }, 20); return; }
  if (path === '/hints') { res.writeEarlyHints({link: '</style.css>; rel=preload'}); return res.end('hinted'); }
  if (path === '/echo') { res.writeHead(200); return req.pipe(res); }
  if (path === '/close') { res.shouldKeepAlive = false; res.useChunkedEncodingByDefault = false; return res.end('x'.repeat(5000)); }
  if (path === '/abort') { res.writeHead(200, {'Content-Length': 10000}); res.write('y'.repeat(3000)); return setTimeout(() => res.destroy(), 50); }
  if (path === '/early') { res.writeHead(413); return res.end('too large'); }
  if (path === '/fail') { res.writeHead(500); return res.end(); }
  let size = 0; req.on('data', d => size += d.length); req.on('end', () => res.end(String(size)));
});
server.on('upgrade', (req, socket) => {
  const key = crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
  socket.on('data', data => socket.write(Buffer.from([0x81, 5, 104, 101, 108, 108, 111]))); socket.on('error', () => 0);
});
server.on('connect', (req, socket, head) => {
  const [host, port] = req.url.split(':');
  if (port === '1') return socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n');
  const to = net.connect(port, host, () => { socket.write('HTTP/1.1 200 Connection Established\r\n\r\n'); to.write(head); socket.pipe(to); to.pipe(socket); });
  to.on('error', () => 0); socket.on('error', () => 0);
});
server.listen(3000, '127.0.0.1');
"""


def curl(*arguments, **kw):
    return subprocess.run(["curl", "-s", "-o", "/dev/null", *arguments], capture_output=True, **kw)


def raw(port, *pieces, wait=0.15):
    """Sends each piece after the answer to the one before."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(wait)
        for piece in pieces:
            connection.sendall(piece if isinstance(piece, bytes) else piece.encode())
            try:
                while connection.recv(65536):
                    pass
            except (TimeoutError, ConnectionError):
                pass


# ---- The scenes.

def nginx_curl(folder):
    """curl over kept connections: files, errors, conditions, ranges, uploads."""
    curl(*[argument for path in ("/small.txt", "/big.bin?token=secret", "/missing", "/moved", "/broken", "/made", "/nothing")
           for argument in (URL + path, "-o", "/dev/null")])
    curl("-I", URL + "/small.txt", "-o", "/dev/null", URL + "/big.bin")
    curl("--compressed", URL + "/small.txt")
    etag = subprocess.run(["curl", "-sI", URL + "/small.txt"], capture_output=True, text=True).stdout
    etag = next(line.split(": ")[1] for line in etag.splitlines() if line.lower().startswith("etag"))
    curl("-H", f"If-None-Match: {etag}", URL + "/small.txt", "-o", "/dev/null", URL + "/small.txt")
    curl("-r", "100-199", URL + "/big.bin")
    curl("-X", "OPTIONS", "--request-target", "*", URL)
    curl("-X", "DELETE", URL + "/small.txt")
    curl("-H", "Expect: 100-continue", "--data-binary", f"@{folder}/body", URL + "/sink")
    curl("-T", "-", "-H", "Transfer-Encoding: chunked", URL + "/sink", stdin=open(f"{folder}/body"))
    curl("-H", "Expect: 100-continue", "-T", f"{folder}/large", URL + "/sink")
    curl("--http1.0", URL + "/small.txt")
    curl("-u", "user:secret", "-e", "http://example.com/?secret", "-A", "secret agent", "-b", "session=secret",
         "-H", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", URL + "/small.txt;jsessionid=secret")


def nginx_pipelined(_folder):
    """Several requests in a row before the first answer, and h2load's many."""
    get = lambda path, extra="": f"GET {path} HTTP/1.1\r\nHost: p\r\n{extra}\r\n"
    raw(NGINX, get("/small.txt") + get("/missing") + get("/nothing") + "HEAD /big.bin HTTP/1.1\r\nHost: p\r\n\r\n" + get("/made"))
    raw(NGINX, "POST /sink HTTP/1.1\r\nHost: p\r\nContent-Length: 5\r\n\r\nhello" + get("/small.txt"),
        get("/small.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n") + get("/made", "Connection: close\r\n"))
    subprocess.run(["h2load", "--h1", "-n", "60", "-c", "3", "-m", "4", URL + "/small.txt"], stdout=subprocess.DEVNULL)


def python_server(_folder):
    """Python's server in both versions: without lengths in 1.0, and its client."""
    for path in ("/", "/listed/", "/missing"):
        curl(f"http://127.0.0.1:{PYTHON}{path}")
    connection = http.client.HTTPConnection("127.0.0.1", PYTHON + 1)
    for method, path, body in (("GET", "/", None), ("POST", "/", b"p" * 3000), ("PUT", "/it", iter([b"a" * 10, b"b" * 20])),
                               ("HEAD", "/", None), ("PROPFIND", "/", None)):
        connection.request(method, path, body, {"Host": "python.example:81"}, encode_chunked=method == "PUT")
        connection.getresponse().read()
    connection.close()


def node_streams(_folder):
    """node: chunks with trailers, events, early hints, an echo, bodies up to the end and aborted ones."""
    base = f"http://127.0.0.1:{NODE}"
    curl(base + "/chunks", "-o", "/dev/null", base + "/hints", "-o", "/dev/null", base + "/fail")
    curl("-N", "-H", "Accept: text/event-stream", base + "/events")
    curl(base + "/close")
    curl(base + "/abort")
    curl("--data-binary", "e" * 4000, base + "/echo")
    slow = "POST /early HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    raw(NODE, slow, "5\r\nworld\r\n0\r\n\r\nGET /chunks HTTP/1.1\r\nHost: n\r\n\r\n")


def node_upgrade(_folder):
    """An upgrade to WebSocket, CONNECT with HTTP behind it and refused, absolute-form to a proxy."""
    upgrade = "GET /chat HTTP/1.1\r\nHost: n\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n\r\n"
    raw(NODE, upgrade, b"\x81\x85\0\0\0\0hello")
    curl("-p", "-x", f"http://127.0.0.1:{NODE}", URL + "/small.txt")
    curl("-p", "-x", f"http://127.0.0.1:{NODE}", "http://127.0.0.1:1/")
    curl("-x", f"http://127.0.0.1:{NODE}", "http://user:secret@example.com:81/chunks?secret")


def oddities(_folder):
    """What servers accept in spite of the rules, and what they refuse."""
    raw(NGINX, "\r\nGET /small.txt HTTP/1.1\nHost: lf\nUser-Agent: lf only\n\n")
    raw(PYTHON + 1, "GET / HTTP/1.1\r\nHost: fold\r\nUser-Agent: one\r\n two\r\nX: y\r\n\r\n")
    raw(NGINX, "GET /small.txt HTTP/1.1\r\nHost: a\r\nCookie: " + "c" * 6000 + "\r\nX-Long: " + "d" * 7000 + "\r\n\r\n")
    for fields in ("Content-Length: 3\r\nContent-Length: 4", "Content-Length: 3\r\nTransfer-Encoding: chunked",
                   "Transfer-Encoding: xchunked", "Content-Length: +3", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"):
        raw(NGINX, f"POST /made HTTP/1.1\r\nHost: smuggler\r\n{fields}\r\n\r\n0\r\n\r\n")
    raw(NGINX, "GET /nowhere HTTP/1.1\r\n\r\n")
    raw(NGINX, "NONSENSE\r\n\r\n")


def midstream(folder):
    """Connections that were open before the capture: see `record`."""
    for connection in folder:
        for path in ("/small.txt", "/missing", "/big.bin"):
            connection.request("GET", path, headers={"User-Agent": "mid"})
            connection.getresponse().read()
        connection.close()


# ---- Servers.

class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.headers.get("Transfer-Encoding"):
            while (size := int(self.rfile.readline(), 16)) and self.rfile.read(size + 2):
                pass
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_PUT = do_POST

    def log_message(self, *_):
        pass


class Old(Handler):
    protocol_version = "HTTP/1.0"


def serve(folder):
    os.makedirs(f"{folder}/www/listed")
    os.chmod(folder, 0o755)
    for name, size in (("www/small.txt", 200), ("www/big.bin", 12_000), ("body", 3000), ("large", 200_000)):
        open(f"{folder}/{name}", "wb").write(b"0123456789" * (size // 10))
    open(f"{folder}/nginx.conf", "w").write(NGINX_CONF.format(dir=folder))
    open(f"{folder}/server.js", "w").write(NODE_JS)
    os.chdir(f"{folder}/www")
    for port, handler in ((PYTHON, Old), (PYTHON + 1, Handler)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers = [["nginx", "-c", f"{folder}/nginx.conf"], ["node", f"{folder}/server.js"]]
    servers = [subprocess.Popen(server, stderr=subprocess.DEVNULL) for server in servers]
    time.sleep(1)
    return servers


# ---- Recording and decoding.

SCENES = {scene.__name__: scene for scene in (nginx_curl, nginx_pipelined, python_server, node_streams, node_upgrade, oddities, midstream)}


def record(out, name, folder):
    scene_argument = folder
    if name == "midstream":
        scene_argument = [http.client.HTTPConnection("127.0.0.1", NGINX) for _ in range(3)]
        for connection in scene_argument:
            connection.request("GET", "/small.txt")
            connection.getresponse().read()
    path = f"{out}/{name}.pcap"
    dump = subprocess.Popen(["tcpdump", "-i", "lo", "--immediate-mode", "-U", "-w", path, "tcp"], stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    SCENES[name](scene_argument)
    time.sleep(0.7)
    dump.terminate()
    dump.wait()


PORTS = {NGINX, PYTHON, PYTHON + 1, NODE}


def messages(path):
    """HTTP messages as tshark sees them, by connection and direction, in order."""
    decode = [argument for port in PORTS for argument in ("-d", f"tcp.port=={port},http")]
    pdml = subprocess.run(["tshark", "-r", path, *decode, "-o", "http.decompress_body:FALSE", "-o", "tcp.try_heuristic_first:FALSE",
                           "-Y", "http", "-T", "pdml"], capture_output=True, text=True, check=True).stdout
    for packet in ElementTree.fromstring(pdml):
        field = lambda name: next(f for f in packet.iter("field") if f.get("name") == name).get("show")
        stream, source, to = (int(field(f"tcp.{what}")) for what in ("stream", "srcport", "dstport"))
        for proto in packet.iter("proto"):
            if proto.get("name") != "http":
                continue
            values = {}
            for f in proto.iter("field"):
                values.setdefault(f.get("name"), f)
            yield stream, source, to, values


def decode(out, name):
    path = f"{out}/{name}.pcap"
    if not os.path.exists(path):
        plain = tempfile.NamedTemporaryFile(suffix=".pcap")
        plain.write(gzip.open(path + ".gz").read())
        plain.flush()
        path = plain.name
    # What tshark shows of a message comes with its last packet: a response may be shown before its request.
    asked, answered = {}, {}
    for stream, source, to, values in messages(path):
        show = lambda field: values[field].get("show") if field in values else None
        data = values.get("http.file_data")
        body = None if data is None else int(data.get("size"))
        if show("http.request.method"):
            asked.setdefault(stream, []).append({
                "port": source, "server": to, "method": show("http.request.method"), "uri": show("http.request.uri"),
                "version": show("http.request.version"), "host": show("http.host"), "agent": show("http.user_agent"), "sent": body})
        elif show("http.response.code"):
            answered.setdefault(stream, []).append({"port": to, "server": source, "code": int(show("http.response.code")), "received": body})
    exchanges = []
    for stream in sorted(asked.keys() | answered.keys()):
        requests, interim = iter(asked.get(stream, [])), 0
        for response in answered.get(stream, []):
            if 100 <= response["code"] < 200 and response["code"] != 101:
                interim += 1
                continue
            exchanges.append({"method": None, **next(requests, {}), **response, "interim": interim})
            interim = 0
        exchanges += [{**request, "code": None, "received": None, "interim": 0} for request in requests]
    with open(f"{out}/oracle/{name}.tshark.jsonl", "w") as file:
        file.writelines(json.dumps(exchange) + "\n" for exchange in exchanges)


def main():
    arguments = sys.argv[1:]
    is_decode = arguments[0] == "--decode"
    out, *names = arguments[is_decode:]
    out = os.path.abspath(out)
    if not is_decode and os.environ.get("PROTAP_NS") != NS:
        subprocess.run(f"ip netns del {NS} 2>/dev/null; ip netns add {NS} && ip -n {NS} link set lo up mtu 1500 && "
                       f"ip netns exec {NS} ethtool -K lo tso off gso off gro off", shell=True, check=True)
        try:
            subprocess.run(["ip", "netns", "exec", NS, sys.executable, os.path.abspath(__file__), out, *names],
                           env={**os.environ, "PROTAP_NS": NS}, check=True)
        finally:
            subprocess.run(["ip", "netns", "del", NS])
        return
    os.makedirs(f"{out}/oracle", exist_ok=True)
    if not is_decode:
        with tempfile.TemporaryDirectory() as folder:
            servers = serve(folder)
            try:
                for name in names or SCENES:
                    record(out, name, folder)
            finally:
                [server.terminate() for server in servers]
                os.chdir("/")
    for name in names or SCENES:
        decode(out, name)


main()
