//! Responses: the status line tells how it went, and together with the request where the response ends. Interim responses
//! (1xx) answer nothing. A body whose end is far away or not known is told of when it begins and when it has ended, so
//! that its request does not wait too long, and is known to be answered if the capture ends before.
//! <https://www.rfc-editor.org/rfc/rfc9112#section-4>, <https://www.rfc-editor.org/rfc/rfc9110#section-15>

use protap_plugin::{Stop, Stream};

use crate::chunks::Chunks;
use crate::emit::{self, Response};
use crate::flow::{Context, Flow};
use crate::framing::{Length, number};
use crate::front::is_status_line;
use crate::head::Head;
use crate::request::empty_line;

/// A body up to that length is waited for, and its response told of once.
const SHORT: u64 = 64 << 10;
/// What the next response would begin with.
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// Reads a response and emits it.
pub(crate) async fn read(stream: &Stream, flow: &Flow) -> Result<(), Stop> {
    stream.available(1).await?;
    if let Some(len) = empty_line(stream).await? {
        return stream.skip(len).await;
    }
    let mut head = Head::default();
    let read = head.read(stream).await;
    let line = stream.with_texts(|texts| status_line(texts.get(head.line), head.is_line_cut));
    let Some((is_1_0, status)) = line.filter(|_| head.has_line) else {
        // A server whose very first words are no response speaks something else.
        let is_other = head.has_line && flow.responses.get() == 0;
        return read.and(Err(if is_other { Stop::Reject("no HTTP") } else { Stop::Malformed("no status line") }));
    };
    if matches!(status, 100 | 102..=199) && read.is_ok() {
        flow.interim.set(flow.interim.get().saturating_add(1));
        return Ok(());
    }
    let context = Context::pending(stream);
    flow.responses.set(flow.responses.get().saturating_add(1));
    let length = head.framing.of_response(is_1_0, status, context);
    let flaw = match context {
        _ if read.is_err() => Some(emit::LOST),
        None => Some("its request was not seen"),
        Some(_) => None,
    };
    let response = Response { head: &head, is_1_0, status, interim: flow.interim.take(), flaw };
    if let Err(stop) = read {
        response.emit(stream, None, None);
        return Err(stop);
    }
    if status == 101 || context == Some(Context::Connect) && (200..300).contains(&status) {
        response.emit(stream, None, None);
        let what = if status == 101 { "upgraded to another protocol" } else { "a tunnel" };
        return Err(Stop::Handover(stream.offset(), what));
    }
    let length = if context.is_none() && is_headed(stream, length).await { Length::None } else { length };
    body(stream, &response, length).await
}

async fn body(stream: &Stream, response: &Response<'_>, length: Length) -> Result<(), Stop> {
    match length {
        Length::None => {
            response.emit(stream, None, response.head.framing.says_empty().then_some(0));
            Ok(())
        }
        Length::Known(len) if len <= SHORT => {
            let read = stream.skip(len).await;
            response.emit(stream, read.err().map(emit::reason), read.is_ok().then_some(len));
            read
        }
        Length::Unknown(reason) => {
            response.emit(stream, Some(reason), None);
            stream.available(1).await?;
            Err(Stop::Malformed(reason))
        }
        Length::Known(_) | Length::Chunked | Length::UntilClose => long_body(stream, response, length).await,
    }
}

async fn long_body(stream: &Stream, response: &Response<'_>, length: Length) -> Result<(), Stop> {
    let start = stream.offset();
    response.begin(stream);
    let mut chunks = Chunks::default();
    let read = match length {
        Length::Known(len) => stream.skip(len).await,
        Length::Chunked => chunks.run(stream).await,
        // Nothing but the end of the stream ends it.
        _ => stream.skip(u64::MAX >> 1).await,
    };
    let passed = stream.offset().saturating_sub(start);
    let read_all = match (length, read) {
        (Length::UntilClose, Err(Stop::Lost)) => Ok(()),
        _ => read,
    };
    let size = if length == Length::Chunked { chunks.bytes } else { passed };
    let (size, flaw) = (read_all.is_ok().then_some(size), read_all.err().map(emit::reason));
    response.finish(stream, start, flaw, size);
    read
}

/// Version and code of a status line.
fn status_line(line: &[u8], is_cut: bool) -> Option<(bool, u16)> {
    if !is_cut && !is_status_line(line, true) {
        return None;
    }
    let (version, rest) = line.split_at_checked(8)?;
    let code = number(rest.get(1..4)?)?;
    Some((version.ends_with(b"0"), u16::try_from(code).ok()?))
}

/// Of a response to a request that was not seen, whether it has no body in spite of its fields: the request was HEAD, and
/// the next response follows.
async fn is_headed(stream: &Stream, length: Length) -> bool {
    let len = match length {
        Length::Known(len) => len.min(STATUS_LINE.len() as u64) as usize,
        Length::Chunked => STATUS_LINE.len(),
        _ => return false,
    };
    let expected = STATUS_LINE.get(..len).unwrap_or_default();
    loop {
        let (fits, there) = stream.peek(|bytes| (bytes.iter().zip(expected).all(|(a, b)| a == b), bytes.len()));
        if !fits || there >= len || stream.available(there + 1).await.is_err() {
            return fits && there >= len;
        }
    }
}
