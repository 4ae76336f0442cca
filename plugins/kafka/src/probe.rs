//! Whether a flow is Kafka. A head counts as a client's if it begins with a request: a plausible header, and a body
//! that the parser itself reads to the frame's end, or as far as there are bytes. In the middle of a stream the request
//! may begin anywhere, and must be followed by another one or be whole.
//!
//! Some protocols look alike: a ZooKeeper client's first frame reads as the header of Produce version 0 without a
//! client id. Hence the body, and for a request without a client id something in it that is text. A response is no
//! evidence: size and correlation id could be anything. What this gives up: a flow of which only the server's side was
//! captured, and the middle of a stream where no request begins in its head.

use protap_plugin::{Client, Direction, Heads, Reader, Stream, Transport, Verdict, read_head};

use crate::Flow;
use crate::api;
use crate::details::Details;
use crate::header::{Candidate, Found, RequestHeader, find_request};
use crate::request::{Extent, read_rest, sasl_mechanism};
use crate::summary::Summary;

/// Bytes of a frame that are looked at; more of it tell no more.
const LOOK: usize = 4096;
/// By how much a correlation id may exceed the one before.
const MAX_STEPS: u32 = 16;
/// Largest correlation id of a first request of which there is little: clients count up from 0.
const MAX_FIRST_ID: u32 = 1 << 20;
/// Longest request that is short by its nature, in bytes.
const MAX_SHORT: u64 = 512;
/// Bytes of a body of which the rest is missing that say something.
const MIN_BODY: usize = 8;
/// Largest response that is believed.
const MAX_RESPONSE: u32 = 128 << 20;

/// What one side's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Requests.
    Certain,
    /// Requests, most likely.
    Likely,
    /// More bytes are needed to tell.
    Need(usize),
    /// No requests.
    Nothing,
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let a = side(heads, Client::A);
    // Whoever opens a connection to a broker is the client.
    let b = if heads.a_opened { Sign::Nothing } else { side(heads, Client::B) };
    match (a, b) {
        (Sign::Certain, _) => Verdict::Certain(Client::A),
        (_, Sign::Certain) => Verdict::Certain(Client::B),
        (Sign::Likely, _) => Verdict::Likely(Client::A),
        (_, Sign::Likely) => Verdict::Likely(Client::B),
        _ if heads.is_complete => Verdict::No,
        (Sign::Need(one), Sign::Need(other)) => more(one.min(other)),
        (Sign::Need(amount), _) | (_, Sign::Need(amount)) => more(amount),
        (Sign::Nothing, Sign::Nothing) => Verdict::No,
    }
}

fn more(amount: usize) -> Verdict {
    Verdict::More(u32::try_from(amount).unwrap_or(u32::MAX))
}

/// What one side's head says, given the other's.
fn side(heads: &Heads<'_>, client: Client) -> Sign {
    let a = (heads.a, heads.a_is_mid_stream);
    let b = (heads.b, heads.b_is_mid_stream);
    let ((head, is_mid_stream), (other, is_other_mid_stream)) = if client == Client::B { (b, a) } else { (a, b) };
    if is_mid_stream {
        let is_request = |at| begins_with_request(head.get(at..).unwrap_or_default(), other, at == 0);
        return if (0..head.len()).any(is_request) { Sign::Likely } else { Sign::Need(head.len() + 1) };
    }
    match find_request(head) {
        Found::Request(request) if !is_other_mid_stream && contradicts(other, &request) => Sign::Nothing,
        Found::Request(request) => {
            // Little of a request is not believed against an answer to another one.
            let is_answered = !is_other_mid_stream && answers(other, &request);
            let is_doubtful = !is_other_mid_stream && other.len() >= 8 && !is_answered;
            match first_request(head, &request, (is_answered, heads.is_complete)) {
                Sign::Likely if is_doubtful && request.len != head.len() as u64 => Sign::Nothing,
                sign => sign,
            }
        }
        Found::Need(amount) => Sign::Need(amount),
        Found::Nothing(_) => Sign::Nothing,
    }
}

/// Whether the beginning of the other side cannot be the answer to the first request. Only a request that gets no
/// answer lets the first response bear another id.
fn contradicts(answers: &[u8], request: &Candidate<'_>) -> bool {
    let mut reader = Reader::new(answers);
    let Ok(size) = reader.u32_be() else { return false };
    let is_other = reader.u32_be().is_ok_and(|id| id != request.correlation_id);
    !(4..=MAX_RESPONSE).contains(&size) || is_other && request.api.key != api::PRODUCE
}

/// What the first request of a stream says, which the other side seems to have answered or not.
fn first_request(head: &[u8], request: &Candidate<'_>, (is_answered, is_complete): (bool, bool)) -> Sign {
    let behind = usize::try_from(request.len).ok().and_then(|len| head.get(len..));
    match (read_body(head), request.is_named()) {
        (Body::Whole { is_telling: true } | Body::Begun { is_telling: true }, true) => Sign::Certain,
        // For all topics. Other requests have something in them, but responses may read as ones that have not.
        (Body::Whole { .. }, true) if request.api.key == api::METADATA => Sign::Certain,
        (Body::Whole { is_telling: true }, false) => Sign::Likely,
        (Body::Begun { .. }, _) if head.len() < LOOK && !is_complete => Sign::Need(head.len() + 1),
        (Body::Begun { .. }, true) if is_credible_first(request) && request.rest.len() >= MIN_BODY => Sign::Likely,
        (Body::Unread, true) if is_credible_first(request) => match behind {
            None if head.len() < LOOK && !is_complete => Sign::Need(head.len() + 1),
            Some([]) => Sign::Likely,
            Some(next) if begins_with_next(next, request) => Sign::Likely,
            None | Some(_) => Sign::Nothing,
        },
        // There is nothing in it, as in ListGroups: its answer or the next request must bear it out.
        (Body::Whole { .. }, true) if is_credible_first(request) => match behind {
            Some([]) if is_answered => Sign::Likely,
            Some([]) if !is_complete => Sign::Need(head.len() + 1),
            Some(next) if begins_with_next(next, request) => Sign::Likely,
            None | Some(_) => Sign::Nothing,
        },
        _ => Sign::Nothing,
    }
}

/// A client id that says more than a few bytes of text, and is no path, as ZooKeeper has them.
fn is_client_name(id: &[u8]) -> bool {
    id.len() >= 3 && id.first().is_some_and(u8::is_ascii_alphanumeric) && id.iter().all(u8::is_ascii_graphic)
}

/// Whether the header is one that clients send: with a client id that says something, and no tagged fields, of which none
/// is defined.
fn is_credible(request: &Candidate<'_>) -> bool {
    let has_tags = request.api.request_header_version(request.version) >= 2;
    let is_plain = !has_tags || request.rest.first().is_none_or(|count| *count == 0);
    is_plain && request.client_id.is_some_and(is_client_name)
}

/// The same of a connection's first request, of which the body says nothing: clients count up from 0, and what they
/// begin with is short where it has to be.
fn is_credible_first(request: &Candidate<'_>) -> bool {
    let is_short = matches!(request.api.key, api::SASL_HANDSHAKE | api::API_VERSIONS);
    is_credible(request) && request.correlation_id < MAX_FIRST_ID && (!is_short || request.len <= MAX_SHORT)
}

/// Whether a request begins here, somewhere in a stream: one with a longer client id that is followed by another one of the
/// same client, or that the other side answers, or whose body makes sense. Between random bytes that is not rare, so
/// such a body must begin or end where the head does.
fn begins_with_request(bytes: &[u8], other: &[u8], is_front: bool) -> bool {
    let Found::Request(request) = find_request(bytes) else { return false };
    if !is_credible(&request) || !request.is_known_version() {
        return false;
    }
    let is_last = request.len == bytes.len() as u64;
    match read_body(bytes) {
        Body::Nonsense | Body::Begun { is_telling: false } => false,
        Body::Begun { .. } | Body::Whole { is_telling: true } if is_front || is_last => true,
        Body::Begun { .. } | Body::Whole { .. } | Body::Unread => {
            let next = usize::try_from(request.len).ok().and_then(|len| bytes.get(len..));
            next.is_some_and(|next| begins_with_next(next, &request))
                // Many bytes are zeros, and answer nothing.
                || request.correlation_id != 0 && answers(other, &request)
        }
    }
}

/// Whether the other side begins with what may be the answer to a request: a plausible size, and the request's id.
fn answers(other: &[u8], request: &Candidate<'_>) -> bool {
    let mut reader = Reader::new(other);
    let is_size = reader.u32_be().is_ok_and(|size| (4..=MAX_RESPONSE).contains(&size));
    is_size && reader.u32_be() == Ok(request.correlation_id)
}

/// Whether a request begins here that may be the same client's next.
fn begins_with_next(bytes: &[u8], request: &Candidate<'_>) -> bool {
    matches!(find_request(bytes), Found::Request(next) if follows(&next, request))
}

/// Whether a request may be the same client's next: clients count up.
fn follows(next: &Candidate<'_>, request: &Candidate<'_>) -> bool {
    let steps = next.correlation_id.wrapping_sub(request.correlation_id);
    next.client_id == request.client_id && (1..=MAX_STEPS).contains(&steps)
}

/// What a request's body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// It was read to the frame's end; whether there was anything in it that other bytes would hardly have.
    Whole { is_telling: bool },
    /// It was read as far as there are bytes.
    Begun { is_telling: bool },
    /// It is of an API or version that is not read.
    Unread,
    /// It is none.
    Nonsense,
}

/// Reads the request at the front of `bytes` with the code that parses requests.
fn read_body(bytes: &[u8]) -> Body {
    let mut summary = Summary::default();
    let mut key = 0;
    let bytes = bytes.get(..LOOK).unwrap_or(bytes);
    let (read, stream) = read_head(Direction::ToServer, bytes, async |stream: Stream| {
        let header = RequestHeader::read(&stream).await?;
        key = header.api_key;
        read_rest(&stream, header, &Flow::default(), (&mut None, &mut summary)).await
    });
    if !is_sane(&summary, &stream) {
        return Body::Nonsense;
    }
    let mechanism = summary.found().and_then(Details::mechanism);
    let is_handshake =
        stream.with_texts(|texts| mechanism.is_some_and(|name| sasl_mechanism(texts.get(name)).is_some()));
    // ApiVersions of old versions has no body at all.
    let is_telling = has_text(&summary) || key == api::API_VERSIONS || is_handshake;
    match read {
        Some(Ok(Extent::Full)) if stream.frame_remaining() == 0 => Body::Whole { is_telling },
        // What follows has not come yet, or is not read.
        None | Some(Ok(Extent::Full)) => Body::Begun { is_telling: has_text(&summary) },
        Some(Ok(Extent::Header(_) | Extent::NewVersion)) => Body::Unread,
        // Records are not looked into here, and old clients send compressed message sets.
        Some(Ok(Extent::Partial(_))) if summary.records.as_ref().is_some_and(|records| records.has_wrappers) => {
            Body::Whole { is_telling }
        }
        Some(Ok(Extent::Partial(_)) | Err(_)) => Body::Nonsense,
    }
}

fn has_text(summary: &Summary) -> bool {
    let has_topic = summary.topics.count > 0 && (!summary.topics.are_ids || summary.partitions > 0);
    has_topic || summary.group().is_some() || summary.software.is_some()
}

/// Whether what was read of a body is what a client could mean.
fn is_sane(summary: &Summary, stream: &Stream) -> bool {
    let is_setting = summary.acks.is_none_or(|acks| (-1..=1).contains(&acks))
        && summary.max_wait_ms.is_none_or(|wait| wait >= 0)
        && summary.partition.is_none_or(|index| (0..1 << 20).contains(&index));
    stream.with_texts(|texts| {
        let are_names = summary.topics.list().all(|topic| is_name(texts.get(topic)));
        let software = summary.software.map(|(name, _)| name);
        let are_texts = [summary.group(), summary.transactional_id, software].into_iter().flatten();
        is_setting && are_names && are_texts.into_iter().all(|text| is_text(texts.get(text)))
    })
}

/// A topic's name or id.
fn is_name(name: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.iter().all(is_legal)
}

fn is_text(text: &[u8]) -> bool {
    !text.is_empty() && core::str::from_utf8(text).is_ok_and(|text| !text.chars().any(char::is_control))
}
