//! Records as they lie in Produce requests and Fetch responses: batches (magic 2) or, before Kafka 0.11 and in old
//! topics, message sets (magic 0 and 1). Counted from their headers alone: nothing is decompressed or copied. In a
//! compressed message set only the wrapper can be seen; it counts as one message and the count as uncertain.
//!
//! ```text
//! offset i64 | length i32 | magic 2:    leader epoch i32 | magic i8 | crc u32 | attributes i16 | last offset delta i32
//!                         |             | timestamps 2 x i64 | producer i64 + i16 + i32 | records i32 | ...
//!                         | magic 0, 1: crc u32          | magic i8 | attributes i8 | ...
//! ```
//! Spec: <https://kafka.apache.org/documentation/#messageformat>.

use protap_plugin::{ReadError, Reader, Source, Stop, Stream, at_once, rare};

use crate::trace::{self, Trace};

/// Up to and with the magic, which stands at the same place in all formats.
const HEAD: usize = 17;
/// Offset and length, which the length does not count.
const PREFIX: u64 = 12;
/// The rest of a batch's header.
const BATCH_REST: usize = 44;
/// Attribute of batches written by the broker: transaction markers and the like, which no consumer gets to see.
const IS_CONTROL: u16 = 0x20;
/// Attribute of batches that are part of a transaction.
const IS_TRANSACTIONAL: u16 = 0x10;
const CODEC_MASK: u8 = 7;
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// What was found in the records of a message.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Messages, without those of control batches.
    pub(crate) count: u64,
    /// Batches, or entries of message sets.
    pub(crate) batches: u64,
    /// Bytes, headers included.
    pub(crate) bytes: u64,
    /// Some were compressed as a message set, so that there are more than were counted.
    pub(crate) has_wrappers: bool,
    /// Some are of no known format.
    pub(crate) is_broken: bool,
    /// Some were not seen, so that nothing is known of how many there are.
    pub(crate) has_gap: bool,
    /// Some are part of a transaction.
    pub(crate) are_transactional: bool,
    /// Batches that are markers of transactions and the like.
    pub(crate) control_batches: u64,
    /// Format of the first.
    pub(crate) magic: Option<u8>,
    /// First and last offset of the first partition that has records.
    pub(crate) offsets: Option<(i64, i64)>,
    /// What the first record that is not compressed says of the trace that it is part of, if that is wanted.
    pub(crate) trace: Option<Box<Trace>>,
    /// Those offsets are of records before these, or are not known.
    has_offsets: bool,
    wants_trace: bool,
    /// A bit for each codec seen.
    codecs: u8,
}

/// What the header of a batch says.
struct Header {
    attributes: u16,
    last_delta: i32,
    count: i32,
}

#[at_once]
impl Records {
    /// Records of which the trace context is wanted, or not.
    pub(crate) fn looking_for_trace(wants_trace: bool) -> Self {
        Self { wants_trace, ..Self::default() }
    }

    /// Name of the codec; `None` if there were no batches.
    pub(crate) fn compression(&self) -> Option<&'static str> {
        match self.codecs.count_ones() {
            0 => None,
            1 => Some(
                usize::try_from(self.codecs.trailing_zeros()).ok().and_then(|i| CODECS.get(i)).unwrap_or(&"unknown"),
            ),
            _ => Some("mixed"),
        }
    }

    /// Reads `len` bytes of records.
    #[inline(never)]
    pub(crate) async fn read(&mut self, stream: &Stream<impl Source>, len: u64) -> Result<(), Stop> {
        if len > stream.frame_remaining() {
            return Err(Stop::Malformed("records beyond their frame's end"));
        }
        self.bytes = self.bytes.saturating_add(len);
        self.has_offsets = self.offsets.is_some() || self.has_gap;
        let end = stream.offset().saturating_add(len);
        match self.first_entries(stream, len).await {
            Err(Stop::Lost) => self.lost(),
            read => read?,
        }
        stream.skip(end.saturating_sub(stream.offset())).await
    }

    /// Counts the entries in `len` bytes of records, as far as they can be counted.
    async fn first_entries(&mut self, stream: &Stream<impl Source>, len: u64) -> Result<(), Stop> {
        let mut left = len;
        // Nearly always there is one batch.
        let goes_on = left >= HEAD as u64 && self.entry(stream, &mut left).await?;
        if goes_on && left >= HEAD as u64 {
            self.entries(stream, &mut left).await?;
        }
        Ok(())
    }

    /// Takes note of records that were not seen. Brokers send records by sendfile, so whoever traces a broker alone sees
    /// none of them; how long they are stands before them, so that what follows can be read.
    #[cold]
    fn lost(&mut self) {
        self.has_gap = true;
        if !self.has_offsets {
            self.offsets = None;
        }
    }

    /// The entries behind the first. A function of its own: a loop would keep all that is counted in variables, of which
    /// there are too many.
    #[inline(never)]
    async fn entries(&mut self, stream: &Stream<impl Source>, left: &mut u64) -> Result<(), Stop> {
        while *left >= HEAD as u64 && self.entry(stream, left).await? {}
        Ok(())
    }

    /// Counts the entry that begins here and passes over it, in records of which `left` bytes are left; whether more can be
    /// counted behind it. The last entry of a Fetch response may be cut off; it is not delivered.
    async fn entry(&mut self, stream: &Stream<impl Source>, left: &mut u64) -> Result<bool, Stop> {
        let head: [u8; HEAD] = stream.array().await?;
        *left = left.saturating_sub(HEAD as u64);
        let (offset, len, magic) = entry_head(&head).unwrap_or_default();
        let header = match magic {
            0 | 1 => 1,
            2 => BATCH_REST as u64,
            _ => {
                self.is_broken = true;
                return Ok(false);
            }
        };
        // What is behind the header.
        let rest = u64::try_from(len).ok().and_then(|len| (len + PREFIX).checked_sub(HEAD as u64 + header));
        let Some(mut rest) = rest else {
            self.is_broken = true;
            return Ok(false);
        };
        if header + rest > *left {
            return Ok(false);
        }
        *left -= header + rest;
        self.magic.get_or_insert(magic.unsigned_abs());
        if magic == 2 {
            let header: [u8; BATCH_REST] = stream.array().await?;
            let is_plain = self.batch(offset, &header);
            if self.wants_trace && is_plain && self.trace.is_none() {
                let end = stream.offset().saturating_add(rest);
                self.trace = rare(trace::read(stream, end)).await?.map(Box::new);
                rest = end.saturating_sub(stream.offset());
            }
        } else {
            let attributes = stream.u8().await?;
            self.count = self.count.saturating_add(1);
            self.has_wrappers |= attributes & CODEC_MASK != 0;
            self.codec(attributes);
            self.lie_at(offset, offset);
        }
        self.batches = self.batches.saturating_add(1);
        stream.skip(rest).await?;
        Ok(true)
    }

    /// Takes note of the offsets of an entry, if it is one of the first records.
    fn lie_at(&mut self, first: i64, last: i64) {
        if !self.has_offsets {
            self.offsets = Some((self.offsets.map_or(first, |(first, _)| first), last));
        }
    }

    /// Takes note of a batch; whether its records are messages that can be read.
    fn batch(&mut self, base_offset: i64, header: &[u8; BATCH_REST]) -> bool {
        let Ok(Header { attributes, last_delta, count }) = batch_rest(header) else { return false };
        let is_control = attributes & IS_CONTROL != 0;
        if is_control {
            self.control_batches = self.control_batches.saturating_add(1);
        } else {
            self.count = self.count.saturating_add(u64::try_from(count).unwrap_or(0));
        }
        self.are_transactional |= attributes & IS_TRANSACTIONAL != 0;
        self.is_broken |= count < 0;
        let last = base_offset.saturating_add(i64::from(last_delta));
        self.lie_at(base_offset, last);
        let codec = attributes.to_be_bytes()[1];
        self.codec(codec);
        !is_control && codec & CODEC_MASK == 0 && count > 0
    }

    fn codec(&mut self, attributes: u8) {
        self.codecs |= 1 << (attributes & CODEC_MASK);
    }
}

/// Offset, length and magic.
fn entry_head(head: &[u8; HEAD]) -> Result<(i64, i32, i8), ReadError> {
    let mut reader = Reader::new(head);
    let offset = reader.i64_be()?;
    let len = reader.i32_be()?;
    reader.skip(4)?;
    Ok((offset, len, reader.i8()?))
}

fn batch_rest(header: &[u8; BATCH_REST]) -> Result<Header, ReadError> {
    let mut reader = Reader::new(header);
    reader.skip(4)?;
    let attributes = reader.u16_be()?;
    let last_delta = reader.i32_be()?;
    reader.skip(30)?;
    Ok(Header { attributes, last_delta, count: reader.i32_be()? })
}
