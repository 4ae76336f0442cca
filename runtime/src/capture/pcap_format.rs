//! Classic pcap files, <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>: bytes in, the place of the next
//! packet out.

use super::byte_order::ByteOrder;
use super::error::FormatError;
use super::read_buffer::{MAX_RECORD, ReadBuffer};
use crate::packet::{Linktype, Timestamp};

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const PACKET_HEADER: usize = 16;

/// Where a packet lies in the window of the [`ReadBuffer`], and what its header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundPacket {
    pub(super) at: Timestamp,
    pub(super) linktype: Linktype,
    pub(super) interface: u32,
    pub(super) origlen: u32,
    /// Where its bytes begin.
    pub(super) start: usize,
    /// How many there are.
    pub(super) caplen: usize,
    /// How long the whole record is.
    pub(super) record_len: usize,
}

/// What the header of a pcap file says.
#[derive(Clone, Copy, Debug)]
pub(super) struct PcapFormat {
    order: ByteOrder,
    /// Nanoseconds in one unit of a timestamp's fraction.
    nanos_per_unit: u64,
    linktype: Linktype,
}

impl PcapFormat {
    /// Whether a file that begins so is a pcap file.
    pub(super) fn matches(start: [u8; 4]) -> bool {
        order_and_unit(start).is_some()
    }

    /// Reads the file header: magic (4), version (2 + 2), reserved (8), snaplen (4), linktype (lower half of 4; the
    /// upper tells the length of the frame check sequence, which the IP length leaves off anyway).
    pub(super) fn open(input: &mut ReadBuffer) -> Result<Self, FormatError> {
        if !input.fill(24)? {
            return Err(FormatError::Truncated);
        }
        let Some((&[m0, m1, m2, m3, v0, v1, .., l0, l1, l2, l3], _)) = input.window().split_first_chunk::<24>() else {
            return Err(FormatError::Truncated);
        };
        let (order, nanos_per_unit) =
            order_and_unit([m0, m1, m2, m3]).ok_or_else(|| FormatError::malformed("no pcap magic number"))?;
        let version = order.u16([v0, v1]);
        if version != 2 {
            return Err(FormatError::malformed(format!("pcap version {version}, expected 2")));
        }
        let linktype = Linktype((order.u32([l0, l1, l2, l3]) & 0xffff) as u16);
        if !linktype.is_known() {
            return Err(FormatError::UnknownLinktype(linktype));
        }
        input.consume(24);
        Ok(Self { order, nanos_per_unit, linktype })
    }

    /// Finds the next packet: seconds (4), fraction (4), caplen (4), origlen (4), then its bytes.
    #[inline]
    pub(super) fn next(&self, input: &mut ReadBuffer) -> Result<Option<FoundPacket>, FormatError> {
        if !input.fill(PACKET_HEADER)? {
            return if input.window().is_empty() { Ok(None) } else { Err(FormatError::Truncated) };
        }
        let header = input.window().first_chunk::<PACKET_HEADER>().ok_or(FormatError::Truncated)?;
        let [seconds, fraction, caplen, origlen] = self.order.u32s(header);
        let len = caplen as usize;
        if len > MAX_RECORD {
            return Err(FormatError::malformed(format!("a packet of {len} bytes, at most {MAX_RECORD} are read")));
        }
        if !input.fill(PACKET_HEADER + len)? {
            return Err(FormatError::Truncated);
        }
        Ok(Some(FoundPacket {
            at: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.nanos_per_unit,
            linktype: self.linktype,
            interface: 0,
            origlen: origlen.max(caplen),
            start: PACKET_HEADER,
            caplen: len,
            record_len: PACKET_HEADER + len,
        }))
    }
}

fn order_and_unit(magic: [u8; 4]) -> Option<(ByteOrder, u64)> {
    let micros = ByteOrder::of_magic(magic, MAGIC_MICROS).map(|order| (order, 1_000));
    micros.or_else(|| ByteOrder::of_magic(magic, MAGIC_NANOS).map(|order| (order, 1)))
}
