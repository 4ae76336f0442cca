//! The shape of DNS: datagrams that are lost, repeated and overtaken, under ids that are used again; and the same
//! messages in a stream. Records are those that the client's own log and tshark call for.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use protap::plugin::PluginSet;
use protap_e2e::artifacts::{fixture, fixtures};
use protap_e2e::engine::{Outcome, read_with};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::segment::{Segment, segments, to_file};
use protap_e2e::shape::{beside_the_shipped, by_port, decode, differences, records_by_port};
use serde_json::Value;

fn plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| beside_the_shipped("dns"))
}

fn read(capture: Vec<u8>) -> Outcome {
    let outcome = read_with(plugins(), capture, 1);
    assert_eq!(outcome.faults("dns"), 0);
    outcome
}

/// What an exchange is known by in the log: id, name, type, outcome.
type Known = (u64, String, String, String);

fn logged(line: &Value) -> Known {
    let text = |field: &str| line[field].as_str().expect("a text").to_owned();
    (line["id"].as_u64().expect("an id"), text("name"), text("type"), text("outcome"))
}

fn told(record: &Value) -> Known {
    let part = if record["kind"] == "response" { &record["response"] } else { &record["request"] };
    let id = part["id"].as_u64().or(record["attributes"]["dns.id"].as_u64()).expect("an id");
    let outcome = match (record["kind"].as_str(), record["reason"].as_str()) {
        (Some("session"), _) => "answered",
        (Some("response"), Some("request not seen")) => "stray",
        (Some("request"), Some("superseded")) => "superseded",
        (Some("request"), Some("closed" | "end of capture")) => "lost",
        _ => panic!("an outcome that the log does not know: {record}"),
    };
    let name = record["attributes"]["dns.question.name"].as_str().expect("a name");
    (id, name.to_owned(), part["type"].as_str().expect("a type").to_owned(), outcome.to_owned())
}

/// Those alike are told apart by their place among them.
fn numbered<'a>(all: impl Iterator<Item = (Known, &'a Value)>) -> BTreeMap<(Known, usize), &'a Value> {
    let mut seen: BTreeMap<Known, usize> = BTreeMap::new();
    all.map(|(known, value)| {
        let count = seen.entry(known.clone()).or_default();
        *count += 1;
        ((known, *count), value)
    })
    .collect()
}

#[test]
fn records_are_what_the_client_asked_and_heard() {
    let fixture = fixture("dns/python_unruly");
    let outcome = read(fixture.bytes());
    assert_eq!((outcome.loss("malformed"), outcome.loss("rejected")), (0, 0));
    let records = records_by_port(&outcome);
    let log = by_port(decode(&fixture, "client.jsonl"));
    assert_eq!(records.keys().collect::<Vec<_>>(), log.keys().collect::<Vec<_>>());
    for (port, lines) in &log {
        let lines = numbered(lines.iter().map(|line| (logged(line), line)));
        let records = numbered(records[port].iter().map(|record| (told(record), record)));
        assert_eq!(records.keys().collect::<Vec<_>>(), lines.keys().collect::<Vec<_>>(), "{port}");
        for (known, record) in records {
            agree(record, lines[&known]);
        }
    }
}

fn agree(record: &Value, line: &Value) {
    let response = &record["response"];
    if line["rcode"].is_null() {
        assert_eq!(response["status"], "unknown", "{record}");
        return;
    }
    assert_eq!(response["code"], line["rcode"], "{record}");
    let status = match line["rcode"].as_u64() {
        Some(0) => "ok",
        Some(3) => "client_error",
        _ => "server_error",
    };
    assert_eq!(response["status"], status, "{record}");
    assert_eq!(record["attributes"]["dns.truncated"], line["truncated"], "{record}");
    match line["messages"].as_u64() {
        // A zone, in several messages that are one reply.
        Some(messages) => assert_eq!(response["count"], messages, "{record}"),
        None => assert_eq!(record["attributes"]["dns.answer.count"], line["answers"], "{record}"),
    }
}

#[test]
fn records_are_those_of_the_messages_that_tshark_decodes() {
    for fixture in fixtures("dns") {
        let outcome = read(fixture.bytes());
        let records = records_by_port(&outcome);
        for (port, messages) in by_port(decode(&fixture, "tshark.jsonl")) {
            let records = &records[&port];
            let (responses, requests): (Vec<_>, Vec<_>) =
                messages.iter().partition(|message| message["response"] == true);
            let asked: Vec<_> = records.iter().filter(|record| record["kind"] != "response").collect();
            assert_eq!(asked.len(), requests.len(), "{} {port}", fixture.name);
            for (record, message) in asked.iter().zip(requests) {
                assert_eq!(record["request"]["id"], message["id"], "{record}");
                assert_eq!(record["request"]["resource"], message["name"], "{record}");
            }
            let heard = |record: &Value| record["response"]["count"].as_u64().unwrap_or_default();
            let heard: u64 = records.iter().map(heard).sum();
            assert_eq!(heard, responses.len() as u64, "{} {port}", fixture.name);
            let codes = |found: Vec<u64>| {
                let mut found = found;
                found.sort_unstable();
                found.dedup();
                found
            };
            let ours = records.iter().filter_map(|record| record["response"]["code"].as_u64()).collect();
            let theirs = responses.iter().filter_map(|message| message["rcode"].as_u64()).collect();
            assert_eq!(codes(ours), codes(theirs), "{} {port}", fixture.name);
        }
    }
}

#[test]
fn a_latency_is_that_of_the_query_that_was_answered() {
    let records = records_by_port(&read(fixture("dns/python_unruly").bytes()));
    let milliseconds = |name: &str| -> Vec<u64> {
        let sessions = records.values().flatten().filter(|record| record["kind"] == "session");
        let named = sessions.filter(|record| record["request"]["resource"] == name);
        named.map(|record| record["latency_ns"].as_u64().expect("a latency") / 1_000_000).collect()
    };
    // The server says in its names how long it waits: so long after the query that it answers.
    assert!(matches!(milliseconds("slow300.x")[..], [300..400, 300..400]), "{:?}", milliseconds("slow300.x"));
    // Under the id of an earlier question that is answered late.
    assert!(matches!(milliseconds("fast.x")[..], [0..50]), "{:?}", milliseconds("fast.x"));
    // Repeated after 200 ms, since the first time was not answered.
    assert!(matches!(milliseconds("dropfirst.x")[..], [0..50]), "{:?}", milliseconds("dropfirst.x"));
}

#[test]
fn how_streams_are_cut_does_not_show() {
    let report: String = fixtures("dns").iter().map(|fixture| differences(plugins(), fixture)).collect();
    assert!(report.is_empty(), "{report}");
}

/// The segments of each connection of a capture.
fn connections(name: &str) -> Vec<Vec<Segment>> {
    let mut by_port: BTreeMap<u16, Vec<Segment>> = BTreeMap::new();
    for segment in segments(&Capture::read(&fixture(name).path)) {
        let port = segment.source.port().max(segment.destination.port());
        by_port.entry(port).or_default().push(segment);
    }
    by_port.into_values().collect()
}

#[test]
fn a_connection_caught_in_its_middle_is_recognised() {
    let mut found = 0;
    for connection in connections("dns/python_unruly") {
        let whole = read(to_file(&connection, Link::Ethernet)).records.parsed();
        for skipped in 3..connection.len() {
            let records = read(to_file(&connection[skipped..], Link::Ethernet)).records.parsed();
            for record in records.iter().filter(|record| record["kind"] == "session") {
                let is_same = |other: &&Value| other["ts"] == record["ts"] && other["response"] == record["response"];
                assert!(whole.iter().any(|other| is_same(&other)), "from {skipped}: {record}");
                found += 1;
            }
        }
    }
    assert!(found > 30, "only {found} records");
}

#[test]
fn one_direction_alone_is_recognised_and_nothing_is_called_answered() {
    for connection in connections("dns/python_unruly") {
        for is_server in [true, false] {
            let side = connection.iter().filter(|segment| (segment.source.port() == 5300) == is_server);
            let outcome = read(to_file(&side.cloned().collect::<Vec<_>>(), Link::Ethernet));
            assert_eq!(outcome.plugin("dns")["claims"], 1, "server: {is_server}");
            let kind = if is_server { "response" } else { "request" };
            assert!(outcome.records.parsed().iter().all(|record| record["kind"] == kind));
        }
    }
}

#[test]
fn the_number_of_workers_does_not_show() {
    for fixture in fixtures("dns") {
        let one = read(fixture.bytes()).records.text;
        assert_eq!(read_with(plugins(), fixture.bytes(), 4).records.text, one, "{}", fixture.name);
    }
}

#[test]
fn flows_of_other_protocols_are_left_to_others() {
    for protocol in ["kafka", "mongodb", "variants", "mysql"] {
        for fixture in fixtures(protocol) {
            assert_eq!(read(fixture.bytes()).plugin("dns")["claims"], 0, "{}", fixture.name);
        }
    }
}
