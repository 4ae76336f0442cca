//! A cursor over untrusted bytes that are all there: every read is checked, every error says what was read and
//! where. Nothing here allocates, and no length read from the bytes is believed before it was compared with what
//! is left. For bytes that are still to come, see [`Stream`](crate::Stream).

use core::fmt;

/// Why bytes could not be read as what they were expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What was to be read.
    pub what: &'static str,
    /// Where, in bytes from the reader's start.
    pub offset: usize,
    /// How many bytes it takes.
    pub needed: usize,
    /// How many were left.
    pub available: usize,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset, needed, available } = self;
        write!(f, "{what} at offset {offset}: {needed} bytes needed, {available} available")
    }
}

impl core::error::Error for ReadError {}

/// Reads integers, slices and strings from the front of a byte slice.
///
/// ```
/// use protap_plugin::Reader;
/// let mut reader = Reader::new(b"\x00\x03abc");
/// let len = reader.u16_be()?;
/// assert_eq!(reader.str(usize::from(len))?, "abc");
/// assert!(reader.u8().is_err());
/// # Ok::<(), protap_plugin::ReadError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Of all that there were.
    len: usize,
}

macro_rules! integers {
    ($($name:ident: $ty:ident, $from:ident, $doc:literal;)*) => {$(
        #[doc = concat!("Reads ", $doc, ".")]
        #[inline]
        pub fn $name(&mut self) -> Result<$ty, ReadError> {
            let Some((chunk, rest)) = self.bytes.split_first_chunk::<{ size_of::<$ty>() }>() else {
                return Err(self.error(stringify!($name), size_of::<$ty>()));
            };
            self.bytes = rest;
            Ok($ty::$from(*chunk))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, len: bytes.len() }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.len.saturating_sub(self.bytes.len())
    }

    /// Bytes left.
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.bytes
    }

    /// The error of bytes that are there and wrong, whatever follows them.
    #[inline]
    #[must_use]
    pub const fn malformed(&self, what: &'static str) -> ReadError {
        ReadError { what, offset: self.offset(), needed: 0, available: self.bytes.len() }
    }

    /// Whether all was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    integers! {
        u8: u8, from_le_bytes, "a byte";
        i8: i8, from_le_bytes, "a signed byte";
        u16_be: u16, from_be_bytes, "a big-endian u16";
        u32_be: u32, from_be_bytes, "a big-endian u32";
        u64_be: u64, from_be_bytes, "a big-endian u64";
        i16_be: i16, from_be_bytes, "a big-endian i16";
        i32_be: i32, from_be_bytes, "a big-endian i32";
        i64_be: i64, from_be_bytes, "a big-endian i64";
        u16_le: u16, from_le_bytes, "a little-endian u16";
        u32_le: u32, from_le_bytes, "a little-endian u32";
        u64_le: u64, from_le_bytes, "a little-endian u64";
        i16_le: i16, from_le_bytes, "a little-endian i16";
        i32_le: i32, from_le_bytes, "a little-endian i32";
        i64_le: i64, from_le_bytes, "a little-endian i64";
        f64_le: f64, from_le_bytes, "a little-endian f64";
    }

    /// Reads `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let Some((bytes, rest)) = self.bytes.split_at_checked(len) else {
            return Err(self.error("bytes", len));
        };
        self.bytes = rest;
        Ok(bytes)
    }

    /// Passes over `len` bytes.
    #[inline]
    pub fn skip(&mut self, len: usize) -> Result<(), ReadError> {
        self.bytes(len).map(drop)
    }

    /// Reads `len` bytes of UTF-8.
    pub fn str(&mut self, len: usize) -> Result<&'a str, ReadError> {
        let start = *self;
        let bytes = self.bytes(len)?;
        core::str::from_utf8(bytes).map_err(|_| start.error("UTF-8 string", len))
    }

    /// Reads bytes up to `end`, which is consumed and not part of the result.
    pub fn until(&mut self, end: u8) -> Result<&'a [u8], ReadError> {
        let Some(len) = self.bytes.iter().position(|byte| *byte == end) else {
            return Err(self.error("terminator", self.bytes.len().saturating_add(1)));
        };
        let bytes = self.bytes(len)?;
        self.skip(1)?;
        Ok(bytes)
    }

    #[inline]
    fn error(&self, what: &'static str, needed: usize) -> ReadError {
        ReadError { what, offset: self.offset(), needed, available: self.bytes.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadError, Reader};

    #[test]
    fn a_failed_read_says_where_and_consumes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16_be(), Ok(0x0102));
        assert_eq!(reader.u32_le(), Err(ReadError { what: "u32_le", offset: 2, needed: 4, available: 1 }));
        assert_eq!(reader.bytes(usize::MAX).unwrap_err().available, 1);
        assert_eq!(reader.u8(), Ok(3));
        assert!(reader.is_empty());
    }

    #[test]
    fn until_needs_its_terminator() {
        let mut reader = Reader::new(b"ab\0c");
        assert_eq!(reader.until(0), Ok(&b"ab"[..]));
        assert!(reader.until(0).is_err());
        assert_eq!(reader.remaining(), b"c");
    }
}
