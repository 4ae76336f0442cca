//! The stream that a message's code reads from: a cursor over the window, which suspends the code where the window
//! ends. Between two polls the window and the answer belong to the guest; the stream borrows them for each poll.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::mem;
use core::task::Poll;
use std::rc::Rc;

pub use self::texts::{Text, Texts};
use self::waits::{Available, Begun, Room, Skipped, Taken};
use super::{Stop, Wanted};
use crate::host;
use crate::output::Output;
use crate::plugin::{Call, Direction, Input, Progress};
use crate::reader::{ReadError, Reader};

mod texts;
mod waits;

/// A frame whose end is not known.
const NO_END: u64 = u64::MAX;
const BEYOND_FRAME: &str = "a field beyond its frame's end";

/// One direction of a flow, read from front to back.
///
/// Every read is checked against what there is and, once [`begin_frame`](Self::begin_frame) was called, against the
/// frame's end.
#[derive(Clone, Debug)]
pub struct Stream(Rc<State>);

#[derive(Debug)]
struct State {
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

macro_rules! integers {
    ($($name:ident: $ty:ident, $from:ident;)*) => {$(
        #[doc = concat!("Reads a `", stringify!($ty), "` (`", stringify!($from), "`).")]
        #[inline]
        pub fn $name(&self) -> impl Future<Output = Result<$ty, Stop>> {
            Taken { stream: self, read: $ty::$from }
        }
    )*};
}

impl Stream {
    pub(super) fn new(direction: Direction, window_len: u32) -> Self {
        Self(Rc::new(State {
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
        }))
    }

    /// A stream over bytes that are there already, such as what was found compressed in this one. It ends where they
    /// end, has texts of its own, and emits nothing: its messages are emitted on this stream.
    #[must_use]
    pub fn nested(&self, bytes: Vec<u8>) -> Self {
        let nested = Self::new(self.0.direction, u32::MAX);
        nested.0.len.set(bytes.len());
        nested.0.tail.set(Tail::End);
        nested.0.window.replace(bytes);
        nested.set_reach();
        nested
    }

    /// A stream of which nothing but these bytes is there yet, and no answer to write into.
    pub(super) fn over(direction: Direction, bytes: &[u8]) -> Self {
        let stream = Self::new(direction, u32::MAX);
        *stream.0.window.borrow_mut() = bytes.to_vec();
        stream.0.len.set(bytes.len());
        stream.set_reach();
        stream
    }

    /// Which way the bytes go.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.0.direction
    }

    /// Stream offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.base.get().saturating_add(self.0.cursor.get() as u64)
    }

    /// Declares that the message ends `len` bytes after its start. Reads beyond fail, the rest is passed over when
    /// the message's code ends, and lost bytes are bridged up to there. A length that is already behind is malformed.
    pub fn begin_frame(&self, len: u64) -> Result<(), Stop> {
        let end = self.0.start.get().saturating_add(len).min(NO_END - 1);
        if end < self.offset() {
            return Err(Stop::Malformed("a frame shorter than its header"));
        }
        self.0.frame_end.set(end);
        self.set_reach();
        Ok(())
    }

    /// Bytes between here and the frame's end, if that is known.
    #[must_use]
    pub fn frame_remaining(&self) -> u64 {
        self.0.frame_end.get().saturating_sub(self.offset())
    }

    integers! {
        u8: u8, from_le_bytes;
        i8: i8, from_le_bytes;
        u16_be: u16, from_be_bytes;
        u32_be: u32, from_be_bytes;
        u64_be: u64, from_be_bytes;
        i16_be: i16, from_be_bytes;
        i32_be: i32, from_be_bytes;
        i64_be: i64, from_be_bytes;
        u16_le: u16, from_le_bytes;
        u32_le: u32, from_le_bytes;
        u64_le: u64, from_le_bytes;
        i16_le: i16, from_le_bytes;
        i32_le: i32, from_le_bytes;
        i64_le: i64, from_le_bytes;
        f64_le: f64, from_le_bytes;
    }

    /// Reads `N` bytes, at most the manifest's window.
    #[inline]
    pub fn array<const N: usize>(&self) -> impl Future<Output = Result<[u8; N], Stop>> {
        Taken { stream: self, read: |array| array }
    }

    /// Reads several fields at once, which is faster than one after the other: `read` runs over the bytes that are there
    /// and, if they are too few, again over more of them. So it must not do anything but read. Together the fields must
    /// not be longer than the manifest's window. Bytes that are there and wrong are [`Reader::malformed`].
    #[inline]
    pub fn read<T>(
        &self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> impl Future<Output = Result<T, Stop>> {
        poll_fn(move |_| {
            let taken = self.peek(|bytes| {
                let mut reader = Reader::new(bytes);
                read(&mut reader).map(|value| (value, reader.offset()))
            });
            match taken {
                Ok((value, len)) => {
                    self.advance(len);
                    Poll::Ready(Ok(value))
                }
                Err(error) => self.unread(error),
            }
        })
    }

    /// Reads of what is there, up to the frame's end, without waiting. How much that is depends on how the bytes were
    /// cut; what comes of the stream in the end must not.
    #[inline]
    pub fn read_ready<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let (value, len) = self.peek(|bytes| {
            let mut reader = Reader::new(bytes);
            (read(&mut reader), reader.offset())
        });
        self.advance(len);
        value
    }

    /// Waits until `len` bytes are there, without reading them. More than the manifest's window are malformed.
    #[inline]
    pub fn available(&self, len: usize) -> impl Future<Output = Result<(), Stop>> {
        Available { stream: self, len }
    }

    /// Looks at the bytes that are there, up to the frame's end. How many those are depends on how the bytes were
    /// cut; only what was [`available`](Self::available) may be relied on.
    #[inline]
    pub fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let window = self.0.window.borrow();
        look(window.get(self.0.cursor.get()..self.0.reach.get()).unwrap_or_default())
    }

    /// Passes over `len` bytes; those that have not come yet are never copied.
    #[inline]
    pub fn skip(&self, len: u64) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, len, true)
    }

    /// Passes over the rest of the frame, if its end is known.
    pub fn skip_to_frame_end(&self) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, self.known_remaining(), true)
    }

    /// The same at the end of a message: what follows is the next one, for which the code is called when it comes.
    pub(super) fn end_message(&self) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, self.known_remaining(), false)
    }

    fn known_remaining(&self) -> u64 {
        if self.0.frame_end.get() == NO_END { 0 } else { self.frame_remaining() }
    }

    /// Waits until the answer has room for a message or fact of ordinary size. There is room when a message's code
    /// begins; this is for code that emits many facts, or several messages, while it reads. (It cannot wait where
    /// nothing was read since it last did: what then has no room is left out, and the last message says so.)
    pub fn room(&self) -> impl Future<Output = ()> {
        Room { stream: self }
    }

    /// Emits messages and facts. A message starts where this message's code began and ends at the frame's end or,
    /// where that is not known, at the cursor.
    pub fn emit<T>(&self, emit: impl FnOnce(&mut Output, Texts<'_>) -> T) -> Option<T> {
        let mut output = self.0.output.borrow_mut();
        let output = output.as_mut()?;
        let end = self.0.frame_end.get();
        output.set_span(self.0.start.get(), if end == NO_END { self.offset() } else { end });
        output.set_cut(self.0.is_cut.get().then_some("more text than is kept of a message"));
        Some(self.with_texts(|texts| emit(output, texts)))
    }

    /// Context of the request that the next in-order response answers: the peer's oldest pending request without an
    /// id that is not answered yet. Where messages are being emitted, ask the output instead.
    #[must_use]
    pub fn pending_front(&self) -> Option<host::Context> {
        self.0.output.borrow().as_deref().and_then(Output::pending_front)
    }

    /// Waits for the first byte of a message and for room in the answer; returns the message's start.
    pub(super) async fn begin_message(&self) -> u64 {
        self.0.frame_end.set(NO_END);
        self.set_reach();
        self.0.texts.borrow_mut().clear();
        self.0.is_cut.set(false);
        Begun { stream: self }.await
    }

    #[inline(always)]
    pub(super) fn lend(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>, call: Call) {
        let state = &self.0;
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
        self.0.held.get() > 0
    }

    /// Whether the code waits for another message, and knows nothing of the ones before.
    pub(super) fn is_between_messages(&self) -> bool {
        self.0.wanted.get() == Wanted::Room
    }

    #[inline(always)]
    pub(super) fn take_back(&self, window: &mut Vec<u8>, output: &mut Option<Box<Output>>) {
        mem::swap(&mut *self.0.window.borrow_mut(), window);
        mem::swap(&mut *self.0.output.borrow_mut(), output);
    }

    /// What to tell the host of code that waits.
    pub(super) fn progress(&self) -> Progress {
        let consumed = self.0.cursor.get();
        match self.0.wanted.get() {
            // The host calls again at once if there was progress and bytes are left: those that were read already are
            // left to it, but for one.
            Wanted::RoomInside => {
                self.0.held.set(consumed.saturating_sub(1));
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
            Stop::Malformed(reason) => Progress::Invalid { consumed: self.0.cursor.get(), reason },
            Stop::Reject(reason) => Progress::Reject(reason),
            Stop::Opaque(reason) => Progress::Opaque(reason),
            Stop::Handover(offset, reason) => Progress::Handover(offset, reason),
            Stop::Lost if input.is_end || input.is_datagram => Progress::More(len),
            Stop::Lost if input.gap.is_none() => {
                Progress::Invalid { consumed: self.0.cursor.get(), reason: "lost without a gap" }
            }
            Stop::Lost => match self.0.frame_end.get() {
                NO_END => Progress::Lost,
                end if end > window_end => Progress::Skip { consumed: len, amount: end - window_end },
                _ => Progress::Lost,
            },
        }
    }

    /// To be called whenever the window or the frame's end is another one.
    fn set_reach(&self) {
        let state = &self.0;
        let frame = usize::try_from(state.frame_end.get().saturating_sub(state.base.get())).unwrap_or(usize::MAX);
        state.reach.set(state.len.get().min(frame));
    }

    /// Bytes that may be read at once.
    #[inline]
    fn ready(&self) -> usize {
        self.0.reach.get().saturating_sub(self.0.cursor.get())
    }

    /// What it means that fields could not be read.
    #[cold]
    fn unread<T>(&self, error: ReadError) -> Poll<Result<T, Stop>> {
        let needed = error.offset.saturating_add(error.needed);
        if needed > self.ready() { self.want(needed) } else { Poll::Ready(Err(Stop::Malformed(error.what))) }
    }

    /// What it means that fewer than `len` bytes may be read.
    #[cold]
    fn want<T>(&self, len: usize) -> Poll<Result<T, Stop>> {
        if self.frame_remaining() < len as u64 {
            return Poll::Ready(Err(Stop::Malformed(BEYOND_FRAME)));
        }
        if len as u64 > self.0.window_len {
            return Poll::Ready(Err(Stop::Malformed("a field longer than the window")));
        }
        if self.0.tail.get() != Tail::More {
            return Poll::Ready(Err(Stop::Lost));
        }
        self.0.wanted.set(Wanted::Bytes(len));
        Poll::Pending
    }

    #[inline]
    fn left(&self) -> usize {
        self.0.len.get().saturating_sub(self.0.cursor.get())
    }

    #[inline]
    fn advance(&self, len: usize) {
        self.0.cursor.set(self.0.cursor.get().saturating_add(len).min(self.0.len.get()));
    }
}
