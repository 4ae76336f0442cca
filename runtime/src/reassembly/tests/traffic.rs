//! Made-up traffic for the model tests: a conversation, and ways to harm a capture of it.

use super::{Sent, down, up};
use crate::packet::Timestamp;
use crate::reassembly::Direction;
use proptest::prelude::{Strategy, any};
use proptest::{collection, prop_compose};

/// Bytes of a stream, the same wherever they are asked for.
pub(super) fn stream_bytes(direction: Direction, from: usize, len: usize) -> Vec<u8> {
    let salt = if direction == Direction::ToServer { 7 } else { 131 };
    (from..from + len).map(|offset| (offset * 31 + offset / 251 + salt) as u8).collect()
}

/// Both peers while they talk.
struct Talk {
    isn: [u32; 2],
    sent: [usize; 2],
    packets: Vec<Sent>,
}

impl Talk {
    fn side(direction: Direction) -> usize {
        usize::from(direction == Direction::ToClient)
    }

    fn seq(&self, direction: Direction) -> u32 {
        let side = Self::side(direction);
        self.isn[side].wrapping_add(1).wrapping_add(self.sent[side] as u32)
    }

    fn segment(&self, direction: Direction, bytes: &[u8]) -> Sent {
        let (seq, ack) = (self.seq(direction), self.seq(direction.opposite()));
        if direction == Direction::ToServer { up(seq, ack, bytes) } else { down(seq, ack, bytes) }
    }

    fn open(&mut self) {
        let [client, server] = self.isn;
        self.packets.push(up(client, 0, b"").syn().without_ack());
        self.packets.push(down(server, client.wrapping_add(1), b"").syn());
        self.packets.push(self.segment(Direction::ToServer, b""));
    }

    /// One message in segments of `mss` bytes, acknowledged every other segment and at the end.
    fn say(&mut self, direction: Direction, len: usize, mss: usize) {
        let mut rest = len;
        while rest > 0 {
            // No segment of one byte: it might be taken for a probe.
            let count = if rest == mss + 1 { rest } else { rest.min(mss) };
            let side = Self::side(direction);
            let bytes = stream_bytes(direction, self.sent[side], count);
            self.packets.push(self.segment(direction, &bytes));
            self.sent[side] += count;
            rest -= count;
            if rest == 0 || self.packets.len().is_multiple_of(2) {
                self.packets.push(self.segment(direction.opposite(), b""));
            }
        }
    }

    fn close(&mut self, direction: Direction) {
        self.packets.push(self.segment(direction, b"").fin());
        self.sent[Self::side(direction)] += 1;
        self.packets.push(self.segment(direction.opposite(), b""));
    }
}

prop_compose! {
    /// Requests and answers, from handshake to FIN, with idle times of seconds.
    pub(super) fn conversation()(
        isn in [sequence_number(), sequence_number()],
        exchanges in collection::vec((2..60_usize, 2..60_usize, 2..20_usize), 1..15),
        steps in collection::vec(step(), 600),
    ) -> Vec<Sent> {
        let mut talk = Talk { isn, sent: [0, 0], packets: Vec::new() };
        talk.open();
        for (request, answer, mss) in exchanges {
            talk.say(Direction::ToServer, request, mss);
            talk.say(Direction::ToClient, answer, mss);
        }
        talk.close(Direction::ToServer);
        talk.close(Direction::ToClient);
        let mut now = 0;
        for (packet, step) in talk.packets.iter_mut().zip(steps.iter().cycle()) {
            now += step;
            packet.at = Some(now);
        }
        talk.packets
    }
}

/// Initial sequence numbers, most of them near the wrap-around.
pub(super) fn sequence_number() -> impl Strategy<Value = u32> {
    proptest::prop_oneof![3 => u32::MAX - 1500..=u32::MAX, 1 => any::<u32>()]
}

/// Time between two packets: mostly little, at times seconds.
pub(super) fn step() -> impl Strategy<Value = Timestamp> {
    proptest::prop_oneof![5 => 0..1_000_000_u64, 1 => 0..5_000_000_000_u64]
}

/// Moves packets within a window of eight, as the order of `keys` has it.
pub(super) fn shuffle(packets: &[Sent], keys: &[usize]) -> Vec<Sent> {
    let key = |index: usize| index + keys[index % keys.len()] % 8;
    let mut order: Vec<usize> = (0..packets.len()).collect();
    order.sort_by_key(|index| key(*index));
    order.into_iter().map(|index| packets[index].clone()).collect()
}

/// Repeats every seventh packet.
pub(super) fn double(packets: &[Sent]) -> Vec<Sent> {
    let twice = |(index, packet): (usize, &Sent)| vec![packet.clone(); if index % 7 == 6 { 2 } else { 1 }];
    packets.iter().enumerate().flat_map(twice).collect()
}
