//! What a plugin did, counted.

use std::collections::BTreeMap;

use crate::packet::{Endpoint, Timestamp};
use crate::summary::LatencyHistogram;

/// Faults of a plugin that are told in full.
pub(super) const MAX_EXAMPLES: usize = 8;

/// What a plugin did in this shard.
#[derive(Debug, Default)]
pub struct PluginStats {
    /// Calls into it.
    pub calls: u64,
    /// How long the timed ones took.
    pub call_time: LatencyHistogram,
    /// Flows that it claimed.
    pub claims: u64,
    /// Of them, those that are its own no more: it gave them up, handed them over or lost them.
    pub left: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The first faults, by time.
    pub examples: Vec<FaultExample>,
    /// Times that all flows of a shard were closed to it for a while.
    pub quarantines: u64,
    /// Times that a host's flows were.
    pub host_quarantines: u64,
    /// Records that made no sense and answers that there are not, which are no faults: of DeepFlow plugins.
    pub errors: u64,
    /// The era of a DeepFlow plugin's records, once one told.
    pub era: Option<&'static str>,
    /// Strings that were not UTF-8.
    pub replaced_strings: u64,
    /// Bytes of its memory, at the most.
    pub memory_bytes: u64,
    /// Log lines that were dropped.
    pub log_lines_dropped: u64,
    /// Places where streams of its flows miss bytes.
    pub gaps: u64,
    /// Bytes missing in parts of messages that it skipped anyway.
    pub truncated_bytes: u64,
    /// Times that a frame's start had to be looked for in its flows.
    pub resyncs: u64,
}

impl PluginStats {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.call_time.merge(&other.call_time);
        self.claims += other.claims;
        self.left += other.left;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.examples.extend(other.examples.iter().cloned());
        self.examples.sort();
        self.examples.truncate(MAX_EXAMPLES);
        self.quarantines += other.quarantines;
        self.host_quarantines += other.host_quarantines;
        self.errors += other.errors;
        self.era = self.era.max(other.era);
        self.replaced_strings += other.replaced_strings;
        self.memory_bytes += other.memory_bytes;
        self.log_lines_dropped += other.log_lines_dropped;
        self.gaps += other.gaps;
        self.truncated_bytes += other.truncated_bytes;
        self.resyncs += other.resyncs;
    }
}

/// A fault, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultExample {
    /// When.
    pub at: Timestamp,
    /// Both ends of the flow; the first one opened it or spoke first.
    pub ends: (Endpoint, Endpoint),
    /// What went wrong.
    pub error: String,
}
