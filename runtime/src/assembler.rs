//! The assembler of one direction of a TCP flow: segments in any order in, contiguous pieces out.
//!
//! It knows positions, holds what is not next, and says what is next and what is missing. It does not decide when a
//! hole has been waited for long enough, nor in which order the two directions are delivered: that is
//! [`reassembly`](crate::reassembly).
//!
//! ```text
//!      start            next                 first chunk       end (FIN)
//!        | delivered     | hole (unknown, or   | held bytes      |
//!        | or gap        | ACKed, or lost)     |                 |
//! ```

mod held;
mod piece;
mod sequence;
mod start;

pub(crate) use held::{Arrival, Overlap};
pub(crate) use piece::Piece;

use crate::packet::Timestamp;
use crate::reassembly::Heard;
use held::{Chunk, Held, Known};
use sequence::SequenceSpace;

/// So many segments in a row that the connection cannot have sent mean that another connection uses its ports now.
pub(crate) const STRAY_RUN: u8 = 16;

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No sequence number is known.
    #[default]
    Unseen,
    /// Bytes were seen, but no handshake: earlier ones may still come. `next` is the lowest position so far.
    Holding,
    /// Offset 0 is known.
    Started,
    /// The FIN was delivered; `next` is behind it.
    Closed,
}

/// What was next, taken out.
#[derive(Debug)]
pub(crate) enum Delivery {
    Bytes { offset: u64, bytes: Box<[u8]>, arrival: Arrival },
    Gap { offset: u64, len: u64, at: Timestamp },
    End { arrival: Arrival },
}

/// A missing range before something known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    /// Where it ends.
    pub(crate) to: u64,
    /// What told of it.
    pub(crate) arrival: Arrival,
}

/// One direction of a flow.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    start: u64,
    next: u64,
    held: Option<Box<Held>>,
    space: SequenceSpace,
    /// Without a handshake: the lowest ACK number that came with bytes of the opposite stream.
    asked_at: Option<u32>,
    /// Without a handshake: the lowest number behind which all is known to have been sent while packets were captured.
    begun_at: Option<u32>,
    state: State,
    is_midstream: bool,
    /// The receiver acknowledged one more than all bytes seen: that was a FIN which the capture missed.
    is_fin_assumed: bool,
    strays: u8,
}

/// Positions.
impl Assembler {
    /// The position of a sequence or ACK number, if it is near.
    pub(crate) fn position(&self, seq: u32) -> Option<u64> {
        self.space.position(seq, self.next)
    }

    /// Up to where the stream was delivered or declared a gap.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The stream offset of a position.
    pub(crate) fn offset(&self, position: u64) -> u64 {
        position.saturating_sub(self.start)
    }

    /// Counts segments that the connection cannot have sent; true once there were [`STRAY_RUN`] in a row.
    pub(crate) fn is_stray_run(&mut self, is_stray: bool) -> bool {
        self.strays = if is_stray { self.strays.saturating_add(1) } else { 0 };
        self.strays >= STRAY_RUN
    }

    /// Whether everything was delivered that the receiver had when it sent `ack`. An ACK far from the stream, or
    /// beyond its FIN, binds nobody.
    pub(crate) fn is_complete_to(&self, ack: Option<u32>) -> bool {
        let Some(ack) = ack else { return true };
        match self.state {
            State::Unseen | State::Holding => false,
            State::Started => self.position(ack).is_none_or(|position| position <= self.excused()),
            State::Closed => true,
        }
    }

    /// Whether a segment with that sequence number is next, and nothing waits.
    #[inline]
    pub(crate) fn is_next(&self, seq: u32) -> bool {
        self.state == State::Started && self.held.is_none() && self.space.seq(self.next) == seq
    }

    /// Whether nothing waits, and `ack` is near and not ahead of what was delivered.
    #[inline]
    pub(crate) fn has_delivered_to(&self, ack: u32) -> bool {
        const NEAR: i32 = 1 << 29;
        let behind = self.space.seq(self.next).wrapping_sub(ack).cast_signed();
        self.state == State::Started && self.held.is_none() && (0..NEAR).contains(&behind)
    }

    /// What a segment's sender had of this stream when it sent that ACK number. Some tools that write packets leave it 0.
    #[inline]
    pub(crate) fn heard(&self, ack: Option<u32>) -> Heard {
        let is_started = matches!(self.state, State::Started | State::Closed);
        let position = ack.filter(|ack| is_started && *ack != 0).and_then(|ack| self.position(ack));
        position.map_or(Heard::ALL, |position| Heard::before(self.offset(position)))
    }

    fn excused(&self) -> u64 {
        self.next.saturating_add(u64::from(self.is_fin_assumed))
    }

    /// The receiver has everything up to `ack`: if that is more than was seen, there is a hole.
    pub(crate) fn note_ack(&mut self, ack: u32, arrival: &Arrival) {
        if self.is_unseen() || self.is_closed() {
            return;
        }
        let Some(mut to) = self.position(ack) else { return };
        to = self.end().map_or(to, |end| to.min(end));
        if to <= self.excused() {
            return;
        }
        let known = Known { to, arrival: *arrival };
        let held = self.held_mut();
        if held.acked.is_none_or(|acked| acked.to < to) {
            held.acked = Some(known);
        }
        held.first_acked.get_or_insert(known);
    }
}

/// What comes in.
impl Assembler {
    /// The bytes that may be taken at `next` before held ones begin, or the stream ends.
    pub(crate) fn room(&self) -> u64 {
        let first = self.held.as_ref().and_then(|held| held.first_chunk());
        first.into_iter().chain(self.end()).min().map_or(u64::MAX, |limit| limit.saturating_sub(self.next))
    }

    /// Where the stream ends, if a FIN waits.
    pub(crate) fn end(&self) -> Option<u64> {
        self.held.as_ref().and_then(|held| held.end).map(|end| end.to)
    }

    /// Drops what was delivered already, and what lies behind the FIN. Says how many bytes (before, behind).
    pub(crate) fn trim(&mut self, piece: &mut Piece<'_>) -> (u64, u64) {
        if self.is_holding() {
            self.next = self.next.min(piece.position);
        }
        let old = self.next.saturating_sub(piece.position).min(piece.len);
        piece.skip(old);
        let room = self.end().map_or(u64::MAX, |end| end.saturating_sub(piece.position));
        let excess = piece.len.saturating_sub(room);
        piece.cut(room);
        (old, excess)
    }

    /// Counts `len` bytes at `next` as delivered, or as a gap.
    pub(crate) fn advance(&mut self, len: u64) {
        self.next = self.next.saturating_add(len);
        self.is_fin_assumed = false;
        self.prune();
    }

    /// Holds a copy of the bytes of `piece`, and notes what the snaplen cut off.
    pub(crate) fn hold(&mut self, piece: &Piece<'_>, arrival: Arrival) -> Overlap {
        let held = self.held_mut();
        let overlap = held.insert(piece.position, piece.bytes, piece.is_single, arrival);
        let captured = piece.position.saturating_add(piece.bytes.len() as u64);
        if captured < piece.end() {
            held.insert_lost(captured, piece.end(), arrival);
        }
        overlap
    }

    /// Notes a FIN at `position`; says how many held bytes lay behind it.
    pub(crate) fn hold_end(&mut self, position: u64, arrival: Arrival) -> u64 {
        let position = if self.is_holding() { position } else { position.max(self.next) };
        self.next = if self.is_holding() { self.next.min(position) } else { self.next };
        self.held_mut().insert_end(position, arrival)
    }

    /// The FIN is delivered; it counts one sequence number.
    pub(crate) fn close(&mut self) {
        self.advance(1);
        self.state = State::Closed;
        self.held = None;
    }

    /// The receiver's ACK one beyond all bytes was that of a FIN which was not captured.
    pub(crate) fn assume_fin(&mut self) {
        self.is_fin_assumed = true;
        if let Some(held) = &mut self.held {
            (held.acked, held.first_acked) = (None, None);
        }
        self.prune();
    }

    fn held_mut(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    fn prune(&mut self) {
        if let Some(held) = &mut self.held {
            held.prune(self.next);
            if held.is_empty() && self.state != State::Holding {
                self.held = None;
            }
        }
    }
}

/// What is next, and what is missing.
impl Assembler {
    /// Whether anything is held, or missing.
    pub(crate) fn is_waiting(&self) -> bool {
        self.held.is_some()
    }

    /// Memory held.
    pub(crate) fn held_cost(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.cost())
    }

    /// What told of the piece that is next, if it is at hand.
    pub(crate) fn head(&self) -> Option<&Arrival> {
        let held = self.held.as_deref().filter(|_| self.is_started())?;
        held.piece_at(self.next)
    }

    /// The next piece may be delivered whatever it acknowledges.
    pub(crate) fn waive_order(&mut self) {
        let next = self.next;
        let Some(held) = &mut self.held else { return };
        let chunk = held.chunks.get_mut(&next).map(|chunk| &mut chunk.arrival);
        let lost = held.lost.range_mut(..=next).map(|(_, lost)| &mut lost.arrival);
        let end = held.end.as_mut().filter(|end| end.to <= next).map(|end| &mut end.arrival);
        chunk.into_iter().chain(lost).chain(end).for_each(|arrival| arrival.ack = None);
    }

    /// Takes the piece that is next.
    pub(crate) fn take_head(&mut self) -> Option<Delivery> {
        let (next, offset) = (self.next, self.offset(self.next));
        let held = self.held.as_deref_mut()?;
        if let Some(Chunk { bytes, arrival, .. }) = held.remove(next) {
            self.advance(bytes.len() as u64);
            return Some(Delivery::Bytes { offset, bytes, arrival });
        }
        if let Some(end) = held.end.filter(|end| end.to <= next) {
            self.close();
            return Some(Delivery::End { arrival: end.arrival });
        }
        let lost = held.lost.first_key_value().filter(|(begin, _)| **begin <= next).map(|(_, lost)| *lost)?;
        let len = lost.to.saturating_sub(next).min(self.room());
        self.advance(len);
        Some(Delivery::Gap { offset, len, at: lost.arrival.at })
    }

    /// The hole at `next`, as far as something beyond it was seen.
    pub(crate) fn seen_hole(&self) -> Option<Hole> {
        let held = self.held.as_deref().filter(|_| self.is_started())?;
        let (to, arrival) = held.first_piece().filter(|(begin, _)| *begin > self.next)?;
        Some(Hole { to, arrival: *arrival })
    }

    /// The hole at `next`, as far as its receiver acknowledged it.
    pub(crate) fn acked_hole(&self) -> Option<Hole> {
        let held = self.held.as_deref().filter(|_| self.is_started() && self.head().is_none())?;
        let acked = held.first_acked.filter(|acked| acked.to > self.next)?;
        let to = held.first_piece().map_or(acked.to, |(begin, _)| begin.min(acked.to));
        Some(Hole { to, arrival: acked.arrival })
    }

    /// Whether a hole up to `to` may be nothing but the sequence number of a FIN.
    pub(crate) fn may_be_fin(&self, to: u64) -> bool {
        let acked = self.held.as_deref().and_then(|held| held.acked).map_or(to, |acked| acked.to);
        to.max(acked) == self.next.saturating_add(1) && self.seen_hole().is_none()
    }
}
