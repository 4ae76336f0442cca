//! Bodies of the APIs of which only topics, groups, partitions and errors are wanted: described by a line of text in
//! the table of APIs, read by one loop. The text lists the fields in their order on the wire, as far as the last one
//! that is wanted:
//!
//! ```text
//! 4            bytes of no interest, so many          4*           array of elements of so many bytes
//! text, text*  string, array of strings               bytes        bytes; never looked at, they may be secrets
//! [ ... ]      array of structures                    { ... } ?{ ... }   structure, nullable structure
//! throttle     i32     error      i16                 wait         i32, how long the broker may hold the answer back
//! partition, partition*   i32, array of i32           partitions   i32, so many partitions, or -1
//! offset       i64, one for each partition            records      record batches
//! topic, topic*, topicid, group, group*, txn          names that are kept
//! nameid, idname          a topic's name and id, to be learnt
//! 4:name, 1?name, text:name   a number, flag or string that is kept under a name (see `attributes`)
//! +name        nothing on the wire; counts structures assigned*    array of i32, counts partitions
//! keytype      i8, what the groups in FindCoordinator really are
//! resource     i8 and string, what is configured      instanceid   16 bytes, a client
//! ...          the rest is of no interest             @2+ @2-4 @-4     field of versions from 2, 2 to 4, up to 4
//! ```
//! Tagged fields end each structure of flexible versions and are not listed. The text is compiled with the plugin: a
//! mistake in it does not build.

use protap_plugin::{Source, Stop, at_once};

use crate::request::{Extent, extent};
use crate::summary::Summary;
use crate::wire::Wire;

pub(crate) mod compile;
mod field;

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
    PartitionCount,
    Assigned,
    Offset,
    Wait,
    Records,
    Topics,
    TopicId,
    NameAndId,
    IdAndName,
    Group,
    Groups,
    TransactionalId,
    KeyType,
    Resource,
    ClientInstance,
    /// Size, and the slot in which it is kept.
    Number(u8, u8),
    Named(u8),
    Count(u8),
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
#[at_once]
pub(crate) async fn read(
    wire: Wire<'_, impl Source>,
    ops: &'static [Op],
    summary: &mut Summary,
) -> Result<Extent, Stop> {
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
            what if applies => field::read(&wire, what, summary).await?,
            _ => {}
        }
    }
    wire.tags().await?;
    Ok(extent(wire.stream, summary))
}

/// Reads how many structures there are.
#[at_once]
async fn structures(wire: &Wire<'_, impl Source>, what: What) -> Result<u64, Stop> {
    match what {
        What::Each => Ok(u64::from(wire.array_len(1).await?)),
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
