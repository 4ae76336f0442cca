//! Names a flow by both its ends, in an order that does not depend on who sends: made once for each segment, compared and
//! hashed as a few words.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::packet::{Endpoint, Segment, Transport};

/// Both ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    /// Ports, versions of IP, transport.
    rest: u64,
}

/// Of an end that is an IPv6 address; the port is below.
const IPV6: u32 = 1 << 16;
/// Of a flow that is UDP.
const UDP: u64 = 1 << 63;

impl FlowKey {
    pub(crate) fn of(segment: &Segment<'_>) -> Self {
        let (one, other) = (words(segment.source), words(segment.destination));
        let ((low, below), (high, above)) = if one <= other { (one, other) } else { (other, one) };
        let transport = if segment.transport == Transport::Udp { UDP } else { 0 };
        Self { low, high, rest: u64::from(below) << 32 | u64::from(above) | transport }
    }

    /// Which of so many shards the flow belongs to: the same in every run and on every machine, so unkeyed on purpose. Whoever crafts
    /// flows for one shard slows that shard.
    pub(crate) fn shard(&self, shards: usize) -> usize {
        let ([a, b], [c, d]) = (self.low, self.high);
        let words = [a, b, c, d, self.rest];
        // Odd constants without structure: the fractional digits of pi.
        let hash = words.iter().fold(0x243f_6a88_85a3_08d3_u64, |hash, word| {
            (hash.rotate_left(23) ^ word).wrapping_mul(0x1319_8a2e_0370_7345)
        });
        usize::try_from(hash >> 32).unwrap_or(0).checked_rem(shards).unwrap_or(0)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ([a, b], [c, d]) = (self.low, self.high);
        // Of IPv4, one word of each address is zero.
        if a | c != 0 {
            state.write_u64(a);
            state.write_u64(c);
        }
        state.write_u64(b);
        state.write_u64(d);
        state.write_u64(self.rest);
    }
}

fn words(end: Endpoint) -> ([u64; 2], u32) {
    match end.ip {
        IpAddr::V4(ip) => ([0, u64::from(u32::from(ip))], u32::from(end.port)),
        IpAddr::V6(ip) => {
            let ip = u128::from(ip);
            ([(ip >> 64) as u64, ip as u64], u32::from(end.port) | IPV6)
        }
    }
}

/// Which of so many shards a segment belongs to: the same for both directions, in every run and on every machine.
#[must_use]
pub fn shard_of(segment: &Segment<'_>, shards: usize) -> usize {
    FlowKey::of(segment).shard(shards)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::IpAddr;

    use super::FlowKey;
    use crate::packet::{Endpoint, Segment, TcpFields, Transport};
    use crate::shard::{FEW_SHARDS, MAX_SHARDS};

    fn key(source: (&str, u16), destination: (&str, u16), transport: Transport) -> FlowKey {
        let end = |(ip, port): (&str, u16)| Endpoint { ip: ip.parse::<IpAddr>().unwrap(), port };
        let (source, destination) = (end(source), end(destination));
        let tcp = TcpFields::default();
        FlowKey::of(&Segment { transport, source, destination, tcp, payload: &[], payload_len: 0, at: 0, packet: 0 })
    }

    #[test]
    fn both_directions_are_one_flow_and_every_part_of_the_ends_tells_flows_apart() {
        let ips = ["10.0.0.1", "0.0.0.1", "::1", "::a00:1", "::ffff:10.0.0.1", "1::1"];
        let mut keys = HashSet::new();
        let mut flows = 0;
        for transport in [Transport::Tcp, Transport::Udp] {
            for (place, one) in ips.into_iter().enumerate() {
                for other in ips.into_iter().skip(place) {
                    for ports in [(1, 2), (2, 1), (1, 65535)] {
                        let there = key((one, ports.0), (other, ports.1), transport);
                        assert_eq!(there, key((other, ports.1), (one, ports.0), transport));
                        flows += usize::from(one != other || ports != (2, 1));
                        keys.insert(there);
                    }
                }
            }
        }
        assert_eq!(keys.len(), flows);
    }

    #[test]
    fn flows_of_one_client_and_one_server_are_spread_over_all_shards() {
        for shards in [FEW_SHARDS, MAX_SHARDS] {
            let mut counts = vec![0_usize; shards];
            for port in 1024..5120 {
                counts[key(("10.0.0.1", port), ("10.0.0.2", 9092), Transport::Tcp).shard(shards)] += 1;
            }
            let even = 4096 / shards;
            assert!(counts.iter().all(|count| count.abs_diff(even) < even / 4), "{counts:?}");
        }
    }
}
