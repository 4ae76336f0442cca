//! When an event's turn is. Calls on one connection mostly come from the ring in the order of things: each begins where the
//! last one of that direction ended, after all that its program knew of the other direction. Such an event is told as it
//! comes. One that does not fit waits, sorted by time, with those behind it, until what is late will have come.
//!
//! Where both ends are traced, the server's calls move the same bytes as the client's. What the client has told by then is
//! dropped; the rest is a spare, and told only if the client's end never tells. Most of what the server receives does not come at all:
//! the client's event says so, and is then told as it comes, whoever is taken for the client.

use super::{Connection, End, FAR};
use crate::capture::trace::HOLD;
use crate::capture::trace::event::{Event, Kind, layout};

/// How much longer what the server sent waits for the client's receipt, in nanoseconds.
pub(super) const SERVER_DELAY: u64 = 10_000_000;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::trace) enum Turn {
    /// It is told at once.
    Now,
    /// It has nothing to tell that was not told.
    Never,
    /// It waits until that time and [`HOLD`] have passed.
    At(u64),
    /// So does this one, but others need not wait for it: the other end is likely to tell.
    SpareAt(u64),
}

/// The last bytes of a direction that came without a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    from: u32,
    to: u32,
}

impl Run {
    pub(super) fn at(seq: u32) -> Self {
        Self { from: seq, to: seq }
    }

    fn covers(self, seq: u32, end: u32) -> bool {
        let len = self.to.wrapping_sub(self.from);
        seq.wrapping_sub(self.from) <= len && end.wrapping_sub(self.from) <= len
    }

    /// What was told of the direction goes so far, holes or not.
    fn reaches(self, seq: u32) -> bool {
        self.to.wrapping_sub(seq) <= FAR
    }

    fn add(&mut self, seq: u32, end: u32) {
        let (begin, len) = (seq.wrapping_sub(self.from), self.to.wrapping_sub(self.from));
        if begin <= len {
            if end.wrapping_sub(self.from) > len {
                self.to = end;
            }
        } else if !self.reaches(seq) {
            (self.from, self.to) = (seq, end);
        }
        if self.to.wrapping_sub(self.from) > FAR {
            self.from = self.to.wrapping_sub(FAR);
        }
    }
}

/// Where a connection is in the order of things.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of the lower end and of the higher one.
    low: Option<Run>,
    high: Option<Run>,
    /// Events that wait, but for spares.
    waiting: u32,
    /// From then on, all is in order again.
    settles: u64,
}

impl Progress {
    /// Both directions begin here.
    pub(super) fn begin(&mut self, low: u32, high: u32) {
        (self.low, self.high) = (Some(Run::at(low)), Some(Run::at(high)));
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// One that waited has its turn.
    pub(super) fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Bytes were told, or will be in their turn.
    pub(super) fn add(&mut self, is_from_low: bool, seq: u32, end: u32) {
        let run = if is_from_low { &mut self.low } else { &mut self.high };
        run.get_or_insert(Run::at(seq)).add(seq, end);
    }

    /// What came of a direction may not be what it was said to be: the other end's bytes are wanted.
    fn forget(&mut self, is_from_low: bool) {
        *(if is_from_low { &mut self.low } else { &mut self.high }) = None;
    }

    fn covers(&self, is_from_low: bool, seq: u32, end: u32) -> bool {
        let run = if is_from_low { self.low } else { self.high };
        run.is_some_and(|run| run.covers(seq, end))
    }

    /// Nothing is missing before those bytes, as far as the one who moved them could know.
    fn is_next(&self, is_from_low: bool, event: &Event) -> bool {
        let (own, other) = if is_from_low { (self.low, self.high) } else { (self.high, self.low) };
        own.is_some_and(|own| own.to == event.seq) && other.is_some_and(|other| other.reaches(event.ack))
    }

    fn wait(&mut self, turn: u64, settles: u64) -> Turn {
        self.waiting = self.waiting.saturating_add(1);
        self.settles = self.settles.max(settles);
        Turn::At(turn)
    }
}

impl Connection {
    /// Whether an event's bytes are its own, as far as that is known when it comes; see [`super::claims`]. Of those that the
    /// other end leaves out, the kernel knows.
    pub(super) fn claim(&mut self, event: &Event, len: u32, is_low: bool) -> bool {
        if !event.is_data() || event.has(layout::EVENT_TLS) {
            return true;
        }
        let claims = self.end_mut(is_low).claims(event.kind);
        if event.has(layout::EVENT_ONLY) {
            claims.reach(event.end(len));
            return true;
        }
        let is_own = claims.claim(event.seq, event.end(len));
        if !is_own {
            self.progress.forget(is_low != event.kind.is_inbound());
        }
        is_own
    }

    /// Its turn, not before that of the bytes before it.
    pub(super) fn in_order(&mut self, event: &Event, turn: Turn, is_low: bool) -> Turn {
        let is_claim = event.is_data() && !event.has(layout::EVENT_TLS);
        if is_claim { self.end_mut(is_low).claims(event.kind).in_order(turn) } else { turn }
    }

    /// Its bytes may be another call's, as showed while it waited.
    pub(super) fn is_void(&mut self, event: &Event, is_low: bool) -> bool {
        let is_sure = event.has(layout::EVENT_TLS) || event.has(layout::EVENT_ONLY);
        event.is_data() && !is_sure && self.end_mut(is_low).claims(event.kind).is_void(event.seq)
    }

    /// The turn of an event that just came from the ring, with so many bytes.
    pub(super) fn turn(&mut self, event: &Event, len: u32, is_low: bool) -> Turn {
        self.is_hurried &= !self.is_announced || self.progress.is_waiting();
        let turn = event.at.saturating_add(self.delay(event));
        if !event.is_data() {
            return self.progress.wait(turn, turn);
        }
        let (is_from_low, end) = (is_low != event.kind.is_inbound(), event.end(len));
        if self.progress.low.is_none() && self.progress.high.is_none() {
            // The connection is older than the trace.
            let (low, high) = if is_from_low { (event.seq, event.ack) } else { (event.ack, event.seq) };
            self.progress.begin(low, high);
        }
        if self.is_both_traced() && !self.progress.is_waiting() && self.progress.covers(is_from_low, event.seq, end) {
            let _ = self.end_mut(is_low).follow(event.seq, end, event.kind);
            return Turn::Never;
        }
        let is_only = event.has(layout::EVENT_ONLY);
        if !is_only && self.is_server(event) && (self.is_both_traced() || self.may_be_traced_twice()) {
            return Turn::SpareAt(turn);
        }
        let is_next = !self.is_hurried && self.progress.is_next(is_from_low, event);
        self.progress.add(is_from_low, event.seq, end);
        match (is_next, self.progress.waiting) {
            (true, 0) => Turn::Now,
            (true, _) => self.progress.wait(turn.min(self.progress.settles), 0),
            (false, _) => self.progress.wait(turn, turn.saturating_add(HOLD)),
        }
    }

    /// A spare's turn has come; whether it is of use.
    pub(super) fn needs(&mut self, event: &Event, len: u32, is_low: bool) -> bool {
        !self.progress.covers(is_low != event.kind.is_inbound(), event.seq, event.end(len))
    }

    pub(super) fn is_both_traced(&self) -> bool {
        self.low.is_traced && self.high.is_traced
    }

    fn is_tied(&self) -> bool {
        self.low.is_tied || self.high.is_tied
    }

    /// A server may read its first request before the client's call returns, and so before it shows that that is traced.
    fn may_be_traced_twice(&self) -> bool {
        self.is_local && !self.is_announced
    }

    /// Who is the client is known from the opening; of older connections, the lower port is taken for the server's.
    fn is_server(&self, event: &Event) -> bool {
        match self.opening {
            Some(opening) => opening.server == event.local,
            None => event.local.port < event.remote.port,
        }
    }

    /// How much longer than others an event waits: what the server sent, for the client's receipt of it, and the marks behind
    /// that; so does the client's reset, which else would come before what the server sent until then, and all of a connection
    /// that began before this was told of the one before it.
    pub(super) fn delay(&self, event: &Event) -> u64 {
        let waits_for_receipts = self.is_both_traced() && !self.is_tied() && !event.kind.is_inbound();
        let is_behind_server = self.is_server(event) || event.kind == Kind::Reset;
        if self.is_hurried || (waits_for_receipts && is_behind_server) { SERVER_DELAY } else { 0 }
    }
}

impl End {
    /// How many bytes went by unseen since the last call, or before the FIN.
    pub(super) fn follow(&mut self, seq: u32, end: u32, kind: Kind) -> u32 {
        let position = if kind.is_inbound() { &mut self.received } else { &mut self.sent };
        let Some(before) = position.replace(end) else { return 0 };
        let lost = seq.wrapping_sub(before);
        if lost.cast_signed() < 0 {
            // A call that began before one that was told of already.
            *position = Some(if end.wrapping_sub(before).cast_signed() < 0 { before } else { end });
            return 0;
        }
        lost
    }
}
