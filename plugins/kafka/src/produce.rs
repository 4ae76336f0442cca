//! Produce, versions 0 to 13: topics, partitions and what the record batches say of themselves in the request; errors
//! and base offsets in the response. Topics are named by id from version 13 on.

use protap_plugin::{Source, Stop, at_once};

use crate::records::Records;
use crate::summary::Summary;
use crate::wire::{Fields, Wire};

/// First version with topic ids.
const IDS: i16 = 13;
/// Tag of the current leader in a partition of a response: its id, then its epoch.
const CURRENT_LEADER: u32 = 0;

/// ```text
/// transactional_id nullable string (3+) | acks i16 | timeout i32 | topics: [ name (id 13+) | [ index i32 | records ] ]
/// ```
#[at_once]
pub(crate) async fn request(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version >= 3 {
        summary.transactional_id = wire.string().await?;
    }
    let acks = |fields: &mut Fields<'_, '_>| {
        let acks = fields.reader.i16_be()?;
        fields.skip(4).map(|()| acks)
    };
    summary.acks = Some(wire.read(acks).await?);
    summary.records = Some(Records::looking_for_trace(summary.wants_trace));
    for _ in 0..wire.array_len(3).await? {
        topic(&wire, summary).await?;
        for _ in 0..wire.array_len(5).await? {
            let (index, len) = wire.read(|fields| Ok((fields.reader.i32_be()?, fields.bytes_len()?))).await?;
            summary.partition(index);
            if let (Some(len), Some(records)) = (len, &mut summary.records) {
                records.read(wire.stream, len).await?;
            }
            wire.tags().await?;
        }
        wire.tags().await?;
    }
    wire.tags().await
}

/// ```text
/// [ name (id 13+) | [ index i32 | error i16 | base_offset i64 | append_time i64 (2+) | log_start i64 (5+)
///                   | record_errors [ index i32 | nullable string ] (8+) | error_message nullable string (8+)
///                   | tag 0: leader i32 + epoch i32 (10+) ] ]
/// throttle i32 (1+)
/// ```
#[at_once]
pub(crate) async fn response(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    for _ in 0..wire.array_len(3).await? {
        topic(&wire, summary).await?;
        for _ in 0..wire.array_len(14).await? {
            summary.partition(wire.stream.i32_be().await?);
            summary.errors.note(wire.stream.i16_be().await?);
            let base_offset = wire.stream.i64_be().await?;
            if base_offset >= 0 {
                summary.offset(base_offset);
            }
            wire.skip_since(2, 8).await?;
            wire.skip_since(5, 8).await?;
            if wire.version >= 8 {
                record_errors(&wire).await?;
                wire.skip_string().await?;
            }
            summary.leads(wire.tagged_i32(CURRENT_LEADER).await?);
        }
        wire.tags().await?;
    }
    if wire.version >= 1 {
        summary.throttle_ms = Some(wire.stream.i32_be().await?);
    }
    wire.tags().await
}

#[at_once]
async fn record_errors(wire: &Wire<'_, impl Source>) -> Result<(), Stop> {
    for _ in 0..wire.array_len(5).await? {
        wire.stream.skip(4).await?;
        wire.skip_string().await?;
        wire.tags().await?;
    }
    Ok(())
}

#[at_once]
async fn topic(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version >= IDS { summary.topics.read_id(wire).await } else { summary.topics.read_name(wire).await }
}
