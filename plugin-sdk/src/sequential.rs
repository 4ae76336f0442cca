//! The level of the SDK for long messages: plain code that reads a message from front to back and passes over what
//! it does not need, at any depth, without caring how the bytes arrive. An `async fn` is that code; the SDK polls it
//! with each window. Nothing else is asynchronous here: no executor, no I/O, no time.

use core::fmt;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use crate::host;
use crate::manifest::Manifest;
use crate::plugin::{Direction, Frame, Heads, Input, Resync, Verdict};
use crate::probe::probe_by_frames;
use crate::resync::resync_by_frames;

pub use self::adapter::{AsSequential, SequentialFlow};
pub use self::stream::{Arriving, Source, Stream, Text, Texts, Whole};

mod adapter;
mod lane;
mod stream;

/// A parser that reads each direction of a flow as a sequence of messages.
pub trait Sequential: Default + 'static {
    /// What the plugin says of itself.
    const MANIFEST: Manifest;
    /// What is kept for a flow, shared by both directions (use [`Cell`](core::cell::Cell)). It must be small and
    /// bounded; after a loss it may be gone.
    type Flow: Default + 'static;
    /// Whether [`frame`](Self::frame) is so strict that nothing else looks like one: then the first frame found after
    /// a loss is believed without a second one behind it.
    const FRAME_IS_PROOF: bool = false;

    /// In these directions, the host waits for a [frame](Stream::begin_frame) that is not there to its end but fits into the
    /// [window](Manifest::window), and for the bytes that say how long it is; then it is [read at once](Self::message_now),
    /// rather than as it comes. Without `message_now` it changes nothing. Not where lengths may lie: what such a frame says
    /// would be known only when so many bytes have come.
    const AWAITS_FRAMES: &'static [Direction] = &[];

    /// Takes one option; an error refuses it.
    fn configure(&mut self, _key: &str, _value: &str) -> Result<(), &'static str> {
        Err("the plugin has no such option")
    }

    /// Whose protocol is this? Unless written otherwise, what [`probe_by_frames`] says.
    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe_by_frames(heads, |direction, bytes| self.frame(direction, bytes))
    }

    /// Reads one message from the stream and emits what it means. Called again for the next one. An error that the
    /// code does not handle itself ends the message: bytes that were lost are bridged if the frame's end is known
    /// ([`Stream::begin_frame`]), malformed ones lead to a resync.
    fn message(
        plugin: Rc<Self>,
        flow: Rc<Self::Flow>,
        stream: Stream,
    ) -> impl Future<Output = Result<(), Stop>> + 'static;

    /// Reads one message that may be there as a whole, without waiting: the same code, compiled a second time
    /// ([`at_once`](crate::at_once)). Where it comes to the end of what is there before it has declared a frame, declares
    /// one that is not there to its end, or asks for [more](Stream::arriving), it is given up, and [`message`](Self::message)
    /// reads from the same start (unless [`AWAITS_FRAMES`](Self::AWAITS_FRAMES) has the frame waited for): up to there it must
    /// not have done anything but read, and it must pass errors on. `None`, as it is unless written otherwise: all is for
    /// [`message`](Self::message) to read.
    fn message_now(&self, _flow: &Self::Flow, _stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        None
    }

    /// What frame begins here? Only to find the next one after a loss and, unless [`probe`](Self::probe) is written, to
    /// recognise the protocol: be strict. It is asked at every byte then, up to a window in one call: what is no frame
    /// should be seen from its first few bytes.
    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame;

    /// Correlation id of the frame that begins here, if the protocol has one: after a loss, a frame that answers a
    /// pending request is believed at once.
    fn frame_id(&self, _direction: Direction, _bytes: &[u8]) -> Option<u64> {
        None
    }

    /// Where does the next frame start? Called after a loss in the input's direction, and first of all where a flow was
    /// picked up in its middle: what `flow` remembers of what came before may be wrong. Unless written otherwise, what
    /// [`resync_by_frames`] says.
    fn resync(&self, _flow: &Self::Flow, input: &Input<'_>) -> Resync {
        resync_by_frames(
            input,
            |bytes| self.frame(input.direction, bytes),
            |bytes| {
                let id = |bytes| self.frame_id(input.direction, bytes);
                Self::FRAME_IS_PROOF || id(bytes).is_some_and(|id| host::pending(id).is_some())
            },
        )
    }
}

const NO_BYTES: &str = "a message of no bytes";

/// Why a message was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes that come next are missing for good, or the stream ended. Not for what a plugin itself has lost:
    /// a response whose request is unknown is emitted as partial.
    Lost,
    /// The bytes are not what the protocol allows here.
    Malformed(&'static str),
    /// It is not this plugin's protocol after all.
    Reject(&'static str),
    /// It is this plugin's protocol, but unreadable from here on.
    Opaque(&'static str),
    /// From that stream offset on, another protocol begins.
    Handover(u64, &'static str),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("bytes lost"),
            Self::Malformed(why) | Self::Reject(why) | Self::Opaque(why) | Self::Handover(_, why) => f.write_str(why),
        }
    }
}

/// What a message's code waits for when it cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// So many bytes from the cursor on.
    Bytes(usize),
    /// To be behind so many bytes after the window.
    Skip(u64),
    /// Nothing: the answer is full, and wants to be taken.
    Room,
    /// The same, in the middle of a message: to go on as soon as it is taken, even if no more bytes come.
    RoomInside,
}

/// Runs a message's code over bytes outside of any flow, to see whether they make sense to it: for probes. Gives what
/// the code returned, or `None` if it waits for more bytes; and the stream, which has the strings that were read.
/// Nothing that the code emits is kept.
pub fn read_head<T>(direction: Direction, bytes: &[u8], read: impl AsyncFnOnce(Stream) -> T) -> (Option<T>, Stream) {
    let stream = Stream::over(direction, bytes);
    let polled = pin!(read(stream.clone())).poll(&mut Context::from_waker(Waker::noop()));
    let done = match polled {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    };
    (done, stream)
}

/// Code that is rarely run, to be awaited like any other: `rare(read_it(stream)).await`. It is put into a box of its own
/// each time, while all else that a message's code may wait for makes that code larger, and in the sandbox slower.
pub fn rare<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(future)
}

/// Code that is run often, but seldom has to wait, to be awaited like any other: `large(read_it(stream)).await`. Like
/// [`rare`] code it is put into a box where it waits; where it does not, it is called like any other.
pub fn large<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(future)
}

/// What [`rare`] is in code that does not wait: a function of its own.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn rare_now<T>(code: impl FnOnce() -> T) -> T {
    code()
}
