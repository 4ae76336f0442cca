//! pcapng files, <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>: bytes in, the place of the next
//! packet out. Reads sections, interfaces, packets of all three kinds and the drop counts of statistics blocks; passes
//! over every other block. A contradiction ends the file: nothing behind it can be trusted.

mod interface;

use super::byte_order::ByteOrder;
use super::error::FormatError;
use super::pcap_format::FoundPacket;
use super::read_buffer::{MAX_RECORD, ReadBuffer};
use crate::packet::Timestamp;
use interface::Interface;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Most interfaces in a section: an id of 16 bits was enough for the format's first version, and bounds the memory.
const MAX_INTERFACES: usize = 1 << 16;

/// What the current section says.
#[derive(Debug)]
pub(super) struct PcapngFormat {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Interfaces of the sections before.
    earlier_interfaces: u32,
    last: Timestamp,
    drops: Drops,
}

/// Losses that the writer of the file noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    pub(super) kernel: u64,
    pub(super) interface: u64,
}

/// One block: its type, and what lies between its two lengths.
struct Block<'a> {
    kind: u32,
    body: &'a [u8],
    len: usize,
}

impl PcapngFormat {
    /// Whether a file that begins so is a pcapng file.
    pub(super) fn matches(start: [u8; 4]) -> bool {
        u32::from_le_bytes(start) == SECTION_HEADER
    }

    pub(super) fn new() -> Self {
        // The first block is a section header, which says the byte order.
        let order = ByteOrder::Little;
        Self { order, interfaces: Vec::new(), earlier_interfaces: 0, last: 0, drops: Drops::default() }
    }

    pub(super) fn drops(&self) -> Drops {
        self.drops
    }

    /// Finds the next packet. Every round consumes a block, so this ends with the file.
    pub(super) fn next(&mut self, input: &mut ReadBuffer) -> Result<Option<FoundPacket>, FormatError> {
        loop {
            if !input.fill(12)? {
                return if input.window().is_empty() { Ok(None) } else { Err(FormatError::Truncated) };
            }
            let block = read_block(&mut self.order, input)?;
            let (len, body) = (block.len, block.body);
            match block.kind {
                ENHANCED_PACKET => return self.enhanced_packet(body, len).map(Some),
                SIMPLE_PACKET => return self.simple_packet(body, len).map(Some),
                OBSOLETE_PACKET => return self.obsolete_packet(body, len).map(Some),
                INTERFACE_DESCRIPTION => self.add_interface(body)?,
                INTERFACE_STATISTICS => self.note_drops(body)?,
                SECTION_HEADER => self.begin_section(body)?,
                _ => {}
            }
            input.consume(len);
        }
    }

    /// Byte-order magic (4), version (2 + 2), section length (8, not needed), options.
    fn begin_section(&mut self, body: &[u8]) -> Result<(), FormatError> {
        let Some(([_, _, _, _, v0, v1, ..], _)) = body.split_first_chunk::<16>() else {
            return Err(FormatError::malformed("a section header that is too short"));
        };
        let version = self.order.u16([*v0, *v1]);
        if version != 1 {
            return Err(FormatError::malformed(format!("pcapng version {version}, expected 1")));
        }
        let count = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.earlier_interfaces = self.earlier_interfaces.saturating_add(count);
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, body: &[u8]) -> Result<(), FormatError> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(FormatError::malformed(format!("more than {MAX_INTERFACES} interfaces in a section")));
        }
        self.interfaces.push(Interface::read(self.order, body)?);
        Ok(())
    }

    /// Interface (4), timestamp (4 high, 4 low), caplen (4), origlen (4), the packet, padding, options.
    fn enhanced_packet(&mut self, body: &[u8], len: usize) -> Result<FoundPacket, FormatError> {
        let header = body.first_chunk::<20>().ok_or_else(too_short)?;
        let [interface, high, low, caplen, origlen] = self.order.u32s(header);
        self.found(interface, Some((high, low)), caplen, origlen, Place { header: 20, body, len })
    }

    /// Interface (2), drops (2), then as above.
    fn obsolete_packet(&mut self, body: &[u8], len: usize) -> Result<FoundPacket, FormatError> {
        let header @ [i0, i1, ..] = body.first_chunk::<20>().ok_or_else(too_short)?;
        let [_, high, low, caplen, origlen] = self.order.u32s(header);
        let interface = u32::from(self.order.u16([*i0, *i1]));
        self.found(interface, Some((high, low)), caplen, origlen, Place { header: 20, body, len })
    }

    /// Origlen (4), the packet, padding. It is of interface 0, kept up to that one's snaplen, and has no time: it gets
    /// that of the packet before.
    fn simple_packet(&mut self, body: &[u8], len: usize) -> Result<FoundPacket, FormatError> {
        let header = body.first_chunk::<4>().ok_or_else(too_short)?;
        let origlen = self.order.u32(*header);
        let snaplen = self.interfaces.first().map_or(0, |interface| interface.snaplen);
        let room = u32::try_from(body.len() - 4).unwrap_or(u32::MAX);
        let caplen = if snaplen == 0 { origlen } else { origlen.min(snaplen) };
        self.found(0, None, caplen.min(room), origlen, Place { header: 4, body, len })
    }

    fn found(
        &mut self,
        interface: u32,
        time: Option<(u32, u32)>,
        caplen: u32,
        origlen: u32,
        place: Place<'_>,
    ) -> Result<FoundPacket, FormatError> {
        let described = self.interfaces.get(interface as usize);
        let described = described
            .ok_or_else(|| FormatError::malformed(format!("a packet of interface {interface}, undescribed")))?;
        // An interface of a linktype that we cannot decode is passed over, unless there is no other.
        if !described.linktype.is_known() && self.interfaces.iter().all(|interface| !interface.linktype.is_known()) {
            return Err(FormatError::UnknownLinktype(described.linktype));
        }
        if place.body.len() - place.header < caplen as usize {
            return Err(FormatError::malformed(format!("a packet of {caplen} bytes in a block of {}", place.len)));
        }
        if let Some((high, low)) = time {
            self.last = described.timestamp(u64::from(high) << 32 | u64::from(low));
        }
        Ok(FoundPacket {
            at: self.last,
            linktype: described.linktype,
            interface: self.earlier_interfaces.saturating_add(interface),
            origlen: origlen.max(caplen),
            start: 8 + place.header,
            caplen: caplen as usize,
            record_len: place.len,
        })
    }

    fn note_drops(&mut self, body: &[u8]) -> Result<(), FormatError> {
        let header = body.first_chunk::<4>().ok_or_else(too_short)?;
        let id = self.order.u32(*header) as usize;
        let Some(interface) = self.interfaces.get_mut(id) else {
            return Err(FormatError::malformed(format!("statistics of interface {id}, undescribed")));
        };
        let growth = interface.note_drops(self.order, body)?;
        self.drops.kernel = self.drops.kernel.saturating_add(growth.kernel);
        self.drops.interface = self.drops.interface.saturating_add(growth.interface);
        Ok(())
    }
}

/// Where a packet lies in its block.
struct Place<'a> {
    header: usize,
    body: &'a [u8],
    len: usize,
}

/// Block type (4), total length (4), body, total length again (4). A section header's body begins with the magic number
/// that tells the byte order from there on, that of its own length included.
fn read_block<'a>(order: &mut ByteOrder, input: &'a mut ReadBuffer) -> Result<Block<'a>, FormatError> {
    let start = input.window().first_chunk::<12>().ok_or(FormatError::Truncated)?;
    let [k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3] = *start;
    if order.u32([k0, k1, k2, k3]) == SECTION_HEADER {
        *order = ByteOrder::of_magic([m0, m1, m2, m3], BYTE_ORDER_MAGIC)
            .ok_or_else(|| FormatError::malformed("a section header without byte-order magic"))?;
    }
    let (kind, len) = (order.u32([k0, k1, k2, k3]), order.u32([l0, l1, l2, l3]) as usize);
    if len < 12 || !len.is_multiple_of(4) || len > MAX_RECORD {
        let what = format!("a block of {len} bytes, expected a multiple of 4 from 12 to {MAX_RECORD}");
        return Err(FormatError::Malformed(what));
    }
    if !input.fill(len)? {
        return Err(FormatError::Truncated);
    }
    let whole = input.window().get(8..len).ok_or(FormatError::Truncated)?;
    let (body, trailer) = whole.split_last_chunk().ok_or(FormatError::Truncated)?;
    let trailer = order.u32(*trailer) as usize;
    if trailer != len {
        return Err(FormatError::malformed(format!("a block of {len} bytes that ends as one of {trailer}")));
    }
    Ok(Block { kind, body, len })
}

fn too_short() -> FormatError {
    FormatError::malformed("a block that is too short for its kind")
}
