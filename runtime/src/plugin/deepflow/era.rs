//! Which of DeepFlow's record layouts a plugin was built with. Nothing in a module or a record says so; but a record
//! that is read strictly, to its last byte, fits one layout only, with few exceptions. So each record is tried as each
//! era would have written it, and the first that fits exactly one pins the plugin to that era.

use std::fmt;

use protap_plugin::Reader;

use super::protobuf;
use super::record::{AppRecord, string};

/// Records that are taken of one batch: more than the 64 KiB that an SDK sends can hold.
const MAX_RECORDS: usize = 4096;
/// Longest batch, in bytes.
const MAX_BATCH: usize = 1 << 20;

/// An era of the ABI, by the date of the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// April 2023.
    L0,
    /// August 2023: a byte for merging.
    L1,
    /// End of August 2023: HTTP hooks answer with records. These are laid out as before.
    L2,
    /// February 2024: a business type.
    L3,
    /// April 2024: the protocol's name.
    L4,
    /// March 2025: protobuf.
    Pb,
}

impl Era {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::Pb => "PB",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes the batches of records of one plugin.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Eras that are tried, the newest first.
    candidates: [Era; 4],
    pinned: Option<Era>,
    era: Option<Era>,
}

impl Decoder {
    /// A decoder that knows nothing yet. `has_http_result`: the plugin imports what only the first two eras had.
    #[must_use]
    pub fn new(has_http_result: bool) -> Self {
        let second = if has_http_result { Era::L1 } else { Era::L2 };
        Self { candidates: [Era::L4, Era::L3, second, Era::L0], pinned: None, era: None }
    }

    /// The plugin's era, once a record has told it.
    #[must_use]
    pub fn era(&self) -> Option<Era> {
        self.era
    }

    /// The records of a batch: for each a length of two bytes, and so many bytes. All or none.
    pub fn decode(&mut self, batch: &[u8], is_response: bool) -> Option<Vec<AppRecord>> {
        let frames = split(batch)?;
        let is_legacy = |frame: &&[u8]| !frame.starts_with(protobuf::MAGIC);
        if frames.iter().any(is_legacy) {
            self.pin(&frames, is_response)?;
        } else {
            self.era = Some(Era::Pb);
        }
        let era = self.pinned.or(self.era)?;
        let decode = |frame: &&[u8]| match frame.strip_prefix(protobuf::MAGIC) {
            Some(message) => AppRecord::decode_protobuf(message),
            None => AppRecord::decode(frame, era, is_response),
        };
        let records = frames.iter().map(decode).collect();
        if self.pinned.is_none() && era != Era::Pb {
            // Several eras would do: the newest is as good a guess as any, and the next record is asked again.
            self.era = None;
        }
        records
    }

    /// Finds the era of records that do not say so.
    fn pin(&mut self, frames: &[&[u8]], is_response: bool) -> Option<()> {
        if self.pinned.is_some() {
            self.era = self.pinned;
            return Some(());
        }
        let fits = |era: &Era| {
            let legacy = frames.iter().filter(|frame| !frame.starts_with(protobuf::MAGIC));
            legacy
                .map(|frame| AppRecord::decode(frame, *era, is_response))
                .all(|record| record.is_some_and(|record| record.replaced_strings == 0))
        };
        let mut fitting = self.candidates.into_iter().filter(fits);
        let newest = fitting.next()?;
        self.era = Some(newest);
        if fitting.next().is_none() {
            self.pinned = Some(newest);
        }
        Some(())
    }
}

/// The records of a batch; `None` if it is cut short, or there is none in it.
fn split(batch: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(batch);
    let mut frames = Vec::new();
    if batch.len() > MAX_BATCH {
        return None;
    }
    while !reader.is_empty() {
        frames.push(string(&mut reader)?);
        if frames.len() > MAX_RECORDS {
            return None;
        }
    }
    (!frames.is_empty()).then_some(frames)
}
