//! A short text that is put together without an allocation; what does not fit is cut off.

use core::fmt::{self, Write};

/// At most `MAX` bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Default for Line<MAX> {
    fn default() -> Self {
        Self { bytes: [0; MAX], len: 0 }
    }
}

impl<const MAX: usize> Line<MAX> {
    /// What `{}` makes of it.
    pub(crate) fn of(shown: impl fmt::Display) -> Self {
        let mut line = Self::default();
        // Writing to a line cannot fail.
        let _ = write!(line, "{shown}");
        line
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = bytes.len().min(room.len());
        if let (Some(slots), Some(bytes)) = (room.get_mut(..len), bytes.get(..len)) {
            slots.copy_from_slice(bytes);
            self.len += len;
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        MAX.saturating_sub(self.len)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const MAX: usize> Write for Line<MAX> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
