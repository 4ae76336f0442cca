//! Who serves the shards: the calling thread itself, or several threads. Both give the merge the same outputs in the
//! same order.

use std::io;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Workers;
use crate::capture::SocketEvent;
use crate::merge::{Emitted, Merge};
use crate::packet::{Segment, Timestamp};
use crate::plugin::PluginSet;
use crate::record::Process;
use crate::shard::{FlowOptions, SHARDS, Shard, shard_of};

use super::report::ShardTotals;

/// Segments in a batch, over all workers.
const BATCH_SEGMENTS: usize = 1024;
/// Payload bytes in a batch, over all workers.
const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way to a worker.
const QUEUE: usize = 4;

/// The shards, served by the thread that reads.
pub(super) struct Inline<'m, 's> {
    shards: Vec<Shard>,
    merge: &'m mut Merge<'s>,
    packet: u64,
}

impl<'m, 's> Inline<'m, 's> {
    pub(super) fn new(plugins: &Arc<PluginSet>, options: &Arc<FlowOptions>, merge: &'m mut Merge<'s>) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new(plugins.clone(), options.clone())).collect();
        Self { shards, merge, packet: 0 }
    }

    pub(super) fn finish(mut self, last: Timestamp) -> io::Result<ShardTotals> {
        let mut totals = ShardTotals::default();
        let packet = self.packet.saturating_add(1);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            end(shard, last, packet);
            hand_out(shard, index, (packet, false), self.merge)?;
            totals.add(shard);
        }
        self.merge.flush()?;
        Ok(totals)
    }
}

impl Workers for Inline<'_, '_> {
    fn segment(&mut self, segment: &Segment<'_>) -> io::Result<()> {
        self.packet = segment.packet;
        let index = shard_of(segment);
        let Some(shard) = self.shards.get_mut(index) else { return Ok(()) };
        shard.segment(segment);
        hand_out(shard, index, (segment.packet, true), self.merge)
    }

    fn socket(&mut self, event: &SocketEvent<'_>) -> io::Result<()> {
        self.packet = event.segment.packet;
        let index = shard_of(&event.segment);
        let Some(shard) = self.shards.get_mut(index) else { return Ok(()) };
        shard.socket_segment(&event.segment, event.processes);
        hand_out(shard, index, (self.packet, true), self.merge)
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.packet = packet;
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.tick(now, packet, is_quiet);
            hand_out(shard, index, (packet, false), self.merge)?;
        }
        self.merge.push(end_of_tick(packet))
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>) -> io::Result<()> {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.replace_plugins(set);
            hand_out(shard, index, (self.packet, true), self.merge)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.merge.flush()
    }
}

fn hand_out(shard: &mut Shard, index: usize, at: (u64, bool), merge: &mut Merge<'_>) -> io::Result<()> {
    emitted(shard, index, at).try_for_each(|emitted| merge.push(emitted))
}

/// What a shard gave out at a packet: at the segment itself, or at a tick before it.
fn emitted(shard: &mut Shard, index: usize, (packet, is_of_segment): (u64, bool)) -> impl Iterator<Item = Emitted> {
    shard.drain().map(move |output| Emitted { packet, is_of_segment, shard: index, output: Some(output) })
}

/// Comes after what the shards gave out at a tick.
fn end_of_tick(packet: u64) -> Emitted {
    Emitted { packet, is_of_segment: false, shard: SHARDS, output: None }
}

/// The capture ends here: what waits gets its last tick at the capture's time, and is given up.
fn end(shard: &mut Shard, last: Timestamp, packet: u64) {
    shard.tick(last, packet, true);
    shard.finish("end of capture");
}

/// What happens to a worker's shards, in order.
enum Job {
    Segment { shard: usize, segment: OwnedSegment },
    Socket { shard: usize, segment: Box<(OwnedSegment, [Option<Arc<Process>>; 2])> },
    Tick { now: Timestamp, packet: u64, is_quiet: bool },
    Plugins { set: Arc<PluginSet>, packet: u64 },
    End { last: Timestamp, packet: u64 },
}

/// A segment whose payload lies in its batch.
struct OwnedSegment {
    header: Segment<'static>,
    payload: std::ops::Range<usize>,
}

#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    bytes: Vec<u8>,
}

/// What a batch came to in one worker.
struct Outcome {
    emitted: Vec<Emitted>,
    totals: Option<ShardTotals>,
}

/// The shards, served by several threads. Every batch goes to all of them, so that the merge knows when it has heard
/// of everything before a packet.
pub(super) struct Threads<'scope> {
    queues: Vec<Sender<Batch>>,
    batches: Vec<Batch>,
    segments: usize,
    bytes: usize,
    packet: u64,
    flushes: Sender<bool>,
    merger: ScopedJoinHandle<'scope, io::Result<ShardTotals>>,
}

impl<'scope> Threads<'scope> {
    pub(super) fn start<'env, 'm: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        plugins: &Arc<PluginSet>,
        options: &Arc<FlowOptions>,
        workers: usize,
        merge: &'m mut Merge<'_>,
    ) -> io::Result<Self> {
        let workers = workers.min(SHARDS);
        let mut queues = Vec::new();
        let mut outcomes = Vec::new();
        for worker in 0..workers {
            let (queue, batches) = bounded(QUEUE);
            let (results, outcome) = bounded(QUEUE);
            let (plugins, options) = (plugins.clone(), options.clone());
            let work = move || {
                // It runs what others wrote, and needs nothing.
                #[cfg(target_os = "linux")]
                let _ = crate::privilege::drop_all();
                work(worker, workers, &plugins, &options, &batches, &results)
            };
            std::thread::Builder::new().name(format!("worker-{worker}")).spawn_scoped(scope, work)?;
            queues.push(queue);
            outcomes.push(outcome);
        }
        let (flushes, flushed) = bounded(QUEUE * 2);
        let gather = move || gather(&outcomes, &flushed, merge);
        let merger = std::thread::Builder::new().name("merge".to_owned()).spawn_scoped(scope, gather)?;
        let batches = (0..workers).map(|_| Batch::default()).collect();
        Ok(Self { queues, batches, segments: 0, bytes: 0, packet: 0, flushes, merger })
    }

    pub(super) fn finish(mut self, last: Timestamp) -> io::Result<ShardTotals> {
        let packet = self.packet.saturating_add(1);
        for batch in &mut self.batches {
            batch.jobs.push(Job::End { last, packet });
        }
        // A merge that has failed says why itself.
        let _ = self.send(true);
        self.queues.clear();
        drop(self.flushes);
        self.merger.join().unwrap_or_else(|_| Err(io::Error::other("the merging thread panicked")))
    }

    #[inline]
    fn push(&mut self, segment: &Segment<'_>, job: impl FnOnce(usize, OwnedSegment) -> Job) -> io::Result<()> {
        self.packet = segment.packet;
        let shard = shard_of(segment);
        let worker = shard % self.batches.len().max(1);
        let Some(batch) = self.batches.get_mut(worker) else { return Ok(()) };
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(segment.payload);
        let header = Segment { payload: &[], ..*segment };
        let segment = OwnedSegment { header, payload: start..batch.bytes.len() };
        self.bytes += segment.payload.len();
        self.segments += 1;
        batch.jobs.push(job(shard, segment));
        if self.segments >= BATCH_SEGMENTS || self.bytes >= BATCH_BYTES {
            self.send(false)?;
        }
        Ok(())
    }

    fn send(&mut self, flush: bool) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.flushes.send(flush).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        for (queue, batch) in self.queues.iter().zip(&mut self.batches) {
            queue.send(std::mem::take(batch)).map_err(|_| ()).map_err(gone)?;
        }
        (self.segments, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Workers for Threads<'_> {
    fn segment(&mut self, segment: &Segment<'_>) -> io::Result<()> {
        self.push(segment, |shard, segment| Job::Segment { shard, segment })
    }

    fn socket(&mut self, event: &SocketEvent<'_>) -> io::Result<()> {
        let processes = event.processes.clone();
        self.push(&event.segment, move |shard, segment| Job::Socket { shard, segment: Box::new((segment, processes)) })
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.packet = packet;
        for batch in &mut self.batches {
            batch.jobs.push(Job::Tick { now, packet, is_quiet });
        }
        Ok(())
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>) -> io::Result<()> {
        for batch in &mut self.batches {
            batch.jobs.push(Job::Plugins { set: set.clone(), packet: self.packet });
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send(true)
    }
}

/// A worker: its share of the shards, batch after batch.
fn work(
    worker: usize,
    workers: usize,
    plugins: &Arc<PluginSet>,
    options: &Arc<FlowOptions>,
    batches: &Receiver<Batch>,
    results: &Sender<Outcome>,
) {
    let is_mine = |shard: &usize| shard % workers == worker;
    let mut shards: Vec<(usize, Shard)> =
        (0..SHARDS).filter(is_mine).map(|index| (index, Shard::new(plugins.clone(), options.clone()))).collect();
    for batch in batches {
        let mut outcome = Outcome { emitted: Vec::new(), totals: None };
        for job in batch.jobs {
            job.run(&batch.bytes, workers, &mut shards, &mut outcome);
        }
        if results.send(outcome).is_err() {
            return;
        }
    }
}

impl Job {
    fn run(self, bytes: &[u8], workers: usize, shards: &mut [(usize, Shard)], outcome: &mut Outcome) {
        let take = |at: (u64, bool), index: usize, shard: &mut Shard, out: &mut Vec<Emitted>| {
            out.extend(emitted(shard, index, at));
        };
        match self {
            Self::Segment { shard, segment } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                let payload = bytes.get(segment.payload).unwrap_or_default();
                shard.segment(&Segment { payload, ..segment.header });
                take((segment.header.packet, true), *index, shard, &mut outcome.emitted);
            }
            Self::Socket { shard, segment } => {
                let Some((index, shard)) = shards.get_mut(shard / workers) else { return };
                let (segment, processes) = *segment;
                let payload = bytes.get(segment.payload).unwrap_or_default();
                shard.socket_segment(&Segment { payload, ..segment.header }, &processes);
                take((segment.header.packet, true), *index, shard, &mut outcome.emitted);
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

/// Brings the workers' outcomes of each batch into one order.
fn gather(outcomes: &[Receiver<Outcome>], flushed: &Receiver<bool>, merge: &mut Merge<'_>) -> io::Result<ShardTotals> {
    let mut totals = ShardTotals::default();
    for flush in flushed {
        let mut emitted = Vec::new();
        for outcome in outcomes {
            let Ok(outcome) = outcome.recv() else { return Err(io::Error::other("a worker panicked")) };
            emitted.extend(outcome.emitted);
            if let Some(of_worker) = outcome.totals {
                totals.merge(of_worker);
            }
        }
        // A worker's outputs are in order already; the sort is stable.
        emitted.sort_by_key(|emitted| (emitted.packet, emitted.is_of_segment, emitted.shard));
        emitted.into_iter().try_for_each(|emitted| merge.push(emitted))?;
        if flush {
            merge.flush()?;
        }
    }
    Ok(totals)
}
