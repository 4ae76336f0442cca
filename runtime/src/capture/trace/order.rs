//! Events as the ring gives them in, in the order in which things happened out. An event enters the ring when its system
//! call returns; that of a sender may come behind that of the receiver, which was woken first. Sorted by when a call to
//! send began and a call to receive ended, bytes are sent before they are received, and requests come before responses.
//! Buffers are used again, so that nothing is allocated once it runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::event::Event;

/// Payload buffers that are kept for use.
const SPARE: usize = 4096;

/// An event that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its turn.
    key: u64,
    /// Of two at the same time, the one that came first.
    number: u64,
    pub(super) event: Event,
    pub(super) payload: Vec<u8>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.key, self.number) == (other.key, other.number)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.key, self.number).cmp(&(other.key, other.number))
    }
}

/// Events in order.
#[derive(Debug, Default)]
pub(super) struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    spare: Vec<Vec<u8>>,
    number: u64,
    bytes: usize,
}

impl Order {
    /// Takes an event whose turn comes `delay` nanoseconds after it happened.
    pub(super) fn push(&mut self, event: Event, payload: &[u8], delay: u64) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(payload);
        self.number += 1;
        self.bytes += payload.len();
        let waiting = Waiting { key: event.at.saturating_add(delay), number: self.number, event, payload: buffer };
        self.waiting.push(Reverse(waiting));
    }

    /// The next event, if its turn came before `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<Waiting> {
        if self.waiting.peek()?.0.key > until {
            return None;
        }
        let Reverse(waiting) = self.waiting.pop()?;
        self.bytes = self.bytes.saturating_sub(waiting.payload.len());
        Some(waiting)
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE {
            self.spare.push(buffer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Payload bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
