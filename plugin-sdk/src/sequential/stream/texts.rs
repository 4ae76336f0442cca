//! Strings read from a stream: copied aside where the window is gone when the message's code goes on, and else left where
//! they are.

use core::ops::Range;

use super::source::Source;
use super::{BEYOND_FRAME, Stream};
use crate::at_once;
use crate::output::{Read, part};
use crate::sequential::Stop;

/// Longest string that [`Stream::text`] keeps, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// Bytes of strings kept for one message, wherever.
const MAX_TEXTS: usize = 32 << 10;
/// Set in the place of a string that is kept in the window.
const IN_WINDOW: u32 = 1 << 31;

/// A string that was read from the stream: where it is kept until the message ends. [`Texts`] has its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    at: u32,
    len: u32,
}

impl Text {
    pub(super) fn in_window(at: usize, len: usize) -> Self {
        Self { at: at as u32 | IN_WINDOW, len: len as u32 }
    }

    /// The bytes in that range, as far as the string has them.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let (start, len) = part(range, self.len);
        Self { at: self.at + start, len }
    }

    /// Whether there are no bytes in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// The strings read so far in this message.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    pub(super) kept: &'a [u8],
    pub(super) window: &'a [u8],
}

impl<'a> Texts<'a> {
    /// The bytes of a string.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, text: Text) -> &'a [u8] {
        if text.at & IN_WINDOW == 0 {
            return self.kept(text);
        }
        let at = (text.at & !IN_WINDOW) as usize;
        self.window.get(at..at.saturating_add(text.len as usize)).unwrap_or_default()
    }

    /// The string, to be told of in the answer, which may not take a copy.
    #[inline(always)]
    #[must_use]
    pub fn read(&self, text: Text) -> Read<'a> {
        Read { bytes: self.get(text), is_in_window: text.at & IN_WINDOW != 0 }
    }

    #[inline(never)]
    fn kept(&self, text: Text) -> &'a [u8] {
        let at = text.at as usize;
        self.kept.get(at..at.saturating_add(text.len as usize)).unwrap_or_default()
    }
}

#[at_once]
impl<S: Source> Stream<S> {
    /// Reads a string of `len` bytes, of which it keeps at most 4 KiB, until the message ends.
    #[inline]
    pub async fn text(&self, len: u64) -> Result<Text, Stop> {
        // The ordinary case: it is there as a whole, and short.
        if len <= MAX_TEXT as u64
            && let Some(text) = self.take_text(len as usize)
        {
            return Ok(text);
        }
        self.text_in_pieces(len).await
    }

    async fn text_in_pieces(&self, len: u64) -> Result<Text, Stop> {
        let kept = usize::try_from(len).map_or(MAX_TEXT, |len| len.min(MAX_TEXT));
        if self.0.state().window_len < kept as u64 {
            return self.long_text(len, kept).await;
        }
        self.available(kept).await?;
        let text = self.take_text(kept).unwrap_or_default();
        self.skip(len - kept as u64).await?;
        Ok(text)
    }

    /// As `text`, for a string that does not fit into a window.
    async fn long_text(&self, len: u64, kept: usize) -> Result<Text, Stop> {
        if self.frame_remaining() < len {
            return Err(Stop::Malformed(BEYOND_FRAME));
        }
        let mut text = Text { at: self.0.state().texts.borrow().len() as u32, len: 0 };
        let mut left = kept;
        while left > 0 {
            self.available(1).await?;
            let taken = self.peek(|bytes| bytes.len().min(left));
            text.len += self.peek(|bytes| self.keep(bytes.get(..taken).unwrap_or_default())).len;
            self.0.pass_ready(taken as u64);
            left -= taken;
        }
        self.skip(len - kept as u64).await?;
        Ok(text)
    }

    /// Reads a string that ends with a zero byte, which is not part of it, of at most `max` bytes (and fewer than the
    /// manifest's window).
    pub async fn c_str(&self, max: usize) -> Result<Text, Stop> {
        self.text_until(0, max).await
    }

    /// Reads a string that ends with the byte `end`, which is not part of it, of at most `max` bytes (and fewer than
    /// the manifest's window).
    pub async fn text_until(&self, end: u8, max: usize) -> Result<Text, Stop> {
        let mut looked_at = 0;
        loop {
            self.available(looked_at + 1).await?;
            let (found, there) = self.peek(|bytes| {
                let new = bytes.get(looked_at..).unwrap_or_default();
                (new.iter().position(|byte| *byte == end), bytes.len())
            });
            let len = found.map_or(there, |len| looked_at + len);
            if len > max {
                return Err(Stop::Malformed("a string without an end"));
            }
            if found.is_some() {
                let text = self.text(len as u64).await?;
                self.skip(1).await?;
                return Ok(text);
            }
            looked_at = there;
        }
    }

    /// Takes a string, if it is there.
    #[inline]
    fn take_text(&self, len: usize) -> Option<Text> {
        if let Some(at) = self.0.window_place() {
            return self.0.pass_ready(len as u64).then(|| Text::in_window(at, self.admit(len)));
        }
        let text = self.peek(|bytes| Some(self.keep(bytes.get(..len)?)))?;
        self.0.pass_ready(len as u64);
        Some(text)
    }

    /// How much of a string of that length is kept.
    #[inline]
    fn admit(&self, len: usize) -> usize {
        let state = self.0.state();
        let before = state.kept.get();
        let kept = len.min(MAX_TEXTS.saturating_sub(before));
        if kept < len {
            state.is_cut.set(true);
        }
        state.kept.set(before + kept);
        kept
    }

    /// Keeps a string of the plugin's own beside those read from the stream, at most 32 KiB of them all. Messages are
    /// partial if that was not enough.
    pub fn keep(&self, text: &[u8]) -> Text {
        let kept = self.admit(text.len());
        if let Some(at) = place_in(self.0.window(), text) {
            return Text::in_window(at, kept);
        }
        let mut texts = self.0.state().texts.borrow_mut();
        let at = texts.len();
        texts.extend_from_slice(text.get(..kept).unwrap_or_default());
        Text { at: at as u32, len: kept as u32 }
    }

    /// Looks at strings read so far in this message.
    pub fn with_texts<T>(&self, look: impl FnOnce(Texts<'_>) -> T) -> T {
        look(Texts { kept: &self.0.state().texts.borrow(), window: self.0.window() })
    }
}

/// Where in the window a string lies, if it was found there.
fn place_in(window: &[u8], text: &[u8]) -> Option<usize> {
    let at = text.as_ptr().addr().wrapping_sub(window.as_ptr().addr());
    window.get(at..)?.get(..text.len()).map(|_| at)
}
