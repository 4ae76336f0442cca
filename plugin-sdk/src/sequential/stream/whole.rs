//! Bytes that are there already: a frame, what was found in one, or a window in which a message begins. Code that comes to
//! their end has read a message that is wrong or, where no frame was declared, one that is not there as a whole: it gives up.

use core::cell::Cell;
use core::fmt;
use core::task::Poll;

use super::source::Bytes;
use super::waits::Target;
use super::{BEYOND_FRAME, NO_END, SHORT_FRAME, State, Stream};
use crate::reader::{ReadError, Reader};
use crate::sequential::Stop;

/// All of a frame, or of what was found in one, or the rest of a window in which a frame may begin: code never waits.
pub struct Whole<'a> {
    rest: Cell<&'a [u8]>,
    /// Where in the window that ends.
    end: Cell<usize>,
    /// Bytes of the frame that are not in it.
    beyond: Cell<u64>,
    /// The window that strings are left in, and its stream offset.
    window: &'a [u8],
    base: u64,
    state: &'a State,
    gave_up: Cell<bool>,
}

/// Bytes beyond what is there while no frame was declared.
pub(super) const NO_FRAME: u64 = u64::MAX >> 1;

impl<'a> Whole<'a> {
    /// What is left of a window from that place on, where a message begins.
    #[inline]
    pub(super) fn message(state: &'a State, window: &'a [u8], (base, from): (u64, usize)) -> Self {
        let (rest, end) = (Cell::new(window.get(from..).unwrap_or_default()), Cell::new(window.len()));
        Self { rest, end, beyond: Cell::new(NO_FRAME), window, base, state, gave_up: Cell::new(false) }
    }

    /// Bytes of a frame, and how many of it are not there. No string is left where it is.
    pub(super) fn frame(state: &'a State, bytes: &'a [u8], (base, beyond): (u64, u64)) -> Self {
        let (rest, end, beyond) = (Cell::new(bytes), Cell::new(bytes.len()), Cell::new(beyond));
        Self { rest, end, beyond, window: &[], base, state, gave_up: Cell::new(false) }
    }

    /// Where in the window the next byte is.
    #[inline(always)]
    fn place(&self) -> usize {
        self.end.get().wrapping_sub(self.rest.get().len())
    }

    #[inline(always)]
    fn has_frame(&self) -> bool {
        self.beyond.get() < NO_FRAME
    }

    /// Where in the window the message ends; `None` if it was not read.
    #[inline]
    pub(super) fn read_to(&self) -> Option<usize> {
        let end = if self.has_frame() { self.end.get() } else { self.place() };
        (!self.gave_up.get()).then_some(end)
    }

    #[cold]
    #[inline(never)]
    fn give_up(&self) -> Stop {
        self.gave_up.set(true);
        Stop::Lost
    }
}

impl fmt::Debug for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole")
            .field("left", &self.rest.get().len())
            .field("end", &self.end.get())
            .finish_non_exhaustive()
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
    fn pass_ready(&self, len: u64) -> bool {
        let rest = usize::try_from(len).ok().and_then(|len| self.rest.get().get(len..));
        rest.map(|rest| self.rest.set(rest)).is_some()
    }

    #[inline(always)]
    fn take_array<const N: usize>(&self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.get().split_first_chunk()?;
        self.rest.set(rest);
        Some(*array)
    }

    #[inline(always)]
    fn take_fields<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut reader = Reader::new(self.rest.get());
        let value = read(&mut reader)?;
        self.rest.set(reader.remaining());
        Ok(value)
    }

    #[inline(always)]
    fn offset(&self) -> u64 {
        self.base.wrapping_add(self.place() as u64)
    }

    #[inline]
    fn frame_end(&self) -> u64 {
        if self.has_frame() { self.base.wrapping_add(self.end.get() as u64 + self.beyond.get()) } else { NO_END }
    }

    #[inline(always)]
    fn frame_remaining(&self) -> u64 {
        self.beyond.get() + self.rest.get().len() as u64
    }

    #[inline]
    fn begin_frame(&self, len: u64) -> Result<(), Stop> {
        let end = self.state.frame_end_at(len);
        let Some(ahead) = end.checked_sub(self.offset()) else { return Err(Stop::Malformed(SHORT_FRAME)) };
        let frame = usize::try_from(ahead).ok().and_then(|ahead| self.rest.get().get(..ahead));
        let Some(frame) = frame.filter(|_| !self.has_frame()) else {
            self.state.lacking.set((!self.has_frame()).then_some(len));
            return Err(self.give_up());
        };
        self.end.set(self.place() + frame.len());
        self.rest.set(frame);
        self.beyond.set(0);
        self.state.frame_end.set(end);
        Ok(())
    }

    #[inline(always)]
    fn window_place(&self) -> Option<usize> {
        // Nothing but the window itself is never empty.
        (!self.window.is_empty()).then(|| self.place())
    }

    #[inline(always)]
    fn window(&self) -> &[u8] {
        self.window
    }

    fn want<T>(&self, len: usize) -> Poll<Result<T, Stop>> {
        Poll::Ready(Err(self.lacks(len as u64)))
    }

    #[cold]
    #[inline(never)]
    fn lacks(&self, len: u64) -> Stop {
        if !self.has_frame() {
            let read = self.offset().saturating_sub(self.state.start.get());
            self.state.lacking.set(Some(read.saturating_add(len)));
            return self.give_up();
        }
        if self.frame_remaining() < len { Stop::Malformed(BEYOND_FRAME) } else { Stop::Lost }
    }

    fn pass(&self, target: &mut Target) -> Poll<Result<(), Stop>> {
        Poll::Ready(Err(self.lacks(target.len)))
    }

    fn arriving(&self) -> Result<Stream, Stop> {
        Err(self.give_up())
    }

    fn gave_up(&self) -> bool {
        self.gave_up.get()
    }
}
