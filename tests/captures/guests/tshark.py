#!/usr/bin/env python3
"""Decodes the captures of this folder with tshark, and pairs in the way each protocol says: NAME.tshark.jsonl, a line per
exchange. Nothing of protap takes part.

    tests/captures/guests/tshark.py
"""

import gzip
import json
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tshark(name, *arguments):
    with tempfile.NamedTemporaryFile(suffix=".pcap") as plain:
        plain.write(gzip.decompress((HERE / f"{name}.pcap.gz").read_bytes()))
        plain.flush()
        run = subprocess.run(["tshark", "-r", plain.name, *arguments], capture_output=True, text=True, check=True)
        return run.stdout


def write(name, lines):
    (HERE / f"{name}.tshark.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def resp(name, port):
    """Top values of tshark's tree, four blanks deep, by connection. A value that goes on in the next frame is shown there
    once more, whole. Commands and replies pair in order."""
    asked, answered = {}, {}
    tree = tshark(name, "-d", f"tcp.port=={port},resp", "-Y", "resp", "-O", "resp")
    for frame in re.split(r"^Frame ", tree, flags=re.M)[1:]:
        source, to = map(int, re.search(r"Src Port: (\d+), Dst Port: (\d+)", frame).groups())
        client = source if to == port else to
        for value in re.split(r"^    (?=\S)", frame, flags=re.M)[1:]:
            kind, content = re.match(r"(.*?): ?(.*)", value).groups()
            if "artially decoded" in value:
                continue
            if to == port:
                assert kind == "Array", value
                command = re.search(r"^        Bulk String: (.*)", value, flags=re.M)[1]
                arguments = int(content.removeprefix("Length ")) - 1
                asked.setdefault(client, []).append((command.upper(), arguments))
            else:
                answered.setdefault(client, []).append((kind, content))
    exchanges = []
    for client in asked:
        assert len(asked[client]) == len(answered[client]), (client, len(asked[client]), len(answered[client]))
        for (command, arguments), (kind, value) in zip(asked[client], answered[client]):
            error = value.split()[0] if kind == "Error" else None
            exchanges.append({"client": client, "type": command, "arguments": arguments, "error": error})
    write(name, exchanges)


def ntp(name):
    """A reply repeats the transmit timestamp of its request."""
    fields = ["udp.srcport", "udp.dstport", "ntp.flags.vn", "ntp.flags.mode", "ntp.stratum", "ntp.org", "ntp.xmt"]
    arguments = [part for field in fields for part in ("-e", field)]
    rows = tshark(name, "-d", "udp.port==1123,ntp", "-Y", "ntp", "-T", "fields", *arguments).splitlines()
    exchanges = {}
    for row in rows:
        source, to, version, mode, stratum, origin, transmit = row.split("\t")
        if mode == "3":
            exchanges[source, transmit] = {"client": int(source), "server": int(to), "version": version, "stratum": None}
        else:
            assert mode == "4", row
            exchanges[to, origin]["stratum"] = int(stratum)
    write(name, exchanges.values())


resp("redis7_pipelined", 6399)
ntp("chrony43_ntp")
