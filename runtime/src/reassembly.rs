//! Segments of one TCP flow in, the bytes of both its directions out: in order, each once, requests before responses.
//!
//! **Order between the directions.** A segment is delivered only when the opposite stream was delivered up to the
//! segment's ACK number, or what is missing there was declared a gap. Whoever sent it had received those bytes, so
//! they came first, however the capture shuffled the packets. Two directions that wait for each other (possible
//! only with forged or rewritten packets) are resolved in favour of the client.
//!
//! **When a hole becomes a gap**, and why not at once, is told in `patience`.
//!
//! **Without a handshake** the first bytes seen need not be the first ones captured. They are held for
//! [`REORDER_PACKETS`]; the lowest sequence number seen by then is offset 0. If more was sent while packets were captured,
//! as that of a segment without bytes shows, what is missing may be an answer, and is a gap. Else a peer's ACK proves
//! nothing about packets
//! that are shuffled, with two exceptions: a SYN-ACK names the client's first byte, and once a segment was
//! held for [`REORDER_PACKETS`] and its opposite stream is still unseen, that stream begins at the segment's ACK
//! number; anything earlier is an old retransmission.
//!
//! **A RST** takes effect [`REORDER_PACKETS`] later, so that shuffled bytes sent before it are not lost.
//!
//! There is no clock, no I/O and no flow table here; time and packet numbers come with the segments.

mod counters;
mod patience;

pub use counters::ReassemblyCounters;
pub use patience::{REORDER_PACKETS, REORDER_TIME};

use crate::assembler::Assembler;
use crate::packet::{Segment, TcpFields, Timestamp};
use patience::{Patience, Remedy};

/// Bytes that a flow may hold back, both directions together, each piece with its bookkeeping: about 700 full segments.
/// Beyond, the oldest hole is declared a gap.
pub const HELD_LIMIT: u32 = 1 << 20;

/// Which way a segment travels. The client is who sent the SYN, or else who was seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// The direction of a flow's first segment: only a SYN-ACK shows that the server sent it.
    #[must_use]
    pub fn of_first(tcp: &TcpFields) -> Self {
        if tcp.syn && tcp.ack.is_some() { Self::ToClient } else { Self::ToServer }
    }
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// All bytes were sent.
    Fin,
    /// The connection was aborted, by either side.
    Rst,
}

/// How much of the opposite stream the sender of some bytes had received when it sent them, as its ACK number says: what
/// begins behind that, they do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard(u64);

impl Heard {
    /// As far as is known, all there was.
    pub const ALL: Self = Self(u64::MAX);

    /// The bytes before that offset.
    #[must_use]
    pub const fn before(offset: u64) -> Self {
        Self(offset)
    }

    /// Whether the byte at that offset is among them.
    #[must_use]
    pub const fn includes(self, offset: u64) -> bool {
        offset < self.0
    }
}

/// What happens in a stream. Per direction, offsets are contiguous from 0: each event begins where the last one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent<'a> {
    /// The next bytes; never empty.
    Data {
        /// Which stream.
        direction: Direction,
        /// Position of the first byte.
        offset: u64,
        /// The bytes.
        bytes: &'a [u8],
        /// When their segment was captured.
        at: Timestamp,
        /// Its number in the capture.
        packet: u64,
        /// What their sender had of the opposite stream.
        heard: Heard,
    },
    /// Bytes missing for good.
    Gap {
        /// Which stream.
        direction: Direction,
        /// Position of the first missing byte.
        offset: u64,
        /// How many.
        len: u64,
        /// When the segment was captured that showed they are missing.
        at: Timestamp,
    },
    /// No more events of this stream. At most one per direction; a RST closes both.
    Close {
        /// Which stream.
        direction: Direction,
        /// Why.
        reason: CloseReason,
        /// When the closing segment was captured.
        at: Timestamp,
        /// Its number in the capture.
        packet: u64,
    },
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Observed {
    /// Delivered, held, or counted.
    Taken,
    /// Counted; not of this connection.
    Ignored,
    /// Not taken: the ports are used anew. Finish this flow, and begin another one with this segment.
    NewConnection,
    /// Not taken: the SYN shows that client and server are the other way round, and nothing was delivered yet. Turn the
    /// flow's endpoints round, call [`FlowAssembler::reverse`], and observe the segment again.
    Reversed,
}

/// Both streams of a flow.
#[derive(Debug, Default)]
struct Streams {
    to_server: Assembler,
    to_client: Assembler,
}

impl Streams {
    fn get(&self, direction: Direction) -> &Assembler {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn get_mut(&mut self, direction: Direction) -> &mut Assembler {
        self.pair_mut(direction).0
    }

    /// The stream and its opposite.
    fn pair_mut(&mut self, direction: Direction) -> (&mut Assembler, &mut Assembler) {
        match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        }
    }

    fn held_cost(&self) -> usize {
        self.to_server.held_cost().saturating_add(self.to_client.held_cost())
    }

    /// The packet of the piece that may be delivered next, if there is one.
    fn ready(&self, direction: Direction) -> Option<u64> {
        let head = self.get(direction).head()?;
        self.get(direction.opposite()).is_complete_to(head.ack).then_some(head.packet)
    }
}

/// A RST that waits for shuffled segments sent before it.
#[derive(Clone, Copy, Debug)]
struct Reset {
    direction: Direction,
    at: Timestamp,
    packet: u64,
}

/// The latest time and packet number seen; neither goes back when the capture does.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    now: Timestamp,
    packet: u64,
}

impl Clock {
    fn advance(&mut self, at: Timestamp, packet: u64) {
        self.now = self.now.max(at);
        self.packet = self.packet.max(packet);
    }
}

/// Reassembles both directions of one TCP flow.
#[derive(Debug)]
pub struct FlowAssembler {
    streams: Streams,
    clock: Clock,
    reset: Option<Reset>,
    counters: Option<Box<ReassemblyCounters>>,
    held_limit: u32,
    reset_by: Option<Direction>,
    has_handshake: bool,
}

impl Default for FlowAssembler {
    fn default() -> Self {
        Self::new(HELD_LIMIT)
    }
}

impl FlowAssembler {
    /// A flow of which nothing was seen, that may hold back `held_limit` bytes.
    #[must_use]
    pub fn new(held_limit: u32) -> Self {
        let (streams, clock) = (Streams::default(), Clock::default());
        Self { streams, clock, held_limit, reset: None, counters: None, reset_by: None, has_handshake: false }
    }

    /// Takes a segment, and gives `sink` whatever is in turn now.
    pub fn observe(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        sink: &mut impl FnMut(StreamEvent<'_>),
    ) -> Observed {
        if self.take_in_order(direction, segment, sink) {
            return Observed::Taken;
        }
        self.clock.advance(segment.at, segment.packet);
        self.close_reset(false, sink);
        let observed = self.admit(direction, segment);
        if observed != Observed::Taken {
            return observed;
        }
        if segment.tcp.rst {
            let reset = Reset { direction, at: segment.at, packet: segment.packet };
            self.reset.get_or_insert(reset);
        } else {
            self.take(direction, segment, sink);
        }
        self.settle(false, false, sink);
        observed
    }

    /// Declares gaps that have been waited for long enough. To be called now and then while [`Self::is_waiting`], with
    /// the latest capture time and packet number of the whole capture; `is_quiet` if no packet is under way, so that
    /// none can be shuffled.
    pub fn expire(&mut self, now: Timestamp, packet: u64, is_quiet: bool, sink: &mut impl FnMut(StreamEvent<'_>)) {
        self.clock.advance(now, packet);
        self.settle(is_quiet, false, sink);
        self.close_reset(is_quiet, sink);
    }

    /// Nothing more will come: delivers everything held, with gaps for what is missing.
    pub fn finish(&mut self, sink: &mut impl FnMut(StreamEvent<'_>)) {
        self.settle(true, true, sink);
        self.close_reset(true, sink);
    }

    /// Whether something is held, so that [`Self::expire`] may have work to do.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.streams.to_server.is_waiting() || self.streams.to_client.is_waiting() || self.reset.is_some()
    }

    /// Whether both directions ended, or a RST took effect. Late retransmissions are counted and ignored.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reset_by.is_some() || (self.streams.to_server.is_closed() && self.streams.to_client.is_closed())
    }

    /// The latest time seen.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now
    }

    /// Whether the stream was caught in its middle: offset 0 is not its first byte.
    #[must_use]
    pub fn is_midstream(&self, direction: Direction) -> bool {
        self.streams.get(direction).is_midstream()
    }

    /// Memory held back, as the limit counts it.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.streams.held_cost()
    }

    /// What was met with since the last call.
    pub fn take_counters(&mut self) -> ReassemblyCounters {
        self.counters.take().map_or_else(ReassemblyCounters::default, |counters| *counters)
    }

    /// Exchanges client and server, after [`Observed::Reversed`].
    pub fn reverse(&mut self) {
        let Streams { to_server, to_client } = &mut self.streams;
        std::mem::swap(to_server, to_client);
        if let Some(reset) = &mut self.reset {
            reset.direction = reset.direction.opposite();
        }
    }

    /// The counters, allocated by the first thing to count.
    fn counters(&mut self) -> &mut ReassemblyCounters {
        self.counters.get_or_insert_default()
    }
}

mod admit;
mod deliver;
mod in_order;

#[cfg(test)]
mod tests;
