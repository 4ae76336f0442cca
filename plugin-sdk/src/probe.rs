//! Recognises a protocol by nothing but the plugin's own eye for frames.

use crate::plugin::{Client, Direction, Frame, Heads, Input, Resync, Verdict};
use crate::resync::resync_by_frames;

/// How well a head fits one direction of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    None,
    Unknown,
    Frame,
}

fn fit(bytes: &[u8], is_mid_stream: bool, frame: impl Fn(&[u8]) -> Frame) -> Fit {
    if bytes.is_empty() {
        return Fit::Unknown;
    }
    match frame(bytes) {
        Frame::Len(len) if len > 0 => Fit::Frame,
        Frame::Need(_) => Fit::Unknown,
        Frame::Len(_) | Frame::Invalid(_) if !is_mid_stream => Fit::None,
        Frame::Len(_) | Frame::Invalid(_) => match resync_by_frames(&Input::middle(bytes), frame, |_| false) {
            Resync::Found(_) => Fit::Frame,
            Resync::Candidate { .. } | Resync::Need { .. } => Fit::Unknown,
        },
    }
}

/// Recognises a protocol by its frames: where the first bytes of one end are a frame to the server, or those of the
/// other a frame to the client, and neither is none, the first end is likely to be the client. In the middle of a
/// stream, frames that are chained to each other do as well. What it gives up: it is never certain.
pub fn probe_by_frames(heads: &Heads<'_>, frame: impl Fn(Direction, &[u8]) -> Frame) -> Verdict {
    let fit = |direction, bytes, is_mid_stream| fit(bytes, is_mid_stream, |bytes| frame(direction, bytes));
    let [if_a, if_b] = [Direction::ToServer, Direction::ToClient].map(|from_a| {
        let a = fit(from_a, heads.a, heads.a_is_mid_stream);
        let b = fit(from_a.opposite(), heads.b, heads.b_is_mid_stream);
        match (a, b) {
            (Fit::None, _) | (_, Fit::None) => Fit::None,
            (Fit::Unknown, Fit::Unknown) => Fit::Unknown,
            _ => Fit::Frame,
        }
    });
    match (if_a, if_b) {
        (Fit::Frame, Fit::Frame) if !heads.a_opened => Verdict::Likely(Client::Unknown),
        (Fit::Frame, _) => Verdict::Likely(Client::A),
        (_, Fit::Frame) => Verdict::Likely(Client::B),
        (Fit::None, Fit::None) => Verdict::No,
        _ if heads.is_complete => Verdict::No,
        // Whichever end speaks next may decide it: one more byte of the shorter head is wanted.
        _ => Verdict::More(heads.a.len().min(heads.b.len()) as u32 + 1),
    }
}
