//! Inference. Lines of text are common, and single words such as `get` or `END` are in many of them: so in the middle of
//! a stream a line counts only if all the lines behind it are ours too, and one line is not enough. What this gives up:
//! the middle of a connection of which a single line was captured.

use protap_plugin::prelude::*;

/// Line ends behind which a first line is looked for.
const MAX_STARTS: usize = 32;
/// Lines that are enough although something else follows.
const MIN_LINES: usize = 3;
/// Longest line that says nothing: `ERROR`, `stats`, `OK`.
const MAX_WEAK: u64 = 7;

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>, frame: impl Fn(Direction, &[u8]) -> Frame) -> Verdict {
    let is_mid_stream = heads.a_is_mid_stream || heads.b_is_mid_stream;
    let lines = |direction, bytes, is_mid_stream| lines(bytes, is_mid_stream, |bytes| frame(direction, bytes));
    let [if_a, if_b] = [Direction::ToServer, Direction::ToClient].map(|from_a| {
        let a = lines(from_a, heads.a, heads.a_is_mid_stream)?;
        let b = lines(from_a.opposite(), heads.b, heads.b_is_mid_stream)?;
        Some(a + b)
    });
    let enough = if is_mid_stream { 2 } else { 1 };
    match (if_a, if_b) {
        (Some(lines), _) if lines >= enough => Verdict::Likely(Client::A),
        (_, Some(lines)) if lines >= enough && !heads.a_opened => Verdict::Likely(Client::B),
        (None, None) => Verdict::No,
        _ if heads.is_complete => Verdict::No,
        _ => Verdict::More(heads.a.len().max(heads.b.len()) as u32 + 1),
    }
}

/// How many lines that say something one side begins with; `None` if it speaks something else.
fn lines(bytes: &[u8], is_mid_stream: bool, frame: impl Fn(&[u8]) -> Frame) -> Option<usize> {
    if !is_mid_stream {
        return match chain(bytes, &frame) {
            (_, Some(all)) if all < MIN_LINES => None,
            (strong, _) => Some(strong),
        };
    }
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut starts = std::iter::once(0).chain(ends.take(MAX_STARTS)).peekable();
    while let Some(start) = starts.next() {
        match chain(bytes.get(start..)?, &frame) {
            // What follows the last line end may be anything.
            (0, None) if start > 0 && starts.peek().is_none() => return None,
            (strong, None) => return Some(strong),
            _ => {}
        }
    }
    // No line ended, or none was ours.
    if bytes.contains(&b'\n') { None } else { Some(0) }
}

/// Lines that say something, from the front on, and how many there were of any kind before something else.
fn chain(bytes: &[u8], frame: impl Fn(&[u8]) -> Frame) -> (usize, Option<usize>) {
    let (mut rest, mut all, mut strong) = (bytes, 0, 0);
    while !rest.is_empty() {
        let len = match frame(rest) {
            Frame::Len(len) => len,
            Frame::Need(_) => break,
            Frame::Invalid(_) => match counter(rest) {
                Some(len) if all > 0 => len,
                _ => return (strong, Some(all)),
            },
        };
        all += 1;
        strong += usize::from(len > MAX_WEAK || rest.iter().take(MAX_WEAK as usize).any(|byte| *byte == b' '));
        rest = usize::try_from(len).ok().and_then(|len| rest.get(len..)).unwrap_or_default();
    }
    (strong, None)
}

/// Length of a line that is a number: the counter after `incr`.
fn counter(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0 && bytes.get(digits..)?.starts_with(b"\r\n")).then_some(digits as u64 + 2)
}
