//! What could not be decoded is said aloud: counted by plugin, and by API and version, in `--stats-json` and in the summary.

use protap_e2e::artifacts::{fixture, plugin, scratch};
use protap_e2e::engine::{Outcome, read};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::program::{command, finished, text};
use protap_e2e::segment::{Segment, segments, to_file};
use serde_json::Value;

/// Fetch, as the first bytes of a request's header, and a version that it does not have.
const FETCH: [u8; 2] = [0, 1];
const UNKNOWN: [u8; 2] = [0, 99];

fn recorded(name: &str) -> Vec<Segment> {
    segments(&Capture::read(&fixture(name).path))
}

/// The capture as if its clients asked to fetch in a version that nobody knows. Each request is a segment of its own.
fn with_unknown_fetch(name: &str) -> Vec<u8> {
    let mut segments = recorded(name);
    for segment in segments.iter_mut().filter(|segment| segment.destination.port() == 19092) {
        if let Some(header) = segment.payload.get_mut(4..8).filter(|header| header[..2] == FETCH) {
            header[2..].copy_from_slice(&UNKNOWN);
        }
    }
    to_file(&segments, Link::Ethernet)
}

fn count(outcome: &Outcome, pointer: &str) -> u64 {
    let value = outcome.plugin("kafka").pointer(pointer);
    value.and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {}", outcome.plugin("kafka")))
}

#[test]
fn versions_that_are_not_known_are_counted_by_api_and_version() {
    let outcome = read(with_unknown_fetch("kafka/noida_ck216_basic"));
    let operations = outcome.summary["records"]["operations"].as_array().expect("operations");
    let fetch = operations.iter().find(|row| row["type"] == "Fetch").expect("Fetch");
    let version = &fetch["versions"][0];
    let seen = version["records"].as_u64().expect("a number");
    assert_eq!(version["version"], "99");
    assert!(seen > 3, "{version}");
    assert_eq!((version["full"].clone(), version["header"].clone()), (0.into(), seen.into()));
    // Both the request and its answer are not decoded; the last request may have none.
    let reason = count(&outcome, "/coverage/reasons/Fetch v99: version not known");
    assert!((2 * seen - 2..=2 * seen).contains(&reason), "{reason} messages of {seen} requests");
    assert_eq!(count(&outcome, "/coverage/header"), reason);
    assert!(count(&outcome, "/coverage/full") > 10);
}

#[test]
fn the_summary_ends_with_a_table_of_what_was_not_decoded() {
    let file = scratch("coverage").join("unknown_fetch.pcap");
    std::fs::write(&file, with_unknown_fetch("kafka/noida_ck216_basic")).expect("a temporary file can be written");
    let run = finished(command(&["read", "-p", text(&plugin("kafka")), text(&file)]).output().expect("it starts"));
    let mut lines = run.err.lines().skip_while(|line| !line.starts_with("not decoded in full"));
    let titles: Vec<&str> = lines.next().expect("a table").split("  ").filter(|title| !title.is_empty()).collect();
    assert_eq!(
        titles.iter().map(|title| title.trim()).collect::<Vec<_>>(),
        ["not decoded in full", "seen", "decoded", "in part", "header only"]
    );
    let row: Vec<&str> = lines.next().expect("a row").split_whitespace().collect();
    assert_eq!(
        (row[..3].to_vec(), row[row.len() - 3..row.len() - 1].to_vec()),
        (vec!["kafka", "Fetch", "v99"], vec!["0", "0"])
    );
}

#[test]
fn what_has_no_other_half_is_counted() {
    let mut segments = recorded("kafka/noida_ck216_midstream");
    let whole = read(to_file(&segments, Link::Ethernet));
    // Neither the first answers' requests nor the last requests' answers are in the capture now.
    let is_from_client = |segment: &Segment| segment.destination.port() == 19092;
    let middle = segments.len() / 2;
    let mut number = 0;
    segments.retain(|segment| {
        number += 1;
        segment.payload.is_empty() || is_from_client(segment) == (number > middle)
    });
    let halves = read(to_file(&segments, Link::Ethernet));
    let unmatched = |outcome: &Outcome| ["/records/request", "/records/response"].map(|kind| count(outcome, kind));
    let ([requests, responses], [whole_requests, whole_responses]) = (unmatched(&halves), unmatched(&whole));
    assert!(requests > whole_requests && responses >= whole_responses, "{requests} requests, {responses} responses");
    assert_eq!(count(&halves, "/records/session"), 0);
}

#[test]
fn gaps_resyncs_and_truncated_bytes_are_counted_by_plugin() {
    let mut segments = recorded("kafka/tansu_ck216_big");
    let whole = read(to_file(&segments, Link::Ethernet));
    assert_eq!(["/gaps", "/resyncs", "/truncated_bytes"].map(|name| count(&whole, name)), [0, 0, 0]);
    // A big message lacks some bytes of its records, and a small one its beginning.
    let full = segments.iter().position(|segment| segment.payload.len() == 1448).expect("a long message") + 100;
    assert_eq!(segments[full].payload.len(), 1448);
    segments.remove(full);
    let small = segments.iter().rposition(|segment| (20..200).contains(&segment.payload.len())).expect("a short one");
    let small =
        segments[..small].iter().rposition(|segment| (20..200).contains(&segment.payload.len())).expect("another");
    segments[small].payload.drain(..10);
    segments[small].seq += 10;
    let damaged = read(to_file(&segments, Link::Ethernet));
    assert_eq!(["/gaps", "/resyncs", "/truncated_bytes"].map(|name| count(&damaged, name)), [2, 1, 1448]);
    assert_eq!((damaged.loss("gaps"), damaged.loss("resyncs"), damaged.loss("absorbed_bytes")), (2, 1, 1448));
}
