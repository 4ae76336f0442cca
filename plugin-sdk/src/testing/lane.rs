//! One direction of the miniature host's flow: which bytes are kept for the plugin, and what it is waiting for.

use super::host::Call;
use crate::contract::flag;
use crate::plugin::Direction;

/// What follows the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    More,
    Gap(u64),
    End,
    Datagram,
}

/// Which call comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Parse,
    Resync { is_expected: bool },
}

/// The bytes of one direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) mode: Mode,
    bytes: Vec<u8>,
    /// Stream offset of the first byte that is kept.
    offset: u64,
    /// Bytes still to be passed over.
    skip: u64,
    /// Bytes without which a call is of no use.
    need: u64,
    /// Where the sender last began to speak after its peer.
    turned_at: Option<u64>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { mode: Mode::Parse, bytes: Vec::new(), offset: 0, skip: 0, need: 1, turned_at: None }
    }
}

impl Lane {
    pub(super) fn push(&mut self, bytes: &[u8], turned: bool) {
        if turned {
            self.turned_at = Some(self.offset + self.bytes.len() as u64);
            if matches!(self.mode, Mode::Resync { .. }) {
                // Where the sender begins to speak anew a frame is most likely to start.
                self.start_resync();
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.pass();
    }

    /// Whether the next frame is looked for.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.mode, Mode::Resync { .. })
    }

    /// Stream offset of the next byte for the plugin.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that wait.
    pub(super) fn buffered(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn window(&self, len: usize) -> &[u8] {
        self.bytes.get(..len).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
        self.offset += len as u64;
        self.need = 1;
    }

    pub(super) fn skip(&mut self, len: u64) {
        self.skip = self.skip.saturating_add(len);
        self.pass();
    }

    pub(super) fn need(&mut self, amount: u64) {
        self.need = amount;
    }

    /// Gives up what is there.
    pub(super) fn drop_rest(&mut self) {
        self.consume(self.bytes.len());
        self.skip = 0;
    }

    /// Gives up what is there; what comes next is searched for a frame.
    pub(super) fn start_resync(&mut self) {
        self.drop_rest();
        self.mode = Mode::Resync { is_expected: false };
    }

    /// The bytes of a gap have gone by, as far as the plugin has not passed over them already.
    pub(super) fn pass_gap(&mut self, len: u64) {
        if matches!(self.mode, Mode::Resync { .. }) && self.skip < len {
            self.start_resync();
        }
        self.skip = self.skip.saturating_sub(len);
        self.offset += len;
        self.need = 1;
    }

    /// The next call that tells the plugin something new.
    pub(super) fn next_call(&self, direction: Direction, window: usize, tail: Tail) -> Option<Call> {
        let len = self.bytes.len().min(window);
        let to_client = if direction == Direction::ToClient { flag::TO_CLIENT } else { 0 };
        let call = Call { is_resync: false, direction, flags: to_client, offset: self.offset, len, gap: 0 };
        match self.mode {
            Mode::Parse => self.next_parse(call, tail),
            Mode::Resync { is_expected } => self.next_resync(call, tail, is_expected),
        }
    }

    fn next_parse(&self, mut call: Call, tail: Tail) -> Option<Call> {
        let is_all = call.len == self.bytes.len();
        match tail {
            Tail::Gap(len) if is_all => {
                // What the plugin has passed over of the gap is not missed.
                call.gap = len.checked_sub(self.skip).filter(|gap| *gap > 0)?;
                call.offset += self.skip;
                call.flags |= flag::GAP;
            }
            Tail::End if is_all => call.flags |= flag::END,
            Tail::Datagram if is_all => call.flags |= flag::DATAGRAM,
            Tail::Datagram => {
                // Of a datagram longer than the window the rest counts as missing.
                call.flags |= flag::DATAGRAM | flag::GAP;
                call.gap = (self.bytes.len() - call.len) as u64;
            }
            Tail::More | Tail::Gap(_) | Tail::End if !self.is_ready() => return None,
            Tail::More | Tail::Gap(_) | Tail::End => {}
        }
        Some(call)
    }

    fn next_resync(&self, mut call: Call, tail: Tail, is_expected: bool) -> Option<Call> {
        let is_end = tail == Tail::End && call.len == self.bytes.len();
        if call.len == 0 || self.skip > 0 || !(is_end || self.is_ready()) {
            return None;
        }
        call.is_resync = true;
        call.flags |= if is_end { flag::END } else { 0 };
        call.flags |= if is_expected { flag::EXPECTED } else { 0 };
        call.flags |= if self.turned_at == Some(self.offset) { flag::TURNAROUND } else { 0 };
        Some(call)
    }

    fn is_ready(&self) -> bool {
        self.skip == 0 && self.bytes.len() as u64 >= self.need
    }

    fn pass(&mut self) {
        let passed = self.skip.min(self.bytes.len() as u64);
        self.bytes.drain(..passed as usize);
        self.skip -= passed;
        self.offset += passed;
    }
}
