//! What the tests of the plugins in `tests/plugins/` share: the plugin beside the shipped ones, the log of the client
//! that was recorded, and the same capture in other packets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use protap::plugin::PluginSet;
use serde_json::Value;

use crate::artifacts::{Fixture, plugin, test_plugin};
use crate::engine::{Outcome, load, read_with};
use crate::link::Link;
use crate::pcap::{Capture, read_plain};
use crate::records::ports;
use crate::rewrite;
use crate::segment::{Segment, segments, to_file};

/// Bytes of payload up to which a capture is also cut into very small pieces.
const SMALL: usize = 80_000;
const BYTEWISE: [&str; 2] = ["single bytes", "three bytes"];

type Rewrite = fn(&[Segment]) -> Vec<Segment>;

const REWRITES: [(&str, Rewrite); 13] = [
    ("single bytes", |s| rewrite::cut(s, 1)),
    ("three bytes", |s| rewrite::cut(s, 3)),
    ("pieces of 7", |s| rewrite::cut(s, 7)),
    ("pieces of 1447", |s| rewrite::cut(s, 1447)),
    ("cut behind headers", rewrite::cut_behind_headers),
    ("coalesced", rewrite::coalesced),
    ("shuffled, seed 1", |s| rewrite::shuffled(s, 8, 1)),
    ("shuffled, seed 2", |s| rewrite::shuffled(s, 8, 2)),
    ("doubled at once", |s| rewrite::doubled(s, 7, 0)),
    ("retransmitted after 5 ms", |s| rewrite::doubled(s, 7, 5_000_000)),
    ("everything twice", |s| rewrite::doubled(s, 1, 2_000_000)),
    ("wrap in the first frame", |s| rewrite::wrapping(s, 30)),
    ("IPv6", rewrite::over_ipv6),
];

/// A plugin of `tests/plugins/`, beside those that are shipped.
#[must_use]
pub fn beside_the_shipped(name: &str) -> Arc<PluginSet> {
    load([test_plugin(name), plugin("kafka"), plugin("mongodb")].iter().map(AsRef::<Path>::as_ref))
}

/// JSON Lines of an independent decode.
#[must_use]
pub fn decode(fixture: &Fixture, extension: &str) -> Vec<Value> {
    let text = String::from_utf8(read_plain(&fixture.oracle(extension))).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON Lines")).collect()
}

/// Lines of a decode or a log by the client's port, in order.
#[must_use]
pub fn by_port(lines: Vec<Value>) -> BTreeMap<u16, Vec<Value>> {
    let mut by_port: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for line in lines {
        let port = line["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        by_port.entry(port).or_default().push(line);
    }
    by_port
}

/// Records by the client's port, in the order of their first bytes.
#[must_use]
pub fn records_by_port(outcome: &Outcome) -> BTreeMap<u16, Vec<Value>> {
    let mut by_port: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for record in outcome.records.parsed() {
        by_port.entry(ports(&record).0).or_default().push(record);
    }
    let ts = |record: &Value| record["ts"].as_str().expect("a time").to_owned();
    by_port.values_mut().for_each(|records| records.sort_by_key(ts));
    by_port
}

/// What differs in the records of a capture whose segments are cut, shuffled, repeated and numbered anew, in words; empty if
/// nothing does. Records that are complete at the same time come in the order of their packets, which that may change.
#[must_use]
pub fn differences(plugins: &Arc<PluginSet>, fixture: &Fixture) -> String {
    let segments = segments(&Capture::read(&fixture.path));
    let size: usize = segments.iter().map(|segment| segment.payload.len()).sum();
    let records = |segments: &[Segment]| {
        let mut records = read_with(plugins, to_file(segments, Link::Ethernet), 1).records.without_times();
        records.sort();
        records
    };
    let original = records(&segments);
    assert!(!original.is_empty(), "{}: no records", fixture.name);
    let mut report = String::new();
    for (name, rewrite) in REWRITES {
        if size > SMALL && BYTEWISE.contains(&name) {
            continue;
        }
        let records = records(&rewrite(&segments));
        if let Some(at) = (0..original.len().max(records.len())).find(|at| original.get(*at) != records.get(*at)) {
            let (ours, theirs) = (records.get(at), original.get(at));
            report += &format!("{}, {name}: record {at} is {ours:?}, not {theirs:?}\n", fixture.name);
        }
    }
    report
}
