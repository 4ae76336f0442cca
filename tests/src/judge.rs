//! Compares the records of a capture with its independent decode: one record for each request, of the right kind, with
//! its id, type, version, sizes and times, and no record beside those. What differs comes back in words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::oracle::{Exchange, OP_COMPRESSED, OP_MSG, Oracle};
use crate::pcap::Capture;
use crate::records::{Key, Records, key, nanoseconds_of_day, ports};

/// Names of Kafka's APIs, as its protocol guide spells them.
const KAFKA_APIS: [(u64, &str); 37] = [
    (0, "Produce"),
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (8, "OffsetCommit"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (11, "JoinGroup"),
    (12, "Heartbeat"),
    (13, "LeaveGroup"),
    (14, "SyncGroup"),
    (15, "DescribeGroups"),
    (16, "ListGroups"),
    (18, "ApiVersions"),
    (19, "CreateTopics"),
    (20, "DeleteTopics"),
    (22, "InitProducerId"),
    (24, "AddPartitionsToTxn"),
    (25, "AddOffsetsToTxn"),
    (26, "EndTxn"),
    (27, "WriteTxnMarkers"),
    (28, "TxnOffsetCommit"),
    (32, "DescribeConfigs"),
    (42, "DeleteGroups"),
    (44, "IncrementalAlterConfigs"),
    (60, "DescribeCluster"),
    (68, "ConsumerGroupHeartbeat"),
    (69, "ConsumerGroupDescribe"),
    (71, "GetTelemetrySubscriptions"),
    (75, "DescribeTopicPartitions"),
    (76, "ShareGroupHeartbeat"),
    (77, "ShareGroupDescribe"),
    (78, "ShareFetch"),
    (79, "ShareAcknowledge"),
    (83, "InitializeShareGroupState"),
    (84, "ReadShareGroupState"),
    (85, "WriteShareGroupState"),
];

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// What differs, in words; empty if all agree.
#[must_use]
pub fn differences(protocol: &str, capture: &Capture, oracle: &Oracle, records: &Records) -> Vec<String> {
    let mut found: BTreeMap<Key, Value> = BTreeMap::new();
    let mut responses: BTreeMap<(u16, u16), usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for record in records.parsed() {
        if record["protocol"] != protocol {
            faults.push(format!("the capture holds nothing of {}", record["protocol"]));
        } else if record["kind"] == "response" {
            *responses.entry(ports(&record)).or_default() += 1;
        } else if let Some(key) = key(&record) {
            if found.insert(key, record).is_some() {
                faults.push(format!("{key:?}: two records"));
            }
        } else {
            faults.push(format!("a record without an id: {record}"));
        }
    }
    for (key, exchange) in &oracle.exchanges {
        match found.get(key) {
            None => faults.push(format!("{key:?}: no record of {}", exchange.request.fields)),
            Some(record) => {
                let wrong = disagreements(capture, exchange, record);
                faults.extend(wrong.into_iter().map(|what| format!("{key:?}: {what}: {record}")));
            }
        }
    }
    let is_lost = |port: u16| oracle.lost.contains(&port);
    let extra = found.keys().filter(|key| !oracle.exchanges.contains_key(*key) && !is_lost(key.0));
    faults.extend(extra.map(|key| format!("{key:?}: a record of a request that is not there")));
    faults.extend(wrong_responses(oracle, &responses));
    let answered: BTreeSet<u16> = found.iter().filter(|(_, r)| r["kind"] == "session").map(|(key, _)| key.0).collect();
    let unresolved = oracle.lost.iter().filter(|port| !answered.contains(port));
    faults.extend(unresolved.map(|port| format!("client port {port}: not resynchronised")));
    faults
}

fn wrong_responses(oracle: &Oracle, found: &BTreeMap<(u16, u16), usize>) -> Vec<String> {
    let connections: BTreeSet<_> = oracle.stray_responses.keys().chain(found.keys()).collect();
    let mut faults = Vec::new();
    for connection in connections {
        let (least, most) = oracle.stray_responses.get(connection).copied().unwrap_or_default();
        let count = found.get(connection).copied().unwrap_or_default();
        if !(least..=most).contains(&count) && !oracle.lost.contains(&connection.0) {
            faults.push(format!("{connection:?}: {count} responses without request, expected {least} to {most}"));
        }
    }
    faults
}

/// What is wrong with the record of an exchange.
fn disagreements(capture: &Capture, exchange: &Exchange, record: &Value) -> Vec<&'static str> {
    let request = &record["request"];
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what| {
        if !is_right {
            wrong.push(what);
        }
    };
    check(record["kind"].as_str().is_some_and(|kind| exchange.kinds.contains(kind)), "its kind");
    check(has_right_name(exchange, record), "its type or version");
    check(request["bytes"] == exchange.request.len, "the request's size");
    let at = |packet: usize| capture.packets[packet - 1].at;
    let begin = at(exchange.request.first_packet);
    let ts = record["ts"].as_str().map(nanoseconds_of_day);
    check(ts == Some(begin % DAY), "its time");
    if let (Some(first), Some(last), true) =
        (exchange.replies.first(), exchange.replies.last(), record["kind"] == "session")
    {
        let response = &record["response"];
        let bytes: u64 = exchange.replies.iter().map(|reply| reply.len).sum();
        check(response["bytes"] == bytes, "the response's size");
        check(response["count"] == exchange.replies.len(), "the number of replies");
        // Two directions may reach the tap in another order than they were sent: then there was no wait.
        let latency = at(first.first_packet).saturating_sub(at(exchange.request.last_packet));
        check(record["latency_ns"] == latency, "its latency");
        check(record["duration_ns"] == at(last.last_packet).saturating_sub(begin), "its duration");
    }
    wrong
}

fn has_right_name(exchange: &Exchange, record: &Value) -> bool {
    let (request, frame) = (&record["request"], &exchange.request);
    if let Some(key) = frame.number("api_key") {
        let name = KAFKA_APIS.iter().find(|(known, _)| *known == key).map(|(_, name)| *name);
        let version = frame.number("api_version").map(|version| version.to_string());
        return request["type"].as_str() == name && request["version"].as_str() == version.as_deref();
    }
    let opcode = frame.number("opcode");
    let collection = frame.fields["full_collection"].as_str().unwrap_or_default();
    let is_command = opcode == Some(OP_MSG) || opcode == Some(OP_COMPRESSED) || collection.ends_with(".$cmd");
    !is_command || request["type"].as_str() == exchange.command.as_deref()
}
