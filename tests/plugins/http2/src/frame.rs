//! Frames.
//!
//! ```text
//! offset  0        3      4       5           9
//!         length   type   flags   stream id   payload
//! ```
//! All of them are big-endian; the highest bit of the stream id is reserved. <https://www.rfc-editor.org/rfc/rfc9113#section-4.1>

use protap_plugin::{Frame, Reader};

use crate::names::is_error;

/// What a client sends first.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 9;
/// Longest frame that [`strict`] believes in.
const MAX_LENGTH: u32 = 1 << 20;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
const ALTSVC: u8 = 0xa;
const ORIGIN: u8 = 0xc;
const PRIORITY_UPDATE: u8 = 0x10;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const HAS_PRIORITY: u8 = 0x20;

/// A frame's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    is_reserved_set: bool,
}

impl FrameHeader {
    /// The header that begins here, if it is all there.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes.first_chunk()?;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: stream & 0x7fff_ffff,
            is_reserved_set: stream >> 31 != 0,
        })
    }

    /// Bytes of the frame.
    pub(crate) fn len(self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }

    pub(crate) fn is_end_of_stream(self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    pub(crate) fn is_end_of_headers(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    pub(crate) fn is_padded(self) -> bool {
        matches!(self.kind, DATA | HEADERS | PUSH_PROMISE) && self.flags & PADDED != 0
    }

    /// Whether a frame of that type can have that length and be on that stream, which the standard makes an error of the
    /// connection.
    pub(crate) fn is_possible(self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            DATA | HEADERS | CONTINUATION => on_stream,
            PRIORITY => on_stream && self.length == 5,
            RST_STREAM => on_stream && self.length == 4,
            SETTINGS => !on_stream && self.length.is_multiple_of(6),
            PUSH_PROMISE => on_stream && self.length >= 4,
            PING => !on_stream && self.length == 8,
            GOAWAY => !on_stream && self.length >= 8,
            WINDOW_UPDATE => self.length == 4,
            // Extensions are to be ignored.
            _ => true,
        }
    }

    /// Whether it keeps to all that is customary, beside what it must.
    fn is_customary(self) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            SETTINGS if self.length == 0 => 1,
            PING => 1,
            _ => 0,
        };
        let most = match self.kind {
            DATA => MAX_LENGTH,
            SETTINGS => 6 * 32,
            _ => 1 << 14,
        };
        let is_known = matches!(self.kind, 0..=CONTINUATION | ALTSVC | ORIGIN | PRIORITY_UPDATE);
        is_known && self.flags & !flags == 0 && self.length <= most && !self.is_reserved_set
    }

    /// The block fragment in the payload of HEADERS, PUSH_PROMISE or CONTINUATION, and the stream that is promised;
    /// `None` if padding and priority are longer than the payload.
    pub(crate) fn fragment(self, payload: &[u8]) -> Option<(&[u8], u32)> {
        let mut reader = Reader::new(payload);
        let padding = if self.is_padded() { usize::from(reader.u8().ok()?) } else { 0 };
        if self.kind == HEADERS && self.flags & HAS_PRIORITY != 0 {
            reader.skip(5).ok()?;
        }
        let promised = if self.kind == PUSH_PROMISE { reader.u32_be().ok()? & 0x7fff_ffff } else { 0 };
        let rest = reader.remaining();
        Some((rest.get(..rest.len().checked_sub(padding)?)?, promised))
    }
}

/// What frame begins here? Strict, to find the next one after a loss: what peers in the wild do, not all that they may.
pub(crate) fn strict(bytes: &[u8]) -> Frame {
    const NO: Frame = Frame::Invalid("not a frame of HTTP/2");
    let Some(header) = FrameHeader::read(bytes) else {
        let is_short = bytes.first().is_none_or(|first| *first <= 0x10);
        let is_kind = bytes.get(3).is_none_or(|kind| *kind <= PRIORITY_UPDATE);
        return if is_short && is_kind { Frame::Need(HEADER) } else { NO };
    };
    if !header.is_possible() || !header.is_customary() {
        return NO;
    }
    let mut payload = Reader::new(bytes.get(HEADER..).unwrap_or_default());
    let wanted = match header.kind {
        RST_STREAM | WINDOW_UPDATE => 4,
        GOAWAY => 8,
        SETTINGS if header.length > 0 => 2,
        _ => return Frame::Len(header.len()),
    };
    if payload.remaining().len() < wanted {
        return Frame::Need(HEADER + wanted);
    }
    let is_right = match header.kind {
        RST_STREAM => payload.u32_be().is_ok_and(is_error),
        WINDOW_UPDATE => payload.u32_be().is_ok_and(|increment| (1..1 << 31).contains(&increment)),
        GOAWAY => payload.u32_be().is_ok_and(|last| last < 1 << 31) && payload.u32_be().is_ok_and(is_error),
        _ => payload.u16_be().is_ok_and(|setting| (1..=0x10).contains(&setting)),
    };
    if is_right { Frame::Len(header.len()) } else { NO }
}
