//! TCP and UDP headers: takes the IP payload to the transport payload. Skips TCP options, verifies no checksum.

use super::reader::{Missing, Reader};
use super::{Ignored, TcpFields};

/// What is needed of a transport header. The reader goes on behind it, at the payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) source: u16,
    pub(super) destination: u16,
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// RFC 9293, section 3.1. What follows the flags is not needed, so a snaplen may cut it.
/// ```text
///  0..2 source port   2..4 destination port   4..8 sequence number   8..12 acknowledgment number
/// 12 header length    13 flags                14..16 window  16..18 checksum  18..20 urgent  20.. options
/// ```
#[inline]
pub(super) fn read_tcp(reader: &mut Reader<'_>) -> Result<(Ports, TcpFields), Ignored> {
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, header_len, flags] = *reader.chunk().map_err(missing)?;
    let header_len = usize::from(header_len >> 4) * 4;
    if header_len < 20 {
        return Err(Ignored::MalformedTransport);
    }
    reader.skip(header_len - 14).map_err(missing)?;
    let fields = TcpFields {
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: (flags & ACK != 0).then_some(u32::from_be_bytes([a0, a1, a2, a3])),
        syn: flags & SYN != 0,
        fin: flags & FIN != 0,
        rst: flags & RST != 0,
    };
    Ok((Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) }, fields))
}

/// RFC 768: source port (2), destination port (2), length with this header (2), checksum (2). A length of zero is a
/// jumbogram's (RFC 2675) or segmentation offload's: the IP payload decides.
pub(super) fn read_udp(reader: &mut Reader<'_>) -> Result<Ports, Ignored> {
    let [s0, s1, d0, d1, len_high, len_low, _, _] = *reader.chunk().map_err(missing)?;
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if len > 0 {
        reader.limit(len.checked_sub(8).ok_or(Ignored::MalformedTransport)?);
    }
    Ok(Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) })
}

fn missing(missing: Missing) -> Ignored {
    match missing {
        Missing::OnWire => Ignored::MalformedTransport,
        Missing::InCapture => Ignored::Truncated,
    }
}
