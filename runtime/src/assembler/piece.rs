//! The payload of one segment, while it is being placed.

use crate::packet::Segment;

/// The payload of a segment, as far as it is still of interest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) position: u64,
    pub(crate) bytes: &'a [u8],
    /// Length on the wire, at least that of `bytes`.
    pub(crate) len: u64,
    /// The segment was one byte long.
    pub(crate) is_single: bool,
}

impl<'a> Piece<'a> {
    pub(crate) fn new(position: u64, segment: &Segment<'a>) -> Self {
        let len = u64::from(segment.payload_len).max(segment.payload.len() as u64);
        Self { position, bytes: segment.payload, len, is_single: len == 1 }
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        self.position.saturating_add(self.len)
    }

    /// Drops `count` bytes in front.
    pub(crate) fn skip(&mut self, count: u64) {
        self.bytes = usize::try_from(count).ok().and_then(|count| self.bytes.get(count..)).unwrap_or_default();
        self.len = self.len.saturating_sub(count);
        self.position = self.position.saturating_add(count);
    }

    /// Keeps at most `len` bytes.
    pub(super) fn cut(&mut self, len: u64) {
        let kept = usize::try_from(len).ok().and_then(|len| self.bytes.get(..len));
        self.bytes = kept.unwrap_or(self.bytes);
        self.len = self.len.min(len);
    }
}
