//! A fixed share of all flows, with its own table, limits and plugin instances. There are always [`SHARDS`] of them,
//! however many workers serve them, and what one does depends on its own segments alone: so records and counters are
//! the same for any number of workers.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crossbeam_channel::Sender;
use lru::LruCache;

use crate::packet::{Endpoint, Segment, Timestamp, Transport};
use crate::pair::REQUEST_TIMEOUT;
use crate::plugin::PluginSet;
use crate::reassembly::{Direction, FlowAssembler, Observed, ReassemblyCounters};
use crate::record::ProcessPair;
use crate::running::RunningPlugins;
use crate::session::{Output, Session, SessionContext, SessionCounters};
use crate::summary::Unclaimed;

/// Number of shards: no more workers than this can be busy.
pub const SHARDS: usize = 16;
/// How long a closed flow is remembered, for the sake of late retransmissions, in nanoseconds.
const LINGER: u64 = 30_000_000_000;
/// How long a UDP flow may be silent, in nanoseconds.
const UDP_IDLE: u64 = 60_000_000_000;

/// How long a flow says nothing before it gives memory back, in nanoseconds.
const QUIET: u64 = 5_000_000_000;
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
    /// Who wants to know of flows that nobody will claim, by their ends: a source that can save itself their bytes.
    pub given_up: Option<Sender<(Endpoint, Endpoint)>>,
}

/// A share of the flows.
#[derive(Debug)]
pub struct Shard {
    flows: LruCache<FlowKey, Flow>,
    core: Core,
}

/// A shard without its flow table, so that both can be worked on at once.
#[derive(Debug)]
struct Core {
    plugins: RunningPlugins,
    options: Arc<FlowOptions>,
    buffered: usize,
    now: Timestamp,
    /// When the last flows change over to a newer version of their plugin.
    retires_at: Option<Timestamp>,
    out: Vec<Output>,
    report: ShardReport,
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
}

/// Both ends of a flow, in an order that does not depend on who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    low: Endpoint,
    high: Endpoint,
    transport: Transport,
}

#[derive(Debug)]
struct Flow {
    /// The end that sends [`Direction::ToServer`].
    first: Endpoint,
    assembler: Option<Box<FlowAssembler>>,
    session: Session,
    last_seen: Timestamp,
    /// When a request will have waited too long; 0 if that is to be found out.
    expires: Timestamp,
    buffered: usize,
    is_finished: bool,
    /// Nothing has come for a while, and what memory that saves was given back.
    is_shrunk: bool,
    /// Whoever wants to know was told that nobody claims it.
    is_told_given_up: bool,
}

impl FlowKey {
    pub(crate) fn of(segment: &Segment<'_>) -> Self {
        let (low, high) = if segment.source <= segment.destination {
            (segment.source, segment.destination)
        } else {
            (segment.destination, segment.source)
        };
        Self { low, high, transport: segment.transport }
    }
}

/// Which shard a segment belongs to: the same for both directions, in every run and on every machine.
#[must_use]
pub fn shard_of(segment: &Segment<'_>) -> usize {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    FlowKey::of(segment).hash(&mut hash);
    usize::try_from((hash.finish() >> 32) % SHARDS as u64).unwrap_or(0)
}

/// FNV-1a: short, and unkeyed on purpose. Whoever crafts flows for one shard slows that shard.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Flow {
    fn new(segment: &Segment<'_>) -> Self {
        let direction = match segment.transport {
            Transport::Tcp => Direction::of_first(&segment.tcp),
            Transport::Udp => Direction::ToServer,
        };
        let ends = match direction {
            Direction::ToServer => (segment.source, segment.destination),
            Direction::ToClient => (segment.destination, segment.source),
        };
        Self {
            first: ends.0,
            assembler: (segment.transport == Transport::Tcp).then(Box::default),
            session: Session::new(ends, segment.transport).with_id(segment.packet),
            last_seen: segment.at,
            expires: Timestamp::MAX,
            buffered: 0,
            is_finished: false,
            is_shrunk: false,
            is_told_given_up: false,
        }
    }

    fn direction(&self, segment: &Segment<'_>) -> Direction {
        if segment.source == self.first { Direction::ToServer } else { Direction::ToClient }
    }

    /// Gives a segment to reassembly, and what comes out of that to the session.
    fn observe(&mut self, segment: &Segment<'_>, cx: &mut SessionContext<'_>) -> Observed {
        let direction = self.direction(segment);
        let session = &mut self.session;
        let Some(assembler) = &mut self.assembler else {
            let missing = u64::from(segment.payload_len).saturating_sub(segment.payload.len() as u64);
            session.datagram(direction, segment.payload, missing, segment.at, cx);
            return Observed::Taken;
        };
        if segment.tcp.syn {
            session.set_opened(direction);
        }
        assembler.observe(direction, segment, &mut |event| session.observe(event, cx))
    }

    fn finish(&mut self, reason: &'static str, cx: &mut SessionContext<'_>) {
        let session = &mut self.session;
        if let Some(assembler) = &mut self.assembler {
            assembler.finish(&mut |event| session.observe(event, cx));
        }
        if !self.is_finished {
            session.finish(reason, cx);
            self.is_finished = true;
        }
    }

    fn held(&self) -> usize {
        self.assembler.as_ref().map_or(0, |assembler| assembler.held_bytes()) + self.session.buffered()
    }
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(plugins: Arc<PluginSet>, options: Arc<FlowOptions>) -> Self {
        let core = Core {
            plugins: RunningPlugins::new(plugins),
            options,
            buffered: 0,
            now: 0,
            retires_at: None,
            out: Vec::new(),
            report: ShardReport::default(),
        };
        Self { flows: LruCache::unbounded(), core }
    }

    /// Takes a segment of one of its flows.
    pub fn segment(&mut self, segment: &Segment<'_>, processes: Option<&ProcessPair>) {
        let core = &mut self.core;
        core.now = core.now.max(segment.at);
        let key = FlowKey::of(segment);
        let flow = self.flows.get_or_insert_mut(key, || core.begin(segment));
        for (end, process) in [segment.source, segment.destination].into_iter().zip(processes.into_iter().flatten()) {
            process.iter().for_each(|process| flow.session.set_process(end, process));
        }
        core.observe(flow, segment);
        if let Some(tell) = &core.options.given_up
            && !flow.is_told_given_up
            && flow.session.is_given_up()
        {
            // A full queue is no loss: the next segment tells again.
            flow.is_told_given_up = tell.try_send((key.low, key.high)).is_ok();
        }
        self.make_room();
    }

    /// The flow of this segment is followed no more, as there is no time for it.
    pub fn shed(&mut self, segment: &Segment<'_>) {
        if let Some(mut flow) = self.flows.pop(&FlowKey::of(segment)) {
            self.core.end(&mut flow, "shed");
        }
    }

    /// Other plugins from now on. Flows change over between two messages, now or later.
    pub fn replace_plugins(&mut self, set: &Arc<PluginSet>) {
        self.change_over(true);
        let core = &mut self.core;
        let changed = core.plugins.replace(set.clone());
        core.retires_at = Some(core.now.saturating_add(RETIREMENT));
        for (_, flow) in &mut self.flows {
            core.with(|cx| flow.session.plugins_changed(&changed, cx));
            flow.is_told_given_up = false;
            core.weigh(flow);
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
        let core = &mut self.core;
        let mut over = Vec::new();
        for (key, flow) in &mut self.flows {
            if flow.is_due(core.now) && core.look_after(flow, packet, is_quiet) {
                over.push(*key);
            }
            flow.rest(core.now);
        }
        for key in over {
            if let Some(mut flow) = self.flows.pop(&key) {
                core.end(&mut flow, "idle");
            }
        }
    }

    /// Nothing more will come.
    pub fn finish(&mut self, reason: &'static str) {
        while let Some((_, mut flow)) = self.flows.pop_lru() {
            self.core.end(&mut flow, reason);
        }
    }

    /// What came out since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Output> {
        self.core.out.drain(..)
    }

    /// The shard's counters and its plugins.
    pub fn report(&mut self) -> (&ShardReport, &mut RunningPlugins) {
        (&self.core.report, &mut self.core.plugins)
    }

    /// Evicts the least recently used flows until the limits hold.
    fn make_room(&mut self) {
        let flows = (self.core.options.limits.flows / SHARDS).max(1);
        let bytes = self.core.options.limits.buffered_bytes / SHARDS;
        while self.flows.len() > flows || (self.core.buffered > bytes && self.flows.len() > 1) {
            if self.flows.len() > flows {
                self.core.report.evicted_flows += 1;
            } else {
                self.core.report.evicted_for_memory += 1;
            }
            let Some((_, mut flow)) = self.flows.pop_lru() else { return };
            self.core.end(&mut flow, "evicted");
        }
    }
}

impl Core {
    fn begin(&mut self, segment: &Segment<'_>) -> Flow {
        self.report.flows += 1;
        let mut flow = Flow::new(segment);
        let is_first = segment.source == flow.first;
        let second = if is_first { segment.destination } else { segment.source };
        let order = self.options.decode_as.iter().copied().find(|order| {
            self.plugins.is_present(order.plugin)
                && order.transport == segment.transport
                && (order.port == flow.first.port || order.port == second.port)
        });
        if let Some(order) = order {
            let is_second = order.port == second.port;
            let client_sends = if is_second { Direction::ToServer } else { Direction::ToClient };
            self.with(|cx| flow.session.assign(order.plugin, Some(client_sends), cx));
        }
        flow
    }

    fn observe(&mut self, flow: &mut Flow, segment: &Segment<'_>) {
        match self.with(|cx| flow.observe(segment, cx)) {
            Observed::Taken | Observed::Ignored => {}
            Observed::NewConnection => {
                self.end(flow, "closed");
                *flow = self.begin(segment);
                let _ = self.with(|cx| flow.observe(segment, cx));
            }
            Observed::Reversed => {
                flow.reverse(segment);
                let _ = self.with(|cx| flow.observe(segment, cx));
            }
        }
        if flow.is_closed() && !flow.is_finished {
            self.with(|cx| flow.finish("closed", cx));
        }
        flow.last_seen = self.now;
        flow.is_shrunk = false;
        if flow.session.has_pending() && flow.expires == Timestamp::MAX {
            flow.expires = self.now.saturating_add(REQUEST_TIMEOUT);
        }
        self.weigh(flow);
    }

    /// A flow leaves the table.
    fn end(&mut self, flow: &mut Flow, reason: &'static str) {
        self.with(|cx| flow.finish(reason, cx));
        self.buffered = self.buffered.saturating_sub(flow.buffered);
        flow.buffered = 0;
        if let Some(assembler) = &mut flow.assembler {
            self.report.reassembly.add(&assembler.take_counters());
        }
        if let Err(reason) = flow.session.claim() {
            let transport = if flow.assembler.is_some() { Transport::Tcp } else { Transport::Udp };
            let unclaimed = Unclaimed { transport, port: flow.session.server_port(), reason };
            *self.report.unclaimed.entry(unclaimed).or_default() += 1;
        }
    }

    /// Does what is due for a flow; whether it is over.
    fn look_after(&mut self, flow: &mut Flow, packet: u64, is_quiet: bool) -> bool {
        let now = self.now;
        self.with(|cx| {
            let session = &mut flow.session;
            if let Some(assembler) = &mut flow.assembler {
                assembler.expire(now, packet, is_quiet, &mut |event| session.observe(event, cx));
            }
            flow.expires = session.expire(cx).unwrap_or(Timestamp::MAX);
        });
        if flow.is_closed() && !flow.is_finished {
            self.with(|cx| flow.finish("closed", cx));
        }
        self.weigh(flow);
        flow.is_idle(now) && !flow.session.has_pending()
    }

    fn weigh(&mut self, flow: &mut Flow) {
        let held = flow.held();
        self.buffered = self.buffered.saturating_sub(flow.buffered).saturating_add(held);
        flow.buffered = held;
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut SessionContext<'_>) -> T) -> T {
        act(&mut SessionContext {
            plugins: &mut self.plugins,
            out: &mut self.out,
            counters: &mut self.report.sessions,
            now: self.now,
            has_each_response: self.options.has_each_response,
        })
    }
}

impl Flow {
    fn is_closed(&self) -> bool {
        self.assembler.as_ref().is_some_and(|assembler| assembler.is_closed())
    }

    fn reverse(&mut self, segment: &Segment<'_>) {
        if let Some(assembler) = &mut self.assembler {
            assembler.reverse();
        }
        self.first = if segment.source == self.first { segment.destination } else { segment.source };
        self.session.turn_ends();
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        match self.assembler {
            None => self.last_seen.saturating_add(UDP_IDLE) <= now,
            Some(_) => self.is_finished && self.last_seen.saturating_add(LINGER) <= now,
        }
    }

    /// Gives memory back once nothing has come for a while.
    fn rest(&mut self, now: Timestamp) {
        if !self.is_shrunk && self.last_seen.saturating_add(QUIET) <= now {
            self.session.shrink();
            self.is_shrunk = true;
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let is_waiting = self.assembler.as_ref().is_some_and(|assembler| assembler.is_waiting());
        is_waiting || self.expires <= now || self.is_idle(now)
    }
}
