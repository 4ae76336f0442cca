//! OP_COMPRESSED: another message's body, compressed. It is decompressed as a whole or not at all, and only where
//! that costs little: both forms are bounded, and so is what all flows together have collected.
//!
//! ```text
//! i32 original op code; i32 uncompressed size; u8 compressor; data
//! ```
//! <https://github.com/mongodb/specifications/blob/master/source/compression/OP_COMPRESSED.md>

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use protap_plugin::{Stop, Stream};
use ruzstd::decoding::StreamingDecoder;

use crate::header::OpCode;

/// Longest body that is decompressed, in bytes: a few milliseconds in Wasm.
const MAX_BODY: usize = 256 << 10;
/// Longest data that are collected for it: compressors add a little to what they cannot compress.
const MAX_DATA: u64 = (MAX_BODY + (4 << 10)) as u64;
/// Largest window of zstd; that of its default level is 2 MiB.
const MAX_WINDOW: u64 = 8 << 20;
/// Bytes that all flows together may have collected.
const MAX_COLLECTED: usize = 8 << 20;

/// What compressed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compressor {
    Noop,
    Snappy,
    Zlib,
    Zstd,
    Unknown(u8),
}

impl Compressor {
    /// The protocol's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Snappy => "snappy",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What stands before the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) op_code: OpCode,
    pub(crate) compressor: Compressor,
    size: u64,
}

impl Envelope {
    pub(crate) async fn read(stream: &Stream) -> Result<Self, Stop> {
        let op_code = OpCode::of(stream.i32_le().await?).filter(|op_code| *op_code != OpCode::Compressed);
        let op_code = op_code.ok_or(Stop::Malformed("an unknown op code, compressed"))?;
        let size = stream.u32_le().await?.into();
        let compressor = match stream.u8().await? {
            0 => Compressor::Noop,
            1 => Compressor::Snappy,
            2 => Compressor::Zlib,
            3 => Compressor::Zstd,
            id => Compressor::Unknown(id),
        };
        Ok(Self { op_code, compressor, size })
    }

    /// Reads and decompresses the data, or says why not.
    pub(crate) async fn open(
        &self,
        stream: &Stream,
        collected: &Collected,
    ) -> Result<Result<Vec<u8>, &'static str>, Stop> {
        let len = stream.frame_remaining();
        let size = usize::try_from(self.size).ok().filter(|size| *size <= MAX_BODY && len <= MAX_DATA);
        let Some(size) = size else { return Ok(Err("compressed, too long")) };
        if matches!(self.compressor, Compressor::Unknown(_)) {
            return Ok(Err("compressed, unknown compressor"));
        }
        let Some(data) = Data::collect(stream, len as usize, collected).await? else {
            return Ok(Err("compressed, too much at once"));
        };
        Ok(decompress(self.compressor, &data.bytes, size).ok_or("compressed, but not as it says"))
    }
}

/// Decompresses `data` to exactly `size` bytes.
fn decompress(compressor: Compressor, data: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; size];
    let len = match compressor {
        Compressor::Noop => return (data.len() == size).then(|| data.to_vec()),
        Compressor::Snappy => snap::raw::Decoder::new().decompress(data, &mut body).ok()?,
        Compressor::Zlib => decompress_slice_iter_to_slice(&mut body, core::iter::once(data), true, false).ok()?,
        Compressor::Zstd => {
            let mut decoder = StreamingDecoder::new_with_max_window_size(data, MAX_WINDOW).ok()?;
            decoder.read_exact(&mut body).ok()?;
            size
        }
        Compressor::Unknown(_) => return None,
    };
    (len == size).then_some(body)
}

/// How many bytes all flows have collected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected(Rc<Cell<usize>>);

/// Data of a message that arrive bit by bit.
struct Data {
    bytes: Vec<u8>,
    collected: Collected,
    len: usize,
}

impl Data {
    /// Collects `len` bytes, if there is room for them.
    async fn collect(stream: &Stream, len: usize, collected: &Collected) -> Result<Option<Self>, Stop> {
        let total = collected.0.get().saturating_add(len);
        if total > MAX_COLLECTED {
            return Ok(None);
        }
        collected.0.set(total);
        let mut data = Self { bytes: Vec::with_capacity(len), collected: collected.clone(), len };
        while data.bytes.len() < len {
            stream.available(1).await?;
            let missing = len.saturating_sub(data.bytes.len());
            let taken = stream.peek(|bytes| {
                let taken = bytes.get(..missing).unwrap_or(bytes);
                data.bytes.extend_from_slice(taken);
                taken.len()
            });
            stream.skip(taken as u64).await?;
        }
        Ok(Some(data))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.collected.0.set(self.collected.0.get().saturating_sub(self.len));
    }
}
