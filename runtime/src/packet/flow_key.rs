//! Names a flow by both its ends, in an order that does not depend on who sends: made once for each packet, compared and
//! hashed as a few words. Of most packets it can be told at a glance, before they are decoded: who serves only some of the
//! flows need not look further at the others.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use super::ip::is_fragment;
use super::link::IpVersion;
use super::reader::Reader;
use super::{Endpoint, Segment, TCP, Transport, UDP};

/// Both ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    /// Ports, versions of IP, transport.
    rest: u64,
}

/// Of an end that is an IPv6 address; the port is below.
const IS_V6: u64 = 1 << 16;
/// Of a flow that is UDP.
const IS_UDP: u64 = 1 << 63;

impl FlowKey {
    pub(crate) fn of(segment: &Segment<'_>) -> Self {
        let end = |end: Endpoint| match end.ip {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)), u64::from(end.port)),
            IpAddr::V6(ip) => (ip.into(), u64::from(end.port) | IS_V6),
        };
        Self::any(end(segment.source), end(segment.destination)).with(segment.transport)
    }

    /// That of an IP packet with TCP or UDP, unless it is a fragment, or IPv6 with extension headers. The packet may still turn
    /// out to be malformed; if it does not, its segment has the same key.
    #[inline]
    pub(super) fn at_a_glance(version: IpVersion, reader: &Reader<'_>) -> Option<Self> {
        match version {
            IpVersion::V4 => Self::at_v4(reader.kept()),
            IpVersion::V6 => Self::at_v6(reader.kept()),
        }
    }

    /// RFC 791, section 3.1.
    #[inline]
    fn at_v4(packet: &[u8]) -> Option<Self> {
        let [first, _, _, _, _, _, offset_high, offset_low, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
            *packet.first_chunk()?;
        if first >> 4 != 4 || is_fragment([offset_high, offset_low]) {
            return None;
        }
        let ([from, to], transport) = ports(protocol, packet.get(usize::from(first & 0x0f) * 4..)?)?;
        let [source, destination] = [[s0, s1, s2, s3], [d0, d1, d2, d3]].map(u32::from_be_bytes);
        Some(Self::v4((source, from), (destination, to)).with(transport))
    }

    /// RFC 8200, section 3.
    fn at_v6(packet: &[u8]) -> Option<Self> {
        let (header, rest) = packet.split_first_chunk::<40>()?;
        let ([first, _, _, _, _, _, protocol, _], addresses) = header.split_first_chunk()?;
        if first >> 4 != 6 {
            return None;
        }
        let ([from, to], transport) = ports(*protocol, rest)?;
        let (source, destination) = addresses.split_first_chunk()?;
        let destination = u128::from_be_bytes(*destination.first_chunk()?);
        let port = |port: u16| u64::from(port) | IS_V6;
        Some(Self::any((u128::from_be_bytes(*source), port(from)), (destination, port(to))).with(transport))
    }

    /// What `any` makes of IPv4.
    #[inline]
    fn v4(source: (u32, u16), destination: (u32, u16)) -> Self {
        // An address and its port in one word, since a branch by who sends is often guessed wrong.
        let word = |(ip, port): (u32, u16)| u64::from(ip) << 16 | u64::from(port);
        let (one, other) = (word(source), word(destination));
        let (low, high) = (one.min(other), one.max(other));
        Self { low: [0, low >> 16], high: [0, high >> 16], rest: (low & 0xffff) << 32 | (high & 0xffff) }
    }

    /// Ends of any version, which is told with the port.
    fn any(source: (u128, u64), destination: (u128, u64)) -> Self {
        let ((low, below), (high, above)) = (source.min(destination), source.max(destination));
        let words = |ip: u128| [(ip >> 64) as u64, ip as u64];
        Self { low: words(low), high: words(high), rest: below << 32 | above }
    }

    #[inline]
    fn with(mut self, transport: Transport) -> Self {
        self.rest |= if transport == Transport::Udp { IS_UDP } else { 0 };
        self
    }

    /// Which of so many shards, a power of two, the flow belongs to: the same in every run and on every machine, so unkeyed
    /// on purpose. Whoever crafts flows for one shard slows that shard.
    pub(crate) fn shard(&self, shards: usize) -> usize {
        let ([a, b], [c, d]) = (self.low, self.high);
        let words = [a, b, c, d, self.rest];
        // Odd constants without structure: the fractional digits of pi.
        let hash = words.iter().fold(0x243f_6a88_85a3_08d3_u64, |hash, word| {
            (hash.rotate_left(23) ^ word).wrapping_mul(0x1319_8a2e_0370_7345)
        });
        usize::try_from(hash >> 32).unwrap_or(0) & shards.wrapping_sub(1)
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

/// Source and destination port, which TCP (RFC 9293, section 3.1) and UDP (RFC 768) have in the same place.
#[inline]
fn ports(protocol: u8, packet: &[u8]) -> Option<([u16; 2], Transport)> {
    let transport = match protocol {
        TCP => Transport::Tcp,
        UDP => Transport::Udp,
        _ => return None,
    };
    let [s0, s1, d0, d1] = *packet.first_chunk()?;
    Some(([u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])], transport))
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
