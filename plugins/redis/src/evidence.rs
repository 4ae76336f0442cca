//! How much some bytes look like RESP: what a probe and a resync go by. A line of RESP is short and common text, so a
//! single value is weak evidence, and only values that are chained to each other, each beginning where the last one
//! ends, are good. What it gives up: values of 16 KiB and more in the middle of a frame, behind which nothing is seen.

use protap_plugin::{Direction, Input, Resync};

use crate::command::Name;
use crate::error::Code;
use crate::pass::{Pass, Step};
use crate::wire::{Front, Kind, Size, front};

/// Points of a frame that hardly is anything else: a command that is known, an aggregate, an error with a name.
pub(crate) const STRONG: u32 = 4;
/// Points of a request whose command is not known.
const UNKNOWN_COMMAND: u32 = 3;
/// Points of a line that begins with a command's name.
const INLINE: u32 = 2;
/// Points of any other value.
const WEAK: u32 = 1;
/// Points that leave no doubt: two strong frames.
pub(crate) const ENOUGH: u32 = 2 * STRONG;
/// Longest inline request that is taken for one.
const MAX_LINE: usize = 200;
/// Values of one frame that are looked at; then it is taken for what it looks like.
const MAX_VALUES: u64 = 64;
/// Values that are looked at in one call, which has little time.
const BUDGET: u64 = 40_000;

/// What a chain of frames is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) points: u32,
    /// Bytes of the frames that are whole.
    pub(crate) len: usize,
    /// More bytes may tell more.
    pub(crate) is_open: bool,
    /// A request was an array; its command is known; it is REPLCONF, which only replicas send.
    pub(crate) has_array: bool,
    pub(crate) has_command: bool,
    pub(crate) is_replica: bool,
    /// Values that were looked at.
    pub(crate) spent: u64,
}

/// One frame at the front of some bytes.
enum Frame {
    Whole {
        len: usize,
        points: u32,
    },
    /// It goes on behind the bytes; what is there is worth that.
    Cut {
        points: u32,
    },
    None,
}

/// What the frames at the front of the bytes are worth; `None` if there is none, or something else follows.
pub(crate) fn chain(direction: Direction, bytes: &[u8]) -> Option<Evidence> {
    let mut found = Evidence::default();
    while found.points < ENOUGH {
        let rest = bytes.get(found.len..).unwrap_or_default();
        if rest.is_empty() {
            found.is_open = true;
            break;
        }
        let frame = match direction {
            Direction::ToServer => request(rest, &mut found),
            Direction::ToClient => value(rest, &mut found.spent),
        };
        match frame {
            Frame::Whole { len, points } => {
                found.len += len;
                found.points += points;
            }
            Frame::Cut { points } => {
                found.points += points;
                found.is_open = true;
                break;
            }
            Frame::None => return None,
        }
    }
    Some(found)
}

/// Finds the next frame after a loss.
pub(crate) fn resync(input: &Input<'_>) -> Resync {
    let mut spent = 0;
    let mut open = None;
    let starts = input.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    for at in core::iter::once(0).chain(starts) {
        let rest = input.bytes.get(at..).unwrap_or_default();
        let Some(found) = chain(input.direction, rest) else { continue };
        let wanted = if at == 0 && input.is_likely_start { WEAK } else { ENOUGH };
        if found.points >= wanted && !rest.is_empty() {
            return Resync::Found(at);
        }
        if found.is_open && !input.is_last() {
            open = Some(at);
            break;
        }
        spent += found.spent + 1;
        if spent > BUDGET {
            return Resync::Need { consumed: at.max(1), amount: 1 };
        }
    }
    let window = u64::from(crate::WINDOW);
    match open {
        Some(at) if (input.bytes.len() - at) as u64 >= window => Resync::Need { consumed: at + 1, amount: 1 },
        Some(at) => Resync::Need { consumed: at, amount: input.bytes.len() - at + 1 },
        None => Resync::Need { consumed: input.bytes.len(), amount: 1 },
    }
}

fn request(bytes: &[u8], found: &mut Evidence) -> Frame {
    if bytes.first() != Some(&b'*') {
        return line(bytes);
    }
    let head = match front(bytes) {
        Front::Head(head) if matches!(head.size, Size::Items(1..)) => head,
        Front::More(_) => return Frame::Cut { points: 0 },
        _ => return Frame::None,
    };
    let rest = bytes.get(head.len..).unwrap_or_default();
    let word = match front(rest) {
        Front::Head(word) if word.kind == Kind::BulkString => word,
        Front::More(_) if matches!(rest.first(), None | Some(b'$')) => return Frame::Cut { points: WEAK },
        _ => return Frame::None,
    };
    let Size::Bytes(len) = word.size else { return Frame::None };
    let Some(len) = usize::try_from(len).ok().filter(|len| (1..=crate::command::MAX_NAME).contains(len)) else {
        return Frame::None;
    };
    let Some(name) = rest.get(word.len..word.len.saturating_add(len)) else { return Frame::Cut { points: WEAK } };
    let Some(name) = Name::of(name) else { return Frame::None };
    found.has_array = true;
    found.has_command |= name.command().is_some();
    found.is_replica |= name.as_str() == "REPLCONF";
    let points = match name.command() {
        Some(_) => STRONG,
        None if is_spoken_by_servers(name.as_str()) => return Frame::None,
        None => UNKNOWN_COMMAND,
    };
    // All of its values are strings.
    let mut at = head.len;
    let Size::Items(count) = head.size else { return Frame::None };
    for _ in 0..count.min(MAX_VALUES) {
        let rest = bytes.get(at..).unwrap_or_default();
        if !matches!(rest.first(), None | Some(b'$')) {
            return Frame::None;
        }
        let mut pass = Pass::over(1);
        let (len, step) = pass.advance(rest, 1);
        found.spent += 1;
        match step {
            Step::Done => at += len,
            Step::Bad(_) => return Frame::None,
            Step::More(_) | Step::Skip(_) => return Frame::Cut { points },
        }
    }
    if count > MAX_VALUES { Frame::Cut { points } } else { Frame::Whole { len: at, points } }
}

/// First words of what servers push, which are no commands although they look like some.
fn is_spoken_by_servers(name: &str) -> bool {
    matches!(name, "MESSAGE" | "PMESSAGE" | "SMESSAGE" | "INVALIDATE" | "PONG")
}

/// A line that begins with a command's name, and is no line of HTTP.
fn line(bytes: &[u8]) -> Frame {
    let end = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
    let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() >= MAX_LINE || !line.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80..)) {
        return Frame::None;
    }
    let len = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let name = Name::of(line.get(..len).unwrap_or_default());
    let is_known = name.is_some_and(|name| name.command().is_some());
    let is_http = line.windows(6).any(|word| word == b" HTTP/");
    match end {
        Some(end) if is_known && !is_http => Frame::Whole { len: end + 1, points: INLINE },
        None if name.is_some() && !is_http => Frame::Cut { points: 0 },
        _ => Frame::None,
    }
}

fn value(bytes: &[u8], spent: &mut u64) -> Frame {
    let points = match front(bytes) {
        Front::Head(head) => points(head.kind, head.size, bytes.get(1..head.len).unwrap_or_default()),
        Front::LongLine(_) => return Frame::Cut { points: 0 },
        Front::More(_) => return Frame::Cut { points: 0 },
        Front::Bad(_) => return Frame::None,
    };
    if points == 0 {
        return Frame::None;
    }
    let mut pass = Pass::over(1);
    let (len, step) = pass.advance(bytes, MAX_VALUES);
    *spent += pass.passed;
    match step {
        Step::Done if pass.is_done() => Frame::Whole { len, points },
        Step::Bad(_) => Frame::None,
        Step::Done | Step::More(_) | Step::Skip(_) => Frame::Cut { points },
    }
}

fn points(kind: Kind, size: Size, line: &[u8]) -> u32 {
    match kind {
        Kind::End | Kind::Chunk => 0,
        Kind::Array | Kind::Map | Kind::Set | Kind::Push | Kind::Attribute if size != Size::Items(0) => STRONG,
        Kind::Error => match Code::of(line).name() {
            Some(_) => STRONG,
            None => WEAK,
        },
        Kind::SimpleString if matches!(line.trim_ascii_end(), b"OK" | b"QUEUED" | b"PONG") => STRONG,
        _ => WEAK,
    }
}

/// Whether the bytes begin with a value that neither mail nor chat begins with.
pub(crate) fn is_peculiar(bytes: &[u8]) -> bool {
    matches!(front(bytes), Front::Head(head) if !matches!(head.kind, Kind::SimpleString | Kind::Error))
}

/// Whether the bytes are how a server refuses a connection before it was asked anything.
pub(crate) fn is_refusal(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-DENIED Redis is running") || bytes.starts_with(b"-ERR max number of clients reached")
}
