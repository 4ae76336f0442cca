//! Requests: a line, for storage commands with a block of data behind it.

use protap_plugin::prelude::*;

use crate::line::Line;
use crate::{KEY_COUNT, KEYS, OPERATION, SYSTEM, VALUE_BYTES};

/// Keys that are emitted of one request, if any.
const MAX_KEYS: usize = 64;

/// What follows a command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// No key.
    Plain,
    /// One key, and what else there is.
    Key,
    /// As many keys as there are words from that one on.
    Keys(usize),
    /// One key, and a block of data whose length is that word.
    Data(usize),
}

const COMMANDS: &[(&str, Shape)] = &[
    ("get", Shape::Keys(1)),
    ("gets", Shape::Keys(1)),
    ("gat", Shape::Keys(2)),
    ("gats", Shape::Keys(2)),
    ("set", Shape::Data(4)),
    ("add", Shape::Data(4)),
    ("replace", Shape::Data(4)),
    ("append", Shape::Data(4)),
    ("prepend", Shape::Data(4)),
    ("cas", Shape::Data(4)),
    ("delete", Shape::Key),
    ("incr", Shape::Key),
    ("decr", Shape::Key),
    ("touch", Shape::Key),
    ("mg", Shape::Key),
    ("ms", Shape::Data(2)),
    ("md", Shape::Key),
    ("ma", Shape::Key),
    ("me", Shape::Key),
    ("mn", Shape::Plain),
    ("stats", Shape::Plain),
    ("version", Shape::Plain),
    ("verbosity", Shape::Plain),
    ("flush_all", Shape::Plain),
    ("quit", Shape::Plain),
];

/// Reads a request and emits it.
pub(crate) async fn read(stream: &Stream, emits_keys: bool) -> Result<(), Stop> {
    let line = Line::read(stream).await?;
    let known = COMMANDS.iter().find(|(name, _)| *name == line.word(0));
    // What is not a command may be anything, even a value of the wrong length: it is not emitted.
    let (name, shape) = known.copied().unwrap_or(("unknown", Shape::Plain));
    if is_quiet(&line, name) {
        return Err(Stop::Opaque("quiet meta commands"));
    }
    let (first_key, key_count) = match shape {
        Shape::Plain => (1, 0),
        Shape::Key | Shape::Data(_) => (1, 1),
        Shape::Keys(first) => (first, line.word_count.saturating_sub(first as u64)),
    };
    let block = block(&line, shape);
    stream.begin_frame(line.len + block.map_or(0, |len| len + 2))?;
    stream.emit(|output, _| {
        let message = match is_answered(&line, name) {
            true => output.request(name).context(key_count.to_le_bytes()),
            false => output.one_way(name),
        };
        let mut message = message.str(SYSTEM, "memcached").str(OPERATION, name);
        if key_count > 0 {
            message = message.i64(KEY_COUNT, key_count.cast_signed());
        }
        if let Some(len) = block {
            message = message.i64(VALUE_BYTES, len.cast_signed());
        }
        if emits_keys && key_count > 0 {
            let count = usize::try_from(key_count).map_or(MAX_KEYS, |count| count.min(MAX_KEYS));
            message = message.list(KEYS, line.words().skip(first_key).take(count));
        }
        message.emit();
    });
    Ok(())
}

/// Bytes that follow the line, if it is one of a command that we know.
pub(crate) fn frame(line: &Line) -> Option<u64> {
    let (_, shape) = COMMANDS.iter().find(|(name, _)| line.begins_with(name))?;
    let is_complete = match shape {
        _ if !line.is_ended => true,
        Shape::Plain => true,
        Shape::Key => line.word_count > 1,
        Shape::Keys(first) => line.word_count > *first as u64,
        Shape::Data(_) => block(line, *shape).is_some(),
    };
    is_complete.then(|| block(line, *shape).map_or(0, |len| len + 2))
}

/// Length of the data behind the line. A length that is no number makes the server refuse the line, and take what
/// follows for the next one.
fn block(line: &Line, shape: Shape) -> Option<u64> {
    const MAX_VALUE: u64 = 1 << 30;
    match shape {
        Shape::Data(n) => line.number(n).filter(|len| *len <= MAX_VALUE),
        _ => None,
    }
}

fn is_answered(line: &Line, name: &str) -> bool {
    name != "quit" && line.words().last() != Some("noreply")
}

/// Meta commands with the flag `q` are answered on some outcomes only.
fn is_quiet(line: &Line, name: &str) -> bool {
    let first_flag = if name == "ms" { 3 } else { 2 };
    matches!(name, "mg" | "ms" | "md" | "ma") && line.words().skip(first_flag).any(|flag| flag == "q")
}
