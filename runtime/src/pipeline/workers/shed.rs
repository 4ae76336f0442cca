//! What a live capture does when a worker cannot keep up: it never waits, as the kernel would then drop packets of all flows
//! at random. Instead whole flows of that worker are given up: first those that begin, then, when what waits for the worker
//! has reached its bound, whichever sends more. Their requests end as `unknown`, and nothing more is kept of them until the
//! worker has caught up; then what is left of them is like any flow that is caught in its middle.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::job::Batch;
use crate::packet::FlowKey;
use crate::pipeline::front::Placed;

/// Jobs that may wait for a worker, beside the batches in its queue.
const MAX_JOBS: usize = 32_768;
/// Payload bytes in them.
const MAX_BYTES: usize = 8 << 20;
/// Flows given up that are remembered. One that is forgotten is taken again in its middle.
const MAX_FLOWS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// What was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct ShedCounters {
    /// Flows.
    pub(in crate::pipeline) flows: u64,
    /// Their packets.
    pub(in crate::pipeline) packets: u64,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The worker gets it.
    Taken,
    /// Its flow is given up, here.
    Shed,
    /// Its flow was given up before.
    Dropped,
}

/// The flows of one worker that were given up.
#[derive(Debug)]
pub(super) struct Shedding {
    flows: LruCache<FlowKey, ()>,
    /// The worker's queue was full when it was looked at.
    pub(super) is_behind: bool,
}

impl Default for Shedding {
    fn default() -> Self {
        Self { flows: LruCache::new(MAX_FLOWS), is_behind: false }
    }
}

impl Shedding {
    /// What becomes of this segment, if `waiting` is what waits for the worker.
    pub(super) fn judge(
        &mut self,
        Placed { segment, key, .. }: &Placed<'_>,
        waiting: &Batch,
        counters: &mut ShedCounters,
    ) -> Fate {
        if !self.is_behind && self.flows.is_empty() {
            return Fate::Taken;
        }
        if self.flows.get(key).is_some() {
            counters.packets += 1;
            return Fate::Dropped;
        }
        let is_full = waiting.jobs.len() >= MAX_JOBS || waiting.bytes() + segment.payload.len() > MAX_BYTES;
        let begins = segment.tcp.syn && segment.tcp.ack.is_none();
        if !(self.is_behind && (begins || is_full)) {
            return Fate::Taken;
        }
        self.flows.put(*key, ());
        counters.flows += 1;
        counters.packets += 1;
        Fate::Shed
    }

    /// The worker has nothing left to do: what is left of the flows may come again.
    pub(super) fn caught_up(&mut self) {
        self.is_behind = false;
        self.flows.clear();
    }
}
