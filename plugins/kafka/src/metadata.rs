//! Metadata, versions 0 to 13: the topics asked for; errors of topics and partitions and the number of brokers in the
//! response. From version 10 on a response also says which id a topic has: facts for the requests of this and of other
//! connections that name topics by id.

use protap_plugin::{ReadError, Source, Stop, at_once};

use crate::TOPIC_IDS;
use crate::summary::{Summary, TopicId};
use crate::wire::{Fields, Wire};

/// First version with topic ids beside the names.
const IDS: i16 = 10;
/// Topics of an answer for whose facts there is room whenever a message begins. Only code that waits can wait for more.
const MAX_AT_ONCE: u32 = 64;
/// Longest topic name.
const MAX_NAME: usize = 249;

/// ```text
/// topics: nullable [ id 16 (10+) | name nullable string ] | auto_create i8 (4+)
/// cluster_operations i8 (8..10) | topic_operations i8 (8+)
/// ```
#[at_once]
pub(crate) async fn request(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    for _ in 0..wire.array_len(2).await? {
        let id = if wire.version >= IDS { Some(TopicId::read(&wire).await?) } else { None };
        let before = summary.topics.count;
        summary.topics.read_name(&wire).await?;
        if let Some(id) = id
            && summary.topics.count == before
            && !id.is_zero()
        {
            summary.topics.are_ids = true;
            summary.topics.push(wire.stream.keep(&id.text()));
        }
        wire.tags().await?;
    }
    wire.skip_since(4, 1).await?;
    if (8..=10).contains(&wire.version) {
        wire.stream.skip(1).await?;
    }
    wire.skip_since(8, 1).await?;
    wire.tags().await
}

/// ```text
/// throttle i32 (3+) | brokers: [ node i32 | host string | port i32 | rack nullable string (1+) ]
/// cluster_id nullable string (2+) | controller i32 (1+) | topics: [ see below ]
/// cluster_operations i32 (8..10) | error i16 (13+)
/// ```
#[at_once]
pub(crate) async fn response(wire: Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version >= 3 {
        summary.throttle_ms = Some(wire.stream.i32_be().await?);
    }
    let brokers = wire.array_len(10).await?;
    let broker = |broker: &mut Fields<'_, '_>| {
        broker.skip(4)?;
        broker.skip_string()?;
        broker.skip(4)?;
        if broker.version >= 1 {
            broker.skip_string()?;
        }
        broker.tags()
    };
    wire.structures(brokers, broker, drop).await?;
    summary.brokers = Some(u64::from(brokers));
    if wire.version >= 2 {
        wire.skip_string().await?;
    }
    wire.skip_since(1, 4).await?;
    let topics = wire.array_len(5).await?;
    if wire.version >= IDS && topics > MAX_AT_ONCE {
        wire.stream.arriving()?;
    }
    for _ in 0..topics {
        topic(&wire, summary).await?;
    }
    if (8..=10).contains(&wire.version) {
        wire.stream.skip(4).await?;
    }
    if wire.version >= 13 {
        summary.errors.note(wire.stream.i16_be().await?);
    }
    wire.tags().await
}

/// ```text
/// error i16 | name string, nullable 12+ | id 16 (10+) | is_internal i8 (1+)
/// partitions: [ error i16 | index i32 | leader i32 | epoch i32 (7+) | replicas [i32] | isr [i32] | offline [i32] (5+) ]
/// operations i32 (8+)
/// ```
#[at_once]
async fn topic(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    summary.errors.note(wire.stream.i16_be().await?);
    summary.topics.count = summary.topics.count.saturating_add(1);
    let name = Name::read(wire).await?;
    if wire.version >= IDS {
        let id = TopicId::read(wire).await?;
        emit_fact(wire, name.as_str(), id).await;
    }
    wire.skip_since(1, 1).await?;
    let count = wire.array_len(17).await?;
    let note = |error| {
        summary.errors.note(error);
        summary.partitions = summary.partitions.saturating_add(1);
    };
    wire.structures(count, partition, note).await?;
    wire.skip_since(8, 4).await?;
    wire.tags().await
}

/// Reads a partition of a topic; gives its error.
fn partition(partition: &mut Fields<'_, '_>) -> Result<i16, ReadError> {
    let error = partition.reader.i16_be()?;
    partition.skip(if partition.version >= 7 { 12 } else { 8 })?;
    let arrays = if partition.version >= 5 { 3 } else { 2 };
    for _ in 0..arrays {
        partition.skip_array(4)?;
    }
    partition.tags()?;
    Ok(error)
}

/// Reads a topic's name and id, in this order or the other, and learns what they say.
#[at_once]
pub(crate) async fn learn(wire: &Wire<'_, impl Source>, begins_with_id: bool) -> Result<(), Stop> {
    let (name, id) = if begins_with_id {
        let id = TopicId::read(wire).await?;
        (Name::read(wire).await?, id)
    } else {
        (Name::read(wire).await?, TopicId::read(wire).await?)
    };
    emit_fact(wire, name.as_str(), id).await;
    Ok(())
}

/// Emits the fact that a topic's id means that name.
#[at_once]
async fn emit_fact(wire: &Wire<'_, impl Source>, name: Option<&str>, id: TopicId) {
    let key = id.text();
    let Ok(key) = core::str::from_utf8(&key) else { return };
    if let Some(name) = name.filter(|_| !id.is_zero()) {
        wire.stream.room().await;
        wire.stream.emit(|out, _| out.fact(TOPIC_IDS, key, name));
    }
}

/// A topic's name that is kept only until its id is read, so that a response may have any number of them.
struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

#[at_once]
impl Name {
    async fn read(wire: &Wire<'_, impl Source>) -> Result<Self, Stop> {
        let mut name = Self { bytes: [0; MAX_NAME], len: 0 };
        let Some(len) = wire.string_len().await? else { return Ok(name) };
        let kept = usize::try_from(len).ok().filter(|len| *len <= MAX_NAME);
        let kept = kept.ok_or(Stop::Malformed("a topic name of more than 249 bytes"))?;
        wire.stream.available(kept).await?;
        wire.stream.peek(|bytes| {
            if let (Some(to), Some(from)) = (name.bytes.get_mut(..kept), bytes.get(..kept)) {
                to.copy_from_slice(from);
                name.len = kept;
            }
        });
        wire.stream.skip(len).await?;
        Ok(name)
    }

    /// The name, if it is one that Kafka allows.
    fn as_str(&self) -> Option<&str> {
        let bytes = self.bytes.get(..self.len)?;
        let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if bytes.is_empty() || !bytes.iter().all(is_legal) { None } else { core::str::from_utf8(bytes).ok() }
    }
}
