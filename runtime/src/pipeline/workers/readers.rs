//! Workers that each read the capture for themselves, and take what is of their own shards: only lines change cores. What
//! each gave out of a round of packets goes to the merge. All see the same packets, so their rounds are the same, and if
//! the run is told to stop, all stop at the end of the same one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::gather::{Outlet, QUEUE, Round, connect, gather};
use super::job::Outcome;
use super::share::Share;
use super::{join, start};
use crate::capture::CaptureSource;
use crate::merge::Merge;
use crate::packet::Timestamp;
use crate::pipeline::front::{Place, Placed};
use crate::pipeline::report::ShardTotals;
use crate::pipeline::{LoopReport, Observer, RunError, RunOptions, Unobserved, Workers, drive};
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::FlowOptions;

/// Rounds that a reader may be ahead of another one: those in the queue, the one that finds no room there, and the next.
const AHEAD: u64 = QUEUE as u64 + 2;

/// Runs the capture that each of these sources gives all of, with a worker for each; the first one's is this thread, and
/// is observed.
pub(in crate::pipeline) fn read_each(
    first: &mut dyn CaptureSource,
    others: Vec<Box<dyn CaptureSource + Send>>,
    (plugins, flows): (&Arc<PluginSet>, &Arc<FlowOptions>),
    (options, observer): (&RunOptions, &mut dyn Observer),
    merge: &mut Merge<'_>,
) -> Result<(LoopReport, ShardTotals), RunError> {
    let workers = others.len() + 1;
    let ending = &Ending { asked: options.stop.clone(), round: AtomicU64::new(u64::MAX) };
    let mut outcomes = Vec::new();
    let mut reader = |worker| {
        let (outlet, source) = connect();
        outcomes.push(source);
        let form = merge.form();
        // Made in its own thread.
        move || {
            let place = Place { worker, workers };
            Reader::new(Share::new(place, (plugins, flows), form), place, ending, outlet)
        }
    };
    let mine = reader(0);
    let theirs: Vec<_> = others.into_iter().zip(1..).map(|(source, worker)| (worker, source, reader(worker))).collect();
    // Who asks for counters is told those of the first one.
    let unasked = &RunOptions { wants_counters: Arc::default(), ..options.clone() };
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for (worker, mut source, reader) in theirs {
            let run = move || reader().run(&mut *source, unasked, &mut Unobserved);
            running.push(start(scope, &format!("worker-{worker}"), run).map_err(RunError::Worker)?);
        }
        let rounds = std::iter::repeat(Round { workers: u32::MAX, flush: false, is_last: false });
        let merge_all = move || gather(outcomes, rounds, false, merge).and_then(|all| merge.flush().map(|()| all));
        let merger = start(scope, "merge", merge_all).map_err(RunError::Worker)?;
        let report = mine().run(first, options, observer);
        // If the merge ended early, that is why the workers did.
        let totals = join(merger).map_err(RunError::Output)?;
        let mut report = report.map_err(RunError::Output)?;
        for worker in running {
            report.add(join(worker).map_err(RunError::Output)?);
        }
        Ok((report, totals))
    })
}

/// Where the run ends early.
struct Ending {
    /// Whether it is to end.
    asked: Arc<AtomicBool>,
    /// The round that is the last one then: one that nobody has ended yet.
    round: AtomicU64,
}

/// A worker that reads.
struct Reader<'a> {
    share: Share,
    outcome: Outcome,
    outlet: Outlet,
    place: Place,
    round: u64,
    ending: &'a Ending,
    /// Ends this reader's loop.
    stop: Arc<AtomicBool>,
}

impl<'a> Reader<'a> {
    fn new(share: Share, place: Place, ending: &'a Ending, outlet: Outlet) -> Self {
        let (outcome, stop) = Default::default();
        Self { share, outcome, outlet, place, round: 0, ending, stop }
    }

    fn run(
        mut self,
        source: &mut dyn CaptureSource,
        options: &RunOptions,
        observer: &mut dyn Observer,
    ) -> io::Result<LoopReport> {
        let options = RunOptions { stop: self.stop.clone(), ..options.clone() };
        let report = drive(source, (&options, self.place), &mut self, observer);
        if report.is_err() {
            self.end_all();
        }
        let end = report.as_ref().map_or((0, u64::MAX), LoopReport::end);
        self.outcome.totals = Some(self.share.end(end, (&mut self.outcome.page, &mut self.outlet.spares)));
        self.send().and(report)
    }

    /// All are to end, at the same place. The first who says so decides.
    fn end_all(&self) {
        let last = self.round.saturating_add(AHEAD);
        let _ = self.ending.round.compare_exchange(u64::MAX, last, Ordering::Relaxed, Ordering::Relaxed);
    }

    #[cold]
    fn send(&mut self) -> io::Result<()> {
        self.round += 1;
        if self.ending.asked.load(Ordering::Relaxed) {
            self.end_all();
        }
        self.stop.store(self.round >= self.ending.round.load(Ordering::Relaxed), Ordering::Relaxed);
        let next = self.outlet.begin();
        self.outlet.send(std::mem::replace(&mut self.outcome, next))
    }
}

impl Workers for Reader<'_> {
    fn end_round(&mut self) -> io::Result<()> {
        self.send()
    }

    fn segment(&mut self, segment: &Placed<'_>, processes: Option<&ProcessPair>) -> io::Result<()> {
        self.share.segment(segment, processes, (&mut self.outcome.page, &mut self.outlet.spares));
        Ok(())
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.share.tick(now, packet, is_quiet, (&mut self.outcome.page, &mut self.outlet.spares));
        Ok(())
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>, packet: u64) -> io::Result<()> {
        self.share.replace_plugins(set, packet, (&mut self.outcome.page, &mut self.outlet.spares));
        Ok(())
    }

    /// Larger rounds are better here.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Nothing is live.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
