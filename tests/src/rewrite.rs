//! The same conversation in other packets: segments in, segments out that carry the same bytes. Whoever reads them must
//! tell the same story.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::segment::{PSH, SYN, Segment, Stream};
use protap_plugin::testing::Random;

/// Payload of the longest segment that [`coalesced`] makes, in bytes.
const LONGEST: usize = 60_000;

/// Every payload cut into pieces of `size` bytes.
#[must_use]
pub fn cut(segments: &[Segment], size: usize) -> Vec<Segment> {
    cut_at(segments, |len| (size..len).step_by(size).collect())
}

/// Every payload cut where headers and bodies meet: behind the first 2, 4, 8, and 16 bytes, and before the last one.
/// (A stream caught in its middle that begins with a single byte begins with a keep-alive, as far as anybody can tell.)
#[must_use]
pub fn cut_behind_headers(segments: &[Segment]) -> Vec<Segment> {
    cut_at(segments, |len| {
        let mut cuts: Vec<usize> = [2, 4, 8, 16, len.saturating_sub(1)].into_iter().filter(|at| *at < len).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    })
}

fn cut_at(segments: &[Segment], cuts: impl Fn(usize) -> Vec<usize>) -> Vec<Segment> {
    let mut out = Vec::new();
    for segment in segments {
        let len = segment.payload.len();
        let mut from = 0;
        for to in cuts(len).into_iter().filter(|at| *at > 0).chain([len]) {
            out.push(segment.part(from, to));
            from = to;
        }
    }
    out
}

/// Neighbouring segments of one direction made one, up to 60 KB, as network cards do.
#[must_use]
pub fn coalesced(segments: &[Segment]) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    // For each direction, the segment to which bytes may be added.
    let mut open: HashMap<Stream, usize> = HashMap::new();
    for segment in segments {
        let stream = segment.stream();
        if !segment.payload.is_empty() {
            open.remove(&(stream.1, stream.0));
        }
        let target = open.get(&stream).and_then(|index| out.get_mut(*index));
        match target {
            Some(target)
                if target.end() == segment.seq
                    && !segment.payload.is_empty()
                    && target.payload.len() + segment.payload.len() <= LONGEST =>
            {
                target.payload.extend_from_slice(&segment.payload);
                target.flags |= segment.flags;
                target.ack = segment.ack;
            }
            _ => {
                if segment.payload.is_empty() || segment.flags & !(PSH | SYN) != crate::segment::ACK {
                    open.remove(&stream);
                } else {
                    open.insert(stream, out.len());
                }
                out.push(segment.clone());
            }
        }
    }
    out
}

/// Packets in another order, each at most `window` - 1 places early or late, as from several queues of a network card.
/// Times stay with their packets.
#[must_use]
pub fn shuffled(segments: &[Segment], window: usize, seed: u64) -> Vec<Segment> {
    let mut random = Random::new(seed);
    let mut placed: Vec<(usize, &Segment)> =
        segments.iter().enumerate().map(|(index, segment)| (index + random.below(window), segment)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, segment)| segment.clone()).collect()
}

/// Every nth packet twice, the second time `later` nanoseconds after the first: a retransmission. A SYN is repeated at
/// once only, since nobody repeats it when it was answered.
#[must_use]
pub fn doubled(segments: &[Segment], every: usize, later: u64) -> Vec<Segment> {
    let mut out = segments.to_vec();
    let again = segments.iter().step_by(every).filter(|segment| later == 0 || !segment.has(SYN));
    out.extend(again.map(|segment| Segment { at: segment.at + later, ..segment.clone() }));
    out.sort_by_key(|segment| segment.at);
    out
}

/// The same between IPv6 addresses.
#[must_use]
pub fn over_ipv6(segments: &[Segment]) -> Vec<Segment> {
    let address = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets().map(u16::from);
            SocketAddr::new(Ipv6Addr::new(0xfd00, 0, 0, 0, a, b, c, d).into(), end.port())
        }
        IpAddr::V6(_) => end,
    };
    let moved = |segment: &Segment| Segment {
        source: address(segment.source),
        destination: address(segment.destination),
        ..segment.clone()
    };
    segments.iter().map(moved).collect()
}

/// Sequence numbers shifted so that each stream's wrap `before` bytes behind its first one.
#[must_use]
pub fn wrapping(segments: &[Segment], before: u32) -> Vec<Segment> {
    let mut shifts: HashMap<Stream, u32> = HashMap::new();
    for segment in segments {
        shifts.entry(segment.stream()).or_insert_with(|| 0_u32.wrapping_sub(before).wrapping_sub(segment.seq));
    }
    let shift = |stream: Stream| shifts.get(&stream).copied().unwrap_or_default();
    let shifted = |segment: &Segment| Segment {
        seq: segment.seq.wrapping_add(shift(segment.stream())),
        ack: segment.ack.wrapping_add(shift((segment.destination, segment.source))),
        ..segment.clone()
    };
    segments.iter().map(shifted).collect()
}
