//! Decompression: a file's bytes in, plain bytes out, whether it was gzip, zstd or neither. It is recognised by content,
//! one layer deep. A file that was cut off yields all that can be decompressed, then `UnexpectedEof`.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// RFC 1952: identification and the only compression method.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// RFC 8878, section 3.1.2: with 0x50 to 0x5f before it, a frame to be skipped, as pzstd begins with.
const SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Largest zstd window in bytes, which is what `zstd --long` needs; it bounds the decompressor's memory.
const MAX_ZSTD_WINDOW: u64 = 128 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first bytes of a file, which it reads.
    fn of(input: &mut dyn Read) -> io::Result<(Self, Vec<u8>)> {
        let mut start = Vec::with_capacity(4);
        input.take(4).read_to_end(&mut start)?;
        let compression = match start.as_slice() {
            start if start.starts_with(&GZIP_MAGIC) => Self::Gzip,
            start if *start == ZSTD_MAGIC => Self::Zstd,
            [0x50..=0x5f, rest @ ..] if *rest == SKIPPABLE_MAGIC => Self::Zstd,
            _ => Self::None,
        };
        Ok((compression, start))
    }
}

/// Whether what begins here is compressed.
pub(super) fn is_compressed(mut input: impl Read) -> io::Result<bool> {
    Compression::of(&mut input).map(|(compression, _)| compression != Compression::None)
}

/// Wraps `input` in what decompresses it; and whether it is compressed at all.
pub(super) fn decompress(mut input: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let (compression, start) = Compression::of(&mut input)?;
    let whole = Cursor::new(start).chain(input);
    let plain: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole))),
        Compression::Zstd => Box::new(ZstdReader::new(BufReader::with_capacity(1 << 16, whole))),
        Compression::None => Box::new(whole),
    };
    Ok((plain, compression != Compression::None))
}

/// An empty last block (RFC 8878, section 3.1.1.2: last, raw, length 0), and a checksum, which is not verified. It makes
/// the decoder release what it holds back as window of a frame that was cut off.
const CLOSING_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Reads any number of zstd frames.
struct ZstdReader<R> {
    input: R,
    decoder: FrameDecoder,
    failure: Option<io::Error>,
}

impl<R: io::BufRead> ZstdReader<R> {
    fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { input, decoder, failure: None }
    }

    /// Begins the next frame; false at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.input) {
            Ok(()) => Ok(true),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut self.input.by_ref().take(u64::from(length)), &mut io::sink())?;
                Ok(true)
            }
            Err(error) => Err(self.explain(error)),
        }
    }

    fn next_block(&mut self) {
        if let Err(error) = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1)) {
            self.failure = Some(self.explain(error));
            // Should this fail too, then nothing is released, and the failure is what the caller gets.
            let _ = self.decoder.decode_blocks(CLOSING_BLOCK.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
        }
    }

    fn explain(&mut self, error: FrameDecoderError) -> io::Error {
        match self.input.fill_buf() {
            Ok([]) => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            _ => io::Error::other(error),
        }
    }
}

impl<R: io::BufRead> Read for ZstdReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Each round gives bytes, takes input or returns.
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if !self.decoder.is_finished() {
                self.next_block();
            } else if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::decompress;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut plain = Vec::new();
        let result =
            decompress(Box::new(io::Cursor::new(bytes))).and_then(|(mut reader, _)| reader.read_to_end(&mut plain));
        (plain, result.err().map(|error| error.kind()))
    }

    #[test]
    fn plain_gzip_and_zstd_are_recognised_by_content_in_any_number_of_members() {
        let text = b"any bytes".as_slice();
        assert_eq!(read(text.to_vec()), (text.to_vec(), None));
        assert_eq!(read(b"a".to_vec()), (b"a".to_vec(), None));
        for compress in [gzip, zstd] {
            let twice = [compress(b"any "), compress(b"bytes")].concat();
            assert_eq!(read(twice), (text.to_vec(), None));
        }
    }

    #[test]
    fn zstd_frames_that_are_to_be_skipped_are_skipped() {
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], b"???".as_slice()].concat();
        let bytes = [zstd(b"one"), skippable.clone(), zstd(b" two")].concat();
        assert_eq!(read(bytes), (b"one two".to_vec(), None));
        assert_eq!(read([skippable, zstd(b"one")].concat()), (b"one".to_vec(), None), "as of pzstd");
    }

    #[test]
    fn what_was_cut_off_gives_a_prefix_then_unexpected_eof() {
        let text: Vec<u8> = (0..400_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect();
        for (compress, floor) in [(gzip as fn(&[u8]) -> Vec<u8>, 700_000), (zstd, 400_000)] {
            let mut bytes = compress(&text);
            bytes.truncate(bytes.len() / 2);
            let (plain, error) = read(bytes);
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof));
            assert!(text.starts_with(&plain));
            assert!(plain.len() > floor, "{}", plain.len());
        }
    }
}
