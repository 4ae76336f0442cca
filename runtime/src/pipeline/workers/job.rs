//! What happens to a worker's shards, in order: batches of jobs in, what the shards gave out of each batch out.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::gather::Outlet;
use super::share::Share;
use crate::capture::Block;
use crate::merge::Page;
use crate::packet::{FlowKey, Segment, Timestamp};
use crate::pipeline::front::Placed;
use crate::pipeline::report::ShardTotals;
use crate::plugin::PluginSet;
use crate::record::{ProcessPair, Spares};

/// One thing that happens.
pub(super) enum Job {
    Segment {
        segment: OwnedSegment,
        processes: Option<Box<ProcessPair>>,
    },
    /// The flow of this segment is followed no more.
    Shed(Box<Header>),
    Tick {
        now: Timestamp,
        packet: u64,
        is_quiet: bool,
    },
    Plugins {
        set: Arc<PluginSet>,
        packet: u64,
    },
    /// At that time, behind the packet before that number.
    End(Timestamp, u64),
}

/// A segment without its payload, and where it belongs.
pub(super) struct Header {
    segment: Segment<'static>,
    key: FlowKey,
    shard: usize,
}

/// A segment whose payload lies elsewhere.
pub(super) struct OwnedSegment {
    header: Header,
    /// Index of the block that the payload lies in; none if it was copied.
    block: Option<u32>,
    payload: Range<u32>,
}

/// Jobs on their way to a worker.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    /// Blocks of the capture that payloads lie in.
    blocks: Vec<Block>,
    /// Payloads that lie in none.
    bytes: Vec<u8>,
}

impl Batch {
    /// Keeps a segment's payload: the block that it lies in, or else a copy.
    pub(super) fn own(&mut self, placed: &Placed<'_>, block: Option<&Block>) -> OwnedSegment {
        let (header, payload) = (Header::of(placed), placed.segment.payload);
        let place = |(block, start): (Option<u32>, usize)| {
            let end = start.checked_add(payload.len())?;
            Some((block, u32::try_from(start).ok()?..u32::try_from(end).ok()?))
        };
        let shared = block.and_then(|block| {
            let start = offset_in(block, payload)?;
            if self.blocks.last().is_none_or(|last| !Arc::ptr_eq(last, block)) {
                self.blocks.push(block.clone());
            }
            place((u32::try_from(self.blocks.len() - 1).ok(), start))
        });
        let (block, payload) = shared.or_else(|| place((None, self.copy(payload)))).unwrap_or((None, 0..0));
        OwnedSegment { header, block, payload }
    }

    fn copy(&mut self, payload: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        start
    }

    /// What the worker has done with.
    fn clear(&mut self) {
        self.jobs.clear();
        self.blocks.clear();
        self.bytes.clear();
    }

    /// A tick takes the place of the one before it, if nothing happened in between.
    pub(super) fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) {
        let before = self.jobs.pop_if(|job| matches!(job, Job::Tick { packet: before, .. } if *before == packet));
        let was_quiet = matches!(before, Some(Job::Tick { is_quiet: true, .. }));
        self.jobs.push(Job::Tick { now, packet, is_quiet: is_quiet || was_quiet });
    }

    /// Payload bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Header {
    pub(super) fn of(placed: &Placed<'_>) -> Self {
        Self { segment: Segment { payload: &[], ..*placed.segment }, key: placed.key, shard: placed.shard }
    }

    fn placed<'a>(&self, segment: &'a Segment<'a>) -> Placed<'a> {
        Placed { segment, key: self.key, shard: self.shard }
    }
}

impl OwnedSegment {
    /// The payload, out of its batch.
    fn payload<'a>(&self, blocks: &'a [Block], bytes: &'a [u8]) -> &'a [u8] {
        let block = self.block.map(|index| blocks.get(index as usize).map_or(&[][..], |block| block));
        block.unwrap_or(bytes).get(self.payload.start as usize..self.payload.end as usize).unwrap_or_default()
    }
}

/// Where a part of the block begins in it.
fn offset_in(block: &Block, part: &[u8]) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(block.as_ptr().addr())?;
    (start.checked_add(part.len())? <= block.len()).then_some(start)
}

/// What a batch came to in one worker.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) page: Page,
    pub(super) totals: Option<ShardTotals>,
}

/// What comes back to a worker once its outputs have been written: room for others.
#[derive(Default)]
pub(super) struct Returned {
    pub(super) page: Page,
    pub(super) spares: Spares,
}

/// Where a worker's batches come from and go to.
pub(super) struct Channels {
    pub(super) batches: Receiver<Batch>,
    /// Batches that are done with.
    pub(super) emptied: Sender<Batch>,
    pub(super) outlet: Outlet,
}

/// A worker: its share of the shards, batch after batch.
pub(super) fn work(mut share: Share, Channels { batches, emptied, mut outlet }: Channels) {
    for mut batch in batches {
        let mut outcome = outlet.begin();
        for job in batch.jobs.drain(..) {
            job.run((&batch.blocks, &batch.bytes), &mut share, (&mut outcome, &mut outlet.spares));
        }
        batch.clear();
        // If there is no room for it, another one is made.
        let _ = emptied.try_send(batch);
        if outlet.send(outcome).is_err() {
            return;
        }
    }
}

impl Job {
    fn run(
        self,
        (blocks, bytes): (&[Block], &[u8]),
        share: &mut Share,
        (Outcome { page, totals }, spares): (&mut Outcome, &mut Spares),
    ) {
        let out = (page, spares);
        match self {
            Self::Segment { segment: owned, processes } => {
                let segment = Segment { payload: owned.payload(blocks, bytes), ..owned.header.segment };
                share.segment(&owned.header.placed(&segment), processes.as_deref(), out);
            }
            Self::Shed(header) => share.shed(&header.placed(&header.segment), out),
            Self::Tick { now, packet, is_quiet } => share.tick(now, packet, is_quiet, out),
            Self::Plugins { set, packet } => share.replace_plugins(&set, packet, out),
            Self::End(last, packet) => *totals = Some(share.end((last, packet), out)),
        }
    }
}
