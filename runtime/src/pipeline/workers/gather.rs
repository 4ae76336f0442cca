//! What the workers give out of each round of batches, brought into one order. A capture file's rounds are waited for, so
//! that the order is always the same. A live capture's are waited for a moment: a worker that is behind must not hold the
//! others up, and what it gives out late comes late.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::job::{Outcome, Returned};
use crate::merge::Merge;
use crate::pipeline::report::ShardTotals;
use crate::record::Spares;

/// Batches on their way to a worker, and outcomes on their way from one.
pub(super) const QUEUE: usize = 4;

/// How long a live capture's worker is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// A round of batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// A bit for each worker that got a batch.
    pub(super) workers: u32,
    /// All that waits is to be written.
    pub(super) flush: bool,
    /// No other follows.
    pub(super) is_last: bool,
}

/// A worker, as the merging thread sees it.
pub(super) struct Source {
    outcomes: Receiver<Outcome>,
    returns: Sender<Returned>,
    /// Batches that it has got and whose outcome has not come.
    owed: usize,
    /// Its last outcome has come.
    is_done: bool,
}

/// The merging thread, as a worker sees it.
pub(super) struct Outlet {
    results: Sender<Outcome>,
    returned: Receiver<Returned>,
    pub(super) spares: Spares,
}

/// What connects a worker to the merging thread.
pub(super) fn connect() -> (Outlet, Source) {
    let (results, outcomes) = bounded(QUEUE);
    let (returns, returned) = bounded(QUEUE);
    let outlet = Outlet { results, returned, spares: Spares::default() };
    (outlet, Source { outcomes, returns, owed: 0, is_done: false })
}

impl Outlet {
    /// An empty outcome, in room that came back: one comes back for each that went out.
    pub(super) fn begin(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if let Ok(mut returned) = self.returned.try_recv() {
            self.spares.take_from(&mut returned.spares, usize::MAX);
            outcome.page = returned.page;
        }
        outcome
    }

    /// An error if the merge has ended.
    pub(super) fn send(&self, outcome: Outcome) -> io::Result<()> {
        self.results.send(outcome).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Source {
    /// The next outcome; `None` if it is not waited for.
    fn next(&mut self, may_wait_long: bool) -> io::Result<Option<Outcome>> {
        if self.owed == 0 {
            return Ok(None);
        }
        // One that was waited for in vain is not waited for again.
        let patience = if self.owed > 1 { Duration::ZERO } else { PATIENCE };
        let outcome = if may_wait_long {
            self.outcomes.recv().map(Some).map_err(drop)
        } else {
            match self.outcomes.recv_timeout(patience) {
                Ok(outcome) => Ok(Some(outcome)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(()),
            }
        };
        let outcome = outcome.map_err(|()| io::Error::other("a worker panicked"))?;
        self.owed -= usize::from(outcome.is_some());
        Ok(outcome)
    }
}

/// Hands the merge what the workers gave out, round after round.
pub(super) fn gather(
    mut workers: Vec<Source>,
    rounds: impl IntoIterator<Item = Round>,
    is_live: bool,
    merge: &mut Merge<'_>,
) -> io::Result<ShardTotals> {
    let mut totals = ShardTotals::default();
    let mut emitted = Vec::new();
    for round in rounds {
        for (index, worker) in workers.iter_mut().enumerate() {
            worker.owed += usize::from(round.workers >> index & 1 == 1 && !worker.is_done);
            while let Some(mut outcome) = worker.next(!is_live || round.is_last)? {
                let mut returned = Returned::default();
                returned.spares.take_from(&mut merge.spares, outcome.page.emitted.len());
                merge.add(&mut outcome.page);
                emitted.append(&mut outcome.page.emitted);
                returned.page = outcome.page;
                // If there is no room for it, the worker makes others.
                let _ = worker.returns.try_send(returned);
                if let Some(of_worker) = outcome.totals {
                    totals.merge(of_worker);
                    worker.is_done = true;
                }
            }
        }
        // A worker's outputs are in order already; the sort is stable.
        emitted.sort_by_key(|emitted: &crate::merge::Emitted| (emitted.packet, emitted.is_of_segment, emitted.shard));
        merge.take(&mut emitted)?;
        if round.flush {
            merge.flush()?;
        }
        if workers.iter().all(|worker| worker.is_done) {
            break;
        }
    }
    Ok(totals)
}
