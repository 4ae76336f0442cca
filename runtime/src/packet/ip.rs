//! IP headers: takes a packet from its IP header to its transport header. Skips IPv4 options and IPv6 extension headers;
//! neither reassembles fragments nor verifies checksums (offloading leaves them unset).
//!
//! The IP length decides where the payload ends, which leaves off Ethernet padding. Where it claims more than was on the
//! wire, the wire wins: a receiver would drop such a packet, and the bytes that it claims were never seen. A length of
//! zero is what segmentation offload leaves in packets that are captured before the card cuts them (also those above
//! 64 KiB): there the wire decides as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Ignored;
use super::link::IpVersion;
use super::reader::{Missing, Reader};

/// What is needed of an IP header. The reader goes on behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
}

/// IPv6 extension headers, see <https://www.iana.org/assignments/ipv6-parameters>.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// Reads the IP header with all its options and extensions.
#[inline]
pub(super) fn read(version: IpVersion, reader: &mut Reader<'_>) -> Result<Ip, Ignored> {
    match version {
        IpVersion::V4 => read_v4(reader),
        IpVersion::V6 => read_v6(reader),
    }
}

/// The bytes of the IP packet itself, without what pads it.
pub(super) fn packet_bytes<'a>(version: IpVersion, mut reader: Reader<'a>) -> Result<&'a [u8], Ignored> {
    let mut ahead = reader;
    let len = match version {
        IpVersion::V4 => {
            let [_, _, high, low] = *ahead.chunk().map_err(missing)?;
            u16::from_be_bytes([high, low])
        }
        IpVersion::V6 => {
            let [_, _, _, _, high, low] = *ahead.chunk().map_err(missing)?;
            match u16::from_be_bytes([high, low]) {
                0 => 0,
                len => len.saturating_add(40),
            }
        }
    };
    if len > 0 {
        reader.limit(usize::from(len));
    }
    Ok(reader.kept())
}

/// RFC 791, section 3.1:
/// ```text
///  0 version, header length   1 type of service   2..4 total length
///  4..6 identification        6..8 flags, fragment offset
///  8 time to live             9 protocol          10..12 checksum
/// 12..16 source              16..20 destination   20.. options
/// ```
#[inline]
fn read_v4(reader: &mut Reader<'_>) -> Result<Ip, Ignored> {
    let header = reader.chunk::<20>().map_err(missing)?;
    let [first, _, len_high, len_low, _, _, offset_high, offset_low, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        *header;
    let header_len = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_len < header.len() {
        return Err(Ignored::MalformedIp);
    }
    let total_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if total_len > 0 {
        reader.limit(total_len.checked_sub(header.len()).ok_or(Ignored::MalformedIp)?);
    }
    reader.skip(header_len - header.len()).map_err(missing)?;
    if is_fragment([offset_high, offset_low]) {
        return Err(Ignored::Fragment);
    }
    Ok(Ip {
        source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol,
    })
}

/// Whether IPv4's flags and offset are a fragment's: an offset, or the bit that says more fragments follow.
#[inline]
pub(super) fn is_fragment(flags_and_offset: [u8; 2]) -> bool {
    u16::from_be_bytes(flags_and_offset) & 0x3fff != 0
}

/// RFC 8200, section 3: version, traffic class, flow label (4), payload length (2), next header (1), hop limit (1),
/// source (16), destination (16).
fn read_v6(reader: &mut Reader<'_>) -> Result<Ip, Ignored> {
    let [first, _, _, _, len_high, len_low, next_header, _] = *reader.chunk().map_err(missing)?;
    if first >> 4 != 6 {
        return Err(Ignored::MalformedIp);
    }
    let source = Ipv6Addr::from(*reader.chunk::<16>().map_err(missing)?);
    let destination = Ipv6Addr::from(*reader.chunk::<16>().map_err(missing)?);
    let payload_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if payload_len > 0 {
        reader.limit(payload_len);
    }
    let protocol = skip_extensions(next_header, reader)?;
    Ok(Ip { source: IpAddr::V6(source), destination: IpAddr::V6(destination), protocol })
}

/// RFC 8200, section 4. Every extension takes at least 8 bytes, so this ends with the packet.
fn skip_extensions(mut next_header: u8, reader: &mut Reader<'_>) -> Result<u8, Ignored> {
    loop {
        let len = match next_header {
            HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS => {
                let [next, len, offset_high, offset_low] = *reader.chunk().map_err(missing)?;
                let len = usize::from(len);
                match std::mem::replace(&mut next_header, next) {
                    // Not zero: an offset, or the bit that says more fragments follow. Zero: an atomic fragment (RFC 6946).
                    FRAGMENT if u16::from_be_bytes([offset_high, offset_low]) & 0xfff9 != 0 => {
                        return Err(Ignored::Fragment);
                    }
                    FRAGMENT => 8,
                    AUTHENTICATION => (len + 2) * 4,
                    _ => (len + 1) * 8,
                }
            }
            _ => return Ok(next_header),
        };
        reader.skip(len - 4).map_err(missing)?;
    }
}

fn missing(missing: Missing) -> Ignored {
    match missing {
        Missing::OnWire => Ignored::MalformedIp,
        Missing::InCapture => Ignored::Truncated,
    }
}
