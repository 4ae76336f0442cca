//! OP_COMPRESSED: another message's body, compressed. So much of it is decompressed as costs little: what is collected
//! for it is bounded, in one message and in all flows together. [`inflate`](crate::inflate) does it.
//!
//! ```text
//! i32 original op code; i32 uncompressed size; u8 compressor; data
//! ```
//! <https://github.com/mongodb/specifications/blob/master/source/compression/OP_COMPRESSED.md>

use std::cell::Cell;
use std::rc::Rc;

use protap_plugin::{Source, Stop, Stream, at_once};

use crate::header::OpCode;
use crate::inflate::Compressed;

/// Most bytes of a body that are decompressed unless told otherwise: a few milliseconds in Wasm.
const MAX_BODY: usize = 256 << 10;
/// Most KiB that one may ask for: more would take longer than a call may.
const MAX_LIMIT: usize = 512;
/// Most bytes that compressors add to what they cannot compress.
const MARGIN: usize = 4 << 10;
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

#[at_once]
impl Envelope {
    pub(crate) async fn read(stream: &Stream<impl Source>) -> Result<Self, Stop> {
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

    /// Whether the body stands there as it is, as long as it says.
    pub(crate) fn is_plain(&self, stream: &Stream<impl Source>) -> bool {
        self.compressor == Compressor::Noop && self.size == stream.frame_remaining()
    }

    /// Reads and decompresses the data, or says why not.
    pub(crate) async fn open(
        &self,
        stream: &Stream<impl Source>,
        limits: &Limits,
    ) -> Result<Result<Body, &'static str>, Stop> {
        match self.compressor {
            Compressor::Noop => return Ok(Err("compressed, but not as it says")),
            Compressor::Unknown(_) => return Ok(Err("compressed, unknown compressor")),
            Compressor::Snappy | Compressor::Zlib | Compressor::Zstd => {}
        }
        let len = usize::try_from(stream.frame_remaining()).unwrap_or(usize::MAX);
        let Some(data) = Data::collect(stream, len.min(limits.body.saturating_add(MARGIN)), limits).await? else {
            return Ok(Err("compressed, too much at once"));
        };
        let compressed = Compressed { compressor: self.compressor, data: &data.bytes, size: self.size };
        Ok(compressed.inflate(limits.body).map(|bytes| Body { bytes, size: self.size }))
    }
}

/// A body that was decompressed, or its beginning.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Bytes that all of it has.
    pub(crate) size: u64,
}

/// How much is decompressed, and how much all flows have collected.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    body: usize,
    collected: Rc<Cell<usize>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: MAX_BODY, collected: Rc::default() }
    }
}

impl Limits {
    /// Takes the number of KiB that are decompressed.
    pub(crate) fn configure(&mut self, kib: &str) -> Result<(), &'static str> {
        let kib = kib.parse().ok().filter(|kib| (1..=MAX_LIMIT).contains(kib));
        self.body = kib.ok_or("inflate: give a number of KiB from 1 to 512")? << 10;
        Ok(())
    }
}

/// Data of a message that arrive bit by bit.
struct Data {
    bytes: Vec<u8>,
    limits: Limits,
    len: usize,
}

#[at_once]
impl Data {
    /// Collects `len` bytes, if there is room for them.
    async fn collect(stream: &Stream<impl Source>, len: usize, limits: &Limits) -> Result<Option<Self>, Stop> {
        let total = limits.collected.get().saturating_add(len);
        if total > MAX_COLLECTED {
            return Ok(None);
        }
        limits.collected.set(total);
        let mut data = Self { bytes: Vec::with_capacity(len), limits: limits.clone(), len };
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
        self.limits.collected.set(self.limits.collected.get().saturating_sub(self.len));
    }
}
