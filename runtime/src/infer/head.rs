//! What both ends of a flow sent first, kept until a plugin has claimed the flow and proven it, so that another one can be
//! given the same.

use super::Answer;
use crate::packet::Timestamp;
use crate::plugin::manifest::HEAD;
use crate::reassembly::{Direction, Heard};

/// The beginning of a flow: what both ends sent, in the order in which it came.
#[derive(Debug, Default)]
pub struct Head {
    pub(super) to_server: HeadStream,
    pub(super) to_client: HeadStream,
    pub(super) pieces: Vec<PieceHeader>,
    /// Behind so many pieces, bytes were lost.
    pub(super) lost_behind: Option<usize>,
    pub(super) answers: Vec<Answer>,
}

#[derive(Debug, Default)]
pub(super) struct HeadStream {
    pub(super) bytes: Vec<u8>,
    pub(super) base: u64,
    pub(super) is_mid_stream: bool,
}

/// Bytes that came at once.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which way.
    pub direction: Direction,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Bytes of a datagram after them that were not captured.
    pub missing: u64,
    /// When.
    pub at: Timestamp,
    /// What their sender had of the opposite stream.
    pub heard: Heard,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PieceHeader {
    pub(super) direction: Direction,
    pub(super) len: usize,
    pub(super) missing: u64,
    pub(super) at: Timestamp,
    pub(super) heard: Heard,
}

impl Head {
    /// The beginning of a flow that is caught in its middle, as far as is known.
    #[must_use]
    pub fn mid_stream() -> Self {
        let mut head = Self::default();
        head.to_server.is_mid_stream = true;
        head.to_client.is_mid_stream = true;
        head
    }

    /// Takes the next bytes of a direction.
    pub fn push(&mut self, piece: &Piece<'_>, offset: u64) {
        let Piece { direction, bytes, missing, at, heard } = *piece;
        let stream = self.stream_mut(direction);
        if stream.bytes.is_empty() {
            stream.base = offset;
        }
        stream.bytes.extend_from_slice(bytes);
        self.pieces.push(PieceHeader { direction, len: bytes.len(), missing, at, heard });
    }

    /// Bytes of a direction are missing: what came before them is of no use for inference.
    pub fn forget(&mut self, direction: Direction) {
        *self.stream_mut(direction) = HeadStream { is_mid_stream: true, ..HeadStream::default() };
        self.pieces.retain(|piece| piece.direction != direction);
        for answer in &mut self.answers {
            answer.seen = self.pieces.len();
            match direction {
                Direction::ToServer => answer.from[0] = 0,
                Direction::ToClient => answer.from[1] = 0,
            }
        }
        self.lost_behind = Some(self.pieces.len());
    }

    /// Behind how many pieces bytes were lost, if any were.
    #[must_use]
    pub fn lost_behind(&self) -> Option<usize> {
        self.lost_behind
    }

    /// Whether the direction begins in the middle of a stream.
    pub fn set_mid_stream(&mut self, direction: Direction, is_mid_stream: bool) {
        self.stream_mut(direction).is_mid_stream = is_mid_stream;
    }

    /// Bytes collected.
    #[must_use]
    pub fn len(&self) -> usize {
        self.to_server.bytes.len() + self.to_client.bytes.len()
    }

    /// Whether the direction begins in the middle of a stream.
    #[must_use]
    pub fn is_mid_stream(&self, direction: Direction) -> bool {
        self.stream(direction).is_mid_stream
    }

    /// Whether as much was collected as is ever kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.to_server.bytes.len() >= HEAD || self.to_client.bytes.len() >= HEAD || self.pieces.len() >= HEAD
    }

    /// Whether nothing was collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Stream offset of the first byte of a direction.
    #[must_use]
    pub fn base(&self, direction: Direction) -> u64 {
        self.stream(direction).base
    }

    /// First bytes of a direction.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> &[u8] {
        &self.stream(direction).bytes
    }

    /// The collected bytes, piece by piece, in the order in which they came, each with its stream offset.
    pub fn replay(&self) -> impl Iterator<Item = (Piece<'_>, u64)> {
        let rest = |stream: &'_ HeadStream| (stream.base, 0..stream.bytes.len());
        let (mut to_server, mut to_client) = (rest(&self.to_server), rest(&self.to_client));
        self.pieces.iter().map(move |&PieceHeader { direction, len, missing, at, heard }| {
            let (offset, rest) = if direction == Direction::ToServer { &mut to_server } else { &mut to_client };
            let end = rest.start.saturating_add(len).min(rest.end);
            let bytes = self.bytes(direction).get(rest.start..end).unwrap_or_default();
            let piece = (Piece { direction, bytes, missing, at, heard }, *offset);
            rest.start = end;
            *offset = offset.saturating_add(bytes.len() as u64);
            piece
        })
    }

    fn stream(&self, direction: Direction) -> &HeadStream {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    fn stream_mut(&mut self, direction: Direction) -> &mut HeadStream {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}
