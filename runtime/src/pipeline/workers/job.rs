//! What happens to a worker's shards, in order: batches of jobs in, what the shards gave out of each batch out.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::{emitted, end, end_of_tick};
use crate::merge::Emitted;
use crate::packet::{Segment, Timestamp};
use crate::pipeline::report::ShardTotals;
use crate::plugin::PluginSet;
use crate::record::{ProcessPair, Spares};
use crate::shard::{FlowOptions, SHARDS, Shard};

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

/// A segment whose payload lies in its batch.
pub(super) struct OwnedSegment {
    header: Segment<'static>,
    payload: Range<usize>,
}

/// Jobs on their way to a worker.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Copies a segment's payload into the batch.
    pub(super) fn own(&mut self, segment: &Segment<'_>) -> OwnedSegment {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(segment.payload);
        OwnedSegment { header: Segment { payload: &[], ..*segment }, payload: start..self.bytes.len() }
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

/// What a batch came to in one worker.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) emitted: Vec<Emitted>,
    pub(super) totals: Option<ShardTotals>,
}

/// What comes back to a worker once its outputs have been written: room for others.
#[derive(Default)]
pub(super) struct Returned {
    pub(super) emitted: Vec<Emitted>,
    pub(super) spares: Spares,
}

/// Where a worker's batches come from and go to.
pub(super) struct Lines {
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
}

/// A worker: its share of the shards, batch after batch.
pub(super) fn work(place: Place, (plugins, options): (&Arc<PluginSet>, &Arc<FlowOptions>), lines: &Lines) {
    let is_mine = |shard: &usize| shard % place.workers == place.worker;
    let mut shards: Vec<(usize, Shard)> =
        (0..SHARDS).filter(is_mine).map(|index| (index, Shard::new(plugins.clone(), options.clone()))).collect();
    let mut spares = Spares::default();
    for mut batch in &lines.batches {
        let mut outcome = Outcome::default();
        for mut returned in lines.returned.try_iter() {
            spares.take_from(&mut returned.spares, usize::MAX);
            outcome.emitted = returned.emitted;
        }
        for job in batch.jobs.drain(..) {
            job.run(&batch.bytes, place.workers, &mut shards, (&mut outcome, &mut spares));
        }
        batch.bytes.clear();
        // If there is no room for it, another one is made.
        let _ = lines.emptied.try_send(batch);
        if lines.results.send(outcome).is_err() {
            return;
        }
    }
}

impl Job {
    fn run(
        self,
        bytes: &[u8],
        workers: usize,
        shards: &mut [(usize, Shard)],
        (outcome, spares): (&mut Outcome, &mut Spares),
    ) {
        let mut take = |at: (u64, bool), index: usize, shard: &mut Shard, out: &mut Vec<Emitted>| {
            if shard.has_output() {
                let before = out.len();
                out.extend(emitted(shard, index, at));
                shard.take_spares(spares, out.len() - before);
            }
        };
        match self {
            Self::Segment { shard, segment, processes } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                let payload = bytes.get(segment.payload).unwrap_or_default();
                shard.segment(&Segment { payload, ..segment.header }, processes.as_deref());
                take((segment.header.packet, true), *index, shard, &mut outcome.emitted);
            }
            Self::Shed { shard, header } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                shard.shed(&header);
                take((header.packet, true), *index, shard, &mut outcome.emitted);
            }
            Self::Tick { now, packet, is_quiet } => {
                let is_first = shards.first().is_some_and(|(index, _)| *index == 0);
                for (index, shard) in shards {
                    shard.tick(now, packet, is_quiet);
                    take((packet, false), *index, shard, &mut outcome.emitted);
                }
                // One worker says it for all: what the others gave out at this tick is sorted before it.
                outcome.emitted.extend(is_first.then(|| end_of_tick(packet)));
            }
            Self::Plugins { set, packet } => {
                for (index, shard) in shards {
                    shard.replace_plugins(&set);
                    take((packet, true), *index, shard, &mut outcome.emitted);
                }
            }
            Self::End { last, packet } => {
                let mut totals = ShardTotals::default();
                for (index, shard) in shards {
                    end(shard, last, packet);
                    take((packet, false), *index, shard, &mut outcome.emitted);
                    totals.add(shard);
                }
                outcome.totals = Some(totals);
            }
        }
    }
}
