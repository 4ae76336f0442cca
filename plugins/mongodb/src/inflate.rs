//! Decompression of a message's body, up to a limit: the first so many bytes are enough to tell what a message is. What
//! yields more than it says is a bomb, and refused; nothing here allocates more than the limit and one block of zstd.
//!
//! <https://github.com/google/snappy/blob/main/format_description.txt>, RFC 1950, RFC 8878.

use core::cmp::Ordering;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::compressed::Compressor;
use crate::header::MAX_MESSAGE;

/// Largest window of zstd. It costs no memory: no more is decoded than is wanted.
const MAX_WINDOW: u64 = 64 << 20;
const CORRUPT: &str = "compressed, but not as it says";
const BOMB: &str = "compressed, a bomb: more than it says";

/// What there is to decompress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compressed<'a> {
    pub(crate) compressor: Compressor,
    /// The data, or as much of them as is looked at.
    pub(crate) data: &'a [u8],
    /// Bytes that they are said to yield.
    pub(crate) size: u64,
}

impl Compressed<'_> {
    /// The body, or its first `limit` bytes at most. One that is not longer has to be what it says; of a longer one,
    /// as much is given as the data yield.
    pub(crate) fn inflate(&self, limit: usize) -> Result<Vec<u8>, &'static str> {
        if self.size > MAX_MESSAGE {
            return Err("compressed, a bomb: more than a message may have");
        }
        let wanted = usize::try_from(self.size).map_or(limit, |size| size.min(limit));
        let is_whole = wanted as u64 == self.size;
        let body = match self.compressor {
            Compressor::Snappy => snappy(self.data, self.size, wanted),
            Compressor::Zlib => zlib(self.data, wanted, is_whole),
            Compressor::Zstd => zstd(self.data, wanted, is_whole),
            Compressor::Noop | Compressor::Unknown(_) => return Err("compressed, unknown compressor"),
        };
        let mut body = body?;
        match body.len().cmp(&wanted) {
            Ordering::Greater if is_whole => Err(BOMB),
            Ordering::Less if is_whole || body.is_empty() => Err(CORRUPT),
            _ => {
                body.truncate(wanted);
                Ok(body)
            }
        }
    }
}

/// Of a body that is not whole, what the data yield; the other way round, the least that shows that it is too long.
fn zlib(data: &[u8], wanted: usize, is_whole: bool) -> Result<Vec<u8>, &'static str> {
    let mut body = vec![0; wanted];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_IGNORE_ADLER32
        | if is_whole { 0 } else { inflate_flags::TINFL_FLAG_HAS_MORE_INPUT };
    let (status, _, len) = decompress(&mut Box::<DecompressorOxide>::default(), data, &mut body, 0, flags);
    body.truncate(len);
    match status {
        TINFLStatus::Done => Ok(body),
        TINFLStatus::HasMoreOutput if is_whole => Err(BOMB),
        TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput if !is_whole => Ok(body),
        _ => Err(CORRUPT),
    }
}

/// Decodes whole blocks, of at most 128 KiB, until there is enough.
fn zstd(data: &[u8], wanted: usize, is_whole: bool) -> Result<Vec<u8>, &'static str> {
    /// The last block, raw and empty, and room for a checksum: only what has ended gives out its window.
    const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];
    let mut rest = data;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    decoder.init(&mut rest).map_err(|_| CORRUPT)?;
    // One byte more shows that it is too long.
    let enough = BlockDecodingStrategy::UptoBytes(wanted.saturating_add(usize::from(is_whole)));
    let decoded = decoder.decode_blocks(&mut rest, enough);
    if decoded.is_err() && is_whole {
        return Err(CORRUPT);
    }
    if !decoder.is_finished() {
        decoder.decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::All).map_err(|_| CORRUPT)?;
    }
    decoder.collect().ok_or(CORRUPT)
}

/// A block of snappy: the size of what it yields, then literals and copies of what came before.
fn snappy(data: &[u8], size: u64, wanted: usize) -> Result<Vec<u8>, &'static str> {
    let mut data = Snappy(data);
    if data.varint() != Some(size) {
        return Err(CORRUPT);
    }
    let mut body = Vec::with_capacity(wanted.saturating_add(64));
    while body.len() < wanted && data.element(&mut body, wanted).is_some() {}
    // Behind the last element nothing may follow.
    if size == wanted as u64 && body.len() == wanted && !data.0.is_empty() { Err(BOMB) } else { Ok(body) }
}

struct Snappy<'a>(&'a [u8]);

impl<'a> Snappy<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// An integer of `len` bytes, at most 4, little-endian.
    fn integer(&mut self, len: usize) -> Option<usize> {
        let bytes = self.take(len)?;
        bytes.iter().rev().try_fold(0_usize, |number, byte| Some(number.checked_mul(256)? | usize::from(*byte)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Adds one element to the body, but no more than is wanted.
    fn element(&mut self, body: &mut Vec<u8>, wanted: usize) -> Option<()> {
        let tag = usize::from(*self.take(1)?.first()?);
        let left = wanted.saturating_sub(body.len());
        let (len, offset) = match tag & 3 {
            0 => {
                let len = match tag >> 2 {
                    len @ ..60 => len,
                    longer => self.integer(longer - 59)?,
                };
                // Of what the data do not have in full, as much as they have.
                let len = len.checked_add(1)?.min(left).min(self.0.len());
                body.extend_from_slice(self.take(len)?);
                return Some(());
            }
            1 => (4 + (tag >> 2 & 7), (tag >> 5) << 8 | self.integer(1)?),
            2 => (1 + (tag >> 2), self.integer(2)?),
            _ => (1 + (tag >> 2), self.integer(4)?),
        };
        let start = body.len().checked_sub(offset)?;
        let mut len = len.min(left);
        // A copy may reach into itself: then it repeats what it copied so far.
        while len > 0 && offset > 0 {
            let there = (body.len() - start).min(len);
            body.extend_from_within(start..start + there);
            len -= there;
        }
        (offset > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Compressed, Compressor};

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|at| if at / 100 % 3 == 0 { next() } else { b'a' + (at % 7) as u8 }).collect()
    }

    fn compress(compressor: Compressor, body: &[u8]) -> Vec<u8> {
        match compressor {
            Compressor::Snappy => snap::raw::Encoder::new().compress_vec(body).unwrap(),
            Compressor::Zlib => miniz_oxide::deflate::compress_to_vec_zlib(body, 6),
            _ => ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest),
        }
    }

    const ALL: [Compressor; 3] = [Compressor::Snappy, Compressor::Zlib, Compressor::Zstd];

    #[test]
    fn a_body_is_given_whole_or_its_first_bytes() {
        let body = noise(700_000);
        for compressor in ALL {
            for len in [1, 59, 61, 300, 70_000, 700_000] {
                let body = &body[..len];
                let data = compress(compressor, body);
                for limit in [1, 61, 65_000, 256 << 10, 1 << 20] {
                    let compressed = Compressed { compressor, data: &data, size: len as u64 };
                    let inflated = compressed.inflate(limit).unwrap();
                    assert!(inflated == body[..len.min(limit)], "{compressor:?}: {len} bytes up to {limit}");
                }
            }
        }
    }

    #[test]
    fn data_that_are_cut_yield_what_they_have() {
        let body = noise(700_000);
        for compressor in ALL {
            let data = compress(compressor, &body);
            let data = &data[..data.len() * 2 / 3];
            let inflated = Compressed { compressor, data, size: 700_000 }.inflate(256 << 10).unwrap();
            assert!(inflated == body[..256 << 10], "{compressor:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; 2 << 20];
        for compressor in ALL {
            let data = compress(compressor, &zeros);
            for size in [0, 1, 1000, 49_000_000, 1 << 32] {
                let inflated = Compressed { compressor, data: &data, size }.inflate(256 << 10);
                assert!(inflated.is_err(), "{compressor:?}, said to have {size} bytes");
            }
        }
    }

    #[test]
    fn a_copy_from_nowhere_is_refused() {
        for data in [&[8, 0x01, 0x00][..], &[8, 0, b'a', 0x01, 0x02], &[8, 0, b'a', 0x02, 0xff, 0xff]] {
            let compressed = Compressed { compressor: Compressor::Snappy, data, size: 8 };
            assert!(compressed.inflate(100).is_err(), "{data:?}");
        }
    }
}
