//! What a message's code awaits: each of these looks at the window, and if that is not enough says what is wanted.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::{BEYOND_FRAME, Stream, Tail};
use crate::output::Output;
use crate::sequential::{Stop, Wanted};

/// Waits for bytes.
pub(super) struct Available<'a> {
    pub(super) stream: &'a Stream,
    pub(super) len: usize,
}

impl Future for Available<'_> {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.len <= self.stream.ready() { Poll::Ready(Ok(())) } else { self.stream.want(self.len) }
    }
}

/// Waits for `N` bytes and reads them.
pub(super) struct Taken<'a, const N: usize, F> {
    pub(super) stream: &'a Stream,
    pub(super) read: F,
}

impl<const N: usize, T, F: Fn([u8; N]) -> T> Future for Taken<'_, N, F> {
    type Output = Result<T, Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stream.peek(|bytes| bytes.first_chunk().copied()) {
            Some(array) => {
                self.stream.advance(N);
                Poll::Ready(Ok((self.read)(array)))
            }
            None => self.stream.want(N),
        }
    }
}

/// Waits until the cursor is behind the next `len` bytes.
pub(super) struct Skipped<'a> {
    stream: &'a Stream,
    len: u64,
    /// Where that is, once it had to wait.
    target: Option<u64>,
    /// The code goes on when the last byte has come, not when another one follows it: the host calls for bytes, so
    /// the last one is asked for instead of passed over.
    wakes_at_target: bool,
}

impl<'a> Skipped<'a> {
    #[inline]
    pub(super) fn new(stream: &'a Stream, len: u64, wakes_at_target: bool) -> Self {
        Self { stream, len, target: None, wakes_at_target }
    }

    #[cold]
    fn wait(&mut self) -> Poll<Result<(), Stop>> {
        let (state, stream) = (&self.stream.0, self.stream);
        let target = *self.target.get_or_insert_with(|| stream.offset().saturating_add(self.len));
        if target > state.frame_end.get() {
            return Poll::Ready(Err(Stop::Malformed(BEYOND_FRAME)));
        }
        let ahead = target.saturating_sub(stream.offset());
        let left = stream.left() as u64;
        if ahead <= left {
            stream.advance(ahead as usize);
            return Poll::Ready(Ok(()));
        }
        let beyond = ahead - left;
        match state.tail.get() {
            Tail::End => return Poll::Ready(Err(Stop::Lost)),
            // A skip that ends inside the gap would leave the code reading from lost bytes.
            Tail::Gap(gap) if beyond < gap => return Poll::Ready(Err(Stop::Lost)),
            Tail::Gap(_) | Tail::More => {}
        }
        stream.advance(left as usize);
        state.wanted.set(match state.tail.get() {
            Tail::Gap(gap) if beyond == gap => Wanted::Skip(beyond),
            _ if !self.wakes_at_target => Wanted::Skip(beyond),
            _ if beyond == 1 => Wanted::Bytes(1),
            _ => Wanted::Skip(beyond - 1),
        });
        Poll::Pending
    }
}

impl Future for Skipped<'_> {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.target.is_some() || self.len > self.stream.ready() as u64 {
            return self.wait();
        }
        self.stream.advance(self.len as usize);
        Poll::Ready(Ok(()))
    }
}

/// Waits for room in the answer.
pub(super) struct Room<'a> {
    pub(super) stream: &'a Stream,
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let state = &self.stream.0;
        let can_wait = self.stream.left() + state.cursor.get() > 1 && state.cursor.get() > 0;
        if !can_wait || state.output.borrow().as_deref().is_some_and(Output::has_room) {
            return Poll::Ready(());
        }
        state.wanted.set(Wanted::RoomInside);
        Poll::Pending
    }
}

/// Waits for the beginning of a message.
pub(super) struct Begun<'a> {
    pub(super) stream: &'a Stream,
}

impl Future for Begun<'_> {
    type Output = u64;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        let state = &self.stream.0;
        let has_room = state.output.borrow().as_deref().is_some_and(Output::has_room);
        if !has_room || self.stream.left() == 0 {
            state.wanted.set(Wanted::Room);
            return Poll::Pending;
        }
        let start = self.stream.offset();
        state.start.set(start);
        Poll::Ready(start)
    }
}
