//! Replies: one line, a block of data, or items up to a line that says `END`.

use protap_plugin::prelude::*;

use crate::line::Line;
use crate::{HIT_COUNT, MISS_COUNT, SYSTEM, VALUE_BYTES};

/// Replies that are one line, and how the request went. A key that is not there is an outcome, not an error.
const REPLIES: &[(&str, Status)] = &[
    ("END", Status::Ok),
    ("STORED", Status::Ok),
    ("NOT_STORED", Status::Ok),
    ("EXISTS", Status::Ok),
    ("NOT_FOUND", Status::Ok),
    ("DELETED", Status::Ok),
    ("TOUCHED", Status::Ok),
    ("OK", Status::Ok),
    ("RESET", Status::Ok),
    ("VERSION", Status::Ok),
    ("HD", Status::Ok),
    ("EN", Status::Ok),
    ("NF", Status::Ok),
    ("NS", Status::Ok),
    ("EX", Status::Ok),
    ("MN", Status::Ok),
    ("ME", Status::Ok),
    ("ERROR", Status::ClientError),
    ("CLIENT_ERROR", Status::ClientError),
    ("SERVER_ERROR", Status::ServerError),
];

/// Those that nothing follows in their line.
const ALONE: [&str; 10] =
    ["END", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK", "RESET", "ERROR"];

/// Replies with more behind their first line: the word that holds the length of a block, if there is one.
const LONG_REPLIES: &[(&str, Option<usize>)] = &[("VALUE", Some(3)), ("VA", Some(1)), ("STAT", None)];

/// What a reply says.
struct Reply {
    word: &'static str,
    status: Status,
    hits: u64,
    value_bytes: u64,
}

/// Reads a reply to its end and emits it.
pub(crate) async fn read(stream: &Stream) -> Result<(), Stop> {
    let mut hits = 0;
    let mut value_bytes = 0;
    loop {
        let line = Line::read(stream).await?;
        let word = line.word(0);
        if let Some((word, status)) = one_line(word) {
            emit(stream, &Reply { word, status, hits, value_bytes });
            return Ok(());
        }
        let (word, len_at) = long(word).ok_or(Stop::Malformed("no such reply"))?;
        if let Some(at) = len_at {
            let len = line.number(at).ok_or(Stop::Malformed("a value without a length"))?;
            (hits, value_bytes) = (hits + 1, value_bytes.saturating_add(len));
            stream.skip(len.saturating_add(2)).await?;
        }
        if word == "VA" {
            emit(stream, &Reply { word, status: Status::Ok, hits, value_bytes });
            return Ok(());
        }
    }
}

/// Bytes that follow the line, if it is one of a reply. (A bare number is one as well, but every second line of a
/// value may be that.)
pub(crate) fn frame(line: &Line) -> Option<u64> {
    if let Some((word, _)) = REPLIES.iter().find(|(word, _)| line.begins_with(word)) {
        return (line.word_count == 1 || !ALONE.contains(word)).then_some(0);
    }
    let (_, len_at) = LONG_REPLIES.iter().find(|(word, _)| line.begins_with(word))?;
    match len_at {
        Some(at) if line.is_ended => line.number(*at)?.checked_add(2),
        _ => Some(0),
    }
}

fn emit(stream: &Stream, reply: &Reply) {
    stream.emit(|output, _| {
        let asked = output.pending_front().and_then(|keys| keys.first_chunk().copied()).map(u64::from_le_bytes);
        let message = output.response(reply.status);
        let mut message = match reply.status {
            Status::Ok => message.result(reply.word),
            // The text behind it may quote what was sent.
            _ => message.exception(reply.word),
        };
        message = message.str(SYSTEM, "memcached");
        if reply.hits > 0 || reply.word == "END" {
            message =
                message.i64(HIT_COUNT, reply.hits.cast_signed()).i64(VALUE_BYTES, reply.value_bytes.cast_signed());
        }
        match asked {
            None => message.partial("its request was not seen").emit(),
            Some(asked) if reply.word == "END" => {
                message.i64(MISS_COUNT, asked.saturating_sub(reply.hits).cast_signed()).emit();
            }
            Some(_) => message.emit(),
        }
    });
}

/// The one-line reply that the word is; a number is the counter after `incr` or `decr`.
fn one_line(word: &str) -> Option<(&'static str, Status)> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(("NUMBER", Status::Ok));
    }
    REPLIES.iter().find(|(known, _)| *known == word).copied()
}

fn long(word: &str) -> Option<(&'static str, Option<usize>)> {
    LONG_REPLIES.iter().find(|(known, _)| *known == word).copied()
}
