//! Bytes that one end did not tell, while the other one may. Reassembly would wait for them a second long, with all that was
//! answered meanwhile; the other end's call is mostly a few milliseconds away, if it was seen at all.

use super::Made;
use crate::packet::Timestamp;

/// How long the other end is waited for, in nanoseconds, from the call on that shows the hole: more than its calls wait
/// themselves, and than a busy machine keeps a program from reading what came.
pub(super) const PATIENCE: u64 = 50_000_000;
/// Holes of a connection that wait; of more, the oldest is given up.
const WAITING: usize = 64;

/// The holes of a connection, the oldest first: each as the segment that says that its bytes are missing. Of those that were
/// filled, it says nothing new.
#[derive(Debug, Default)]
pub(super) struct Holes {
    waiting: Vec<(u64, Made)>,
}

impl Holes {
    /// A hole that showed then. Gives the oldest one if there is no room for it.
    pub(super) fn add(&mut self, since: u64, missing: Made) -> Option<Made> {
        self.waiting.push((since, missing));
        (self.waiting.len() > WAITING).then(|| self.waiting.remove(0).1)
    }

    /// Those that nobody has filled in time, at capture time `at`.
    pub(super) fn due(&mut self, now: u64, at: Timestamp) -> impl Iterator<Item = Made> {
        let is_due = |since: u64| since.saturating_add(PATIENCE) <= now;
        let due = self.waiting.iter().take_while(|(since, _)| is_due(*since)).count();
        self.waiting.drain(..due).map(move |(_, mut made)| {
            made.segment.at = at;
            made
        })
    }
}
