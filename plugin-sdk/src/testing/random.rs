//! Numbers that look random and are the same in every run: a test that fails names its seed.

/// splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of that seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).unwrap_or(0)
    }

    /// The next byte.
    pub const fn byte(&mut self) -> u8 {
        self.number() as u8
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// The bytes, with some of them changed, dropped or added.
    #[must_use]
    pub fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        let at = self.below(out.len());
        let end = at.saturating_add(self.below(12)).min(out.len());
        match (self.below(4), out.get_mut(at)) {
            (0, Some(byte)) => *byte = self.byte(),
            (1, Some(byte)) => *byte ^= 1 << self.below(8),
            (2, Some(_)) => drop(out.drain(at..end)),
            (_, Some(_)) => drop(out.splice(at..at, vec![self.byte(); end - at])),
            (_, None) => {}
        }
        out
    }
}
