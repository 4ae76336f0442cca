//! TCP segments taken out of a capture, in a form that tests can cut, move and put back. Options are not kept: nothing
//! that the program does depends on them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::link::Link;
use crate::pcap::{Capture, Packet};

/// FIN bit of the TCP header.
pub const FIN: u8 = 1;
/// SYN bit.
pub const SYN: u8 = 2;
/// RST bit.
pub const RST: u8 = 4;
/// PSH bit.
pub const PSH: u8 = 8;
/// ACK bit.
pub const ACK: u8 = 16;

/// A TCP segment and when it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it was captured, in nanoseconds since 1970.
    pub at: u64,
    /// Its packet's number in the original capture, from 1.
    pub packet: usize,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// The bits of the header.
    pub flags: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A direction of a flow: sender and receiver.
pub type Stream = (SocketAddr, SocketAddr);

impl Segment {
    /// The direction that it belongs to.
    #[must_use]
    pub fn stream(&self) -> Stream {
        (self.source, self.destination)
    }

    /// Whether one of the header's bits is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence number behind the payload.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.seq.wrapping_add(u32::try_from(self.payload.len()).expect("a segment is short"))
    }

    /// A part of the segment, which looks as if its sender had cut it so.
    #[must_use]
    pub fn part(&self, from: usize, to: usize) -> Self {
        let is_last = to == self.payload.len();
        Self {
            seq: self.seq.wrapping_add(u32::try_from(from).expect("a segment is short")),
            flags: if is_last { self.flags } else { self.flags & !(FIN | PSH | RST) },
            payload: self.payload[from..to].to_vec(),
            ..self.clone()
        }
    }

    /// The TCP header and the payload. The checksum stays 0, as where a network card computes it.
    #[must_use]
    pub fn to_tcp(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + self.payload.len());
        bytes.extend_from_slice(&self.source.port().to_be_bytes());
        bytes.extend_from_slice(&self.destination.port().to_be_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.ack.to_be_bytes());
        bytes.extend_from_slice(&[5 << 4, self.flags, 255, 255, 0, 0, 0, 0]);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    fn parse(packet: &Packet, number: usize) -> Option<Self> {
        let ip = packet.data.strip_prefix(packet.data.get(..12)?)?.strip_prefix(&[8, 0])?;
        let header = usize::from(ip.first()? & 15) * 4;
        let total = usize::from(u16_at(ip, 2)?);
        let (source, destination) = (address_at(ip, 12)?, address_at(ip, 16)?);
        let tcp = ip.get(header..total).filter(|_| ip[9] == 6)?;
        Some(Self {
            at: packet.at,
            packet: number,
            source: SocketAddr::new(source, u16_at(tcp, 0)?),
            destination: SocketAddr::new(destination, u16_at(tcp, 2)?),
            seq: u32_at(tcp, 4)?,
            ack: u32_at(tcp, 8)?,
            flags: tcp[13],
            payload: tcp.get(usize::from(tcp[12] >> 4) * 4..)?.to_vec(),
        })
    }
}

/// The TCP segments of a capture of IPv4 on Ethernet that was not cut by a snaplen.
#[must_use]
pub fn segments(capture: &Capture) -> Vec<Segment> {
    assert_eq!(capture.linktype, 1, "only Ethernet captures can be rewritten");
    let numbered = capture.packets.iter().zip(1..);
    numbered.filter_map(|(packet, number)| Segment::parse(packet, number)).collect()
}

/// Segments as a capture file with that kind of link header.
#[must_use]
pub fn to_file(segments: &[Segment], link: Link) -> Vec<u8> {
    let packet = |(segment, id): (&Segment, u16)| {
        let data = link.wrap(segment, id);
        Packet { at: segment.at, origlen: u32::try_from(data.len()).expect("a packet is short"), data }
    };
    // Identification numbers differ, or equal packets would count as one that was captured twice.
    let ids = (0..=u16::MAX).cycle();
    Capture { linktype: link.linktype(), packets: segments.iter().zip(ids).map(packet).collect() }.to_bytes()
}

fn address_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
