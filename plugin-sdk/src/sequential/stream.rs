//! The stream that a message's code reads from: a cursor over the window, which suspends the code where the window
//! ends. Between two polls the window and the answer belong to the guest; the stream borrows them for each poll.

use core::cell::{Cell, RefCell};
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::rc::Rc;

use super::{Stop, Wanted};
use crate::output::Output;
use crate::plugin::{Call, Direction, Input, Progress};

/// Longest string that [`Stream::text`] keeps, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// Bytes of strings kept for one message.
const MAX_TEXTS: usize = 32 << 10;
/// A frame whose end is not known.
const NO_END: u64 = u64::MAX;

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
    output: RefCell<Option<Output>>,
    texts: RefCell<Vec<u8>>,
    /// Of the window that the host gave: its stream offset, its length, the gap behind it.
    base: Cell<u64>,
    len: Cell<usize>,
    tail: Cell<Tail>,
    cursor: Cell<usize>,
    start: Cell<u64>,
    frame_end: Cell<u64>,
    wanted: Cell<Wanted>,
}

/// What follows the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    More,
    Gap(u64),
    End,
}

/// A string that was read from the stream: where it is kept until the message ends. [`Texts`] has its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    at: u32,
    len: u32,
}

/// The strings read so far in this message.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    /// The bytes of a string.
    #[must_use]
    pub fn get(&self, text: Text) -> &'a [u8] {
        let at = text.at as usize;
        self.0.get(at..at.saturating_add(text.len as usize)).unwrap_or_default()
    }
}

macro_rules! integers {
    ($($name:ident: $ty:ident, $from:ident;)*) => {$(
        #[doc = concat!("Reads a `", stringify!($ty), "` (`", stringify!($from), "`).")]
        #[inline]
        pub async fn $name(&self) -> Result<$ty, Stop> {
            Ok($ty::$from(self.array().await?))
        }
    )*};
}

impl Stream {
    pub(super) fn new(direction: Direction) -> Self {
        Self(Rc::new(State {
            direction,
            window: RefCell::default(),
            output: RefCell::default(),
            texts: RefCell::default(),
            base: Cell::new(0),
            len: Cell::new(0),
            tail: Cell::new(Tail::More),
            cursor: Cell::new(0),
            start: Cell::new(0),
            frame_end: Cell::new(NO_END),
            wanted: Cell::new(Wanted::Room),
        }))
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
        let end = self.0.start.get().saturating_add(len);
        if end < self.offset() {
            return Err(Stop::Malformed("a frame shorter than its header"));
        }
        self.0.frame_end.set(end);
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
        i32_le: i32, from_le_bytes;
        i64_le: i64, from_le_bytes;
        f64_le: f64, from_le_bytes;
    }

    /// Reads `N` bytes; `N` must not be more than the manifest's window.
    #[inline]
    pub async fn array<const N: usize>(&self) -> Result<[u8; N], Stop> {
        self.available(N).await?;
        let array = self.peek(|bytes| bytes.first_chunk().copied());
        self.advance(N);
        array.ok_or(Stop::Malformed("a read beyond the window"))
    }

    /// Waits until `len` bytes are there (at most the manifest's window), without reading them.
    #[inline]
    pub fn available(&self, len: usize) -> impl Future<Output = Result<(), Stop>> + use<> {
        Available { stream: self.clone(), len }
    }

    /// Looks at the bytes that are there.
    #[inline]
    pub fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let window = self.0.window.borrow();
        look(window.get(self.0.cursor.get()..self.0.len.get()).unwrap_or_default())
    }

    /// Reads a string of `len` bytes, of which it keeps at most 4 KiB, until the message ends.
    pub async fn text(&self, len: u64) -> Result<Text, Stop> {
        let kept = usize::try_from(len).map_or(MAX_TEXT, |len| len.min(MAX_TEXT));
        self.available(kept).await?;
        let text = self.peek(|bytes| self.keep(bytes.get(..kept).unwrap_or_default()));
        self.skip(len).await?;
        Ok(text)
    }

    /// Reads a string that ends with a zero byte, which is not part of it, of at most `max` bytes.
    pub async fn c_str(&self, max: usize) -> Result<Text, Stop> {
        let mut looked_at = 0;
        loop {
            self.available(looked_at + 1).await?;
            let (found, there) = self.peek(|bytes| {
                let new = bytes.get(looked_at..).unwrap_or_default();
                (new.iter().position(|byte| *byte == 0), bytes.len())
            });
            if let Some(len) = found {
                let text = self.text((looked_at + len) as u64).await?;
                self.skip(1).await?;
                return Ok(text);
            }
            if there > max {
                return Err(Stop::Malformed("a string without an end"));
            }
            looked_at = there;
        }
    }

    /// Keeps a string of the plugin's own beside those read from the stream.
    pub fn keep(&self, text: &[u8]) -> Text {
        let mut texts = self.0.texts.borrow_mut();
        let at = texts.len();
        let kept = text.len().min(MAX_TEXTS.saturating_sub(at));
        texts.extend_from_slice(text.get(..kept).unwrap_or_default());
        Text { at: at as u32, len: kept as u32 }
    }

    /// Looks at strings read so far in this message.
    pub fn with_texts<T>(&self, look: impl FnOnce(Texts<'_>) -> T) -> T {
        look(Texts(&self.0.texts.borrow()))
    }

    /// Passes over `len` bytes; those that have not come yet are never copied.
    pub fn skip(&self, len: u64) -> impl Future<Output = Result<(), Stop>> + use<> {
        Skipped { stream: self.clone(), target: self.offset().saturating_add(len), wakes_at_target: true }
    }

    /// Passes over the rest of the frame, if its end is known.
    pub fn skip_to_frame_end(&self) -> impl Future<Output = Result<(), Stop>> + use<> {
        self.skipped_to_frame_end(true)
    }

    /// The same at the end of a message: what follows is the next one, for which the code is called when it comes.
    pub(super) fn end_message(&self) -> impl Future<Output = Result<(), Stop>> + use<> {
        self.skipped_to_frame_end(false)
    }

    fn skipped_to_frame_end(&self, wakes_at_target: bool) -> Skipped {
        let end = self.0.frame_end.get();
        let target = if end == NO_END { self.offset() } else { end.max(self.offset()) };
        Skipped { stream: self.clone(), target, wakes_at_target }
    }

    /// Emits messages and facts. A message starts where this message's code began and ends at the frame's end or,
    /// where that is not known, at the cursor.
    pub fn emit<T>(&self, emit: impl FnOnce(&mut Output, Texts<'_>) -> T) -> Option<T> {
        let mut output = self.0.output.borrow_mut();
        let output = output.as_mut()?;
        let end = self.0.frame_end.get();
        output.set_span(self.0.start.get(), if end == NO_END { self.offset() } else { end });
        Some(emit(output, Texts(&self.0.texts.borrow())))
    }

    /// Waits until the answer has room for a message or fact of ordinary size. There is room when a message's code
    /// begins; this is for code that emits many facts, or several messages, while it reads.
    pub fn room(&self) -> impl Future<Output = ()> + use<> {
        Room { stream: self.clone() }
    }

    /// Waits for the first byte of a message and for room in the answer; returns the message's start.
    pub(super) async fn begin_message(&self) -> u64 {
        self.0.frame_end.set(NO_END);
        self.0.texts.borrow_mut().clear();
        Begun { stream: self.clone() }.await
    }

    pub(super) fn lend(&self, window: &mut Vec<u8>, output: &mut Output, call: Call) {
        let state = &self.0;
        let tail = Input::new(call, &[]);
        let tail = match tail.gap {
            Some(len) => Tail::Gap(len),
            None if tail.is_last() => Tail::End,
            None => Tail::More,
        };
        mem::swap(&mut *state.window.borrow_mut(), window);
        *state.output.borrow_mut() = Some(mem::replace(output, Output::empty()));
        state.base.set(call.offset);
        state.len.set(call.len);
        state.tail.set(tail);
        state.cursor.set(0);
    }

    pub(super) fn take_back(&self, window: &mut Vec<u8>, output: &mut Output) {
        mem::swap(&mut *self.0.window.borrow_mut(), window);
        if let Some(lent) = self.0.output.borrow_mut().take() {
            *output = lent;
        }
    }

    /// What to tell the host of code that waits.
    pub(super) fn progress(&self) -> Progress {
        let consumed = self.0.cursor.get();
        match self.0.wanted.get() {
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
            Stop::Lost if input.gap.is_none() => Progress::More(len),
            Stop::Lost => match self.0.frame_end.get() {
                NO_END => Progress::Lost,
                end => Progress::Skip { consumed: len, amount: end.saturating_sub(window_end).max(1) },
            },
        }
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

/// Waits for bytes.
struct Available {
    stream: Stream,
    len: usize,
}

impl Future for Available {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &self.stream.0;
        if self.stream.frame_remaining() < self.len as u64 {
            return Poll::Ready(Err(Stop::Malformed("a field beyond its frame's end")));
        }
        if self.stream.left() >= self.len {
            return Poll::Ready(Ok(()));
        }
        if state.tail.get() != Tail::More {
            return Poll::Ready(Err(Stop::Lost));
        }
        state.wanted.set(Wanted::Bytes(self.len));
        Poll::Pending
    }
}

/// Waits until the cursor is at the target.
struct Skipped {
    stream: Stream,
    target: u64,
    /// The code goes on when the last byte has come, not when another one follows it: the host calls for bytes, so
    /// the last one is asked for instead of passed over.
    wakes_at_target: bool,
}

impl Future for Skipped {
    type Output = Result<(), Stop>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &self.stream.0;
        if self.target > state.frame_end.get() {
            return Poll::Ready(Err(Stop::Malformed("a field beyond its frame's end")));
        }
        let ahead = self.target.saturating_sub(self.stream.offset());
        let left = self.stream.left() as u64;
        if ahead <= left {
            self.stream.advance(ahead as usize);
            return Poll::Ready(Ok(()));
        }
        let beyond = ahead - left;
        match state.tail.get() {
            Tail::End => return Poll::Ready(Err(Stop::Lost)),
            // A skip that ends inside the gap would leave the code reading from lost bytes.
            Tail::Gap(gap) if beyond < gap => return Poll::Ready(Err(Stop::Lost)),
            Tail::Gap(_) | Tail::More => {}
        }
        self.stream.advance(left as usize);
        state.wanted.set(match state.tail.get() {
            Tail::Gap(gap) if beyond == gap => Wanted::Skip(beyond),
            _ if !self.wakes_at_target => Wanted::Skip(beyond),
            _ if beyond == 1 => Wanted::Bytes(1),
            _ => Wanted::Skip(beyond - 1),
        });
        Poll::Pending
    }
}

/// Waits for room in the answer.
struct Room {
    stream: Stream,
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let state = &self.stream.0;
        if state.output.borrow().as_ref().is_some_and(Output::has_room) {
            return Poll::Ready(());
        }
        state.wanted.set(Wanted::Room);
        Poll::Pending
    }
}

/// Waits for the beginning of a message.
struct Begun {
    stream: Stream,
}

impl Future for Begun {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        let state = &self.stream.0;
        let has_room = state.output.borrow().as_ref().is_some_and(Output::has_room);
        if !has_room || self.stream.left() == 0 {
            state.wanted.set(Wanted::Room);
            return Poll::Pending;
        }
        let start = self.stream.offset();
        state.start.set(start);
        Poll::Ready(start)
    }
}
