//! Requests: first line and fields tell all; the body is passed over.

use protap_plugin::{Direction, Stop, Stream};

use crate::Wishes;
use crate::chunks::Chunks;
use crate::emit;
use crate::flow::{Context, Flow};
use crate::framing::Length;
use crate::front::{Front, front};
use crate::head::Head;

/// Longest method.
const MAX_METHOD: usize = 32;

/// The first line of a request: where method and target are in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestLine {
    pub(crate) method: usize,
    pub(crate) target: (usize, usize),
    pub(crate) is_1_0: bool,
    /// The target has spaces in it.
    pub(crate) has_spaces: bool,
}

impl RequestLine {
    /// Takes a line apart: `method SP target SP version`. Of one that is cut, the version is not known.
    pub(crate) fn of(line: &[u8], is_cut: bool) -> Option<Self> {
        let method = line.iter().position(|byte| *byte == b' ')?;
        let is_method = line.get(..method)?.iter().all(|byte| crate::front::is_token_byte(*byte));
        if method == 0 || method > MAX_METHOD || !is_method {
            return None;
        }
        let start = method + 1;
        let end = if is_cut { line.len() } else { line.iter().rposition(|byte| *byte == b' ')? };
        let target = line.get(start..end).filter(|target| !target.is_empty())?;
        let version = line.get(end + 1..).unwrap_or_default();
        let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit());
        (is_version || is_cut).then_some(Self {
            method,
            target: (start, end),
            is_1_0: version.ends_with(b"0"),
            has_spaces: target.contains(&b' '),
        })
    }
}

/// Reads a request and emits it.
pub(crate) async fn read(stream: &Stream, flow: &Flow, wishes: Wishes) -> Result<(), Stop> {
    stream.available(1).await?;
    if let Some(len) = empty_line(stream).await? {
        return stream.skip(len).await;
    }
    if flow.may_tunnel.get() {
        await_answer(stream).await?;
    }
    let mut head = Head::default();
    let read = head.read(stream).await;
    let line = stream.with_texts(|texts| RequestLine::of(texts.get(head.line), head.is_line_cut));
    let Some(line) = line.filter(|_| head.has_line) else {
        return read.and(Err(Stop::Malformed("no line of a request")));
    };
    if line.has_spaces {
        head.framing.doubt("a target with spaces");
    }
    let length = head.framing.of_request(line.is_1_0);
    let request = emit::Request { head: &head, line, wishes };
    if let Err(stop) = read {
        if stop == Stop::Lost {
            request.emit(stream, None, Some(emit::LOST));
        }
        return Err(stop);
    }
    let context = stream.with_texts(|texts| Context::of(texts.get(head.line.part(0..line.method))));
    flow.may_tunnel.set(context == Context::Connect);
    body(stream, flow, &request, length).await
}

async fn body(stream: &Stream, flow: &Flow, request: &emit::Request<'_>, length: Length) -> Result<(), Stop> {
    match length {
        Length::Known(len) => {
            // It waits for its response from now on: one that refuses it may come before its body.
            stream.begin_frame(request.head.len().saturating_add(len))?;
            request.emit(stream, Some(len), None);
            Ok(())
        }
        Length::None | Length::UntilClose => {
            request.emit(stream, request.head.framing.says_empty().then_some(0), None);
            Ok(())
        }
        Length::Chunked => {
            // Servers need not wait for its end either.
            let start = stream.offset();
            request.begin(stream);
            let mut chunks = Chunks::default();
            let read = chunks.run(stream).await;
            request.finish(stream, start, read.is_ok().then_some(chunks.bytes), read.err().map(emit::reason));
            read
        }
        Length::Unknown(reason) => {
            let responses = flow.responses.get();
            request.emit(stream, None, Some(reason));
            await_refusal(stream, flow, responses).await?;
            Err(Stop::Malformed(reason))
        }
    }
}

/// Length of an empty line in front of the request, as some clients send behind a body.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-2.2>
pub(crate) async fn empty_line(stream: &Stream) -> Result<Option<u64>, Stop> {
    match stream.peek(|bytes| bytes.first().copied()) {
        Some(b'\n') => Ok(Some(1)),
        Some(b'\r') => {
            stream.available(2).await?;
            Ok(stream.peek(|bytes| bytes.get(1) == Some(&b'\n')).then_some(2))
        }
        _ => Ok(None),
    }
}

/// Behind CONNECT, bytes that are no request are left alone: if the server agrees, they are another protocol's.
async fn await_answer(stream: &Stream) -> Result<(), Stop> {
    loop {
        let (front, there) = stream.peek(|bytes| (front(Direction::ToServer, bytes), bytes.len()));
        if front != Front::No || there >= crate::WINDOW as usize {
            return Ok(());
        }
        stream.available(there + 1).await?;
    }
}

/// Behind a request whose end nobody knows, bytes are left alone until the server has said what it thinks of them: most
/// refuse the request, which would else be given up before.
async fn await_refusal(stream: &Stream, flow: &Flow, responses: u64) -> Result<(), Stop> {
    loop {
        let there = stream.peek(<[u8]>::len);
        if flow.responses.get() != responses && there > 0 || there >= crate::WINDOW as usize {
            return Ok(());
        }
        stream.available(there + 1).await?;
    }
}
