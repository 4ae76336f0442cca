//! Real servers and several clients each, recorded: what the records say is what the clients know. `make e2e` does the same
//! live, with more to compare; its clients wrote down what they did.

use std::collections::{BTreeMap, BTreeSet};

use protap_e2e::artifacts::fixture;
use protap_e2e::engine::read;
use protap_e2e::shape::decode;
use serde_json::Value;

fn records(name: &str) -> Vec<Value> {
    let outcome = read(fixture(name).bytes());
    let losses = outcome.summary["losses"].as_object().expect("losses");
    assert!(losses.values().all(|count| *count == 0), "{losses:?}");
    outcome.records.parsed()
}

fn attribute<'a>(record: &'a Value, name: &str) -> &'a Value {
    &record["attributes"][name]
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// A list of numbers, or the only one.
fn numbers(record: &Value, many: &str, one: &str) -> Vec<i64> {
    let listed = attribute(record, many).as_array().cloned();
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    listed.unwrap_or_else(|| vec![attribute(record, one).clone()]).iter().filter_map(number).collect()
}

fn partitions(record: &Value) -> Vec<i64> {
    numbers(record, "kafka.partitions", "messaging.destination.partition.id")
}

/// The answered requests of a client to these APIs.
fn of<'a>(own: &'a [&Value], apis: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    own.iter().copied().filter(|record| apis.iter().any(|api| record["request"]["type"] == *api))
}

#[test]
fn kafka_4_4_and_four_clients() {
    let records = records("kafka/apache440_clients");
    assert!(records.iter().all(|record| record["completeness"] == "full" && record["kind"] == "session"));
    // Topic ids have names, and ids have no hyphens where these topics' names have them.
    let topics: BTreeSet<&str> = records.iter().flat_map(|record| texts(attribute(record, "kafka.topics"))).collect();
    assert!(topics.iter().all(|topic| topic.starts_with("e2e-") || topic.starts_with("__")), "{topics:?}");
    let truths = decode(&fixture("kafka/apache440_clients"), "truth.jsonl");
    assert_eq!(truths.len(), 4);
    for truth in truths {
        let name = truth["client"].as_str().expect("a client");
        let is_own = |record: &&Value| {
            attribute(record, "messaging.client.id").as_str().is_some_and(|client| client.starts_with(name))
        };
        let own: Vec<&Value> = records.iter().filter(is_own).collect();
        produced_and_fetched(&own, &truth);
        groups(&own, &truth);
        created_and_refused(&own, &truth);
    }
}

fn produced_and_fetched(own: &[&Value], truth: &Value) {
    let messages = |api: &str, topic: &str| -> i64 {
        let is_of_topic = |record: &&Value| record["request"]["resource"] == topic && record["response"]["code"] == 0;
        let count = |record: &Value| attribute(record, "messaging.batch.message_count").as_i64();
        own.iter()
            .copied()
            .filter(|record| record["request"]["type"] == api)
            .filter(is_of_topic)
            .filter_map(count)
            .sum()
    };
    for (topic, parts) in truth["produced"].as_object().expect("topics") {
        let sent: i64 = parts.as_object().expect("partitions").values().filter_map(|part| part[0].as_i64()).sum();
        assert_eq!(messages("Produce", topic), sent, "messages produced to {topic}");
        let used: BTreeSet<i64> = of(own, &["Produce"])
            .filter(|record| record["request"]["resource"] == topic.as_str())
            .flat_map(partitions)
            .collect();
        assert_eq!(used, keys(parts).iter().map(|part| part.parse().expect("a number")).collect(), "{topic}");
    }
    for (topic, consumed) in truth["consumed"].as_object().expect("topics") {
        // What was fetched need not have been given to the application, but all of that was fetched.
        let fetched = messages("Fetch", topic) + messages("ShareFetch", topic);
        assert!(fetched >= consumed.as_i64().expect("a number"), "{fetched} of {topic} fetched, {consumed} consumed");
    }
}

fn groups(own: &[&Value], truth: &Value) {
    let group = |record: &Value| attribute(record, "messaging.consumer.group.name").as_str().unwrap_or("").to_owned();
    let joined: BTreeSet<String> =
        of(own, &["JoinGroup", "ConsumerGroupHeartbeat", "ShareGroupHeartbeat"]).map(group).collect();
    assert_eq!(joined.iter().map(String::as_str).collect::<BTreeSet<_>>(), texts(&truth["groups"]));
    let mut last: BTreeMap<(String, String), BTreeMap<String, i64>> = BTreeMap::new();
    for record in of(own, &["OffsetCommit"]).filter(|record| record["response"]["status"] == "ok") {
        let topic = record["request"]["resource"].as_str().expect("a topic").to_owned();
        let offsets = numbers(record, "kafka.offsets", "messaging.kafka.offset");
        let committed = partitions(record).into_iter().map(|part| part.to_string()).zip(offsets);
        last.entry((group(record), topic)).or_default().extend(committed);
    }
    for (group, topics) in truth["committed"].as_object().expect("groups") {
        for (topic, offsets) in topics.as_object().expect("topics") {
            let ours = serde_json::to_value(&last[&(group.clone(), topic.clone())]).expect("JSON");
            assert_eq!(ours, *offsets, "{group}, {topic}");
        }
    }
}

fn created_and_refused(own: &[&Value], truth: &Value) {
    let created: BTreeSet<&str> = of(own, &["CreateTopics"])
        .filter(|record| record["response"]["status"] == "ok")
        .flat_map(|record| texts(attribute(record, "kafka.topics")))
        .collect();
    assert_eq!(created, keys(&truth["topics"]));
    let refusing = ["CreateTopics", "DeleteTopics", "DeleteGroups", "DescribeTopicPartitions"];
    let mut refused: Vec<Value> = of(own, &refusing)
        .filter(|record| record["response"]["status"] != "ok")
        .map(|record| Value::from(vec![record["request"]["type"].clone(), attribute(record, "error.type").clone()]))
        .collect();
    let mut told = truth["errors"].as_array().expect("errors").clone();
    refused.sort_by_key(ToString::to_string);
    told.sort_by_key(ToString::to_string);
    assert_eq!(refused, told);
    let transactional: BTreeSet<&str> =
        own.iter().filter_map(|record| attribute(record, "kafka.transactional_id").as_str()).collect();
    assert_eq!(transactional, texts(&truth["transactional"]));
}

/// A number of extended JSON, of whatever type.
fn plain(value: &Value) -> Value {
    let text = ["$numberInt", "$numberLong", "$numberDouble"].iter().find_map(|kind| value[*kind].as_str());
    text.and_then(|text| text.parse::<f64>().ok()).map_or_else(|| value.clone(), |number| Value::from(number as i64))
}

#[test]
fn ferretdb_and_two_drivers() {
    drivers("mongodb/ferretdb124_clients", 250);
}

#[test]
fn secantusdb_with_bulk_writes_and_a_change_stream() {
    let records = drivers("mongodb/secantus070_pm420", 150);
    let of = |name: &str| -> Vec<&Value> {
        let is_it = |record: &&Value| record["request"]["type"] == name;
        records.iter().filter(is_it).collect()
    };
    let [bulk] = of("bulkWrite")[..] else { panic!("one bulkWrite") };
    assert_eq!(*attribute(bulk, "mongodb.namespaces"), Value::from(vec!["pylive.users", "pylive.others"]));
    assert_eq!(*attribute(bulk, "db.operation.batch.size"), 4);
    let is_stream = |record: &&&Value| *attribute(record, "mongodb.change_stream") == true;
    let aggregates = of("aggregate");
    let [stream] = aggregates.iter().filter(is_stream).collect::<Vec<_>>()[..] else { panic!("one change stream") };
    let polls = of("getMore").into_iter().filter(|record| record["long_poll"] == true);
    let polls: Vec<&Value> = polls.map(|record| attribute(record, "mongodb.cursor_id")).collect();
    assert_eq!(polls, [attribute(stream, "mongodb.cursor_id"); 3]);
}

/// Compares the records with what drivers reported, so many values at least.
fn drivers(name: &str, values: usize) -> Vec<Value> {
    let records = records(name);
    let mut by_id: BTreeMap<(i64, String), Vec<&Value>> = BTreeMap::new();
    for record in &records {
        let id = record["request"]["id"].as_i64().unwrap_or_default();
        let name = record["request"]["type"].as_str().unwrap_or_default().to_owned();
        by_id.entry((id, name)).or_default().push(record);
    }
    let (mut names, mut compared) = (BTreeMap::new(), 0);
    for event in decode(&fixture(name), "events.jsonl.gz") {
        let id = plain(&event["id"]).as_i64().expect("an id");
        let is_asked = event["event"] == "started";
        if is_asked {
            names.insert(id, event["name"].as_str().expect("a command").to_owned());
        }
        let found = by_id.get(&(id, names[&id].clone())).map(Vec::as_slice).unwrap_or_default();
        let [record] = found else { panic!("{} records of {event}", found.len()) };
        assert_eq!(record["completeness"], "full", "{record}");
        compared += match record["kind"].as_str() {
            _ if is_asked => asked(record, &event),
            Some("session") => answered(record, &event),
            // A write that wants no answer: the driver says that it succeeded.
            kind => usize::from(kind == Some("oneway") && event["event"] == "succeeded"),
        };
    }
    assert!(compared > values, "only {compared} values compared");
    records
}

fn asked(record: &Value, event: &Value) -> usize {
    let (name, command) = (event["name"].as_str().expect("a command"), &event["command"]);
    // A bulkWrite is sent to admin, and is about the first of its namespaces.
    let database = if name == "bulkWrite" { Value::from("pylive") } else { event["database"].clone() };
    assert_eq!(record["request"]["domain"], database);
    let collection = if name == "getMore" { &command["collection"] } else { &command[name] };
    let is_named = collection.is_string() && name != "noSuchCommand";
    if is_named {
        assert_eq!(record["request"]["resource"], *collection, "{event}");
    }
    let documents = ["documents", "updates", "deletes", "ops"].iter().find_map(|field| command[*field].as_array());
    if let Some(documents) = documents {
        let ours = attribute(record, "db.operation.batch.size").as_u64().unwrap_or(1);
        assert_eq!(ours, documents.len() as u64, "{event}");
    }
    1 + usize::from(is_named) + usize::from(documents.is_some())
}

fn answered(record: &Value, event: &Value) -> usize {
    let response = &record["response"];
    if event["event"] == "failed" {
        assert_ne!(response["status"], "ok", "{event}");
        assert!(event["code"].is_null() || response["code"] == plain(&event["code"]), "{event}: {record}");
        return 2;
    }
    let reply = &event["reply"];
    // The driver did not look at it.
    if reply.is_null() {
        return 0;
    }
    let errors = reply["writeErrors"].as_array().map_or(0, Vec::len);
    assert_eq!(response["status"] == "ok", errors == 0, "{event}: {record}");
    assert_eq!(attribute(record, "mongodb.write_errors").as_u64().unwrap_or(0), errors as u64);
    let cursor = &reply["cursor"];
    let batch = [&cursor["firstBatch"], &cursor["nextBatch"], &reply["values"]].into_iter().find_map(Value::as_array);
    // A bulkWrite's batch is what became of its operations.
    let batch = batch.filter(|_| record["request"]["type"] != "bulkWrite");
    if let Some(batch) = batch {
        assert_eq!(*attribute(record, "db.response.returned_rows"), batch.len(), "{event}: {record}");
    }
    let counts = [
        ("n", "mongodb.n"),
        ("nModified", "mongodb.n_modified"),
        ("nInserted", "mongodb.n_inserted"),
        ("nMatched", "mongodb.n_matched"),
        ("nDeleted", "mongodb.n_deleted"),
    ]
    .map(|(field, name)| {
        let is_there = !reply[field].is_null();
        assert!(!is_there || *attribute(record, name) == plain(&reply[field]), "{event}: {record}");
        usize::from(is_there)
    });
    2 + usize::from(batch.is_some()) + counts.iter().sum::<usize>()
}
