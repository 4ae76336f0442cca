//! Parts of captures: from the middle of connections on, and without single packets. What is said of them is right, or
//! left out.

use std::collections::BTreeMap;

use protap_e2e::artifacts::fixture;
use protap_e2e::engine::read_with;
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::segment::{ACK, RST, Segment, segments, to_file};
use serde_json::Value;

use super::streams::SERVERS;
use super::{by_stream, outcome, plugins, said};

/// What is wrong with the records of a part of a capture: they may say less than those of the whole, and nothing else.
fn made_up(whole: &BTreeMap<(u64, u64), Value>, records: &[Value]) -> Option<String> {
    for record in records {
        let Some(id) = record["request"]["id"].as_u64() else { continue };
        // Who is the client is not told by every part.
        let (a, b) = ports(record);
        let client = if SERVERS.contains(&a.into()) { b } else { a };
        let Some(was) = whole.get(&(client.into(), id)).map(said) else { return Some(record.to_string()) };
        if was["kind"] == "request" {
            // It was withdrawn: without that, its answer counts.
            continue;
        }
        let is = said(record);
        let is_full = record["completeness"] == "full" && record["kind"] != "request";
        for field in ["type", "resource", "domain", "status", "code"] {
            // Where nobody knows that it is gRPC, the code is HTTP's.
            let is_http = field == "code" && is[field] == record["attributes"]["http.response.status_code"];
            let is_left_out = is[field].is_null() || is[field] == "unknown" || is_http;
            if is[field] != was[field] && (is_full || !is_left_out) {
                return Some(format!("{record} was {was}"));
            }
        }
    }
    None
}

/// Without the beginning of the connection, the header tables are not known: what refers to them is left out, and what
/// is said is right.
#[test]
fn the_middle_of_connections_is_read_as_far_as_it_can_be() {
    for name in ["http2/grpc", "http2/rare", "http2/nginx"] {
        let fixture = fixture(name);
        let (whole, _) = by_stream(&outcome(&fixture).records.parsed());
        let segments = segments(&Capture::read(&fixture.path));
        for part in 1..8 {
            let file = to_file(&segments[segments.len() * part / 8..], Link::Ethernet);
            let records = read_with(plugins(), file, 1).records.parsed();
            assert_eq!(made_up(&whole, &records), None, "{name}, from {part}/8 on");
        }
    }
}

#[test]
fn packets_that_are_lost_cost_what_they_held_and_falsify_nothing() {
    for name in ["http2/grpc", "http2/rare", "http2/nginx"] {
        let fixture = fixture(name);
        let (whole, _) = by_stream(&outcome(&fixture).records.parsed());
        let segments = segments(&Capture::read(&fixture.path));
        let with_data =
            |n: usize| segments.iter().enumerate().filter(|(_, s)| !s.payload.is_empty()).nth(n).map(|(at, _)| at);
        let mut answered = 0;
        for lost in (1..).map_while(with_data) {
            let kept: Vec<_> =
                segments.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, s)| s.clone()).collect();
            let outcome = read_with(plugins(), to_file(&kept, Link::Ethernet), 1);
            let records = outcome.records.parsed();
            assert_eq!((outcome.faults("http2"), made_up(&whole, &records)), (0, None), "{name} without packet {lost}");
            let sessions = records.iter().filter(|record| record["kind"] == "session").count();
            answered += usize::from(sessions * 2 > whole.len());
        }
        assert!(answered > 10, "{name}: in only {answered} cases most requests had their answers");
    }
}

/// A connection that is reset, by either end, wherever it was: every stream has one record, which what had begun of its
/// response is part of.
#[test]
fn a_reset_of_the_connection_ends_every_stream_once() {
    let fixture = fixture("http2/grpc");
    let segments = segments(&Capture::read(&fixture.path));
    let mut begun = 0;
    for len in (10..segments.len()).step_by(3) {
        let kept = &segments[..len];
        for port_is_servers in [true, false] {
            let is_from = |segment: &&Segment| (segment.source.port() == 50051) == port_is_servers;
            let Some(last) = kept.iter().rev().find(is_from) else { continue };
            let reset = Segment { flags: RST | ACK, seq: last.end(), payload: vec![], ..last.clone() };
            let reset = Segment { at: kept[len - 1].at + 1_000, ..reset };
            let file = to_file(&[kept, &[reset]].concat(), Link::Ethernet);
            let records = read_with(plugins(), file, 1).records.parsed();
            let (streams, _) = by_stream(&records);
            let has_begun = |record: &&Value| record["completeness_reason"] == "closed";
            begun += streams.values().filter(has_begun).count();
        }
    }
    assert!(begun > 4, "only {begun} responses had begun");
}
