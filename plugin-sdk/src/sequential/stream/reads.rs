//! How a stream is read: the same for bytes that arrive and for a whole frame.

use core::future::poll_fn;
use core::task::Poll;

use super::source::Source;
use super::texts::Texts;
use super::waits::{Available, Room, Skipped, Taken};
use super::{NO_END, Stream};
use crate::host;
use crate::output::Output;
use crate::plugin::Direction;
use crate::reader::{ReadError, Reader};
use crate::sequential::Stop;

macro_rules! integers {
    ($($name:ident, $now:ident: $ty:ident, $from:ident;)*) => {$(
        #[doc = concat!("Reads a `", stringify!($ty), "` (`", stringify!($from), "`).")]
        #[inline]
        pub fn $name(&self) -> impl Future<Output = Result<$ty, Stop>> {
            Taken { stream: self, read: $ty::$from }
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ") without waiting.")]
        #[inline]
        pub fn $now(&self) -> Result<$ty, Stop> {
            self.array_now().map($ty::$from)
        }
    )*};
}

impl<S: Source> Stream<S> {
    /// Which way the bytes go.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.0.state().direction.get()
    }

    /// Declares that the message ends `len` bytes after its start. Reads beyond fail, the rest is passed over when
    /// the message's code ends, and lost bytes are bridged up to there. A length that is already behind is malformed.
    pub fn begin_frame(&self, len: u64) -> Result<(), Stop> {
        self.0.begin_frame(len)
    }

    /// Stream offset of the next byte.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.0.offset()
    }

    /// Bytes between here and the frame's end, if that is known.
    #[inline]
    #[must_use]
    pub fn frame_remaining(&self) -> u64 {
        self.0.frame_remaining()
    }

    integers! {
        u8, u8_now: u8, from_le_bytes;
        i8, i8_now: i8, from_le_bytes;
        u16_be, u16_be_now: u16, from_be_bytes;
        u32_be, u32_be_now: u32, from_be_bytes;
        u64_be, u64_be_now: u64, from_be_bytes;
        i16_be, i16_be_now: i16, from_be_bytes;
        i32_be, i32_be_now: i32, from_be_bytes;
        i64_be, i64_be_now: i64, from_be_bytes;
        u16_le, u16_le_now: u16, from_le_bytes;
        u32_le, u32_le_now: u32, from_le_bytes;
        u64_le, u64_le_now: u64, from_le_bytes;
        i16_le, i16_le_now: i16, from_le_bytes;
        i32_le, i32_le_now: i32, from_le_bytes;
        i64_le, i64_le_now: i64, from_le_bytes;
        f64_le, f64_le_now: f64, from_le_bytes;
    }

    /// Reads `N` bytes, at most the manifest's window.
    #[inline]
    pub fn array<const N: usize>(&self) -> impl Future<Output = Result<[u8; N], Stop>> {
        Taken { stream: self, read: |array| array }
    }

    /// [`array`](Self::array) without waiting.
    #[inline]
    pub fn array_now<const N: usize>(&self) -> Result<[u8; N], Stop> {
        self.0.take_array().ok_or_else(|| self.0.lacks(N as u64))
    }

    /// Reads several fields at once, which is faster than one after the other: `read` runs over the bytes that are there
    /// and, if they are too few, again over more of them. So it must not do anything but read. Together the fields must
    /// not be longer than the manifest's window. Bytes that are there and wrong are [`Reader::malformed`].
    #[inline]
    pub fn read<T>(
        &self,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<T, ReadError>,
    ) -> impl Future<Output = Result<T, Stop>> {
        poll_fn(move |_| match self.0.take_fields(&mut read) {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(error) => self.unread(error),
        })
    }

    #[cold]
    fn unread<T>(&self, error: ReadError) -> Poll<Result<T, Stop>> {
        let needed = error.offset.saturating_add(error.needed);
        if needed > self.0.ready() { self.0.want(needed) } else { Poll::Ready(Err(Stop::Malformed(error.what))) }
    }

    /// [`read`](Self::read) without waiting.
    #[inline]
    pub fn read_now<T>(&self, read: impl FnMut(&mut Reader<'_>) -> Result<T, ReadError>) -> Result<T, Stop> {
        self.0.take_fields(read).map_err(|error| self.unread_now(&error))
    }

    #[cold]
    fn unread_now(&self, error: &ReadError) -> Stop {
        let needed = error.offset.saturating_add(error.needed);
        if needed > self.0.ready() { self.0.lacks(needed as u64) } else { Stop::Malformed(error.what) }
    }

    /// Reads of what is there, up to the frame's end, without waiting. How much that is depends on how the bytes were
    /// cut; what comes of the stream in the end must not.
    #[inline]
    pub fn read_ready<T>(&self, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let (value, len) = self.peek(|bytes| {
            let mut reader = Reader::new(bytes);
            (read(&mut reader), reader.offset())
        });
        self.0.pass_ready(len as u64);
        value
    }

    /// Waits until `len` bytes are there, without reading them. More than the manifest's window are malformed.
    #[inline]
    pub fn available(&self, len: usize) -> impl Future<Output = Result<(), Stop>> {
        Available { stream: self, len }
    }

    /// [`available`](Self::available) without waiting.
    #[inline]
    pub fn available_now(&self, len: usize) -> Result<(), Stop> {
        if len <= self.0.ready() { Ok(()) } else { Err(self.0.lacks(len as u64)) }
    }

    /// Looks at the bytes that are there, up to the frame's end. How many those are depends on how the bytes were
    /// cut; only what was [`available`](Self::available) may be relied on.
    #[inline]
    pub fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        self.0.peek(look)
    }

    /// Passes over `len` bytes; those that have not come yet are never copied.
    #[inline]
    pub fn skip(&self, len: u64) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, len, true)
    }

    /// [`skip`](Self::skip) without waiting.
    #[inline]
    pub fn skip_now(&self, len: u64) -> Result<(), Stop> {
        if self.0.pass_ready(len) { Ok(()) } else { Err(self.0.lacks(len)) }
    }

    /// Passes over the rest of the frame, if its end is known.
    pub fn skip_to_frame_end(&self) -> impl Future<Output = Result<(), Stop>> {
        Skipped::new(self, self.known_remaining(), true)
    }

    /// [`skip_to_frame_end`](Self::skip_to_frame_end) without waiting.
    pub fn skip_to_frame_end_now(&self) -> Result<(), Stop> {
        self.skip_now(self.known_remaining())
    }

    pub(super) fn known_remaining(&self) -> u64 {
        if self.0.frame_end() == NO_END { 0 } else { self.frame_remaining() }
    }

    /// Waits until the answer has room for a message or fact of ordinary size. There is room when a message's code
    /// begins; this is for code that emits many facts, or several messages, while it reads. (It cannot wait where
    /// nothing was read since it last did: what then has no room is left out, and the last message says so.)
    pub fn room(&self) -> impl Future<Output = ()> {
        Room { stream: self }
    }

    /// Room is not waited for where nothing is: as much as there is when a message's code begins must do, or the code asks
    /// for [more bytes](Self::arriving) first, which makes it code that may wait.
    pub fn room_now(&self) {}

    /// Emits messages and facts. A message starts where this message's code began and ends at the frame's end or,
    /// where that is not known, at the cursor. `None` if nothing is emitted, because there is nowhere to, or the code was
    /// [given up](Self::arriving).
    pub fn emit<T>(&self, emit: impl FnOnce(&mut Output, Texts<'_>) -> T) -> Option<T> {
        let state = self.0.state();
        if self.0.gave_up() {
            return None;
        }
        let mut output = state.output.borrow_mut();
        let output = output.as_mut()?;
        let end = state.frame_end.get();
        output.set_span(state.start.get(), if end == NO_END { self.offset() } else { end });
        output.set_cut(state.is_cut.get().then_some("more text than is kept of a message"));
        Some(self.with_texts(|texts| emit(output, texts)))
    }

    /// Context of the request that the next in-order response answers: the peer's oldest pending request without an
    /// id that is not answered yet. Where messages are being emitted, ask the output instead.
    #[must_use]
    pub fn pending_front(&self) -> Option<host::Context> {
        self.0.state().output.borrow().as_deref().and_then(Output::pending_front)
    }

    /// Context of the peer's pending request with this id, if no response that was emitted in this call answers it
    /// already: how many come in one call depends on how the bytes were cut. Where messages are being emitted, ask the
    /// output instead.
    #[must_use]
    pub fn pending(&self, id: u64) -> Option<host::Context> {
        self.0.state().output.borrow().as_deref().map_or_else(|| host::pending(id), |output| output.pending(id))
    }
}
