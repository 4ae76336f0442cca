//! Where the bytes of a stream come from: they arrive with the host's calls, and code waits for them; or all of a frame
//! is there, as it nearly always is, and the same code need not wait (see [`at_once`](crate::at_once)).

use core::cell::Cell;
use core::fmt;
use core::task::Poll;
use std::rc::Rc;

use super::waits::Target;
use super::{BEYOND_FRAME, NO_END, State, Stream, Tail};
use crate::sequential::{Stop, Wanted};

/// Where the bytes of a [`Stream`] come from: [`Arriving`] or [`Whole`].
pub trait Source: Bytes {}

impl Source for Arriving {}
impl Source for Whole<'_> {}

/// What a stream has to know of its bytes.
pub trait Bytes {
    /// What both sources share.
    fn state(&self) -> &State;
    /// Looks at the bytes that may be read at once.
    fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T;
    /// How many those are.
    fn ready(&self) -> usize;
    /// Passes over so many of the bytes that are there.
    fn advance(&self, len: usize);
    /// Stream offset of the next byte.
    fn offset(&self) -> u64;
    /// Stream offset of the frame's end.
    fn frame_end(&self) -> u64;
    /// What it means that fewer than `len` bytes may be read, for code that may wait for them.
    fn want<T>(&self, len: usize) -> Poll<Result<T, Stop>>;
    /// The same for code that does not wait.
    fn lacks(&self, len: u64) -> Stop;
    /// Goes on to what cannot be reached at once.
    fn pass(&self, target: &mut Target) -> Poll<Result<(), Stop>>;
    /// The same stream as one of which more may come.
    fn arriving(&self) -> Result<Stream, Stop>;
    /// Whether the code is to be run again.
    fn gave_up(&self) -> bool;
}

/// Bytes that arrive with the host's calls: code waits for them.
#[derive(Clone, Debug)]
pub struct Arriving(pub(super) Rc<State>);

/// All of a frame, or of what was found in one, or what is there of a message of unknown length: code never waits.
pub struct Whole<'a> {
    rest: Cell<&'a [u8]>,
    /// Stream offset behind them.
    end: u64,
    frame_end: u64,
    state: &'a State,
    gave_up: Cell<bool>,
}

impl fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("left", &self.rest.get().len()).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Bytes for Whole<'_> {
    #[inline(always)]
    fn state(&self) -> &State {
        self.state
    }

    #[inline(always)]
    fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(self.rest.get())
    }

    #[inline(always)]
    fn ready(&self) -> usize {
        self.rest.get().len()
    }

    #[inline(always)]
    fn advance(&self, len: usize) {
        self.rest.set(self.rest.get().get(len..).unwrap_or_default());
    }

    #[inline(always)]
    fn offset(&self) -> u64 {
        self.end.wrapping_sub(self.rest.get().len() as u64)
    }

    #[inline(always)]
    fn frame_end(&self) -> u64 {
        self.frame_end
    }

    fn want<T>(&self, len: usize) -> Poll<Result<T, Stop>> {
        Poll::Ready(Err(self.lacks(len as u64)))
    }

    #[cold]
    #[inline(never)]
    fn lacks(&self, len: u64) -> Stop {
        if self.frame_end == NO_END {
            self.gave_up.set(true);
            return Stop::Lost;
        }
        let is_beyond = self.frame_end.saturating_sub(self.offset()) < len;
        if is_beyond { Stop::Malformed(BEYOND_FRAME) } else { Stop::Lost }
    }

    fn pass(&self, target: &mut Target) -> Poll<Result<(), Stop>> {
        Poll::Ready(Err(self.lacks(target.len)))
    }

    fn arriving(&self) -> Result<Stream, Stop> {
        self.gave_up.set(true);
        Err(Stop::Lost)
    }

    fn gave_up(&self) -> bool {
        self.gave_up.get()
    }
}

impl Bytes for Arriving {
    #[inline]
    fn state(&self) -> &State {
        &self.0
    }

    #[inline]
    fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let window = self.0.window.borrow();
        look(window.get(self.0.cursor.get()..self.0.reach.get()).unwrap_or_default())
    }

    #[inline]
    fn ready(&self) -> usize {
        self.0.reach.get().saturating_sub(self.0.cursor.get())
    }

    #[inline]
    fn advance(&self, len: usize) {
        self.0.cursor.set(self.0.cursor.get().saturating_add(len).min(self.0.len.get()));
    }

    #[inline]
    fn offset(&self) -> u64 {
        self.0.base.get().saturating_add(self.0.cursor.get() as u64)
    }

    #[inline]
    fn frame_end(&self) -> u64 {
        self.0.frame_end.get()
    }

    #[cold]
    fn want<T>(&self, len: usize) -> Poll<Result<T, Stop>> {
        if self.0.frame_end.get().saturating_sub(self.offset()) < len as u64 {
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

    #[cold]
    fn lacks(&self, len: u64) -> Stop {
        match self.want::<()>(usize::try_from(len).unwrap_or(usize::MAX)) {
            Poll::Ready(Err(stop)) => stop,
            Poll::Ready(Ok(())) | Poll::Pending => Stop::Lost,
        }
    }

    #[cold]
    fn pass(&self, target: &mut Target) -> Poll<Result<(), Stop>> {
        let state = &self.0;
        let offset = *target.offset.get_or_insert_with(|| self.offset().saturating_add(target.len));
        if offset > state.frame_end.get() {
            return Poll::Ready(Err(Stop::Malformed(BEYOND_FRAME)));
        }
        let ahead = offset.saturating_sub(self.offset());
        let left = state.left() as u64;
        if ahead <= left {
            self.advance(ahead as usize);
            return Poll::Ready(Ok(()));
        }
        let beyond = ahead - left;
        match state.tail.get() {
            Tail::End => return Poll::Ready(Err(Stop::Lost)),
            // A skip that ends inside the gap would leave the code reading from lost bytes.
            Tail::Gap(gap) if beyond < gap => return Poll::Ready(Err(Stop::Lost)),
            Tail::Gap(_) | Tail::More => {}
        }
        self.advance(left as usize);
        state.wanted.set(match state.tail.get() {
            Tail::Gap(gap) if beyond == gap => Wanted::Skip(beyond),
            _ if !target.wakes => Wanted::Skip(beyond),
            _ if beyond == 1 => Wanted::Bytes(1),
            _ => Wanted::Skip(beyond - 1),
        });
        Poll::Pending
    }

    fn arriving(&self) -> Result<Stream, Stop> {
        Ok(Stream(self.clone()))
    }

    fn gave_up(&self) -> bool {
        false
    }
}

impl Stream {
    /// Reads what is left of the frame, if all of it is there; else nothing, and the code that waits is to be run over the
    /// stream itself. It is the same code, [written once](crate::at_once).
    ///
    /// Code that asks for more than the frame ([`arriving`](Self::arriving)) is given up, and is run over the stream
    /// itself: up to there it must not have done anything but read.
    #[inline]
    pub fn whole<T>(&self, read: impl FnOnce(&Stream<Whole<'_>>) -> T) -> Option<T> {
        let state = &*self.0.0;
        let frame_end = state.frame_end.get();
        if frame_end == NO_END || frame_end > state.there() {
            return None;
        }
        self.at_once(frame_end, read)
    }

    /// The same for a protocol whose messages do not say how long they are: reads a message if it ends within the bytes that
    /// are there, as nearly all do. Code that asks for more is given up: it must not do anything but read.
    #[inline]
    pub fn at_hand<T>(&self, read: impl FnOnce(&Stream<Whole<'_>>) -> T) -> Option<T> {
        let state = &*self.0.0;
        if state.frame_end.get() == NO_END { self.at_once(state.there(), read) } else { self.whole(read) }
    }

    /// Runs the code over what is there, up to the stream offset `end`.
    #[inline]
    fn at_once<T>(&self, end: u64, read: impl FnOnce(&Stream<Whole<'_>>) -> T) -> Option<T> {
        let state = &*self.0.0;
        let (texts, is_cut) = (state.texts.borrow().len(), state.is_cut.get());
        let window = state.window.borrow();
        let rest = window.get(state.cursor.get()..state.reach.get()).unwrap_or_default();
        let frame_end = state.frame_end.get();
        let stream = Stream(Whole { rest: Cell::new(rest), end, frame_end, state, gave_up: Cell::new(false) });
        let done = read(&stream);
        if stream.0.gave_up.get() {
            state.texts.borrow_mut().truncate(texts);
            state.is_cut.set(is_cut);
            return None;
        }
        self.0.advance(rest.len() - stream.0.ready());
        Some(done)
    }
}

impl<S: Source> Stream<S> {
    /// Reads bytes that are there already, such as what was found compressed in this stream: `len` of them, or their
    /// beginning. Strings that are read from them are kept with this stream's.
    pub fn nested<T>(&self, bytes: &[u8], len: u64, read: impl FnOnce(&Stream<Whole<'_>>) -> T) -> T {
        let there = usize::try_from(len).ok().and_then(|len| bytes.get(..len)).unwrap_or(bytes);
        let (rest, end, gave_up) = (Cell::new(there), there.len() as u64, Cell::new(false));
        read(&Stream(Whole { rest, end, frame_end: len.min(NO_END - 1), state: self.0.state(), gave_up }))
    }

    /// The stream as one of which more may come, for what lies behind the frame. Over a whole frame this is an error: the
    /// code is to pass it on, and is run again (see [`whole`](Stream::whole)).
    pub fn arriving(&self) -> Result<Stream, Stop> {
        self.0.arriving()
    }
}
