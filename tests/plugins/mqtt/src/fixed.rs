//! The fixed header that every packet begins with.
//!
//! ```text
//! byte 0: type (4 bits), flags (4 bits)      bytes 1..=4: remaining length, 7 bits a byte, least significant first
//! ```
//! <https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html#_Toc3901021>

/// Types of packets; 0 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketType {
    Connect,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl PacketType {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// Whether it answers, by its packet identifier, what the peer sent.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Self::PubAck | Self::PubRec | Self::PubComp | Self::SubAck | Self::UnsubAck)
    }
}

/// A fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) packet: PacketType,
    /// Flags of the type; of all but PUBLISH they say nothing.
    pub(crate) flags: u8,
    /// Bytes that follow the header.
    pub(crate) len: u32,
}

impl Fixed {
    /// The fixed header that `bytes` begin with, and what follows it; `None` if it is none, or not all there.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (first, rest) = bytes.split_first()?;
        let packet = PacketType::of(first >> 4)?;
        let (len, rest) = varint(rest)?;
        let end = usize::try_from(len).ok()?.min(rest.len());
        Some((Self { packet, flags: first & 0x0f, len }, rest.get(..end)?))
    }

    /// Quality of service of a PUBLISH.
    pub(crate) fn qos(self) -> u8 {
        self.flags >> 1 & 3
    }

    /// Whether a PUBLISH is sent once more.
    pub(crate) fn is_duplicate(self) -> bool {
        self.flags & 8 != 0
    }

    /// Whether the broker shall keep it.
    pub(crate) fn is_retained(self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether the flags are among those that the standard allows.
    pub(crate) fn has_valid_flags(self) -> bool {
        match self.packet {
            PacketType::Publish => self.qos() < 3 && (self.qos() > 0 || !self.is_duplicate()),
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => self.flags == 2,
            _ => self.flags == 0,
        }
    }
}

/// A number of one to four bytes, of which the first seven bits each count, and what follows it. `None` if it is cut
/// off, longer, or longer than it has to be.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let is_minimal = at == 0 || *byte != 0;
            return is_minimal.then(|| bytes.get(at + 1..).map(|rest| (value, rest))).flatten();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::varint;

    #[test]
    fn a_varint_has_one_to_four_bytes_and_no_more_than_it_needs() {
        let values: Vec<_> = [&[0x7f][..], &[0x80, 1], &[0xff, 0xff, 0xff, 0x7f]].into_iter().map(varint).collect();
        assert_eq!(values, [127, 128, 268_435_455].map(|value| Some((value, &[][..]))));
        for bytes in [&[][..], &[0x80], &[0x80, 0], &[0x80, 0x80, 0x80, 0x80, 1]] {
            assert_eq!(varint(bytes), None);
        }
    }
}
