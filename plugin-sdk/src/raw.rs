//! The lowest level of the SDK: the contract's verbs themselves, for protocols whose messages are built over several
//! calls or whose cutting into frames depends on state.

use crate::guest::{Parser, ParserCall};
use crate::manifest::Manifest;
use crate::output::Output;
use crate::plugin::{Heads, Input, Progress, Resync, Verdict};

/// A parser that answers every window with a verb.
pub trait Raw: Default + 'static {
    /// What the plugin says of itself.
    const MANIFEST: Manifest;
    /// What is kept for a flow, for both directions: small, bounded, and not needed to find the way after a loss.
    type Flow: Default + 'static;

    /// Takes one option; an error refuses it.
    fn configure(&mut self, _key: &str, _value: &str) -> Result<(), &'static str> {
        Err("the plugin has no such option")
    }

    /// Whose protocol is this?
    fn probe(&self, heads: &Heads<'_>) -> Verdict;

    /// Parses what it can of the window, emits the messages, and says what became of the bytes. Messages that are
    /// emitted start at the window's start and end where `consumed` ends, unless they set their span.
    fn parse(&mut self, flow: &mut Self::Flow, input: &Input<'_>, output: &mut Output) -> Progress;

    /// Finds the next frame start after a loss; [`resync_by_frames`](crate::resync_by_frames) may help.
    fn resync(&mut self, flow: &mut Self::Flow, input: &Input<'_>) -> Resync;
}

/// Makes a [`Raw`] parser a plugin; named by [`export!`](crate::export).
#[derive(Debug, Default)]
pub struct AsRaw<P>(P);

impl<P: Raw> Parser for AsRaw<P> {
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
        output.open_span(input.offset);
        let progress = self.0.parse(flow, &input, output);
        let consumed = match progress {
            Progress::More(consumed)
            | Progress::Need { consumed, .. }
            | Progress::Skip { consumed, .. }
            | Progress::Invalid { consumed, .. } => consumed,
            Progress::Reject(_) | Progress::Opaque(_) | Progress::Handover(..) | Progress::Lost => input.bytes.len(),
        };
        output.close_spans(input.offset.saturating_add(consumed as u64));
        progress
    }

    fn resync(&mut self, flow: &mut P::Flow, ParserCall { call, window, .. }: ParserCall<'_>) -> Resync {
        self.0.resync(flow, &Input::new(call, window.get(..call.len).unwrap_or_default()))
    }
}
