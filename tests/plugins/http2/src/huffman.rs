//! HPACK's Huffman code. It is canonical: codes of one length are consecutive, in the order of the symbols, and continue
//! those of the length before. So the lengths say all; the tables for decoding follow from them at compile time.
//! <https://www.rfc-editor.org/rfc/rfc7541#appendix-B>

/// Symbols: all bytes, and the end of string, whose code is padding only.
const SYMBOLS: usize = 257;
const END_OF_STRING: u16 = 256;
const MAX_BITS: usize = 30;

/// Length of each byte's code in bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// For each length: its first code, and how many codes and symbols come before it.
struct Code {
    first: [u32; MAX_BITS + 1],
    count: [u32; MAX_BITS + 1],
    before: [u32; MAX_BITS + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
}

const CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where out of bounds is a compile error")]
const fn code() -> Code {
    let zeros = [0; MAX_BITS + 1];
    let mut code = Code { first: zeros, count: zeros, before: zeros, symbols: [0; SYMBOLS] };
    let (mut bits, mut next, mut done) = (1, 0, 0);
    while bits <= MAX_BITS {
        next <<= 1;
        code.first[bits] = next;
        code.before[bits] = done as u32;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                code.symbols[done] = symbol as u16;
                done += 1;
                next += 1;
                code.count[bits] += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    code
}

/// Decodes a string and hands over its bytes; `None` if it is no code, or not padded as it must be.
pub(crate) fn decode(bytes: &[u8], mut take: impl FnMut(u8)) -> Option<()> {
    let (mut value, mut bits) = (0_u32, 0_usize);
    for byte in bytes {
        for shift in (0..8).rev() {
            value = value << 1 | u32::from(byte >> shift & 1);
            bits += 1;
            let rank = value.checked_sub(*CODE.first.get(bits)?);
            let Some(rank) = rank.filter(|rank| CODE.count.get(bits).is_some_and(|count| rank < count)) else {
                continue;
            };
            match *CODE.symbols.get((CODE.before.get(bits)? + rank) as usize)? {
                END_OF_STRING => return None,
                symbol => take(symbol as u8),
            }
            (value, bits) = (0, 0);
        }
    }
    // What is left is padding: fewer than eight bits, all of them 1.
    (bits < 8 && value == (1 << bits) - 1).then_some(())
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn decoded(bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        decode(bytes, |byte| out.push(byte))?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn the_examples_of_the_standard_are_decoded() {
        let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&host).as_deref(), Some("www.example.com"));
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).as_deref(), Some("no-cache"));
        assert_eq!(decoded(&[0x64, 0x02]).as_deref(), Some("302"));
    }

    #[test]
    fn wrong_padding_and_the_end_of_string_are_refused() {
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), None);
        assert_eq!(decoded(&[]).as_deref(), Some(""));
    }
}
