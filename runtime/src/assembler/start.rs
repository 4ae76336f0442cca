//! Where a stream begins: at its SYN, or somewhere in its middle.

use super::sequence::{ORIGIN, SequenceSpace};
use super::{Assembler, State};

impl Assembler {
    /// Whether no sequence number is known.
    pub(crate) fn is_unseen(&self) -> bool {
        self.state == State::Unseen
    }

    /// Whether the stream waits for bytes earlier than the first ones seen.
    pub(crate) fn is_holding(&self) -> bool {
        self.state == State::Holding
    }

    /// Whether bytes may be delivered.
    pub(crate) fn is_started(&self) -> bool {
        self.state == State::Started
    }

    /// Whether the FIN was delivered.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether the handshake was not seen.
    pub(crate) fn is_midstream(&self) -> bool {
        self.is_midstream
    }

    /// Whether anything came out.
    pub(crate) fn has_delivered(&self) -> bool {
        self.is_closed() || (self.is_started() && self.next > self.start)
    }

    /// First bytes of a stream without handshake: hold them.
    pub(crate) fn begin_holding(&mut self, seq: u32, packet: u64) {
        self.begin_at(seq, State::Holding, true);
        self.held_mut().since = packet;
    }

    /// The stream is known to start at `seq`, from its SYN (`is_sure`) or its receiver's ACK. False if that
    /// contradicts what was seen, so that it must be another connection.
    pub(crate) fn start_at(&mut self, seq: u32, is_sure: bool) -> bool {
        if self.is_unseen() {
            self.begin_at(seq, State::Started, !is_sure);
            return true;
        }
        if !self.is_midstream || self.has_delivered() {
            let is_same = seq == self.space.seq(self.start);
            self.is_midstream &= !(is_same && is_sure);
            return is_same;
        }
        let Some(position) = self.position(seq).filter(|position| *position <= self.next) else { return false };
        (self.start, self.next) = (position, position);
        (self.state, self.is_midstream) = (State::Started, !is_sure);
        true
    }

    fn begin_at(&mut self, seq: u32, state: State, is_midstream: bool) {
        self.space = SequenceSpace::with_origin(seq);
        (self.start, self.next) = (ORIGIN, ORIGIN);
        (self.state, self.is_midstream) = (state, is_midstream);
    }

    /// The packet since which the stream's first bytes are held.
    pub(crate) fn holding_since(&self) -> Option<u64> {
        self.held.as_ref().filter(|_| self.is_holding()).map(|held| held.since)
    }

    /// Nothing earlier will come: the lowest position is offset 0. A lone byte there is taken for a keep-alive
    /// probe, whose byte is garbage, and dropped: an idle connection often begins with one. What that gives up is one
    /// real byte of a stream caught in its middle.
    pub(crate) fn end_hold(&mut self) {
        let position = self.next;
        let probe = self.held.as_mut().and_then(|held| {
            let is_probe = held.chunks.get(&position).is_some_and(|chunk| chunk.is_single);
            is_probe.then(|| held.remove(position)).flatten()
        });
        self.next = position.saturating_add(u64::from(probe.is_some()));
        (self.start, self.state) = (self.next, State::Started);
        self.prune();
    }
}
