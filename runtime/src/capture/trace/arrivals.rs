//! What the ring holds in, segments out, a batch at a time. What can be told at once is copied once, next to what came before
//! it; the rest waits for its turn, and joins a later batch.

use super::connections::{Connections, Made, Payload, Turn};
use super::event::Event;
use super::order::Order;

/// Events that waited and are told in one batch.
const BATCH: usize = 256;

/// Segments to be told, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    made: Vec<Made>,
    /// Where each one's bytes end.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    next: usize,
    /// Where the bytes of the next one begin.
    begin: usize,
}

impl Batch {
    /// The next segment and its bytes.
    pub(super) fn next(&mut self) -> Option<(&Made, &[u8])> {
        let (made, end) = (self.made.get(self.next)?, *self.ends.get(self.next)?);
        let bytes = self.bytes.get(self.begin..end)?;
        (self.next, self.begin) = (self.next + 1, end);
        Some((made, bytes))
    }

    pub(super) fn is_over(&self) -> bool {
        self.next >= self.made.len()
    }

    fn clear(&mut self) {
        self.made.clear();
        self.ends.clear();
        self.bytes.clear();
        (self.next, self.begin) = (0, 0);
    }

    /// Adds the bytes of the segments that an event just made.
    fn seal(&mut self, payload: &[u8]) {
        for made in self.made.iter().skip(self.ends.len()) {
            match &made.payload {
                Payload::None => {}
                Payload::Own => self.bytes.extend_from_slice(payload),
                Payload::Kept(kept) => self.bytes.extend_from_slice(kept),
            }
            self.ends.push(self.bytes.len());
        }
    }
}

/// What the ring's events go through.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) connections: Connections,
    order: Order,
    batch: Batch,
    /// Wall clock minus monotonic clock.
    clock_offset: u64,
    /// When the last of the events happened that came from the ring, and until when all have come.
    newest: u64,
    has_come: u64,
    /// Events that are not as `bpf/event.h` says: none, unless the two halves are of different versions.
    malformed: u64,
}

impl Arrivals {
    pub(super) fn new(clock_offset: u64) -> Self {
        Self { clock_offset, ..Self::default() }
    }

    /// Takes an event from the ring.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let Some((event, payload)) = Event::parse(bytes) else {
            self.malformed += 1;
            return;
        };
        tracing::trace!(?event, len = payload.len());
        self.newest = self.newest.max(event.at);
        let at = event.at.saturating_add(self.clock_offset);
        let turn = self.connections.arrive(&event, payload, at, &mut self.batch.made);
        match turn {
            Turn::Now => self.batch.seal(payload),
            Turn::Never => {}
            Turn::At(_) | Turn::SpareAt(_) => self.order.push(event, payload, turn),
        }
    }

    /// Events that waited and whose turn came before `until`; false if there was none.
    pub(super) fn advance(&mut self, until: u64) -> bool {
        for told in 0..BATCH {
            let Some((event, turn, payload)) = self.order.pop(until) else { return told > 0 };
            let at = event.at.saturating_add(self.clock_offset);
            self.connections.tell((event, turn), payload, at, &mut self.batch.made);
            self.batch.seal(payload);
        }
        true
    }

    /// What remains to be told when all has come; false if there is nothing.
    pub(super) fn finish(&mut self) -> bool {
        let before = self.batch.made.len();
        self.connections.finish(&mut self.batch.made);
        self.batch.seal(&[]);
        self.batch.made.len() > before
    }

    /// Until when all that happened has come from the ring, which was read at that time, to its end or not. While there is more
    /// in it than is read at once, what waits must not be told by the clock.
    pub(super) fn has_come(&mut self, read_at: u64, is_all: bool) -> u64 {
        self.has_come = if is_all { read_at } else { self.has_come.max(self.newest.min(read_at)) };
        self.has_come
    }

    /// Gives the batch for one that was told.
    pub(super) fn exchange(&mut self, told: &mut Batch) {
        told.clear();
        std::mem::swap(told, &mut self.batch);
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::written;
    use super::Arrivals;

    #[test]
    fn while_the_ring_has_more_the_clock_is_that_of_its_events() {
        let mut arrivals = Arrivals::new(0);
        assert_eq!(arrivals.has_come(50, true), 50);
        arrivals.take(&written(90));
        assert_eq!(arrivals.has_come(100, false), 90);
        arrivals.take(&written(80));
        assert_eq!(arrivals.has_come(110, false), 90, "it does not go back");
        arrivals.take(&written(u64::MAX));
        assert_eq!(arrivals.has_come(120, false), 120, "nor is it ahead");
        assert_eq!(arrivals.has_come(130, true), 130);
    }
}
