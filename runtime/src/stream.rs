//! One direction of a claimed flow: the contiguous bytes that its plugin has not done with, where they lie in the
//! stream, when they came, and what the plugin asked for. Bytes that are to be skipped are never kept.

use std::collections::VecDeque;

use crate::packet::Timestamp;
use crate::reassembly::Heard;

/// Marks that are kept for a stream's bytes. Beyond, those between the oldest and the newest are thinned out.
const MAX_MARKS: usize = 16_384;

/// One direction of a flow.
#[derive(Debug, Default)]
pub struct Stream {
    /// Stream offset of the first byte kept.
    base: u64,
    bytes: Vec<u8>,
    /// Bytes at the front of `bytes` that are done with.
    done: usize,
    /// Where the next byte of interest lies; ahead of `base` while skipping.
    skip_to: u64,
    /// Bytes that must be there before the plugin is called again.
    pub(crate) need: u64,
    /// Where the latest piece begins.
    pub(crate) piece_at: u64,
    /// What follows the bytes, if not more bytes.
    pub(crate) tail: Tail,
    pub(crate) mode: Mode,
    /// Where a frame most likely starts: what a resync is told.
    pub(crate) turnaround_at: Option<u64>,
    pub(crate) expected_at: Option<u64>,
    /// Where another version of the plugin took over, between two messages.
    pub(crate) boundary_at: Option<u64>,
    pub(crate) marks: Marks,
}

/// What follows the bytes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// More, perhaps.
    #[default]
    Open,
    /// So many bytes that are missing for good.
    Gap(u64),
    /// Nothing.
    Ended,
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Frame after frame.
    #[default]
    Synced,
    /// Looking for the next frame's start.
    Resync,
}

impl Stream {
    /// A stream whose first byte has that offset.
    #[must_use]
    pub fn new(base: u64, mode: Mode) -> Self {
        Self { base, skip_to: base, mode, ..Self::default() }
    }

    /// Stream offset of the next byte for the plugin.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Stream offset behind the last byte that came.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.len() as u64)
    }

    /// The bytes that the plugin has not done with, at most `max`.
    #[must_use]
    pub fn window(&self, max: usize) -> &[u8] {
        let bytes = self.bytes.get(self.done..).unwrap_or_default();
        bytes.get(..max).unwrap_or(bytes)
    }

    /// Number of bytes kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.done)
    }

    /// Whether no bytes are kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether bytes that are yet to come shall be passed over.
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.skip_to > self.base
    }

    /// Stream offset of the next byte of interest.
    #[must_use]
    pub fn front(&self) -> u64 {
        self.base.max(self.skip_to)
    }

    /// Whether a message begins at the first byte kept, as far as a plugin before this one knew.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.boundary_at == Some(self.base)
    }

    /// Takes the next bytes, which came at `at` from who had `heard` so much; how many of them were skipped.
    pub fn push(&mut self, bytes: &[u8], at: Timestamp, heard: Heard) -> u64 {
        self.piece_at = self.end();
        self.marks.push(Mark { offset: self.piece_at, at, heard, is_lost: false });
        let passed = self.skip_to.saturating_sub(self.base).min(bytes.len() as u64);
        if passed > 0 {
            // While skipping, nothing is kept, so that the base is the end.
            self.base = self.base.saturating_add(passed);
        }
        let rest = usize::try_from(passed).ok().and_then(|passed| bytes.get(passed..)).unwrap_or_default();
        self.compact();
        self.bytes.extend_from_slice(rest);
        passed
    }

    /// `len` bytes of the window are done with.
    pub fn consume(&mut self, len: usize) {
        let len = len.min(self.len());
        self.done += len;
        self.base = self.base.saturating_add(len as u64);
        self.skip_to = self.skip_to.max(self.base);
        if self.is_empty() {
            self.bytes.clear();
            self.done = 0;
        }
    }

    /// Passes over `len` bytes, some of which may be yet to come.
    pub fn skip(&mut self, len: u64) {
        self.skip_to = self.base.saturating_add(len);
        let here = usize::try_from(len).map_or(self.len(), |len| len.min(self.len()));
        let skip_to = self.skip_to;
        self.consume(here);
        self.skip_to = skip_to;
    }

    /// The bytes and the gap behind them are given up: reading goes on behind it.
    pub fn pass_gap(&mut self) {
        let Tail::Gap(len) = self.tail else { return };
        self.consume(self.len());
        self.base = self.base.saturating_add(len);
        self.skip_to = self.skip_to.max(self.base);
        self.tail = Tail::Open;
        self.need = 0;
    }

    /// While skipping: the part of the gap that was to be skipped is absorbed; gives how much that was. What reaches
    /// beyond stays a gap.
    pub fn absorb_gap(&mut self) -> u64 {
        let Tail::Gap(len) = self.tail else { return 0 };
        let absorbed = self.skip_to.saturating_sub(self.base).min(len);
        self.marks.push_lost(self.base);
        self.base = self.base.saturating_add(absorbed);
        self.tail = if absorbed < len { Tail::Gap(len - absorbed) } else { Tail::Open };
        absorbed
    }

    /// Gives back the memory of bytes that are done with.
    pub fn shrink(&mut self) {
        self.compact();
        self.bytes.shrink_to_fit();
        self.marks.marks.shrink_to_fit();
    }

    /// Everything kept is given up, and nothing is skipped any more; how many bytes that were.
    pub fn drop_unsynced(&mut self) -> u64 {
        let dropped = self.len();
        self.consume(dropped);
        self.skip_to = self.base;
        self.need = 0;
        dropped as u64
    }

    fn compact(&mut self) {
        if self.done > 0 {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
    }
}

/// What is known of the bytes from some offset on.
#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    /// When they were captured.
    at: Timestamp,
    /// What their sender had of the opposite stream.
    heard: Heard,
    /// They were not captured; all else is said of the bytes before them.
    is_lost: bool,
}

/// What is known of the bytes of a stream: a bounded index by their offsets.
#[derive(Debug, Default)]
pub struct Marks {
    marks: VecDeque<Mark>,
}

impl Marks {
    fn push(&mut self, mark: Mark) {
        let is_same = |last: &Mark| (last.at, last.heard, last.is_lost) == (mark.at, mark.heard, mark.is_lost);
        if self.marks.back().is_some_and(is_same) {
            return;
        }
        if self.marks.len() >= MAX_MARKS {
            // The oldest one says when the message began that is being read, the newest ones when it ends.
            self.marks.remove(1);
        }
        self.marks.push_back(mark);
    }

    fn push_lost(&mut self, offset: u64) {
        if let Some(last) = self.marks.back().copied() {
            self.push(Mark { offset, is_lost: true, ..last });
        }
    }

    /// When the byte at `offset` came; if it was lost, when the last one before it did.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<Timestamp> {
        self.mark(offset).map(|mark| mark.at)
    }

    /// When the latest piece came, of those that are not forgotten.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.marks.back().map(|mark| mark.at)
    }

    /// Whether the byte at `offset` is in a gap that was skipped.
    #[must_use]
    pub fn is_lost(&self, offset: u64) -> bool {
        self.mark(offset).is_some_and(|mark| mark.is_lost)
    }

    /// When the last of the bytes from `start` to before `end` came, in whatever order they did.
    #[must_use]
    pub fn latest(&self, start: u64, end: u64) -> Option<Timestamp> {
        if let Some(last) = self.marks.back().filter(|last| last.offset <= start) {
            return Some(last.at);
        }
        let from = self.marks.partition_point(|mark| mark.offset <= start).saturating_sub(1);
        let count = self.marks.partition_point(|mark| mark.offset < end).saturating_sub(from).max(1);
        self.marks.iter().skip(from).take(count).map(|mark| mark.at).max()
    }

    /// What the sender of the byte at `offset` had of the opposite stream.
    #[must_use]
    pub fn heard(&self, offset: u64) -> Heard {
        self.mark(offset).map_or(Heard::ALL, |mark| mark.heard)
    }

    #[inline]
    fn mark(&self, offset: u64) -> Option<&Mark> {
        // Mostly it is the bytes that came last that are asked about.
        match self.marks.back() {
            Some(last) if last.offset <= offset => Some(last),
            _ => self.earlier_mark(offset),
        }
    }

    fn earlier_mark(&self, offset: u64) -> Option<&Mark> {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        self.marks.get(after.saturating_sub(1))
    }

    /// Bytes before `offset` are not asked for any more.
    pub fn forget_before(&mut self, offset: u64) {
        while self.marks.get(1).is_some_and(|mark| mark.offset <= offset) {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Marks, Mode, Stream, Tail};
    use crate::reassembly::Heard;

    #[test]
    fn skipped_bytes_are_not_kept_and_their_times_are() {
        let mut stream = Stream::new(0, Mode::Synced);
        stream.push(b"head", 1, Heard::ALL);
        stream.consume(4);
        stream.skip(6);
        stream.push(b"skip", 2, Heard::ALL);
        assert_eq!((stream.base(), stream.len(), stream.is_skipping()), (8, 0, true));
        stream.push(b"p!next", 3, Heard::ALL);
        assert_eq!((stream.base(), stream.window(100), stream.is_skipping()), (10, &b"next"[..], false));
        assert_eq!((stream.marks.at(7), stream.marks.at(8), stream.marks.at(0)), (Some(2), Some(3), Some(1)));
    }

    #[test]
    fn shrinking_loses_nothing() {
        let mut stream = Stream::new(0, Mode::Synced);
        stream.push(b"abcdef", 1, Heard::ALL);
        stream.consume(2);
        stream.shrink();
        stream.push(b"gh", 2, Heard::ALL);
        assert_eq!((stream.base(), stream.window(100)), (2, &b"cdefgh"[..]));
        assert_eq!((stream.marks.at(5), stream.marks.at(6)), (Some(1), Some(2)));
        stream.consume(6);
        stream.shrink();
        assert_eq!((stream.bytes.capacity(), stream.end()), (0, 8));
    }

    #[test]
    fn a_skip_goes_on_behind_a_gap_that_it_covers() {
        let mut stream = Stream::new(0, Mode::Synced);
        stream.push(b"ab", 1, Heard::ALL);
        stream.skip(10);
        stream.tail = Tail::Gap(5);
        assert_eq!((stream.absorb_gap(), stream.tail), (5, Tail::Open));
        stream.push(b"cccd", 2, Heard::ALL);
        assert_eq!((stream.base(), stream.window(9)), (10, &b"d"[..]));
    }

    #[test]
    fn what_of_a_gap_reaches_beyond_a_skip_stays_a_gap() {
        let mut stream = Stream::new(0, Mode::Synced);
        stream.skip(4);
        stream.tail = Tail::Gap(10);
        assert_eq!((stream.absorb_gap(), stream.tail, stream.is_skipping()), (4, Tail::Gap(6), false));
        stream.pass_gap();
        assert_eq!((stream.base(), stream.tail), (10, Tail::Open));
    }

    #[test]
    fn bytes_are_all_there_when_the_last_of_them_came() {
        let mut marks = Marks::default();
        assert_eq!(marks.latest(0, 5), None);
        for (offset, at) in [(0, 5), (10, 9), (20, 7), (30, 11)] {
            marks.push(Mark { offset, at, heard: Heard::ALL, is_lost: false });
        }
        assert_eq!(
            [(0, 10), (0, 11), (5, 25), (10, 20), (25, 30)].map(|(a, b)| marks.latest(a, b)),
            [5, 9, 9, 9, 7].map(Some)
        );
        assert_eq!([(25, 31), (35, 40), (30, 30)].map(|(a, b)| marks.latest(a, b)), [11, 11, 11].map(Some));
    }

    #[test]
    fn marks_forget_what_is_not_asked_for() {
        let mut marks = Marks::default();
        for (offset, at) in [(0, 5), (10, 6), (20, 7)] {
            marks.push(Mark { offset, at, heard: Heard::before(at), is_lost: false });
        }
        marks.forget_before(15);
        assert_eq!((marks.at(15), marks.at(25), marks.marks.len()), (Some(6), Some(7), 2));
        assert_eq!((marks.heard(15), marks.heard(25)), (Heard::before(6), Heard::before(7)));
    }
}
