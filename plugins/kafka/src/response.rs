//! Reads a response and emits it. Nothing in a response says which API it answers: its request, which the host keeps
//! pending under the correlation id, does.

use protap_plugin::{MessageWriter, Output, Status, Stop, Stream, Texts, host};

use crate::api::{self, Api};
use crate::attributes as key;
use crate::header;
use crate::request::{Asked, Body, Extent, clamp, complete, emit_sasl_token, extent, go_on, records, topics};
use crate::summary::Summary;
use crate::text::ErrorName;
use crate::wire::Wire;
use crate::{Flow, api_versions, body, fetch, metadata, produce};

/// Correlation id.
const FIXED: u32 = 4;

/// Reads one response.
pub(crate) async fn read(stream: &Stream, flow: &Flow) -> Result<(), Stop> {
    let size = stream.u32_be().await?;
    if size < FIXED && flow.awaits_sasl_token.get() {
        emit_sasl_token(stream);
        return stream.skip(u64::from(size)).await;
    }
    if !(FIXED..=header::MAX_FRAME).contains(&size) {
        return Err(Stop::Malformed("no response has that size"));
    }
    stream.begin_frame(header::SIZE + u64::from(size))?;
    let id = u64::from(stream.u32_be().await?);
    let Some(asked) = host::pending(id).and_then(|context| Asked::from_context(&context)) else {
        if flow.awaits_sasl_token.get() {
            emit_sasl_token(stream);
        } else {
            // Nothing tells it from noise, so nothing more is said of it.
            stream.emit(|out, _| {
                let message = out.response(Status::Unknown).id(id).str(key::SYSTEM, "kafka");
                message.header_only("request not seen").emit();
            });
        }
        return Ok(());
    };
    let mut summary = Summary::default();
    let body = read_rest(stream, asked, &mut summary).await;
    summary.errors.is_decisive |= matches!(body, Ok(Extent::Full | Extent::Partial(_)));
    stream.emit(|out, texts| emit(out, texts, id, asked, &summary, body));
    body.map(drop).or_else(go_on)
}

async fn read_rest(stream: &Stream, asked: Asked, summary: &mut Summary) -> Body {
    let version = asked.api_version;
    let Some(api) = Api::find(asked.api_key) else { return Ok(Extent::Header("unknown API")) };
    let wire = Wire { stream, version, is_flexible: api.is_flexible(version) };
    if api.response_header_version(version) >= 1 {
        wire.tags().await?;
    }
    // A broker that does not know the version of ApiVersions says so in version 0.
    if version > api.max_version && api.key != api::API_VERSIONS {
        return Ok(Extent::Header("unknown version"));
    }
    match api.key {
        api::PRODUCE => produce::response(wire, summary).await?,
        api::FETCH => fetch::response(wire, summary).await?,
        api::METADATA => metadata::response(wire, summary).await?,
        api::API_VERSIONS => api_versions::response(wire, summary).await?,
        _ if api.response.is_empty() => return Ok(Extent::Header("body not decoded")),
        _ => return body::read(wire, api.response, summary).await,
    }
    Ok(extent(stream, summary))
}

fn emit(out: &mut Output, texts: Texts<'_>, id: u64, asked: Asked, summary: &Summary, body: Body) {
    let mut message = errors(out.response(summary.errors.status()).id(id), summary);
    if let Some(throttle) = summary.throttle_ms {
        message = message.i64(key::THROTTLE_TIME_MS, throttle);
    }
    if let Some(brokers) = summary.brokers {
        message = message.i64(key::BROKER_COUNT, clamp(brokers));
    }
    if let Some(apis) = summary.apis {
        message = message.i64(key::API_COUNT, clamp(apis));
    }
    message = match asked.api_key {
        api::PRODUCE => match summary.offset {
            Some(offset) => message.i64(key::OFFSET, offset),
            None => message,
        },
        // In a fetch session only the response may name topics.
        api::FETCH if !asked.has_topics => topics(message, texts, summary, true),
        api::METADATA if !asked.has_topics && summary.topics.count > 0 => message
            .i64(key::TOPIC_COUNT, clamp(summary.topics.count))
            .i64(key::PARTITION_COUNT, clamp(summary.partitions)),
        api::METADATA if summary.partitions > 0 => message.i64(key::PARTITION_COUNT, clamp(summary.partitions)),
        _ => message,
    };
    complete(records(message, summary), body).emit();
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
    let names = summary.errors.list().iter().map(|code| ErrorName::new(*code));
    message.list(key::ERRORS, names).i64(key::ERROR_COUNT, clamp(summary.errors.count))
}
