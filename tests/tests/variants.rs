//! Captures of other forms: nanoseconds, pcapng, cut by a snaplen, IPv6, refused connections.

use protap_e2e::artifacts::{fixture, plugin};
use protap_e2e::engine::{Outcome, load, read, read_with};
use protap_e2e::pcap::Capture;
use protap_e2e::records::nanoseconds_of_day;

fn outcome(name: &str) -> Outcome {
    let outcome = read(fixture(name).bytes());
    assert_eq!(outcome.errors, Vec::<String>::new());
    outcome
}

#[test]
fn nanoseconds_are_kept() {
    let outcome = outcome("variants/kafka_noida_nanosec");
    let capture = Capture::read(&fixture("variants/kafka_noida_nanosec").path);
    let times: Vec<u64> = capture.packets.iter().map(|packet| packet.at % 86_400_000_000_000).collect();
    let records = outcome.records.parsed();
    assert_eq!(records.len(), 43);
    for record in records {
        assert_eq!(record["kind"], "session");
        let begin = nanoseconds_of_day(record["ts"].as_str().expect("a time"));
        let end = begin + record["duration_ns"].as_u64().expect("a duration");
        assert!(times.contains(&begin) && times.contains(&end), "no packet has these times: {record}");
    }
}

#[test]
fn pcapng_is_read() {
    let records = outcome("variants/kafka_noida").records.parsed();
    assert_eq!(records.len(), 48);
    assert!(records.iter().all(|record| record["kind"] == "session" && record["protocol"] == "kafka"));
}

#[test]
fn a_snaplen_costs_the_bytes_that_it_cut_and_says_so() {
    let outcome = outcome("variants/kafka_noida_snaplen128");
    assert_eq!(outcome.loss("truncated_packets"), 125);
    assert_eq!(outcome.loss("gaps"), 125);
    let records = outcome.records.parsed();
    let lossy = records.iter().filter(|record| record["completeness_reason"] == "bytes lost").count();
    assert!(lossy > 20, "only {lossy} records say that bytes are missing");
}

#[test]
fn a_snaplen_costs_no_request() {
    let records = outcome("variants/kafka_noida_snaplen128").records.parsed();
    let requests = records.iter().filter(|record| record["kind"] != "response").count();
    assert_eq!(requests, 43);
}

#[test]
fn a_flow_of_another_protocol_over_ipv6_is_counted_and_gives_no_records() {
    let others = load(["kafka", "mongodb"].map(plugin).iter().map(AsRef::as_ref));
    let outcome = read_with(&others, fixture("variants/redis_ipv6").bytes(), 1);
    assert!(outcome.records.is_empty());
    let unclaimed = &outcome.summary["flows"]["unclaimed_by_port"];
    assert_eq!((&unclaimed[0]["port"], &unclaimed[0]["flows"]), (&6380.into(), &1.into()));
}

#[test]
fn refused_connections_are_flows_without_data() {
    let outcome = outcome("variants/kafka_conn_refused");
    assert!(outcome.records.is_empty());
    let unclaimed = outcome.summary["flows"]["unclaimed_by_port"].as_array().expect("a list");
    assert_eq!(outcome.summary["flows"]["unclaimed"], 20);
    assert!(unclaimed.iter().all(|port| port["reason"] == "no data"), "{unclaimed:?}");
}
