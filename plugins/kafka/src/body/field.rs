//! Reads one field of a body that is described in the table of APIs.

use protap_plugin::{Source, Stop, at_once};

use super::What;
use super::compile::number_slot;
use crate::details::Resource;
use crate::metadata;
use crate::records::Records;
use crate::summary::{Summary, TopicId};
use crate::wire::Wire;

/// Slot of the partitions that a member is assigned.
const ASSIGNED: u8 = number_slot(b"assigned");

#[at_once]
pub(super) async fn read(wire: &Wire<'_, impl Source>, what: What, summary: &mut Summary) -> Result<(), Stop> {
    let stream = wire.stream;
    match what {
        What::Skip(len) => stream.skip(u64::from(len)).await,
        What::SkipArray(size) => wire.skip_array(u32::from(size)).await.map(drop),
        What::Text => wire.skip_string().await,
        What::Bytes => wire.skip_bytes().await,
        What::Topic => summary.topics.read_name(wire).await,
        What::TopicId => summary.topics.read_id(wire).await,
        What::Texts | What::Topics | What::Groups => texts(wire, what, summary).await,
        What::NameAndId | What::IdAndName => {
            summary.topics.count = summary.topics.count.saturating_add(1);
            metadata::learn(wire, what == What::IdAndName).await
        }
        What::Group => group(wire, summary).await,
        What::TransactionalId => {
            let id = wire.string().await?;
            summary.transactional_id = summary.transactional_id.or(id);
            Ok(())
        }
        What::Named(slot) => named(wire, slot, summary).await,
        What::Resource => resource(wire, summary).await,
        What::Records => records(wire, summary).await,
        What::Partitions => partitions(wire, summary).await,
        What::Assigned => {
            let count = wire.skip_array(4).await?;
            summary.details().add(ASSIGNED, u64::from(count));
            Ok(())
        }
        What::ClientInstance => {
            let id = TopicId::read(wire).await?;
            if !id.is_zero() {
                summary.details().client_instance = Some(stream.keep(&id.text()));
            }
            Ok(())
        }
        _ => number(wire, what, summary).await,
    }
}

/// Reads a field of a fixed size.
#[at_once]
async fn number(wire: &Wire<'_, impl Source>, what: What, summary: &mut Summary) -> Result<(), Stop> {
    let stream = wire.stream;
    match what {
        What::Throttle => summary.throttle_ms = Some(stream.i32_be().await?),
        What::Error => summary.errors.note(stream.i16_be().await?),
        What::Wait => summary.max_wait_ms = Some(stream.i32_be().await?),
        What::Partition => summary.partition(stream.i32_be().await?),
        What::Offset => summary.offset(stream.i64_be().await?),
        What::PartitionCount => {
            let count = u64::try_from(stream.i32_be().await?).unwrap_or(0);
            summary.partitions = summary.partitions.saturating_add(count);
        }
        What::KeyType => {
            let key_type = stream.i8().await?;
            summary.details().coordinator(key_type);
        }
        What::Number(size, slot) => {
            let value = match size {
                1 => i64::from(stream.i8().await?),
                2 => i64::from(stream.i16_be().await?),
                4 => i64::from(stream.i32_be().await?),
                _ => stream.i64_be().await?,
            };
            summary.details().number(slot, value);
        }
        What::Count(slot) => summary.details().add(slot, 1),
        _ => {}
    }
    Ok(())
}

#[at_once]
async fn texts(wire: &Wire<'_, impl Source>, what: What, summary: &mut Summary) -> Result<(), Stop> {
    for _ in 0..wire.array_len(1).await? {
        match what {
            What::Topics => summary.topics.read_name(wire).await?,
            What::Groups => group(wire, summary).await?,
            _ => wire.skip_string().await?,
        }
    }
    Ok(())
}

/// Keeps the first groups, counts all.
#[at_once]
async fn group(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    let group = if summary.details().has_room() {
        wire.string().await?
    } else {
        wire.skip_string().await?;
        None
    };
    summary.details().group(group);
    Ok(())
}

/// Keeps the first string of its name.
#[at_once]
async fn named(wire: &Wire<'_, impl Source>, slot: u8, summary: &mut Summary) -> Result<(), Stop> {
    if summary.details().has_text(slot) {
        return wire.skip_string().await;
    }
    let text = wire.string().await?;
    summary.details().text(slot, text);
    Ok(())
}

#[at_once]
async fn resource(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    let resource_type = wire.stream.i8().await?;
    match summary.details().resource(resource_type) {
        Resource::Topic => summary.topics.read_name(wire).await,
        Resource::Group => group(wire, summary).await,
        Resource::Other => {
            let name = wire.string().await?;
            let details = summary.details();
            details.resource = details.resource.or(name);
            Ok(())
        }
    }
}

#[at_once]
async fn records(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    let mut records = summary.records.take().unwrap_or_else(|| Records::looking_for_trace(summary.wants_trace));
    let len = wire.bytes_len().await?;
    let read = match len {
        Some(len) => records.read(wire.stream, len).await,
        None => Ok(()),
    };
    summary.records = Some(records);
    read
}

#[at_once]
async fn partitions(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    let count = u64::from(wire.array_len(4).await?);
    let listed = count.min(summary.partitions_to_list());
    for _ in 0..listed {
        summary.partition(wire.stream.i32_be().await?);
    }
    let more = count.saturating_sub(listed);
    summary.partitions = summary.partitions.saturating_add(more);
    wire.stream.skip(more.saturating_mul(4)).await
}
