//! Reads a request and emits it: header, then the body of the APIs that are decoded.

use protap_plugin::{MessageWriter, Output, Stop, Stream, Text, Texts};

use crate::api::{self, Api};
use crate::attributes as key;
use crate::header::{self, Found, RequestHeader};
use crate::summary::Summary;
use crate::text::{ApiName, decimal};
use crate::wire::Wire;
use crate::{Flow, TOPIC_IDS, api_versions, body, fetch, metadata, produce};

/// What a request leaves with the host for its response: enough to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    /// The request names topics; in a fetch session it need not.
    pub(crate) has_topics: bool,
}

impl Asked {
    const SIZE: usize = 5;

    fn to_context(self) -> [u8; Self::SIZE] {
        let ([a, b], [c, d]) = (self.api_key.to_be_bytes(), self.api_version.to_be_bytes());
        [a, b, c, d, u8::from(self.has_topics)]
    }

    pub(crate) fn from_context(context: &[u8]) -> Option<Self> {
        let [a, b, c, d, has_topics] = *context.first_chunk()?;
        let (api_key, api_version) = (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]));
        Some(Self { api_key, api_version, has_topics: has_topics != 0 })
    }
}

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
}

/// Reads one request.
pub(crate) async fn read(stream: &Stream, flow: &Flow) -> Result<(), Stop> {
    if flow.awaits_sasl_token.get() && read_sasl_token(stream, flow).await? {
        return Ok(());
    }
    let header = RequestHeader::read(stream).await?;
    let mut client_id = None;
    let mut summary = Summary::default();
    let body = read_rest(stream, header, &mut client_id, &mut summary).await;
    flow.awaits_sasl_token.set(header.api_key == api::SASL_HANDSHAKE && header.api_version == 0);
    stream.emit(|out, texts| emit(out, texts, header, client_id, &summary, body));
    body.map(drop).or_else(go_on)
}

/// A malformed body ends with its frame, which the SDK passes over; the frame's end is known, so the stream goes on.
pub(crate) fn go_on(stop: Stop) -> Result<(), Stop> {
    if matches!(stop, Stop::Malformed(_)) { Ok(()) } else { Err(stop) }
}

/// Reads what follows the part of the header that all versions have.
pub(crate) async fn read_rest(
    stream: &Stream,
    header: RequestHeader,
    client_id: &mut Option<Text>,
    summary: &mut Summary,
) -> Body {
    let version = header.api_version;
    let Some(api) = header.api() else {
        *client_id = header::read_client_id(&Wire { stream, version, is_flexible: false }, 1).await?;
        return Ok(Extent::Header("unknown API"));
    };
    let wire = Wire { stream, version, is_flexible: api.is_flexible(version) };
    *client_id = header::read_client_id(&wire, api.request_header_version(version)).await?;
    if version > api.max_version {
        return Ok(Extent::Header("unknown version"));
    }
    match api.key {
        api::PRODUCE => produce::request(wire, summary).await?,
        api::FETCH => fetch::request(wire, summary).await?,
        api::METADATA => metadata::request(wire, summary).await?,
        api::API_VERSIONS => api_versions::request(wire, summary).await?,
        _ if api.request.is_empty() => return Ok(Extent::Header("body not decoded")),
        _ => return body::read(wire, api.request, summary).await,
    }
    Ok(extent(stream, summary))
}

/// How much of a body was decoded that was read to its end.
pub(crate) fn extent(stream: &Stream, summary: &Summary) -> Extent {
    let records = summary.records.unwrap_or_default();
    match () {
        () if stream.frame_remaining() > 0 => Extent::Partial("bytes after the body"),
        () if records.is_broken => Extent::Partial("records of an unknown format"),
        () if records.has_wrappers => Extent::Partial("compressed message set: messages not counted"),
        () => Extent::Full,
    }
}

/// Says in a message how much of it was decoded.
pub(crate) fn complete<'a>(message: MessageWriter<'a>, body: Body) -> MessageWriter<'a> {
    match body {
        Ok(Extent::Full) => message,
        Ok(Extent::Partial(why)) => message.partial(why),
        Ok(Extent::Header(why)) => message.header_only(why),
        Err(Stop::Lost) => message.partial("bytes lost"),
        Err(Stop::Malformed(why) | Stop::Reject(why) | Stop::Opaque(why) | Stop::Handover(_, why)) => {
            message.header_only(why)
        }
    }
}

fn emit(
    out: &mut Output,
    texts: Texts<'_>,
    header: RequestHeader,
    client_id: Option<Text>,
    summary: &Summary,
    body: Body,
) {
    let api = header.api();
    let name = ApiName::new(api, header.api_key);
    let is_one_way = header.api_key == api::PRODUCE && summary.acks == Some(0);
    let mut message = if is_one_way { out.one_way(name.as_str()) } else { out.request(name.as_str()) };
    message = message.id(u64::from(header.correlation_id)).version(decimal(i64::from(header.api_version)));
    if !is_one_way {
        let has_topics = summary.topics.count > 0;
        let asked = Asked { api_key: header.api_key, api_version: header.api_version, has_topics };
        message = message.context(&asked.to_context());
    }
    if api.is_some_and(Api::is_long_poll) || summary.max_wait_ms.is_some_and(|wait| wait > 0) {
        message = message.long_poll();
    }
    message = message.str(key::SYSTEM, "kafka");
    if let Some((operation, operation_type)) = api.and_then(Api::operation) {
        message = message.str(key::OPERATION_NAME, operation).str(key::OPERATION_TYPE, operation_type);
    }
    if let Some(client_id) = client_id {
        message = message.str(key::CLIENT_ID, texts.get(client_id));
    }
    message = topics(message, texts, summary, true);
    if let (0, Some(name)) = (summary.topics.count, summary.group.or(summary.transactional_id)) {
        message = message.resource(texts.get(name)).endpoint(texts.get(name));
    }
    message = settings(message, texts, summary);
    complete(records(message, summary), body).emit();
}

/// Says which topics and partitions a message is about.
pub(crate) fn topics<'a>(
    mut message: MessageWriter<'a>,
    texts: Texts<'_>,
    summary: &Summary,
    is_resource: bool,
) -> MessageWriter<'a> {
    let list = summary.topics.list().iter().map(|topic| texts.get(*topic));
    if let Some(first) = summary.topics.list().first().map(|topic| texts.get(*topic)) {
        message = match (summary.topics.are_ids, is_resource) {
            (false, true) => message.resource(first).endpoint(first),
            (true, true) => message.resource_fact(TOPIC_IDS, first),
            _ => message,
        };
        message = if summary.topics.are_ids {
            message.fact(key::DESTINATION, TOPIC_IDS, first).fact_list(key::TOPICS, TOPIC_IDS, list)
        } else {
            message.str(key::DESTINATION, first).list(key::TOPICS, list)
        };
        message = message.i64(key::TOPIC_COUNT, clamp(summary.topics.count));
    }
    if summary.partitions > 0 {
        message = message.i64(key::PARTITION_COUNT, clamp(summary.partitions));
    }
    match summary.partition {
        Some(index) if summary.partitions == 1 => message.str(key::PARTITION, decimal(i64::from(index))),
        _ => message,
    }
}

/// Says what records a message brings.
pub(crate) fn records<'a>(message: MessageWriter<'a>, summary: &Summary) -> MessageWriter<'a> {
    let Some(records) = summary.records else { return message };
    let message = message.i64(key::MESSAGE_COUNT, clamp(records.count)).i64(key::RECORD_BYTES, clamp(records.bytes));
    match records.compression() {
        Some(codec) => message.i64(key::BATCH_COUNT, clamp(records.batches)).str(key::COMPRESSION, codec),
        None => message,
    }
}

/// Says what else a request says of itself.
fn settings<'a>(mut message: MessageWriter<'a>, texts: Texts<'_>, summary: &Summary) -> MessageWriter<'a> {
    if let Some(offset) = summary.offset {
        message = message.i64(key::OFFSET, offset);
    }
    if let Some(acks) = summary.acks {
        message = message.i64(key::ACKS, acks);
    }
    if let Some(wait) = summary.max_wait_ms {
        message = message.i64(key::MAX_WAIT_MS, wait);
    }
    if let Some(group) = summary.group {
        message = message.str(key::GROUP, texts.get(group));
    }
    if let Some(id) = summary.transactional_id {
        message = message.str(key::TRANSACTIONAL_ID, texts.get(id));
    }
    if let Some((name, version)) = summary.software {
        message = message.str(key::SOFTWARE_NAME, texts.get(name)).str(key::SOFTWARE_VERSION, texts.get(version));
    }
    message
}

pub(crate) fn clamp(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// After SaslHandshake version 0 the client's next frames are bare SASL tokens, which are secrets: they are passed
/// over and only counted, until a frame looks like a request again. Returns whether this was one.
async fn read_sasl_token(stream: &Stream, flow: &Flow) -> Result<bool, Stop> {
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
        emit_sasl_token(stream);
    } else {
        flow.awaits_sasl_token.set(false);
    }
    Ok(is_token)
}

/// Counts a SASL token.
pub(crate) fn emit_sasl_token(stream: &Stream) {
    stream.emit(|out, _| out.one_way("SaslToken").str(key::SYSTEM, "kafka").partial("SASL token").emit());
}
