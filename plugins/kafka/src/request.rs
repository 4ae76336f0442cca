//! Reads a request and emits it: header, then the body of the APIs that are decoded.

use protap_plugin::{Fixed, Kind, MessageWriter, Output, Source, Stop, Stream, Text, Texts, at_once, large, rare};

use crate::api::{self, Api};
use crate::attributes as key;
use crate::details::{COORDINATES_TRANSACTIONS, Details};
use crate::header::{self, Found, RequestHeader};
use crate::records::Records;
use crate::summary::Summary;
use crate::text::{ApiName, decimal};
use crate::wire::Wire;
use crate::{Flow, Kafka, api_versions, body, emit, fetch, metadata, produce};

/// What a request leaves with the host for its response: enough to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    /// The request names topics; in a fetch session it need not.
    pub(crate) has_topics: bool,
    /// A full Fetch request, the answer to which names the session that it begins.
    pub(crate) begins_session: bool,
}

impl Asked {
    const SIZE: usize = 5;
    const HAS_TOPICS: u8 = 1;
    const BEGINS_SESSION: u8 = 2;

    fn new(header: RequestHeader, summary: &Summary) -> Self {
        let begins_session = summary.session.is_some_and(|(_, epoch)| epoch == 0);
        let has_topics = summary.topics.count > 0;
        Self { api_key: header.api_key, api_version: header.api_version, has_topics, begins_session }
    }

    fn to_context(self) -> [u8; Self::SIZE] {
        let ([a, b], [c, d]) = (self.api_key.to_be_bytes(), self.api_version.to_be_bytes());
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        [a, b, c, d, flag(self.has_topics, Self::HAS_TOPICS) | flag(self.begins_session, Self::BEGINS_SESSION)]
    }

    pub(crate) fn from_context(context: &[u8]) -> Option<Self> {
        let [a, b, c, d, flags] = *context.first_chunk()?;
        let (api_key, api_version) = (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]));
        let has = |flag| flags & flag != 0;
        let (has_topics, begins_session) = (has(Self::HAS_TOPICS), has(Self::BEGINS_SESSION));
        Some(Self { api_key, api_version, has_topics, begins_session })
    }
}

pub(crate) const SYSTEM_NAME: Fixed = Fixed("kafka");

/// How much of a body was decoded: all, or why not.
pub(crate) type Body = Result<Extent, Stop>;

/// How much was decoded of a body that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that is to be known.
    Full,
    /// Something, but not all; why.
    Partial(&'static str),
    /// Nothing; why.
    Header(&'static str),
    /// Nothing: the version of the API is newer than what is known here.
    NewVersion,
}

/// Reads one request.
#[at_once]
pub(crate) async fn read(stream: &Stream<impl Source>, plugin: &Kafka, flow: &Flow) -> Result<(), Stop> {
    if flow.awaits_sasl_token.get() && rare(read_sasl_token(stream, flow)).await? {
        return Ok(());
    }
    let header = RequestHeader::read(stream).await?;
    large(read_body(stream, header, plugin, flow)).await
}

/// Reads what follows the part of the header that all versions have, and emits what the request says.
#[at_once]
async fn read_body(
    stream: &Stream<impl Source>,
    header: RequestHeader,
    plugin: &Kafka,
    flow: &Flow,
) -> Result<(), Stop> {
    let mut client_id = None;
    let mut summary = Summary::default();
    summary.wants_trace = plugin.wants_trace;
    let body = read_rest(stream, header, flow, (&mut client_id, &mut summary)).await;
    if header.api_key == api::SASL_HANDSHAKE {
        let mechanism = summary.found().and_then(Details::mechanism);
        flow.sasl_mechanism.set(stream.with_texts(|texts| mechanism.and_then(|name| sasl_mechanism(texts.get(name)))));
    }
    flow.awaits_sasl_token.set(header.api_key == api::SASL_HANDSHAKE && header.api_version == 0);
    stream.emit(|out, texts| emit(out, texts, flow, &Request { header, client_id, summary: &summary, body }));
    body.map(drop).or_else(go_on)
}

/// A malformed body ends with its frame, which the SDK passes over; the frame's end is known, so the stream goes on.
pub(crate) fn go_on(stop: Stop) -> Result<(), Stop> {
    if matches!(stop, Stop::Malformed(_)) { Ok(()) } else { Err(stop) }
}

/// Reads what follows the part of the header that all versions have: client id and body.
#[at_once]
pub(crate) async fn read_rest(
    stream: &Stream<impl Source>,
    header: RequestHeader,
    flow: &Flow,
    (client_id, summary): (&mut Option<Text>, &mut Summary),
) -> Body {
    let version = header.api_version;
    let Some(api) = header.api() else {
        *client_id = header::read_client_id(&Wire { stream, version, is_flexible: false }, 1).await?;
        return Ok(Extent::Header("unknown API"));
    };
    let wire = Wire { stream, version, is_flexible: api.is_flexible(version) };
    *client_id = header::read_client_id(&wire, api.request_header_version(version)).await?;
    if version > api.max_version {
        return Ok(Extent::NewVersion);
    }
    match api.key {
        api::PRODUCE => produce::request(wire, summary).await?,
        api::FETCH => fetch::request(wire, flow, summary).await?,
        api::METADATA => metadata::request(wire, summary).await?,
        api::API_VERSIONS => api_versions::request(wire, summary).await?,
        _ if api.request.is_empty() => return Ok(Extent::Header("body not decoded")),
        _ => return body::read(wire, api.request, summary).await,
    }
    Ok(extent(stream, summary))
}

/// How much of a body was decoded that was read to its end.
pub(crate) fn extent(stream: &Stream<impl Source>, summary: &Summary) -> Extent {
    let are = |state: fn(&Records) -> bool| summary.records.as_ref().is_some_and(state);
    match () {
        () if stream.frame_remaining() > 0 => Extent::Partial("bytes after the body"),
        () if are(|records| records.has_gap) => Extent::Partial("records lost: messages not counted"),
        () if are(|records| records.is_broken) => Extent::Partial("records of an unknown format"),
        () if are(|records| records.has_wrappers) => Extent::Partial("compressed message set: messages not counted"),
        () => Extent::Full,
    }
}

/// A request that was read.
struct Request<'a> {
    header: RequestHeader,
    client_id: Option<Text>,
    summary: &'a Summary,
    body: Body,
}

fn emit(out: &mut Output, texts: Texts<'_>, flow: &Flow, request: &Request<'_>) {
    let Request { header, client_id, summary, body } = *request;
    let api = header.api();
    let name = ApiName::new(api, header.api_key);
    let is_one_way = header.api_key == api::PRODUCE && summary.acks == Some(0);
    let kind = if is_one_way { Kind::OneWay } else { Kind::Request };
    let mut message = name.tell(out.message(kind));
    message = message.id(u64::from(header.correlation_id)).version(decimal(i64::from(header.api_version)));
    if !is_one_way {
        message = message.context(Asked::new(header, summary).to_context());
    }
    if api.is_some_and(Api::is_long_poll) || summary.max_wait_ms.is_some_and(|wait| wait > 0) {
        message = message.long_poll();
    }
    message = message.str(key::SYSTEM, SYSTEM_NAME);
    if let Some((operation, operation_type)) = api.and_then(Api::operation) {
        message = message.str(key::OPERATION_NAME, Fixed(operation)).str(key::OPERATION_TYPE, Fixed(operation_type));
    }
    if let Some(client_id) = client_id {
        message = message.str(key::CLIENT_ID, texts.read(client_id));
    }
    if let (api::SASL_AUTHENTICATE, Some(mechanism)) = (header.api_key, flow.sasl_mechanism.get()) {
        message = message.str(key::MECHANISM, mechanism);
    }
    message = emit::topics(message, texts, summary, true);
    message = emit::partitions(message, summary);
    message = emit::session(message, summary, flow);
    let other = summary.found().and_then(|details| details.resource);
    if let (0, Some(name)) = (summary.topics.count, summary.group().or(summary.transactional_id).or(other)) {
        message = message.resource(texts.read(name)).endpoint(texts.read(name));
    }
    message = settings(message, texts, summary);
    emit::complete(emit::records(message, texts, summary), body, (&name, header.api_version)).emit();
}

/// Says what else a request says of itself.
fn settings<'a>(mut message: MessageWriter<'a>, texts: Texts<'_>, summary: &Summary) -> MessageWriter<'a> {
    message = emit::offsets(message, summary);
    if let Some(acks) = summary.acks {
        message = message.i64(key::ACKS, acks);
    }
    if let Some(replica) = summary.replica.filter(|replica| *replica >= 0) {
        message = message.i64(key::REPLICA, replica);
    }
    if let Some(wait) = summary.max_wait_ms {
        message = message.i64(key::MAX_WAIT_MS, wait);
    }
    if let Some(details) = summary.found() {
        message = details.emit(message, texts);
    }
    // What a coordinator is sought for may be a transactional id.
    let sought = summary.found().and_then(Details::sought).filter(|sought| *sought == COORDINATES_TRANSACTIONS);
    if let Some(id) = summary.transactional_id.or_else(|| sought.and_then(|_| summary.group())) {
        message = message.str(key::TRANSACTIONAL_ID, texts.read(id));
    }
    if let Some((name, version)) = summary.software {
        message = message.str(key::SOFTWARE_NAME, texts.read(name)).str(key::SOFTWARE_VERSION, texts.read(version));
    }
    message
}

/// The mechanisms that Kafka has; another name could be anything.
pub(crate) fn sasl_mechanism(name: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 5] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"];
    KNOWN.into_iter().find(|known| known.as_bytes() == name)
}

/// After SaslHandshake version 0 the client's next frames are bare SASL tokens, which are secrets: they are passed
/// over and only counted, until a frame looks like a request again. Returns whether this was one.
#[at_once]
async fn read_sasl_token(stream: &Stream<impl Source>, flow: &Flow) -> Result<bool, Stop> {
    /// Enough to see that a token is no request.
    const LOOK: u32 = 64;
    stream.available(4).await?;
    let size = stream.peek(|bytes| bytes.first_chunk().copied()).map_or(0, u32::from_be_bytes);
    if size > header::MAX_FRAME {
        return Err(Stop::Malformed("no SASL token has that size"));
    }
    let there = usize::try_from(size.min(LOOK)).unwrap_or(0).saturating_add(4);
    stream.available(there).await?;
    let is_token = stream.peek(|bytes| match header::find_request(bytes.get(..there).unwrap_or_default()) {
        Found::Request(_) => false,
        Found::Need(_) => size < LOOK,
        Found::Nothing(_) => true,
    });
    if is_token {
        stream.begin_frame(header::SIZE + u64::from(size))?;
        stream.skip(header::SIZE).await?;
        emit_sasl_token(stream, flow);
    } else {
        flow.awaits_sasl_token.set(false);
    }
    Ok(is_token)
}

/// Counts a SASL token.
pub(crate) fn emit_sasl_token(stream: &Stream<impl Source>, flow: &Flow) {
    let mechanism = flow.sasl_mechanism.get().unwrap_or("unknown");
    stream.emit(|out, _| {
        let message = out.one_way("SaslToken").str(key::SYSTEM, SYSTEM_NAME).str(key::MECHANISM, mechanism);
        message.partial("SASL token").emit();
    });
}
