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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::event::{Event, Kind};
    use super::{Order, SPARE};
    use crate::packet::Endpoint;

    fn event(at: u64) -> Event {
        let end = |port| Endpoint { ip: "127.0.0.1".parse::<IpAddr>().unwrap(), port };
        let (kind, local, remote) = (Kind::Sent, end(1), end(2));
        Event { at, socket: 0, tgid: 0, comm: [0; 16], seq: 0, ack: 0, missing: 0, kind, flags: 0, local, remote }
    }

    fn drain(order: &mut Order, until: u64) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| order.pop(until)).map(|waiting| (waiting.event.at, waiting.payload)).collect()
    }

    #[test]
    fn events_come_in_the_order_of_their_turns_whatever_order_they_arrive_in() {
        let mut order = Order::default();
        for (at, delay) in [(30, 0), (10, 50), (20, 0), (5, 0)] {
            order.push(event(at), &[at as u8], delay);
        }
        assert_eq!(drain(&mut order, 25), [(5, vec![5]), (20, vec![20])]);
        assert_eq!((order.bytes(), order.is_empty()), (2, false), "two wait");
        assert_eq!(drain(&mut order, 60), [(30, vec![30]), (10, vec![10])]);
        assert_eq!((order.bytes(), order.is_empty()), (0, true));
    }

    #[test]
    fn of_events_at_the_same_time_the_first_one_comes_first() {
        let mut order = Order::default();
        (0..100).for_each(|n| order.push(event(1), &[n], 0));
        let came: Vec<u8> = drain(&mut order, 1).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(came, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn a_turn_at_the_end_of_time_comes_with_the_end() {
        let mut order = Order::default();
        order.push(event(u64::MAX), b"x", 20);
        assert!(order.pop(u64::MAX - 1).is_none());
        assert!(order.pop(u64::MAX).is_some());
    }

    #[test]
    fn buffers_are_used_again_and_hold_nothing_of_before() {
        let mut order = Order::default();
        let mut old = Vec::with_capacity(1 << 16);
        old.extend_from_slice(b"of before");
        order.recycle(old);
        order.push(event(1), b"new", 0);
        let waiting = order.pop(1).unwrap();
        assert_eq!((waiting.payload.as_slice(), waiting.payload.capacity()), (b"new".as_slice(), 1 << 16));
        (0..2 * SPARE).for_each(|_| order.recycle(Vec::new()));
        assert_eq!(order.spare.len(), SPARE);
    }
}
