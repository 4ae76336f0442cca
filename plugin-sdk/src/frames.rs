//! The simplest level of the SDK: say how long a frame is, then decode it whole. A frame that is longer than the
//! window is decoded from its head; so is one whose tail was lost.

use crate::guest::{Parser, ParserCall};
use crate::host;
use crate::manifest::Manifest;
use crate::output::Output;
use crate::plugin::{Direction, Frame, Heads, Input, Progress, Resync, Verdict};
use crate::probe::probe_by_frames;
use crate::resync::resync_by_frames;

/// A parser of protocols that are cut into frames by their headers.
pub trait Frames: Default + 'static {
    /// What the plugin says of itself.
    const MANIFEST: Manifest;
    /// What is kept for a flow, for both directions. It must be small and bounded; after a loss it may be gone.
    type Flow: Default + 'static;

    /// Takes one option; an error refuses it.
    fn configure(&mut self, _key: &str, _value: &str) -> Result<(), &'static str> {
        Err("the plugin has no such option")
    }

    /// How long is the frame that begins here? Be strict: this is also what finds the next frame after a loss and,
    /// unless [`probe`](Self::probe) is written, what recognises the protocol. It is asked at every byte then, up to a
    /// window in one call: what is no frame should be seen from its first few bytes.
    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame;

    /// Decodes a frame and emits what it means.
    fn decode(&self, flow: &mut Self::Flow, frame: &FrameBytes<'_>, output: &mut Output);

    /// Correlation id of the frame that begins here, if the protocol has one: after a loss, a frame that answers a
    /// pending request is believed at once.
    fn frame_id(&self, _direction: Direction, _bytes: &[u8]) -> Option<u64> {
        None
    }

    /// Bytes of that direction were lost, and the next frame is looked for: what `flow` has learnt from those before
    /// them may be out of date. It is told once or several times for a loss.
    fn forget(&self, _flow: &mut Self::Flow, _direction: Direction) {}

    /// Whose protocol is this? Unless written otherwise, what [`probe_by_frames`] says.
    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe_by_frames(heads, |direction, bytes| self.frame(direction, bytes))
    }
}

/// A frame, or as much of it as there is.
#[derive(Clone, Copy, Debug)]
pub struct FrameBytes<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// Its bytes from the first on.
    pub bytes: &'a [u8],
    /// Its length, which may be more than `bytes` holds.
    pub len: u64,
    /// Stream offset of its first byte.
    pub offset: u64,
}

impl FrameBytes<'_> {
    /// Whether all of it is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.len
    }
}

/// Makes a [`Frames`] parser a plugin; named by [`export!`](crate::export).
#[derive(Debug, Default)]
pub struct AsFrames<P>(P);

impl<P: Frames> Parser for AsFrames<P> {
    const MANIFEST: Manifest = P::MANIFEST;
    type Flow = P::Flow;

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        self.0.configure(key, value)
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        self.0.probe(heads)
    }

    fn open(&mut self) -> P::Flow {
        P::Flow::default()
    }

    fn parse(&mut self, flow: &mut P::Flow, ParserCall { call, window, output }: ParserCall<'_>) -> Progress {
        let input = Input::new(call, window.get(..call.len).unwrap_or_default());
        let output = output.get_or_insert_default();
        let window = u64::from(P::MANIFEST.window_len());
        let mut consumed = 0;
        loop {
            let rest = input.bytes.get(consumed..).unwrap_or_default();
            if rest.is_empty() || !output.has_room() {
                return Progress::More(consumed);
            }
            let len = match self.0.frame(input.direction, rest) {
                Frame::Len(0) => return Progress::Invalid { consumed, reason: "a frame of no bytes" },
                Frame::Len(len) => len,
                Frame::Need(_) if input.is_end || input.is_datagram => return Progress::More(input.bytes.len()),
                Frame::Need(_) if input.gap.is_some() => return Progress::Lost,
                Frame::Need(amount) => match (amount as u64).max(rest.len() as u64 + 1) {
                    amount if amount <= window => return Progress::Need { consumed, amount },
                    _ => return Progress::Invalid { consumed, reason: "a header longer than the window" },
                },
                Frame::Invalid(reason) => return Progress::Invalid { consumed, reason },
            };
            let offset = input.offset.saturating_add(consumed as u64);
            let present = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
            let missing = len - present as u64;
            let wanted = len.min(window);
            if missing > 0 && !input.is_last() && (rest.len() as u64) < wanted {
                return Progress::Need { consumed, amount: wanted };
            }
            output.set_span(offset, offset.saturating_add(len));
            let bytes = rest.get(..present).unwrap_or_default();
            self.0.decode(flow, &FrameBytes { direction: input.direction, bytes, len, offset }, output);
            consumed += present;
            if missing > 0 {
                return Progress::Skip { consumed, amount: missing };
            }
        }
    }

    fn resync(&mut self, flow: &mut P::Flow, ParserCall { call, window, .. }: ParserCall<'_>) -> Resync {
        let input = Input::new(call, window.get(..call.len).unwrap_or_default());
        self.0.forget(flow, input.direction);
        resync_by_frames(
            &input,
            |bytes| self.0.frame(input.direction, bytes),
            |bytes| self.0.frame_id(input.direction, bytes).is_some_and(|id| host::pending(id).is_some()),
        )
    }
}
