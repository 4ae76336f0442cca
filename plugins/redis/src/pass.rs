//! Passing over values of any nesting without keeping them: a counter of the values that are still to come, however
//! deep they lie. Only streamed aggregates, whose number is not said, need a stack. Errors on the way are counted.

use protap_plugin::{Source, Stop, Stream, at_once};

use crate::error::Code;
use crate::wire::{Front, Kind, Size, front};

/// Deepest nesting of streamed aggregates.
const MAX_STREAMED: usize = 16;
/// Bytes of a bulk error that are looked at.
const ERROR_HEAD: u64 = 64;
/// Bytes behind a string.
const LINE_END: u64 = 2;

/// Values to be passed over, and what was seen of them.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Values to come; while a streamed aggregate is open, those of its present element.
    left: u64,
    /// Streamed aggregates that are open: what is left behind each.
    open: Vec<u64>,
    /// Bytes of a string to come, with its end.
    string: u64,
    /// Inside a streamed string.
    is_in_pieces: bool,
    /// Inside a line of text.
    is_in_line: bool,
    /// Values passed, for those who bound their work.
    pub(crate) passed: u64,
    /// Bytes of strings.
    pub(crate) bytes: u64,
    /// Errors among the values.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<Code>,
}

/// How far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// That many bytes are wanted from there on.
    More(usize),
    /// That many bytes are to be passed over from there on.
    Skip(u64),
    Bad(&'static str),
}

impl Pass {
    /// So many values.
    pub(crate) fn over(count: u64) -> Self {
        Self { left: count, ..Self::default() }
    }

    /// So many more.
    pub(crate) fn and(&mut self, count: u64) {
        self.left = self.left.saturating_add(count);
    }

    /// The rest of a string whose line was read.
    pub(crate) fn string(&mut self, len: u64) {
        self.string = len.saturating_add(LINE_END);
        self.bytes = self.bytes.saturating_add(len);
    }

    /// The rest of a line of text.
    pub(crate) fn line(&mut self) {
        self.is_in_line = true;
    }

    /// The rest of a streamed string whose line was read.
    pub(crate) fn pieces(&mut self) {
        self.is_in_pieces = true;
    }

    /// The elements of a streamed aggregate whose line was read.
    pub(crate) fn streamed(&mut self) -> bool {
        self.open.push(core::mem::take(&mut self.left));
        self.open.len() <= MAX_STREAMED
    }

    /// Whether nothing is to come.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && self.string == 0 && self.open.is_empty() && !self.is_in_pieces && !self.is_in_line
    }

    /// Passes over them in the stream.
    #[at_once]
    pub(crate) async fn run(&mut self, stream: &Stream<impl Source>) -> Result<(), Stop> {
        loop {
            let (consumed, step) = stream.peek(|bytes| self.advance(bytes, u64::MAX));
            stream.skip(consumed as u64).await?;
            match step {
                Step::Done => return Ok(()),
                Step::More(len) => stream.available(len).await?,
                Step::Skip(len) => {
                    stream.skip(len).await?;
                    self.string = self.string.saturating_sub(len);
                }
                Step::Bad(reason) => return Err(Stop::Malformed(reason)),
            }
        }
    }

    /// Passes over what is there, at most `most` values; says how many bytes that took.
    pub(crate) fn advance(&mut self, bytes: &[u8], most: u64) -> (usize, Step) {
        let mut at = 0;
        let most = self.passed.saturating_add(most);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.string > 0 {
                match self.pass_string(rest) {
                    Ok(taken) => at += taken,
                    Err(step) => return (at, step),
                }
            } else if self.is_in_line {
                let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                    return (bytes.len(), Step::More(1));
                };
                self.is_in_line = false;
                at += end + 1;
            } else if self.left == 0 && self.open.is_empty() && !self.is_in_pieces || self.passed >= most {
                return (at, Step::Done);
            } else {
                match self.value(rest) {
                    Ok(taken) => at += taken,
                    Err(step) => return (at, step),
                }
            }
        }
    }

    /// Bytes of a string, up to its end, which must be one.
    fn pass_string(&mut self, rest: &[u8]) -> Result<usize, Step> {
        let there = rest.len() as u64;
        if self.string > LINE_END && there < self.string {
            return Err(Step::Skip(self.string - LINE_END));
        }
        let len = usize::try_from(self.string).unwrap_or(usize::MAX);
        match rest.get(..len) {
            None => Err(Step::More(len)),
            Some(string) if string.ends_with(b"\r\n") => {
                self.string = 0;
                Ok(len)
            }
            Some(_) => Err(Step::Bad("a string that is not where it ends")),
        }
    }

    /// The line of the next value; gives its length.
    fn value(&mut self, rest: &[u8]) -> Result<usize, Step> {
        let head = match front(rest) {
            Front::Head(head) => head,
            Front::More(len) => return Err(Step::More(len)),
            Front::Bad(reason) => return Err(Step::Bad(reason)),
            Front::LongLine(kind) => {
                self.count(kind, rest.get(1..).unwrap_or_default());
                self.close_value();
                self.is_in_line = true;
                return Ok(1);
            }
        };
        if self.is_in_pieces != (head.kind == Kind::Chunk) {
            return Err(Step::Bad("a piece of no string"));
        }
        let text = rest.get(head.len..).unwrap_or_default();
        match head.size {
            Size::Bytes(0) if head.kind == Kind::Chunk => self.is_in_pieces = false,
            Size::Bytes(len) => {
                if head.kind == Kind::BulkError && (text.len() as u64) < len.min(ERROR_HEAD) {
                    return Err(Step::More(head.len + len.min(ERROR_HEAD) as usize));
                }
                self.count(head.kind, text);
                self.string(len);
            }
            Size::Line if head.kind == Kind::End => {
                // It ends between two values of its aggregate, and is none.
                let Some(left) = self.open.pop().filter(|_| self.left == 0) else {
                    return Err(Step::Bad("an end of nothing"));
                };
                self.left = left;
                return Ok(head.len);
            }
            Size::Line => self.count(head.kind, rest.get(1..head.len).unwrap_or_default()),
            Size::Items(_) | Size::Streamed => {}
        }
        if head.kind != Kind::Chunk {
            self.close_value();
        }
        match head.size {
            // What an attribute belongs to follows it.
            Size::Items(count) if head.kind == Kind::Attribute => self.and(count.saturating_add(1)),
            Size::Items(count) => self.and(count),
            Size::Streamed if head.kind == Kind::BulkString => self.pieces(),
            Size::Streamed if !self.streamed() => return Err(Step::Bad("streams in streams in streams")),
            _ => {}
        }
        Ok(head.len)
    }

    /// A value's line was passed. In a streamed aggregate, elements are as many as there are.
    fn close_value(&mut self) {
        self.passed += 1;
        self.left = self.left.saturating_sub(1);
    }

    fn count(&mut self, kind: Kind, text: &[u8]) {
        if matches!(kind, Kind::Error | Kind::BulkError) {
            self.errors += 1;
            self.first_error.get_or_insert_with(|| Code::of(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pass, Step};

    fn pass(count: u64, bytes: &[u8]) -> (usize, Step, Pass) {
        let mut pass = Pass::over(count);
        let (consumed, step) = pass.advance(bytes, u64::MAX);
        (consumed, step, pass)
    }

    #[test]
    fn values_of_any_nesting_end_where_they_end() {
        for value in [
            &b"+OK\r\n"[..],
            b"$5\r\nhello\r\n",
            b"$0\r\n\r\n",
            b"*2\r\n*1\r\n:1\r\n*2\r\n+a\r\n*0\r\n",
            b"%1\r\n+a\r\n~2\r\n:1\r\n#t\r\n",
            b"|1\r\n+ttl\r\n:3600\r\n*1\r\n:1\r\n",
            b"*2\r\n|1\r\n+ttl\r\n:3600\r\n:1\r\n:2\r\n",
            b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n",
            b"*?\r\n:1\r\n*2\r\n:2\r\n:3\r\n*?\r\n.\r\n.\r\n",
            b"*2\r\n*?\r\n:1\r\n.\r\n:2\r\n",
        ] {
            let twice = [value, value].concat();
            let (consumed, step, _) = pass(1, &twice);
            assert_eq!((consumed, step), (value.len(), Step::Done), "{}", value.escape_ascii());
            assert_eq!(pass(2, &twice).0, twice.len());
            for len in 0..value.len() {
                assert_ne!(pass(1, &value[..len]).1, Step::Done, "{} {len}", value.escape_ascii());
            }
        }
    }

    #[test]
    fn errors_inside_are_counted_and_the_first_is_kept() {
        let (_, _, pass) = pass(1, b"*3\r\n+OK\r\n-WRONGTYPE Operation\r\n*1\r\n!7\r\nERR no!\r\n");
        assert_eq!((pass.errors, pass.first_error.unwrap().name()), (2, Some("WRONGTYPE")));
    }

    #[test]
    fn what_does_not_fit_together_is_bad() {
        for bytes in
            [&b"$2\r\nabc\r\n"[..], b".\r\n", b"*1\r\n.\r\n", b";1\r\na\r\n", b"$?\r\n:1\r\n", &b"*?\r\n".repeat(40)]
        {
            assert!(matches!(pass(1, bytes).1, Step::Bad(_)), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_million_strings_cost_a_counter() {
        let (consumed, step, pass) = pass(1, b"*4294967296\r\n*4294967296\r\n");
        assert_eq!((consumed, step), (26, Step::More(1)));
        assert_eq!(pass.left, 2 * 4_294_967_296 - 1);
    }
}
