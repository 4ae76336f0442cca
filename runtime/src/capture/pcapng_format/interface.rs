//! What a pcapng section says about one interface: linktype, snaplen, and how its timestamps count.

use super::super::byte_order::ByteOrder;
use super::super::error::FormatError;
use super::{Drops, too_short};
use crate::packet::{Linktype, Timestamp};

const END_OF_OPTIONS: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// An interface description block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) linktype: Linktype,
    pub(super) snaplen: u32,
    resolution: Resolution,
    offset_seconds: i64,
    drops: Drops,
}

/// How long one unit of a timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// So many nanoseconds.
    Nanos(u64),
    /// A nanosecond divided by this.
    PartOfNano(u64),
    /// A second divided by 2 to the power of this.
    PowerOfTwo(u32),
}

impl Interface {
    /// Linktype (2), reserved (2), snaplen (4), options.
    pub(super) fn read(order: ByteOrder, body: &[u8]) -> Result<Self, FormatError> {
        let ([t0, t1, _, _, s0, s1, s2, s3], mut options) = body.split_first_chunk().ok_or_else(too_short)?;
        let mut interface = Self {
            linktype: Linktype(order.u16([*t0, *t1])),
            snaplen: order.u32([*s0, *s1, *s2, *s3]),
            resolution: Resolution::Nanos(1_000),
            offset_seconds: 0,
            drops: Drops::default(),
        };
        while let Some((code, value)) = next_option(order, &mut options)? {
            match (code, value) {
                (IF_TSRESOL, [resolution]) => interface.resolution = Resolution::from_option(*resolution),
                (IF_TSOFFSET, _) => {
                    let bytes = *value.first_chunk().ok_or_else(too_short)?;
                    interface.offset_seconds = order.u64(bytes).cast_signed();
                }
                _ => {}
            }
        }
        Ok(interface)
    }

    /// Capture time of a packet that says `units`. What does not fit is clamped.
    pub(super) fn timestamp(&self, units: u64) -> Timestamp {
        let nanos = match self.resolution {
            Resolution::Nanos(nanos) => units.saturating_mul(nanos),
            Resolution::PartOfNano(parts) => units / parts,
            Resolution::PowerOfTwo(power) => {
                let nanos = (u128::from(units) * 1_000_000_000) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        nanos.saturating_add_signed(self.offset_seconds.saturating_mul(1_000_000_000))
    }

    /// Interface (4), timestamp (8), options with counts since the capture began. Returns by how much they grew.
    pub(super) fn note_drops(&mut self, order: ByteOrder, body: &[u8]) -> Result<Drops, FormatError> {
        let (_, mut options) = body.split_first_chunk::<12>().ok_or_else(too_short)?;
        let before = self.drops;
        while let Some((code, value)) = next_option(order, &mut options)? {
            let counter = match code {
                ISB_IFDROP => &mut self.drops.interface,
                ISB_OSDROP => &mut self.drops.kernel,
                _ => continue,
            };
            *counter = order.u64(*value.first_chunk().ok_or_else(too_short)?).max(*counter);
        }
        Ok(Drops { kernel: self.drops.kernel - before.kernel, interface: self.drops.interface - before.interface })
    }
}

impl Resolution {
    /// The high bit says whether the rest is a negative power of 2 or of 10.
    fn from_option(value: u8) -> Self {
        let power = u32::from(value & 0x7f);
        if value & 0x80 != 0 {
            Self::PowerOfTwo(power)
        } else if power <= 9 {
            Self::Nanos(10_u64.pow(9 - power))
        } else {
            Self::PartOfNano(10_u64.saturating_pow(power - 9))
        }
    }
}

/// Takes the next option off: code (2), length (2), value, padding to 4.
fn next_option<'a>(order: ByteOrder, options: &mut &'a [u8]) -> Result<Option<(u16, &'a [u8])>, FormatError> {
    let Some(([c0, c1, l0, l1], rest)) = options.split_first_chunk() else { return Ok(None) };
    let (code, len) = (order.u16([*c0, *c1]), usize::from(order.u16([*l0, *l1])));
    if code == END_OF_OPTIONS {
        return Ok(None);
    }
    let value = rest.get(..len).ok_or_else(|| FormatError::malformed("an option that does not fit its block"))?;
    *options = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    Ok(Some((code, value)))
}

#[cfg(test)]
mod tests {
    use super::super::super::byte_order::ByteOrder;
    use super::Interface;

    /// A description of an Ethernet interface with one option.
    fn interface(code: u8, value: &[u8]) -> Interface {
        let mut body = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, code, 0, value.len() as u8];
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
        Interface::read(ByteOrder::Big, &body).unwrap()
    }

    #[test]
    fn timestamps_count_in_the_resolution_that_the_interface_declares() {
        let plain = Interface::read(ByteOrder::Big, &[0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(plain.timestamp(1_500_000), 1_500_000_000, "microseconds unless it says otherwise");
        for (resolution, units, nanos) in [
            (0, 3, 3_000_000_000),
            (3, 1_500, 1_500_000_000),
            (9, 1_500_000_001, 1_500_000_001),
            (12, 1_500_000_001_999, 1_500_000_001),
            (0x80, 3, 3_000_000_000),
            (0x80 | 10, 1_536, 1_500_000_000),
            (0x80 | 63, u64::MAX, 1_999_999_999),
            (0x80 | 127, u64::MAX, 0),
            (127, u64::MAX, 1),
            (0, u64::MAX, u64::MAX),
        ] {
            assert_eq!(interface(9, &[resolution]).timestamp(units), nanos, "resolution {resolution:#x}");
        }
    }

    #[test]
    fn timestamp_offset_is_in_seconds_and_may_be_negative() {
        assert_eq!(interface(14, &2_i64.to_be_bytes()).timestamp(1), 2_000_001_000);
        assert_eq!(interface(14, &(-2_i64).to_be_bytes()).timestamp(3_000_000), 1_000_000_000);
        assert_eq!(interface(14, &i64::MIN.to_be_bytes()).timestamp(1), 0);
    }

    #[test]
    fn an_option_beyond_its_block_is_refused() {
        assert!(Interface::read(ByteOrder::Big, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 5, 1, 2, 3, 4]).is_err());
    }
}
