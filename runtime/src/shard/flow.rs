//! One flow of a shard: its reassembly, its session, and when something is due for it.

use crate::packet::{Endpoint, Segment, Timestamp, Transport};
use crate::reassembly::{Direction, FlowAssembler, Observed};
use crate::session::{Session, SessionContext};

/// How long a closed flow is remembered, for the sake of late retransmissions, in nanoseconds.
pub(super) const LINGER: u64 = 30_000_000_000;
/// How long a UDP flow may be silent, in nanoseconds.
pub(super) const UDP_IDLE: u64 = 60_000_000_000;
/// How long a flow says nothing before it gives memory back, in nanoseconds.
const QUIET: u64 = 5_000_000_000;

/// A flow.
#[derive(Debug)]
pub(super) struct Flow {
    /// The end that sends [`Direction::ToServer`].
    pub(super) first: Endpoint,
    pub(super) assembler: Option<Box<FlowAssembler>>,
    pub(super) session: Session,
    pub(super) last_seen: Timestamp,
    pub(super) last_packet: u64,
    /// When a request will have waited too long; 0 if that is to be found out.
    pub(super) expires: Timestamp,
    pub(super) buffered: usize,
    pub(super) is_waiting: bool,
    pub(super) is_finished: bool,
    /// Nothing has come for a while, and what memory that saves was given back.
    pub(super) is_shrunk: bool,
    /// Whoever wants to know was told that nobody claims it.
    pub(super) is_told_given_up: bool,
}

impl Flow {
    pub(super) fn new(segment: &Segment<'_>) -> Self {
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
            last_packet: segment.packet,
            expires: Timestamp::MAX,
            buffered: 0,
            is_waiting: false,
            is_finished: false,
            is_shrunk: true,
            is_told_given_up: false,
        }
    }

    pub(super) fn direction(&self, segment: &Segment<'_>) -> Direction {
        if segment.source == self.first { Direction::ToServer } else { Direction::ToClient }
    }

    /// Gives a segment to reassembly, and what comes out of that to the session.
    pub(super) fn observe(&mut self, segment: &Segment<'_>, cx: &mut SessionContext<'_>) -> Observed {
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

    pub(super) fn finish(&mut self, reason: &'static str, cx: &mut SessionContext<'_>) {
        let session = &mut self.session;
        if let Some(assembler) = &mut self.assembler {
            assembler.finish(&mut |event| session.observe(event, cx));
        }
        if !self.is_finished {
            session.finish(reason, cx);
            self.is_finished = true;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.assembler.as_ref().map_or(0, |assembler| assembler.held_bytes()) + self.session.buffered()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.assembler.as_ref().is_some_and(|assembler| assembler.is_closed())
    }

    pub(super) fn reverse(&mut self, segment: &Segment<'_>) {
        if let Some(assembler) = &mut self.assembler {
            assembler.reverse();
        }
        self.first = if segment.source == self.first { segment.destination } else { segment.source };
        self.session.turn_ends();
    }

    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        match self.assembler {
            None => self.last_seen.saturating_add(UDP_IDLE) <= now,
            Some(_) => self.is_finished && self.last_seen.saturating_add(LINGER) <= now,
        }
    }

    /// The latest time that its connection knows of.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.assembler.as_ref().map(|assembler| assembler.now())
    }

    /// When it will have been silent for so long that it gives memory back.
    pub(super) fn rests_at(&self) -> Timestamp {
        self.last_seen.saturating_add(QUIET)
    }

    /// Gives memory back once nothing has come for a while; else says when that may be.
    pub(super) fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.is_shrunk || self.rests_at() > now {
            return Some(self.rests_at()).filter(|_| !self.is_shrunk);
        }
        self.session.shrink();
        self.is_shrunk = true;
        None
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.is_waiting || self.expires <= now || self.is_idle(now)
    }
}
