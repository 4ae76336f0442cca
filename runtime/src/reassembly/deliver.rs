//! From a segment to events: what is next goes straight from the packet to the sink, the rest is held until its turn.

use super::{CloseReason, Direction, FlowAssembler, Patience, Remedy, StreamEvent};
use crate::assembler::{Arrival, Assembler, Delivery, Overlap, Piece};
use crate::packet::{Segment, Timestamp};

impl FlowAssembler {
    /// Takes an admitted segment: its ACK, its payload, its FIN.
    pub(super) fn take(&mut self, direction: Direction, segment: &Segment<'_>, sink: &mut impl FnMut(StreamEvent<'_>)) {
        let (ack, noticed) = (segment.tcp.ack, self.clock.now);
        let arrival = Arrival { ack, at: segment.at, packet: segment.packet, noticed };
        let (stream, opposite) = self.streams.pair_mut(direction);
        if let Some(ack) = ack {
            opposite.note_ack(ack, &arrival);
            if segment.payload_len > 0 {
                opposite.note_asked(ack, stream.is_started() && !stream.is_midstream());
            }
        }
        if (segment.payload_len == 0 && !segment.tcp.fin) || stream.is_closed() {
            stream.note_empty(segment.tcp.seq.wrapping_add(segment.tcp.syn.into()));
            return self.count_old(segment.payload_len.into(), false);
        }
        let seq = segment.tcp.seq.wrapping_add(segment.tcp.syn.into());
        if stream.is_unseen() {
            stream.begin_holding(seq, segment.packet);
        }
        let Some(position) = stream.position(seq) else { return };
        let mut piece = Piece::new(position, segment);
        let end = piece.end();
        self.count_truncated(&piece);
        self.take_piece(direction, &mut piece, arrival, sink);
        if segment.tcp.fin {
            self.take_end(direction, end, arrival, sink);
        }
    }

    fn take_piece(
        &mut self,
        direction: Direction,
        piece: &mut Piece<'_>,
        arrival: Arrival,
        sink: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let (stream, opposite) = self.streams.pair_mut(direction);
        let is_probe = piece.is_single && !stream.is_holding() && piece.end() == stream.next();
        let (old, excess) = stream.trim(piece);
        let is_next = stream.is_started() && piece.position == stream.next();
        let is_in_turn = opposite.is_complete_to(arrival.ack);
        if old > 0 || excess > 0 {
            self.count_old(old, is_probe);
            self.count_after_close(excess);
        }
        if is_next && is_in_turn {
            self.pass_on(direction, piece, &arrival, sink);
        }
        if piece.len > 0 {
            let overlap = self.streams.get_mut(direction).hold(piece, arrival);
            self.count_held(is_next, is_in_turn, overlap);
        }
    }

    /// The fast path: delivers what is next without copying it, up to where held bytes begin.
    fn pass_on(
        &mut self,
        direction: Direction,
        piece: &mut Piece<'_>,
        arrival: &Arrival,
        sink: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let stream = self.streams.get_mut(direction);
        let room = usize::try_from(stream.room()).unwrap_or(usize::MAX);
        let bytes = piece.bytes.get(..room).unwrap_or(piece.bytes);
        if !bytes.is_empty() {
            let offset = stream.offset(stream.next());
            stream.advance(bytes.len() as u64);
            let heard = self.streams.get(direction.opposite()).heard(arrival.ack);
            sink(StreamEvent::Data { direction, offset, bytes, at: arrival.at, packet: arrival.packet, heard });
        }
        piece.skip(bytes.len() as u64);
        if piece.bytes.is_empty() && piece.len > 0 {
            let len = piece.len.min(self.streams.get(direction).room());
            piece.skip(len);
            self.declare_gap(direction, len, arrival.at, sink);
        }
    }

    fn take_end(&mut self, direction: Direction, end: u64, arrival: Arrival, sink: &mut impl FnMut(StreamEvent<'_>)) {
        let (stream, opposite) = self.streams.pair_mut(direction);
        let is_next = stream.is_started() && stream.next() == end && stream.room() == u64::MAX;
        if is_next && opposite.is_complete_to(arrival.ack) {
            stream.close();
            sink(close(direction, CloseReason::Fin, arrival.at, arrival.packet));
        } else {
            let dropped = stream.hold_end(end, arrival);
            self.count_after_close(dropped);
        }
    }

    /// Delivers everything whose turn has come, and gives up what need not be waited for.
    pub(super) fn settle(&mut self, is_quiet: bool, is_over: bool, sink: &mut impl FnMut(StreamEvent<'_>)) {
        let is_held = |stream: &Assembler| stream.is_waiting();
        while is_held(&self.streams.to_server) || is_held(&self.streams.to_client) {
            if self.deliver_ready(sink) {
                continue;
            }
            let is_full = self.streams.held_cost() > self.held_limit as usize;
            let patience = Patience::new(self, is_quiet, is_over || is_full);
            let Some(remedy) = patience.remedy(&self.streams) else { break };
            if is_full && !is_over {
                self.counters().held_limit_exceeded += 1;
            }
            self.apply(remedy, sink);
        }
    }

    /// Delivers the earlier captured of the pieces whose turn it is.
    fn deliver_ready(&mut self, sink: &mut impl FnMut(StreamEvent<'_>)) -> bool {
        let ready = |direction| self.streams.ready(direction).map(|packet| (packet, direction));
        let earliest = [Direction::ToServer, Direction::ToClient].into_iter().filter_map(ready).min();
        let Some((_, direction)) = earliest else { return false };
        let stream = self.streams.get_mut(direction);
        match stream.take_head() {
            Some(Delivery::Bytes { offset, bytes, arrival: Arrival { at, packet, ack, .. } }) => {
                let heard = self.streams.get(direction.opposite()).heard(ack);
                sink(StreamEvent::Data { direction, offset, bytes: &bytes, at, packet, heard });
            }
            Some(Delivery::Gap { offset, len, at }) => self.emit_gap(direction, offset, len, at, sink),
            Some(Delivery::End { arrival }) => sink(close(direction, CloseReason::Fin, arrival.at, arrival.packet)),
            None => return false,
        }
        true
    }

    fn apply(&mut self, remedy: Remedy, sink: &mut impl FnMut(StreamEvent<'_>)) {
        match remedy {
            Remedy::EndHold(direction) => {
                self.counters().midstream += 1;
                let (stream, opposite) = self.streams.pair_mut(direction);
                // If who sent the first bytes had none of what was seen, the ones before them were no answers to it.
                let may_be_answer = opposite.has_bytes_before(stream.first_ack());
                stream.end_hold(may_be_answer);
            }
            Remedy::StartAt(direction, seq) => {
                self.counters().midstream += 1;
                self.streams.get_mut(direction).start_at(seq, false);
            }
            Remedy::Gap(direction, to, at) => {
                let len = to.saturating_sub(self.streams.get(direction).next());
                self.declare_gap(direction, len, at, sink);
            }
            Remedy::AssumeFin(direction) => self.streams.get_mut(direction).assume_fin(),
            Remedy::Waive(direction) => {
                self.counters().order_waived += 1;
                self.streams.get_mut(direction).waive_order();
            }
        }
    }

    /// Lets a RST take effect once nothing sent before it can still come, or if `is_due` anyway.
    pub(super) fn close_reset(&mut self, is_due: bool, sink: &mut impl FnMut(StreamEvent<'_>)) {
        let Some(reset) = self.reset else { return };
        if !Patience::new(self, is_due, false).is_past_reordering(reset.packet) {
            return;
        }
        self.settle(true, true, sink);
        (self.reset, self.reset_by) = (None, Some(reset.direction));
        for direction in [reset.direction, reset.direction.opposite()] {
            if !self.streams.get(direction).is_closed() {
                sink(close(direction, CloseReason::Rst, reset.at, reset.packet));
            }
        }
    }

    fn declare_gap(&mut self, direction: Direction, len: u64, at: Timestamp, sink: &mut impl FnMut(StreamEvent<'_>)) {
        let stream = self.streams.get_mut(direction);
        let offset = stream.offset(stream.next());
        stream.advance(len);
        self.emit_gap(direction, offset, len, at, sink);
    }

    fn emit_gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        at: Timestamp,
        sink: &mut impl FnMut(StreamEvent<'_>),
    ) {
        if len == 0 {
            return;
        }
        let counters = self.counters();
        counters.gaps += 1;
        counters.gap_bytes += len;
        sink(StreamEvent::Gap { direction, offset, len, at });
    }
}

/// Counting.
impl FlowAssembler {
    fn count_old(&mut self, bytes: u64, is_probe: bool) {
        if is_probe {
            self.counters().keep_alives += 1;
        } else if bytes > 0 {
            self.counters().retransmitted_bytes += bytes;
        }
    }

    fn count_truncated(&mut self, piece: &Piece<'_>) {
        let truncated = piece.len.saturating_sub(piece.bytes.len() as u64);
        if truncated > 0 {
            self.counters().truncated_bytes += truncated;
        }
    }

    fn count_held(&mut self, is_next: bool, is_in_turn: bool, overlap: Overlap) {
        let counters = self.counters();
        counters.out_of_order += u64::from(!is_next);
        counters.out_of_turn += u64::from(is_next && !is_in_turn);
        counters.overlapping_bytes += overlap.overlapping;
        counters.conflicting_bytes += overlap.conflicting;
    }
}

fn close<'a>(direction: Direction, reason: CloseReason, at: Timestamp, packet: u64) -> StreamEvent<'a> {
    StreamEvent::Close { direction, reason, at, packet }
}
