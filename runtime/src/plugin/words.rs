//! Strings of plugins' answers. A plugin says the same ones again and again (names of commands and topics, of clients), so
//! the latest ones are kept: one that is met with again is neither checked nor copied. Short ones have no allocation of
//! their own anyway.

use crate::record::SmolStr;

/// Strings that are kept.
const PLACES: usize = 512;
/// Longest string that is kept: more than most names, and all that are kept together take at most 128 KiB.
const MAX_LEN: usize = 256;

/// The strings that one shard met with.
#[derive(Debug, Default)]
pub struct Words {
    /// Each at a place that its bytes tell.
    places: Vec<SmolStr>,
    /// Strings that were not UTF-8.
    pub replaced: u64,
}

impl Words {
    /// The bytes as a string. What is not UTF-8 is replaced and counted.
    #[inline]
    pub fn word(&mut self, bytes: &[u8]) -> SmolStr {
        if bytes.len() > MAX_LEN {
            return self.read(bytes);
        }
        let place = hash(bytes) as usize % PLACES;
        match self.places.get(place) {
            Some(known) if known.as_bytes() == bytes => known.clone(),
            _ => self.keep(place, bytes),
        }
    }

    #[inline(never)]
    fn keep(&mut self, place: usize, bytes: &[u8]) -> SmolStr {
        self.places.resize(PLACES, SmolStr::default());
        let word = self.read(bytes);
        // Of a string that was replaced, the next one like it is counted as well.
        if word.as_bytes() == bytes
            && let Some(place) = self.places.get_mut(place)
        {
            *place = word.clone();
        }
        word
    }

    #[inline(never)]
    fn read(&mut self, bytes: &[u8]) -> SmolStr {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => {
                self.replaced += 1;
                String::from_utf8_lossy(bytes).into()
            }
        }
    }
}

/// Of a long string, its length and both its ends: those that differ in their middle take each other's place.
fn hash(bytes: &[u8]) -> u64 {
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    };
    // The fractional digits of pi.
    let product =
        u128::from(first ^ 0x243f_6a88_85a3_08d3) * u128::from(last ^ 0x1319_8a2e_0370_7345 ^ bytes.len() as u64);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::{MAX_LEN, Words};

    #[test]
    fn every_string_comes_back_as_it_is_however_often_and_however_long() {
        let mut words = Words::default();
        for _ in 0..3 {
            for len in (0..20).chain([23, 24, MAX_LEN, MAX_LEN + 1]) {
                for letter in ["a", "b", "ß"] {
                    let text = letter.repeat(len);
                    assert_eq!(words.word(text.as_bytes()), text);
                }
            }
        }
        assert_eq!(words.replaced, 0);
    }

    #[test]
    fn what_is_not_utf8_is_replaced_and_counted_each_time() {
        let mut words = Words::default();
        assert_eq!([words.word(b"a\xff"), words.word(b"a\xff"), words.word(&[])], ["a\u{fffd}", "a\u{fffd}", ""]);
        assert_eq!(words.replaced, 2);
    }
}
