//! What the SDK keeps of each direction of a flow, between the host's calls.

use core::cell::Cell;
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
    /// Where it is in [`IdleLanes`], if it is there.
    slot: Cell<usize>,
}

/// The lanes that came to the end of a message last. They keep their readings, which take a few KiB, for the next one;
/// any others make them anew. So busy flows cost no allocation, and many idle ones no memory.
#[derive(Default)]
pub(super) struct IdleLanes {
    lanes: Vec<Rc<Lane>>,
    next: usize,
}

impl IdleLanes {
    /// That lane came to the end of a message.
    pub(super) fn insert(&mut self, lane: &Rc<Lane>) {
        if self.lanes.get(lane.slot.get()).is_some_and(|known| Rc::ptr_eq(known, lane)) {
            return;
        }
        if self.lanes.len() < MAX_IDLE_LANES {
            lane.slot.set(self.lanes.len());
            self.lanes.push(lane.clone());
            return;
        }
        self.next = (self.next + 1) % MAX_IDLE_LANES;
        if let Some(slot) = self.lanes.get_mut(self.next) {
            lane.slot.set(self.next);
            let before = mem::replace(slot, lane.clone());
            let reading = before.reading.take();
            before.reading.set(reading.filter(|reading| !reading.stream.is_between_messages()));
        }
    }
}
