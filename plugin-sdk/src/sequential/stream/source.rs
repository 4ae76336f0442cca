//! Where the bytes of a stream come from: they arrive with the host's calls, and code waits for them; or all of a frame
//! is there, as it nearly always is, and the same code need not wait (see [`at_once`](crate::at_once)).
//!
//! Whether a message is there as a whole is found by reading it: code that comes to the end of what is there gives up, and
//! is run again, from the message's start, where it can wait.

use core::task::Poll;
use std::rc::Rc;

use super::waits::Target;
use super::whole::{NO_FRAME, Whole};
use super::{BEYOND_FRAME, SHORT_FRAME, State, Stream, Tail};
use crate::reader::{ReadError, Reader};
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
    /// Passes over so many bytes, if they are there.
    fn pass_ready(&self, len: u64) -> bool;
    /// Takes so many bytes, if they are there.
    fn take_array<const N: usize>(&self) -> Option<[u8; N]>;
    /// Reads fields of what is there; nothing is taken if they are too few, or wrong.
    fn take_fields<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>) -> Result<T, ReadError>;
    /// Stream offset of the next byte.
    fn offset(&self) -> u64;
    /// Stream offset of the frame's end.
    fn frame_end(&self) -> u64;
    /// Bytes between here and there.
    fn frame_remaining(&self) -> u64;
    /// Declares the frame's end, in bytes from the message's start.
    fn begin_frame(&self, len: u64) -> Result<(), Stop>;
    /// Where in the window the next byte is, if the window stays while the message's code runs.
    fn window_place(&self) -> Option<usize>;
    /// That window, or nothing.
    fn window(&self) -> &[u8];
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
    fn pass_ready(&self, len: u64) -> bool {
        let is_ready = len <= self.ready() as u64;
        if is_ready {
            self.0.advance(len as usize);
        }
        is_ready
    }

    #[inline]
    fn take_array<const N: usize>(&self) -> Option<[u8; N]> {
        let array = self.peek(|bytes| bytes.first_chunk().copied())?;
        self.0.advance(N);
        Some(array)
    }

    #[inline]
    fn take_fields<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let (value, len) = self.peek(|bytes| {
            let mut reader = Reader::new(bytes);
            read(&mut reader).map(|value| (value, reader.offset()))
        })?;
        self.0.advance(len);
        Ok(value)
    }

    #[inline]
    fn offset(&self) -> u64 {
        self.0.base.get().saturating_add(self.0.cursor.get() as u64)
    }

    #[inline]
    fn frame_end(&self) -> u64 {
        self.0.frame_end.get()
    }

    #[inline]
    fn frame_remaining(&self) -> u64 {
        self.frame_end().saturating_sub(self.offset())
    }

    fn begin_frame(&self, len: u64) -> Result<(), Stop> {
        let end = self.0.frame_end_at(len);
        if end < self.offset() {
            return Err(Stop::Malformed(SHORT_FRAME));
        }
        self.0.frame_end.set(end);
        self.0.set_reach();
        Ok(())
    }

    #[inline]
    fn window_place(&self) -> Option<usize> {
        None
    }

    #[inline]
    fn window(&self) -> &[u8] {
        &[]
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
            state.advance(ahead as usize);
            return Poll::Ready(Ok(()));
        }
        let beyond = ahead - left;
        match state.tail.get() {
            Tail::End => return Poll::Ready(Err(Stop::Lost)),
            // A skip that ends inside the gap would leave the code reading from lost bytes.
            Tail::Gap(gap) if beyond < gap => return Poll::Ready(Err(Stop::Lost)),
            Tail::Gap(gap) if beyond == gap => {
                state.pass_gap(gap);
                return Poll::Ready(Ok(()));
            }
            Tail::Gap(_) | Tail::More => {}
        }
        state.advance(left as usize);
        state.wanted.set(match beyond {
            _ if !target.wakes => Wanted::Skip(beyond),
            1 => Wanted::Bytes(1),
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

impl<S: Source> Stream<S> {
    /// Reads bytes that are there already, such as what was found compressed in this stream: `len` of them, or their
    /// beginning. Strings that are read from them are kept with this stream's.
    pub fn nested<T>(&self, bytes: &[u8], len: u64, read: impl FnOnce(&Stream<Whole<'_>>) -> T) -> T {
        let there = usize::try_from(len).ok().and_then(|len| bytes.get(..len)).unwrap_or(bytes);
        let beyond = len.saturating_sub(there.len() as u64).min(NO_FRAME - 1);
        read(&Stream(Whole::frame(self.0.state(), there, (0, beyond))))
    }

    /// The stream as one of which more may come, for what lies behind the frame. Where nothing is waited for this is an
    /// error: the code is to pass it on, and is run again where it may wait
    /// ([`message_now`](crate::Sequential::message_now)).
    pub fn arriving(&self) -> Result<Stream, Stop> {
        self.0.arriving()
    }
}
