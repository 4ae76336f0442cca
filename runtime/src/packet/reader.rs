//! Bounds-checked reading of one packet's headers. It knows two lengths, that on the wire and that which was kept, and
//! so tells a packet that is too short for its headers (malformed) from one that the snaplen cut (truncated).

/// Why a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The bytes were never on the wire.
    OnWire,
    /// The bytes were on the wire, but were not kept.
    InCapture,
}

/// What is left of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    kept: &'a [u8],
    wire: usize,
}

impl<'a> Reader<'a> {
    /// A packet of `origlen` bytes, of which `kept` were captured. A smaller `origlen` than what was kept is wrong.
    pub(super) fn new(kept: &'a [u8], origlen: u32) -> Self {
        let wire = usize::try_from(origlen).unwrap_or(usize::MAX).max(kept.len());
        Self { kept, wire }
    }

    /// The next `N` bytes.
    #[inline]
    pub(super) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Missing> {
        let wire = self.wire.checked_sub(N).ok_or(Missing::OnWire)?;
        let (chunk, rest) = self.kept.split_first_chunk().ok_or(Missing::InCapture)?;
        (self.kept, self.wire) = (rest, wire);
        Ok(chunk)
    }

    /// Passes over `len` bytes, kept or not.
    #[inline]
    pub(super) fn skip(&mut self, len: usize) -> Result<(), Missing> {
        self.wire = self.wire.checked_sub(len).ok_or(Missing::OnWire)?;
        self.kept = self.kept.get(len..).unwrap_or(&[]);
        Ok(())
    }

    /// Leaves off what lies beyond the next `len` bytes, such as Ethernet padding.
    #[inline]
    pub(super) fn limit(&mut self, len: usize) {
        self.wire = self.wire.min(len);
        self.kept = self.kept.get(..len).unwrap_or(self.kept);
    }

    /// The first byte, without taking it.
    pub(super) fn first(&self) -> Result<u8, Missing> {
        let mut ahead = *self;
        ahead.chunk().map(|[byte]| *byte)
    }

    /// What is left of the bytes kept.
    pub(super) fn kept(&self) -> &'a [u8] {
        self.kept
    }

    /// What is left of the length on the wire.
    pub(super) fn wire(&self) -> u32 {
        u32::try_from(self.wire).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Missing, Reader};

    #[test]
    fn bytes_beyond_the_snaplen_are_missing_in_capture_those_beyond_the_packet_on_wire() {
        let mut reader = Reader::new(&[1, 2, 3], 5);
        assert_eq!(reader.chunk(), Ok(&[1, 2]));
        assert_eq!(reader.chunk::<2>(), Err(Missing::InCapture));
        assert_eq!(reader.chunk::<4>(), Err(Missing::OnWire));
        assert_eq!(reader.skip(4), Err(Missing::OnWire));
        assert_eq!(reader.skip(2), Ok(()));
        assert_eq!((reader.kept(), reader.wire()), (&[][..], 1));
    }

    #[test]
    fn limit_trims_both_lengths_and_never_extends() {
        let mut reader = Reader::new(&[1, 2, 3, 4], 6);
        reader.limit(100);
        assert_eq!((reader.kept().len(), reader.wire()), (4, 6));
        reader.limit(5);
        assert_eq!((reader.kept().len(), reader.wire()), (4, 5));
        reader.limit(2);
        assert_eq!((reader.kept().len(), reader.wire()), (2, 2));
    }

    #[test]
    fn an_origlen_below_what_was_kept_is_ignored() {
        assert_eq!(Reader::new(&[0; 9], 4).wire(), 9);
    }
}
