//! What a message's code awaits: each of these looks at the window, and if that is not enough says what is wanted.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::{BEYOND_FRAME, Stream, Tail};
use crate::output::Output;
use crate::sequential::{Stop, Wanted};

/// Waits for bytes.
pub(super) struct Available {
    pub(super) stream: Stream,
    pub(super) len: usize,
}

impl Future for Available {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &self.stream.0;
        if self.stream.frame_remaining() < self.len as u64 {
            return Poll::Ready(Err(Stop::Malformed(BEYOND_FRAME)));
        }
        if self.stream.left() >= self.len {
            return Poll::Ready(Ok(()));
        }
        if self.len as u64 > state.window_len {
            return Poll::Ready(Err(Stop::Malformed("a field longer than the window")));
        }
        if state.tail.get() != Tail::More {
            return Poll::Ready(Err(Stop::Lost));
        }
        state.wanted.set(Wanted::Bytes(self.len));
        Poll::Pending
    }
}

/// Waits until the cursor is at the target.
pub(super) struct Skipped {
    pub(super) stream: Stream,
    pub(super) target: u64,
    /// The code goes on when the last byte has come, not when another one follows it: the host calls for bytes, so
    /// the last one is asked for instead of passed over.
    pub(super) wakes_at_target: bool,
}

impl Future for Skipped {
    type Output = Result<(), Stop>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &self.stream.0;
        if self.target > state.frame_end.get() {
            return Poll::Ready(Err(Stop::Malformed(BEYOND_FRAME)));
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
pub(super) struct Room {
    pub(super) stream: Stream,
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let state = &self.stream.0;
        let can_wait = self.stream.left() + state.cursor.get() > 1 && state.cursor.get() > 0;
        if !can_wait || state.output.borrow().as_ref().is_some_and(Output::has_room) {
            return Poll::Ready(());
        }
        state.wanted.set(Wanted::RoomInside);
        Poll::Pending
    }
}

/// Waits for the beginning of a message.
pub(super) struct Begun {
    pub(super) stream: Stream,
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
