//! What one stream holds back: bytes that arrived before their turn, ranges known to be lost, and a FIN.
//!
//! Held bytes never overlap each other: what arrived first stays. It is empty, and not allocated, while a stream
//! is in order. It does not know why something waits, nor for how long it may.

use super::sequence::is_before;
use crate::packet::Timestamp;
use std::collections::BTreeMap;

/// What a held piece costs beside its bytes: map entry, allocation, bookkeeping. Without it one-byte segments could
/// take a hundred times the memory that the limit promises.
pub(super) const PIECE_COST: usize = 96;

/// When and with which ACK something arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The segment's ACK number: how far the opposite stream must be delivered before it.
    pub(crate) ack: Option<u32>,
    /// The segment's own time.
    pub(crate) at: Timestamp,
    /// The segment's number in the capture.
    pub(crate) packet: u64,
    /// The latest time seen when it arrived; later than `at` if the capture is shuffled.
    pub(crate) noticed: Timestamp,
}

impl Arrival {
    /// Of two arrivals of the same bytes, the one that acknowledged less is the original.
    fn take_earlier_ack(&mut self, other: &Self) {
        match (self.ack, other.ack) {
            (Some(mine), Some(theirs)) if is_before(theirs, mine) => self.ack = other.ack,
            (Some(_), None) => self.ack = None,
            _ => {}
        }
    }
}

/// Bytes that wait.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Box<[u8]>,
    /// The whole segment was one byte: perhaps a keep-alive probe with a garbage byte.
    pub(super) is_single: bool,
    pub(super) arrival: Arrival,
}

/// A range or a stream end, and what told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Where the range, or the stream, ends.
    pub(super) to: u64,
    pub(super) arrival: Arrival,
}

/// How bytes that arrived compare with those held already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Bytes that were held already.
    pub(crate) overlapping: u64,
    /// Those of them that differ.
    pub(crate) conflicting: u64,
}

/// Everything that one stream holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) chunks: BTreeMap<u64, Chunk>,
    /// Ranges cut off by the snaplen, by their begin. They may overlap chunks (bytes win) and each other.
    pub(super) lost: BTreeMap<u64, Known>,
    /// The FIN.
    pub(super) end: Option<Known>,
    /// The highest ACK of the receiver beyond what was delivered.
    pub(super) acked: Option<Known>,
    /// The ACK that first told of the present hole; `acked` may be ahead of it.
    pub(super) first_acked: Option<Known>,
    /// The packet that a stream without handshake was first seen in.
    pub(super) since: u64,
    cost: usize,
}

impl Held {
    /// Memory held, as the limit counts it.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.lost.is_empty() && self.end.is_none() && self.acked.is_none()
    }

    /// Copies the bytes that are not held yet.
    pub(super) fn insert(&mut self, position: u64, bytes: &[u8], is_single: bool, arrival: Arrival) -> Overlap {
        let mut overlap = Overlap::default();
        let (mut position, mut rest) = (position, bytes);
        let segment_end = position.saturating_add(bytes.len() as u64);
        while !rest.is_empty() {
            let known = self.overlay(position, rest, is_single, segment_end, &arrival, &mut overlap);
            let taken = if known > 0 { known } else { self.store(position, rest, is_single, arrival) };
            position = position.saturating_add(taken as u64);
            rest = rest.get(taken..).unwrap_or_default();
        }
        overlap
    }

    /// Compares with the chunk that covers `position`, if any; says how many bytes it covers.
    fn overlay(
        &mut self,
        position: u64,
        bytes: &[u8],
        is_single: bool,
        segment_end: u64,
        arrival: &Arrival,
        overlap: &mut Overlap,
    ) -> usize {
        let Some((&begin, chunk)) = self.chunks.range_mut(..=position).next_back() else { return 0 };
        let skipped = usize::try_from(position.saturating_sub(begin)).unwrap_or(usize::MAX);
        let held = chunk.bytes.get(skipped..).unwrap_or_default();
        let count = held.len().min(bytes.len());
        if count == 0 {
            return 0;
        }
        let differing = held.iter().zip(bytes).filter(|(old, new)| old != new).count();
        overlap.overlapping = overlap.overlapping.saturating_add(count as u64);
        overlap.conflicting = overlap.conflicting.saturating_add(differing as u64);
        let is_covered = skipped == 0 && begin.saturating_add(chunk.bytes.len() as u64) <= segment_end;
        if is_covered && chunk.is_single && !is_single {
            chunk.bytes.iter_mut().zip(bytes).for_each(|(old, new)| *old = *new);
            chunk.is_single = false;
            chunk.arrival = *arrival;
        } else if is_covered {
            chunk.arrival.take_earlier_ack(arrival);
        }
        count
    }

    /// Copies bytes up to the next chunk; says how many.
    fn store(&mut self, position: u64, bytes: &[u8], is_single: bool, arrival: Arrival) -> usize {
        let room = self.chunks.range(position..).next().map_or(u64::MAX, |(&begin, _)| begin.saturating_sub(position));
        let count = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let bytes: Box<[u8]> = bytes.get(..count).unwrap_or_default().into();
        self.cost = self.cost.saturating_add(count).saturating_add(PIECE_COST);
        self.chunks.insert(position, Chunk { bytes, is_single, arrival });
        count
    }

    /// Notes bytes that were on the wire and not captured.
    pub(super) fn insert_lost(&mut self, from: u64, to: u64, arrival: Arrival) {
        let mut is_new = false;
        let known = self.lost.entry(from).or_insert_with(|| {
            is_new = true;
            Known { to, arrival }
        });
        known.to = known.to.max(to);
        if is_new {
            self.cost = self.cost.saturating_add(PIECE_COST);
        }
    }

    /// Notes the FIN; the first one stays. Drops what lies behind it and says how many bytes that was.
    pub(super) fn insert_end(&mut self, to: u64, arrival: Arrival) -> u64 {
        if let Some(end) = &mut self.end {
            end.arrival.take_earlier_ack(&arrival);
            return 0;
        }
        self.end = Some(Known { to, arrival });
        let mut dropped = 0;
        for known in [&mut self.acked, &mut self.first_acked].into_iter().flatten() {
            known.to = known.to.min(to);
        }
        self.lost.split_off(&to).into_values().for_each(|_| self.cost = self.cost.saturating_sub(PIECE_COST));
        for chunk in self.chunks.split_off(&to).into_values() {
            dropped += chunk.bytes.len() as u64;
            self.forget(&chunk);
        }
        if let Some(mut last) = self.chunks.last_entry() {
            let keep = usize::try_from(to.saturating_sub(*last.key())).unwrap_or(usize::MAX);
            let excess = last.get().bytes.len().saturating_sub(keep);
            if excess > 0 {
                last.get_mut().bytes = last.get().bytes.get(..keep).unwrap_or_default().into();
                self.cost = self.cost.saturating_sub(excess);
                dropped += excess as u64;
            }
        }
        dropped
    }

    /// Takes the chunk at `position`.
    pub(super) fn remove(&mut self, position: u64) -> Option<Chunk> {
        let chunk = self.chunks.remove(&position)?;
        self.forget(&chunk);
        Some(chunk)
    }

    fn forget(&mut self, chunk: &Chunk) {
        self.cost = self.cost.saturating_sub(chunk.bytes.len()).saturating_sub(PIECE_COST);
    }

    /// Drops what ends at or before `next`, up to where the stream was delivered.
    pub(super) fn prune(&mut self, next: u64) {
        while self.lost.first_key_value().is_some_and(|(_, lost)| lost.to <= next) {
            self.lost.pop_first();
            self.cost = self.cost.saturating_sub(PIECE_COST);
        }
        if self.acked.is_some_and(|acked| acked.to <= next) {
            self.acked = None;
        }
        if self.first_acked.is_none_or(|first| first.to <= next) {
            self.first_acked = self.acked;
        }
    }

    /// Where the first chunk begins.
    pub(super) fn first_chunk(&self) -> Option<u64> {
        self.chunks.first_key_value().map(|(&begin, _)| begin)
    }

    /// What told of the piece that covers `next`: bytes rather than a FIN, a FIN rather than a lost range.
    pub(super) fn piece_at(&self, next: u64) -> Option<&Arrival> {
        let chunk = || self.chunks.first_key_value().filter(|(begin, _)| **begin <= next).map(|(_, c)| &c.arrival);
        let end = || self.end.as_ref().filter(|end| end.to <= next).map(|end| &end.arrival);
        let lost = || self.lost.first_key_value().filter(|(begin, _)| **begin <= next).map(|(_, l)| &l.arrival);
        chunk().or_else(end).or_else(lost)
    }

    /// The first thing known at or after `next`, and what told of it.
    pub(super) fn first_piece(&self) -> Option<(u64, &Arrival)> {
        let chunk = self.chunks.first_key_value().map(|(&begin, chunk)| (begin, &chunk.arrival));
        let lost = self.lost.first_key_value().map(|(&begin, lost)| (begin, &lost.arrival));
        let end = self.end.as_ref().map(|end| (end.to, &end.arrival));
        [chunk, lost, end].into_iter().flatten().min_by_key(|(begin, _)| *begin)
    }
}
