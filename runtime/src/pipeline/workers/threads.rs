//! The shards, served by several threads: segments travel to them in batches, and a thread of its own puts together what
//! comes back. A full queue blocks a capture file; a live capture it never does, see [`shed`](super::shed).

use std::io;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::gather::{QUEUE, Round, connect, gather};
use super::job::{Batch, Channels, Header, Job, work};
use super::share::Share;
use super::shed::{Fate, ShedCounters, Shedding};
use super::{join, start};
use crate::capture::Block;
use crate::merge::Merge;
use crate::packet::Timestamp;
use crate::pipeline::front::{Place, Placed};
use crate::pipeline::report::ShardTotals;
use crate::pipeline::{LoopReport, Workers};
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::{FlowOptions, MAX_SHARDS};

/// Segments in a batch, as a mean over the workers.
const BATCH_SEGMENTS: usize = 256;
/// Payload bytes in a batch, over all workers.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of the capture that a batch keeps, with all that lies between its payloads.
const BATCH_BLOCKS: usize = 2 << 20;
/// A worker, as the reading thread sees it.
struct Lane {
    queue: Sender<Batch>,
    /// Batches that the worker has done with.
    emptied: Receiver<Batch>,
    batch: Batch,
    shedding: Shedding,
}

/// The reading thread's side.
pub(in crate::pipeline) struct Threads<'scope> {
    lanes: Vec<Lane>,
    is_live: bool,
    segments: usize,
    bytes: usize,
    /// The block of the capture that is being read, if it can be kept.
    block: Option<Block>,
    kept: usize,
    shed: ShedCounters,
    rounds: Sender<Round>,
    merger: ScopedJoinHandle<'scope, io::Result<ShardTotals>>,
}

impl<'scope> Threads<'scope> {
    pub(in crate::pipeline) fn start<'env, 'm: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        (plugins, options): (&Arc<PluginSet>, &Arc<FlowOptions>),
        (workers, is_live): (usize, bool),
        merge: &'m mut Merge<'_>,
    ) -> io::Result<Self> {
        let workers = workers.min(MAX_SHARDS);
        let mut lanes = Vec::new();
        let mut sources = Vec::new();
        for worker in 0..workers {
            let (queue, batches) = bounded(QUEUE);
            let (empties, emptied) = bounded(QUEUE);
            let (outlet, source) = connect();
            let channels = Channels { batches, emptied: empties, outlet };
            let (plugins, options, form) = (plugins.clone(), options.clone(), merge.form());
            let work = move || work(Share::new(Place { worker, workers }, (&plugins, &options), form), channels);
            start(scope, &format!("worker-{worker}"), work)?;
            lanes.push(Lane { queue, emptied, batch: Batch::default(), shedding: Shedding::default() });
            sources.push(source);
        }
        let (rounds, to_gather) = bounded(QUEUE * 2);
        let merger = start(scope, "merge", move || gather(sources, to_gather, is_live, merge))?;
        let shed = ShedCounters::default();
        Ok(Self { lanes, is_live, segments: 0, bytes: 0, block: None, kept: 0, shed, rounds, merger })
    }

    pub(in crate::pipeline) fn finish(mut self, report: &LoopReport) -> io::Result<ShardTotals> {
        let (last, packet) = report.end();
        for lane in &mut self.lanes {
            lane.batch.jobs.push(Job::End(last, packet));
        }
        // A merge that has failed says why itself.
        let _ = self.send(Round { workers: u32::MAX, flush: true, is_last: true });
        self.lanes.clear();
        drop(self.rounds);
        join(self.merger).map(|mut totals| {
            totals.shed = self.shed;
            totals
        })
    }

    /// Sends what was collected to the workers; a live capture only to those that take it at once.
    fn hand_out(&mut self, flush: bool) -> io::Result<()> {
        let mut workers = u32::MAX;
        if self.is_live && self.rounds.is_full() {
            self.lanes.iter_mut().for_each(|lane| lane.shedding.is_behind = true);
            (self.segments, self.bytes, self.kept) = (0, 0, 0);
            return Ok(());
        }
        if self.is_live {
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                if lane.queue.is_full() {
                    lane.shedding.is_behind = true;
                    workers &= !(1 << index);
                } else if lane.queue.is_empty() {
                    lane.shedding.caught_up();
                }
            }
        }
        self.send(Round { workers, flush, is_last: false })
    }

    fn send(&mut self, round: Round) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.rounds.send(round).map_err(|_| gone())?;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if round.workers >> index & 1 == 1 {
                lane.queue
                    .send(std::mem::replace(&mut lane.batch, lane.emptied.try_recv().unwrap_or_default()))
                    .map_err(|_| gone())?;
            }
        }
        (self.segments, self.bytes, self.kept) = (0, 0, 0);
        Ok(())
    }
}

impl Workers for Threads<'_> {
    fn segment(&mut self, placed: &Placed<'_>, processes: Option<&ProcessPair>) -> io::Result<()> {
        let worker = placed.shard.checked_rem(self.lanes.len());
        let Some(lane) = worker.and_then(|worker| self.lanes.get_mut(worker)) else { return Ok(()) };
        let fate = if self.is_live { lane.shedding.judge(placed, &lane.batch, &mut self.shed) } else { Fate::Taken };
        match fate {
            Fate::Taken => {
                let segment = lane.batch.own(placed, self.block.as_ref());
                let processes = processes.map(|processes| Box::new(processes.clone()));
                lane.batch.jobs.push(Job::Segment { segment, processes });
            }
            Fate::Shed => {
                lane.batch.jobs.push(Job::Shed(Box::new(Header::of(placed))));
            }
            Fate::Dropped => {}
        }
        self.segments += 1;
        self.bytes += placed.segment.payload.len();
        if self.segments >= BATCH_SEGMENTS * self.lanes.len() || self.bytes >= BATCH_BYTES {
            self.hand_out(false)?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block) -> io::Result<()> {
        self.kept += block.len();
        self.block = Some(block.clone());
        if self.kept >= BATCH_BLOCKS { self.hand_out(false) } else { Ok(()) }
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        for lane in &mut self.lanes {
            lane.batch.tick(now, packet, is_quiet);
        }
        Ok(())
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>, packet: u64) -> io::Result<()> {
        for lane in &mut self.lanes {
            lane.batch.jobs.push(Job::Plugins { set: set.clone(), packet });
        }
        Ok(())
    }

    /// Larger batches are better here.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_out(true)
    }
}
