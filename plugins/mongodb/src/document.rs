//! Reading documents from a stream: which elements there are, where their values end, and the values of the few that
//! somebody asks for. Everything else is passed over by its length, however long it is.

use protap_plugin::{Source, Stop, Stream, Text, at_once, rare};

use crate::bson::{
    ARRAY, BINARY, BOOL, DOCUMENT, DOUBLE, INT32, INT64, MIN_DOCUMENT, NULL, Other, REGEX, STRING, Sought, ValueLen,
    count_elements, count_whole, element, other, seek, value_len,
};
use crate::line::Line;
use crate::shape::{self, Show};

const BEYOND_DOCUMENT: &str = "an element beyond its document's end";
/// Bytes of a UUID.
const UUID: usize = 16;

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

    /// Whether the value is null.
    pub(crate) fn is_null(&self) -> bool {
        self.kind == NULL
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
pub(crate) struct Document<'a, S> {
    stream: &'a Stream<S>,
    /// Stream offset behind the document.
    end: u64,
    /// Stream offset behind the value of the current element.
    value_end: u64,
    /// Of the current element.
    kind: u8,
    /// The current element is a regular expression, whose end is not known before it is read.
    at_regex: bool,
}

/// What was found of a document without waiting. Of an element the key alone: what a function returns goes through memory
/// in the sandbox, and a little of it is had at once.
enum Found<K> {
    Element(K),
    End,
    /// Not all that takes is there.
    Wait,
    /// No ordinary element.
    Other,
    /// The end, before it should be.
    Short,
    /// An element beyond the end.
    Beyond,
}

#[at_once]
impl<'a, S: Source> Document<'a, S> {
    /// Opens the document that begins here; it must end before `limit`.
    pub(crate) async fn open(stream: &'a Stream<S>, limit: u64) -> Result<Self, Stop> {
        let start = stream.offset();
        let len = u64::from(stream.u32_le().await?);
        let end = start.saturating_add(len);
        if len < MIN_DOCUMENT || end > limit {
            return Err(Stop::Malformed("a document length that cannot be"));
        }
        Ok(Self { stream, end, value_end: stream.offset(), kind: 0, at_regex: false })
    }

    /// The stream that it is read from.
    pub(crate) fn stream(&self) -> &'a Stream<S> {
        self.stream
    }

    /// Opens the document or array that is the value of `element`.
    pub(crate) async fn open_value<K>(&self, element: &Element<K>) -> Result<Self, Stop> {
        Document::open(self.stream, element.end).await
    }

    /// The next element that is wanted: `wanted` gets the names.
    pub(crate) async fn next<K>(&mut self, wanted: impl Fn(&[u8]) -> Option<K>) -> Result<Option<Element<K>>, Stop> {
        loop {
            match self.find(&wanted) {
                Found::Element(key) => return Ok(Some(Element { key, kind: self.kind, end: self.value_end })),
                Found::End => return Ok(None),
                Found::Short => return Err(Stop::Malformed("a document shorter than it says")),
                Found::Beyond => return Err(Stop::Malformed(BEYOND_DOCUMENT)),
                Found::Other => {
                    if let Some(element) = self.find_other(&wanted)? {
                        return Ok(Some(element));
                    }
                }
                Found::Wait => {}
            }
            if let Some(element) = rare(self.wait(wanted(&[]))).await? {
                return Ok(Some(element));
            }
        }
    }

    /// Finds the next element that is wanted, as far as all that comes before its value is there.
    #[inline(never)]
    fn find<K>(&mut self, wanted: &impl Fn(&[u8]) -> Option<K>) -> Found<K> {
        let from = self.stream.offset();
        let passed = self.value_end.saturating_sub(from);
        let start = from.saturating_add(passed);
        let room = self.end.saturating_sub(start);
        let found = self.stream.peek(|bytes| {
            let rest = bytes.get(usize::try_from(passed).ok()?..)?;
            Some(seek(within(rest, room), room, wanted))
        });
        let Some((sought, at, end)) = found.filter(|_| !self.at_regex) else { return Found::Wait };
        if self.stream.skip_now(passed.saturating_add(at as u64)).is_err() {
            return Found::Wait;
        }
        self.value_end = start.saturating_add(end);
        match sought {
            Sought::Element { key, kind } => {
                self.kind = kind;
                Found::Element(key)
            }
            Sought::End if self.value_end == self.end => Found::End,
            Sought::End => Found::Short,
            Sought::Unwanted => Found::Wait,
            Sought::Beyond => Found::Beyond,
            Sought::Other => Found::Other,
        }
    }

    /// Looks at what stands here, which is no ordinary element.
    #[cold]
    #[inline(never)]
    fn find_other<K>(&mut self, wanted: &impl Fn(&[u8]) -> Option<K>) -> Result<Option<Element<K>>, Stop> {
        let (key, at) = match self.peek(|bytes| match other(bytes) {
            Other::Regex { name, at } => Ok(Some((wanted(name), at))),
            Other::Malformed(reason) => Err(Stop::Malformed(reason)),
            Other::LongName | Other::Need(_) | Other::End | Other::Element => Ok(None),
        })? {
            Some(regex) => regex,
            None => return Ok(None),
        };
        self.stream.skip_now(at as u64)?;
        let Element { key, kind, end } = self.at_value(REGEX, ValueLen::TwoStrings, key)?;
        Ok(key.map(|key| Element { key, kind, end }))
    }

    /// Waits for what is not there of the current value or of what follows it. A name that is too long to be looked
    /// at gets that key.
    async fn wait<K>(&mut self, long_name: Option<K>) -> Result<Option<Element<K>>, Stop> {
        self.pass_value().await?;
        match self.peek(missing) {
            Missing::Bytes(needed) => self.available(needed).await.map(|()| None),
            Missing::Name => {
                let Element { key, kind, end } = self.long_name(long_name).await?;
                Ok(key.map(|key| Element { key, kind, end }))
            }
            Missing::Nothing => Ok(None),
        }
    }

    /// The next element, whatever its name.
    pub(crate) async fn next_any(&mut self) -> Result<Option<Element<()>>, Stop> {
        self.next(|_| Some(())).await
    }

    /// The number of elements from here on.
    pub(crate) async fn count(mut self) -> Result<u64, Stop> {
        let mut count = 0;
        loop {
            self.pass_value().await?;
            // As many as the window holds, at once; the rest in the ordinary way.
            let room = self.room();
            let (many, len) = self.peek(|bytes| count_elements(bytes, room));
            count += many;
            self.stream.skip(len).await?;
            self.value_end = self.stream.offset();
            match self.next_any().await? {
                Some(_) => count += 1,
                None => return Ok(count),
            }
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

    /// The shape of the value of `element`, if it is a document or an array; the value itself is still to be read.
    pub(crate) async fn shape<K>(&self, element: &Element<K>, show: Show) -> Option<Text> {
        let is_container = element.is_document() || element.is_array();
        if is_container { shape_to(self.stream, element.kind, element.end, show).await } else { None }
    }

    /// The value of `element` if it is 16 bytes of binary, in hexadecimal digits.
    pub(crate) async fn uuid<K>(&self, element: &Element<K>) -> Result<Option<Text>, Stop> {
        if element.kind != BINARY || self.stream.u32_le().await? as usize != UUID {
            return Ok(None);
        }
        let [_subtype, uuid @ ..] = self.stream.array::<{ 1 + UUID }>().await?;
        Ok(Some(self.stream.keep(Line::<32>::of(format_args!("{:032x}", u128::from_be_bytes(uuid))).as_bytes())))
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
            return Err(Stop::Malformed(BEYOND_DOCUMENT));
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

    async fn long_name<K>(&mut self, key: K) -> Result<Element<K>, Stop> {
        let kind = self.stream.u8().await?;
        self.pass_string().await?;
        loop {
            match self.peek(|bytes| value_len(kind, bytes)) {
                ValueLen::Need(needed) => self.available(needed).await?,
                len => return self.at_value(kind, len, key),
            }
        }
    }

    /// Passes over a string of any length that ends with 0.
    async fn pass_string(&mut self) -> Result<(), Stop> {
        loop {
            self.available(1).await?;
            let (found, there) = self.peek(|bytes| (bytes.iter().position(|byte| *byte == 0), bytes.len()));
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

    /// Bytes between here and the document's end.
    fn room(&self) -> u64 {
        self.end.saturating_sub(self.stream.offset())
    }

    /// Looks at the bytes that are there, up to the document's end: those behind it say nothing of its elements.
    fn peek<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let room = self.room();
        self.stream.peek(|bytes| look(within(bytes, room)))
    }

    async fn available(&self, len: usize) -> Result<(), Stop> {
        if self.stream.offset().saturating_add(len as u64) > self.end {
            return Err(Stop::Malformed(BEYOND_DOCUMENT));
        }
        self.stream.available(len).await
    }
}

/// As much of some bytes as there is room for.
fn within(bytes: &[u8], room: u64) -> &[u8] {
    bytes.get(..room.min(bytes.len() as u64) as usize).unwrap_or_default()
}

/// What is not there of what stands at the front of some bytes.
enum Missing {
    Bytes(usize),
    /// The end of a long name.
    Name,
    Nothing,
}

fn missing(bytes: &[u8]) -> Missing {
    match element(bytes).map_or_else(|| other(bytes), |_| Other::Element) {
        Other::Need(needed) => Missing::Bytes(needed),
        Other::LongName => Missing::Name,
        Other::Regex { .. } | Other::End | Other::Malformed(_) | Other::Element => Missing::Nothing,
    }
}

/// The shape of the document that begins here, and passes over it.
#[at_once]
pub(crate) async fn pass_with_shape(
    stream: &Stream<impl Source>,
    limit: u64,
    show: Show,
) -> Result<Option<Text>, Stop> {
    stream.available(4).await?;
    let len = stream.peek(|bytes| bytes.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len))));
    let shape = shape_to(stream, DOCUMENT, stream.offset().saturating_add(len).min(limit), show).await;
    Document::open(stream, limit).await?.pass().await?;
    Ok(shape)
}

/// The shape of the document or array that begins here and ends there. Bytes that are lost cost it, and nothing else.
#[at_once]
async fn shape_to(stream: &Stream<impl Source>, kind: u8, end: u64, show: Show) -> Option<Text> {
    let len = end.saturating_sub(stream.offset()).min(shape::MAX_LOOK) as usize;
    stream.available(len).await.ok()?;
    let shape = stream.peek(|bytes| shape::shape(kind, bytes.get(..len).unwrap_or(bytes), show));
    Some(stream.keep(shape.as_bytes()))
}

/// Passes over everything up to `end`, where a document ends. The last byte is read: a message is emitted once all of
/// it was seen, and code that ended with skipping would be asked to go on only when the next message came.
#[at_once]
pub(crate) async fn pass_to(stream: &Stream<impl Source>, end: u64) -> Result<(), Stop> {
    let left = end.saturating_sub(stream.offset());
    if left == 0 {
        return Ok(());
    }
    stream.skip(left - 1).await?;
    if stream.u8().await? == 0 { Ok(()) } else { Err(Stop::Malformed("a document without an end")) }
}

/// Counts the documents between here and `limit`, one after the other.
#[at_once]
pub(crate) async fn count_documents(stream: &Stream<impl Source>, limit: u64) -> Result<u64, Stop> {
    let mut count = 0;
    while stream.offset() < limit {
        let room = limit.saturating_sub(stream.offset());
        let (many, len) = stream.peek(|bytes| count_whole(bytes, room));
        if many > 0 {
            stream.skip(len).await?;
            count += many;
        } else {
            Document::open(stream, limit).await?.pass().await?;
            count += 1;
        }
    }
    Ok(count)
}
