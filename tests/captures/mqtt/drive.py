#!/usr/bin/env python3
"""drive.py OUT [NAME...]: records MQTT conversations with mosquitto into OUT/NAME.pcap, with what the clients say of them in
OUT/NAME.log.jsonl and what tshark decodes in OUT/NAME.packets.jsonl.

Needs root (a network namespace of its own), mosquitto, tcpdump, tshark, and paho-mqtt 2. All data is generated.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

NS = "protap-mqtt"
PORT = 1883


def sh(*command, **kw):
    return subprocess.run(command, check=True, **kw)


# ---- The clients; run inside the namespace.

def client(log, name, protocol, **kw):
    import paho.mqtt.client as mqtt
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=protocol,
                    **({} if protocol == mqtt.MQTTv5 else {"clean_session": True}))
    c.username_pw_set("user-" + name, "secret-of-" + name)
    say = lambda what, **fields: log.append({"client": name, "what": what, **fields})
    c.on_connect = lambda c, u, f, code, p: say("connected", code=code.value)
    c.on_publish = lambda c, u, mid, code, p: say("published", id=mid, code=code.value)
    c.on_subscribe = lambda c, u, mid, codes, p: say("subscribed", id=mid, codes=[x.value for x in codes])
    c.on_unsubscribe = lambda c, u, mid, codes, p: say("unsubscribed", id=mid)
    c.on_message = lambda c, u, m: say("message", topic=m.topic, qos=m.qos, id=m.mid, size=len(m.payload), dup=m.dup)
    c.max_inflight_messages_set(kw.get("inflight", 20))
    c.connect("127.0.0.1", PORT, keepalive=kw.get("keepalive", 60))
    c.loop_start()
    wait(lambda: any(e["client"] == name and e["what"] == "connected" for e in log))
    return c


def wait(done, seconds=10):
    end = time.time() + seconds
    while not done():
        if time.time() > end:
            raise SystemExit("timed out")
        time.sleep(0.01)


def both_sides(log, protocol):
    """One connection on which client and broker publish to each other at the same time, with identifiers from 1 on."""
    echo, other = client(log, "echo", protocol), client(log, "other", protocol)
    # Only "echo" subscribes: it gets back what it publishes, under the broker's identifiers, and what "other" sends.
    echo.subscribe("plant/+/temp", 2)
    echo.subscribe([("plant/a/#", 1), ("office/door", 0)])
    other.subscribe("reply/#", 1)
    wait(lambda: sum(e["what"] == "subscribed" for e in log) == 3)
    sent = 0
    for n in range(12):
        for c, topic in ((echo, f"plant/{n % 3}/temp"), (other, "plant/a/level"), (echo, "reply/x"), (other, "office/door")):
            c.publish(topic, b"x" * (n * 37), qos=(n + sent) % 3, retain=n == 11)
            sent += 1
    wait(lambda: sum(e["what"] == "published" for e in log) == sent)
    time.sleep(0.3)
    echo.unsubscribe("plant/+/temp")
    wait(lambda: any(e["what"] == "unsubscribed" for e in log))
    for c in (echo, other):
        c.disconnect()
    time.sleep(0.1)


def aliases(log, protocol):
    """Topic aliases of version 5: set, used, set anew."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    c = client(log, "alias", protocol)
    for n, (topic, alias) in enumerate([("a/long/topic/name", 1), ("", 1), ("another/topic", 2), ("", 2), ("", 1),
                                        ("third/topic", 1), ("", 1), ("plain", None)]):
        properties = Properties(PacketTypes.PUBLISH)
        if alias:
            properties.TopicAlias = alias
        properties.UserProperty = ("key", "value")
        info = c.publish(topic, b"y" * 10 * n, qos=n % 3, properties=properties)
        info.wait_for_publish(5)
    c.subscribe("none/at/all", 0)
    time.sleep(0.2)
    c.disconnect()
    time.sleep(0.1)


def pings(log, protocol):
    """Keep alive, a large payload, refused requests, a connection that breaks."""
    c = client(log, "quiet", protocol, keepalive=1)
    c.publish("big", os.urandom(40_000), qos=1).wait_for_publish(5)
    c.publish("forbidden/topic", b"", qos=1).wait_for_publish(5)
    c.subscribe("forbidden/#", 1)
    time.sleep(3.5)
    c.loop_stop()
    c._sock_close()
    time.sleep(0.1)


def refused(log, _protocol):
    """mosquitto_pub and mosquitto_sub: an unknown user, a will, retained messages."""
    run = lambda *command: log.append({"client": command[0], "what": "exit",
                                       "code": subprocess.run(command, capture_output=True).returncode})
    run("mosquitto_pub", "-h", "127.0.0.1", "-u", "nobody", "-P", "wrong", "-t", "x", "-m", "1")
    run("mosquitto_pub", "-V", "mqttv5", "-h", "127.0.0.1", "-u", "nobody", "-P", "wrong", "-t", "x", "-m", "1")
    ok = ("-h", "127.0.0.1", "-u", "user-pub", "-P", "secret-of-pub")
    run("mosquitto_pub", *ok, "-t", "kept/one", "-m", "kept", "-q", "2", "-r", "--will-topic", "gone", "--will-payload", "will")
    run("mosquitto_pub", "-V", "mqttv31", *ok, "-t", "kept/two", "-m", "kept", "-q", "1", "-r")
    run("mosquitto_sub", "-V", "mqttv5", *ok, "-t", "kept/#", "-q", "2", "-C", "2")


SCENES = {"both_sides_v311": (both_sides, 4), "both_sides_v5": (both_sides, 5), "aliases_v5": (aliases, 5),
          "pings_v311": (pings, 4), "pings_v5": (pings, 5), "mosquitto_clients": (refused, 0)}


# ---- The recording; runs outside.

CONF = f"""listener {PORT} 127.0.0.1
allow_anonymous false
password_file {{dir}}/passwords
acl_file {{dir}}/acl
"""
def decode(pcap, out):
    """One line for each packet of MQTT, as tshark sees it; from its JSON, as a segment may hold several."""
    text = subprocess.run(["tshark", "-r", pcap, "-d", f"tcp.port=={PORT},mqtt", "-T", "json", "--no-duplicate-keys",
                           "-J", "frame tcp mqtt"], capture_output=True, check=True).stdout
    with open(out, "w") as lines:
        for packet in json.loads(text):
            layers = packet["_source"]["layers"]
            found = layers.get("mqtt", [])
            for mqtt in found if isinstance(found, list) else [found]:
                flat = {}
                flatten(mqtt, flat)
                head = {"packet": int(layers["frame"]["frame.number"]), "from": int(layers["tcp"]["tcp.srcport"]),
                        "to": int(layers["tcp"]["tcp.dstport"])}
                print(json.dumps(head | flat), file=lines)


def flatten(tree, flat):
    for key, value in tree.items():
        if isinstance(value, dict):
            flatten(value, flat)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                flatten(item, flat)
        elif key in KEPT:
            new = value if isinstance(value, list) else [value]
            flat.setdefault(KEPT[key], []).extend(new)


KEPT = {"mqtt.msgtype": "type", "mqtt.qos": "qos", "mqtt.len": "len", "mqtt.msgid": "id", "mqtt.topic": "topic",
        "mqtt.conack.val": "conack", "mqtt.connack.reason_code": "code", "mqtt.puback.reason_code": "code",
        "mqtt.pubrec.reason_code": "code", "mqtt.pubcomp.reason_code": "code", "mqtt.suback.reason_code": "code",
        "mqtt.unsuback.reason_code": "code", "mqtt.suback.qos": "code", "mqtt.disconnect.reason_code": "code",
        "mqtt.ver": "version",
        "mqtt.clientid": "client_id", "mqtt.retain": "retain"}


def record(name, out):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        users = "".join(f"user-{c}:secret-of-{c}\n" for c in ("echo", "other", "alias", "quiet", "pub"))
        open(f"{folder}/passwords", "w").write(users)
        sh("mosquitto_passwd", "-U", f"{folder}/passwords")
        os.chmod(f"{folder}/passwords", 0o644)
        open(f"{folder}/acl", "w").write("topic readwrite #\ntopic deny forbidden/#\n" + "".join(
            f"user user-{c}\ntopic deny forbidden/#\ntopic readwrite #\n" for c in ("echo", "other", "alias", "quiet", "pub")))
        open(f"{folder}/conf", "w").write(CONF.format(dir=folder))
        enter = ("ip", "netns", "exec", NS)
        broker = subprocess.Popen([*enter, "mosquitto", "-c", f"{folder}/conf"], stderr=subprocess.DEVNULL)
        pcap = f"{out}/{name}.pcap"
        dump = subprocess.Popen([*enter, "tcpdump", "-i", "lo", "-U", "-w", pcap, "tcp", "port", str(PORT)],
                                stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            sh(*enter, sys.executable, __file__, "--inside", name, f"{out}/{name}.log.jsonl")
            time.sleep(1)
        finally:
            for child in (dump, broker):
                child.terminate()
                child.wait()
        decode(pcap, f"{out}/{name}.packets.jsonl")


def main():
    if sys.argv[1] == "--inside":
        log, (scene, protocol) = [], SCENES[sys.argv[2]]
        scene(log, protocol)
        with open(sys.argv[3], "w") as lines:
            for entry in log:
                print(json.dumps(entry), file=lines)
        return
    sh("ip", "netns", "add", NS)
    try:
        sh("ip", "-n", NS, "link", "set", "lo", "up", "mtu", "1500")
        sh("ip", "netns", "exec", NS, "ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off")
        for name in sys.argv[2:] or SCENES:
            record(name, sys.argv[1])
    finally:
        sh("ip", "netns", "del", NS)


main()
