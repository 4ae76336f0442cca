//! What a run amounts to: counters in, a short report for people and a JSON tree for machines out. The pipeline fills
//! the fields at the end and hands over every record as it is emitted; nothing here measures or decides anything.
//! All tables are bounded, and what no longer fits is counted as other.

mod histogram;
mod json;
mod operations;
mod progress;
mod table;
mod tally;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};

pub use histogram::LatencyHistogram;
pub use operations::{Operation, OperationStats, VersionCoverage};
pub use progress::{Counters, Progress};
pub use tally::Tally;

use crate::emit::outcome;
use crate::packet::{Timestamp, Transport};
use crate::record::{Completeness, Record, RecordKind};
use crate::running::FaultExample;

/// Different (port, reason) pairs of unclaimed flows that are told apart: more than a network serves, however scanned.
const MAX_UNCLAIMED: usize = 1_024;

/// Different reasons for incomplete decoding that are told apart; they come from plugins, which may make them up.
const MAX_REASONS: usize = 256;

/// What a run amounts to.
#[derive(Debug, Default)]
pub struct Summary {
    /// What was captured.
    pub capture: CaptureSummary,
    /// What became of the flows.
    pub flows: FlowSummary,
    /// What the records say.
    pub records: RecordSummary,
    /// What was lost on the way, in pipeline order. Entries of count zero are not shown to people.
    pub losses: Vec<Loss>,
    /// One entry per plugin.
    pub plugins: Vec<PluginSummary>,
}

impl Summary {
    /// Writes the report for people; sections with nothing to say are left out.
    ///
    /// # Errors
    /// Whatever `out` answers.
    pub fn write_text(&self, out: &mut dyn Write, has_colour: bool) -> io::Result<()> {
        text::write(self, out, has_colour)
    }

    /// The same as a tree, with all rows, and zeros.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json::tree(self)
    }
}

/// What was captured.
#[derive(Debug, Default)]
pub struct CaptureSummary {
    /// Packets read.
    pub packets: u64,
    /// Bytes kept of them (caplen).
    pub bytes: u64,
    /// Capture time of the first packet.
    pub first: Option<Timestamp>,
    /// Capture time of the last packet.
    pub last: Option<Timestamp>,
    /// Packets that carry nothing for us, by reason.
    pub ignored: Vec<(&'static str, u64)>,
    /// Packets that were seen before, on another interface for instance.
    pub duplicates: u64,
    /// Packets that the kernel dropped because we were too slow.
    pub kernel_drops: u64,
}

/// What became of the flows.
#[derive(Debug)]
pub struct FlowSummary {
    /// All flows.
    pub seen: u64,
    /// Flows by the name of the plugin whose they are. What a plugin could not read on, or handed over to nobody, is
    /// unclaimed, so that each flow counts once.
    pub claimed: Vec<(String, u64)>,
    /// The same by the server's port too.
    pub claimed_by_port: BTreeMap<(u16, String), u64>,
    /// Flows that nobody claimed, by server port and reason.
    pub unclaimed: Tally<Unclaimed>,
    /// Times that one changed over to a newer version of its plugin.
    pub swapped: u64,
}

impl Default for FlowSummary {
    fn default() -> Self {
        Self {
            seen: 0,
            swapped: 0,
            claimed: Vec::new(),
            claimed_by_port: BTreeMap::new(),
            unclaimed: Tally::new(MAX_UNCLAIMED),
        }
    }
}

/// Where flows are that nobody claimed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unclaimed {
    /// TCP or UDP.
    pub transport: Transport,
    /// The server's port.
    pub port: u16,
    /// `tls`, `no plugin`, `rejected`, `mid-stream`, ...
    pub reason: &'static str,
}

/// What the records say.
#[derive(Debug, Default)]
pub struct RecordSummary {
    /// Records by protocol and kind.
    pub by_protocol: BTreeMap<String, KindCounts>,
    /// Records by operation.
    pub operations: OperationStats,
    /// Records of each plugin, by its name.
    pub by_plugin: BTreeMap<String, PluginRecords>,
}

impl RecordSummary {
    /// For the records of one shard.
    #[must_use]
    pub fn of_shard() -> Self {
        Self { operations: OperationStats::new(operations::SHARD_LIMIT), ..Self::default() }
    }

    /// Counts one record.
    pub fn observe(&mut self, record: &Record) {
        let protocol = outcome::protocol(record);
        // Protocols come from manifests, so they are few.
        if let Some(kinds) = self.by_protocol.get_mut(protocol) {
            kinds.count(record.kind);
        } else {
            self.by_protocol.entry(protocol.to_owned()).or_default().count(record.kind);
        }
        if let Some(plugin) = self.by_plugin.get_mut(&record.plugin.name) {
            plugin.observe(record);
        } else {
            self.by_plugin.entry(record.plugin.name.clone()).or_default().observe(record);
        }
        self.operations.observe(record);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (protocol, kinds) in &other.by_protocol {
            self.by_protocol.entry(protocol.clone()).or_default().add(*kinds);
        }
        for (plugin, records) in &other.by_plugin {
            let mine = self.by_plugin.entry(plugin.clone()).or_default();
            mine.kinds.add(records.kinds);
            mine.coverage.add(&records.coverage);
        }
        self.operations.merge(&other.operations);
    }

    /// How much of the messages was decoded, over all plugins.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let mut sum = Coverage::default();
        self.by_plugin.values().for_each(|plugin| sum.add(&plugin.coverage));
        sum
    }
}

/// What the records of one plugin say.
#[derive(Debug, Default)]
pub struct PluginRecords {
    /// Records by kind: those without their other half are the requests and responses that were not matched.
    pub kinds: KindCounts,
    /// How much of the messages was decoded.
    pub coverage: Coverage,
}

impl PluginRecords {
    fn observe(&mut self, record: &Record) {
        self.kinds.count(record.kind);
        self.coverage.observe(record);
    }
}

/// Records by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// Requests with their responses.
    pub session: u64,
    /// Requests without response.
    pub request: u64,
    /// Responses without request.
    pub response: u64,
    /// Messages that need no answer.
    pub oneway: u64,
}

impl KindCounts {
    fn count(&mut self, kind: RecordKind) {
        *match kind {
            RecordKind::Session => &mut self.session,
            RecordKind::Request => &mut self.request,
            RecordKind::Response => &mut self.response,
            RecordKind::OneWay => &mut self.oneway,
        } += 1;
    }

    fn add(&mut self, other: Self) {
        self.session += other.session;
        self.request += other.request;
        self.response += other.response;
        self.oneway += other.oneway;
    }

    /// In the order of the fields, with their names in the output.
    fn named(&self) -> [(&'static str, u64); 4] {
        [
            (outcome::kind_name(RecordKind::Session), self.session),
            (outcome::kind_name(RecordKind::Request), self.request),
            (outcome::kind_name(RecordKind::Response), self.response),
            (outcome::kind_name(RecordKind::OneWay), self.oneway),
        ]
    }
}

/// How much of the messages was decoded. The responses to one request count as one message.
#[derive(Debug)]
pub struct Coverage {
    /// Messages decoded in full.
    pub full: u64,
    /// Messages decoded in part.
    pub partial: u64,
    /// Messages of which only the header was decoded.
    pub header: u64,
    /// Why not in full.
    pub reasons: Tally<String>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { full: 0, partial: 0, header: 0, reasons: Tally::new(MAX_REASONS) }
    }
}

impl Coverage {
    fn add(&mut self, other: &Self) {
        self.full += other.full;
        self.partial += other.partial;
        self.header += other.header;
        self.reasons.merge(&other.reasons);
    }

    /// All messages.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.full + self.partial + self.header
    }

    fn observe(&mut self, record: &Record) {
        for content in outcome::contents(record) {
            match content.completeness {
                Completeness::Full => self.full += 1,
                Completeness::Partial => self.partial += 1,
                Completeness::Header => self.header += 1,
            }
            if content.completeness != Completeness::Full {
                let reason = content.said(content.reason).unwrap_or("no reason given");
                self.reasons.add(tally::clip_name(reason), 1);
            }
        }
    }
}

/// Something that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Name of the counter.
    pub name: &'static str,
    /// What it counts, and what can be done about it, in half a sentence.
    pub explanation: &'static str,
    /// How many.
    pub count: u64,
}

/// What a plugin did and cost.
#[derive(Debug, Default)]
pub struct PluginSummary {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it keeps to: `protap` with the contract's version, or `deepflow` with the era of its records.
    pub abi: String,
    /// Calls into it.
    pub calls: u64,
    /// How long those calls took that were measured.
    pub call_time: LatencyHistogram,
    /// Flows that it claimed.
    pub claims: u64,
    /// Of them, those that are its own no more: it gave them up, handed them over or lost them.
    pub left: u64,
    /// Records that made no sense, of plugins that may give such without a fault.
    pub errors: u64,
    /// Traps, deadlines and broken answers, by kind.
    pub faults: Vec<(&'static str, u64)>,
    /// The first of them.
    pub fault_examples: Vec<FaultExample>,
    /// Times that it was left alone for a while, in one of the shards.
    pub quarantines: u64,
    /// Times that the flows of one host were closed to it for a while, in one of the shards.
    pub host_quarantines: u64,
    /// Linear memory of all its instances.
    pub memory_bytes: u64,
    /// Places where streams of its flows miss bytes.
    pub gaps: u64,
    /// Bytes missing in parts of messages that it skipped anyway.
    pub truncated_bytes: u64,
    /// Times that a frame's start had to be looked for in its flows.
    pub resyncs: u64,
}

impl PluginSummary {
    /// Calls that did not end: traps and deadlines.
    #[must_use]
    pub fn traps(&self) -> u64 {
        self.faults.iter().filter(|(kind, _)| is_trap(kind)).map(|(_, count)| count).sum()
    }

    /// Answers that made no sense, whether that is a fault or not.
    #[must_use]
    pub fn bad_answers(&self) -> u64 {
        let faults: u64 = self.faults.iter().filter(|(kind, _)| !is_trap(kind)).map(|(_, count)| count).sum();
        faults.saturating_add(self.errors)
    }
}

fn is_trap(kind: &str) -> bool {
    ["trap", "deadline"].contains(&kind)
}
