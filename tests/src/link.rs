//! Headers around a TCP segment, by hand: IPv4 or IPv6, and whatever a capture may put before that.

use std::net::IpAddr;

use crate::segment::Segment;

/// What a packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet.
    Ethernet,
    /// Ethernet with an 802.1Q tag.
    Vlan,
    /// Ethernet with an 802.1ad tag around an 802.1Q tag.
    QinQ,
    /// Linux cooked, version 1: the `any` device of libpcap before 1.10.
    Cooked,
    /// Linux cooked, version 2.
    Cooked2,
    /// IP at once: a tunnel.
    Raw,
    /// BSD loopback: the address family in the host's byte order.
    Null,
}

/// All of them.
pub const LINKS: [Link; 7] =
    [Link::Ethernet, Link::Vlan, Link::QinQ, Link::Cooked, Link::Cooked2, Link::Raw, Link::Null];

impl Link {
    /// Its LINKTYPE_ value.
    #[must_use]
    pub fn linktype(self) -> u32 {
        match self {
            Self::Ethernet | Self::Vlan | Self::QinQ => 1,
            Self::Cooked => 113,
            Self::Cooked2 => 276,
            Self::Raw => 101,
            Self::Null => 0,
        }
    }

    /// The whole packet of a segment. `id` is IPv4's identification.
    #[must_use]
    pub fn wrap(self, segment: &Segment, id: u16) -> Vec<u8> {
        let [ether_high, ether_low] = if segment.source.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
        let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let mut packet = match self {
            Self::Ethernet => [macs.as_slice(), &[ether_high, ether_low]].concat(),
            Self::Vlan => [macs.as_slice(), &[0x81, 0, 0, 42, ether_high, ether_low]].concat(),
            Self::QinQ => [macs.as_slice(), &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 42, ether_high, ether_low]].concat(),
            Self::Cooked => vec![0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, ether_high, ether_low],
            Self::Cooked2 => {
                vec![ether_high, ether_low, 0, 0, 0, 0, 0, 1, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            Self::Raw => Vec::new(),
            Self::Null => if segment.source.is_ipv4() { 2_u32 } else { 30 }.to_le_bytes().to_vec(),
        };
        packet.extend(ip_packet(segment, id));
        packet
    }
}

fn ip_packet(segment: &Segment, id: u16) -> Vec<u8> {
    let tcp = segment.to_tcp();
    let mut packet = match (segment.source.ip(), segment.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(20 + tcp.len()).expect("a packet is under 64 KiB").to_be_bytes();
            let [id_high, id_low] = id.to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], id_high, id_low, 0x40, 0, 64, 6, 0, 0];
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let len = u16::try_from(tcp.len()).expect("a packet is under 64 KiB").to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, len[0], len[1], 6, 64];
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => panic!("both ends of a flow are of one address family"),
    };
    packet.extend(tcp);
    packet
}
