//! A fixed share of all flows, with its own table, limits and plugin instances. There are always [`SHARDS`] of them,
//! however many workers serve them, and what one does depends on its own segments alone: so records and counters are
//! the same for any number of workers.

mod key;

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use lru::LruCache;

pub(crate) use self::key::FlowKey;
pub use self::key::shard_of;
use crate::packet::{Endpoint, Segment, Timestamp, Transport};
use crate::pair::REQUEST_TIMEOUT;
use crate::plugin::PluginSet;
use crate::reassembly::{Direction, FlowAssembler, Observed, ReassemblyCounters};
use crate::record::{Output, ProcessPair, Spares};
use crate::running::RunningPlugins;
use crate::session::{Session, SessionContext, SessionCounters};
use crate::summary::Unclaimed;

/// Number of shards: no more workers than this can be busy.
pub const SHARDS: usize = 16;
/// How long a closed flow is remembered, for the sake of late retransmissions, in nanoseconds.
const LINGER: u64 = 30_000_000_000;
/// How long a UDP flow may be silent, in nanoseconds.
const UDP_IDLE: u64 = 60_000_000_000;

/// How long a flow says nothing before it gives memory back, in nanoseconds; no longer than the other two.
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
    /// Flows of which something is held, or missing.
    waiting: usize,
    /// No request will have waited too long before that.
    expires: Timestamp,
    /// When the last flows change over to a newer version of their plugin.
    retires_at: Option<Timestamp>,
    out: Vec<Output>,
    spares: Spares,
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
    is_waiting: bool,
    is_finished: bool,
    /// Nothing has come for a while, and what memory that saves was given back.
    is_shrunk: bool,
    /// Whoever wants to know was told that nobody claims it.
    is_told_given_up: bool,
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
            is_waiting: false,
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
            waiting: 0,
            expires: Timestamp::MAX,
            retires_at: None,
            out: Vec::new(),
            spares: Spares::default(),
            report: ShardReport::default(),
        };
        Self { flows: LruCache::unbounded(), core }
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
        core.observe(flow, segment);
        if let Some(tell) = &core.options.given_up
            && !flow.is_told_given_up
            && flow.session.is_given_up()
        {
            let (source, destination) = (segment.source, segment.destination);
            // A full queue is no loss: the next segment tells again.
            let told = tell.try_send((source.min(destination), source.max(destination)));
            flow.is_told_given_up = told.is_ok();
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
        let over = if self.core.waiting > 0 || self.core.expires <= self.core.now {
            self.look_after_all(packet, is_quiet)
        } else {
            self.look_after_idle(packet, is_quiet)
        };
        for key in over {
            if let Some(mut flow) = self.flows.pop(&key) {
                self.core.end(&mut flow, "idle");
            }
        }
    }

    /// Does what is due for any flow; gives those that are over.
    fn look_after_all(&mut self, packet: u64, is_quiet: bool) -> Vec<FlowKey> {
        let core = &mut self.core;
        let (mut over, mut expires) = (Vec::new(), Timestamp::MAX);
        for (key, flow) in &mut self.flows {
            if flow.is_due(core.now) && core.look_after(flow, packet, is_quiet) {
                over.push(*key);
            }
            flow.rest(core.now);
            expires = expires.min(flow.expires);
        }
        core.expires = expires;
        over
    }

    /// Nothing is due but what comes of silence: of the flows that were used least recently.
    fn look_after_idle(&mut self, packet: u64, is_quiet: bool) -> Vec<FlowKey> {
        let core = &mut self.core;
        let mut over = Vec::new();
        for (key, flow) in self.flows.iter_mut().rev() {
            if flow.last_seen.saturating_add(QUIET) > core.now {
                break;
            }
            if flow.is_due(core.now) && core.look_after(flow, packet, is_quiet) {
                over.push(*key);
            }
            flow.rest(core.now);
        }
        over.reverse();
        over
    }

    /// Nothing more will come.
    pub fn finish(&mut self, reason: &'static str) {
        while let Some((_, mut flow)) = self.flows.pop_lru() {
            self.core.end(&mut flow, reason);
        }
    }

    /// Takes over what so many records were made of that have been written.
    pub fn take_spares(&mut self, spares: &mut Spares, records: usize) {
        self.core.spares.take_from(spares, records);
    }

    /// Whether anything came out since the last call of [`Self::drain`].
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.core.out.is_empty()
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
            self.expires = self.expires.min(flow.expires);
        }
        self.weigh(flow);
    }

    /// A flow leaves the table.
    fn end(&mut self, flow: &mut Flow, reason: &'static str) {
        self.with(|cx| flow.finish(reason, cx));
        self.buffered = self.buffered.saturating_sub(flow.buffered);
        self.waiting -= usize::from(flow.is_waiting);
        (flow.buffered, flow.is_waiting) = (0, false);
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

    /// Keeps account of what a flow holds, and of whether it waits.
    fn weigh(&mut self, flow: &mut Flow) {
        let is_waiting = flow.assembler.as_ref().is_some_and(|assembler| assembler.is_waiting());
        self.waiting = self.waiting + usize::from(is_waiting) - usize::from(flow.is_waiting);
        flow.is_waiting = is_waiting;
        let held = flow.held();
        self.buffered = self.buffered.saturating_sub(flow.buffered).saturating_add(held);
        flow.buffered = held;
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut SessionContext<'_>) -> T) -> T {
        act(&mut SessionContext {
            plugins: &mut self.plugins,
            out: &mut self.out,
            spares: &mut self.spares,
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
        self.is_waiting || self.expires <= now || self.is_idle(now)
    }
}
