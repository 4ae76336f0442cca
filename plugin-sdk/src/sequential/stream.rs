//! The stream that a message's code reads from: a cursor over the window, which suspends the code where the window
//! ends. Between two polls the window and the answer belong to the guest; the stream borrows them for each poll.

use core::cell::{Cell, RefCell};
use core::mem;
use std::rc::Rc;

pub use self::source::{Arriving, Source};
pub use self::texts::{Text, Texts};
use self::waits::{Begun, Skipped};
pub use self::whole::Whole;
use super::{Stop, Wanted};
use crate::output::Output;
use crate::plugin::{Call, Direction, Input, Progress};

mod reads;
pub(super) mod source;
mod texts;
mod waits;
mod whole;

/// A frame whose end is not known.
const NO_END: u64 = u64::MAX;
const BEYOND_FRAME: &str = "a field beyond its frame's end";
const SHORT_FRAME: &str = "a frame shorter than its header";

/// One direction of a flow, read from front to back.
///
/// Every read is checked against what there is and, once [`begin_frame`](Self::begin_frame) was called, against the
/// frame's end. Its bytes arrive while it is read, or all of a message is there
/// ([`message_now`](crate::Sequential::message_now)).
#[derive(Clone, Debug)]
pub struct Stream<S = Arriving>(S);

/// What is kept of a stream.
#[derive(Debug)]
pub struct State {
    direction: Cell<Direction>,
    window: RefCell<Vec<u8>>,
    output: RefCell<Option<Box<Output>>>,
    texts: RefCell<Vec<u8>>,
    /// Of the window that the host gave: its stream offset, its length, the gap behind it.
    base: Cell<u64>,
    len: Cell<usize>,
    tail: Cell<Tail>,
    /// Bytes of the gap behind the window that were passed over: the base lies that much further on.
    passed_gap: Cell<u64>,
    cursor: Cell<usize>,
    /// How far into the window may be read: to its end, or to the frame's.
    reach: Cell<usize>,
    /// Bytes before the cursor that the host will give again.
    held: Cell<usize>,
    start: Cell<u64>,
    frame_end: Cell<u64>,
    wanted: Cell<Wanted>,
    /// A message is to be begun.
    begins: Cell<bool>,
    /// The longest window that the host gives.
    window_len: u64,
    /// Bytes of this message's strings.
    kept: Cell<usize>,
    /// Strings of this message were left out for lack of room.
    is_cut: Cell<bool>,
    /// Bytes of a message that would have to be there to go on with reading it as a whole, which was given up for them.
    lacking: Cell<Option<u64>>,
}

/// What follows the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    More,
    Gap(u64),
    End,
}

impl State {
    pub(super) fn new(direction: Direction, window_len: u32) -> Self {
        Self {
            direction: Cell::new(direction),
            window: RefCell::default(),
            output: RefCell::default(),
            texts: RefCell::default(),
            base: Cell::new(0),
            len: Cell::new(0),
            tail: Cell::new(Tail::More),
            passed_gap: Cell::new(0),
            cursor: Cell::new(0),
            reach: Cell::new(0),
            held: Cell::new(0),
            start: Cell::new(0),
            frame_end: Cell::new(NO_END),
            wanted: Cell::new(Wanted::Room),
            begins: Cell::new(true),
            window_len: u64::from(window_len),
            kept: Cell::new(0),
            is_cut: Cell::new(false),
            lacking: Cell::new(None),
        }
    }

    /// Forgets the message before.
    #[inline]
    pub(super) fn begin_message(&self) {
        self.frame_end.set(NO_END);
        self.texts.borrow_mut().clear();
        self.kept.set(0);
        self.is_cut.set(false);
    }

    /// Lends the answer for messages of that direction which are there as a whole.
    #[inline]
    pub(super) fn begin_call(&self, direction: Direction, output: &mut Option<Box<Output>>) {
        self.direction.set(direction);
        self.swap_output(output);
    }

    /// A message begins at that stream offset.
    #[inline]
    pub(super) fn begin_message_at(&self, start: u64) {
        self.begin_message();
        self.start.set(start);
    }

    /// Whether the answer has room for one more message.
    #[inline]
    pub(super) fn has_room_for_message(&self) -> bool {
        self.output.borrow().as_deref().is_some_and(Output::has_room)
    }

    /// Where a frame of that length ends.
    #[inline]
    fn frame_end_at(&self, len: u64) -> u64 {
        self.start.get().saturating_add(len).min(NO_END - 1)
    }

    /// How much of its message must be there for the next try to read it as a whole, if that was what the last one lacked.
    pub(super) fn take_lacking(&self) -> Option<u64> {
        self.lacking.take()
    }

    /// Lends the answer to whatever emits messages, or takes it back.
    #[inline]
    pub(super) fn swap_output(&self, output: &mut Option<Box<Output>>) {
        mem::swap(&mut *self.output.borrow_mut(), output);
    }

    /// To be called whenever the window or the frame's end is another one.
    fn set_reach(&self) {
        let frame = usize::try_from(self.frame_end.get().saturating_sub(self.base.get())).unwrap_or(usize::MAX);
        self.reach.set(self.len.get().min(frame));
    }

    /// Bytes of the window that were not read.
    #[inline]
    fn left(&self) -> usize {
        self.len.get().saturating_sub(self.cursor.get())
    }

    #[inline]
    fn advance(&self, len: usize) {
        self.cursor.set(self.cursor.get().saturating_add(len).min(self.len.get()));
    }

    /// Passes over the rest of the window and the gap behind it. The code goes on at once: when bytes come, they may be those
    /// of another message, and the answer to this one may come before them.
    fn pass_gap(&self, gap: u64) {
        self.advance(self.left());
        self.base.set(self.base.get().saturating_add(gap));
        self.passed_gap.set(gap);
        self.tail.set(Tail::More);
        self.set_reach();
    }

    /// Whether the answer has room, or it cannot be waited for.
    fn has_room(&self) -> bool {
        let can_wait = self.left() + self.cursor.get() > 1 && self.cursor.get() > 0 && self.passed_gap.get() == 0;
        !can_wait || self.has_room_for_message()
    }
}

impl Stream {
    pub(super) fn new(direction: Direction, window_len: u32) -> Self {
        Self(Arriving(Rc::new(State::new(direction, window_len))))
    }

    /// A stream of which nothing but these bytes is there yet, and no answer to write into.
    pub(super) fn over(direction: Direction, bytes: &[u8]) -> Self {
        let stream = Self::new(direction, u32::MAX);
        *stream.0.0.window.borrow_mut() = bytes.to_vec();
        stream.0.0.len.set(bytes.len());
        stream.0.0.set_reach();
        stream
    }

    /// Passes over the rest of the frame at the end of a message: what follows is the next one, for which the code is
    /// called when it comes.
    pub(super) fn end_message(&self) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, self.known_remaining(), false)
    }

    /// Waits until a message that is not there as a whole is to be begun; returns its start.
    pub(super) async fn begin_message(&self) -> u64 {
        self.0.0.begin_message();
        self.0.0.set_reach();
        Begun { stream: self }.await
    }

    /// Lends the window, in which a message is to be begun at that place or, if one is being read, that is gone on with.
    pub(super) fn lend(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>, (call, begin): (Call, usize)) {
        let state = &self.0.0;
        let input = Input::new(call, &[]);
        let tail = match input.gap {
            _ if input.is_datagram || input.is_end => Tail::End,
            Some(len) => Tail::Gap(len),
            None => Tail::More,
        };
        mem::swap(&mut *state.window.borrow_mut(), window);
        state.swap_output(output);
        state.base.set(call.offset);
        state.len.set(call.len);
        state.tail.set(tail);
        state.passed_gap.set(0);
        state.begins.set(self.is_between_messages());
        let cursor = if self.is_between_messages() { begin } else { state.held.take() };
        state.cursor.set(cursor.min(call.len));
        state.set_reach();
    }

    /// Whether a byte that was read already is left to the host.
    pub(super) fn is_held(&self) -> bool {
        self.0.0.held.get() > 0
    }

    /// Whether the code waits for another message, and knows nothing of the ones before.
    pub(super) fn is_between_messages(&self) -> bool {
        self.0.0.wanted.get() == Wanted::Room
    }

    /// Takes the window back; gives the place up to which it was read.
    pub(super) fn take_back(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>) -> usize {
        mem::swap(&mut *self.0.0.window.borrow_mut(), window);
        self.0.0.swap_output(output);
        self.0.0.cursor.get()
    }

    /// What to tell the host, given what to tell it of the window alone.
    pub(super) fn with_passed_gap(&self, progress: Progress) -> Progress {
        match (self.0.0.passed_gap.get(), progress) {
            (0, progress) => progress,
            (gap, Progress::Skip { consumed, amount }) => {
                Progress::Skip { consumed, amount: gap.saturating_add(amount) }
            }
            (gap, Progress::More(consumed) | Progress::Need { consumed, .. }) => {
                Progress::Skip { consumed, amount: gap }
            }
            (_, progress) => progress,
        }
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
}

impl<'a> Stream<Whole<'a>> {
    /// What is left of a window from that place on, where a message begins.
    #[inline]
    pub(super) fn of_message(state: &'a State, window: &'a [u8], place: (u64, usize)) -> Self {
        Self(Whole::message(state, window, place))
    }

    /// Where in the window the message ends, if it was read.
    #[inline]
    pub(super) fn read_to(&self) -> Option<usize> {
        self.0.read_to()
    }
}

impl<S: Source> Stream<S> {
    /// Where the frame ends that is being read, if that is known.
    pub(super) fn known_frame_end(&self) -> Option<u64> {
        Some(self.0.frame_end()).filter(|end| *end != NO_END)
    }
}

/// What to tell the host of code that ended at that place in a window of that length.
pub(super) fn stopped(stop: Stop, input: &Input<'_>, (at, len): (usize, usize), frame_end: Option<u64>) -> Progress {
    let window_end = input.offset.saturating_add(len as u64);
    match stop {
        Stop::Malformed(reason) => Progress::Invalid { consumed: at, reason },
        Stop::Reject(reason) => Progress::Reject(reason),
        Stop::Opaque(reason) => Progress::Opaque(reason),
        Stop::Handover(offset, reason) => Progress::Handover(offset, reason),
        Stop::Lost if input.is_end || input.is_datagram => Progress::More(len),
        Stop::Lost if input.gap.is_none() => Progress::Invalid { consumed: at, reason: "lost without a gap" },
        Stop::Lost => match frame_end {
            Some(end) if end > window_end => Progress::Skip { consumed: len, amount: end - window_end },
            _ => Progress::Lost,
        },
    }
}
