//! The counters of all stages, added up, and turned into the summary that people and programs read.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use super::LoopReport;
use super::workers::ShedCounters;
use crate::capture::{CaptureError, CaptureStats};
use crate::merge::Merge;
use crate::plugin::PluginSet;
use crate::reassembly::ReassemblyCounters;
use crate::running::PluginStats;
use crate::session::SessionCounters;
use crate::shard::Shard;
use crate::summary::{CaptureSummary, FlowSummary, Loss, PluginSummary, RecordSummary, Summary, Unclaimed};

/// What a run amounts to.
#[derive(Debug)]
pub struct RunReport {
    /// The counters.
    pub summary: Summary,
    /// What could not be read. The rest was.
    pub errors: Vec<CaptureError>,
}

/// Sums over shards.
#[derive(Debug, Default)]
pub(super) struct ShardTotals {
    flows: u64,
    evicted_flows: u64,
    evicted_for_memory: u64,
    reassembly: ReassemblyCounters,
    sessions: SessionCounters,
    unclaimed: HashMap<Unclaimed, u64>,
    claimed: HashMap<(u16, usize), u64>,
    plugins: Vec<PluginStats>,
    /// What the records of each shard say.
    records: Vec<(usize, RecordSummary)>,
    /// What did not get to the shards.
    pub(super) shed: ShedCounters,
}

impl ShardTotals {
    pub(super) fn add(&mut self, index: usize, shard: &mut Shard) {
        let (report, plugins) = shard.report();
        self.records.push((index, std::mem::take(&mut report.records)));
        self.flows += report.flows;
        self.evicted_flows += report.evicted_flows;
        self.evicted_for_memory += report.evicted_for_memory;
        self.reassembly.add(&report.reassembly);
        self.sessions.add(&report.sessions);
        add_flows(&mut self.unclaimed, &report.unclaimed);
        add_flows(&mut self.claimed, &report.claimed);
        self.plugins.resize_with(plugins.len().max(self.plugins.len()), PluginStats::default);
        for (sum, stats) in self.plugins.iter_mut().zip(plugins.stats()) {
            sum.add(stats);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.flows += other.flows;
        self.evicted_flows += other.evicted_flows;
        self.evicted_for_memory += other.evicted_for_memory;
        self.reassembly.add(&other.reassembly);
        self.sessions.add(&other.sessions);
        self.records.extend(other.records);
        add_flows(&mut self.unclaimed, &other.unclaimed);
        add_flows(&mut self.claimed, &other.claimed);
        self.plugins.resize_with(other.plugins.len().max(self.plugins.len()), PluginStats::default);
        for (sum, stats) in self.plugins.iter_mut().zip(&other.plugins) {
            sum.add(stats);
        }
    }

    fn losses(&self, capture: &CaptureStats, facts: (u64, u64)) -> Vec<Loss> {
        let (r, s) = (&self.reassembly, &self.sessions);
        let plugins = |count: fn(&PluginStats) -> u64| self.plugins.iter().map(count).sum();
        [
            ("kernel_drops", "packets the kernel dropped: raise --buffer or lower --snaplen", capture.kernel_drops),
            ("interface_drops", "packets the interface dropped", capture.interface_drops),
            ("truncated_packets", "packets cut by the snaplen of the capture", capture.truncated),
            ("ring_events", "events the trace's ring had no room for: raise --buffer", capture.sockets.ring_events),
            ("ring_bytes", "socket bytes in them", capture.sockets.ring_bytes),
            ("cap_bytes", "socket bytes over the cap of a call: raise --call-cap", capture.sockets.cap_bytes),
            ("fault_bytes", "socket bytes in memory that could not be read", capture.sockets.fault_bytes),
            ("concurrent_bytes", "socket bytes whose place is unknown: two callers", capture.sockets.concurrent_bytes),
            ("muted_calls", "calls on sockets that nobody claimed", capture.sockets.muted_calls),
            ("compat_calls", "32-bit system calls, which are not decoded", capture.sockets.compat_calls),
            ("untracked_calls", "calls that could not be followed", capture.sockets.untracked_calls),
            (
                "ciphertext_bytes",
                "socket bytes of TLS, read in its library if at all",
                capture.sockets.ciphertext_bytes,
            ),
            ("unplaced_bytes", "bytes of which no peer or connection is known", capture.sockets.unplaced_bytes),
            ("datagrams", "datagrams that the trace's ring had no room for", capture.sockets.datagrams),
            ("gaps", "places where captured streams miss bytes", r.gaps),
            ("gap_bytes", "bytes missing there", r.gap_bytes),
            ("absorbed_bytes", "of them, bytes that no plugin wanted to see", s.absorbed_bytes),
            ("conflicting_bytes", "bytes sent twice with different content; the first were kept", r.conflicting_bytes),
            ("out_of_window", "segments too far from their stream", r.out_of_window),
            ("after_close_bytes", "bytes after a stream's end", r.after_close_bytes),
            ("held_limit_exceeded", "times that out-of-order bytes went over their bound", r.held_limit_exceeded),
            ("order_waived", "times that two directions waited for each other", r.order_waived),
            ("midstream", "streams caught in their middle", r.midstream),
            ("evicted_flows", "flows that gave way to newer ones", self.evicted_flows),
            ("evicted_for_memory", "flows that gave way because too much was buffered", self.evicted_for_memory),
            ("shed_flows", "flows given up, or for a while, as their worker could not keep up", self.shed.flows),
            ("shed_packets", "packets of them that were dropped", self.shed.packets),
            ("resyncs", "times that a frame's start had to be looked for", s.resyncs),
            ("resync_bytes", "bytes passed over while looking", s.resync_bytes),
            ("malformed", "times that a plugin found bytes malformed", s.malformed),
            ("rejected", "flows that a plugin gave back", s.rejected),
            ("faulted", "flows closed to a plugin that failed on them", s.faulted),
            ("quarantined_bytes", "bytes that passed while their plugin was in quarantine", s.quarantined_bytes),
            ("reopened", "flows whose plugin was rebuilt under them", s.reopened),
            ("swapped_in_flight", "messages lost as their plugin was replaced in their middle", s.swapped_in_flight),
            ("parts_dropped", "messages in parts given up because too many were open", s.parts_dropped),
            ("replaced_strings", "strings that were not UTF-8", plugins(|stats| stats.replaced_strings)),
            ("log_lines_dropped", "log lines of plugins over their limit", plugins(|stats| stats.log_lines_dropped)),
            ("facts_evicted", "facts forgotten for want of room", facts.0),
            ("facts_refused", "facts too long to be kept", facts.1),
        ]
        .into_iter()
        .map(|(name, explanation, count)| Loss { name, explanation, count })
        .collect()
    }
}

/// Adds numbers of flows to those that are counted under the same keys.
fn add_flows<K: Copy + Eq + Hash>(sums: &mut HashMap<K, u64>, more: &HashMap<K, u64>) {
    for (key, flows) in more {
        *sums.entry(*key).or_default() += flows;
    }
}

impl RunReport {
    pub(super) fn new(
        capture: CaptureStats,
        counted: LoopReport,
        plugins: &Arc<PluginSet>,
        totals: ShardTotals,
        merge: &Merge<'_>,
    ) -> Self {
        let losses = totals.losses(&capture, merge.facts_lost());
        let plugins = counted.plugins.as_ref().unwrap_or(plugins);
        let mut flows = FlowSummary { seen: totals.flows, swapped: totals.sessions.swapped, ..FlowSummary::default() };
        for ((port, slot), count) in &totals.claimed {
            let name = plugins.get(*slot).map_or("a plugin that is gone", |plugin| &plugin.identity.name);
            *flows.claimed_by_port.entry((*port, name.to_owned())).or_default() += count;
        }
        let mut plugins = plugin_summaries(plugins, totals.plugins);
        plugins.sort_by(|a, b| a.name.cmp(&b.name));
        for plugin in &plugins {
            flows.claimed.push((plugin.name.clone(), plugin.claims.saturating_sub(plugin.left)));
        }
        let unclaimed: BTreeMap<Unclaimed, u64> = totals.unclaimed.iter().map(|(key, n)| (*key, *n)).collect();
        for (key, count) in &unclaimed {
            flows.unclaimed.add(key, *count);
        }
        let summary = Summary {
            capture: CaptureSummary {
                packets: capture.packets,
                bytes: capture.bytes,
                first: counted.first,
                last: counted.first.map(|_| counted.last),
                ignored: counted.ignored.iter().map(|(reason, count)| (reason.name(), count)).collect(),
                duplicates: counted.duplicates,
                kernel_drops: capture.kernel_drops,
            },
            flows,
            records: records(totals.records),
            losses,
            plugins,
        };
        Self { summary, errors: counted.errors }
    }
}

/// In the order of the shards: where not all can be told apart, it is the same ones for any number of workers.
fn records(mut of_shards: Vec<(usize, RecordSummary)>) -> RecordSummary {
    of_shards.sort_unstable_by_key(|(index, _)| *index);
    let mut sum = RecordSummary::default();
    of_shards.iter().for_each(|(_, records)| sum.merge(records));
    sum
}

fn plugin_summaries(plugins: &PluginSet, stats: Vec<PluginStats>) -> Vec<PluginSummary> {
    let plugins = (0..plugins.len()).filter_map(|slot| plugins.get(slot));
    plugins
        .zip(stats)
        .map(|(plugin, stats)| PluginSummary {
            name: plugin.identity.name.clone(),
            version: plugin.identity.version.clone(),
            abi: plugin.abi(stats.era),
            errors: stats.errors,
            calls: stats.calls,
            call_time: stats.call_time,
            claims: stats.claims,
            left: stats.left,
            faults: stats.faults.into_iter().collect(),
            fault_examples: stats.examples,
            quarantines: stats.quarantines,
            host_quarantines: stats.host_quarantines,
            memory_bytes: stats.memory_bytes,
            gaps: stats.gaps,
            truncated_bytes: stats.truncated_bytes,
            resyncs: stats.resyncs,
        })
        .collect()
}
