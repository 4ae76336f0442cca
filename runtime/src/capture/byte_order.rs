//! Reading integers in the byte order that a capture file declares.

/// Byte order of a pcap file or a pcapng section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The order in which `bytes` read as `magic`.
    pub(super) fn of_magic(bytes: [u8; 4], magic: u32) -> Option<Self> {
        [Self::Little, Self::Big].into_iter().find(|order| order.u32(bytes) == magic)
    }

    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// Reads `bytes` as 32-bit integers.
    #[inline]
    pub(super) fn u32s<const BYTES: usize, const WORDS: usize>(self, bytes: &[u8; BYTES]) -> [u32; WORDS] {
        const { assert!(BYTES == 4 * WORDS) };
        let mut words = [0; WORDS];
        let (chunks, _) = bytes.as_chunks::<4>();
        words.iter_mut().zip(chunks).for_each(|(word, chunk)| *word = self.u32(*chunk));
        words
    }
}
