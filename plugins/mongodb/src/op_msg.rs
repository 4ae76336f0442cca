//! OP_MSG: flags, and sections in any order.
//!
//! ```text
//! u32 flag bits   0 checksum present, 1 more to come, 16 exhaust allowed; 2 to 15 must not be set
//! sections        u8 kind
//!                 0  body: a document
//!                 1  document sequence: i32 size, itself included; identifier, ended by 0; documents
//!                 2  security token, between servers
//! u32 checksum    if bit 0 is set
//! ```
//! <https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md>

use protap_plugin::{Source, Stop, Stream, at_once, rare};

use crate::command::Carried;
use crate::document::Document;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// Bits that a receiver has to understand.
const REQUIRED: u32 = 0xffff;
/// Bytes of a checksum.
const CHECKSUM: u64 = 4;
/// Longest identifier of a document sequence.
const MAX_IDENTIFIER: usize = 64;

/// The flag bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether a bit is set whose meaning one has to know to read the message.
    pub(crate) fn are_unknown(self) -> bool {
        self.0 & REQUIRED & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0
    }

    /// In a request: it will not be answered. In a reply: another one follows.
    pub(crate) fn more_to_come(self) -> bool {
        self.0 & MORE_TO_COME != 0
    }

    /// Whether nothing is to be said of the flags, and nothing follows the sections.
    pub(crate) fn are_plain(self) -> bool {
        self.0 & REQUIRED & !MORE_TO_COME == 0
    }

    /// Whether a checksum ends the message.
    pub(crate) fn has_checksum(self) -> bool {
        self.0 & CHECKSUM_PRESENT != 0
    }

    /// Bytes of the message behind its sections.
    pub(crate) fn trailer(self) -> u64 {
        if self.has_checksum() { CHECKSUM } else { 0 }
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

/// A section, read up to its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// One document.
    Body,
    /// Documents up to that stream offset, and what they are.
    Sequence { end: u64, carried: Carried },
}

/// Reads the next section's head; the last section was read or is passed over by its end.
#[at_once]
pub(crate) async fn next_section(stream: &Stream<impl Source>, limit: u64) -> Result<Option<Section>, Stop> {
    while stream.offset() < limit {
        match stream.u8().await? {
            0 => return Ok(Some(Section::Body)),
            1 => return sequence(stream, limit).await.map(Some),
            2 => rare(security_token(stream, limit)).await?,
            _ => return Err(Stop::Malformed("an unknown kind of section")),
        }
    }
    Ok(None)
}

#[at_once]
async fn sequence(stream: &Stream<impl Source>, limit: u64) -> Result<Section, Stop> {
    let start = stream.offset();
    let end = start.saturating_add(stream.u32_le().await?.into());
    let identifier = stream.c_str(MAX_IDENTIFIER).await?;
    if end < stream.offset() || end > limit {
        return Err(Stop::Malformed("a document sequence whose size cannot be"));
    }
    let carried = stream.with_texts(|texts| Carried::of(texts.get(identifier)));
    Ok(Section::Sequence { end, carried })
}

/// Passes over a security token: a document in older servers, a string in newer ones. No string begins like a
/// document that fits.
#[at_once]
async fn security_token(stream: &Stream<impl Source>, limit: u64) -> Result<(), Stop> {
    stream.available(4).await?;
    let len = stream.peek(|bytes| bytes.first_chunk().map(|len| u64::from(u32::from_le_bytes(*len))));
    if len.is_some_and(|len| stream.offset().saturating_add(len) <= limit) {
        return Document::open(stream, limit).await?.pass().await;
    }
    loop {
        stream.available(1).await?;
        let (found, there) = stream.peek(|bytes| (bytes.iter().position(|byte| *byte == 0), bytes.len()));
        stream.skip(found.map_or(there, |at| at + 1) as u64).await?;
        if found.is_some() {
            return Ok(());
        }
    }
}
