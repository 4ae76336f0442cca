"""kafka_check.py WORK   Compares protap's records of a live run (WORK/records.jsonl, WORK/stats.json) with what the clients knew
(WORK/truth.*.json, see kafka_clients.py): messages, topics, partitions, offsets, groups and errors, by client id."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

work = Path(sys.argv[1])
records = [json.loads(line) for line in (work / "records.jsonl").open()]
stats = json.loads((work / "stats.json").read_text())
faults, compared = [], 0


def equal(what, ours, theirs):
    global compared
    compared += 1
    if ours != theirs:
        faults.append(f"{what}: protap {ours}, the client {theirs}")


def attributes(record, name):
    return record.get("attributes", {}).get(name)


def numbers(record, many, one):
    """A list of numbers, or the only one."""
    listed = attributes(record, many)
    if listed is None:
        single = attributes(record, one)
        listed = [] if single is None else [single]
    return [int(number) for number in listed]


def partitions(record):
    return numbers(record, "kafka.partitions", "messaging.destination.partition.id")


def offsets(record):
    return numbers(record, "kafka.offsets", "messaging.kafka.offset")


def of(client):
    # librdkafka appends nothing, but the Java client names its admin and consumers alike; all bear the client's name.
    return [record for record in records if (attributes(record, "messaging.client.id") or "").startswith(client)]


def check_produced(name, own, truth):
    count, behind, used = defaultdict(int), defaultdict(dict), defaultdict(set)
    for record in own:
        if record["request"]["type"] != "Produce" or record.get("response", {}).get("status") != "ok":
            continue
        topics, parts, bases = attributes(record, "kafka.topics"), partitions(record), offsets(record)
        for topic in topics:
            used[topic].update(parts)
        if len(topics) > 1:
            faults.append(f"{name}: a Produce for several topics cannot be compared: {topics}")
        count[topics[0]] += attributes(record, "messaging.batch.message_count")
        if len(parts) == 1:
            now = bases[0] + attributes(record, "messaging.batch.message_count")
            behind[topics[0]][parts[0]] = max(now, behind[topics[0]].get(parts[0], 0))
    for topic, parts in truth["produced"].items():
        equal(f"{name}: messages produced to {topic}", count[topic], sum(part[0] for part in parts.values()))
        equal(f"{name}: partitions of {topic} produced to", used[topic], {int(part) for part in parts})
        for part, offset in behind[topic].items():
            # Later batches may have come beside those of other partitions.
            whole = parts[str(part)][1]
            equal(f"{name}: {topic}-{part} ends at {whole} at the latest", offset <= whole, True)


def check_consumed(name, own, truth):
    seen = Counter()
    for record in own:
        if record.get("request", {}).get("type") == "Fetch":
            for topic in (attributes(record, "kafka.topics") or [])[:1]:
                seen[topic] += attributes(record, "messaging.batch.message_count") or 0
    for topic, count in truth["consumed"].items():
        # Not all that was fetched need have been given to the application, but all of that was fetched.
        equal(f"{name}: at least {count} messages fetched from {topic}, not {seen[topic]}", seen[topic] >= count, True)


def check_groups(name, own, truth):
    joins = ("JoinGroup", "ConsumerGroupHeartbeat", "ShareGroupHeartbeat")
    joined = {attributes(record, "messaging.consumer.group.name") for record in own if record["request"]["type"] in joins}
    equal(f"{name}: groups", joined, set(truth["groups"]))
    last = defaultdict(dict)
    for record in own:
        if record["request"]["type"] == "OffsetCommit" and record["response"]["status"] == "ok":
            group, topics = attributes(record, "messaging.consumer.group.name"), attributes(record, "kafka.topics")
            last[group].setdefault(topics[0], {}).update(zip(map(str, partitions(record)), offsets(record)))
    for group, topics in truth["committed"].items():
        equal(f"{name}: offsets committed by {group}", last[group], topics)


def check_rest(name, own, truth):
    wrong = Counter()
    for record in own:
        if record["request"]["type"] in ("CreateTopics", "DeleteTopics", "DeleteGroups", "DescribeTopicPartitions"):
            error = attributes(record, "error.type")
            wrong.update([(record["request"]["type"], error)] if error else [])
    equal(f"{name}: errors", wrong, Counter(map(tuple, truth["errors"])))
    created = {}
    for record in own:
        if record["request"]["type"] == "CreateTopics" and record["response"]["status"] == "ok":
            equal(f"{name}: partitions created", attributes(record, "kafka.partition_count"), sum(truth["topics"].get(t, 0) for t in attributes(record, "kafka.topics")))
            created.update(dict.fromkeys(attributes(record, "kafka.topics")))
    equal(f"{name}: topics created", set(created), set(truth["topics"]))
    ids = {attributes(record, "kafka.transactional_id") for record in own} - {None}
    equal(f"{name}: transactional ids", ids, set(truth.get("transactional", [])))


for path in sorted(work.glob("truth.*.json")):
    truth = json.loads(path.read_text())
    own = [record for record in of(truth["client"]) if record["kind"] == "session"]
    for check in (check_produced, check_consumed, check_groups, check_rest):
        check(truth["client"], own, truth)

# Of all clients together.
names = {topic for record in records for topic in attributes(record, "kafka.topics") or []}
equal("topics of which only the id is known", {name for name in names if len(name) == 22 and "-" not in name[:4]}, set())
equal("responses without a request", sum(record["kind"] == "response" for record in records), 0)
partly = Counter(record.get("completeness_reason") for record in records if record.get("completeness") != "full")
equal("messages not decoded in full", partly, Counter())
sessions = [record for record in records if attributes(record, "kafka.topics_of_session")]
equal("polls in a fetch session got its topics", bool(sessions), any((work / f"truth.{c}.json").exists() for c in ("java",)))
losses = {name: count for name, count in stats["losses"].items() if count}
equal("losses", losses, {})

apis = Counter(f"{record['request']['type']} v{record['request']['version']}" for record in records if "request" in record)
print(f"kafka: {len(records)} records, {len(apis)} APIs and versions: " + ", ".join(sorted(apis)))
print("\n".join(f"kafka: {fault}" for fault in faults))
print(f"kafka: {compared} values compared, {len(faults)} differ")
sys.exit(1 if faults or compared < 25 else 0)
