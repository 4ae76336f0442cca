//! What the workers give out of each round of batches, brought into one order. A capture file's rounds are waited for, so
//! that the order is always the same. A live capture's are waited for a moment: a worker that is behind must not hold the
//! others up, and what it gives out late comes late.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::job::{Outcome, Returned};
use crate::merge::Merge;
use crate::pipeline::report::ShardTotals;

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

impl Source {
    pub(super) fn new(outcomes: Receiver<Outcome>, returns: Sender<Returned>) -> Self {
        Self { outcomes, returns, owed: 0, is_done: false }
    }

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
