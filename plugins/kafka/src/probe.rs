//! Whether a flow is Kafka, and where the next frame starts after a loss. A request's header is strong evidence as
//! soon as it bears a client id; without one, its body must make sense too, because other protocols (ZooKeeper's first
//! frame) read as a request without a client id. A response alone is no evidence at all: size and correlation id could
//! be anything. What this gives up: a flow of which only the server's side was captured, and one whose client has no
//! client id and begins with an API that is not known here by its body.

use protap_plugin::{Client, Frame, Heads, ReadError, Reader, Transport, Verdict, host};

use crate::api::{self, Api};
use crate::errors;
use crate::header::{self, Candidate, Found, find_request};
use crate::request::Asked;

/// Largest response that is believed where it is not known that a frame begins.
const MAX_RESPONSE: u32 = 128 << 20;
/// Size and correlation id.
const RESPONSE_HEAD: usize = 8;
/// Longest throttling that is believed.
const MAX_THROTTLE_MS: i32 = 3_600_000;
/// Longest topic name.
const MAX_NAME: i16 = 249;

/// What one side's head says.
enum Sign {
    /// Requests.
    Strong,
    /// Requests, most likely.
    Weak,
    /// More bytes are needed to tell.
    Need(usize),
    /// Not requests.
    Nothing,
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let mut wanted = None;
    for (client, head) in heads.both() {
        let (other, is_mid_stream, is_other_mid_stream) = match client {
            Client::B => (heads.a, heads.b_is_mid_stream, heads.a_is_mid_stream),
            _ => (heads.b, heads.a_is_mid_stream, heads.b_is_mid_stream),
        };
        // Whoever opens a connection to a broker is the client.
        if client == Client::B && heads.a_opened {
            continue;
        }
        let answers = if is_mid_stream || is_other_mid_stream { None } else { Some(other) };
        match sign(head, is_mid_stream, answers) {
            Sign::Strong => return Verdict::Certain(client),
            Sign::Weak => return Verdict::Likely(client),
            Sign::Need(amount) => wanted = Some(wanted.map_or(amount, |wanted: usize| wanted.min(amount))),
            Sign::Nothing => {}
        }
    }
    match wanted {
        Some(amount) if !heads.is_complete => Verdict::More(u32::try_from(amount).unwrap_or(u32::MAX)),
        _ => Verdict::No,
    }
}

/// What one side's head says, given the other side's if both begin at their streams' beginnings.
fn sign(head: &[u8], is_mid_stream: bool, answers: Option<&[u8]>) -> Sign {
    let sign = match find_request(head) {
        Found::Request(request) if answers.is_some_and(|answers| contradicts(answers, &request)) => Sign::Nothing,
        Found::Request(request) if request.is_named() && request.is_known_version() => Sign::Strong,
        Found::Request(request) if request.is_named() => Sign::Weak,
        Found::Request(request) => match check_body(&request) {
            Ok(true) => Sign::Weak,
            Ok(false) => Sign::Nothing,
            Err(_) => Sign::Need(head.len() + 1),
        },
        Found::Need(amount) => Sign::Need(amount),
        Found::Nothing(_) => Sign::Nothing,
    };
    match sign {
        Sign::Nothing | Sign::Need(_) if is_mid_stream => {
            if has_request_inside(head) {
                Sign::Weak
            } else {
                Sign::Need(head.len() + 1)
            }
        }
        sign => sign,
    }
}

/// Whether the beginning of the other side cannot be the answer to the first request. Only a request that gets no
/// answer lets the first response bear another id.
fn contradicts(answers: &[u8], request: &Candidate<'_>) -> bool {
    let mut reader = Reader::new(answers);
    let Ok(size) = reader.u32_be() else { return false };
    let is_same = reader.u32_be().is_ok_and(|id| id == request.correlation_id);
    !(4..=MAX_RESPONSE).contains(&size)
        || reader.offset() == RESPONSE_HEAD && !is_same && request.api.key != api::PRODUCE
}

/// Whether a request lies somewhere in the middle of a stream: one with a client id that is followed by another one
/// of the same client, that ends where the head ends, or whose body makes sense.
fn has_request_inside(head: &[u8]) -> bool {
    (1..head.len()).any(|at| {
        let bytes = head.get(at..).unwrap_or_default();
        let Found::Request(request) = find_request(bytes) else { return false };
        if !request.is_named() || !request.is_known_version() {
            return false;
        }
        match usize::try_from(request.len).ok().and_then(|len| bytes.get(len..)) {
            Some([]) => true,
            Some(next) => matches!(find_request(next), Found::Request(next) if next.client_id == request.client_id),
            None => check_body(&request) == Ok(true),
        }
    })
}

/// Whether the body of a request is one, as far as it is there and for APIs that a connection begins with. It fails
/// if there are too few bytes to tell.
fn check_body(request: &Candidate<'_>) -> Result<bool, ReadError> {
    let header = request.len.saturating_sub(request.rest.len() as u64);
    let mut body = Reader::new(request.rest);
    let is_flexible = request.api.is_flexible(request.version);
    // Whoever speaks a flexible version speaks ApiVersions first, in one of the forms below.
    if !request.is_known_version() {
        return Ok(false);
    }
    match request.api.key {
        api::API_VERSIONS if !is_flexible => Ok(request.len == header && request.rest.is_empty()),
        api::API_VERSIONS => {
            let is_name = body.u8()? == 0 && check_compact_name(&mut body)? && check_compact_name(&mut body)?;
            Ok(is_name && body.u8()? == 0)
        }
        _ if is_flexible => Ok(false),
        api::SASL_HANDSHAKE => Ok(check_name(&mut body)? && body.is_empty()),
        api::METADATA => check_metadata(request, &mut body),
        api::PRODUCE => {
            if request.version >= 3 && body.i16_be()? != -1 {
                return Ok(false);
            }
            let (acks, timeout) = (body.i16_be()?, body.i32_be()?);
            let is_sane = (-1..=1).contains(&acks) && timeout >= 0;
            Ok(is_sane && body.i32_be()? >= 1 && check_name(&mut body)? && body.i32_be()? >= 1)
        }
        api::FETCH => {
            let (replica, wait, least) = (body.i32_be()?, body.i32_be()?, body.i32_be()?);
            body.skip(if request.version >= 3 { 4 } else { 0 })?;
            body.skip(if request.version >= 4 { 1 } else { 0 })?;
            body.skip(if request.version >= 7 { 8 } else { 0 })?;
            let is_sane = replica == -1 && wait >= 0 && least >= 0;
            Ok(is_sane && body.i32_be()? >= 1 && check_name(&mut body)? && body.i32_be()? >= 1)
        }
        _ => Ok(false),
    }
}

/// A Metadata request must be there whole, and name topics or be as long as one that names none.
fn check_metadata(request: &Candidate<'_>, body: &mut Reader<'_>) -> Result<bool, ReadError> {
    let count = body.i32_be()?;
    let least = if request.version >= 1 { -1 } else { 0 };
    if !(least..=10_000).contains(&count) {
        return Ok(false);
    }
    for _ in 0..count {
        if !check_name(body)? {
            return Ok(false);
        }
    }
    let flags = match request.version {
        0..=3 => 0,
        4..=7 => 1,
        _ => 3,
    };
    if body.bytes(flags)?.iter().any(|flag| *flag > 1) {
        return Ok(false);
    }
    // Without a name it is a few zeros or ones; then there must be a version that old clients do not begin with.
    Ok(body.is_empty() && (count > 0 || count == -1))
}

/// A string with a legal topic name, a mechanism, ...
fn check_name(body: &mut Reader<'_>) -> Result<bool, ReadError> {
    let len = body.i16_be()?;
    if !(1..=MAX_NAME).contains(&len) {
        return Ok(false);
    }
    Ok(body.bytes(usize::try_from(len).unwrap_or(0))?.iter().all(is_legal))
}

/// A compact string with the name or version of some software.
fn check_compact_name(body: &mut Reader<'_>) -> Result<bool, ReadError> {
    let len = body.u8()?;
    if !(2..=127).contains(&len) {
        return Ok(false);
    }
    Ok(body.bytes(usize::from(len - 1))?.iter().all(is_legal))
}

fn is_legal(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A request at the front of bytes of which it is not known whether a frame begins there.
pub(crate) fn request_frame(bytes: &[u8]) -> Frame {
    match find_request(bytes) {
        Found::Request(request) => Frame::Len(request.len),
        Found::Need(amount) => Frame::Need(amount),
        Found::Nothing(why) => Frame::Invalid(why),
    }
}

/// A response at the front of bytes of which it is not known whether a frame begins there. Four bytes of size and four
/// of a correlation id are found in many places, so it must answer a request that is known to be pending.
pub(crate) fn response_frame(bytes: &[u8]) -> Frame {
    let mut reader = Reader::new(bytes);
    let (Ok(size), id) = (reader.u32_be(), reader.u32_be()) else { return Frame::Need(RESPONSE_HEAD) };
    if !(4..=MAX_RESPONSE).contains(&size) {
        return Frame::Invalid("no response has that size");
    }
    let Ok(id) = id else { return Frame::Need(RESPONSE_HEAD) };
    let Some(asked) = host::pending(u64::from(id)).and_then(|context| Asked::from_context(&context)) else {
        return Frame::Invalid("no request with that id is pending");
    };
    match check_answer(asked, size, reader) {
        Ok(false) => Frame::Invalid("no answer to the request with that id"),
        Ok(true) | Err(_) => Frame::Len(header::SIZE + u64::from(size)),
    }
}

/// Id of a response that [`response_frame`] takes for one, if there is more evidence: its body begins as an answer to
/// its request must, or the frame after it answers a pending request too. Ids count from zero, and small ones are found
/// in many places.
pub(crate) fn confirmed_response(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bytes);
    let size = reader.u32_be().ok()?;
    let id = u64::from(reader.u32_be().ok()?);
    let asked = Asked::from_context(&host::pending(id)?)?;
    let next = usize::try_from(header::SIZE + u64::from(size)).ok().and_then(|len| bytes.get(len..));
    let is_chained = next.is_some_and(|next| next.is_empty() || matches!(response_frame(next), Frame::Len(_)));
    let is_telling = matches!(asked.api_key, api::PRODUCE | api::FETCH | api::METADATA | api::API_VERSIONS);
    (is_chained || is_telling && check_answer(asked, size, reader) == Ok(true)).then_some(id)
}

/// Whether a response's body begins as it must. It fails if there are too few bytes to tell.
fn check_answer(asked: Asked, size: u32, mut body: Reader<'_>) -> Result<bool, ReadError> {
    let version = asked.api_version;
    let Some(api) = Api::find(asked.api_key) else { return Ok(true) };
    if api.response_header_version(version) >= 1 && body.u8()? != 0 {
        return Ok(false);
    }
    let is_throttle = |ms: i32| (0..=MAX_THROTTLE_MS).contains(&ms);
    let is_error = |code: i16| errors::name(code).is_some();
    match api.key {
        api::API_VERSIONS => Ok(is_error(body.i16_be()?)),
        api::FETCH if version >= 7 => Ok(is_throttle(body.i32_be()?) && is_error(body.i16_be()?)),
        api::FETCH if version >= 1 => Ok(is_throttle(body.i32_be()?) && (0..=size / 14).contains(&body.u32_be()?)),
        api::FETCH | api::PRODUCE if !api.is_flexible(version) => {
            Ok((1..=size / 14).contains(&body.u32_be()?) && check_name(&mut body)?)
        }
        api::PRODUCE => Ok(body.u8()? >= 2),
        api::METADATA if version >= 3 => Ok(is_throttle(body.i32_be()?)),
        api::METADATA => Ok((1..=size / 10).contains(&body.u32_be()?)),
        _ => Ok(true),
    }
}
