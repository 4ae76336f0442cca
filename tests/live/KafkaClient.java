// KafkaClient.java BOOTSTRAP OUT   Drives a broker with the Java client and writes what it knows to OUT, as kafka_clients.py does:
// a transactional producer, a consumer in a fetch session, a KIP-848 group, a share group, and administration.

import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.*;

public class KafkaClient {
    static final String NAME = "e2e-java", TOPIC = NAME + "-orders", TX = NAME + "-tx";
    static final int MESSAGES = 60;
    static final Map<String, Map<Integer, long[]>> produced = new TreeMap<>();
    static final Map<String, Map<String, Map<Integer, Long>>> committed = new TreeMap<>();
    static final Map<String, Integer> consumed = new TreeMap<>();
    static final List<String> errors = new ArrayList<>(), groups = new ArrayList<>();

    static Map<String, Object> config(String bootstrap, Object... more) {
        var config = new HashMap<String, Object>(Map.of("bootstrap.servers", bootstrap, "client.id", NAME));
        for (int i = 0; i < more.length; i += 2) config.put((String) more[i], more[i + 1]);
        return config;
    }

    static void failing(String api, KafkaFuture<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException e) {
            errors.add("[\"" + api + "\", \"" + Errors.forException(e.getCause()).name() + "\"]");
        }
    }

    static void send(Producer<String, String> producer, String topic, String text) throws Exception {
        var sent = new ArrayList<java.util.concurrent.Future<RecordMetadata>>();
        for (int i = 0; i < MESSAGES / 2; i++) sent.add(producer.send(new ProducerRecord<>(topic, "key-" + i, text + i)));
        producer.flush();
        for (var future : sent) {
            var meta = future.get();
            var counts = produced.computeIfAbsent(topic, t -> new TreeMap<>()).computeIfAbsent(meta.partition(), p -> new long[2]);
            counts[0]++;
            counts[1] = Math.max(counts[1], meta.offset() + 1);
        }
    }

    static void consume(String bootstrap, String group, String protocol, String topic, String isolation) {
        groups.add(group);
        var config = config(bootstrap, "group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "isolation.level", isolation);
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            int got = 0;
            while (got < MESSAGES) got += consumer.poll(Duration.ofSeconds(5)).count();
            // Long enough for some polls in the session that bring nothing.
            consumer.poll(Duration.ofMillis(1500));
            consumed.merge(topic, got, Integer::sum);
            consumer.commitSync();
            var offsets = new TreeMap<Integer, Long>();
            consumer.committed(consumer.assignment()).forEach((part, at) -> offsets.put(part.partition(), at.offset()));
            committed.computeIfAbsent(group, g -> new TreeMap<>()).put(topic, offsets);
        }
    }

    static void share(Admin admin, String bootstrap, String group) throws Exception {
        groups.add(group);
        var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        var earliest = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(earliest))).all().get();
        try (var consumer = new KafkaShareConsumer<>(config(bootstrap, "group.id", group), new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            int got = 0;
            while (got < MESSAGES) got += consumer.poll(Duration.ofSeconds(5)).count();
            consumer.commitSync();
        }
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        try (var admin = Admin.create(config(bootstrap))) {
            var topics = List.of(new NewTopic(TOPIC, 2, (short) 1), new NewTopic(TX, 1, (short) 1));
            admin.createTopics(topics).all().get();
            failing("CreateTopics", admin.createTopics(List.of(new NewTopic(TOPIC, 2, (short) 1))).all());
            failing("DeleteTopics", admin.deleteTopics(List.of(NAME + "-none")).all());
            failing("DescribeTopicPartitions", admin.describeTopics(List.of(NAME + "-none")).allTopicNames());
            admin.describeTopics(List.of(TOPIC)).allTopicNames().get();
            admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, TOPIC))).all().get();
            var strings = new StringSerializer();
            try (var producer = new KafkaProducer<>(config(bootstrap), strings, strings)) {
                send(producer, TOPIC, "value ");
                send(producer, TOPIC, "more ");
            }
            var tx = config(bootstrap, "transactional.id", NAME + "-transaction");
            try (var producer = new KafkaProducer<>(tx, strings, strings)) {
                producer.initTransactions();
                for (int round = 0; round < 2; round++) {
                    producer.beginTransaction();
                    send(producer, TX, "value ");
                    producer.commitTransaction();
                }
            }
            consume(bootstrap, NAME + "-classic", "classic", TOPIC, "read_uncommitted");
            consume(bootstrap, NAME + "-consumer", "consumer", TOPIC, "read_uncommitted");
            consume(bootstrap, NAME + "-tx", "consumer", TX, "read_committed");
            share(admin, bootstrap, NAME + "-share");
            admin.listGroups().all().get();
            admin.describeConsumerGroups(List.of(NAME + "-classic", NAME + "-consumer")).all().get();
            admin.describeShareGroups(List.of(NAME + "-share")).all().get();
            admin.listConsumerGroupOffsets(NAME + "-classic").partitionsToOffsetAndMetadata().get();
            failing("DeleteGroups", admin.deleteConsumerGroups(List.of(NAME + "-nobody")).all());
        }
        var json = new StringBuilder("{\"client\": \"" + NAME + "\", \"topics\": {\"" + TOPIC + "\": 2, \"" + TX + "\": 1}, ");
        json.append("\"produced\": ").append(map(produced, parts -> map(parts, Arrays::toString)));
        json.append(", \"committed\": ").append(map(committed, of -> map(of, parts -> map(parts, String::valueOf))));
        json.append(", \"consumed\": ").append(map(consumed, String::valueOf));
        json.append(", \"transactional\": [\"" + NAME + "-transaction\"]");
        json.append(", \"groups\": [\"").append(String.join("\", \"", groups)).append("\"], \"errors\": ").append(errors).append("}");
        Files.writeString(Path.of(args[1]), json);
    }

    static <K, V> String map(Map<K, V> map, java.util.function.Function<V, String> value) {
        var parts = new ArrayList<String>();
        map.forEach((key, one) -> parts.add("\"" + key + "\": " + value.apply(one)));
        return "{" + String.join(", ", parts) + "}";
    }
}
