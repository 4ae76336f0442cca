//! Whole conversations, shuffled within eight packets, doubled, begun in the middle, with losses.

use super::traffic::{conversation, double, shuffle, stream_bytes};
use super::{Event, Sent, Tap};
use crate::reassembly::{CloseReason, Direction};
use proptest::collection;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use std::collections::HashMap;

/// Feeds a whole capture; the events of each packet, and of the end.
fn run(packets: &[Sent]) -> (Tap, Vec<Event>) {
    let mut tap = Tap::default();
    let mut events: Vec<Event> = packets.iter().flat_map(|sent| tap.observe(sent).1).collect();
    events.extend(tap.finish_events());
    (tap, events)
}

/// The bytes of one direction; a gap in them is a failure.
fn bytes_of(events: &[Event], direction: Direction) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        match event {
            Event::Data(from, offset, bytes) if *from == direction => {
                assert_eq!(*offset, all.len() as u64);
                all.extend(bytes);
            }
            Event::Gap(..) => panic!("{event:?}"),
            _ => {}
        }
    }
    all
}

/// Where one direction had come to when each byte of the other was delivered.
fn turns(events: &[Event], direction: Direction) -> Vec<u64> {
    let (mut opposite, mut turns) = (0, Vec::new());
    for event in events {
        match event {
            Event::Data(from, _, bytes) if *from == direction => turns.extend(bytes.iter().map(|_| opposite)),
            Event::Data(_, _, bytes) => opposite += bytes.len() as u64,
            _ => {}
        }
    }
    turns
}

/// For each byte of a stream: the least that any arrived segment with it acknowledged.
#[derive(Default)]
struct Acks(HashMap<(Direction, u64), u64>);

impl Acks {
    fn arrive(&mut self, sent: &Sent, starts: [u32; 2]) {
        let [up, down] = starts;
        let (mine, theirs) = if sent.direction == Direction::ToServer { (up, down) } else { (down, up) };
        let Some(ack) = sent.tcp.ack else { return };
        let (from, ack) = (u64::from(sent.tcp.seq.wrapping_sub(mine)), u64::from(ack.wrapping_sub(theirs)));
        for offset in (from..).take(sent.bytes.len()) {
            let least = self.0.entry((sent.direction, offset)).or_insert(ack);
            *least = ack.min(*least);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30_000, ..ProptestConfig::default() })]

    #[test]
    fn shuffled_conversation_comes_out_as_it_was_said(packets in conversation(), keys in collection::vec(0..8_usize, 61)) {
        let (_, straight) = run(&packets);
        let (tap, shuffled) = run(&shuffle(&double(&packets), &keys));
        for direction in [Direction::ToServer, Direction::ToClient] {
            prop_assert_eq!(bytes_of(&shuffled, direction), bytes_of(&straight, direction));
            prop_assert_eq!(turns(&shuffled, direction), turns(&straight, direction));
            prop_assert!(shuffled.contains(&Event::Close(direction, CloseReason::Fin)));
        }
        prop_assert!(tap.flow.is_closed() && !tap.flow.is_waiting());
        prop_assert_eq!((tap.counters.order_waived, tap.counters.conflicting_bytes), (0, 0));
    }

    #[test]
    fn shuffled_start_in_the_middle_gives_the_same_bytes(
        packets in conversation(),
        cut in 3..20_usize,
        keys in collection::vec(0..8_usize, 61),
    ) {
        let packets = &packets[cut.min(packets.len() - 1)..];
        let (_, straight) = run(packets);
        let (tap, shuffled) = run(&shuffle(&double(packets), &keys));
        for direction in [Direction::ToServer, Direction::ToClient] {
            prop_assert_eq!(bytes_of(&shuffled, direction), bytes_of(&straight, direction));
            prop_assert_eq!(turns(&shuffled, direction), turns(&straight, direction));
        }
        prop_assert!(!tap.flow.is_waiting());
    }

    #[test]
    fn losses_leave_gaps_and_keep_the_order(
        packets in conversation(),
        keys in collection::vec(0..8_usize, 61),
        harm in collection::vec(any::<u8>(), 97),
    ) {
        let starts = [packets[0].tcp.seq.wrapping_add(1), packets[1].tcp.seq.wrapping_add(1)];
        let mut kept: Vec<Sent> = Vec::new();
        for (index, sent) in packets.into_iter().enumerate() {
            match harm[index % harm.len()] {
                0..=30 if index > 1 => {}
                31..=60 => kept.push(sent.truncated(5)),
                _ => kept.push(sent),
            }
        }
        let (mut tap, mut acks, mut reached) = (Tap::default(), Acks::default(), [0_u64; 2]);
        let shuffled = shuffle(&kept, &keys);
        for turn in 0..=shuffled.len() {
            let events = match shuffled.get(turn) {
                Some(sent) => { acks.arrive(sent, starts); tap.observe(sent).1 }
                None => tap.finish_events(),
            };
            for event in events {
                let (direction, offset, len) = match &event {
                    Event::Data(direction, offset, bytes) => {
                        prop_assert_eq!(bytes, &stream_bytes(*direction, *offset as usize, bytes.len()));
                        let opposite = reached[usize::from(*direction == Direction::ToServer)];
                        for at in (*offset..).take(bytes.len()) {
                            // One more for a FIN, seen or not.
                            prop_assert!(acks.0[&(*direction, at)] <= opposite + 1, "{:?} at {}", event, opposite);
                        }
                        (*direction, *offset, bytes.len() as u64)
                    }
                    Event::Gap(direction, offset, len) => (*direction, *offset, *len),
                    Event::Close(..) => continue,
                };
                let reached = &mut reached[usize::from(direction == Direction::ToClient)];
                prop_assert_eq!(*reached, offset);
                *reached += len;
            }
        }
        prop_assert!(!tap.flow.is_waiting());
        prop_assert_eq!(tap.counters.order_waived, 0);
    }
}
