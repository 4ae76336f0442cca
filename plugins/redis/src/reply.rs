//! A reply, or a message that a server sends by itself: what it is, how large, and its errors. What it holds is passed
//! over, but for the first words of those that are about subscriptions.

use protap_plugin::{Source, Stop, Stream, Text, at_once};

use crate::error::Code;
use crate::pass::Pass;
use crate::read;
use crate::wire::{self, Front, Head, Kind, Size, front};

/// Bytes of a line, and of an error, that are kept to be looked at.
const LOOKED_AT: u64 = 256;
/// Longest first word of a message that is looked at.
const MAX_WORD: u64 = 32;

/// What a reply says.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Its type, once that is known.
    pub(crate) kind: Option<Kind>,
    /// Elements of an aggregate, if their number is said.
    pub(crate) items: Option<u64>,
    /// Bytes of strings, at any depth.
    pub(crate) bytes: u64,
    /// The beginning of a line or of an error.
    pub(crate) line: Text,
    /// The first element of an array or push, if it is a short string.
    pub(crate) first: Text,
    /// Of three elements, the second is null.
    pub(crate) names_nothing: bool,
    /// How much is subscribed to, as the confirmation of a subscription says.
    pub(crate) subscriptions: Option<u64>,
    /// The error that it is.
    pub(crate) code: Option<Code>,
    /// Errors inside it.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<Code>,
}

#[at_once]
impl Reply {
    /// Reads a reply to its end.
    pub(crate) async fn read(&mut self, stream: &Stream<impl Source>) -> Result<(), Stop> {
        loop {
            let head = match stream.peek(front) {
                Front::Head(head) => head,
                Front::LongLine(kind) => {
                    self.text_line(stream, kind, LOOKED_AT).await?;
                    let mut rest = Pass::default();
                    rest.line();
                    return rest.run(stream).await;
                }
                Front::More(len) => {
                    stream.available(len).await?;
                    continue;
                }
                Front::Bad(reason) => return Err(Stop::Malformed(reason)),
            };
            let len = head.len as u64;
            if let (Kind::Attribute, Size::Items(count)) = (head.kind, head.size) {
                stream.skip(len).await?;
                Pass::over(count).run(stream).await?;
                continue;
            }
            if head.size == Size::Line {
                // Without its type and its end.
                let kept = len.saturating_sub(3).min(LOOKED_AT);
                let taken = self.text_line(stream, head.kind, kept).await?;
                return stream.skip(len.saturating_sub(taken)).await;
            }
            stream.skip(len).await?;
            self.kind = Some(head.kind);
            return self.body(stream, head.kind, head.size).await;
        }
    }

    /// The beginning of a line, with its type; gives how many bytes that took.
    async fn text_line(&mut self, stream: &Stream<impl Source>, kind: Kind, len: u64) -> Result<u64, Stop> {
        if matches!(kind, Kind::End | Kind::Chunk) {
            return Err(Stop::Malformed("a piece of no value"));
        }
        stream.skip(1).await?;
        let is_kept = matches!(kind, Kind::SimpleString | Kind::Error);
        if is_kept {
            self.line = read::beginning(stream, len).await?;
        }
        if kind == Kind::Error {
            self.code = Some(stream.with_texts(|texts| Code::of(texts.get(self.line))));
        }
        self.kind = Some(kind);
        Ok(if is_kept { len + 1 } else { 1 })
    }

    async fn body(&mut self, stream: &Stream<impl Source>, kind: Kind, size: Size) -> Result<(), Stop> {
        let mut rest = Pass::default();
        match size {
            Size::Bytes(len) if kind == Kind::BulkError => {
                let kept = len.min(LOOKED_AT);
                self.line = read::beginning(stream, kept).await?;
                self.code = Some(stream.with_texts(|texts| Code::of(texts.get(self.line))));
                self.bytes = len;
                stream.skip(len - kept).await?;
                return read::end_of_string(stream).await;
            }
            Size::Bytes(_) if kind == Kind::Chunk => return Err(Stop::Malformed("a piece of no string")),
            Size::Bytes(len) => {
                self.bytes = len;
                stream.skip(len).await?;
                return read::end_of_string(stream).await;
            }
            Size::Items(count) => {
                self.items = Some(if kind == Kind::Map { count / 2 } else { count });
                let left = match kind {
                    Kind::Array | Kind::Push => self.first_words(stream, count).await?,
                    _ => count,
                };
                rest.and(left);
            }
            Size::Streamed if kind == Kind::BulkString => rest.pieces(),
            Size::Streamed => drop(rest.streamed()),
            Size::Line => {}
        }
        self.pass(stream, rest).await
    }

    /// Passes over values, and takes note of what was seen of them.
    async fn pass(&mut self, stream: &Stream<impl Source>, mut rest: Pass) -> Result<(), Stop> {
        let read = rest.run(stream).await;
        self.bytes = self.bytes.saturating_add(rest.bytes);
        self.errors = self.errors.saturating_add(rest.errors);
        self.first_error = self.first_error.or(rest.first_error);
        read
    }

    /// The first elements, as far as they say what the array is; gives how many others there are.
    async fn first_words(&mut self, stream: &Stream<impl Source>, count: u64) -> Result<u64, Stop> {
        let Some(len) = self.word_ahead(stream, count).await? else { return Ok(count) };
        self.first = read::beginning(stream, len).await?;
        self.bytes = self.bytes.saturating_add(len);
        read::end_of_string(stream).await?;
        if count != 3 || !stream.with_texts(|texts| texts.get(self.first).ends_with(b"subscribe")) {
            return Ok(count - 1);
        }
        // In `unsubscribe` of nothing, the second one is null.
        self.names_nothing = matches!(self.front(stream).await?, Front::Head(head) if head.kind == Kind::Null);
        self.pass(stream, Pass::over(1)).await?;
        if let Front::Head(Head { kind: Kind::Integer, len, .. }) = self.front(stream).await? {
            let digits = 1..len.saturating_sub(2);
            self.subscriptions = stream.peek(|bytes| bytes.get(digits).and_then(wire::number));
        }
        Ok(1)
    }

    /// The line that comes next.
    async fn front(&self, stream: &Stream<impl Source>) -> Result<Front, Stop> {
        loop {
            match stream.peek(front) {
                Front::More(len) => stream.available(len).await?,
                front => return Ok(front),
            }
        }
    }

    /// Length of the first element, if it is a short string, whose line is then read.
    async fn word_ahead(&mut self, stream: &Stream<impl Source>, count: u64) -> Result<Option<u64>, Stop> {
        if count == 0 {
            return Ok(None);
        }
        loop {
            match stream.peek(front) {
                Front::More(len) => stream.available(len).await?,
                Front::Head(head) if head.kind == Kind::BulkString => {
                    let Size::Bytes(len) = head.size else { return Ok(None) };
                    if len > MAX_WORD {
                        return Ok(None);
                    }
                    stream.skip(head.len as u64).await?;
                    return Ok(Some(len));
                }
                _ => return Ok(None),
            }
        }
    }
}
