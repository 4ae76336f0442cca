//! What the SDK keeps of each direction of a flow, between the host's calls.

use core::cell::{Cell, RefCell};
use core::mem;
use core::pin::Pin;
use std::rc::Rc;

use super::{Stop, Stream};

/// Lanes that keep their readings between two messages.
const MAX_IDLE_LANES: usize = 256;

/// The code that reads one direction of a flow, and the stream that it reads.
pub(super) struct Reading {
    pub(super) stream: Stream,
    pub(super) reader: Pin<Box<dyn Future<Output = Stop>>>,
}

/// One direction of a flow. Between two messages it can do without its reading.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) reading: Cell<Option<Reading>>,
    /// That is in the middle of a message.
    pub(super) is_inside: Cell<bool>,
    /// Where it is in [`IdleLanes`], if it is there.
    slot: Cell<usize>,
}

impl Lane {
    /// Nothing that was being read is gone on with.
    pub(super) fn forget(&self) {
        self.reading.take();
        self.is_inside.set(false);
    }
}

/// The lanes that came to the end of a message last. They keep their readings, which take a few KiB, for the next one;
/// any others make them anew. So busy flows cost no allocation, and many idle ones no memory.
#[derive(Default)]
pub(super) struct IdleLanes {
    lanes: RefCell<Vec<Rc<Lane>>>,
    /// The one that makes room next.
    oldest: Cell<usize>,
}

impl IdleLanes {
    /// That lane came to the end of a message.
    pub(super) fn insert(&self, lane: &Rc<Lane>) {
        let mut lanes = self.lanes.borrow_mut();
        if lanes.get(lane.slot.get()).is_some_and(|known| Rc::ptr_eq(known, lane)) {
            return;
        }
        if lanes.len() < MAX_IDLE_LANES {
            lane.slot.set(lanes.len());
            lanes.push(lane.clone());
            return;
        }
        let oldest = self.oldest.get();
        self.oldest.set((oldest + 1) % MAX_IDLE_LANES);
        if let Some(slot) = lanes.get_mut(oldest) {
            lane.slot.set(oldest);
            let before = mem::replace(slot, lane.clone());
            let reading = before.reading.take();
            before.reading.set(reading.filter(|reading| !reading.stream.is_between_messages()));
        }
    }

    /// That lane is over.
    pub(super) fn remove(&self, lane: &Rc<Lane>) {
        let mut lanes = self.lanes.borrow_mut();
        let slot = lane.slot.get();
        if lanes.get(slot).is_some_and(|known| Rc::ptr_eq(known, lane)) {
            lanes.swap_remove(slot);
            if let Some(moved) = lanes.get(slot) {
                moved.slot.set(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IdleLanes, Lane, MAX_IDLE_LANES};
    use std::rc::Rc;

    #[test]
    fn a_lane_is_there_once_until_it_is_over_or_makes_room() {
        let idle = IdleLanes::default();
        let lanes: Vec<Rc<Lane>> = (0..MAX_IDLE_LANES + 2).map(|_| Rc::default()).collect();
        let first = |count: usize| lanes.iter().take(count);
        for lane in first(3).chain(first(3)) {
            idle.insert(lane);
        }
        assert_eq!(idle.lanes.borrow().len(), 3);
        idle.remove(&lanes[0]);
        idle.remove(&lanes[0]);
        assert_eq!(first(3).map(Rc::strong_count).collect::<Vec<_>>(), [1, 2, 2]);
        lanes.iter().for_each(|lane| idle.insert(lane));
        assert_eq!(idle.lanes.borrow().len(), MAX_IDLE_LANES);
        assert_eq!(lanes.iter().filter(|lane| Rc::strong_count(lane) == 2).count(), MAX_IDLE_LANES);
        lanes.iter().for_each(|lane| idle.remove(lane));
        assert!(idle.lanes.borrow().is_empty());
    }
}
