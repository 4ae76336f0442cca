//! UDP datagrams that nobody recorded, as packets of a capture without link headers.

use std::net::SocketAddrV4;

use crate::pcap::{Capture, Packet};

/// LINKTYPE_RAW: packets begin with IP.
const RAW: u32 = 101;

/// A datagram.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// When it was captured, in nanoseconds since 1970.
    pub at: u64,
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Datagrams as a capture file.
#[must_use]
pub fn to_file(datagrams: &[Datagram]) -> Vec<u8> {
    let packet = |(datagram, id): (&Datagram, u16)| {
        let data = wrap(datagram, id);
        Packet { at: datagram.at, origlen: u32::try_from(data.len()).expect("a packet is short"), data }
    };
    // Identification numbers differ, or equal packets would count as one that was captured twice.
    Capture { linktype: RAW, packets: datagrams.iter().zip((0..=u16::MAX).cycle()).map(packet).collect() }.to_bytes()
}

/// IPv4 and UDP around the payload; checksums stay 0, as where a network card computes them.
fn wrap(datagram: &Datagram, id: u16) -> Vec<u8> {
    let len = |header: usize| u16::try_from(header + datagram.payload.len()).expect("under 64 KiB").to_be_bytes();
    let mut packet = [&[0x45, 0][..], &len(28), &id.to_be_bytes(), &[0x40, 0, 64, 17, 0, 0]].concat();
    packet.extend(datagram.source.ip().octets());
    packet.extend(datagram.destination.ip().octets());
    packet.extend(datagram.source.port().to_be_bytes());
    packet.extend(datagram.destination.port().to_be_bytes());
    packet.extend(len(8));
    packet.extend([0, 0]);
    packet.extend(&datagram.payload);
    packet
}
