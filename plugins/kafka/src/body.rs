//! Bodies of the APIs of which only topics, groups, partitions and errors are wanted: described by a line of text in
//! the table of APIs, read by one loop. The text lists the fields in their order on the wire, as far as the last one
//! that is wanted:
//!
//! ```text
//! 4            bytes of no interest, so many          4*           array of elements of so many bytes
//! text, text*  string, array of strings               bytes        bytes; never looked at, they may be secrets
//! [ ... ]      array of structures                    { ... } ?{ ... }   structure, nullable structure
//! throttle     i32     error      i16                 partition, partition*   i32, array of i32
//! topic, topic*, topicid, group, group*, txn          names that are kept
//! ...          the rest is of no interest             @2+ @2-4 @-4     field of versions from 2, 2 to 4, up to 4
//! ```
//! Tagged fields end each structure of flexible versions and are not listed. The text is compiled with the plugin: a
//! mistake in it does not build.

use protap_plugin::Stop;

use crate::request::{Extent, extent};
use crate::summary::Summary;
use crate::wire::Wire;

pub(crate) mod compile;

/// One field, or an end of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    what: What,
    from: i16,
    to: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Skip(u8),
    SkipArray(u8),
    Text,
    Texts,
    Bytes,
    Throttle,
    Error,
    Partition,
    Partitions,
    Topic,
    Topics,
    TopicId,
    Group,
    Groups,
    TransactionalId,
    Each,
    One,
    Maybe,
    Close,
    Rest,
}

impl What {
    const fn opens(self) -> bool {
        matches!(self, Self::Each | Self::One | Self::Maybe)
    }
}

/// Compiles a body's description.
macro_rules! body {
    ($text:expr) => {{
        const OPS: [$crate::body::Op; $crate::body::compile::count($text)] = $crate::body::compile::compile($text);
        &OPS
    }};
}
pub(crate) use body;

/// Deepest nesting of structures.
const MAX_DEPTH: usize = 6;

/// A structure that is being read.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Its first field.
    first: usize,
    /// How many of it are left, this one included.
    left: u64,
    /// Where this one began.
    offset: u64,
}

/// Reads a body as described.
pub(crate) async fn read(wire: Wire<'_>, ops: &'static [Op], summary: &mut Summary) -> Result<Extent, Stop> {
    let mut levels = [Level::default(); MAX_DEPTH];
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(op) = ops.get(at) {
        at += 1;
        let applies = (op.from..=op.to).contains(&wire.version);
        match op.what {
            What::Rest => return Ok(Extent::Full),
            What::Close => {
                wire.tags().await?;
                let Some(level) = levels.get_mut(depth.saturating_sub(1)) else { break };
                if wire.stream.offset() == level.offset {
                    return Err(Stop::Malformed("a structure of no bytes"));
                }
                level.left = level.left.saturating_sub(1);
                level.offset = wire.stream.offset();
                if level.left > 0 {
                    at = level.first;
                } else {
                    depth = depth.saturating_sub(1);
                }
            }
            what if what.opens() => {
                let left = if applies { structures(&wire, what).await? } else { 0 };
                match levels.get_mut(depth) {
                    Some(level) if left > 0 => {
                        *level = Level { first: at, left, offset: wire.stream.offset() };
                        depth += 1;
                    }
                    _ => at = behind(ops, at),
                }
            }
            what if applies => field(&wire, what, summary).await?,
            _ => {}
        }
    }
    wire.tags().await?;
    Ok(extent(wire.stream, summary))
}

/// Reads how many structures there are.
async fn structures(wire: &Wire<'_>, what: What) -> Result<u64, Stop> {
    match what {
        What::Each => Ok(wire.array_len(1).await?.unwrap_or(0)),
        What::Maybe => Ok(u64::from(wire.stream.i8().await? >= 0)),
        _ => Ok(1),
    }
}

/// The op behind the structure that begins at `at`.
fn behind(ops: &[Op], at: usize) -> usize {
    let mut depth = 1;
    let rest = ops.get(at..).unwrap_or_default();
    let close = rest.iter().position(|op| {
        depth += match op.what {
            What::Close => -1,
            what if what.opens() => 1,
            _ => 0,
        };
        depth == 0
    });
    close.map_or(ops.len(), |close| at + close + 1)
}

async fn field(wire: &Wire<'_>, what: What, summary: &mut Summary) -> Result<(), Stop> {
    let stream = wire.stream;
    match what {
        What::Skip(len) => stream.skip(u64::from(len)).await,
        What::SkipArray(size) => wire.skip_array(u64::from(size)).await.map(drop),
        What::Text => wire.skip_string().await,
        What::Bytes => wire.skip_bytes().await,
        What::Topic => summary.topics.read_name(wire).await,
        What::TopicId => summary.topics.read_id(wire).await,
        What::Texts | What::Topics | What::Groups => {
            for _ in 0..wire.array_len(1).await?.unwrap_or(0) {
                match what {
                    What::Topics => summary.topics.read_name(wire).await?,
                    What::Groups => group(wire, summary).await?,
                    _ => wire.skip_string().await?,
                }
            }
            Ok(())
        }
        What::Group => group(wire, summary).await,
        What::TransactionalId => {
            let id = wire.string().await?;
            summary.transactional_id = summary.transactional_id.or(id);
            Ok(())
        }
        What::Throttle => {
            summary.throttle_ms = Some(stream.i32_be().await?);
            Ok(())
        }
        What::Error => {
            summary.errors.note(stream.i16_be().await?);
            Ok(())
        }
        What::Partition => {
            summary.partition(stream.i32_be().await?);
            Ok(())
        }
        What::Partitions => partitions(wire, summary).await,
        What::Each | What::One | What::Maybe | What::Close | What::Rest => Ok(()),
    }
}

/// Keeps the first group.
async fn group(wire: &Wire<'_>, summary: &mut Summary) -> Result<(), Stop> {
    if summary.group.is_some() {
        return wire.skip_string().await;
    }
    summary.group = wire.string().await?;
    Ok(())
}

async fn partitions(wire: &Wire<'_>, summary: &mut Summary) -> Result<(), Stop> {
    let Some(more) = wire.array_len(4).await?.and_then(|count| count.checked_sub(1)) else { return Ok(()) };
    summary.partition(wire.stream.i32_be().await?);
    summary.partitions = summary.partitions.saturating_add(more);
    wire.stream.skip(more.saturating_mul(4)).await
}
