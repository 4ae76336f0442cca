//! A guest's memory, read by whoever does not trust it: every address, length, stride and count that the guest gave
//! is checked before it is used. Reads from here never panic and are bounded by the limits below.

use super::{Attribute, Fact, Message, ParseResult, Str};

/// Most messages in one result.
pub const MAX_MESSAGES: u32 = 1024;
/// Most facts in one result.
pub const MAX_FACTS: u32 = 1024;
/// Most attributes of one message.
pub const MAX_ATTRIBUTES: u32 = 256;
/// Most elements of a list.
pub const MAX_LIST: u32 = 256;
/// Longest string, in bytes.
pub const MAX_STR: u32 = 64 << 10;
/// Most bytes that the strings, list elements and attributes of one result come to, each counted as often as it is
/// pointed to: without it, an answer of a few kilobytes that names the same string a million times takes gigabytes.
pub const MAX_ANSWER: u32 = 1 << 20;

/// What a guest's answer is wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An address or length lies outside of the guest's memory.
    OutOfBounds(&'static str),
    /// A count or length is over its limit.
    TooMany(&'static str),
    /// A stride is smaller than the element.
    Stride(&'static str),
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::OutOfBounds(what) => write!(f, "{what} out of bounds"),
            Self::TooMany(what) => write!(f, "{what} over the limit"),
            Self::Stride(what) => write!(f, "stride of {what} too small"),
        }
    }
}

impl core::error::Error for Fault {}

/// The linear memory of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a>(pub &'a [u8]);

impl<'a> Memory<'a> {
    /// The result at that address.
    pub fn result(self, address: u32) -> Result<ParseResult, Fault> {
        let bytes = self.0.get(address as usize..).unwrap_or_default();
        ParseResult::read(bytes).ok_or(Fault::OutOfBounds("result"))
    }

    /// The messages of a result.
    pub fn messages(self, result: &ParseResult) -> Result<impl Iterator<Item = Message> + use<'a>, Fault> {
        let array = Str { ptr: result.messages, len: result.message_count };
        let array = self.array("messages", array, MAX_MESSAGES, result.message_stride, Message::SIZE)?;
        Ok(array.filter_map(Message::read))
    }

    /// The facts of a result.
    pub fn facts(self, result: &ParseResult) -> Result<impl Iterator<Item = Fact> + use<'a>, Fault> {
        let array = Str { ptr: result.facts, len: result.fact_count };
        Ok(self.array("facts", array, MAX_FACTS, result.fact_stride, Fact::SIZE)?.filter_map(Fact::read))
    }

    /// The attributes of a message.
    pub fn attributes(self, message: &Message) -> Result<impl Iterator<Item = Attribute> + use<'a>, Fault> {
        let array =
            self.array("attributes", message.attributes, MAX_ATTRIBUTES, message.attribute_stride, Attribute::SIZE)?;
        Ok(array.filter_map(Attribute::read))
    }

    /// The bytes of a string; `None` if it is absent.
    #[inline]
    pub fn string(self, what: &'static str, string: Str) -> Result<Option<&'a [u8]>, Fault> {
        if string.ptr == 0 && string.len == 0 {
            return Ok(None);
        }
        if string.len > MAX_STR {
            return Err(Fault::TooMany(what));
        }
        self.slice(string.ptr, string.len as usize).map(Some).ok_or(Fault::OutOfBounds(what))
    }

    /// The elements of a list of strings.
    pub fn list(self, what: &'static str, list: Str) -> Result<impl Iterator<Item = Str> + use<'a>, Fault> {
        let array = self.array(what, list, MAX_LIST, Str::SIZE as u32, Str::SIZE)?;
        Ok(array.filter_map(Str::read))
    }

    #[inline]
    fn array(
        self,
        what: &'static str,
        array: Str,
        max: u32,
        stride: u32,
        least: usize,
    ) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, Fault> {
        let stride = stride as usize;
        if array.len > max {
            return Err(Fault::TooMany(what));
        }
        if array.len > 0 && stride < least {
            return Err(Fault::Stride(what));
        }
        let len = stride.checked_mul(array.len as usize).ok_or(Fault::OutOfBounds(what))?;
        let bytes = if len == 0 { Some(&[][..]) } else { self.slice(array.ptr, len) };
        Ok(bytes.ok_or(Fault::OutOfBounds(what))?.chunks_exact(stride.max(1)))
    }

    #[inline]
    fn slice(self, ptr: u32, len: usize) -> Option<&'a [u8]> {
        let start = ptr as usize;
        self.0.get(start..start.checked_add(len)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, MAX_MESSAGES, Memory};
    use crate::contract::{Message, ParseResult, Str};

    fn result(messages: u32, message_count: u32, message_stride: u32) -> ParseResult {
        ParseResult { messages, message_count, message_stride, ..ParseResult::default() }
    }

    fn fault(result: &ParseResult) -> Option<Fault> {
        Memory(&[0; 1024]).messages(result).err()
    }

    #[test]
    fn an_array_inside_the_memory_is_read_with_its_own_stride() {
        let size = Message::SIZE as u32;
        assert_eq!(Memory(&[0; 1024]).messages(&result(8, 3, size + 8)).unwrap().count(), 3);
        assert_eq!(fault(&result(1024 - size, 1, size)), None);
        assert_eq!(fault(&result(u32::MAX, 0, 0)), None);
    }

    #[test]
    fn lies_about_arrays_and_strings_are_faults() {
        let size = Message::SIZE as u32;
        assert_eq!(fault(&result(1024 - size + 1, 1, size)), Some(Fault::OutOfBounds("messages")));
        assert_eq!(fault(&result(u32::MAX, 1, u32::MAX)), Some(Fault::OutOfBounds("messages")));
        assert_eq!(fault(&result(0, 1, size - 1)), Some(Fault::Stride("messages")));
        assert_eq!(fault(&result(0, MAX_MESSAGES + 1, size)), Some(Fault::TooMany("messages")));
        let memory = Memory(&[0; 16]);
        assert_eq!(memory.string("s", Str { ptr: 15, len: 2 }), Err(Fault::OutOfBounds("s")));
        assert_eq!(memory.string("s", Str { ptr: 0, len: u32::MAX }), Err(Fault::TooMany("s")));
        assert_eq!(memory.string("s", Str { ptr: 4, len: 0 }), Ok(Some(&[][..])));
    }
}
