#!/usr/bin/env python3
"""specs.py KAFKA_CLIENTS.jar   Compares the table of APIs (src/api/table.rs) with the message specs of a Kafka release, which
are in its clients' jar: keys, names, newest and first flexible versions, and of every version of every described body the
sequence of fields on the wire. Prints what differs; exits with 1 if something does.

What the descriptions leave out on purpose: what follows `...`, tagged fields, and versions that the release removed.
"""

import json
import re
import sys
import zipfile
from pathlib import Path

NEVER = 32767
SIZES = {"int8": 1, "bool": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16}
WORDS = {
    "throttle": 4, "error": 2, "partition": 4, "partitions": 4, "offset": 8, "wait": 4, "keytype": 1, "instanceid": 16,
    "topicid": 16, "partition*": "[4]", "assigned*": "[4]", "topic": "text", "group": "text", "txn": "text",
    "topic*": "[text]", "group*": "[text]", "text*": "[text]", "records": "bytes", "text": "text", "bytes": "bytes",
}
PAIRS = {"nameid": ["text", 16], "idname": [16, "text"], "resource": [1, "text"]}


def versions(text):
    if not text or text == "none":
        return (NEVER, -1)
    low, _, high = text.rstrip("+").partition("-")
    return (int(low), NEVER if text.endswith("+") else int(high or low))


def specs(jar):
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+\.json", name):
                spec = json.loads(re.sub(r"(^|\s)//.*$", "", archive.read(name).decode(), flags=re.M))
                if spec["type"] in ("request", "response"):
                    found[spec["apiKey"], spec["type"]] = spec
    return found


def fields_of_spec(spec, version):
    structs = {struct["name"]: struct["fields"] for struct in spec.get("commonStructs", [])}
    flexible = versions(spec.get("flexibleVersions"))

    def of(fields):
        out = []
        for field in fields:
            low, high = versions(field.get("versions"))
            if not low <= version <= high:
                continue
            if "tag" in field and version >= versions(field.get("taggedVersions", "0+"))[0] and version >= flexible[0]:
                continue
            kind = field["type"]
            base = kind.removeprefix("[]")
            nested = field.get("fields") or structs.get(base)
            if nested:
                one = of(nested)
                if kind.startswith("[]"):
                    out.append(("[", one))
                else:
                    null = versions(field.get("nullableVersions"))
                    out.append(("?{" if null[0] <= version <= null[1] else "{", one))
            else:
                item = {"string": "text", "records": "bytes"}.get(base) or SIZES.get(base) or base
                out.append(f"[{item}]" if kind.startswith("[]") else item)
        return out

    return of(spec["fields"])


def fields_of_ours(text, version):
    """The fields, and whether the description goes to the end."""
    words = text.split()
    at = 0

    def of():
        nonlocal at
        out = []
        while at < len(words):
            word, _, span = words[at].partition("@")
            at += 1
            low, high = (int((span.rstrip("+").split("-")[0]) or 0), NEVER if "+" in span else int(span.split("-")[-1])) if span else (0, NEVER)
            applies = low <= version <= high
            if word in ("]", "}"):
                return out, True
            if word == "...":
                at = len(words)
                return out, False
            if word in ("[", "{", "?{"):
                nested, whole = of()
                if applies:
                    out.append((word, nested))
                if not whole:
                    return out, False
                continue
            if not applies or word.startswith("+"):
                continue
            if word in PAIRS:
                out += PAIRS[word]
            elif word in WORDS:
                out.append(WORDS[word])
            elif word.startswith("text:"):
                out.append("text")
            elif word.endswith("*"):
                out.append(f"[{int(word[:-1])}]")
            else:
                out.append(int(re.match(r"\d+", word)[0]))
        return out, True

    return of()


def joined(fields):
    """Neighbouring fields of fixed size as one, since descriptions pass over them together."""
    out = []
    for field in fields:
        if isinstance(field, tuple):
            inner = joined(field[1])
            fixed = len(inner) == 1 and isinstance(inner[0], int)
            field = f"[{inner[0]}]" if field[0] == "[" and fixed else (field[0], inner)
        if isinstance(field, int) and out and isinstance(out[-1], int):
            out[-1] += field
        else:
            out.append(field)
    return out


def begins(whole, front):
    """Whether the fields begin with these, the last of which may be cut."""
    for place, ours in enumerate(front):
        if place == len(whole):
            return False
        theirs, is_last = whole[place], place + 1 == len(front)
        if ours == theirs:
            continue
        if is_last and isinstance(ours, int) and isinstance(theirs, int) and ours <= theirs:
            continue
        if is_last and isinstance(ours, tuple) and isinstance(theirs, tuple) and ours[0] == theirs[0]:
            return begins(theirs[1], ours[1])
        return False
    return True


def main():
    release = specs(sys.argv[1])
    source = (Path(__file__).parent.parent / "src/api/table.rs").read_text()
    source = re.sub(r"\\\n\s*", "", source)
    entries = re.findall(r'    api\((\d+), "(\w+)", (\d+), (\w+)\)(.*?),\n(?=    api|\];)', source, flags=re.S)
    faults, compared = [], 0
    known = {int(entry[0]) for entry in entries}
    faults += [f"API {key} is missing" for key in sorted({key for key, _ in release} - known)]
    for key, name, newest, flexible, rest in entries:
        key = int(key)
        for side in ("request", "response"):
            spec = release.get((key, side))
            first, last = versions(spec and spec["validVersions"])
            if last < 0:
                continue
            theirs = (spec["name"].removesuffix(side.capitalize()), last, versions(spec.get("flexibleVersions"))[0])
            ours = (name, int(newest), NEVER if flexible == "NEVER" else int(flexible))
            if ours != theirs:
                faults.append(f"{key} {side}: ours {ours}, the release's {theirs}")
            text = re.search(rf'\.{side}\(body!\("([^"]*)"\)\)', rest)
            for version in range(first, last + 1) if text else ():
                compared += 1
                fields, whole = fields_of_ours(text[1], version)
                fields, expected = joined(fields), joined(fields_of_spec(spec, version))
                if not (fields == expected if whole else begins(expected, fields)):
                    faults.append(f"{name} {side} v{version}:\n    ours {fields}\n    spec {expected}")
    print("\n".join(faults))
    print(f"{len(entries)} APIs, {compared} bodies in all their versions compared, {len(faults)} differ")
    sys.exit(1 if faults or compared < 300 else 0)


main()
