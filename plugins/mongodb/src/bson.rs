//! Finding one's way through BSON documents in a stream: which elements there are, where their values end, and the
//! values of the few that somebody asks for. Everything else is passed over by its length, however long it is.
//!
//! ```text
//! document  i32 length, itself included; elements; 0
//! element   type byte; name, ended by 0; value, whose length follows from the type or from its first 4 bytes
//! ```
//! <https://bsonspec.org/spec.html>, with the deprecated types.

use protap_plugin::{Stop, Stream, Text};

/// Longest element name that is looked at; longer ones are unknown names.
const MAX_NAME: usize = 256;
/// Shortest document: its length and its end.
const MIN_DOCUMENT: u64 = 5;

const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BOOL: u8 = 0x08;
const REGEX: u8 = 0x0b;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;

/// How long a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueLen {
    Is(u64),
    /// A regular expression: two strings that end with 0.
    TwoStrings,
    /// That many bytes of the value tell.
    Need(usize),
    Malformed(&'static str),
}

/// Length of a value of that type, given its first bytes.
fn value_len(kind: u8, bytes: &[u8]) -> ValueLen {
    // The value begins with its length: `fixed` bytes are not counted in it, and it is at least `least`.
    let prefixed = |fixed: u64, least: u64| match bytes.first_chunk() {
        None => ValueLen::Need(4),
        Some(len) => match u64::try_from(i32::from_le_bytes(*len)) {
            Ok(len) if len >= least => ValueLen::Is(fixed + len),
            _ => ValueLen::Malformed("a BSON length that cannot be"),
        },
    };
    match kind {
        0x06 | 0x0a | 0x7f | 0xff => ValueLen::Is(0),
        BOOL => ValueLen::Is(1),
        INT32 => ValueLen::Is(4),
        DOUBLE | 0x09 | 0x11 | INT64 => ValueLen::Is(8),
        0x07 => ValueLen::Is(12),
        0x13 => ValueLen::Is(16),
        STRING | 0x0d | 0x0e => prefixed(4, 1),
        DOCUMENT | ARRAY => prefixed(0, MIN_DOCUMENT),
        0x05 => prefixed(5, 0),
        0x0c => prefixed(16, 1),
        0x0f => prefixed(0, 4 + 5 + MIN_DOCUMENT),
        REGEX => ValueLen::TwoStrings,
        _ => ValueLen::Malformed("an unknown BSON type"),
    }
}

/// Whether a value of that type can be.
pub(crate) fn is_type(kind: u8) -> bool {
    value_len(kind, &[]) != ValueLen::Malformed("an unknown BSON type")
}

/// What stands at the front of some bytes inside a document.
#[derive(Debug, PartialEq, Eq)]
enum Head<'a> {
    /// An element: its type and name, the bytes before its value, and the value's length.
    Element { kind: u8, name: &'a [u8], at: usize, len: ValueLen },
    /// The name is longer than anybody cares for.
    LongName,
    /// The end of the document.
    End,
    /// Cannot tell without that many bytes.
    Need(usize),
}

fn head(bytes: &[u8]) -> Head<'_> {
    let Some((kind, rest)) = bytes.split_first() else { return Head::Need(1) };
    if *kind == 0 {
        return Head::End;
    }
    let Some(name) = rest.iter().take(MAX_NAME).position(|byte| *byte == 0).and_then(|len| rest.get(..len)) else {
        return if rest.len() < MAX_NAME { Head::Need(bytes.len() + 1) } else { Head::LongName };
    };
    let at = name.len() + 2;
    match value_len(*kind, bytes.get(at..).unwrap_or_default()) {
        ValueLen::Need(more) => Head::Need(at + more),
        len => Head::Element { kind: *kind, name, at, len },
    }
}

/// [`Head`], with the name already found to be something: what outlives a look at the window.
enum Step<K> {
    Value(u8, usize, ValueLen, K),
    LongName,
    End,
    Need(usize),
}

/// An element of a document, read up to its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<K> {
    /// What the name was found to be.
    pub(crate) key: K,
    kind: u8,
    end: u64,
}

impl<K> Element<K> {
    /// Whether the value is a document, arrays not included.
    pub(crate) fn is_document(&self) -> bool {
        self.kind == DOCUMENT
    }

    /// Whether the value is an array.
    pub(crate) fn is_array(&self) -> bool {
        self.kind == ARRAY
    }

    /// Whether the value is a string.
    pub(crate) fn is_string(&self) -> bool {
        self.kind == STRING
    }

    /// The element, whatever its name was found to be.
    pub(crate) fn without_key(self) -> Element<()> {
        Element { key: (), kind: self.kind, end: self.end }
    }
}

/// A document that is being read. Whatever is not read of an element's value is passed over when the next element
/// is asked for.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    stream: &'a Stream,
    /// Stream offset behind the document.
    end: u64,
    /// Stream offset behind the value of the current element.
    value_end: u64,
    /// The current element is a regular expression, whose end is not known before it is read.
    at_regex: bool,
}

impl<'a> Document<'a> {
    /// Opens the document that begins here; it must end before `limit`.
    pub(crate) async fn open(stream: &'a Stream, limit: u64) -> Result<Self, Stop> {
        let start = stream.offset();
        let len = u64::from(stream.u32_le().await?);
        let end = start.saturating_add(len);
        if len < MIN_DOCUMENT || end > limit {
            return Err(Stop::Malformed("a document length that cannot be"));
        }
        Ok(Self { stream, end, value_end: stream.offset(), at_regex: false })
    }

    /// Opens the document or array that is the value of `element`.
    pub(crate) async fn open_value<K>(&self, element: &Element<K>) -> Result<Self, Stop> {
        Document::open(self.stream, element.end).await
    }

    /// The next element; `classify` gets its name.
    pub(crate) async fn next<K>(&mut self, classify: impl Fn(&[u8]) -> K) -> Result<Option<Element<K>>, Stop> {
        self.pass_value().await?;
        loop {
            let step = self.stream.peek(|bytes| match head(bytes) {
                Head::Element { kind, name, at, len } => Step::Value(kind, at, len, classify(name)),
                Head::Need(needed) => Step::Need(needed),
                Head::End => Step::End,
                Head::LongName => Step::LongName,
            });
            match step {
                Step::Value(kind, at, len, key) => {
                    self.stream.skip(at as u64).await?;
                    return self.at_value(kind, len, key).map(Some);
                }
                Step::Need(needed) => self.available(needed).await?,
                Step::End => return self.pass_end().await.map(|()| None),
                Step::LongName => return self.long_name(classify(&[])).await.map(Some),
            }
        }
    }

    /// The number of elements of the array or document that is the value of `element`.
    pub(crate) async fn count<K>(&self, element: &Element<K>) -> Result<u64, Stop> {
        let mut array = self.open_value(element).await?;
        let mut count = 0;
        loop {
            // As many as the window holds, at once; the rest in the ordinary way.
            let room = array.end.saturating_sub(self.stream.offset());
            let (many, len) = self.stream.peek(|bytes| count_elements(bytes, room));
            count += many;
            self.stream.skip(len).await?;
            array.value_end = self.stream.offset();
            match array.next(|_| ()).await? {
                Some(_) => count += 1,
                None => return Ok(count),
            }
            array.pass_value().await?;
        }
    }

    /// The value of `element` if it is a number or a bool, without its fraction.
    pub(crate) async fn number<K>(&self, element: &Element<K>) -> Result<Option<i64>, Stop> {
        Ok(match element.kind {
            // `as` saturates, and makes 0 of what is not a number.
            DOUBLE => Some(self.stream.f64_le().await? as i64),
            BOOL => Some(i64::from(self.stream.u8().await?)),
            INT32 => Some(i64::from(self.stream.i32_le().await?)),
            INT64 => Some(self.stream.i64_le().await?),
            _ => None,
        })
    }

    /// Whether the value of `element` is a number other than 0, or true.
    pub(crate) async fn truth<K>(&self, element: &Element<K>) -> Result<Option<bool>, Stop> {
        if element.kind == DOUBLE {
            return Ok(Some(self.stream.f64_le().await? != 0.0));
        }
        Ok(self.number(element).await?.map(|number| number != 0))
    }

    /// The value of `element` if it is a string, of which at most `max` bytes are kept.
    pub(crate) async fn text<K>(&self, element: &Element<K>, max: u64) -> Result<Option<Text>, Stop> {
        if element.kind != STRING {
            return Ok(None);
        }
        let len = u64::from(self.stream.u32_le().await?).saturating_sub(1);
        self.stream.text(len.min(max)).await.map(Some)
    }

    /// Passes over what was not read of the document.
    pub(crate) async fn pass(self) -> Result<(), Stop> {
        pass_to(self.stream, self.end).await
    }

    fn at_value<K>(&mut self, kind: u8, len: ValueLen, key: K) -> Result<Element<K>, Stop> {
        let len = match len {
            ValueLen::Is(len) => len,
            ValueLen::Malformed(reason) => return Err(Stop::Malformed(reason)),
            ValueLen::TwoStrings | ValueLen::Need(_) => {
                self.at_regex = true;
                0
            }
        };
        let end = self.stream.offset().saturating_add(len);
        if end >= self.end {
            return Err(Stop::Malformed("an element beyond its document's end"));
        }
        self.value_end = end;
        Ok(Element { key, kind, end })
    }

    async fn pass_value(&mut self) -> Result<(), Stop> {
        if self.at_regex {
            self.at_regex = false;
            self.pass_string().await?;
            return self.pass_string().await;
        }
        self.stream.skip(self.value_end.saturating_sub(self.stream.offset())).await
    }

    async fn pass_end(&mut self) -> Result<(), Stop> {
        self.stream.skip(1).await?;
        if self.stream.offset() == self.end { Ok(()) } else { Err(Stop::Malformed("a document shorter than it says")) }
    }

    async fn long_name<K>(&mut self, key: K) -> Result<Element<K>, Stop> {
        let kind = self.stream.u8().await?;
        self.pass_string().await?;
        loop {
            match self.stream.peek(|bytes| value_len(kind, bytes)) {
                ValueLen::Need(needed) => self.available(needed).await?,
                len => return self.at_value(kind, len, key),
            }
        }
    }

    /// Passes over a string of any length that ends with 0.
    async fn pass_string(&mut self) -> Result<(), Stop> {
        loop {
            self.available(1).await?;
            let (found, there) = self.stream.peek(|bytes| (bytes.iter().position(|byte| *byte == 0), bytes.len()));
            let len = found.map_or(there, |at| at + 1) as u64;
            if self.stream.offset().saturating_add(len) >= self.end {
                return Err(Stop::Malformed("a string beyond its document's end"));
            }
            self.stream.skip(len).await?;
            if found.is_some() {
                self.value_end = self.stream.offset();
                return Ok(());
            }
        }
    }

    async fn available(&self, len: usize) -> Result<(), Stop> {
        if self.stream.offset().saturating_add(len as u64) > self.end {
            return Err(Stop::Malformed("an element beyond its document's end"));
        }
        self.stream.available(len).await
    }
}

/// How many elements of known length begin in `bytes`, within the `room` that their document has, and how long they
/// are together, including what lies behind `bytes`.
fn count_elements(bytes: &[u8], room: u64) -> (u64, u64) {
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

/// Passes over everything up to `end`, where a document ends. The last byte is read: a message is emitted once all of
/// it was seen, and code that ended with skipping would be asked to go on only when the next message came.
pub(crate) async fn pass_to(stream: &Stream, end: u64) -> Result<(), Stop> {
    let left = end.saturating_sub(stream.offset());
    if left == 0 {
        return Ok(());
    }
    stream.skip(left - 1).await?;
    if stream.u8().await? == 0 { Ok(()) } else { Err(Stop::Malformed("a document without an end")) }
}

/// Counts the documents between here and `limit`, one after the other.
pub(crate) async fn count_documents(stream: &Stream, limit: u64) -> Result<u64, Stop> {
    let mut count = 0;
    while stream.offset() < limit {
        Document::open(stream, limit).await?.pass().await?;
        count += 1;
    }
    Ok(count)
}
