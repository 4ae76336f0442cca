//! When something missing is no longer waited for.
//!
//! A hole has three possible causes, and a capture does not say which. **Shuffled**: the packet is in the capture, a few
//! packets later (several queues, merged files); time proves nothing then, because an idle connection may have seconds
//! between two packets that were exchanged. Packets of the whole capture do: so nothing is given up before
//! [`REORDER_PACKETS`] were seen since the hole was noticed, unless the source is quiet. **Lost on the network**: the
//! sender repeats it, and the receiver does not acknowledge it until then; that is waited for, [`REORDER_TIME`] long.
//! **Lost by the capture**: the receiver acknowledges bytes that were never seen, and they will not come again. That ACK
//! may itself be shuffled before the bytes, so it counts from the packet it came with.
//!
//! A hole of one acknowledged byte with nothing behind it is taken for a FIN that was not captured, rather than for a
//! gap; if bytes follow after all, it is a hole again.

use super::{Direction, FlowAssembler, Streams};
use crate::assembler::{Arrival, Hole};
use crate::packet::Timestamp;

/// How many packets of the whole capture may be shuffled: four times the window of eight seen in practice.
pub const REORDER_PACKETS: u64 = 32;

/// How long a retransmission is waited for, in nanoseconds of capture time: several retransmission time-outs.
pub const REORDER_TIME: u64 = 1_000_000_000;

/// What to do about a flow of which nothing may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing earlier will come: the stream begins with what it holds.
    EndHold(Direction),
    /// The unseen stream begins at this sequence number.
    StartAt(Direction, u32),
    /// What is missing up to a position is a gap.
    Gap(Direction, u64, Timestamp),
    /// The missing byte was a FIN.
    AssumeFin(Direction),
    /// The stream need not wait for its opposite, which waits for it.
    Waive(Direction),
}

/// How far waiting has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    now: Timestamp,
    packet: u64,
    is_quiet: bool,
    /// Nothing may be waited for: end of the capture, or too much is held.
    is_over: bool,
}

impl Patience {
    pub(super) fn new(flow: &FlowAssembler, is_quiet: bool, is_over: bool) -> Self {
        Self { now: flow.clock.now, packet: flow.clock.packet, is_quiet, is_over }
    }

    /// Whether no packet shuffled with packet number `since` can still come.
    pub(super) fn is_past_reordering(&self, since: u64) -> bool {
        self.is_over || self.is_quiet || self.packet.saturating_sub(since) >= REORDER_PACKETS
    }

    /// Whether no retransmission of what was missing at `arrival` is expected.
    fn is_past_retransmission(&self, arrival: &Arrival) -> bool {
        self.is_over || self.now.saturating_sub(arrival.noticed) >= REORDER_TIME
    }

    /// The remedy for what has waited the longest.
    pub(super) fn remedy(&self, streams: &Streams) -> Option<Remedy> {
        let candidates = [Direction::ToServer, Direction::ToClient].map(|direction| self.candidate(streams, direction));
        let (_, remedy) = candidates.into_iter().flatten().min_by_key(|(since, _)| *since)?;
        Some(remedy)
    }

    /// What helps one direction, and the packet since which it waits.
    fn candidate(&self, streams: &Streams, direction: Direction) -> Option<(u64, Remedy)> {
        let stream = streams.get(direction);
        if let Some(since) = stream.holding_since() {
            return self.is_past_reordering(since).then_some((since, Remedy::EndHold(direction)));
        }
        if let Some(head) = stream.head() {
            let remedy =
                self.is_past_reordering(head.packet).then(|| unblock(streams, direction, head.ack)).flatten()?;
            return Some((head.packet, remedy));
        }
        let acked = stream.acked_hole().filter(|hole| self.is_past_reordering(hole.arrival.packet));
        let seen = || {
            let hole = stream.seen_hole()?;
            let arrival = &hole.arrival;
            (self.is_past_reordering(arrival.packet) && self.is_past_retransmission(arrival)).then_some(hole)
        };
        let Hole { to, arrival } = acked.or_else(seen)?;
        Some((arrival.packet, missing(streams, direction, to, arrival.at)))
    }
}

/// Bytes are at hand, and wait for the opposite stream to be delivered up to `ack`.
fn unblock(streams: &Streams, direction: Direction, ack: Option<u32>) -> Option<Remedy> {
    let (ack, blocking) = (ack?, direction.opposite());
    let opposite = streams.get(blocking);
    if opposite.is_unseen() {
        return Some(Remedy::StartAt(blocking, ack));
    }
    if opposite.is_holding() {
        return None;
    }
    if opposite.head().is_some() {
        return (direction == Direction::ToServer).then_some(Remedy::Waive(direction));
    }
    let to = opposite.position(ack)?;
    let to = opposite.seen_hole().map_or(to, |hole| hole.to.min(to));
    let at = streams.get(direction).head()?.at;
    Some(missing(streams, blocking, to, at))
}

fn missing(streams: &Streams, direction: Direction, to: u64, at: Timestamp) -> Remedy {
    if streams.get(direction).may_be_fin(to) { Remedy::AssumeFin(direction) } else { Remedy::Gap(direction, to, at) }
}
