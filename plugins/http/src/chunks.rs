//! A body in chunks, passed over.
//!
//! ```text
//! chunk    size in hex digits [ ; extension ] \r\n   bytes \r\n
//! last     0 [ ; extension ] \r\n   trailer fields, each a line   \r\n
//! ```
//! <https://www.rfc-editor.org/rfc/rfc9112#section-7.1>

use protap_plugin::{Stop, Stream};

/// Longest line of a chunk's size, and of a trailer field.
const MAX_LINE: usize = 8 << 10;
/// Most bytes of trailer fields.
const MAX_TRAILERS: usize = 64 << 10;

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The line of a chunk's size.
    #[default]
    Size,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line's end behind them.
    End,
    /// A trailer field, or the end of all.
    Trailer,
}

/// How far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// So many bytes are wanted from there on.
    More(usize),
    /// So many bytes are to be passed over from there on.
    Skip(u64),
    Bad(&'static str),
}

/// A body in chunks.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    place: Place,
    /// Bytes of the body so far, without what is around them.
    pub(crate) bytes: u64,
    trailers: usize,
}

impl Chunks {
    /// Passes over them in the stream.
    pub(crate) async fn run(&mut self, stream: &Stream) -> Result<(), Stop> {
        loop {
            let (consumed, step) = stream.peek(|bytes| self.advance(bytes));
            stream.skip(consumed as u64).await?;
            match step {
                Step::Done => return Ok(()),
                Step::More(len) => stream.available(len).await?,
                Step::Skip(len) => {
                    stream.skip(len).await?;
                    self.pass(len);
                    self.place = Place::End;
                }
                Step::Bad(reason) => return Err(Stop::Malformed(reason)),
            }
        }
    }

    /// Passes over what is there; says how many bytes that is.
    fn advance(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut at = 0_usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let taken = match self.place {
                Place::Data(len) => match usize::try_from(len).ok().filter(|len| *len <= rest.len()) {
                    None => return (at, Step::Skip(len)),
                    Some(there) => {
                        self.pass(len);
                        self.place = Place::End;
                        Ok(there)
                    }
                },
                Place::Size => line(rest).and_then(|line| self.size(line)),
                Place::End => self.end(rest),
                Place::Trailer => match line(rest) {
                    Ok(line @ (b"\n" | b"\r\n")) => return (at + line.len(), Step::Done),
                    line => line.and_then(|line| self.trailer(line)),
                },
            };
            match taken {
                Ok(taken) => at += taken,
                Err(step) => return (at, step),
            }
        }
    }

    fn pass(&mut self, len: u64) {
        self.bytes = self.bytes.saturating_add(len);
    }

    fn size(&mut self, line: &[u8]) -> Result<usize, Step> {
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(0);
        let rest = line.get(digits..).unwrap_or_default().trim_ascii();
        let size = line.get(..digits).and_then(hex).ok_or(Step::Bad("a chunk without a size"))?;
        if !matches!(rest.first(), None | Some(b';')) {
            return Err(Step::Bad("a chunk without a size"));
        }
        self.place = if size == 0 { Place::Trailer } else { Place::Data(size) };
        Ok(line.len())
    }

    fn end(&mut self, rest: &[u8]) -> Result<usize, Step> {
        let len = match rest {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [] => return Err(Step::More(1)),
            [b'\r'] => return Err(Step::More(2)),
            _ => return Err(Step::Bad("a chunk that is longer than its size")),
        };
        self.place = Place::Size;
        Ok(len)
    }

    fn trailer(&mut self, line: &[u8]) -> Result<usize, Step> {
        self.trailers += line.len();
        if self.trailers > MAX_TRAILERS { Err(Step::Bad("trailers without an end")) } else { Ok(line.len()) }
    }
}

/// The line at the front, with its end.
fn line(bytes: &[u8]) -> Result<&[u8], Step> {
    match bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
        Some(at) => Ok(bytes.get(..=at).unwrap_or_default()),
        None if bytes.len() >= MAX_LINE => Err(Step::Bad("a line without an end in a body of chunks")),
        None => Err(Step::More(bytes.len() + 1)),
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(digits).ok().filter(|text| !text.is_empty())?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Step};

    fn pass(bytes: &[u8]) -> (usize, Step, u64) {
        let mut chunks = Chunks::default();
        let (len, step) = chunks.advance(bytes);
        (len, step, chunks.bytes)
    }

    #[test]
    fn chunks_end_where_they_end() {
        for (body, size) in [
            (&b"0\r\n\r\n"[..], 0),
            (b"5\r\nhello\r\n0\r\n\r\n", 5),
            (b"5;a=b;c=\"d\"\r\nhello\r\n00\r\nTrailer: x\r\nOther: y\r\n\r\n", 5),
            (b"A \r\n0123456789\r\n1\nx\n0\n\n", 11),
        ] {
            let twice = [body, b"HTTP/1.1 200 OK\r\n"].concat();
            assert_eq!(pass(&twice), (body.len(), Step::Done, size), "{}", body.escape_ascii());
            for len in 0..body.len() {
                assert!(matches!(pass(&body[..len]).1, Step::More(_) | Step::Skip(_)), "{} {len}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_bad() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b"5 5\r\nhello",
            b"11111111111111111\r\n",
            b"2\r\nabc\r\n",
        ] {
            assert!(matches!(pass(body).1, Step::Bad(_)), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_large_chunk_costs_its_size() {
        assert_eq!(pass(b"ffffffffffffffff\r\nabc"), (18, Step::Skip(u64::MAX), 0));
    }
}
