//! Fetch, versions 0 to 18: topics, partitions and offsets in the request; errors and what the record batches say of
//! themselves in the response. Topics are named by id from version 13 on. In a fetch session (version 7 and later) a
//! request names only what changed, so it may have no topics at all: see [`crate::session`].

use protap_plugin::{Source, Stop, at_once};

use crate::Flow;
use crate::records::Records;
use crate::request::Asked;
use crate::session::Session;
use crate::summary::{Summary, TopicId};
use crate::wire::Wire;

/// First version with topic ids.
const IDS: i16 = 13;
/// Tag of the replica's state in a request: its id, then its epoch.
const REPLICA_STATE: u32 = 1;
/// Tag of the current leader in a partition of a response: its id, then its epoch.
const CURRENT_LEADER: u32 = 1;

/// ```text
/// replica i32 (..14) | max_wait i32 | min_bytes i32 | max_bytes i32 (3+) | isolation i8 (4+) | session i32 + i32 (7+)
/// topics: [ name (id 13+) | [ index i32 | leader_epoch i32 (9+) | offset i64 | fetched_epoch i32 (12+)
///                           | log_start i64 (5+) | max_bytes i32 ] ]
/// forgotten (7+): [ name (id 13+) | [ index i32 ] ] | rack string (11+) | tag 1: replica i32 + epoch i64 (15+)
/// ```
#[at_once]
pub(crate) async fn request(wire: Wire<'_, impl Source>, flow: &Flow, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version <= 14 {
        summary.replica = Some(wire.stream.i32_be().await?);
    }
    summary.max_wait_ms = Some(wire.stream.i32_be().await?);
    wire.stream.skip(4).await?;
    wire.skip_since(3, 4).await?;
    wire.skip_since(4, 1).await?;
    let mut session = None;
    if wire.version >= 7 {
        let (id, epoch) = (wire.stream.i32_be().await?, wire.stream.i32_be().await?);
        session = Session::continued(flow.session.take(), id, epoch);
        summary.session = (epoch >= 0).then_some((id, epoch));
    }
    for _ in 0..wire.array_len(3).await? {
        topic(&wire, summary).await?;
        let place = session.as_deref_mut().map(|session| last_topic(&wire, summary, session));
        for _ in 0..wire.array_len(16).await? {
            let index = request_partition(&wire, summary).await?;
            if let Some(place) = place {
                session = session.take().and_then(|mut session| session.partition(place?, index).map(|()| session));
            }
        }
        wire.tags().await?;
    }
    if wire.version >= 7 {
        forgotten(&wire, session.as_deref_mut()).await?;
    }
    if wire.version >= 11 {
        wire.skip_string().await?;
    }
    summary.replica = wire.tagged_i32(REPLICA_STATE).await?.or(summary.replica);
    flow.session.replace(session);
    Ok(())
}

/// The place in the session of the topic that was read last.
fn last_topic(wire: &Wire<'_, impl Source>, summary: &Summary, session: &mut Session) -> Option<usize> {
    session.are_ids = wire.version >= IDS;
    let topic = summary.topics.last()?;
    wire.stream.with_texts(|texts| session.topic(texts.get(topic)))
}

#[at_once]
async fn request_partition(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<i32, Stop> {
    let index = wire.stream.i32_be().await?;
    summary.partition(index);
    wire.skip_since(9, 4).await?;
    summary.offset(wire.stream.i64_be().await?);
    wire.skip_since(12, 4).await?;
    wire.skip_since(5, 8).await?;
    wire.stream.skip(4).await?;
    wire.tags().await?;
    Ok(index)
}

#[at_once]
async fn forgotten(wire: &Wire<'_, impl Source>, mut session: Option<&mut Session>) -> Result<(), Stop> {
    for _ in 0..wire.array_len(3).await? {
        let name = if wire.version >= IDS {
            let id = TopicId::read(wire).await?;
            wire.stream.keep(&id.text())
        } else {
            wire.string().await?.unwrap_or_default()
        };
        let place =
            wire.stream.with_texts(|texts| session.as_deref().and_then(|session| session.place(texts.get(name))));
        let (Some(place), Some(session)) = (place, session.as_deref_mut()) else {
            wire.skip_array(4).await?;
            wire.tags().await?;
            continue;
        };
        for _ in 0..wire.array_len(4).await? {
            session.forget(place, wire.stream.i32_be().await?);
        }
        wire.tags().await?;
    }
    Ok(())
}

/// ```text
/// throttle i32 (1+) | error i16 (7+) | session i32 (7+)
/// [ name (id 13+) | [ index i32 | error i16 | high_watermark i64 | last_stable i64 (4+) | log_start i64 (5+)
///                   | aborted (4+): nullable [ producer i64 | offset i64 ] | replica i32 (11+) | records
///                   | tag 1: leader i32 + epoch i32 (12+) ] ]
/// ```
#[at_once]
pub(crate) async fn response(
    wire: Wire<'_, impl Source>,
    flow: &Flow,
    asked: Asked,
    summary: &mut Summary,
) -> Result<(), Stop> {
    if wire.version >= 1 {
        summary.throttle_ms = Some(wire.stream.i32_be().await?);
    }
    if wire.version >= 7 {
        summary.errors.note(wire.stream.i16_be().await?);
        let id = wire.stream.i32_be().await?;
        if asked.begins_session {
            let session = flow.session.take();
            flow.session.replace(Session::granted(session, id));
        }
    }
    summary.records = Some(Records::looking_for_trace(summary.wants_trace));
    for _ in 0..wire.array_len(3).await? {
        topic(&wire, summary).await?;
        for _ in 0..wire.array_len(15).await? {
            response_partition(&wire, summary).await?;
        }
        wire.tags().await?;
    }
    wire.tags().await
}

#[at_once]
async fn response_partition(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    summary.partition(wire.stream.i32_be().await?);
    summary.errors.note(wire.stream.i16_be().await?);
    wire.stream.skip(8).await?;
    wire.skip_since(4, 8).await?;
    wire.skip_since(5, 8).await?;
    if wire.version >= 4 {
        for _ in 0..wire.array_len(16).await? {
            wire.stream.skip(16).await?;
            wire.tags().await?;
        }
    }
    wire.skip_since(11, 4).await?;
    if let (Some(len), Some(records)) = (wire.bytes_len().await?, &mut summary.records) {
        records.read(wire.stream, len).await?;
    }
    summary.leads(wire.tagged_i32(CURRENT_LEADER).await?);
    Ok(())
}

#[at_once]
async fn topic(wire: &Wire<'_, impl Source>, summary: &mut Summary) -> Result<(), Stop> {
    if wire.version >= IDS { summary.topics.read_id(wire).await } else { summary.topics.read_name(wire).await }
}
