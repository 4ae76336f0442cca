//! Plugins that come, change and go while traffic flows. Replaced between two messages, a plugin loses nothing and doubles
//! nothing; what was in the middle of a message is counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protap::plugin::{Plugin, PluginSet};
use protap_e2e::artifacts::{Fixture, fixture, plugin, root};
use protap_e2e::engine::{Outcome, load, read_swapping, read_with, wasm_engine};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::segment::{Segment, segments, to_file};

/// Swaps in a run.
const SWAPS: u64 = 100;
/// Copies of a capture that run side by side, so that most of the time some flow is in the middle of a message.
const COPIES: u16 = 12;
/// Nanoseconds by which each copy lags behind the one before.
const LAG: u64 = 1_700_000;

/// The capture several times over, each copy with client ports of its own.
fn crowd(fixture: &Fixture) -> Vec<Segment> {
    let segments = segments(&Capture::read(&fixture.path));
    let server = segments[0].destination.port();
    let copy = |n: u16| {
        segments.iter().cloned().map(move |mut segment| {
            for end in [&mut segment.source, &mut segment.destination] {
                if end.port() != server {
                    let host = 100 + u8::try_from(n).expect("few copies");
                    end.set_ip([10, 1, 0, host].into());
                }
            }
            segment.at += u64::from(n) * LAG;
            segment
        })
    };
    let mut all: Vec<Segment> = (0..COPIES).flat_map(copy).collect();
    all.sort_by_key(|segment| segment.at);
    all
}

fn module(path: &Path) -> Arc<Plugin> {
    Arc::new(Plugin::load(wasm_engine(), path).unwrap_or_else(|error| panic!("{error}")))
}

/// Sets that follow each other, each with these plugins.
fn chain(first: &Arc<PluginSet>, each: impl IntoIterator<Item = Vec<Arc<Plugin>>>) -> Vec<Arc<PluginSet>> {
    let mut sets = vec![first.clone()];
    for plugins in each {
        let (set, changes) = sets.last().expect("there is a first").updated(&plugins);
        assert!(!changes.is_empty());
        sets.push(Arc::new(set));
    }
    sets.split_off(1)
}

fn reasons(outcome: &Outcome, reason: &str) -> usize {
    outcome.records.parsed().iter().filter(|record| record["reason"] == reason).count()
}

/// The same file loaded twice takes turns a hundred times.
fn swapped(files: &[PathBuf], fixture: &Fixture, workers: usize) {
    let segments = crowd(fixture);
    let capture = to_file(&segments, Link::Ethernet);
    let first = load(files.iter().map(PathBuf::as_path));
    let versions: [Vec<Arc<Plugin>>; 2] = std::array::from_fn(|_| files.iter().map(|file| module(file)).collect());
    let sets = chain(&first, versions.iter().cycle().take(SWAPS as usize).cloned());
    let every = segments.len() as u64 / (SWAPS + 1);
    let swaps = (1..).map(|n| n * every).zip(sets).collect();

    let expected = read_with(&first, capture.clone(), 1);
    let found = read_swapping(&first, capture, swaps, workers);
    assert!(expected.records.len() > 300, "{}: {} records", fixture.name, expected.records.len());
    assert!(found.summary["flows"]["swapped"].as_u64() > Some(SWAPS), "{}", found.summary["flows"]);
    let (found_lines, expected_lines) = (found.records.without_times(), expected.records.without_times());
    let changed: Vec<_> = expected_lines.iter().filter(|line| !found_lines.contains(line)).collect();
    let in_flight = found.loss("swapped_in_flight");
    println!("{}: {} records, {in_flight} in flight, {} changed", fixture.name, found_lines.len(), changed.len());
    assert!(changed.len() as u64 <= in_flight, "{}: {in_flight} in flight, but changed {changed:#?}", fixture.name);
    let missing = expected_lines.len().checked_sub(found_lines.len());
    assert!(missing.is_some_and(|missing| missing as u64 <= in_flight), "{}: lost or doubled", fixture.name);
    assert_eq!(found.faults(files[0].file_stem().and_then(|name| name.to_str()).expect("a name")), 0);
}

#[test]
fn a_hundred_swaps_lose_nothing_by_id() {
    swapped(&[plugin("kafka"), plugin("mongodb")], &fixture("kafka/noida_ck216_basic"), 1);
    swapped(&[plugin("kafka"), plugin("mongodb")], &fixture("kafka/tansu_ck216_big"), 2);
    swapped(&[plugin("mongodb"), plugin("kafka")], &fixture("mongodb/secantus_pm420_crud"), 3);
}

#[test]
fn a_hundred_swaps_lose_nothing_in_order() {
    let memcached = root().join("target/example-plugins/memcached.wasm");
    let fixture = Fixture {
        path: root().join("tests/captures/memcached.pcap"),
        name: "memcached".to_owned(),
        protocol: "memcached".to_owned(),
    };
    swapped(&[memcached], &fixture, 1);
}

#[test]
fn a_plugin_that_is_added_reads_the_flows_that_nobody_claimed() {
    let segments = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let capture = to_file(&segments, Link::Ethernet);
    let half = segments.len() as u64 / 2;
    let (mongodb, kafka) = (plugin("mongodb"), plugin("kafka"));
    let first = load([mongodb.as_path()]);
    let both = chain(&first, [vec![module(&mongodb), module(&kafka)]]);
    let found = read_swapping(&first, capture.clone(), vec![(half, both[0].clone())], 1);
    let whole = read_with(&load([kafka.as_path()]), capture, 1);
    let parsed = whole.records.parsed();
    let late = parsed.iter().filter(|record| {
        let ts = record["ts"].as_str().expect("a time");
        protap_e2e::records::nanoseconds_of_day(ts) > segments[segments.len() / 2].at % 86_400_000_000_000
    });
    let (late, found_count) = (late.count(), found.records.of_protocol("kafka").len());
    // A flow caught in its middle may cost its first messages.
    assert!(late > 20 && found_count * 10 >= late * 8, "{found_count} of {late} records");
    assert!(found.plugin("kafka")["claims"].as_u64() >= Some(2), "{}", found.plugin("kafka"));
}

#[test]
fn a_plugin_that_is_removed_lets_go_of_its_flows() {
    let segments = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let capture = to_file(&segments, Link::Ethernet);
    let kafka = plugin("kafka");
    let first = load([kafka.as_path()]);
    // Behind a whole request, whose response is yet to come.
    let is_request = |segment: &Segment| segment.destination.port() == 19_092 && !segment.payload.is_empty();
    let is_last_of_request = |pair: &[Segment]| is_request(&pair[0]) && pair[1].source == pair[0].destination;
    let third = segments.len() / 3;
    let third = (third + segments[third..].windows(2).position(is_last_of_request).expect("a request") + 1) as u64;
    let expected = read_with(&first, capture.clone(), 1).records.len();
    let steps = [vec![], vec![module(&kafka)]];
    let sets = chain(&first, steps);
    let gone = read_swapping(&first, capture.clone(), vec![(third, sets[0].clone())], 1);
    assert!(gone.records.len() < expected);
    assert!(reasons(&gone, "plugin removed") > 0, "no request was pending");
    let unclaimed = gone.summary["flows"]["unclaimed_by_port"].as_array().expect("a list").iter();
    assert!(unclaimed.filter(|row| row["reason"] == "plugin removed").count() > 0, "{}", gone.summary["flows"]);
    assert_eq!(gone.loss("faulted"), 0);
    // Put back, it reads on.
    let back = read_swapping(&first, capture, vec![(third, sets[0].clone()), (third * 2, sets[1].clone())], 1);
    assert!(
        back.records.len() > gone.records.len(),
        "{} records, {} without it",
        back.records.len(),
        gone.records.len()
    );
}

#[test]
fn flows_that_nobody_was_there_for_are_not_told_as_without_data() {
    let segments = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let capture = to_file(&segments[..segments.len() / 2], Link::Ethernet);
    let kafka = plugin("kafka");
    let first = load([kafka.as_path()]);
    let sets = chain(&first, [vec![], vec![module(&kafka)]]);
    let (gone_at, back_at) = (segments.len() as u64 / 4, segments.len() as u64 / 2 - 1);
    let swaps = vec![(gone_at, sets[0].clone()), (back_at, sets[1].clone())];
    let flows = |outcome: &Outcome, reason: &str| {
        let rows = outcome.summary["flows"]["unclaimed_by_port"].as_array().expect("a list").iter();
        rows.filter(|row| row["reason"] == reason).filter_map(|row| row["flows"].as_u64()).sum::<u64>()
    };
    let whole = read_with(&first, capture.clone(), 1);
    let back = read_swapping(&first, capture, swaps, 1);
    assert!(flows(&back, "plugin removed") > 0, "{}", back.summary["flows"]);
    // Some flows of the capture really have none.
    assert_eq!(flows(&back, "no data"), flows(&whole, "no data"), "{}", back.summary["flows"]);
}

#[test]
fn swaps_give_the_same_records_with_any_number_of_workers() {
    let segments = crowd(&fixture("kafka/noida_ck216_basic"));
    let capture = to_file(&segments, Link::Ethernet);
    let kafka = plugin("kafka");
    let first = load([kafka.as_path()]);
    let sets = chain(&first, [vec![module(&kafka)], vec![], vec![module(&kafka)]]);
    let quarter = segments.len() as u64 / 4;
    let run = |workers| {
        let swaps = (1..).map(|n| n * quarter).zip(sets.iter().cloned()).collect();
        read_swapping(&first, capture.clone(), swaps, workers)
    };
    let one = run(1);
    for workers in [2, 3] {
        let found = run(workers);
        assert!(found.records.parsed() == one.records.parsed(), "{workers} workers");
        assert_eq!(found.summary["losses"], one.summary["losses"], "{workers} workers");
    }
    assert!(one.records.parsed().iter().any(|record| record["reason"] == "plugin removed"));
}
