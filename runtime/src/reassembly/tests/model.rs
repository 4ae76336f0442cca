//! One stream against a naive assembler: segments of any place, length, bytes and order.

use super::traffic::{sequence_number, step};
use super::{Event, Tap, down, up};
use crate::packet::Timestamp;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::{collection, prop_compose, prop_oneof};
use std::collections::HashMap;

/// What the stream meets with.
#[derive(Clone, Debug)]
enum Act {
    Segment { from: u64, bytes: Vec<u8>, caplen: usize },
    Ack(u64),
    Pass(u64, Timestamp),
}

prop_compose! {
    fn segment()(from in 0..600_u64, bytes in collection::vec(any::<u8>(), 1..60), cut in 0..300_usize) -> Act {
        Act::Segment { from, caplen: cut.min(bytes.len()), bytes }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => segment(),
        2 => (0..650_u64).prop_map(Act::Ack),
        1 => (0..40_u64, step()).prop_map(|(packets, time)| Act::Pass(packets, time)),
    ]
}

/// Keeps the first byte that arrived for each offset, unless it was alone and may have been a probe's.
#[derive(Default)]
struct Naive {
    bytes: HashMap<u64, (u8, bool)>,
    /// Up to where the stream came out.
    reached: u64,
    seen: u64,
}

impl Naive {
    fn arrive(&mut self, from: u64, bytes: &[u8], len: usize) {
        self.seen = self.seen.max(from + len as u64);
        for (offset, byte) in (from..).zip(bytes).filter(|(offset, _)| *offset >= self.reached) {
            let known = self.bytes.entry(offset).or_insert((*byte, len == 1));
            if known.1 && len > 1 {
                *known = (*byte, false);
            }
        }
    }

    /// An event must go on where the last one ended, with the first bytes, or a gap where there are none.
    fn check(&mut self, event: &Event) -> Result<(), String> {
        let (offset, len) = match event {
            Event::Data(_, offset, bytes) => {
                let first = |at| self.bytes.get(&at).map(|(byte, _)| *byte);
                if let Some((at, _)) = (*offset..).zip(bytes).find(|(at, byte)| first(*at) != Some(**byte)) {
                    return Err(format!("not the first byte at {at}: {event:?}"));
                }
                (*offset, bytes.len() as u64)
            }
            Event::Gap(_, offset, len) => {
                if let Some(at) = (*offset..offset + len).find(|at| self.bytes.contains_key(at)) {
                    return Err(format!("byte {at} had arrived: {event:?}"));
                }
                (*offset, *len)
            }
            Event::Close(..) => return Err(format!("{event:?}")),
        };
        let is_next = offset == self.reached && len > 0;
        self.reached += len;
        is_next.then_some(()).ok_or_else(|| format!("out of order: {event:?}"))
    }
}

/// A tap on a stream that begins after `isn`, and holds at most `limit`.
fn open(isn: u32, limit: u32) -> Tap {
    let mut tap = Tap::default().with_limit(limit);
    tap.send(up(isn, 0, b"").syn().without_ack());
    tap.send(down(499, isn.wrapping_add(1), b"").syn());
    tap
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30_000, ..ProptestConfig::default() })]

    #[test]
    fn stream_comes_out_as_a_naive_assembler_has_it(
        isn in sequence_number(),
        acts in collection::vec(act(), 1..80),
        limit in prop_oneof![Just(1 << 20), 200..3000_u32],
    ) {
        let (mut tap, mut naive) = (open(isn, limit), Naive::default());
        let seq = |offset: u64| isn.wrapping_add(1).wrapping_add(offset as u32);
        for act in acts {
            let before = tap.packet;
            let events = match act {
                Act::Segment { from, bytes, caplen } => {
                    naive.arrive(from, &bytes[..caplen], bytes.len());
                    tap.observe(&up(seq(from), 500, &bytes).truncated(caplen)).1
                }
                Act::Ack(to) => {
                    naive.seen = naive.seen.max(to);
                    tap.observe(&down(500, seq(to), b"")).1
                }
                Act::Pass(packets, time) => {
                    (tap.packet, tap.now) = (tap.packet + packets, tap.now + time);
                    let (now, packet) = (tap.now, tap.packet);
                    tap.collect(|flow, sink| flow.expire(now, packet, false, &mut |event| sink.push(event.into()))).1
                }
            };
            prop_assert!(tap.packet >= before);
            prop_assert!(tap.flow.held_bytes() <= limit as usize);
            for event in events {
                prop_assert_eq!(naive.check(&event), Ok(()));
            }
        }
        for event in tap.finish_events() {
            prop_assert_eq!(naive.check(&event), Ok(()));
        }
        // An acknowledged byte behind all others may have been a FIN: no gap then.
        prop_assert!(naive.reached == naive.seen || naive.reached + 1 == naive.seen);
        prop_assert!(!tap.flow.is_waiting() && tap.flow.held_bytes() == 0);
    }
}
