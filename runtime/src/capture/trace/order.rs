//! Events whose turn has yet to come in, in the order of their turns out. An event enters the ring when its system call
//! returns; that of a sender may come behind that of the receiver, which was woken first. Sorted by when what was
//! sent left and a call to receive ended, bytes are sent before they are received, and requests come before responses. What
//! is sorted is small; events and payloads stay in slots that are used again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::connections::Turn;
use super::event::Event;

/// Empty slots that are kept for use, and the room for payload of each.
const SPARE: usize = 4096;
/// Events that may wait for their turn, and their payload bytes; beyond, the oldest come at once.
const WAITING: usize = 1 << 18;
const WAITING_BYTES: usize = 64 << 20;

/// An event that waits for its turn.
#[derive(Debug)]
struct Waiting {
    event: Event,
    turn: Turn,
    payload: Vec<u8>,
}

/// Events in order.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// When it is an event's turn; of two at the same time, the one that came first; its slot.
    turns: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Waiting>,
    free: Vec<usize>,
    number: u64,
    bytes: usize,
}

impl Order {
    /// Takes an event whose turn comes at that time.
    pub(super) fn push(&mut self, event: Event, payload: &[u8], turn: Turn) {
        let (Turn::At(at) | Turn::SpareAt(at)) = turn else { return };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Waiting { event, turn, payload: Vec::new() });
                self.slots.len() - 1
            }
        };
        let Some(waiting) = self.slots.get_mut(slot) else { return };
        (waiting.event, waiting.turn) = (event, turn);
        waiting.payload.clear();
        waiting.payload.extend_from_slice(payload);
        self.number += 1;
        self.bytes += payload.len();
        self.turns.push(Reverse((at, self.number, slot)));
    }

    /// The next event, if its turn came before `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(&Event, Turn, &[u8])> {
        let is_full = self.turns.len() > WAITING || self.bytes > WAITING_BYTES;
        let Reverse((at, _, _)) = self.turns.peek()?;
        if *at > until && !is_full {
            return None;
        }
        if self.free.len() >= SPARE {
            self.shrink();
        }
        let Reverse((_, _, slot)) = self.turns.pop()?;
        let waiting = self.slots.get(slot)?;
        self.bytes = self.bytes.saturating_sub(waiting.payload.len());
        self.free.push(slot);
        Some((&waiting.event, waiting.turn, &waiting.payload))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// After a burst, its memory is given back.
    fn shrink(&mut self) {
        if let Some(waiting) = self.free.last().and_then(|slot| self.slots.get_mut(*slot)) {
            waiting.payload = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::event::{Event, Kind};
    use super::{Order, SPARE, Turn};
    use crate::packet::Endpoint;

    fn event(at: u64) -> Event {
        let end = |port| Endpoint { ip: "127.0.0.1".parse::<IpAddr>().unwrap(), port };
        let (kind, local, remote) = (Kind::Sent, end(1), end(2));
        Event {
            at,
            socket: 0,
            tgid: 0,
            comm: [0; 16],
            seq: 0,
            ack: 0,
            first: 0,
            missing: 0,
            kind,
            flags: 0,
            local,
            remote,
        }
    }

    fn drain(order: &mut Order, until: u64) -> Vec<(u64, Vec<u8>)> {
        std::iter::from_fn(|| order.pop(until).map(|(event, _, payload)| (event.at, payload.to_vec()))).collect()
    }

    #[test]
    fn events_come_in_the_order_of_their_turns_whatever_order_they_arrive_in() {
        let mut order = Order::default();
        for (at, turn) in [(30, Turn::At(30)), (10, Turn::SpareAt(60)), (20, Turn::At(20)), (5, Turn::At(5))] {
            order.push(event(at), &[at as u8], turn);
        }
        assert_eq!(drain(&mut order, 25), [(5, vec![5]), (20, vec![20])]);
        assert!(!order.is_empty(), "two wait");
        assert_eq!(order.pop(60), Some((&event(30), Turn::At(30), [30].as_slice())));
        assert_eq!(order.pop(60), Some((&event(10), Turn::SpareAt(60), [10].as_slice())));
        assert!(order.is_empty() && order.bytes == 0);
    }

    #[test]
    fn of_events_at_the_same_time_the_first_one_comes_first() {
        let mut order = Order::default();
        (0..100).for_each(|n| order.push(event(1), &[n], Turn::At(1)));
        let came: Vec<u8> = drain(&mut order, 1).into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(came, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn a_turn_at_the_end_of_time_comes_with_the_end() {
        let mut order = Order::default();
        order.push(event(1), b"x", Turn::At(u64::MAX));
        assert!(order.pop(u64::MAX - 1).is_none());
        assert!(order.pop(u64::MAX).is_some());
    }

    #[test]
    fn payloads_over_the_limit_do_not_wait() {
        let mut order = Order::default();
        let half = vec![0; super::WAITING_BYTES / 2];
        (1..4).for_each(|at| order.push(event(at), &half, Turn::At(at)));
        assert_eq!(drain(&mut order, 0).len(), 1);
        let mut order = Order::default();
        (0..super::WAITING as u64 + 3).for_each(|at| order.push(event(at), b"", Turn::At(at + 1)));
        assert_eq!(drain(&mut order, 0).len(), 3);
    }

    #[test]
    fn slots_are_used_again_and_the_memory_of_a_burst_is_given_back() {
        let mut order = Order::default();
        (0..4 * SPARE).for_each(|_| order.push(event(1), b"of before", Turn::At(1)));
        assert_eq!(drain(&mut order, 1).len(), 4 * SPARE);
        let kept = order.slots.iter().filter(|waiting| waiting.payload.capacity() > 0).count();
        assert!(kept <= SPARE + 1, "{kept}");
        order.push(event(2), b"new", Turn::At(2));
        assert_eq!((drain(&mut order, 2), order.slots.len()), (vec![(2, b"new".to_vec())], 4 * SPARE));
    }
}
