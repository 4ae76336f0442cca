//! A reply, or a message that a server sends by itself: what it is, how large, and its errors. What it holds is passed
//! over, but for the first words of those that are about subscriptions.

use protap_plugin::{Stop, Stream, Text};

use crate::error::Code;
use crate::pass::Pass;
use crate::read;
use crate::wire::{Front, Kind, Size, front};

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
    /// The second element is null.
    pub(crate) names_nothing: bool,
    /// The error that it is.
    pub(crate) code: Option<Code>,
    /// Errors inside it.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<Code>,
}

impl Reply {
    /// Reads a reply to its end.
    pub(crate) async fn read(&mut self, stream: &Stream) -> Result<(), Stop> {
        let mut rest = Pass::default();
        let read = self.value(stream, &mut rest).await;
        self.bytes = self.bytes.saturating_add(rest.bytes);
        (self.errors, self.first_error) = (rest.errors, rest.first_error);
        read
    }

    async fn value(&mut self, stream: &Stream, rest: &mut Pass) -> Result<(), Stop> {
        loop {
            let head = match stream.peek(front) {
                Front::Head(head) => head,
                Front::LongLine(kind) => {
                    self.text_line(stream, kind, LOOKED_AT).await?;
                    rest.line();
                    return rest.run(stream).await;
                }
                Front::More(len) => {
                    stream.available(len).await?;
                    continue;
                }
                Front::Bad(reason) => return Err(Stop::Malformed(reason)),
            };
            if let (Kind::Attribute, Size::Items(count)) = (head.kind, head.size) {
                stream.skip(head.len as u64).await?;
                Pass::over(count).run(stream).await?;
                continue;
            }
            if head.size == Size::Line {
                let text = (head.len as u64).saturating_sub(3);
                self.text_line(stream, head.kind, text.min(LOOKED_AT)).await?;
                rest.line();
                return rest.run(stream).await;
            }
            stream.skip(head.len as u64).await?;
            self.kind = Some(head.kind);
            return self.body(stream, head.kind, head.size, rest).await;
        }
    }

    /// The beginning of a line, with its type.
    async fn text_line(&mut self, stream: &Stream, kind: Kind, len: u64) -> Result<(), Stop> {
        if matches!(kind, Kind::End | Kind::Chunk) {
            return Err(Stop::Malformed("a piece of no value"));
        }
        stream.skip(1).await?;
        if matches!(kind, Kind::SimpleString | Kind::Error) {
            self.line = read::beginning(stream, len).await?;
        }
        if kind == Kind::Error {
            self.code = Some(stream.with_texts(|texts| Code::of(texts.get(self.line))));
        }
        self.kind = Some(kind);
        Ok(())
    }

    async fn body(&mut self, stream: &Stream, kind: Kind, size: Size, rest: &mut Pass) -> Result<(), Stop> {
        match size {
            Size::Bytes(len) if kind == Kind::BulkError => {
                let kept = len.min(LOOKED_AT);
                self.line = read::beginning(stream, kept).await?;
                self.code = Some(stream.with_texts(|texts| Code::of(texts.get(self.line))));
                self.bytes = kept;
                rest.string(len - kept);
            }
            Size::Bytes(_) if kind == Kind::Chunk => return Err(Stop::Malformed("a piece of no string")),
            Size::Bytes(len) => rest.string(len),
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
        rest.run(stream).await
    }

    /// The first elements, as far as they say what the array is; gives how many others there are.
    async fn first_words(&mut self, stream: &Stream, count: u64) -> Result<u64, Stop> {
        let Some(len) = self.word_ahead(stream, count).await? else { return Ok(count) };
        self.first = read::beginning(stream, len).await?;
        self.end_of_word(stream, len).await?;
        // In `unsubscribe` of nothing, the second one is null.
        if count == 3 && stream.with_texts(|texts| texts.get(self.first).ends_with(b"unsubscribe")) {
            let head = loop {
                match stream.peek(front) {
                    Front::More(len) => stream.available(len).await?,
                    front => break front,
                }
            };
            self.names_nothing = matches!(head, Front::Head(head) if head.kind == Kind::Null);
        }
        Ok(count - 1)
    }

    /// Length of the first element, if it is a short string, whose line is then read.
    async fn word_ahead(&mut self, stream: &Stream, count: u64) -> Result<Option<u64>, Stop> {
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

    async fn end_of_word(&mut self, stream: &Stream, len: u64) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(len);
        match stream.array().await? {
            [b'\r', b'\n'] => Ok(()),
            _ => Err(Stop::Malformed("a string that is not where it ends")),
        }
    }
}
