//! Link headers: takes a packet to its IP header. Decodes Ethernet with any number of VLAN tags, Linux cooked v1 and v2,
//! raw IP and BSD loopback. Does not decode 802.3 LLC/SNAP, PPPoE or MPLS: what they carry counts as not IP.

use super::reader::{Missing, Reader};
use super::{Ignored, Linktype, RawPacket};

/// Version of the IP header that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad (QinQ), and the numbers that QinQ had before it was a standard.
const ETHERTYPES_VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

impl Linktype {
    /// BSD loopback, in the byte order of the machine that captured.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether packets of this linktype are decoded. 12 and 14 are raw IP too: some systems wrote their own DLT_RAW.
    pub fn is_known(self) -> bool {
        matches!(self, Self::NULL | Self::ETHERNET | Self::RAW | Self::LOOP | Self::LINUX_SLL | Self::LINUX_SLL2)
            || matches!(self.0, 12 | 14 | 228 | 229)
    }
}

/// Takes off the link header.
#[inline]
pub(super) fn strip<'a>(packet: &RawPacket<'a>) -> Result<(IpVersion, Reader<'a>), Ignored> {
    let mut reader = Reader::new(packet.data, packet.origlen);
    let version = match packet.linktype {
        Linktype::ETHERNET => ethernet(&mut reader),
        Linktype::LINUX_SLL => cooked(&mut reader),
        Linktype::LINUX_SLL2 => cooked_v2(&mut reader),
        Linktype::NULL | Linktype::LOOP => loopback(&mut reader),
        linktype if linktype.is_known() => raw(&reader),
        _ => Err(Ignored::UnknownLinktype),
    }?;
    Ok((version, reader))
}

/// Destination (6 bytes), source (6), ethertype (2).
#[inline]
fn ethernet(reader: &mut Reader<'_>) -> Result<IpVersion, Ignored> {
    let [.., high, low] = *reader.chunk::<14>().map_err(missing)?;
    by_ethertype(u16::from_be_bytes([high, low]), reader)
}

/// Packet type (2), ARPHRD type (2), address length (2), address (8), protocol (2).
/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>
fn cooked(reader: &mut Reader<'_>) -> Result<IpVersion, Ignored> {
    let [.., high, low] = *reader.chunk::<16>().map_err(missing)?;
    by_ethertype(u16::from_be_bytes([high, low]), reader)
}

/// Protocol (2), reserved (2), interface index (4), ARPHRD type (2), packet type (1), address length (1), address (8).
/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>
fn cooked_v2(reader: &mut Reader<'_>) -> Result<IpVersion, Ignored> {
    let [high, low, ..] = *reader.chunk::<20>().map_err(missing)?;
    by_ethertype(u16::from_be_bytes([high, low]), reader)
}

/// Each VLAN tag is its control information (2) and the ethertype of what follows (2).
#[inline]
fn by_ethertype(mut ethertype: u16, reader: &mut Reader<'_>) -> Result<IpVersion, Ignored> {
    loop {
        match ethertype {
            ETHERTYPE_IPV4 => return Ok(IpVersion::V4),
            ETHERTYPE_IPV6 => return Ok(IpVersion::V6),
            tag if ETHERTYPES_VLAN.contains(&tag) => {
                let [_, _, high, low] = *reader.chunk().map_err(missing)?;
                ethertype = u16::from_be_bytes([high, low]);
            }
            _ => return Err(Ignored::NotIp),
        }
    }
}

/// An address family (4): 2 is IPv4 everywhere; IPv6 is 10 on Linux, 23 on Windows, 24, 28 or 30 on the BSDs. Written in
/// the byte order of the machine (NULL) or the network's (LOOP); no family above is ambiguous, so both orders are taken.
fn loopback(reader: &mut Reader<'_>) -> Result<IpVersion, Ignored> {
    let family = u32::from_be_bytes(*reader.chunk().map_err(missing)?);
    match family.min(family.swap_bytes()) {
        2 => Ok(IpVersion::V4),
        10 | 23 | 24 | 28 | 30 => Ok(IpVersion::V6),
        _ => Err(Ignored::NotIp),
    }
}

fn raw(reader: &Reader<'_>) -> Result<IpVersion, Ignored> {
    match reader.first().map_err(missing)? >> 4 {
        4 => Ok(IpVersion::V4),
        6 => Ok(IpVersion::V6),
        _ => Err(Ignored::NotIp),
    }
}

fn missing(missing: Missing) -> Ignored {
    match missing {
        Missing::OnWire => Ignored::MalformedLink,
        Missing::InCapture => Ignored::Truncated,
    }
}
