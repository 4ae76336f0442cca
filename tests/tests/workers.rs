//! The output does not depend on the number of workers: byte-identical, for every capture and for a mix of them.

use std::io::{self, Read};
use std::path::PathBuf;

use protap::capture::FileSource;
use protap_e2e::artifacts::{fixture, fixtures, scratch};
use protap_e2e::conversation::dialogue;
use protap_e2e::engine::{Outcome, read_first, read_source, read_stopped, read_with, shipped_plugins};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::repeat::corpus;
use protap_e2e::segment::to_file;

const WORKERS: [usize; 4] = [2, 3, 8, 16];

#[test]
fn every_capture_gives_the_same_bytes_with_any_number_of_workers() {
    let mut captures = fixtures("variants");
    captures.extend(["http", "kafka", "mongodb", "redis"].iter().flat_map(|protocol| fixtures(protocol)));
    let differing: Vec<String> = captures
        .into_iter()
        .flat_map(|fixture| {
            let one = read_with(shipped_plugins(), fixture.bytes(), 1);
            WORKERS.map(|workers| {
                let several = read_with(shipped_plugins(), fixture.bytes(), workers);
                (several.records != one.records || several.summary["losses"] != one.summary["losses"])
                    .then(|| format!("{} with {workers} workers", fixture.name))
            })
        })
        .flatten()
        .collect();
    assert!(differing.is_empty(), "other output: {differing:?}");
}

/// Several captures in one run: flows of all shards, topic names that one flow teaches another, and times that go back.
#[test]
fn a_mix_of_captures_gives_the_same_bytes_with_any_number_of_workers() {
    let mix: Vec<PathBuf> = [
        "http/nginx_pipelined",
        "kafka/tansu_ck216_basic",
        "mongodb/secantus_pm420_crud",
        "variants/kafka_noida",
        "kafka/mock_ck216_group",
        "kafka/tansu_ck216_big",
        "mongodb/comp_zlib_pm420",
        "kafka/noida_ck216_group",
        "mongodb/secantus_pm420_exhaust",
        "kafka/tansusqlite_ck216_comp",
    ]
    .map(|name| fixture(name).path)
    .into();
    let run = |workers| read_source(shipped_plugins(), &mut FileSource::new(mix.clone()), workers);
    let one = run(1);
    assert!(one.records.len() > 500, "only {} records", one.records.len());
    for workers in WORKERS {
        assert!(run(workers).records == one.records, "other output with {workers} workers");
    }
}

/// Requests of several flows that end at once, and began at once: their flows' order counts, not that of their shards.
#[test]
fn records_of_the_same_times_come_in_the_same_order_with_any_number_of_workers() {
    let (client, server) = (|port| ([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], 80).into());
    let asked = |port| {
        let request = format!("GET /{port} HTTP/1.1\r\nHost: shop\r\n\r\n").into_bytes();
        let segments = dialogue((client(port), server), 1_767_225_600_000_000_000, [(true, request)]);
        segments.into_iter().take(4)
    };
    let ports = 50_000..50_040;
    let mut segments: Vec<_> = ports.clone().rev().flat_map(asked).collect();
    segments.sort_by_key(|segment| segment.at);
    let file = to_file(&segments, Link::Ethernet);
    let one = read_with(shipped_plugins(), file.clone(), 1);
    let paths: Vec<_> = one.records.parsed().iter().map(|record| record["request"]["resource"].clone()).collect();
    assert_eq!(paths, ports.rev().map(|port| format!("/{port}")).collect::<Vec<_>>());
    for workers in WORKERS {
        let several = read_with(shipped_plugins(), file.clone(), workers);
        assert!(several.records == one.records, "other output with {workers} workers");
    }
}

/// Many times as long as what a source reads at a time: all that there is of two protocols, and a fragment now and then.
fn long() -> Vec<u8> {
    let mut all = Capture::parse(&corpus("kafka")).expect("a pcap file");
    all.packets.extend(Capture::parse(&corpus("mongodb")).expect("a pcap file").packets);
    let fragments: Vec<_> = (50..all.packets.len()).step_by(100).rev().collect();
    for at in fragments {
        let mut fragment = all.packets[at].clone();
        // The flag that says more fragments follow, behind an Ethernet header.
        fragment.data[20] |= 0x20;
        all.packets.insert(at, fragment);
    }
    all.to_bytes()
}

/// The same bytes, and the same counters but for times.
#[track_caller]
fn assert_same(one: &Outcome, other: &Outcome, what: &str) {
    assert!(other.records == one.records, "other output: {what}");
    assert_eq!(other.errors, one.errors, "{what}");
    for part in ["capture", "flows", "records", "losses"] {
        assert!(one.summary[part] == other.summary[part], "other {part} in the summary: {what}");
    }
}

/// The capture as a file, which each worker reads for itself, and as what can be read only once.
fn both_ways(name: &str, capture: &[u8]) -> [(&'static str, FileSource); 2] {
    let path = scratch("workers").join(name);
    std::fs::write(&path, capture).expect("the folder for temporary files can be written to");
    let once = FileSource::from_reader(&path.display().to_string(), io::Cursor::new(capture.to_vec()));
    [("a file", FileSource::new([path])), ("read once", once)]
}

#[test]
fn a_long_capture_gives_the_same_bytes_and_counters_with_any_number_of_workers() {
    let capture = long();
    assert!(capture.len() > 3 << 20, "only {} bytes", capture.len());
    let one = read_with(shipped_plugins(), capture.clone(), 1);
    assert!(
        one.summary["capture"]["ignored"]["fragment"].as_u64().is_some_and(|count| count > 100),
        "{}",
        one.summary["capture"]
    );
    for workers in WORKERS {
        for (way, mut source) in both_ways("long.pcap", &capture) {
            let several = read_source(shipped_plugins(), &mut source, workers);
            assert_same(&one, &several, &format!("{way}, {workers} workers"));
        }
    }
}

#[test]
fn a_capture_that_was_cut_off_gives_the_same_with_any_number_of_workers() {
    let mut capture = long();
    capture.truncate(capture.len() * 2 / 3 + 5);
    let [(_, mut file), _] = both_ways("cut.pcap", &capture);
    let cut = read_source(shipped_plugins(), &mut file, 1);
    assert!(cut.errors.len() == 1 && cut.errors[0].contains("cut off"), "{:?}", cut.errors);
    for workers in WORKERS {
        for (way, mut source) in both_ways("cut.pcap", &capture) {
            let several = read_source(shipped_plugins(), &mut source, workers);
            assert_same(&cut, &several, &format!("{way}, {workers} workers"));
        }
    }
}

/// Workers that read for themselves stop at the same packet, a little later than one alone.
#[test]
fn a_run_that_is_stopped_is_one_of_fewer_packets_for_any_number_of_workers() {
    let capture = long();
    for workers in [1].into_iter().chain(WORKERS) {
        for (way, source) in both_ways("stopped.pcap", &capture) {
            let what = format!("{way}, {workers} workers");
            let stopped = read_stopped(shipped_plugins(), source, 5_000, workers);
            let packets = stopped.summary["capture"]["packets"].as_u64().unwrap_or(0);
            let latest = if way == "a file" && workers > 1 { 14_000 } else { 5_000 };
            assert!((5_000..=latest).contains(&packets), "{packets} packets: {what}");
            let [_, (_, mut source)] = both_ways("fewer.pcap", &capture);
            assert_same(&read_first(shipped_plugins(), &mut source, packets, 1), &stopped, &what);
        }
    }
}

/// A pipe gives a little at a time, and what it gave is not kept but copied.
struct Pipe(io::Cursor<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(4096);
        self.0.read(&mut into[..len])
    }
}

#[test]
fn a_pipe_gives_what_a_file_gives() {
    let capture = long();
    let file = read_with(shipped_plugins(), capture.clone(), 1);
    for workers in [1, 2, 16] {
        let pipe = Pipe(io::Cursor::new(capture.clone()));
        let piped = read_source(shipped_plugins(), &mut FileSource::from_reader("the capture", pipe), workers);
        assert_same(&file, &piped, &format!("{workers} workers"));
    }
}
