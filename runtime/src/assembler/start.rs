//! Where a stream begins: at its SYN, or somewhere in its middle.

use super::sequence::{ORIGIN, SequenceSpace, WINDOW};
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

    /// While it is not known where the stream begins: bytes of the opposite stream came with that ACK number. If that stream's
    /// SYN was seen (`is_since_syn`), what follows the number was sent since. Some tools that write packets leave it 0.
    pub(crate) fn note_asked(&mut self, ack: u32, is_since_syn: bool) {
        if ack != 0 && self.is_candidate(ack, self.asked_at) {
            self.asked_at = Some(ack);
        }
        if is_since_syn && ack != 0 && self.is_candidate(ack, self.begun_at) {
            self.begun_at = Some(ack);
        }
    }

    /// While it is not known where the stream begins: a segment without bytes has that number, so what follows it was sent
    /// later.
    pub(crate) fn note_empty(&mut self, seq: u32) {
        if self.is_candidate(seq, self.begun_at) {
            self.begun_at = Some(seq);
        }
    }

    /// Whether the stream may begin there rather than at the old number: it is lower, or so far away that the old one is of
    /// another connection, or garbage.
    fn is_candidate(&self, seq: u32, old: Option<u32>) -> bool {
        let may_begin_there = self.is_unseen() || (self.is_holding() && self.position(seq).is_some());
        may_begin_there && old.is_none_or(|old| seq.wrapping_sub(old) > WINDOW)
    }

    /// Whether the ACK number says that its sender had some of the bytes seen, or says nothing.
    pub(crate) fn has_bytes_before(&self, ack: Option<u32>) -> bool {
        let position = ack.filter(|ack| *ack != 0).and_then(|ack| self.position(ack));
        position.is_none_or(|position| position > self.start.min(self.next))
    }

    /// With which ACK number the lowest bytes came that are held.
    pub(crate) fn first_ack(&self) -> Option<u32> {
        self.held.as_ref().and_then(|held| held.first_piece()).and_then(|(_, arrival)| arrival.ack)
    }

    /// Nothing earlier will come: offset 0 is the lowest position; or, if what is missing before it may be an answer
    /// (`may_be_answer`) and was sent while packets were captured, where that began, so that a gap comes first.
    ///
    /// A lone byte below all that the peer had when it asked is taken for a keep-alive probe, whose byte is garbage, and
    /// dropped: an idle connection often begins with one. What that gives up is one real byte of a stream caught in its
    /// middle, if its peer asked nothing before it.
    pub(crate) fn end_hold(&mut self, may_be_answer: bool) {
        let first = self.next;
        let asked = self.asked_at.and_then(|ack| self.position(ack)).filter(|asked| *asked <= first);
        let probe = self.held.as_mut().filter(|_| asked.is_none()).and_then(|held| {
            let is_probe = held.chunks.get(&first).is_some_and(|chunk| chunk.is_single);
            is_probe.then(|| held.remove(first)).flatten()
        });
        let lowest = first.saturating_add(u64::from(probe.is_some()));
        // A keep-alive probe without a byte lies one below.
        let begun = self.begun_at.and_then(|seq| self.position(seq)).filter(|begun| begun.saturating_add(1) < first);
        self.next = begun.filter(|_| may_be_answer).unwrap_or(lowest);
        (self.start, self.state) = (self.next, State::Started);
        self.prune();
    }
}
