//! Capture files built by hand from the format descriptions, for the tests of this folder.

use std::io::Cursor;

use super::{CaptureError, CaptureEvent, CaptureSource, FileSource};
use crate::packet::{Linktype, Timestamp};

/// A packet that was read, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadPacket {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) linktype: Linktype,
    pub(super) interface: u32,
    pub(super) origlen: u32,
    pub(super) data: Vec<u8>,
}

/// Reads a file until its end or the first error.
pub(super) fn read_all(file: Vec<u8>) -> (Vec<ReadPacket>, Option<CaptureError>) {
    drain(&mut FileSource::from_reader("test.pcap", Cursor::new(file)))
}

/// Reads until the end or the next error.
pub(super) fn drain(source: &mut FileSource) -> (Vec<ReadPacket>, Option<CaptureError>) {
    let mut packets = Vec::new();
    loop {
        match source.next() {
            Ok(CaptureEvent::Packet(packet)) => packets.push(ReadPacket {
                number: packet.number,
                at: packet.at,
                linktype: packet.linktype,
                interface: packet.interface,
                origlen: packet.origlen,
                data: packet.data.to_vec(),
            }),
            Ok(CaptureEvent::End) => return (packets, None),
            Ok(_) => panic!("a file has only packets"),
            Err(error) => return (packets, Some(error)),
        }
    }
}

/// Writes integers in one byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32s(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }

    /// A pcap file header.
    pub(super) fn pcap(self, magic: u32, linktype: u32) -> Vec<u8> {
        [self.u32s(&[magic]), self.u16(2).into(), self.u16(4).into(), self.u32s(&[0, 0, 262_144, linktype])].concat()
    }

    /// A packet in a pcap file.
    pub(super) fn packet(self, seconds: u32, fraction: u32, origlen: u32, data: &[u8]) -> Vec<u8> {
        [self.u32s(&[seconds, fraction, data.len() as u32, origlen]), data.to_vec()].concat()
    }

    /// A pcapng block.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut padded = body.to_vec();
        padded.resize(body.len().next_multiple_of(4), 0);
        let len = padded.len() as u32 + 12;
        [self.u32s(&[kind, len]), padded, self.u32s(&[len])].concat()
    }

    /// A section header block.
    pub(super) fn section(self) -> Vec<u8> {
        self.block(
            0x0a0d_0d0a,
            &[self.u32s(&[0x1a2b_3c4d]), self.u16(1).into(), self.u16(0).into(), vec![0xff; 8]].concat(),
        )
    }

    /// An interface description block.
    pub(super) fn interface(self, linktype: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        self.block(1, &[&self.u16(linktype)[..], &[0, 0], &self.u32(snaplen), options].concat())
    }

    /// An option with a value of up to 4 or 8 bytes.
    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    /// An enhanced packet block.
    pub(super) fn enhanced(self, interface: u32, units: u64, origlen: u32, data: &[u8]) -> Vec<u8> {
        let header = self.u32s(&[interface, (units >> 32) as u32, units as u32, data.len() as u32, origlen]);
        self.block(6, &[header, data.to_vec()].concat())
    }

    /// An obsolete packet block.
    pub(super) fn obsolete(self, interface: u16, units: u64, data: &[u8]) -> Vec<u8> {
        let len = data.len() as u32;
        let rest = self.u32s(&[(units >> 32) as u32, units as u32, len, len]);
        self.block(2, &[&self.u16(interface)[..], &self.u16(7), &rest, data].concat())
    }

    /// A simple packet block.
    pub(super) fn simple(self, origlen: u32, data: &[u8]) -> Vec<u8> {
        self.block(3, &[&self.u32(origlen)[..], data].concat())
    }
}
