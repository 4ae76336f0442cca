//! BSON, as far as some bytes of it tell: what element stands there, how long its value is, what comes next. Values
//! themselves are not looked at. [`document`](crate::document) reads documents of any length with it.
//!
//! ```text
//! document  i32 length, itself included; elements; 0
//! element   type byte; name, ended by 0; value, whose length follows from the type or from its first 4 bytes
//! ```
//! <https://bsonspec.org/spec.html>, with the deprecated types.

/// Longest element name that is looked at; longer ones are unknown names.
const MAX_NAME: usize = 256;
/// Shortest document: its length and its end.
pub(crate) const MIN_DOCUMENT: u64 = 5;

pub(crate) const DOUBLE: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
pub(crate) const DOCUMENT: u8 = 0x03;
pub(crate) const ARRAY: u8 = 0x04;
pub(crate) const BOOL: u8 = 0x08;
pub(crate) const BINARY: u8 = 0x05;
pub(crate) const OBJECT_ID: u8 = 0x07;
pub(crate) const NULL: u8 = 0x0a;
pub(crate) const REGEX: u8 = 0x0b;
pub(crate) const INT32: u8 = 0x10;
pub(crate) const INT64: u8 = 0x12;

/// How the length of a value follows from its type.
#[derive(Clone, Copy)]
struct Length {
    /// Bytes that the value has, beside those that it counts itself; or [`TWO_STRINGS`], or [`UNKNOWN`].
    fixed: u8,
    /// Of a value that begins with a count of its bytes: 1 more than the least that is.
    counted: u8,
}

const TWO_STRINGS: u8 = 0x80;
const UNKNOWN: u8 = 0x81;

/// By type. A table, since elements are looked at more than anything else.
#[expect(clippy::indexing_slicing, reason = "where the plugin is built")]
const LENGTHS: [Length; 256] = {
    let (mut lengths, mut kind) = ([length(0); 256], 0);
    while kind < lengths.len() {
        lengths[kind] = length(kind as u8);
        kind += 1;
    }
    lengths
};

const fn length(kind: u8) -> Length {
    const fn counted(fixed: u8, least: u8) -> Length {
        Length { fixed, counted: least + 1 }
    }
    let fixed = match kind {
        STRING | 0x0d | 0x0e => return counted(4, 1),
        DOCUMENT | ARRAY => return counted(0, MIN_DOCUMENT as u8),
        BINARY => return counted(5, 0),
        0x0c => return counted(16, 1),
        0x0f => return counted(0, 4 + 5 + MIN_DOCUMENT as u8),
        0x06 | NULL | 0x7f | 0xff => 0,
        BOOL => 1,
        INT32 => 4,
        DOUBLE | 0x09 | 0x11 | INT64 => 8,
        OBJECT_ID => 12,
        0x13 => 16,
        REGEX => TWO_STRINGS,
        _ => UNKNOWN,
    };
    Length { fixed, counted: 0 }
}

/// How long a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueLen {
    Is(u64),
    /// A regular expression: two strings that end with 0.
    TwoStrings,
    /// That many bytes of the value tell.
    Need(usize),
    Malformed(&'static str),
}

/// Length of a value of that type, given its first bytes.
pub(crate) fn value_len(kind: u8, bytes: &[u8]) -> ValueLen {
    match LENGTHS.get(usize::from(kind)) {
        None | Some(Length { fixed: UNKNOWN, .. }) => ValueLen::Malformed("an unknown BSON type"),
        Some(Length { fixed: TWO_STRINGS, .. }) => ValueLen::TwoStrings,
        Some(Length { counted: 1.., .. }) if bytes.len() < 4 => ValueLen::Need(4),
        Some(length) => length.known(bytes).map_or(ValueLen::Malformed("a BSON length that cannot be"), ValueLen::Is),
    }
}

impl Length {
    /// The length of a value of which these are the first bytes, if they tell it.
    #[inline(always)]
    fn known(self, bytes: &[u8]) -> Option<u64> {
        let fixed = u64::from(self.fixed);
        if self.counted == 0 {
            return (self.fixed < TWO_STRINGS).then_some(fixed);
        }
        let counted = bytes.first_chunk().map(|len| i32::from_le_bytes(*len))?;
        (counted >= i32::from(self.counted) - 1).then(|| fixed + u64::from(counted.cast_unsigned()))
    }
}

/// An element, but for its value, whose length is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    /// Bytes before the value.
    pub(crate) at: usize,
    /// Bytes of the value.
    pub(crate) len: u64,
}

/// The element at the front of `bytes`, if it is such a one.
#[inline(always)]
pub(crate) fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (kind, rest) = bytes.split_first().filter(|(kind, _)| **kind != 0)?;
    let name = name(rest)?;
    let at = name.len() + 2;
    let len = LENGTHS.get(usize::from(*kind))?.known(bytes.get(at..)?)?;
    Some(Element { kind: *kind, name, at, len })
}

/// What else may stand at the front of some bytes inside a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Other<'a> {
    /// A regular expression: its name, and the bytes before its value.
    Regex { name: &'a [u8], at: usize },
    /// The name is longer than anybody cares for.
    LongName,
    /// The end of the document.
    End,
    /// Cannot tell without that many bytes.
    Need(usize),
    /// An element that cannot be.
    Malformed(&'static str),
    /// An ordinary element.
    Element,
}

/// What stands at the front of `bytes`, if it is not an ordinary [`element`].
#[cold]
pub(crate) fn other(bytes: &[u8]) -> Other<'_> {
    let Some((kind, rest)) = bytes.split_first() else { return Other::Need(1) };
    if *kind == 0 {
        return Other::End;
    }
    let Some(name) = name(rest) else {
        return if rest.len() < MAX_NAME { Other::Need(bytes.len() + 1) } else { Other::LongName };
    };
    let at = name.len() + 2;
    match value_len(*kind, bytes.get(at..).unwrap_or_default()) {
        ValueLen::Need(more) => Other::Need(at + more),
        ValueLen::TwoStrings => Other::Regex { name, at },
        ValueLen::Malformed(reason) => Other::Malformed(reason),
        ValueLen::Is(_) => Other::Element,
    }
}

/// The element at the front of `bytes` with its value, and what follows it, if all of it is there.
pub(crate) fn whole(bytes: &[u8]) -> Option<(u8, &[u8], &[u8], &[u8])> {
    let (kind, name, at, len) = match element(bytes) {
        Some(Element { kind, name, at, len }) => (kind, name, at, usize::try_from(len).ok()?),
        None => match other(bytes) {
            Other::Regex { name, at } => {
                let mut ends = bytes.get(at..)?.iter().enumerate().filter(|(_, byte)| **byte == 0);
                (REGEX, name, at, ends.nth(1)?.0 + 1)
            }
            _ => return None,
        },
    };
    let (value, rest) = bytes.get(at..)?.split_at_checked(len)?;
    Some((kind, name, value, rest))
}

/// The name at the front of `bytes`, if it ends there. Eight bytes at once: names are looked at more than anything else.
#[inline(always)]
fn name(bytes: &[u8]) -> Option<&[u8]> {
    let len = match (first_zero(bytes, 0), bytes.len()) {
        (Some(len), _) => len,
        (None, 16..) => match first_zero(bytes, 8) {
            Some(len) => len,
            None => long_name_len(bytes)?,
        },
        _ => long_name_len(bytes)?,
    };
    bytes.get(..len)
}

/// Where the first 0 is, if it is among the 8 bytes from `at` on.
#[inline(always)]
fn first_zero(bytes: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    // The lowest bit set is that of the first byte that is 0.
    let zeros = word.wrapping_sub(ONES) & !word & ONES << 7;
    (zeros != 0).then(|| at + zeros.trailing_zeros() as usize / 8)
}

#[inline(never)]
fn long_name_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < MAX_NAME {
        if let Some(len) = first_zero(bytes, at) {
            return Some(len);
        }
        if bytes.len() < at + 16 {
            break;
        }
        at += 8;
    }
    let rest = bytes.get(at..MAX_NAME.min(bytes.len()))?;
    rest.iter().position(|byte| *byte == 0).map(|len| at + len)
}

/// What was found of the elements of a document.
pub(crate) enum Sought<K> {
    /// One that is wanted.
    Element { key: K, kind: u8 },
    /// One that is not, whose value is not there to its end.
    Unwanted,
    /// One that ends beyond the document.
    Beyond,
    /// The document's end.
    End,
    /// [Something else](other).
    Other,
}

/// Looks for the first element that is wanted in what is there of a document of `room` more bytes. Gives where it
/// stopped, or where the element's value begins, and where that ends.
#[inline(always)]
pub(crate) fn seek<K>(bytes: &[u8], room: u64, wanted: impl Fn(&[u8]) -> Option<K>) -> (Sought<K>, usize, u64) {
    let mut rest = bytes;
    // Little is alive in this loop: what is goes through memory in the sandbox.
    let found = loop {
        let Some(element) = element(rest) else { break None };
        let key = wanted(element.name);
        let len = element.at as u64 + element.len;
        if key.is_some() || len >= rest.len() as u64 {
            break Some((element, key));
        }
        rest = rest.get(len as usize..).unwrap_or_default();
    };
    let at = bytes.len() - rest.len();
    let Some((Element { kind, at: before, len, .. }, key)) = found else {
        let is_end = rest.first() == Some(&0);
        return if is_end { (Sought::End, at + 1, at as u64 + 1) } else { (Sought::Other, at, at as u64) };
    };
    let value = at + before;
    let end = value as u64 + len;
    let sought = match key {
        _ if end >= room => Sought::Beyond,
        Some(key) => Sought::Element { key, kind },
        None => Sought::Unwanted,
    };
    (sought, value, end)
}

/// How many elements of known length begin in `bytes`, within the `room` that their document has, and how long they
/// are together, including what lies behind `bytes`.
pub(crate) fn count_elements(bytes: &[u8], room: u64) -> (u64, u64) {
    let (mut count, mut len) = (0, 0);
    while let Some(rest) = usize::try_from(len).ok().and_then(|at| bytes.get(at..))
        && let Some(element) = element(rest)
    {
        let end = len + element.at as u64 + element.len;
        if end >= room {
            break;
        }
        count += 1;
        len = end;
    }
    (count, len)
}

/// How many documents in a row are in `bytes` and in the `room` that they have, and how long they are together.
pub(crate) fn count_whole(bytes: &[u8], room: u64) -> (u64, u64) {
    let (mut count, mut rest) = (0, bytes);
    let mut len: u64 = 0;
    while let Some(head) = rest.first_chunk()
        && let size = u32::from_le_bytes(*head)
        && u64::from(size) >= MIN_DOCUMENT
        && len + u64::from(size) <= room
        && let Some((document, behind)) = rest.split_at_checked(size as usize)
        && document.ends_with(&[0])
    {
        count += 1;
        len += u64::from(size);
        rest = behind;
    }
    (count, len)
}
