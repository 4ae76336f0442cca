//! A captured packet in, a TCP segment or UDP datagram out. A packet stands alone here: neither IP fragments nor streams
//! are reassembled, and no checksum is verified. What is not decoded is [`Ignored`] for a reason that can be counted.

mod flow_key;
mod ignored;
mod ip;
mod link;
mod reader;
#[cfg(test)]
mod tests;
mod transport;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub(crate) use flow_key::FlowKey;
pub use ignored::{Ignored, IgnoredCounts};

/// Nanoseconds since the Unix epoch, in capture time: the only clock of the data path.
pub type Timestamp = u64;

/// One packet as the capture source gave it.
#[derive(Clone, Copy, Debug)]
pub struct RawPacket<'a> {
    /// Position in the capture, from 1, over all its files.
    pub number: u64,
    /// When it was captured.
    pub at: Timestamp,
    /// How `data` begins.
    pub linktype: Linktype,
    /// Index of the interface within the capture (pcapng), 0 elsewhere.
    pub interface: u32,
    /// Length on the wire; `data` may be shorter (snaplen).
    pub origlen: u32,
    /// The bytes kept.
    pub data: &'a [u8],
}

/// A LINKTYPE_ value, see <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linktype(pub u16);

/// An address and a port of one end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// IP address; v4-mapped v6 addresses stay v6.
    pub ip: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// A TCP flow that nobody will claim. Ports are used again: it is the one that was there then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// One end.
    pub a: Endpoint,
    /// The other one.
    pub b: Endpoint,
    /// When a segment of it was seen.
    pub at: Timestamp,
}

/// Transport protocols that carry flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP, a stream per direction.
    Tcp,
    /// UDP, whole datagrams.
    Udp,
}

/// TCP segment or UDP datagram: what the data path works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// TCP or UDP.
    pub transport: Transport,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// TCP header fields; zero for UDP.
    pub tcp: TcpFields,
    /// The payload bytes that were kept.
    pub payload: &'a [u8],
    /// Payload length on the wire, at least `payload.len()`.
    pub payload_len: u32,
    /// When it was captured.
    pub at: Timestamp,
    /// [`RawPacket::number`].
    pub packet: u64,
}

/// What reassembly needs of a TCP header (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFields {
    /// Sequence number of the first payload byte (of the SYN, if `syn`).
    pub seq: u32,
    /// Acknowledgment number, if the ACK bit is set.
    pub ack: Option<u32>,
    /// SYN bit.
    pub syn: bool,
    /// FIN bit.
    pub fin: bool,
    /// RST bit.
    pub rst: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// It carries TCP or UDP.
    Segment(Segment<'a>),
    /// It goes no further.
    Ignored(Ignored),
}

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Decodes a packet as far as its transport payload.
pub fn decode<'a>(packet: &RawPacket<'a>) -> Decoded<'a> {
    match IpPacket::of(packet) {
        Ok(ip) => ip.decode(packet),
        Err(reason) => Decoded::Ignored(reason),
    }
}

/// A packet without its link header and VLAN tags.
#[derive(Clone, Copy, Debug)]
pub struct IpPacket<'a> {
    version: link::IpVersion,
    reader: reader::Reader<'a>,
}

impl<'a> IpPacket<'a> {
    /// What `packet` carries.
    ///
    /// # Errors
    /// If that is not IP.
    #[inline]
    pub fn of(packet: &RawPacket<'a>) -> Result<Self, Ignored> {
        link::strip(packet).map(|(version, reader)| Self { version, reader })
    }

    /// Its flow, if that can be told at a glance.
    #[inline]
    pub(crate) fn flow_key(&self) -> Option<FlowKey> {
        FlowKey::at_a_glance(self.version, &self.reader)
    }

    /// Decodes it as far as its transport payload; `packet` is the one that carries it.
    #[inline]
    pub fn decode(self, packet: &RawPacket<'_>) -> Decoded<'a> {
        match self.segment(packet) {
            Ok(segment) => Decoded::Segment(segment),
            Err(reason) => Decoded::Ignored(reason),
        }
    }

    /// Its bytes, without what pads them; none if they are too few to say how many they are.
    #[inline]
    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        ip::packet_bytes(self.version, self.reader).ok()
    }

    #[inline]
    pub(crate) fn segment(&self, packet: &RawPacket<'_>) -> Result<Segment<'a>, Ignored> {
        let mut reader = self.reader;
        let ip = ip::read(self.version, &mut reader)?;
        let (transport, ports, tcp) = match ip.protocol {
            TCP => {
                let (ports, fields) = transport::read_tcp(&mut reader)?;
                (Transport::Tcp, ports, fields)
            }
            UDP => (Transport::Udp, transport::read_udp(&mut reader)?, TcpFields::default()),
            _ => return Err(Ignored::OtherTransport),
        };
        Ok(Segment {
            transport,
            source: Endpoint { ip: ip.source, port: ports.source },
            destination: Endpoint { ip: ip.destination, port: ports.destination },
            tcp,
            payload: reader.kept(),
            payload_len: reader.wire(),
            at: packet.at,
            packet: packet.number,
        })
    }
}
