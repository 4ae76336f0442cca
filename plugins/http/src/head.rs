//! The head of a message: a first line, header fields, an empty line. It is read line by line, so that it may be longer than
//! a window, and of a line that is very long only the beginning is looked at.
//!
//! ```text
//! GET /path HTTP/1.1\r\n      or   HTTP/1.1 200 OK\r\n
//! Name: value\r\n
//!  continued\r\n              of old: the value goes on
//! \r\n                        a \n alone will do
//! ```
//! <https://www.rfc-editor.org/rfc/rfc9112#section-2>, <https://www.rfc-editor.org/rfc/rfc9112#section-5>

use protap_plugin::{Stop, Stream, Text};

use crate::field::{SLOTS, Slot, Use};
use crate::framing::Framing;
use crate::front::is_token_byte;

/// Most bytes of a head; servers take 8 to 64 KiB.
const MAX_HEAD: usize = 64 << 10;
/// Bytes of a line that are looked at.
const MAX_LINE: usize = 8 << 10;
/// Bytes of the first line that are kept.
const MAX_FIRST: usize = 4 << 10;

/// What a head says.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The first line, without its end.
    pub(crate) line: Text,
    /// It has been read.
    pub(crate) has_line: bool,
    /// It is longer than what is kept of it; then, what it ends with.
    pub(crate) is_line_cut: bool,
    pub(crate) framing: Framing,
    values: [Option<Text>; SLOTS],
    /// It may be answered with a stream of events.
    pub(crate) accepts_events: bool,
    /// Bytes so far.
    len: usize,
    /// What the last field was for.
    last: Option<Use>,
    /// Inside a line of which enough was looked at.
    is_in_line: bool,
}

/// How far it went.
enum Step {
    Done,
    More(usize),
    Bad(&'static str),
}

impl Head {
    /// Reads a head to its end.
    pub(crate) async fn read(&mut self, stream: &Stream) -> Result<(), Stop> {
        loop {
            let (consumed, step) = stream.peek(|bytes| self.advance(stream, bytes));
            stream.skip(consumed as u64).await?;
            match step {
                Step::Done => return Ok(()),
                Step::More(len) => stream.available(len).await?,
                Step::Bad(reason) => return Err(Stop::Malformed(reason)),
            }
        }
    }

    /// The value of a field.
    pub(crate) fn value(&self, slot: Slot) -> Option<Text> {
        self.values.get(slot as usize).copied().flatten()
    }

    /// Bytes of it, once it was read.
    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Reads the lines that are there; says how many bytes they are.
    fn advance(&mut self, stream: &Stream, bytes: &[u8]) -> (usize, Step) {
        let mut at = 0_usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
            let taken = end.map_or(rest.len().min(MAX_LINE), |end| end + 1);
            if self.len.saturating_add(taken) > MAX_HEAD {
                return (at, Step::Bad("a head without an end"));
            }
            if end.is_none() && !self.is_in_line && taken < MAX_LINE {
                return (at, Step::More(taken + 1));
            }
            self.len += taken;
            at += taken;
            if taken == 0 {
                return (at, Step::More(1));
            }
            let is_continued = core::mem::replace(&mut self.is_in_line, end.is_none());
            if is_continued {
                continue;
            }
            let line = rest.get(..end.unwrap_or(taken)).unwrap_or_default();
            let line = line.strip_suffix(b"\r").filter(|_| end.is_some()).unwrap_or(line);
            if !self.has_line {
                self.first_line(stream, line, end.is_none());
            } else if line.is_empty() {
                return (at, Step::Done);
            } else if let Err(reason) = self.field_line(stream, line) {
                return (at, Step::Bad(reason));
            }
        }
    }

    fn first_line(&mut self, stream: &Stream, line: &[u8], is_cut: bool) {
        self.has_line = true;
        self.is_line_cut = is_cut || line.len() > MAX_FIRST;
        self.line = stream.keep(line.get(..MAX_FIRST).unwrap_or(line));
    }

    fn field_line(&mut self, stream: &Stream, line: &[u8]) -> Result<(), &'static str> {
        if matches!(line, [b' ' | b'\t', ..]) {
            self.fold(stream, line.trim_ascii());
            return Ok(());
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err("a header field without a colon");
        };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let (value, bare) = (value.get(1..).unwrap_or_default().trim_ascii(), name.trim_ascii_end());
        if bare.is_empty() || !bare.iter().all(|byte| is_token_byte(*byte)) {
            return Err("a header field without a name");
        }
        self.last = Use::of(bare);
        if bare.len() != name.len() {
            self.doubt("whitespace before a colon");
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            self.doubt("a bare CR or NUL in a field");
        }
        match self.last {
            Some(Use::ContentLength) => self.framing.content_length(value),
            Some(Use::TransferEncoding) => self.framing.transfer_encoding(value),
            Some(Use::Accept) => self.accepts_events |= value.starts_with(b"text/event-stream"),
            Some(Use::Keep(slot)) => self.keep(stream, slot, value),
            None => {}
        }
        Ok(())
    }

    /// Something that others may read in another way; of the fields that say where the message ends, it is fatal.
    fn doubt(&mut self, what: &'static str) {
        match self.last {
            Some(what_for) if what_for.is_framing() => self.framing.spoil(what),
            _ => self.framing.doubt(what),
        }
    }

    fn keep(&mut self, stream: &Stream, slot: Slot, value: &[u8]) {
        let Some(kept) = self.values.get_mut(slot as usize) else { return };
        if kept.is_none() {
            *kept = Some(stream.keep(value.get(..slot.room()).unwrap_or(value)));
        } else if slot == Slot::Host {
            self.framing.doubt("several Host");
        }
    }

    /// A line that continues the value of the field before it.
    fn fold(&mut self, stream: &Stream, more: &[u8]) {
        match self.last {
            Some(Use::Keep(slot)) => {
                let Some(kept) = self.values.get_mut(slot as usize) else { return };
                let before = kept.map(|kept| stream.with_texts(|texts| texts.get(kept).to_vec()));
                let value = [&before.unwrap_or_default(), &b" "[..], more].concat();
                *kept = Some(stream.keep(value.get(..slot.room()).unwrap_or(&value)));
            }
            Some(_) => self.doubt("a field on several lines"),
            None => {}
        }
    }
}
