//! The same conversations in other packets, for the plugins of one protocol: whatever carries the bytes, the records are
//! those of the original, but for times.

use std::sync::Arc;

use protap::plugin::PluginSet;
use serde_json::Value;

use crate::artifacts::Fixture;
use crate::engine::read_with;
use crate::link::Link;
use crate::pcap::{Capture, read_plain};
use crate::rewrite;
use crate::segment::{Segment, segments, to_file};

/// Bytes of payload up to which a capture is also cut into single bytes.
const SMALL: usize = 80_000;

type Rewrite = fn(&[Segment]) -> Vec<Segment>;

const REWRITES: [(&str, Rewrite); 10] = [
    ("single bytes", |s| rewrite::cut(s, 1)),
    ("pieces of 7", |s| rewrite::cut(s, 7)),
    ("cut behind headers", rewrite::cut_behind_headers),
    ("coalesced", rewrite::coalesced),
    ("shuffled, seed 1", |s| rewrite::shuffled(s, 8, 1)),
    ("shuffled, seed 2", |s| rewrite::shuffled(s, 8, 2)),
    ("doubled at once", |s| rewrite::doubled(s, 7, 0)),
    ("retransmitted after 5 ms", |s| rewrite::doubled(s, 7, 5_000_000)),
    ("wrap in the first frame", |s| rewrite::wrapping(s, 30)),
    ("IPv6", rewrite::over_ipv6),
];

/// What differs in the records of the rewritten capture, in words; empty if nothing does.
#[must_use]
pub fn differences(plugins: &Arc<PluginSet>, fixture: &Fixture) -> String {
    let original = sorted(read_with(plugins, fixture.bytes(), 1).records.without_times());
    let segments = segments(&Capture::read(&fixture.path));
    let size: usize = segments.iter().map(|segment| segment.payload.len()).sum();
    let mut report = String::new();
    for (name, rewrite) in REWRITES {
        if name == "single bytes" && size > SMALL {
            continue;
        }
        let file = to_file(&rewrite(&segments), Link::Ethernet);
        let records = sorted(read_with(plugins, file, 1).records.without_times());
        if let Some((was, is)) = original.iter().zip(&records).find(|(a, b)| a != b) {
            report += &format!("{}, {name}: \n    {is}\n  instead of\n    {was}\n", fixture.name);
        } else if original.len() != records.len() {
            report += &format!("{}, {name}: {} records instead of {}\n", fixture.name, records.len(), original.len());
        }
    }
    report
}

/// Records that are complete at the same time come in the order of their packets, which a rewrite may change.
fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// The lines of an independent decode beside the capture.
#[must_use]
pub fn oracle(fixture: &Fixture, what: &str) -> Vec<Value> {
    let text = String::from_utf8(read_plain(&fixture.oracle(what))).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
