//! What a message's code awaits: each of these looks at the bytes, and if they are not enough their source says what
//! comes of it.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::Stream;
use super::source::Source;
use crate::sequential::{Stop, Wanted};

/// Waits for bytes.
pub(super) struct Available<'a, S> {
    pub(super) stream: &'a Stream<S>,
    pub(super) len: usize,
}

impl<S: Source> Future for Available<'_, S> {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.len <= self.stream.0.ready() { Poll::Ready(Ok(())) } else { self.stream.0.want(self.len) }
    }
}

/// Waits for `N` bytes and reads them.
pub(super) struct Taken<'a, const N: usize, F, S> {
    pub(super) stream: &'a Stream<S>,
    pub(super) read: F,
}

impl<const N: usize, T, F: Fn([u8; N]) -> T, S: Source> Future for Taken<'_, N, F, S> {
    type Output = Result<T, Stop>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stream.0.take_array() {
            Some(array) => Poll::Ready(Ok((self.read)(array))),
            None => self.stream.0.want(N),
        }
    }
}

/// Where the cursor is to go.
#[derive(Debug)]
pub struct Target {
    /// So many bytes on.
    pub(super) len: u64,
    /// Where that is, once it had to wait.
    pub(super) offset: Option<u64>,
    /// The code goes on when the last byte has come, not when another one follows it: the host calls for bytes, so
    /// the last one is asked for instead of passed over.
    pub(super) wakes: bool,
}

/// Waits until the cursor is behind the next `len` bytes.
pub(super) struct Skipped<'a, S> {
    stream: &'a Stream<S>,
    target: Target,
}

impl<'a, S> Skipped<'a, S> {
    #[inline]
    pub(super) fn new(stream: &'a Stream<S>, len: u64, wakes: bool) -> Self {
        Self { stream, target: Target { len, offset: None, wakes } }
    }
}

impl<S: Source> Future for Skipped<'_, S> {
    type Output = Result<(), Stop>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { stream, target } = &mut *self;
        if target.offset.is_none() && stream.0.pass_ready(target.len) {
            return Poll::Ready(Ok(()));
        }
        stream.0.pass(target)
    }
}

/// Waits for room in the answer.
pub(super) struct Room<'a, S> {
    pub(super) stream: &'a Stream<S>,
}

impl<S: Source> Future for Room<'_, S> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.stream.0.state().has_room() {
            return Poll::Ready(());
        }
        self.stream.0.state().wanted.set(Wanted::RoomInside);
        Poll::Pending
    }
}

/// Waits for the beginning of a message that is to be waited for. Between two messages there is always a wait: the next one
/// may be there as a whole.
pub(super) struct Begun<'a> {
    pub(super) stream: &'a Stream,
}

impl Future for Begun<'_> {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        let state = &self.stream.0.0;
        if !state.begins.take() {
            state.wanted.set(Wanted::Room);
            return Poll::Pending;
        }
        let start = self.stream.offset();
        state.start.set(start);
        Poll::Ready(start)
    }
}
