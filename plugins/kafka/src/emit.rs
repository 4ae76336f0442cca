//! What requests and responses have in common when they are emitted: topics, partitions, offsets, records, and how much of
//! a message was decoded.

use protap_plugin::{Fixed, MessageWriter, Stop, Texts, Writable};

use crate::attributes as key;
use crate::request::{Body, Extent};
use crate::summary::Summary;
use crate::text::{ApiName, decimal};
use crate::{Flow, TOPIC_IDS};

pub(crate) fn clamp(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Says which topics a message is about.
pub(crate) fn topics<'a>(
    message: MessageWriter<'a>,
    texts: Texts<'_>,
    summary: &Summary,
    is_resource: bool,
) -> MessageWriter<'a> {
    let list = summary.topics.list().map(|topic| texts.read(topic));
    let message = topic_list(message, list, summary.topics.are_ids, is_resource);
    if summary.topics.count > 0 { message.i64(key::TOPIC_COUNT, clamp(summary.topics.count)) } else { message }
}

/// Names topics, the first one as destination and, if wanted, as resource.
fn topic_list<'a, T: Writable + Copy>(
    mut message: MessageWriter<'a>,
    list: impl Iterator<Item = T> + Clone,
    are_ids: bool,
    is_resource: bool,
) -> MessageWriter<'a> {
    let Some(first) = list.clone().next() else { return message };
    message = match (are_ids, is_resource) {
        (false, true) => message.resource(first).endpoint(first),
        (true, true) => message.resource_fact(TOPIC_IDS, first),
        _ => message,
    };
    if are_ids {
        message.fact(key::DESTINATION, TOPIC_IDS, first).fact_list(key::TOPICS, TOPIC_IDS, list)
    } else {
        message.str(key::DESTINATION, first).list(key::TOPICS, list)
    }
}

/// Says which partitions a message is about.
pub(crate) fn partitions<'a>(message: MessageWriter<'a>, summary: &Summary) -> MessageWriter<'a> {
    if summary.partitions == 0 {
        return message;
    }
    let message = message.i64(key::PARTITION_COUNT, clamp(summary.partitions));
    match summary.partition {
        Some(index) if summary.partitions == 1 => message.str(key::PARTITION, decimal(i64::from(index))),
        Some(_) => message.list(key::PARTITIONS, summary.partition_list().map(decimal)),
        None => message,
    }
}

/// Says at which offsets.
pub(crate) fn offsets<'a>(message: MessageWriter<'a>, summary: &Summary) -> MessageWriter<'a> {
    let Some(first) = summary.offset else { return message };
    let message = message.i64(key::OFFSET, first);
    match summary.offset_list() {
        Some(list) => message.list(key::OFFSETS, list.map(decimal)),
        None => message,
    }
}

/// Says which fetch session a request is part of and, if it names no topics, which ones it stands for.
pub(crate) fn session<'a>(message: MessageWriter<'a>, summary: &Summary, flow: &Flow) -> MessageWriter<'a> {
    let Some((id, epoch)) = summary.session else { return message };
    let mut message = message.i64(key::FETCH_SESSION_ID, id).i64(key::FETCH_SESSION_EPOCH, epoch);
    let session = flow.session.take();
    if let Some(session) = session.as_deref().filter(|_| summary.topics.count == 0 && epoch > 0) {
        let topics = session.topics();
        message = topic_list(message, topics.iter().copied(), session.are_ids, true);
        message = message.i64(key::TOPIC_COUNT, clamp(topics.len() as u64));
        message = message.i64(key::PARTITION_COUNT, clamp(session.partition_count() as u64));
        message = message.bool(key::TOPICS_OF_SESSION, true);
    }
    flow.session.replace(session);
    message
}

/// Says what records a message brings.
pub(crate) fn records<'a>(mut message: MessageWriter<'a>, texts: Texts<'_>, summary: &Summary) -> MessageWriter<'a> {
    let Some(records) = &summary.records else { return message };
    // How many messages a compressed message set holds cannot be seen.
    if !records.has_wrappers && !records.has_gap {
        message = message.i64(key::MESSAGE_COUNT, clamp(records.count));
    }
    message = message.i64(key::RECORD_BYTES, clamp(records.bytes));
    let Some(codec) = records.compression() else { return message };
    if !records.has_gap {
        message = message.i64(key::BATCH_COUNT, clamp(records.batches));
    }
    message = message.str(key::COMPRESSION, Fixed(codec));
    if let Some(magic) = records.magic {
        message = message.i64(key::MAGIC, magic);
    }
    if records.are_transactional {
        message = message.bool(key::IS_TRANSACTIONAL, true);
    }
    if records.control_batches > 0 {
        message = message.i64(key::CONTROL_BATCH_COUNT, clamp(records.control_batches));
    }
    let Some(trace) = &records.trace else { return message };
    if let Some(traceparent) = trace.traceparent {
        message = message.str(key::TRACEPARENT, texts.read(traceparent));
    }
    match trace.sw8 {
        Some(sw8) => message.str(key::SW8, texts.read(sw8)),
        None => message,
    }
}

/// Says in a message how much of it was decoded.
pub(crate) fn complete<'a>(
    message: MessageWriter<'a>,
    body: Body,
    (name, version): (&ApiName, i16),
) -> MessageWriter<'a> {
    match body {
        Ok(Extent::Full) => message,
        Ok(Extent::Partial(why)) => message.partial(why),
        Ok(Extent::Header(why)) => message.header_only(why),
        Ok(Extent::NewVersion) => message.header_only(&format!("{} v{version}: version not known", name.as_str())),
        Err(Stop::Lost) => message.partial("bytes lost"),
        Err(Stop::Malformed(why) | Stop::Reject(why) | Stop::Opaque(why) | Stop::Handover(_, why)) => {
            message.header_only(why)
        }
    }
}
