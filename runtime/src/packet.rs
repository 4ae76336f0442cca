//! A captured packet in, a TCP segment or UDP datagram out.

use std::net::IpAddr;

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
