//! Capture files as packets and back, for tests that rewrite them. Reads classic pcap, plain or gzip; writes it with
//! nanoseconds. (How the program itself reads files is not used here, so that the two check each other.)

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Magic number of a file with microseconds, in the writer's byte order.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Magic number of a file with nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// A capture.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// What the packets begin with, a LINKTYPE_ value.
    pub linktype: u32,
    /// The packets, in the order of the file.
    pub packets: Vec<Packet>,
}

/// One packet of a capture.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it was captured, in nanoseconds since 1970.
    pub at: u64,
    /// Its length on the wire.
    pub origlen: u32,
    /// The bytes that were kept.
    pub data: Vec<u8>,
}

impl Capture {
    /// Reads a file.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        Self::parse(&read_plain(path)).unwrap_or_else(|| panic!("{} is no classic pcap file", path.display()))
    }

    /// Reads a file's bytes; `None` if they are no little-endian pcap file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let tick = match u32_at(bytes, 0)? {
            MICROSECONDS => 1_000,
            NANOSECONDS => 1,
            _ => return None,
        };
        let mut capture = Self { linktype: u32_at(bytes, 20)?, packets: Vec::new() };
        let mut rest = bytes.get(24..)?;
        while let Some(caplen) = u32_at(rest, 8) {
            let at = u64::from(u32_at(rest, 0)?) * 1_000_000_000 + u64::from(u32_at(rest, 4)?) * tick;
            let end = 16 + caplen as usize;
            let data = rest.get(16..end)?.to_vec();
            capture.packets.push(Packet { at, origlen: u32_at(rest, 12)?, data });
            rest = rest.get(end..)?;
        }
        Some(capture)
    }

    /// The capture as a file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Version 2.4, no time zone, snaplen of tcpdump.
        for word in [NANOSECONDS, 2 | 4 << 16, 0, 0, 262_144, self.linktype] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for packet in &self.packets {
            let (seconds, nanoseconds) = (packet.at / 1_000_000_000, packet.at % 1_000_000_000);
            for word in [seconds, nanoseconds, packet.data.len() as u64, u64::from(packet.origlen)] {
                bytes.extend_from_slice(&u32::try_from(word).expect("fits a pcap field").to_le_bytes());
            }
            bytes.extend_from_slice(&packet.data);
        }
        bytes
    }
}

/// A file's bytes, decompressed if it is gzip.
#[must_use]
pub fn read_plain(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut plain = Vec::new();
    let result = GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
    result.unwrap_or_else(|error| panic!("cannot decompress {}: {error}", path.display()));
    plain
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
