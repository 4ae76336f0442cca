//! How bytes were cut into packets, numbered, shuffled, repeated and wrapped up must not show: the records of a rewritten
//! capture are those of the original, in the same order, but for times.

use protap_e2e::artifacts::{Fixture, fixture, fixtures};
use protap_e2e::conversation::dialogue;
use protap_e2e::engine;
use protap_e2e::link::{LINKS, Link};
use protap_e2e::pcap::Capture;
use protap_e2e::rewrite;
use protap_e2e::segment::{Segment, segments, to_file};

/// Captures up to this size are also cut into single bytes.
const SMALL: usize = 80_000;

/// Has flows that are only recognised when they end, as the server alone speaks in them. Their records come late, and
/// those of the others need not wait for them.
const LATE: &str = "errors";

type Rewrite<'a> = &'a dyn Fn(&[Segment]) -> Vec<Segment>;

#[test]
fn single_bytes_give_the_same_records() {
    same_records(small(), &[("single bytes", &|s| rewrite::cut(s, 1)), ("three bytes", &|s| rewrite::cut(s, 3))]);
}

#[test]
fn cuts_between_header_and_body_give_the_same_records() {
    same_records(from_their_start(), &[("cut behind headers", &|s| rewrite::cut_behind_headers(s))]);
    let big = vec![fixture("kafka/tansu_ck216_big"), fixture("mongodb/secantus_pm420_exhaust")];
    same_records(big, &[("pieces of 7", &|s| rewrite::cut(s, 7)), ("pieces of 1447", &|s| rewrite::cut(s, 1447))]);
}

#[test]
fn coalesced_segments_give_the_same_records() {
    // Coalesced bytes have another time of capture, so records of different flows complete in another order.
    let mut report = String::new();
    for fixture in all() {
        let original = by_flow(engine::read(fixture.bytes()).records.without_times());
        let coalesced = rewrite::coalesced(&segments(&Capture::read(&fixture.path)));
        let records = by_flow(engine::read(to_file(&coalesced, Link::Ethernet)).records.without_times());
        report += &difference(&fixture, "coalesced", &original, &records);
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn what_follows_a_message_that_ends_where_the_window_ends_is_read_at_once() {
    // A kilobyte each, so that sixteen of them fill the window, of which a segment holds several.
    let request = |n: usize| {
        let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nk{n:02}\r\n$994\r\n");
        format!("{head}{}\r\n", "v".repeat(1024 - head.len() - 2)).into_bytes()
    };
    assert_eq!(request(7).len(), 1024);
    let requests = (0..50).flat_map(request).collect::<Vec<u8>>();
    let replies = b"+OK\r\n".repeat(50);
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 6379).into());
    let kinds = |payloads: Vec<(bool, Vec<u8>)>| {
        let outcome = engine::read(to_file(&dialogue(ends, 1_767_225_600_000_000_000, payloads), Link::Ethernet));
        let count = |kind: &str| outcome.records.parsed().iter().filter(|record| record["kind"] == kind).count();
        (outcome.records.len(), count("session"), count("request"))
    };
    let answered = [(true, requests.clone()), (false, replies)];
    assert_eq!(kinds([answered.clone(), answered].concat()), (100, 100, 0));
    assert_eq!(kinds(vec![(true, requests)]), (50, 0, 50));
}

#[test]
fn shuffled_packets_give_the_same_records() {
    let seeds: Vec<u64> = (1..=4).collect();
    for seed in seeds {
        same_records(all(), &[(&format!("shuffled, seed {seed}"), &|s| rewrite::shuffled(s, 8, seed))]);
    }
}

#[test]
fn repeated_packets_give_the_same_records() {
    let rewrites: [(&str, Rewrite<'_>); 3] = [
        ("doubled at once", &|s| rewrite::doubled(s, 7, 0)),
        ("retransmitted after 5 ms", &|s| rewrite::doubled(s, 7, 5_000_000)),
        ("everything twice", &|s| rewrite::doubled(s, 1, 2_000_000)),
    ];
    same_records(all(), &rewrites);
}

#[test]
fn wrapping_sequence_numbers_give_the_same_records() {
    let rewrites: [(&str, Rewrite<'_>); 3] = [
        ("wrap at the first byte", &|s| rewrite::wrapping(s, 1)),
        ("wrap in the first frame", &|s| rewrite::wrapping(s, 30)),
        ("wrap later", &|s| rewrite::wrapping(s, 5_000)),
    ];
    same_records(all(), &rewrites);
}

#[test]
fn ipv6_gives_the_same_records() {
    same_records(all(), &[("IPv6", &|s| rewrite::over_ipv6(s))]);
}

#[test]
fn every_link_header_gives_the_same_records() {
    let mut report = String::new();
    for fixture in some() {
        let original = engine::read(fixture.bytes()).records.without_times();
        let segments = segments(&Capture::read(&fixture.path));
        for link in LINKS {
            for (family, segments) in [("IPv4", segments.clone()), ("IPv6", rewrite::over_ipv6(&segments))] {
                let records = engine::read(to_file(&segments, link)).records.without_times();
                report += &difference(&fixture, &format!("{family} in {link:?}"), &original, &records);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn all_at_once_gives_the_same_records() {
    same_records(
        some(),
        &[("everything", &|s| {
            let s = rewrite::wrapping(&rewrite::over_ipv6(&rewrite::cut_behind_headers(s)), 40);
            rewrite::shuffled(&rewrite::doubled(&s, 5, 3_000_000), 8, 99)
        })],
    );
}

/// More flows than plugins keep readers for, each silent for longer than the runtime keeps buffers for it, and in the middle
/// of a message while the others speak.
#[test]
fn among_thousands_of_slow_flows_each_gives_the_same_records() {
    const COPIES: u16 = 5000;
    const SILENCE: u64 = 6_000_000_000;
    for name in ["kafka/mock_java3.9.1", "mongodb/comp_zlib_node790"] {
        let original = engine::read(fixture(name).bytes()).records.without_times();
        let pieces: Vec<Segment> = rewrite::cut(&segments(&Capture::read(&fixture(name).path)), 500);
        let mut all = Vec::new();
        for (turn, piece) in (0..).zip(&pieces) {
            let begin = 1_000_000_000 + turn * SILENCE;
            all.extend((0..COPIES).map(|copy| {
                let [high, low] = copy.to_be_bytes();
                let mut piece = Segment { at: begin + u64::from(copy) * 1000, ..piece.clone() };
                piece.source.set_ip([10, 1, high, low].into());
                piece.destination.set_ip([10, 1, high, low].into());
                piece
            }));
        }
        let mut expected: Vec<String> =
            original.iter().flat_map(|record| vec![record.clone(); COPIES.into()]).collect();
        let mut records = engine::read(to_file(&all, Link::Ethernet)).records.without_times();
        expected.sort_unstable();
        records.sort_unstable();
        assert!(!records.is_empty() && records == expected, "{name}: {} of {} records", records.len(), expected.len());
    }
}

fn same_records(captures: Vec<Fixture>, rewrites: &[(&str, Rewrite<'_>)]) {
    let mut report = String::new();
    for fixture in captures {
        let in_order = |records: Vec<String>| if fixture.name == LATE { by_flow(records) } else { records };
        let original = in_order(engine::read(fixture.bytes()).records.without_times());
        let segments = segments(&Capture::read(&fixture.path));
        for (name, rewrite) in rewrites {
            let file = to_file(&rewrite(&segments), Link::Ethernet);
            report += &difference(&fixture, name, &original, &in_order(engine::read(file).records.without_times()));
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// Flow by flow, the records of each in their order.
fn by_flow(mut records: Vec<String>) -> Vec<String> {
    let flow =
        |record: &String| record.split_once("\"flow\"").and_then(|(_, flow)| Some(flow.split_once('}')?.0.to_owned()));
    assert!(records.iter().all(|record| flow(record).is_some()), "every record has a flow");
    records.sort_by_key(flow);
    records
}

/// The first records that differ, in words.
fn difference(fixture: &Fixture, rewrite: &str, original: &[String], records: &[String]) -> String {
    if original == records {
        return String::new();
    }
    let count = original.len().max(records.len());
    let pairs = (0..count).map(|index| (index, original.get(index), records.get(index)));
    let differ: Vec<_> = pairs.filter(|(_, a, b)| a != b).collect();
    let show = |line: Option<&String>| line.map_or("nothing", String::as_str).to_owned();
    let lines = differ.iter().take(3).map(|(index, a, b)| format!("  {index}: {}\n   is {}\n", show(*a), show(*b)));
    format!(
        "{}, {rewrite}: {} of {count} records differ, as\n{}",
        fixture.name,
        differ.len(),
        lines.collect::<String>()
    )
}

fn all() -> Vec<Fixture> {
    ["http", "kafka", "mongodb", "redis"].iter().flat_map(|protocol| fixtures(protocol)).collect()
}

/// Redis and HTTP have no lengths or ids by which the first message is found for certain: in a connection caught in its
/// middle it shows what the first packets held.
fn from_their_start() -> Vec<Fixture> {
    let caught = ["midstream", "clients_midstream"];
    all().into_iter().filter(|fixture| !caught.contains(&fixture.name.as_str())).collect()
}

fn small() -> Vec<Fixture> {
    let payload = |fixture: &Fixture| segments(&Capture::read(&fixture.path)).iter().map(|s| s.payload.len()).sum();
    let is_small = |fixture: &Fixture| -> bool {
        let bytes: usize = payload(fixture);
        bytes < SMALL
    };
    from_their_start().into_iter().filter(is_small).collect()
}

/// One capture of each sort.
fn some() -> Vec<Fixture> {
    [
        "http/nginx_curl",
        "http/node_streams",
        "kafka/noida_ck216_basic",
        "kafka/mock_ck216_txn",
        "kafka/noida_ck216_comp",
        "kafka/mock_ck216_legacy_0.9.0.1",
        "kafka/tansu_ck216_big",
        "mongodb/secantus_pm420_crud",
        "mongodb/secantus_pm420_exhaust",
        "mongodb/comp_zstd_pm420",
        "mongodb/legacy_mockupdb_pm313_ops",
        "redis/oddities",
        "redis/pubsub_resp3",
    ]
    .into_iter()
    .map(fixture)
    .collect()
}
