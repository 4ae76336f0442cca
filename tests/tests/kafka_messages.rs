//! Every API and version of Kafka that an independent crate can write, through the plugin as it is shipped: the fields of
//! the records are those that the crate prints. `plugins/kafka/tests/oracle` does the same natively.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use protap_e2e::conversation::dialogue;
use protap_e2e::engine::{read_as, shipped_plugins};
use protap_e2e::link::Link;
use protap_e2e::segment::to_file;
use protap_kafka_messages as messages;
use protap_kafka_messages::{Comparison, Generated, PARTITION};
use serde_json::Value;

const ID: i32 = 77;
const PORT: u16 = 9092;

/// A client for each message: flows do not know of each other.
fn client(number: usize) -> SocketAddr {
    let host = u32::from(Ipv4Addr::new(10, 1, 0, 0)) + u32::try_from(number).expect("few");
    SocketAddr::from((Ipv4Addr::from(host), 40_000))
}

/// The record of each message. Whatever becomes of a message, there is one of it.
fn records(messages: &[Generated], payloads: impl Fn(&Generated) -> Vec<(bool, Vec<u8>)>) -> Vec<Value> {
    let server = SocketAddr::from(([10, 0, 0, 2], PORT));
    let flows = messages.iter().enumerate().map(|(number, message)| {
        dialogue((client(number), server), 1_000_000 * (1 + number as u64), payloads(message))
    });
    let segments: Vec<_> = flows.flatten().collect();
    let outcome = read_as(shipped_plugins(), to_file(&segments, Link::Ethernet), PORT, "kafka");
    assert_eq!((outcome.faults("kafka"), outcome.errors), (0, vec![]));
    let parsed = outcome.records.parsed().into_iter();
    let mut by_client: BTreeMap<String, Value> =
        parsed.map(|record| (record["flow"]["client"].as_str().expect("an address").to_owned(), record)).collect();
    assert_eq!((by_client.len(), outcome.records.len()), (messages.len(), messages.len()));
    (0..messages.len()).map(|number| by_client.remove(&client(number).to_string()).expect("a record")).collect()
}

/// An attribute, as the crate prints values.
fn said(record: &Value, attribute: &str) -> Option<String> {
    let attributes = &record["attributes"];
    if let Some(first) = attributes["kafka.partitions"].get(0).filter(|_| attribute == PARTITION) {
        return Some(first.to_string().trim_matches('"').to_owned());
    }
    match &attributes[attribute] {
        Value::Null => None,
        Value::String(text) if attribute == PARTITION => Some(text.clone()),
        // Numbers above 2^53 are strings in JSON; the strings of these messages are control characters.
        Value::String(text) if text.parse::<i64>().is_ok() => Some(text.clone()),
        Value::String(text) => Some(format!("{text:?}")),
        value => Some(value.to_string()),
    }
}

#[test]
fn fields_of_requests_are_those_that_the_crate_prints() {
    let mut requests = Vec::new();
    messages::each_request(|request| requests.push(request));
    let frame = |m: &Generated| vec![(true, messages::request_frame(m.key, m.version, ID, &m.body))];
    let mut comparison = Comparison::of_requests();
    for (request, record) in requests.iter().zip(records(&requests, frame)) {
        let asked = &record["request"];
        assert_eq!((asked["version"].clone(), asked["id"].clone()), (request.version.to_string().into(), ID.into()));
        assert_eq!(record["attributes"]["messaging.client.id"], "oracle");
        // The records of a random Produce request are none.
        let is_whole = record["completeness"] == "full"
            || record["completeness_reason"] == "body not decoded"
            || asked["type"] == "Produce";
        assert!(is_whole, "{record}: {}", request.printed);
        comparison.add(request, |attribute| said(&record, attribute));
    }
    comparison.check(100, 5_000);
}

#[test]
fn fields_and_errors_of_responses_are_those_that_the_crate_prints() {
    let mut responses = Vec::new();
    messages::each_response(|response| responses.push(response));
    // Of a request without a body nothing is known that could be taken for its answer's.
    let frames = |m: &Generated| {
        let request = messages::request_frame(m.key, m.version, ID, &[]);
        vec![(true, request), (false, messages::response_frame(m.key, m.version, ID, &m.body))]
    };
    let mut comparison = Comparison::of_responses();
    for (response, record) in responses.iter().zip(records(&responses, frames)) {
        assert_eq!(record["kind"], "session", "{record}: {}", response.printed);
        comparison.add(response, |attribute| said(&record, attribute));
        let codes = messages::error_codes(&response.printed);
        // The rest of an ApiVersions response with this error is passed over.
        if record["request"]["type"] != "ApiVersions" || !codes.contains(&"35") {
            let count = record["attributes"]["kafka.error_count"].as_u64().unwrap_or(0);
            assert_eq!(usize::try_from(count), Ok(codes.len()), "{record}: {}", response.printed);
        }
        let code = record["response"]["code"].as_i64().unwrap_or(0).to_string();
        assert!(if codes.is_empty() { code == "0" } else { codes.contains(&code.as_str()) }, "{record}");
    }
    comparison.check(100, 10_000);
}
