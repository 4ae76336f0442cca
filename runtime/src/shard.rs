//! A fixed share of all flows, with its own table, limits and plugin instances. There are [`FEW_SHARDS`] of them, however
//! many of as many workers serve them, and what one does depends on its own segments alone: so records and counters are
//! the same for any number of workers. More workers than that have more shards to serve, in which limits and faults touch
//! other flows.

mod core;
mod flow;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use lru::LruCache;

use self::core::Core;
use self::flow::{Flow, LINGER, UDP_IDLE};
use crate::packet::{FlowKey, GivenUp, Segment, Timestamp, Transport};
use crate::plugin::PluginSet;
use crate::reassembly::ReassemblyCounters;
use crate::record::{Output, ProcessPair, Spares};
use crate::running::RunningPlugins;
use crate::session::SessionCounters;
use crate::summary::{RecordSummary, Unclaimed};

/// Number of shards for up to as many workers: each has instances of the plugins, which want their place in the caches.
pub const FEW_SHARDS: usize = 4;
/// Number of shards for more workers: no more than this can be busy.
pub const MAX_SHARDS: usize = 16;

/// How long a flow may stay with an older version of its plugin to finish a message, in nanoseconds.
const RETIREMENT: u64 = 2_000_000_000;

/// What bounds a run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Flows that are followed at a time, over all shards; the least recently used gives way.
    pub flows: usize,
    /// Bytes that all flows together may keep.
    pub buffered_bytes: usize,
}

/// Number of shards that so many workers serve.
#[must_use]
pub fn shards_of(workers: usize) -> usize {
    if workers <= FEW_SHARDS { FEW_SHARDS } else { MAX_SHARDS }
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 262_144, buffered_bytes: 1 << 30 }
    }
}

/// An order to parse flows of a port with a plugin, whatever their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeAs {
    /// TCP or UDP.
    pub transport: Transport,
    /// Server port.
    pub port: u16,
    /// Index of the plugin.
    pub plugin: usize,
}

/// How flows are treated.
#[derive(Clone, Debug, Default)]
pub struct FlowOptions {
    /// Limits of the run.
    pub limits: Limits,
    /// Orders.
    pub decode_as: Vec<DecodeAs>,
    /// A record for each response instead of one for each request.
    pub has_each_response: bool,
    /// Who wants to know of flows that nobody will claim: a source that can save itself their bytes.
    pub given_up: Option<Sender<GivenUp>>,
}

impl FlowOptions {
    /// The same for each of so many shards: its part of the limits.
    #[must_use]
    pub fn for_each_of(&self, shards: usize) -> Self {
        let Limits { flows, buffered_bytes } = self.limits;
        let part = |all: usize| all.checked_div(shards).unwrap_or(all);
        Self { limits: Limits { flows: part(flows).max(1), buffered_bytes: part(buffered_bytes) }, ..self.clone() }
    }
}

/// A share of the flows.
#[derive(Debug)]
pub struct Shard {
    flows: LruCache<FlowKey, Flow>,
    core: Core,
}

/// What a shard counted.
#[derive(Debug, Default)]
pub struct ShardReport {
    /// Flows seen.
    pub flows: u64,
    /// Flows that gave way to others.
    pub evicted_flows: u64,
    /// Flows that gave way because too many bytes were kept.
    pub evicted_for_memory: u64,
    /// Reassembly.
    pub reassembly: ReassemblyCounters,
    /// Sessions.
    pub sessions: SessionCounters,
    /// Flows that nobody claimed.
    pub unclaimed: HashMap<Unclaimed, u64>,
    /// Flows by their server's port and the plugin whose they were to their end.
    pub claimed: HashMap<(u16, usize), u64>,
    /// What the records say that were handed out.
    pub records: RecordSummary,
}

impl Shard {
    /// An empty shard, which keeps to the limits for itself.
    #[must_use]
    pub fn new(plugins: Arc<PluginSet>, options: Arc<FlowOptions>) -> Self {
        Self { flows: LruCache::unbounded(), core: Core::new(plugins, options) }
    }

    /// Takes a segment of one of its flows.
    pub fn segment(&mut self, segment: &Segment<'_>, processes: Option<&ProcessPair>) {
        self.take(FlowKey::of(segment), segment, processes);
    }

    /// Takes a segment of that flow, one of its own. Source and destination may be known processes.
    pub(crate) fn take(&mut self, key: FlowKey, segment: &Segment<'_>, processes: Option<&ProcessPair>) {
        let core = &mut self.core;
        core.now = core.now.max(segment.at);
        // Mostly it is of the same flow as the one before.
        let is_latest = self.flows.peek_mru().is_some_and(|(latest, _)| *latest == key);
        let latest = if is_latest { self.flows.iter_mut().next() } else { None };
        let flow = match latest {
            Some((_, flow)) => flow,
            None => self.flows.get_or_insert_mut(key, || core.begin(segment)),
        };
        if let Some([source, destination]) = processes {
            for (end, process) in [(segment.source, source), (segment.destination, destination)] {
                process.iter().for_each(|process| flow.session.set_process(end, process));
            }
        }
        core.observe(&key, flow, segment);
        if let Some(tell) = &core.options.given_up
            && !flow.is_told_given_up
            && flow.session.is_given_up()
        {
            let given_up = GivenUp { a: segment.source, b: segment.destination, at: segment.at };
            // A full queue is no loss: the next segment tells again.
            let told = tell.try_send(given_up);
            flow.is_told_given_up = told.is_ok();
        }
        self.make_room();
    }

    /// The flow is followed no more, as there is no time for it.
    pub(crate) fn shed(&mut self, key: &FlowKey) {
        if let Some(mut flow) = self.flows.pop(key) {
            self.core.end(key, &mut flow, "shed");
        }
    }

    /// Other plugins from now on. Flows change over between two messages, now or later.
    pub fn replace_plugins(&mut self, set: &Arc<PluginSet>) {
        self.change_over(true);
        let core = &mut self.core;
        let changed = core.plugins.replace(set.clone());
        core.retires_at = Some(core.now.saturating_add(RETIREMENT));
        for (key, flow) in &mut self.flows {
            core.with(|cx| flow.session.plugins_changed(&changed, cx));
            flow.is_told_given_up = false;
            core.weigh(key, flow);
        }
    }

    /// Flows that are still with an older version of their plugin change over, wherever they are; it ends.
    fn change_over(&mut self, is_due: bool) {
        let core = &mut self.core;
        if !is_due || core.retires_at.take().is_none() {
            return;
        }
        for (_, flow) in &mut self.flows {
            core.with(|cx| flow.session.swap(true, cx));
        }
        core.plugins.retire();
    }

    /// Looks after what waits. `packet` is the latest of the whole capture; `is_quiet` if no packet is under way.
    pub fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) {
        self.core.now = self.core.now.max(now);
        self.change_over(self.core.retires_at.is_some_and(|at| at <= self.core.now));
        self.rest();
        let due = self.due();
        let core = &mut self.core;
        let (mut over, mut expires) = (Vec::new(), core.expires);
        for key in due {
            let Some(flow) = self.flows.peek_mut(&key) else { continue };
            if core.look_after(&key, flow, packet, is_quiet) {
                over.push(key);
            }
            expires = expires.min(flow.expires);
        }
        core.expires = expires;
        for key in over {
            if let Some(mut flow) = self.flows.pop(&key) {
                self.core.end(&key, &mut flow, "idle");
            }
        }
    }

    /// Flows that have been silent for a while give memory back.
    fn rest(&mut self) {
        let now = self.core.now;
        let resting = &mut self.core.resting;
        while let Some(Reverse((_, key))) = resting.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            resting.pop();
            let again = self.flows.peek_mut(&key).and_then(|flow| flow.rest(now));
            resting.extend(again.map(|at| Reverse((at, key))));
        }
    }

    /// The flows that something is due for, the one used last first. All are looked at only if a request may have waited
    /// too long; else it is those that wait, and those that were used least recently.
    fn due(&mut self) -> Vec<FlowKey> {
        let (now, core) = (self.core.now, &mut self.core);
        if core.expires <= now {
            core.expires = Timestamp::MAX;
            let mut due = Vec::new();
            for (key, flow) in &self.flows {
                if flow.is_due(now) {
                    due.push(*key);
                } else {
                    core.expires = core.expires.min(flow.expires);
                }
            }
            return due;
        }
        let is_old = |flow: &Flow| flow.last_seen.saturating_add(LINGER.min(UDP_IDLE)) <= now;
        let old = self.flows.iter().rev().take_while(|(_, flow)| is_old(flow));
        let idle = old.filter(|(_, flow)| flow.is_due(now) && !flow.is_waiting);
        let waiting = core.waiting.iter().filter_map(|key| self.flows.peek(key).map(|flow| (key, flow)));
        let mut due: Vec<(u64, FlowKey)> = idle.chain(waiting).map(|(key, flow)| (flow.last_packet, *key)).collect();
        due.sort_unstable_by_key(|(last_packet, _)| Reverse(*last_packet));
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// Nothing more will come.
    pub fn finish(&mut self, reason: &'static str) {
        while let Some((key, mut flow)) = self.flows.pop_lru() {
            self.core.end(&key, &mut flow, reason);
        }
    }

    /// Takes over what so many records were made of that have been written.
    pub fn take_spares(&mut self, spares: &mut Spares, records: usize) {
        self.core.spares.take_from(spares, records);
    }

    /// Whether nothing came out since it was handed out.
    #[inline]
    #[must_use]
    pub fn has_nothing_out(&self) -> bool {
        self.core.out.is_empty()
    }

    /// Hands out what came out since the last call, each with what takes back what it is made of.
    pub fn hand_out(&mut self, mut take: impl FnMut(Output, &mut Spares)) {
        let core = &mut self.core;
        for output in core.out.drain(..) {
            if let Output::Record(record) = &output {
                core.report.records.observe(record);
            }
            take(output, &mut core.spares);
        }
    }

    /// The shard's counters and its plugins.
    pub fn report(&mut self) -> (&mut ShardReport, &mut RunningPlugins) {
        (&mut self.core.report, &mut self.core.plugins)
    }

    /// Evicts the least recently used flows until the limits hold.
    fn make_room(&mut self) {
        let Limits { flows, buffered_bytes: bytes } = self.core.options.limits;
        while self.flows.len() > flows || (self.core.buffered > bytes && self.flows.len() > 1) {
            if self.flows.len() > flows {
                self.core.report.evicted_flows += 1;
            } else {
                self.core.report.evicted_for_memory += 1;
            }
            let Some((key, mut flow)) = self.flows.pop_lru() else { return };
            self.core.end(&key, &mut flow, "evicted");
        }
    }
}
