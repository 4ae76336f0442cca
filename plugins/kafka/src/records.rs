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

use protap_plugin::{ReadError, Reader, Stop, Stream};

/// Up to and with the magic, which stands at the same place in all formats.
const HEAD: usize = 17;
/// Offset and length, which the length does not count.
const PREFIX: u64 = 12;
/// The rest of a batch's header.
const BATCH_REST: usize = 44;
/// Attribute of batches written by the broker: transaction markers and the like, which no consumer gets to see.
const IS_CONTROL: u16 = 0x20;
const CODEC_MASK: u8 = 7;
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// What was found in the records of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// A bit for each codec seen.
    codecs: u8,
}

impl Records {
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
    pub(crate) async fn read(&mut self, stream: &Stream, len: u64) -> Result<(), Stop> {
        if len > stream.frame_remaining() {
            return Err(Stop::Malformed("records beyond their frame's end"));
        }
        let end = stream.offset().saturating_add(len);
        self.bytes = self.bytes.saturating_add(len);
        loop {
            let left = end.saturating_sub(stream.offset());
            let rest = if left < HEAD as u64 { None } else { self.entry(stream, left).await? };
            let Some(rest) = rest else {
                return stream.skip(end.saturating_sub(stream.offset())).await;
            };
            stream.skip(rest).await?;
        }
    }

    /// Counts the entry that begins here, `left` bytes before the end; returns how many of its bytes were not read, or
    /// `None` if nothing more can be counted. The last entry of a Fetch response may be cut off; it is not delivered.
    async fn entry(&mut self, stream: &Stream, left: u64) -> Result<Option<u64>, Stop> {
        let head: [u8; HEAD] = stream.array().await?;
        let (len, magic) = entry_head(&head).unwrap_or_default();
        let header = match magic {
            0 | 1 => 1,
            2 => BATCH_REST as u64,
            _ => {
                self.is_broken = true;
                return Ok(None);
            }
        };
        let total = u64::try_from(len).unwrap_or(0).saturating_add(PREFIX);
        let Some(rest) = total.checked_sub(HEAD as u64 + header) else {
            self.is_broken = true;
            return Ok(None);
        };
        if total > left {
            return Ok(None);
        }
        if magic == 2 {
            let header: [u8; BATCH_REST] = stream.array().await?;
            self.batch(&header);
        } else {
            let attributes = stream.u8().await?;
            self.count = self.count.saturating_add(1);
            self.has_wrappers |= attributes & CODEC_MASK != 0;
            self.codec(attributes);
        }
        self.batches = self.batches.saturating_add(1);
        Ok(Some(rest))
    }

    fn batch(&mut self, header: &[u8; BATCH_REST]) {
        let (attributes, count) = batch_rest(header).unwrap_or_default();
        if attributes & IS_CONTROL == 0 {
            self.count = self.count.saturating_add(u64::try_from(count).unwrap_or(0));
        }
        self.is_broken |= count < 0;
        self.codec(attributes.to_be_bytes()[1]);
    }

    fn codec(&mut self, attributes: u8) {
        self.codecs |= 1 << (attributes & CODEC_MASK);
    }
}

/// Length and magic.
fn entry_head(head: &[u8; HEAD]) -> Result<(i32, i8), ReadError> {
    let mut reader = Reader::new(head);
    reader.skip(8)?;
    let len = reader.i32_be()?;
    reader.skip(4)?;
    Ok((len, reader.i8()?))
}

/// Attributes and number of records.
fn batch_rest(header: &[u8; BATCH_REST]) -> Result<(u16, i32), ReadError> {
    let mut reader = Reader::new(header);
    reader.skip(4)?;
    let attributes = reader.u16_be()?;
    reader.skip(34)?;
    Ok((attributes, reader.i32_be()?))
}
