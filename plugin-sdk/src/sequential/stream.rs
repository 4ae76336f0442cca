//! The stream that a message's code reads from: a cursor over the window, which suspends the code where the window
//! ends. Between two polls the window and the answer belong to the guest; the stream borrows them for each poll.

use core::cell::{Cell, RefCell};
use core::mem;
use std::rc::Rc;

pub use self::source::{Arriving, Source, Whole};
pub use self::texts::{Text, Texts};
use self::waits::{Begun, Skipped};
use super::{Stop, Wanted};
use crate::output::Output;
use crate::plugin::{Call, Direction, Input, Progress};

mod reads;
pub(super) mod source;
mod texts;
mod waits;

/// A frame whose end is not known.
const NO_END: u64 = u64::MAX;
const BEYOND_FRAME: &str = "a field beyond its frame's end";

/// One direction of a flow, read from front to back.
///
/// Every read is checked against what there is and, once [`begin_frame`](Self::begin_frame) was called, against the
/// frame's end. Its bytes arrive while it is read, or all of a frame is there ([`Stream::whole`]).
#[derive(Clone, Debug)]
pub struct Stream<S = Arriving>(S);

/// What is kept of a stream.
#[derive(Debug)]
pub struct State {
    direction: Direction,
    window: RefCell<Vec<u8>>,
    output: RefCell<Option<Box<Output>>>,
    texts: RefCell<Vec<u8>>,
    /// Of the window that the host gave: its stream offset, its length, the gap behind it.
    base: Cell<u64>,
    len: Cell<usize>,
    tail: Cell<Tail>,
    cursor: Cell<usize>,
    /// How far into the window may be read: to its end, or to the frame's.
    reach: Cell<usize>,
    /// Bytes before the cursor that the host will give again.
    held: Cell<usize>,
    start: Cell<u64>,
    frame_end: Cell<u64>,
    wanted: Cell<Wanted>,
    /// The longest window that the host gives.
    window_len: u64,
    /// Strings of this message were left out for lack of room.
    is_cut: Cell<bool>,
}

/// What follows the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    More,
    Gap(u64),
    End,
}

impl Stream {
    pub(super) fn new(direction: Direction, window_len: u32) -> Self {
        Self(Arriving(Rc::new(State {
            direction,
            window: RefCell::default(),
            output: RefCell::default(),
            texts: RefCell::default(),
            base: Cell::new(0),
            len: Cell::new(0),
            tail: Cell::new(Tail::More),
            cursor: Cell::new(0),
            reach: Cell::new(0),
            held: Cell::new(0),
            start: Cell::new(0),
            frame_end: Cell::new(NO_END),
            wanted: Cell::new(Wanted::Room),
            window_len: u64::from(window_len),
            is_cut: Cell::new(false),
        })))
    }

    /// A stream of which nothing but these bytes is there yet, and no answer to write into.
    pub(super) fn over(direction: Direction, bytes: &[u8]) -> Self {
        let stream = Self::new(direction, u32::MAX);
        *stream.0.0.window.borrow_mut() = bytes.to_vec();
        stream.0.0.len.set(bytes.len());
        stream.set_reach();
        stream
    }

    /// Declares that the message ends `len` bytes after its start. Reads beyond fail, the rest is passed over when
    /// the message's code ends, and lost bytes are bridged up to there. A length that is already behind is malformed.
    pub fn begin_frame(&self, len: u64) -> Result<(), Stop> {
        let end = self.0.0.start.get().saturating_add(len).min(NO_END - 1);
        if end < self.offset() {
            return Err(Stop::Malformed("a frame shorter than its header"));
        }
        self.0.0.frame_end.set(end);
        self.set_reach();
        Ok(())
    }

    /// Passes over the rest of the frame at the end of a message: what follows is the next one, for which the code is
    /// called when it comes.
    pub(super) fn end_message(&self) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, self.known_remaining(), false)
    }

    /// Waits for the first byte of a message and for room in the answer; returns the message's start.
    pub(super) async fn begin_message(&self) -> u64 {
        self.0.0.frame_end.set(NO_END);
        self.set_reach();
        self.0.0.texts.borrow_mut().clear();
        self.0.0.is_cut.set(false);
        Begun { stream: self }.await
    }

    #[inline(always)]
    pub(super) fn lend(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>, call: Call) {
        let state = &self.0.0;
        let input = Input::new(call, &[]);
        let tail = match input.gap {
            _ if input.is_datagram || input.is_end => Tail::End,
            Some(len) => Tail::Gap(len),
            None => Tail::More,
        };
        mem::swap(&mut *state.window.borrow_mut(), window);
        mem::swap(&mut *state.output.borrow_mut(), output);
        state.base.set(call.offset);
        state.len.set(call.len);
        state.tail.set(tail);
        state.cursor.set(state.held.take().min(call.len));
        self.set_reach();
    }

    /// Whether a byte that was read already is left to the host.
    pub(super) fn is_held(&self) -> bool {
        self.0.0.held.get() > 0
    }

    /// Whether the code waits for another message, and knows nothing of the ones before.
    pub(super) fn is_between_messages(&self) -> bool {
        self.0.0.wanted.get() == Wanted::Room
    }

    #[inline(always)]
    pub(super) fn take_back(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>) {
        mem::swap(&mut *self.0.0.window.borrow_mut(), window);
        mem::swap(&mut *self.0.0.output.borrow_mut(), output);
    }

    /// What to tell the host of code that waits.
    pub(super) fn progress(&self) -> Progress {
        let consumed = self.0.0.cursor.get();
        match self.0.0.wanted.get() {
            // The host calls again at once if there was progress and bytes are left: those that were read already are
            // left to it, but for one.
            Wanted::RoomInside => {
                self.0.0.held.set(consumed.saturating_sub(1));
                Progress::More(1)
            }
            Wanted::Room => Progress::More(consumed),
            Wanted::Bytes(amount) => Progress::Need { consumed, amount: amount as u64 },
            Wanted::Skip(amount) => Progress::Skip { consumed, amount },
        }
    }

    /// What to tell the host of code that ended.
    pub(super) fn stopped(&self, stop: Stop, input: &Input<'_>, len: usize) -> Progress {
        let window_end = input.offset.saturating_add(len as u64);
        match stop {
            Stop::Malformed(reason) => Progress::Invalid { consumed: self.0.0.cursor.get(), reason },
            Stop::Reject(reason) => Progress::Reject(reason),
            Stop::Opaque(reason) => Progress::Opaque(reason),
            Stop::Handover(offset, reason) => Progress::Handover(offset, reason),
            Stop::Lost if input.is_end || input.is_datagram => Progress::More(len),
            Stop::Lost if input.gap.is_none() => {
                Progress::Invalid { consumed: self.0.0.cursor.get(), reason: "lost without a gap" }
            }
            Stop::Lost => match self.0.0.frame_end.get() {
                NO_END => Progress::Lost,
                end if end > window_end => Progress::Skip { consumed: len, amount: end - window_end },
                _ => Progress::Lost,
            },
        }
    }

    /// To be called whenever the window or the frame's end is another one.
    fn set_reach(&self) {
        let state = &self.0.0;
        let frame = usize::try_from(state.frame_end.get().saturating_sub(state.base.get())).unwrap_or(usize::MAX);
        state.reach.set(state.len.get().min(frame));
    }
}

impl State {
    /// Stream offset behind the window.
    #[inline]
    fn there(&self) -> u64 {
        self.base.get().saturating_add(self.len.get() as u64)
    }

    /// Bytes of the window that were not read.
    #[inline]
    fn left(&self) -> usize {
        self.len.get().saturating_sub(self.cursor.get())
    }

    /// Whether the answer has room, or it cannot be waited for.
    fn has_room(&self) -> bool {
        let can_wait = self.left() + self.cursor.get() > 1 && self.cursor.get() > 0;
        !can_wait || self.output.borrow().as_deref().is_some_and(Output::has_room)
    }
}
