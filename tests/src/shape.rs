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

/// Whether the TCP segments of a capture give the same records however they are cut, shuffled, repeated and numbered;
/// says where not.
#[must_use]
pub fn differences_by_cut(plugins: &Arc<PluginSet>, fixture: &Fixture) -> String {
    let segments = segments(&Capture::read(&fixture.path));
    let records = |segments: &[Segment]| {
        let outcome = read_with(plugins, to_file(segments, Link::Ethernet), 1);
        let mut records = outcome.records.without_times();
        records.sort();
        records
    };
    let original = records(&segments);
    assert!(!original.is_empty(), "{}: no records", fixture.name);
    let rewrites: [(&str, Vec<Segment>); 9] = [
        ("single bytes", rewrite::cut(&segments, 1)),
        ("three bytes", rewrite::cut(&segments, 3)),
        ("pieces of 1447", rewrite::cut(&segments, 1447)),
        ("cut behind headers", rewrite::cut_behind_headers(&segments)),
        ("coalesced", rewrite::coalesced(&segments)),
        ("shuffled", rewrite::shuffled(&segments, 8, 7)),
        ("everything twice", rewrite::doubled(&segments, 1, 2_000_000)),
        ("wrapping", rewrite::wrapping(&segments, 30)),
        ("IPv6", rewrite::over_ipv6(&segments)),
    ];
    let mut report = String::new();
    for (name, rewritten) in rewrites {
        let records = records(&rewritten);
        if let Some(at) = (0..original.len().max(records.len())).find(|at| original.get(*at) != records.get(*at)) {
            let (ours, theirs) = (records.get(at), original.get(at));
            report += &format!("{}, {name}: record {at} is {ours:?}, not {theirs:?}\n", fixture.name);
        }
    }
    report
}
