//! Packets: a header, then as many bytes. A payload of 16 MB and more is cut into several packets.
//!
//! ```text
//! +------------------+----------+---------+    u24, little-endian; 0xffffff: the payload goes on in the next packet
//! | length         3 | number 1 | payload |    number: 0 for a command, counted up by both ends until it is answered
//! +------------------+----------+---------+
//! ```
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use protap_plugin::prelude::*;

/// Bytes of a packet's header.
pub(crate) const HEADER: usize = 4;
/// Length of a packet whose payload goes on in the next one.
pub(crate) const FULL: u64 = 0xff_ffff;

/// A packet whose header was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Bytes of its payload.
    pub(crate) len: u64,
    /// Its number.
    pub(crate) number: u8,
}

impl Packet {
    /// Takes a header apart.
    pub(crate) fn decode([a, b, c, number]: [u8; HEADER]) -> Self {
        Self { len: u32::from_le_bytes([a, b, c, 0]).into(), number }
    }

    /// Reads a header.
    pub(crate) async fn begin(stream: &Stream) -> Result<Self, Stop> {
        Ok(Self::decode(stream.array().await?))
    }

    /// The first bytes of the payload, at most `N`, which stay unread.
    pub(crate) async fn head<const N: usize>(self, stream: &Stream) -> Result<Head<N>, Stop> {
        let len = usize::try_from(self.len).map_or(N, |len| len.min(N));
        stream.available(len).await?;
        let mut bytes = [0; N];
        stream.peek(|there| bytes.iter_mut().zip(there).take(len).for_each(|(to, from)| *to = *from));
        Ok(Head { bytes, len })
    }

    /// Passes over the payload, and the packets that it goes on in.
    pub(crate) async fn pass(self, stream: &Stream) -> Result<(), Stop> {
        let mut packet = self;
        while packet.len == FULL {
            stream.skip(packet.len).await?;
            packet = Self::begin(stream).await?;
        }
        stream.skip(packet.len).await
    }
}

/// The beginning of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Head<N> {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<u8> {
        self.bytes().first().copied()
    }
}

/// Reads a length-encoded integer.
pub(crate) fn lenenc(reader: &mut Reader<'_>) -> Option<u64> {
    Some(match reader.u8().ok()? {
        0xfc => reader.u16_le().ok()?.into(),
        0xfd => u64::from(reader.u16_le().ok()?) | u64::from(reader.u8().ok()?) << 16,
        0xfe => reader.u64_le().ok()?,
        0xfb | 0xff => return None,
        small => small.into(),
    })
}
