//! The only loop: packets from a source, through duplicates, decoding and the shards, to the sink. With one worker it
//! is one thread. With more, each has its shards, and what they give out is put into the order that one worker would have
//! given: each runs the loop over the whole of a file, or one thread does and hands out segments (see `workers`).

mod front;
mod report;
mod workers;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use thiserror::Error;

use self::front::{Front, Place, Placed};
pub use self::report::RunReport;
use self::workers::{Inline, Threads, read_each};
use crate::capture::{Block, CaptureError, CaptureEvent, CaptureSource, CaptureStats};
use crate::emit::Sink;
use crate::merge::Merge;
use crate::packet::{IgnoredCounts, RawPacket, Timestamp};
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::{FlowOptions, MAX_SHARDS, shards_of};

/// Packets of a round: workers that read the same capture hand on what they have after the same packets.
const ROUND_PACKETS: usize = 1024;
/// Bytes of packets in a round, about.
const ROUND_BYTES: usize = 1 << 20;

/// Capture time between two looks at what waits, in nanoseconds.
const TICK: u64 = 1_000_000_000;

/// How a run goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Threads that parse; 1 is everything in one thread.
    pub workers: usize,
    /// How flows are treated.
    pub flows: FlowOptions,
    /// Stop after so many packets.
    pub max_packets: Option<u64>,
    /// Stop after so long, by the wall clock.
    pub duration: Option<Duration>,
    /// Set from outside to end the run.
    pub stop: Arc<AtomicBool>,
    /// Set from outside to have the counters told.
    pub wants_counters: Arc<AtomicBool>,
    /// Brings other plugins while the run is under way.
    pub plugins: Option<Receiver<Arc<PluginSet>>>,
}

/// Why a run ended early. What was captured before it has been written.
#[derive(Debug, Error)]
pub enum RunError {
    /// The records, or what an observer writes, could not be written.
    #[error("cannot write: {0}")]
    Output(#[source] io::Error),
    /// A worker did not start.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

/// Sees every packet as it is read: writes it to a file, shows progress.
pub trait Observer {
    /// A packet was read.
    fn packet(&mut self, packet: &RawPacket<'_>) -> io::Result<()>;
    /// Somebody asked for the counters.
    fn counters(&mut self, _stats: &CaptureStats) -> io::Result<()> {
        Ok(())
    }
    /// No packet is waiting.
    fn idle(&mut self) -> io::Result<()>;
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn packet(&mut self, _: &RawPacket<'_>) -> io::Result<()> {
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands between the loop and the shards.
trait Workers {
    /// A segment; of one told by a socket, the processes at its source and destination as far as known.
    fn segment(&mut self, segment: &Placed<'_>, processes: Option<&ProcessPair>) -> io::Result<()>;
    /// The segments that follow may lie in this block.
    fn block(&mut self, _block: &Block) -> io::Result<()> {
        Ok(())
    }
    /// A round of packets is over, for all who read them.
    fn end_round(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()>;
    /// Other plugins behind that packet.
    fn replace_plugins(&mut self, set: &Arc<PluginSet>, packet: u64) -> io::Result<()>;
    /// A good moment to write what is complete, while it is in the processor's cache.
    fn settle(&mut self) -> io::Result<()>;
    /// Nothing is waiting: what was collected goes out.
    fn flush(&mut self) -> io::Result<()>;
}

/// What the loop itself counts.
#[derive(Debug, Default)]
struct LoopReport {
    ignored: IgnoredCounts,
    duplicates: u64,
    first: Option<Timestamp>,
    last: Timestamp,
    next_tick: Timestamp,
    /// Number of the last packet.
    packets: u64,
    /// The last plugins that took the place of the first ones.
    plugins: Option<Arc<PluginSet>>,
    errors: Vec<CaptureError>,
}

/// Runs a capture to its end, or until it is told to stop.
pub fn run(
    source: &mut dyn CaptureSource,
    plugins: &Arc<PluginSet>,
    options: &RunOptions,
    sink: &mut (dyn Sink + Send),
    observer: &mut dyn Observer,
) -> Result<RunReport, RunError> {
    let flows = Arc::new(options.flows.for_each_of(shards_of(options.workers)));
    let mut merge = Merge::new(sink);
    if options.workers <= 1 {
        let mut inline = Inline::new(plugins, &flows, &mut merge);
        let counted = drive(source, (options, Place::ALONE), &mut inline, observer).map_err(RunError::Output)?;
        let shards = inline.finish(&counted).map_err(RunError::Output)?;
        return Ok(RunReport::new(source.stats(), counted, plugins, shards, &merge));
    }
    if let Some(others) = read_again(source, options) {
        let watched = (options, observer);
        let (counted, shards) = read_each(source, others, (plugins, &flows), watched, &mut merge)?;
        return Ok(RunReport::new(source.stats(), counted, plugins, shards, &merge));
    }
    source.share();
    let is_live = source.is_live();
    let (counted, shards) = std::thread::scope(|scope| {
        let mut threads = Threads::start(scope, (plugins, &flows), (options.workers, is_live), &mut merge)
            .map_err(RunError::Worker)?;
        let counted = drive(source, (options, Place::ALONE), &mut threads, observer);
        let shards = threads.finish(counted.as_ref().unwrap_or(&LoopReport::default())).map_err(RunError::Output)?;
        Ok((counted.map_err(RunError::Output)?, shards))
    })?;
    Ok(RunReport::new(source.stats(), counted, plugins, shards, &merge))
}

/// The capture once more for each worker but the first one, if it can be read so often.
fn read_again(source: &mut dyn CaptureSource, options: &RunOptions) -> Option<Vec<Box<dyn CaptureSource + Send>>> {
    // Whatever comes from outside would come to one of them alone.
    let is_alone = options.plugins.is_none() && options.duration.is_none();
    is_alone.then(|| source.again(options.workers.min(MAX_SHARDS) - 1)).flatten()
}

fn drive(
    source: &mut dyn CaptureSource,
    (options, place): (&RunOptions, Place),
    workers: &mut dyn Workers,
    observer: &mut dyn Observer,
) -> io::Result<LoopReport> {
    let started = Instant::now();
    let mut report = LoopReport::default();
    let shards = shards_of(options.workers);
    let mut front = Front::new(place, shards);
    let mut round = (0, 0);
    while (!options.stop.load(Ordering::Relaxed) || source.drains())
        && options.max_packets.is_none_or(|max| report.packets < max)
    {
        match source.next() {
            Ok(CaptureEvent::Packet(ref packet)) => {
                report.packets = packet.number;
                observer.packet(packet)?;
                round = (round.0 + 1, round.1 + packet.data.len());
                if round.0 > ROUND_PACKETS || round.1 > ROUND_BYTES {
                    workers.end_round()?;
                    round = (1, packet.data.len());
                }
                if report.see(packet.at) {
                    workers.tick(report.last, packet.number, false)?;
                }
                front.packet(packet, |segment| Some(workers.segment(segment, None))).transpose()?;
            }
            Ok(CaptureEvent::Socket(event)) => {
                report.packets = event.segment.packet;
                if report.see(event.segment.at) {
                    workers.tick(report.last, report.packets, false)?;
                }
                workers.segment(&Placed::new(&event.segment, shards), Some(event.processes))?;
            }
            Ok(CaptureEvent::Block(block)) => workers.block(block)?,
            Ok(CaptureEvent::Settled) => workers.settle()?,
            Ok(CaptureEvent::Pause) => {
                workers.tick(report.last, report.packets, false)?;
                workers.flush()?;
            }
            Ok(CaptureEvent::Idle) => {
                workers.tick(report.last, report.packets, true)?;
                workers.flush()?;
                observer.idle()?;
            }
            Ok(CaptureEvent::End) => break,
            Err(error) => report.errors.push(error),
        }
        while let Some(set) = options.plugins.as_ref().and_then(|plugins| plugins.try_recv().ok()) {
            workers.replace_plugins(&set, report.packets)?;
            source.plugins_changed(set.reads_datagrams());
            report.plugins = Some(set);
        }
        // Looked at first: to swap costs more than most packets.
        if options.wants_counters.load(Ordering::Relaxed) && options.wants_counters.swap(false, Ordering::Relaxed) {
            observer.counters(&source.stats())?;
        }
        if options.duration.is_some_and(|duration| started.elapsed() >= duration) {
            break;
        }
    }
    (report.ignored, report.duplicates) = front.counted();
    Ok(report)
}

impl LoopReport {
    /// The end of the capture: its time, and a number behind the last packet.
    fn end(&self) -> (Timestamp, u64) {
        (self.last, self.packets.saturating_add(1))
    }

    /// Adds what another loop over the same packets counted of its own shards. What it could not read, this one mostly
    /// could not either.
    fn add(&mut self, other: Self) {
        self.ignored.add(&other.ignored);
        self.duplicates += other.duplicates;
        for error in other.errors {
            if !self.errors.iter().any(|known| known.to_string() == error.to_string()) {
                self.errors.push(error);
            }
        }
    }

    /// Something was captured; whether a tick is due before it.
    fn see(&mut self, at: Timestamp) -> bool {
        self.first.get_or_insert(at);
        self.last = self.last.max(at);
        let is_due = self.last >= self.next_tick;
        if is_due {
            self.next_tick = self.last.saturating_add(TICK);
        }
        is_due
    }
}
