//! Reads a response and emits it. Nothing in a response says which API it answers: its request, which the host keeps
//! pending under the correlation id, does.

use protap_plugin::{MessageWriter, Output, Source, Status, Stop, Stream, Texts, at_once, large};

use crate::api::{self, Api};
use crate::attributes as key;
use crate::emit::clamp;
use crate::request::{Asked, Body, Extent, SYSTEM_NAME, emit_sasl_token, extent, go_on};
use crate::summary::Summary;
use crate::text::{ApiName, ErrorName};
use crate::wire::Wire;
use crate::{Flow, Kafka, api_versions, body, emit, errors, fetch, header, metadata, produce};

/// Correlation id.
const FIXED: u32 = 4;
/// Bytes of an answer in which there are no more facts than there is room for whenever a message begins.
const MAX_AT_ONCE: u64 = 1536;

/// Reads one response.
#[at_once]
pub(crate) async fn read(stream: &Stream<impl Source>, plugin: &Kafka, flow: &Flow) -> Result<(), Stop> {
    let size = stream.u32_be().await?;
    if size < FIXED && flow.awaits_sasl_token.get() {
        stream.begin_frame(header::SIZE + u64::from(size))?;
        emit_sasl_token(stream, flow);
        return Ok(());
    }
    if !(FIXED..=header::MAX_FRAME).contains(&size) {
        return Err(Stop::Malformed("no response has that size"));
    }
    stream.begin_frame(header::SIZE + u64::from(size))?;
    let id = u64::from(stream.u32_be().await?);
    let Some(asked) = stream.pending(id).and_then(|context| Asked::from_context(&context)) else {
        if flow.awaits_sasl_token.get() {
            emit_sasl_token(stream, flow);
        } else {
            // Nothing tells it from noise, so nothing more is said of it.
            stream.emit(|out, _| {
                let message = out.response(Status::Unknown).id(id).str(key::SYSTEM, SYSTEM_NAME);
                message.header_only("request not seen").emit();
            });
        }
        return Ok(());
    };
    // Only code that waits can wait for room for many facts. Metadata counts its topics first.
    let has_facts = !matches!(asked.api_key, api::PRODUCE | api::FETCH | api::API_VERSIONS | api::METADATA);
    if has_facts && stream.frame_remaining() > MAX_AT_ONCE {
        stream.arriving()?;
    }
    large(read_body(stream, id, asked, plugin, flow)).await
}

/// Reads what follows the correlation id, and emits what the response says.
#[at_once]
async fn read_body(
    stream: &Stream<impl Source>,
    id: u64,
    asked: Asked,
    plugin: &Kafka,
    flow: &Flow,
) -> Result<(), Stop> {
    let mut summary = Summary::default();
    summary.wants_trace = plugin.wants_trace;
    let body = read_rest(stream, asked, flow, &mut summary).await;
    summary.errors.is_decisive |= matches!(body, Ok(Extent::Full | Extent::Partial(_)));
    stream.emit(|out, texts| emit(out, texts, id, asked, &summary, body));
    body.map(drop).or_else(go_on)
}

#[at_once]
async fn read_rest(stream: &Stream<impl Source>, asked: Asked, flow: &Flow, summary: &mut Summary) -> Body {
    let version = asked.api_version;
    let Some(api) = Api::find(asked.api_key) else { return Ok(Extent::Header("unknown API")) };
    let wire = Wire { stream, version, is_flexible: api.is_flexible(version) };
    if api.response_header_version(version) >= 1 {
        wire.tags().await?;
    }
    // A broker that does not know the version of ApiVersions says so in version 0.
    if version > api.max_version && api.key != api::API_VERSIONS {
        return Ok(Extent::NewVersion);
    }
    match api.key {
        api::PRODUCE => produce::response(wire, summary).await?,
        api::FETCH => fetch::response(wire, flow, asked, summary).await?,
        api::METADATA => metadata::response(wire, summary).await?,
        api::API_VERSIONS => api_versions::response(wire, summary).await?,
        _ if api.response.is_empty() => return Ok(Extent::Header("body not decoded")),
        _ => return body::read(wire, api.response, summary).await,
    }
    Ok(extent(stream, summary))
}

fn emit(out: &mut Output, texts: Texts<'_>, id: u64, asked: Asked, summary: &Summary, body: Body) {
    let mut message = errors(out.response(summary.errors.status()).id(id), summary);
    if let Some(leader) = summary.leader {
        message = message.i64(key::CURRENT_LEADER, leader);
    }
    if let Some(throttle) = summary.throttle_ms {
        message = message.i64(key::THROTTLE_TIME_MS, throttle);
    }
    if let Some(brokers) = summary.brokers {
        message = message.i64(key::BROKER_COUNT, clamp(brokers));
    }
    if let Some(apis) = summary.apis {
        message = message.i64(key::API_COUNT, clamp(apis));
    }
    if asked.api_key != api::FETCH {
        message = emit::offsets(message, summary);
    }
    message = parts(message, texts, asked, summary);
    if let Some(details) = summary.found() {
        message = details.emit(message, texts);
    }
    let name = ApiName::new(Api::find(asked.api_key), asked.api_key);
    message = offsets_of_records(message, summary);
    emit::complete(emit::records(message, texts, summary), body, (&name, asked.api_version)).emit();
}

/// Says what topics and partitions the response is about, where the request did not.
fn parts<'a>(message: MessageWriter<'a>, texts: Texts<'_>, asked: Asked, summary: &Summary) -> MessageWriter<'a> {
    let (is_fetch, has_topics) = (asked.api_key == api::FETCH, summary.topics.count > 0);
    match asked.has_topics {
        // In a fetch session only the response may name topics; they are more than the session's.
        false if has_topics && is_fetch => {
            let message = emit::partitions(emit::topics(message, texts, summary, true), summary);
            message.bool(key::TOPICS_OF_SESSION, false)
        }
        false if asked.api_key != api::PRODUCE => {
            emit::partitions(emit::topics(message, texts, summary, false), summary)
        }
        true if matches!(asked.api_key, api::METADATA | api::DESCRIBE_TOPIC_PARTITIONS) => {
            emit::partitions(message, summary)
        }
        _ => message,
    }
}

/// Says which offsets the records have that a consumer gets.
fn offsets_of_records<'a>(message: MessageWriter<'a>, summary: &Summary) -> MessageWriter<'a> {
    match summary.records.as_ref().and_then(|records| records.offsets) {
        Some((first, last)) => message.i64(key::FIRST_OFFSET, first).i64(key::LAST_OFFSET, last),
        None => message,
    }
}

/// Says which errors a response reports.
fn errors<'a>(mut message: MessageWriter<'a>, summary: &Summary) -> MessageWriter<'a> {
    let Some(code) = summary.errors.code() else { return message };
    message = message.code(i64::from(code));
    if summary.errors.count == 0 {
        return message;
    }
    let name = ErrorName::new(code);
    message = message.exception(name.as_str()).str(key::ERROR_TYPE, name.as_str());
    message = message.bool(key::IS_RETRIABLE, errors::is_retriable(code));
    let names = summary.errors.list().iter().map(|code| ErrorName::new(*code));
    message.list(key::ERRORS, names).i64(key::ERROR_COUNT, clamp(summary.errors.count))
}
