//! Finds the next message after a loss. Where the host says that one most likely begins, its first line is enough;
//! anywhere else a body may be full of HTTP, and only messages that are chained to each other count.

use core::cell::Cell;

use protap_plugin::{Direction, Frame, Input, Resync, resync_by_frames};

use crate::framing::{Framing, Length};
use crate::front::{Front, begins, front, is_field};

/// Longest head that is looked at.
const MAX_HEAD: usize = 8 << 10;
/// Bytes that are looked at closely in one call, which has little time.
const BUDGET: usize = 128 << 10;

/// Finds the next message.
pub(crate) fn resync(input: &Input<'_>) -> Resync {
    if input.is_likely_start && !input.is_boundary && !input.bytes.is_empty() {
        match front(input.direction, input.bytes) {
            Front::Line(_) => return Resync::Found(0),
            Front::Open if !input.is_last() && input.bytes.len() < MAX_HEAD => {
                return Resync::Need { consumed: 0, amount: input.bytes.len() + 1 };
            }
            Front::Open | Front::No => {}
        }
    }
    let left = Cell::new(BUDGET);
    let frame = |bytes: &[u8]| {
        if begins(input.direction, bytes) {
            left.set(left.get().saturating_sub(bytes.len().min(MAX_HEAD)));
        }
        if left.get() == 0 { Frame::Invalid("enough was looked at") } else { frame(input.direction, bytes) }
    };
    resync_by_frames(input, frame, |_| false)
}

/// A message whose head is there, if its end can be told from that.
pub(crate) fn frame(direction: Direction, bytes: &[u8]) -> Frame {
    let first = match front(direction, bytes) {
        Front::Line(len) => len,
        Front::Open if bytes.len() < MAX_HEAD => return Frame::Need(bytes.len() + 1),
        Front::Open | Front::No => return Frame::Invalid("no first line"),
    };
    let mut framing = Framing::default();
    let mut at = first;
    loop {
        let rest = bytes.get(at..MAX_HEAD.min(bytes.len())).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            let is_long = bytes.len() >= MAX_HEAD;
            return if is_long { Frame::Invalid("a long head") } else { Frame::Need(bytes.len() + 1) };
        };
        at += end + 1;
        let line = rest.get(..end).unwrap_or_default().trim_ascii_end();
        if line.is_empty() {
            break;
        }
        if !is_field(line, true) {
            return Frame::Invalid("a line that is no field");
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            framing.content_length(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            framing.transfer_encoding(value);
        }
    }
    let status = bytes.get(9..12).and_then(crate::framing::number).unwrap_or(0);
    let length = match direction {
        Direction::ToServer => framing.of_request(false),
        Direction::ToClient => framing.of_response(false, u16::try_from(status).unwrap_or(0), None),
    };
    match length {
        Length::None => Frame::Len(at as u64),
        Length::Known(len) => Frame::Len(len.saturating_add(at as u64)),
        Length::Chunked | Length::UntilClose | Length::Unknown(_) => Frame::Invalid("its end is not told by its head"),
    }
}
