//! What the plugins decode, against tshark 4.4 where that is known to be right (see `tests/captures/README.md`): topics,
//! partitions, groups, record counts and errors of Kafka; database, collection, outcome and counts of MongoDB.

use std::collections::{BTreeMap, BTreeSet};

use protap_e2e::artifacts::{Fixture, fixtures};
use protap_e2e::engine::read;
use protap_e2e::pcap::read_plain;
use protap_e2e::records::{Key, key, low_bits};
use serde_json::Value;

/// Kafka's APIs whose bodies are compared, with the last version that tshark decodes well.
const TRUSTED: [(u64, u64); 14] = [
    (0, 10),
    (1, 12),
    (2, 7),
    (3, 11),
    (8, 7),
    (9, 7),
    (10, 2),
    (11, 9),
    (12, 4),
    (13, 5),
    (14, 5),
    (24, 3),
    (26, 3),
    (28, 2),
];
const PRODUCE: u64 = 0;
const FETCH: u64 = 1;

/// A message as tshark decodes it, by what it belongs to.
type Decoded = BTreeMap<(Key, bool), Value>;

fn decoded(fixture: &Fixture) -> Option<Decoded> {
    let path = fixture.oracle("fields.jsonl.gz");
    if !path.exists() {
        return None;
    }
    let text = String::from_utf8(read_plain(&path)).expect("UTF-8");
    let is_mongodb = fixture.protocol == "mongodb";
    let message = |line: &str| {
        let message: Value = serde_json::from_str(line).expect("JSON Lines");
        let number = |value: &Value| value.as_i64().expect("a number");
        let port = |index: usize| u16::try_from(number(&message["ports"][index])).expect("a port");
        let is_request = if is_mongodb { number(&message["response_to"]) == 0 } else { message["request"] == true };
        let id = if is_request || !is_mongodb { &message["id"] } else { &message["response_to"] };
        let id = low_bits(i128::from(number(id)));
        let (client, server) = if is_request { (port(0), port(1)) } else { (port(1), port(0)) };
        (((client, server, id), is_request), message)
    };
    // The first reply is the answer; a server in error may send another one to the same request.
    let mut decoded = Decoded::new();
    for (key, message) in text.lines().map(message) {
        decoded.entry(key).or_insert(message);
    }
    Some(decoded)
}

/// Compares every record with the decode of its messages; gives how much was compared.
fn compare(protocol: &str, differs: impl Fn(&Value, Option<&Value>, Option<&Value>) -> (usize, Vec<String>)) -> usize {
    let (mut report, mut compared) = (String::new(), 0);
    for fixture in fixtures(protocol) {
        let Some(decoded) = decoded(&fixture) else { continue };
        let mut faults = Vec::new();
        for record in read(fixture.bytes()).records.parsed() {
            let Some(key) = key(&record).filter(|_| record["kind"] != "response") else { continue };
            let (count, found) = differs(&record, decoded.get(&(key, true)), decoded.get(&(key, false)));
            compared += count;
            faults.extend(found.into_iter().map(|fault| format!("{fault}\n    in {record}")));
        }
        if let Some(first) = faults.first() {
            report += &format!("{}: {} differences, as\n  {first}\n", fixture.name, faults.len());
        }
    }
    assert!(report.is_empty(), "{report}");
    compared
}

/// Collects comparisons.
#[derive(Default)]
struct Comparison {
    count: usize,
    faults: Vec<String>,
}

impl Comparison {
    fn equal(&mut self, what: &str, ours: impl PartialEq<Value> + std::fmt::Debug, theirs: &Value) {
        self.count += 1;
        if ours != *theirs {
            self.faults.push(format!("{what}: ours {ours:?}, tshark's {theirs}"));
        }
    }
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn kafka_fields_are_those_that_tshark_decodes() {
    let compared = compare("kafka", |record, request, response| {
        let mut comparison = Comparison::default();
        let attributes = &record["attributes"];
        if let Some(request) = request.filter(|request| is_trusted(request)) {
            kafka_request(record, request, &mut comparison);
        }
        if let Some(response) = response.filter(|response| is_trusted(response) && record["kind"] == "session") {
            let errors: BTreeSet<i64> =
                response["errors"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
            let code = record["response"]["code"].as_i64().unwrap_or_default();
            let is_right = if errors.iter().all(|error| *error == 0) { code == 0 } else { errors.contains(&code) };
            comparison.equal("the error is one of those", Value::from(is_right), &Value::from(true));
            if response["api_key"] == FETCH {
                comparison.equal("records", attributes["messaging.batch.message_count"].clone(), &response["records"]);
            }
        }
        (comparison.count, comparison.faults)
    });
    println!("{compared} fields compared");
    assert!(compared > 2_500, "only {compared} fields compared");
}

fn is_trusted(message: &Value) -> bool {
    let (Some(api), Some(version)) = (message["api_key"].as_u64(), message["api_version"].as_u64()) else {
        return false;
    };
    TRUSTED.iter().any(|(key, last)| *key == api && version <= *last)
}

fn kafka_request(record: &Value, request: &Value, comparison: &mut Comparison) {
    let attributes = &record["attributes"];
    let topics = texts(&request["topics"]);
    if !topics.is_empty() {
        let same = texts(&attributes["kafka.topics"]) == topics;
        comparison.equal(&format!("topics are {topics:?}"), Value::from(same), &Value::from(true));
    }
    let partitions = request["partitions"].as_array().map_or(0, Vec::len);
    if partitions > 0 {
        comparison.equal("partitions", attributes["kafka.partition_count"].clone(), &partitions.into());
    }
    if let Some(group) = request["groups"].get(0) {
        comparison.equal("group", attributes["messaging.consumer.group.name"].clone(), group);
    }
    if request["api_key"] == PRODUCE {
        comparison.equal("acks", attributes["kafka.acks"].clone(), &request["acks"][0]);
        // Which messages are in a compressed message set (before record batches) is not told.
        let is_counted = !record["completeness_reason"].as_str().is_some_and(|reason| reason.contains("not counted"));
        if is_counted {
            comparison.equal("records", attributes["messaging.batch.message_count"].clone(), &request["records"]);
        }
    }
}

#[test]
fn mongodb_fields_are_those_that_tshark_decodes() {
    let compared = compare("mongodb", |record, request, response| {
        let mut comparison = Comparison::default();
        if let Some(request) = request.filter(|request| request.get("first").is_some()) {
            comparison.equal("command", record["request"]["type"].clone(), &request["first"]);
            comparison.equal("database", record["request"]["domain"].clone(), &request["$db"]);
            let collection = &record["request"]["resource"];
            if collection.is_string() && request["first"] != "getMore" && request["first"] != "endSessions" {
                comparison.equal("collection", collection.clone(), &request["collection"]);
            }
            mongodb_request(record, request, &mut comparison);
        }
        // Several replies are summed.
        let is_only_reply = record["response"]["count"] == 1;
        if let Some(response) = response.filter(|_| record["kind"] == "session" && is_only_reply) {
            mongodb_response(record, response, &mut comparison);
        }
        (comparison.count, comparison.faults)
    });
    println!("{compared} fields compared");
    assert!(compared > 1_000, "only {compared} fields compared");
}

fn mongodb_request(record: &Value, request: &Value, comparison: &mut Comparison) {
    let attributes = &record["attributes"];
    let terms =
        [("batchSize", "mongodb.batch_size"), ("txnNumber", "mongodb.txn_number"), ("getMore", "mongodb.cursor_id")];
    for (name, attribute) in terms {
        if let Some(said) = request.get(name) {
            comparison.equal(name, number(&attributes[attribute]), said);
        }
    }
    let text = attributes["db.query.text"].as_str().unwrap_or_default();
    for name in request["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        comparison.equal(
            &format!("{name} in {text}"),
            Value::from(text.contains(&format!("\"{name}\":"))),
            &true.into(),
        );
    }
}

/// Ids above 2^53 are strings in records.
fn number(value: &Value) -> Value {
    value.as_str().and_then(|text| text.parse::<i64>().ok()).map_or_else(|| value.clone(), Value::from)
}

fn mongodb_response(record: &Value, response: &Value, comparison: &mut Comparison) {
    let (attributes, ours) = (&record["attributes"], &record["response"]);
    if let Some(ok) = response["ok"].as_f64() {
        comparison.equal("ok", Value::from(ours["status"] == "ok"), &Value::from(ok == 1.0 && !has_write_error(ours)));
    }
    if let Some(code) = response.get("code") {
        comparison.equal("code", ours["code"].clone(), code);
        comparison.equal("name of the code", ours["exception"].clone(), &response["codeName"]);
    }
    if let Some(n) = response.get("n") {
        comparison.equal("n", attributes["mongodb.n"].clone(), n);
    }
    for (name, attribute) in [("nModified", "mongodb.n_modified"), ("upserted", "mongodb.n_upserted")] {
        if let Some(said) = response.get(name) {
            comparison.equal(name, attributes[attribute].clone(), said);
        }
    }
    if let Some(cursor) = response.get("cursor").filter(|id| **id != 0) {
        comparison.equal("cursor", number(&attributes["mongodb.cursor_id"]), cursor);
    }
    if let Some(returned) = response.get("returned") {
        comparison.equal("returned", attributes["db.response.returned_rows"].clone(), returned);
    }
}

/// A write error comes with ok: 1.
fn has_write_error(response: &Value) -> bool {
    response["status"] != "ok" && response["code"] != 0
}
