//! What happens to a worker's shards, in order: batches of jobs in, what the shards gave out of each batch out.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::{end, end_of_tick};
use crate::capture::Block;
use crate::merge::{Lines, Page};
use crate::packet::{Segment, Timestamp};
use crate::pipeline::report::ShardTotals;
use crate::plugin::PluginSet;
use crate::record::{ProcessPair, Spares};
use crate::shard::{FlowOptions, Shard};

/// One thing that happens.
pub(super) enum Job {
    Segment {
        shard: usize,
        segment: OwnedSegment,
        processes: Option<Box<ProcessPair>>,
    },
    /// The flow of this segment is followed no more.
    Shed {
        shard: usize,
        header: Box<Segment<'static>>,
    },
    Tick {
        now: Timestamp,
        packet: u64,
        is_quiet: bool,
    },
    Plugins {
        set: Arc<PluginSet>,
        packet: u64,
    },
    End {
        last: Timestamp,
        packet: u64,
    },
}

/// A segment whose payload lies elsewhere.
pub(super) struct OwnedSegment {
    header: Segment<'static>,
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
    pub(super) fn own(&mut self, segment: &Segment<'_>, block: Option<&Block>) -> OwnedSegment {
        let header = Segment { payload: &[], ..*segment };
        let place = |(block, start): (Option<u32>, usize)| {
            let end = start.checked_add(segment.payload.len())?;
            Some((block, u32::try_from(start).ok()?..u32::try_from(end).ok()?))
        };
        let shared = block.and_then(|block| {
            let start = offset_in(block, segment.payload)?;
            if self.blocks.last().is_none_or(|last| !Arc::ptr_eq(last, block)) {
                self.blocks.push(block.clone());
            }
            place((u32::try_from(self.blocks.len() - 1).ok(), start))
        });
        let (block, payload) = shared.or_else(|| place((None, self.copy(segment.payload)))).unwrap_or((None, 0..0));
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

impl OwnedSegment {
    /// The segment, out of its batch.
    fn with<'a>(&self, blocks: &'a [Block], bytes: &'a [u8]) -> Segment<'a> {
        let block = self.block.map(|index| blocks.get(index as usize).map_or(&[][..], |block| block));
        let payload = block.unwrap_or(bytes).get(self.payload.start as usize..self.payload.end as usize);
        Segment { payload: payload.unwrap_or_default(), ..self.header }
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
    pub(super) results: Sender<Outcome>,
    pub(super) returned: Receiver<Returned>,
}

/// Which of the workers this is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) worker: usize,
    pub(super) workers: usize,
    /// Shards of all workers.
    pub(super) shards: usize,
}

/// A worker: its share of the shards, batch after batch.
pub(super) fn work(
    place: Place,
    (plugins, options): (&Arc<PluginSet>, &Arc<FlowOptions>),
    mut lines: Lines,
    channels: &Channels,
) {
    let is_mine = |shard: &usize| shard % place.workers == place.worker;
    let mut shards: Vec<(usize, Shard)> =
        (0..place.shards).filter(is_mine).map(|index| (index, Shard::new(plugins.clone(), options.clone()))).collect();
    let mut spares = Spares::default();
    for mut batch in &channels.batches {
        let mut outcome = Outcome::default();
        // One comes back for each that went out.
        if let Ok(mut returned) = channels.returned.try_recv() {
            spares.take_from(&mut returned.spares, usize::MAX);
            outcome.page = returned.page;
        }
        for job in batch.jobs.drain(..) {
            job.run((&batch.blocks, &batch.bytes), place.workers, &mut shards, (&mut outcome, &mut spares, &mut lines));
        }
        batch.clear();
        // If there is no room for it, another one is made.
        let _ = channels.emptied.try_send(batch);
        if channels.results.send(outcome).is_err() {
            return;
        }
    }
}

impl Job {
    fn run(
        self,
        (blocks, bytes): (&[Block], &[u8]),
        workers: usize,
        shards: &mut [(usize, Shard)],
        (outcome, spares, lines): (&mut Outcome, &mut Spares, &mut Lines),
    ) {
        let mut take = |at: (u64, bool), index: usize, shard: &mut Shard, page: &mut Page| {
            let records = lines.take(page, (index, shard), at);
            if records > 0 {
                shard.take_spares(spares, records);
            }
        };
        match self {
            Self::Segment { shard, segment, processes } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                let segment = segment.with(blocks, bytes);
                shard.segment(&segment, processes.as_deref());
                take((segment.packet, true), *index, shard, &mut outcome.page);
            }
            Self::Shed { shard, header } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                shard.shed(&header);
                take((header.packet, true), *index, shard, &mut outcome.page);
            }
            Self::Tick { now, packet, is_quiet } => {
                let is_first = shards.first().is_some_and(|(index, _)| *index == 0);
                for (index, shard) in shards {
                    shard.tick(now, packet, is_quiet);
                    take((packet, false), *index, shard, &mut outcome.page);
                }
                // One worker says it for all: what the others gave out at this tick is sorted before it.
                outcome.page.emitted.extend(is_first.then(|| end_of_tick(packet)));
            }
            Self::Plugins { set, packet } => {
                for (index, shard) in shards {
                    shard.replace_plugins(&set);
                    take((packet, true), *index, shard, &mut outcome.page);
                }
            }
            Self::End { last, packet } => {
                let mut totals = ShardTotals::default();
                for (index, shard) in shards {
                    end(shard, last, packet);
                    take((packet, false), *index, shard, &mut outcome.page);
                    totals.add(*index, shard);
                }
                outcome.totals = Some(totals);
            }
        }
    }
}
