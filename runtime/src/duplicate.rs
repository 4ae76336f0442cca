//! Recognises a packet that was captured twice: on the `any` device, or with a bridge and its ports, the same IP packet
//! passes several taps. Packets in, the verdict "seen a moment ago" out; it holds hashes, never packets.
//!
//! Two packets count as one if their IP packets are the same byte for byte, apart from the TTL (hop limit) and the
//! IPv4 header checksum, which a router changes, and were captured at most [`WINDOW_NS`] and [`RING_LEN`] packets of their
//! shard apart. Link headers, VLAN tags and padding are not compared; of a long TCP segment, neither is the payload's
//! middle: its place in the stream, its length and both its ends are those of the other already.
//!
//! What this gives up: genuine datagrams that carry no IP identification (IPv6, or IPv4 that sets it to 0) and the same
//! bytes within the window are taken for one. A TCP retransmission is hidden likewise, which loses nothing: reassembly
//! would ignore it. Copies that were rewritten on the way (NAT, DSCP, checksums filled in between) stay two packets.
//! The hash is not keyed, so that a replay gives the same result; who can choose packets can hide their own.

use crate::packet::{IpPacket, Timestamp};

/// How far apart two copies may be in time, in nanoseconds: taps on one machine see a packet within microseconds; a
/// retransmission takes milliseconds.
pub const WINDOW_NS: u64 = 1_000_000;

/// How many packets of its shard back a copy is looked for. The kernel hands packets on in batches of up to 64, so that
/// many may come between the copies.
pub const RING_LEN: usize = 128;

/// A TCP packet longer than this is compared by so many bytes of its front, most of which its headers may take.
const TCP_FRONT: usize = 128;
/// And by so many of its end.
const TCP_END: usize = 64;

/// Buckets of the hashes in the ring: so many that most packets meet with an empty one.
const BUCKETS: usize = 2048;

/// Remembers the last packets.
#[derive(Clone, Debug)]
pub struct DuplicateFilter {
    hashes: [u64; RING_LEN],
    times: [Timestamp; RING_LEN],
    /// How many of the hashes are in each bucket.
    buckets: Box<[u8; BUCKETS]>,
    next: usize,
    duplicates: u64,
}

impl Default for DuplicateFilter {
    fn default() -> Self {
        let mut buckets = Box::new([0; BUCKETS]);
        if let Some(bucket) = buckets.get_mut(bucket_of(0)) {
            *bucket = RING_LEN as u8;
        }
        Self { hashes: [0; RING_LEN], times: [0; RING_LEN], buckets, next: 0, duplicates: 0 }
    }
}

impl DuplicateFilter {
    /// Whether this IP packet, captured at `at`, was seen a moment ago.
    pub fn has_seen(&mut self, packet: &IpPacket<'_>, at: Timestamp) -> bool {
        let Some(bytes) = packet.bytes() else { return false };
        let hash = hash_ip_packet(bytes);
        if self.contains(hash, at) {
            self.duplicates += 1;
            return true;
        }
        self.remember(hash, at);
        false
    }

    /// How many packets were recognised as duplicates.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn contains(&self, hash: u64, at: Timestamp) -> bool {
        if self.buckets.get(bucket_of(hash)).is_none_or(|count| *count == 0) {
            return false;
        }
        // Counting them all, rather than stopping at the first, lets the compiler compare several at once.
        let matching = self.hashes.iter().filter(|seen| **seen == hash).count();
        matching > 0
            && self.hashes.iter().zip(&self.times).any(|(seen, time)| *seen == hash && time.abs_diff(at) <= WINDOW_NS)
    }

    fn remember(&mut self, hash: u64, at: Timestamp) {
        if let (Some(seen), Some(time)) = (self.hashes.get_mut(self.next), self.times.get_mut(self.next)) {
            for (bucket, change) in [(bucket_of(*seen), u8::MAX), (bucket_of(hash), 1)] {
                if let Some(count) = self.buckets.get_mut(bucket) {
                    *count = count.wrapping_add(change);
                }
            }
            (*seen, *time) = (hash, at);
        }
        self.next = (self.next + 1) % RING_LEN;
    }
}

/// Hashes an IP packet, as far as it was kept, without the fields that a router changes. Never zero, which marks an
/// empty place.
fn hash_ip_packet(packet: &[u8]) -> u64 {
    let hash = match packet.split_first_chunk::<20>() {
        Some((header, rest)) => {
            let (seed, protocol) = hash_header(header);
            let (front, end) = if protocol == TCP { ends(rest) } else { (rest, &[][..]) };
            let hash = hash_bytes(front, seed);
            if end.is_empty() { hash } else { hash_bytes(end, hash ^ rest.len() as u64) }
        }
        None => hash_bytes(packet, 0),
    };
    hash.max(1)
}

/// Protocol number of TCP, in both versions' headers.
const TCP: u8 = 6;

/// Hashes the first 20 bytes of an IP header without TTL and header checksum (IPv4), or hop limit (IPv6); gives the protocol
/// that follows, too.
fn hash_header(header: &[u8; 20]) -> (u64, u8) {
    let [first, _, _, _, _, _, next_header, _, _, protocol, ..] = *header;
    let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3] = *header;
    let is_v4 = first >> 4 == 4;
    let (hop_limit, fields, protocol) =
        if is_v4 { (a7, [0, b1, 0, 0], protocol) } else { (0, [b0, b1, b2, b3], next_header) };
    let a = u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, hop_limit]);
    let [b0, b1, b2, b3] = fields;
    let b = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
    let c = u32::from_le_bytes([c0, c1, c2, c3]);
    let [of_a, of_b, of_c, of_hash] = LANES;
    (fold(fold(a ^ of_a, b ^ of_b) ^ of_hash, u64::from(c) ^ of_c), protocol)
}

/// What is compared of a TCP packet: its front and its end, or all of it.
fn ends(packet: &[u8]) -> (&[u8], &[u8]) {
    match (packet.first_chunk::<TCP_FRONT>(), packet.last_chunk::<TCP_END>()) {
        (Some(front), Some(end)) if packet.len() > TCP_FRONT + TCP_END => (front, end),
        _ => (packet, &[]),
    }
}

fn bucket_of(hash: u64) -> usize {
    hash as usize % BUCKETS
}

/// Odd constants without structure (the fractional digits of pi).
const LANES: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// A hash in the manner of wyhash: four independent lanes of 128-bit multiplications, 64 bytes a round. What is left goes
/// through the lanes 16 bytes at a time, the last ones of them perhaps twice.
fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut lanes = LANES.map(|lane| lane ^ seed);
    let (rounds, rest) = bytes.as_chunks::<64>();
    for round in rounds {
        mix(&mut lanes, round);
    }
    let (chunks, tail) = rest.as_chunks::<16>();
    for ((lane, secret), chunk) in lanes.iter_mut().zip(LANES).zip(chunks) {
        *lane = mix_one(*lane, secret, chunk);
    }
    let [a, b, c, mut d] = lanes;
    if !tail.is_empty() {
        let last = bytes.last_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; 16];
            padded.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
            padded
        });
        d = mix_one(d, seed, &last);
    }
    fold(fold(a, b) ^ bytes.len() as u64, fold(c, d) ^ 0x4528_21e6_38d0_1377)
}

fn mix_one(lane: u64, secret: u64, chunk: &[u8; 16]) -> u64 {
    let [low, high] = u64_pair(chunk);
    fold(low ^ secret, high ^ lane)
}

fn u64_pair(chunk: &[u8; 16]) -> [u64; 2] {
    let word = u128::from_le_bytes(*chunk);
    [word as u64, (word >> 64) as u64]
}

fn mix(lanes: &mut [u64; 4], round: &[u8; 64]) {
    let (words, _) = round.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    for ((lane, secret), [low, high]) in lanes.iter_mut().zip(LANES).zip(pairs) {
        *lane = fold(u64::from_le_bytes(*low) ^ secret, u64::from_le_bytes(*high) ^ *lane);
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::{DuplicateFilter, RING_LEN, TCP_END, WINDOW_NS};
    use crate::packet::{IpPacket, Linktype, RawPacket};

    /// IPv4 with a UDP datagram of 4 bytes.
    fn datagram(id: u16, ttl: u8, payload: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, ttl, 17, ttl, ttl, 10, 0, 0, 1, 10, 0, 0, 2];
        packet[4..6].copy_from_slice(&id.to_be_bytes());
        packet.extend([0, 53, 0, 53, 0, 12, 0, 0]);
        packet.extend(payload);
        packet
    }

    fn raw(at: u64, linktype: Linktype, data: &[u8]) -> RawPacket<'_> {
        RawPacket { number: 1, at, linktype, interface: 0, origlen: data.len() as u32, data }
    }

    /// As the pipeline asks: a packet that carries no IP was never seen.
    fn has_seen(filter: &mut DuplicateFilter, packet: &RawPacket<'_>) -> bool {
        IpPacket::of(packet).is_ok_and(|ip| filter.has_seen(&ip, packet.at))
    }

    fn is_duplicate(filter: &mut DuplicateFilter, at: u64, data: &[u8]) -> bool {
        has_seen(filter, &raw(at, Linktype::RAW, data))
    }

    #[test]
    fn same_packet_at_once_is_a_duplicate_and_is_counted() {
        let mut filter = DuplicateFilter::default();
        assert!(!is_duplicate(&mut filter, 5, &datagram(1, 64, *b"ping")));
        assert!(is_duplicate(&mut filter, 9, &datagram(1, 64, *b"ping")));
        assert!(is_duplicate(&mut filter, 9, &datagram(1, 64, *b"ping")), "and so is a third copy");
        assert_eq!(filter.duplicates(), 2);
    }

    #[test]
    fn ttl_vlan_tag_and_padding_do_not_matter() {
        let mut filter = DuplicateFilter::default();
        assert!(!is_duplicate(&mut filter, 0, &datagram(1, 64, *b"ping")));
        let mut tagged = [[0; 12].as_slice(), &[0x81, 0, 0, 7, 0x08, 0]].concat();
        tagged.extend(datagram(1, 63, *b"ping"));
        tagged.extend([0xee; 10]);
        assert!(has_seen(&mut filter, &raw(1, Linktype::ETHERNET, &tagged)));
    }

    #[test]
    fn another_ip_id_or_another_payload_is_another_packet() {
        let mut filter = DuplicateFilter::default();
        assert!(!is_duplicate(&mut filter, 0, &datagram(1, 64, *b"ping")));
        assert!(!is_duplicate(&mut filter, 0, &datagram(2, 64, *b"ping")));
        assert!(!is_duplicate(&mut filter, 0, &datagram(1, 64, *b"pong")));
    }

    #[test]
    fn same_packet_after_the_window_is_kept_also_where_the_clock_stepped_back() {
        let mut filter = DuplicateFilter::default();
        let packet = datagram(1, 64, *b"ping");
        assert!(!is_duplicate(&mut filter, 10 * WINDOW_NS, &packet));
        assert!(is_duplicate(&mut filter, 11 * WINDOW_NS, &packet));
        assert!(!is_duplicate(&mut filter, 11 * WINDOW_NS + 1, &packet));
        assert!(!is_duplicate(&mut filter, 9 * WINDOW_NS - 1, &packet));
    }

    #[test]
    fn a_copy_is_found_within_the_ring_and_not_beyond() {
        for (between, found) in [(RING_LEN - 1, true), (RING_LEN, false)] {
            let mut filter = DuplicateFilter::default();
            assert!(!is_duplicate(&mut filter, 0, &datagram(0, 64, *b"ping")));
            for id in 1..=between {
                assert!(!is_duplicate(&mut filter, 0, &datagram(id as u16, 64, *b"ping")));
            }
            assert_eq!(is_duplicate(&mut filter, 0, &datagram(0, 64, *b"ping")), found, "{between}");
        }
    }

    #[test]
    fn any_flipped_bit_beside_ttl_and_checksum_makes_another_packet() {
        let packet: Vec<u8> = datagram(1, 64, *b"ping").into_iter().cycle().take(32 * 5).collect();
        for bit in 0..packet.len() * 8 {
            // The length's bits decide how much is compared; bit 0 to 3 are the version.
            if (0..4).contains(&bit) || (16..32).contains(&bit) || (64..72).contains(&bit) || (80..96).contains(&bit) {
                continue;
            }
            let mut whole = packet.clone();
            whole[2..4].copy_from_slice(&160u16.to_be_bytes());
            let mut filter = DuplicateFilter::default();
            assert!(!is_duplicate(&mut filter, 0, &whole));
            whole[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(!is_duplicate(&mut filter, 0, &whole), "bit {bit}");
        }
    }

    #[test]
    fn long_tcp_segments_differ_by_place_length_and_both_ends() {
        let mut packet = vec![0x45, 0, 0x05, 0xdc, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.resize(1500, 7);
        for at in [24, 40, 100, 1499 - TCP_END + 1, 1499] {
            let mut filter = DuplicateFilter::default();
            let mut other = packet.clone();
            other[at] ^= 1;
            assert!(!is_duplicate(&mut filter, 0, &packet));
            assert!(!is_duplicate(&mut filter, 0, &other), "byte {at}");
            assert!(is_duplicate(&mut filter, 0, &packet) && is_duplicate(&mut filter, 0, &other));
        }
    }

    #[test]
    fn what_is_not_ip_is_never_a_duplicate() {
        let mut filter = DuplicateFilter::default();
        let arp = [[0xff; 12].as_slice(), &[0x08, 0x06], &[0; 28]].concat();
        assert!(!has_seen(&mut filter, &raw(0, Linktype::ETHERNET, &arp)));
        assert!(!has_seen(&mut filter, &raw(0, Linktype::ETHERNET, &arp)));
    }
}
