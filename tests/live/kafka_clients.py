"""kafka_clients.py CLIENT BOOTSTRAP OUT   Drives a broker with one Python client and writes what the client knows to OUT, as JSON:
  topics     name -> number of partitions, as the client created them
  produced   topic -> partition -> [number of messages, offset behind the last one]
  committed  group -> topic -> partition -> offset
  consumed   topic -> number of messages that the client was given
  groups     the groups that it was a member of
  errors     [API, error] that the broker answered with, each once
"""

import asyncio
import json
import os
import sys
from collections import defaultdict

client, bootstrap, out = sys.argv[1:4]
name = f"e2e-{client}"
topic, group = f"{name}-orders", f"{name}-group"
truth = {
    "client": name, "topics": {topic: 2}, "produced": {topic: {}}, "committed": {}, "consumed": defaultdict(int),
    "groups": [group], "errors": [],
}
MESSAGES = int(os.environ.get("MESSAGES", "60"))


def sent(partition, offset):
    count, behind = truth["produced"][topic].get(str(partition), [0, 0])
    truth["produced"][topic][str(partition)] = [count + 1, max(behind, offset + 1)]


def confluent():
    from confluent_kafka import Consumer, KafkaException, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    base = {"bootstrap.servers": bootstrap, "client.id": name}
    admin = AdminClient(base)
    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic].result(20)
    for call, api in (
        (lambda: admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic], "CreateTopics"),
        (lambda: admin.delete_topics([f"{name}-none"])[f"{name}-none"], "DeleteTopics"),
    ):
        try:
            call().result(20)
        except KafkaException as error:
            # librdkafka abbreviates some names.
            truth["errors"].append([api, error.args[0].name().replace("TOPIC_OR_PART", "TOPIC_OR_PARTITION")])

    def delivered(error, message):
        assert error is None, error
        sent(message.partition(), message.offset())

    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({**base, "compression.type": codec, "linger.ms": 5})
        for i in range(MESSAGES // 5):
            producer.produce(topic, key=f"key-{i}", value=f"value {i} " * 20, on_delivery=delivered)
        producer.flush(20)
    for protocol in ("classic", "consumer"):
        member = f"{group}-{protocol}"
        truth["groups"].append(member)
        consumer = Consumer({
            **base, "group.id": member, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        })
        consumer.subscribe([topic])
        got = 0
        while got < MESSAGES:
            message = consumer.poll(20)
            assert message is not None and message.error() is None, message and message.error()
            got += 1
        truth["consumed"][topic] += got
        committed = consumer.commit(asynchronous=False)
        truth["committed"][member] = {topic: {str(part.partition): part.offset for part in committed}}
        consumer.close()
    truth["groups"].remove(group)
    admin.list_consumer_groups().result(20)
    admin.describe_consumer_groups([f"{group}-classic"])[f"{group}-classic"].result(20)


def kafkapython():
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.errors import KafkaError

    admin = KafkaAdminClient(bootstrap_servers=bootstrap, client_id=name)
    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    try:
        admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    except KafkaError:
        truth["errors"].append(["CreateTopics", "TOPIC_ALREADY_EXISTS"])
    producer = KafkaProducer(bootstrap_servers=bootstrap, client_id=name)
    for i in range(MESSAGES):
        meta = producer.send(topic, key=b"key-%d" % i, value=b"value %d" % i).get(20)
        sent(meta.partition, meta.offset)
    producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, client_id=name, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    for _ in range(MESSAGES):
        next(consumer)
        truth["consumed"][topic] += 1
    consumer.commit()
    parts = consumer.assignment()
    truth["committed"][group] = {topic: {str(part.partition): consumer.committed(part) for part in parts}}
    consumer.close()


def aiokafka():
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    async def drive():
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id=name)
        await admin.start()
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, client_id=name, acks="all")
        await producer.start()
        for i in range(MESSAGES):
            meta = await producer.send_and_wait(topic, b"value %d" % i, key=b"key-%d" % i)
            sent(meta.partition, meta.offset)
        await producer.stop()
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, client_id=name, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        for _ in range(MESSAGES):
            await consumer.getone()
            truth["consumed"][topic] += 1
        await consumer.commit()
        parts = consumer.assignment()
        truth["committed"][group] = {topic: {str(part.partition): await consumer.committed(part) for part in parts}}
        await consumer.stop()

    asyncio.run(drive())


{"confluent": confluent, "kafkapython": kafkapython, "aiokafka": aiokafka}[client]()
with open(out, "w") as file:
    json.dump(truth, file)
