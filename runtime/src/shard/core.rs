//! What a shard does to one flow at a time, without the table that the flow lies in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::flow::Flow;
use super::{FlowOptions, ShardReport};
use crate::packet::{FlowKey, Segment, Timestamp, Transport};
use crate::pair::REQUEST_TIMEOUT;
use crate::plugin::PluginSet;
use crate::reassembly::{Direction, Observed};
use crate::record::{Output, Spares};
use crate::running::RunningPlugins;
use crate::session::SessionContext;
use crate::summary::{RecordSummary, Unclaimed};

/// A shard without its flow table, so that both can be worked on at once.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) plugins: RunningPlugins,
    pub(super) options: Arc<FlowOptions>,
    pub(super) buffered: usize,
    pub(super) now: Timestamp,
    /// Flows of which something is held, or missing.
    pub(super) waiting: HashSet<FlowKey, RandomState>,
    /// When to see whether a flow has been silent for a while.
    pub(super) resting: BinaryHeap<Reverse<(Timestamp, FlowKey)>>,
    /// No request will have waited too long before that.
    pub(super) expires: Timestamp,
    /// When the last flows change over to a newer version of their plugin.
    pub(super) retires_at: Option<Timestamp>,
    pub(super) out: Vec<Output>,
    pub(super) spares: Spares,
    pub(super) report: ShardReport,
}

impl Core {
    pub(super) fn new(plugins: Arc<PluginSet>, options: Arc<FlowOptions>) -> Self {
        Self {
            plugins: RunningPlugins::new(plugins),
            options,
            buffered: 0,
            now: 0,
            waiting: HashSet::default(),
            resting: BinaryHeap::new(),
            expires: Timestamp::MAX,
            retires_at: None,
            out: Vec::new(),
            spares: Spares::default(),
            report: ShardReport { records: RecordSummary::of_shard(), ..ShardReport::default() },
        }
    }

    pub(super) fn begin(&mut self, segment: &Segment<'_>) -> Flow {
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

    pub(super) fn observe(&mut self, key: &FlowKey, flow: &mut Flow, segment: &Segment<'_>) {
        match self.with(|cx| flow.observe(segment, cx)) {
            Observed::Taken | Observed::Ignored => {}
            Observed::NewConnection => {
                self.end(key, flow, "closed");
                *flow = self.begin(segment);
                let _ = self.with(|cx| flow.observe(segment, cx));
            }
            Observed::Reversed => {
                flow.reverse(segment);
                let _ = self.with(|cx| flow.observe(segment, cx));
            }
        }
        if flow.is_closed() && !flow.is_finished {
            // Its own time: that of other flows would make records depend on which flows share a shard.
            let now = flow.now().unwrap_or(self.now);
            self.with(|cx| {
                cx.now = now;
                flow.finish("closed", cx);
            });
        }
        (flow.last_seen, flow.last_packet) = (self.now, segment.packet);
        if std::mem::take(&mut flow.is_shrunk) {
            self.resting.push(Reverse((flow.rests_at(), *key)));
        }
        if flow.session.has_pending() && flow.expires == Timestamp::MAX {
            flow.expires = self.now.saturating_add(REQUEST_TIMEOUT);
            self.expires = self.expires.min(flow.expires);
        }
        self.weigh(key, flow);
    }

    /// A flow leaves the table.
    pub(super) fn end(&mut self, key: &FlowKey, flow: &mut Flow, reason: &'static str) {
        self.with(|cx| flow.finish(reason, cx));
        self.buffered = self.buffered.saturating_sub(flow.buffered);
        flow.buffered = 0;
        if std::mem::take(&mut flow.is_waiting) {
            self.waiting.remove(key);
        }
        if let Some(assembler) = &mut flow.assembler {
            self.report.reassembly.add(&assembler.take_counters());
        }
        let port = flow.session.server_port();
        *match flow.session.claim() {
            Ok(plugin) => self.report.claimed.entry((port, plugin)).or_default(),
            Err(reason) => {
                let transport = if flow.assembler.is_some() { Transport::Tcp } else { Transport::Udp };
                self.report.unclaimed.entry(Unclaimed { transport, port, reason }).or_default()
            }
        } += 1;
    }

    /// Does what is due for a flow; whether it is over.
    pub(super) fn look_after(&mut self, key: &FlowKey, flow: &mut Flow, packet: u64, is_quiet: bool) -> bool {
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
        self.weigh(key, flow);
        flow.is_idle(now) && !flow.session.has_pending()
    }

    /// Keeps account of what a flow holds, and of whether it waits.
    pub(super) fn weigh(&mut self, key: &FlowKey, flow: &mut Flow) {
        let is_waiting = flow.assembler.as_ref().is_some_and(|assembler| assembler.is_waiting());
        if is_waiting && !flow.is_waiting {
            self.waiting.insert(*key);
        } else if !is_waiting && flow.is_waiting {
            self.waiting.remove(key);
        }
        flow.is_waiting = is_waiting;
        let held = flow.held();
        self.buffered = self.buffered.saturating_sub(flow.buffered).saturating_add(held);
        flow.buffered = held;
    }

    pub(super) fn with<T>(&mut self, act: impl FnOnce(&mut SessionContext<'_>) -> T) -> T {
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
