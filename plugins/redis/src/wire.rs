//! RESP's lines: every value begins with one, which says what it is and how much follows.
//!
//! ```text
//! +text   simple string     $len    bulk string, len bytes and \r\n      *n   array of n values
//! -text   error             !len    bulk error                           ~n   set
//! :int    integer           =len    verbatim string                      >n   push
//! _       null              ;len    piece of a streamed string ($?)      %n   map of n pairs
//! #t #f   boolean           .       end of a streamed aggregate (*?)     |n   attribute of n pairs, before a value
//! ,float  double            $-1 *-1 null, in RESP2
//! (int    big number        each line ends with \r\n
//! ```
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

/// Longest number on a line, with its sign.
const MAX_NUMBER: usize = 20;
/// A line of text longer than that is read in pieces.
pub(crate) const LONG_LINE: usize = 1 << 10;
/// Longest string. A server takes 512 MiB unless it is told otherwise.
const MAX_BYTES: u64 = 1 << 40;
/// Most values in an aggregate.
const MAX_ITEMS: u64 = 1 << 32;

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    SimpleString,
    Error,
    Integer,
    BulkString,
    Array,
    #[default]
    Null,
    Boolean,
    Double,
    BigNumber,
    BulkError,
    Verbatim,
    Map,
    Set,
    Attribute,
    Push,
    Chunk,
    End,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'+' => Self::SimpleString,
            b'-' => Self::Error,
            b':' => Self::Integer,
            b'$' => Self::BulkString,
            b'*' => Self::Array,
            b'_' => Self::Null,
            b'#' => Self::Boolean,
            b',' => Self::Double,
            b'(' => Self::BigNumber,
            b'!' => Self::BulkError,
            b'=' => Self::Verbatim,
            b'%' => Self::Map,
            b'~' => Self::Set,
            b'|' => Self::Attribute,
            b'>' => Self::Push,
            b';' => Self::Chunk,
            b'.' => Self::End,
            _ => return None,
        })
    }

    /// Name in the attribute `redis.reply.type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SimpleString => "simple_string",
            Self::Error => "error",
            Self::Integer => "integer",
            Self::BulkString | Self::Chunk => "bulk_string",
            Self::Array | Self::End => "array",
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Double => "double",
            Self::BigNumber => "big_number",
            Self::BulkError => "bulk_error",
            Self::Verbatim => "verbatim_string",
            Self::Map => "map",
            Self::Set => "set",
            Self::Attribute => "attribute",
            Self::Push => "push",
        }
    }

    /// Whether its line is text of any length.
    fn is_text(self) -> bool {
        matches!(self, Self::SimpleString | Self::Error | Self::BigNumber)
    }

    /// Whether what is on its line may be there.
    fn allows(self, text: &[u8]) -> bool {
        let number = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        let signed = |text: &[u8]| match text {
            [b'+' | b'-', rest @ ..] => number(rest),
            text => number(text),
        };
        match self {
            Self::SimpleString | Self::Error => true,
            Self::Integer => signed(text) && text.len() <= MAX_NUMBER,
            Self::BigNumber => signed(text),
            Self::Null | Self::End => text.is_empty(),
            Self::Boolean => matches!(text, [] | [b't' | b'f']),
            Self::Double => {
                text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
                    && text.len() <= 2 * MAX_NUMBER
            }
            Self::BulkString | Self::Array => {
                matches!(text, [b'-'] | [b'-', b'1'] | [b'?']) || number(text) && text.len() <= MAX_NUMBER
            }
            Self::Map | Self::Set | Self::Push => text == b"?" || number(text) && text.len() <= MAX_NUMBER,
            Self::BulkError | Self::Verbatim | Self::Attribute | Self::Chunk => {
                number(text) && text.len() <= MAX_NUMBER
            }
        }
    }
}

/// How much belongs to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Its line is all.
    Line,
    /// That many bytes and `\r\n` follow.
    Bytes(u64),
    /// That many values follow.
    Items(u64),
    /// Its end will be marked.
    Streamed,
}

/// A value's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    /// Bytes of the line, with type and end.
    pub(crate) len: usize,
}

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Head(Head),
    /// Cannot tell before there are that many bytes.
    More(usize),
    /// A line of text whose end is not in sight.
    LongLine(Kind),
    Bad(&'static str),
}

/// Reads a value's line.
pub(crate) fn front(bytes: &[u8]) -> Front {
    if let Some(head) = counted(bytes) {
        return Front::Head(head);
    }
    let Some((first, rest)) = bytes.split_first() else { return Front::More(1) };
    let Some(kind) = Kind::of(*first) else { return Front::Bad("no type of RESP") };
    let ended = rest.iter().take(LONG_LINE).position(|byte| *byte == b'\n');
    let line = rest.get(..ended.unwrap_or(rest.len()).min(LONG_LINE)).unwrap_or_default();
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    if !kind.allows(text) {
        return Front::Bad("a line that its type does not allow");
    }
    match ended {
        None if line.len() >= LONG_LINE && kind.is_text() => Front::LongLine(kind),
        None if line.len() >= LONG_LINE => Front::Bad("a number without an end"),
        None => Front::More(bytes.len() + 1),
        Some(_) if text.len() == line.len() => Front::Bad("a line that ends without \\r"),
        Some(at) => match size(kind, text) {
            Some((kind, size)) => Front::Head(Head { kind, size, len: at + 2 }),
            None => Front::Bad("a length that cannot be"),
        },
    }
}

/// `$16\r\n` and `*2\r\n`, which nearly all lines are: so few digits that what they say cannot be too much.
fn counted(bytes: &[u8]) -> Option<Head> {
    let (first, rest) = bytes.split_first()?;
    let (mut number, mut digits) = (0_u64, 0);
    let end = loop {
        match *rest.get(digits)? {
            digit @ b'0'..=b'9' if digits < 9 => number = number * 10 + u64::from(digit - b'0'),
            end => break end,
        }
        digits += 1;
    };
    if digits == 0 || end != b'\r' || *rest.get(digits + 1)? != b'\n' {
        return None;
    }
    let (kind, size) = match *first {
        b'$' => (Kind::BulkString, Size::Bytes(number)),
        b'*' => (Kind::Array, Size::Items(number)),
        _ => return None,
    };
    Some(Head { kind, size, len: digits + 3 })
}

fn size(kind: Kind, text: &[u8]) -> Option<(Kind, Size)> {
    Some(match kind {
        Kind::Integer | Kind::Boolean | Kind::Double | Kind::BigNumber if text.is_empty() => return None,
        Kind::BulkString | Kind::Array if text == b"-1" => (Kind::Null, Size::Line),
        _ if text == b"?" => (kind, Size::Streamed),
        Kind::BulkString | Kind::BulkError | Kind::Verbatim | Kind::Chunk => {
            (kind, Size::Bytes(number(text).filter(|len| *len <= MAX_BYTES)?))
        }
        Kind::Array | Kind::Set | Kind::Push => (kind, Size::Items(number(text).filter(|n| *n <= MAX_ITEMS)?)),
        Kind::Map | Kind::Attribute => (kind, Size::Items(number(text).filter(|n| *n <= MAX_ITEMS)?.checked_mul(2)?)),
        _ => (kind, Size::Line),
    })
}

/// A number of digits alone.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::{Front, Head, Kind, Size, front};

    #[test]
    fn every_type_has_its_line() {
        for (line, kind, size) in [
            (&b"+OK\r\n"[..], Kind::SimpleString, Size::Line),
            (b"-ERR no\r\n", Kind::Error, Size::Line),
            (b":-12\r\n", Kind::Integer, Size::Line),
            (b"$5\r\n", Kind::BulkString, Size::Bytes(5)),
            (b"$-1\r\n", Kind::Null, Size::Line),
            (b"*-1\r\n", Kind::Null, Size::Line),
            (b"*0\r\n", Kind::Array, Size::Items(0)),
            (b"_\r\n", Kind::Null, Size::Line),
            (b"#t\r\n", Kind::Boolean, Size::Line),
            (b",-1.5e10\r\n", Kind::Double, Size::Line),
            (b",inf\r\n", Kind::Double, Size::Line),
            (b"(3492890328409238509324850943850943825024385\r\n", Kind::BigNumber, Size::Line),
            (b"!21\r\n", Kind::BulkError, Size::Bytes(21)),
            (b"=15\r\n", Kind::Verbatim, Size::Bytes(15)),
            (b"%2\r\n", Kind::Map, Size::Items(4)),
            (b"~3\r\n", Kind::Set, Size::Items(3)),
            (b"|1\r\n", Kind::Attribute, Size::Items(2)),
            (b">3\r\n", Kind::Push, Size::Items(3)),
            (b"$?\r\n", Kind::BulkString, Size::Streamed),
            (b"*?\r\n", Kind::Array, Size::Streamed),
            (b";4\r\n", Kind::Chunk, Size::Bytes(4)),
            (b".\r\n", Kind::End, Size::Line),
        ] {
            assert_eq!(front(line), Front::Head(Head { kind, size, len: line.len() }), "{line:?}");
            for len in 0..line.len() {
                assert_eq!(front(&line[..len]), Front::More(len + 1), "{line:?} {len}");
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_bad() {
        for line in [
            &b"OK\r\n"[..],
            b"$-2\r\n",
            b"$+5\r\n",
            b"$5\n",
            b"$\r\n",
            b":\r\n",
            b":1x\r\n",
            b"#x\r\n",
            b"_1\r\n",
            b"%-1\r\n",
            b"*99999999999\r\n",
            b"$18446744073709551616\r\n",
        ] {
            assert!(matches!(front(line), Front::Bad(_)), "{line:?}");
        }
        assert!(matches!(front(b"$x"), Front::Bad(_)));
    }

    #[test]
    fn a_long_line_is_told_from_one_that_never_ends() {
        assert_eq!(front(&[b'+'; 2000]), Front::LongLine(Kind::SimpleString));
        assert!(matches!(front(&[b':'; 2000]), Front::Bad(_)));
    }
}
