#!/usr/bin/env python3
"""Extracts from tshark 4.4's full JSON what tests/tests/fields.rs compares: one line per message.

usage: fields.py IN.tshark44.full.json.gz > OUT.fields.jsonl   (then: gzip -9n)"""
import gzip, json, sys

def walk(node, name):
    """All values called so, at any depth, in order."""
    if isinstance(node, list):
        for item in node:
            yield from walk(item, name)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield from value if isinstance(value, list) else [value]
            else:
                yield from walk(value, name)

def kafka(layer, out):
    version = layer.get("kafka.request.version", layer.get("kafka.response.version"))
    if version is None or "_ws.expert" in json.dumps(layer):
        return                                           # tshark does not know what it is, or says itself that it is lost
    messages = [m for m in walk(layer, "Message") if m.get("kafka.message_codec") == "0"]
    topic, partitions = None, []
    def places(node):
        nonlocal topic
        for key, value in node.items():
            for item in value if isinstance(value, list) else [value]:
                if key == "kafka.topic_name":
                    topic = item
                elif key == "kafka.partition_id":
                    partitions.append([topic, int(item)])
                elif isinstance(item, dict) and not key.startswith(("Record", "Message Set")):
                    places(item)
    places(layer)
    out.update(id=int(layer["kafka.correlation_id"]), request="kafka.request_key" in layer, api_key=int(layer["kafka.api_key"]),
               api_version=int(version), topics=sorted(set(walk(layer, "kafka.topic_name"))),
               partitions=sorted(p for i, p in enumerate(partitions) if p not in partitions[:i]),
               errors=sorted({int(e) for e in walk(layer, "kafka.error")}), groups=sorted(set(walk(layer, "kafka.consumer_group"))),
               acks=[int(a) for a in walk(layer, "kafka.required_acks")],
               records=len(messages) + sum(int(n) for n in walk(layer, "kafka.batch_size")))
    print(json.dumps(out))

def document(node):
    """Names and values of a document's own elements."""
    elements = node.get("mongo.elements", {})
    names, values = elements.get("mongo.element.name", []), elements.get("mongo.element.name_tree", [])
    names, values = ([x] if not isinstance(x, list) else x for x in (names, values))
    return dict(zip(names, values))

def scalar(value):
    for kind, parse in (("string", str), ("int", int), ("int64", int), ("double", float), ("bool", lambda b: b in ("1", "True"))):
        text = value.get("mongo.element.value." + kind)
        if text is not None:
            return parse(text)

def mongo(layer, out):
    out.update(id=int(layer["mongo.request_id"], 16), response_to=int(layer["mongo.response_to"], 16), opcode=int(layer["mongo.opcode"]))
    bodies = list(walk(layer, "mongo.msg.sections.section.body"))
    if len(bodies) != 1:
        return
    body = document(bodies[0])
    first = next(iter(body), None)
    out.update(first=first, collection=scalar(body[first]) if first else None,
               **{name: scalar(body[name]) for name in ("$db", "ok", "code", "codeName", "n", "nModified", "getMore", "batchSize", "txnNumber")
               if name in body})
    cursor = document(body["cursor"].get("mongo.document", {})) if "cursor" in body else {}
    if "firstBatch" in cursor:
        out["cursor"] = scalar(cursor["id"])
    if "upserted" in body:
        out["upserted"] = len(document(body["upserted"].get("mongo.document", {})))
    filters = [body[name].get("mongo.document", {}) for name in ("filter", "query", "pipeline") if name in body]
    keys = [name for filter in filters for names in walk(filter, "mongo.element.name") for name in [names] if not name.isdigit()]
    if filters:
        out["keys"] = keys
    for batch in ("firstBatch", "nextBatch"):
        if batch in cursor:
            out["returned"] = len(document(cursor[batch].get("mongo.document", {})))
    print(json.dumps(out))

for packet in json.load(gzip.open(sys.argv[1])):
    layers = packet["_source"]["layers"]
    tcp = layers["tcp"][0] if isinstance(layers["tcp"], list) else layers["tcp"]
    for name, extract in ("kafka", kafka), ("mongo", mongo):
        for layer in [layers[name]] if isinstance(layers.get(name), dict) else layers.get(name, []):
            if isinstance(layer, dict):
                extract(layer, {"ports": [int(tcp["tcp.srcport"]), int(tcp["tcp.dstport"])]})
