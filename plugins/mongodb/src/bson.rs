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
const REGEX: u8 = 0x0b;
pub(crate) const INT32: u8 = 0x10;
pub(crate) const INT64: u8 = 0x12;

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
#[inline]
pub(crate) fn value_len(kind: u8, bytes: &[u8]) -> ValueLen {
    // The value begins with its length: `fixed` bytes are not counted in it, and it is at least `least`.
    let prefixed = |fixed: u64, least: u64| match bytes.first_chunk() {
        None => ValueLen::Need(4),
        Some(len) => match u64::try_from(i32::from_le_bytes(*len)) {
            Ok(len) if len >= least => ValueLen::Is(fixed + len),
            _ => ValueLen::Malformed("a BSON length that cannot be"),
        },
    };
    match kind {
        0x06 | NULL | 0x7f | 0xff => ValueLen::Is(0),
        BOOL => ValueLen::Is(1),
        INT32 => ValueLen::Is(4),
        DOUBLE | 0x09 | 0x11 | INT64 => ValueLen::Is(8),
        OBJECT_ID => ValueLen::Is(12),
        0x13 => ValueLen::Is(16),
        STRING | 0x0d | 0x0e => prefixed(4, 1),
        DOCUMENT | ARRAY => prefixed(0, MIN_DOCUMENT),
        BINARY => prefixed(5, 0),
        0x0c => prefixed(16, 1),
        0x0f => prefixed(0, 4 + 5 + MIN_DOCUMENT),
        REGEX => ValueLen::TwoStrings,
        _ => ValueLen::Malformed("an unknown BSON type"),
    }
}

/// What stands at the front of some bytes inside a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head<'a> {
    /// An element: its type and name, the bytes before its value, and the value's length.
    Element { kind: u8, name: &'a [u8], at: usize, len: ValueLen },
    /// The name is longer than anybody cares for.
    LongName,
    /// The end of the document.
    End,
    /// Cannot tell without that many bytes.
    Need(usize),
}

/// How many of these bytes a value has, if they have it whole.
pub(crate) fn extent(len: ValueLen, bytes: &[u8]) -> Option<usize> {
    match len {
        ValueLen::Is(len) => usize::try_from(len).ok().filter(|len| *len <= bytes.len()),
        ValueLen::TwoStrings => {
            let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0);
            ends.nth(1).map(|(at, _)| at + 1)
        }
        ValueLen::Need(_) | ValueLen::Malformed(_) => None,
    }
}

/// What stands at the front of `bytes`.
#[inline(always)]
pub(crate) fn head(bytes: &[u8]) -> Head<'_> {
    let Some((kind, rest)) = bytes.split_first() else { return Head::Need(1) };
    if *kind == 0 {
        return Head::End;
    }
    let Some(name) = name(rest) else {
        return if rest.len() < MAX_NAME { Head::Need(bytes.len() + 1) } else { Head::LongName };
    };
    let at = name.len() + 2;
    match value_len(*kind, bytes.get(at..).unwrap_or_default()) {
        ValueLen::Need(more) => Head::Need(at + more),
        len => Head::Element { kind: *kind, name, at, len },
    }
}

/// The name at the front of `bytes`, if it ends there. Eight bytes at once: names are looked at more than anything else.
#[inline(always)]
fn name(bytes: &[u8]) -> Option<&[u8]> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let mut at = 0;
    while at < MAX_NAME {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            let rest = bytes.get(at..MAX_NAME.min(bytes.len()))?;
            return rest.iter().position(|byte| *byte == 0).and_then(|len| bytes.get(..at + len));
        };
        // The lowest bit set is that of the first byte that is 0.
        let word = u64::from_le_bytes(*word);
        let zeros = word.wrapping_sub(ONES) & !word & ONES << 7;
        if zeros != 0 {
            return bytes.get(..at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    None
}

/// What a look at the window found, behind elements that nobody wants.
pub(crate) enum Step<K> {
    /// An element that is wanted, or one whose value goes on behind the window.
    Element {
        kind: u8,
        at: usize,
        len: ValueLen,
        key: Option<K>,
    },
    LongName,
    End,
    Need(usize),
}

/// Looks for the first element that is wanted; also says how many bytes to pass over before it. The document goes on
/// for `room` bytes.
#[inline]
pub(crate) fn scan<K>(bytes: &[u8], room: u64, wanted: impl Fn(&[u8]) -> Option<K>) -> (usize, Step<K>) {
    let mut passed = 0;
    loop {
        let rest = bytes.get(passed..).unwrap_or_default();
        let step = match head(rest) {
            Head::Element { kind, name, at, len } => match (wanted(name), len) {
                (None, ValueLen::Is(value)) if value < (rest.len() - at) as u64 => {
                    let end = passed + at + value as usize;
                    if (end as u64) < room {
                        passed = end;
                        continue;
                    }
                    Step::Element { kind, at, len, key: None }
                }
                (key, len) => Step::Element { kind, at, len, key },
            },
            Head::Need(needed) => Step::Need(needed),
            Head::End => Step::End,
            Head::LongName => Step::LongName,
        };
        return (passed, step);
    }
}

/// How many elements of known length begin in `bytes`, within the `room` that their document has, and how long they
/// are together, including what lies behind `bytes`.
pub(crate) fn count_elements(bytes: &[u8], room: u64) -> (u64, u64) {
    let (mut count, mut len) = (0, 0);
    while let Some(rest) = usize::try_from(len).ok().and_then(|at| bytes.get(at..))
        && let Head::Element { at, len: ValueLen::Is(value), .. } = head(rest)
    {
        let end = len + at as u64 + value;
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
