//! What a plugin's imports work on while a call runs: what it may read, and what it gave back. Every call begins with
//! an empty one, so nothing that a call left reaches the next, and outside of a call there is nothing to read.

use protap_plugin::Reader;

use super::context::About;
use super::era::Decoder;
use super::record::{AppRecord, string};

/// Longest protocol name.
const MAX_NAME: usize = 64;

/// One call's input and output.
#[derive(Debug)]
pub(in crate::plugin) struct Exchange {
    /// The call context, laid out; empty outside of calls.
    pub(super) base: Vec<u8>,
    /// The payload.
    pub(super) payload: Vec<u8>,
    /// What else the call is about.
    pub(super) about: About,
    /// The payload goes from server to client.
    pub(super) is_response: bool,
    /// Name of the protocol that the plugin gave.
    pub(super) name: Option<String>,
    /// The records that it gave, of which the last batch counts.
    pub(super) records: Option<Vec<AppRecord>>,
    /// Knows the era of its records.
    pub(super) decoder: Decoder,
    /// Batches that could not be decoded.
    pub(super) bad_records: u64,
}

impl Exchange {
    /// Of a plugin of which nothing is known, but whether it imports what only the first eras had.
    #[must_use]
    pub(super) fn new(has_http_result: bool) -> Self {
        Self {
            base: Vec::new(),
            payload: Vec::new(),
            about: About::default(),
            is_response: false,
            name: None,
            records: None,
            decoder: Decoder::new(has_http_result),
            bad_records: 0,
        }
    }

    /// Nothing is left of the last call.
    pub(super) fn clear(&mut self) {
        self.base.clear();
        self.payload.clear();
        self.about = About::default();
        (self.name, self.records) = (None, None);
    }

    /// Whether a call runs.
    pub(super) fn is_open(&self) -> bool {
        !self.base.is_empty()
    }

    /// What HTTP hooks of the first eras give back. It is of the message that the call is about.
    pub(super) fn take_http_result(&mut self, bytes: &[u8]) -> bool {
        let record = AppRecord::decode_http_result(bytes);
        self.bad_records += u64::from(record.is_none());
        self.records = record.map(|record| vec![record]);
        self.records.is_some()
    }

    /// A batch of records, which replaces an earlier one of the same call.
    pub(super) fn take_records(&mut self, bytes: &[u8]) -> bool {
        let records = self.decoder.decode(bytes, self.is_response);
        self.bad_records += u64::from(records.is_none());
        self.records = records;
        self.records.is_some()
    }

    /// The name of the protocol: a length of two bytes, and so many bytes.
    pub(super) fn take_name(&mut self, bytes: &[u8]) -> bool {
        let Some(name) = string(&mut Reader::new(bytes)) else { return false };
        let name = String::from_utf8_lossy(name);
        self.name = Some(name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect());
        true
    }
}
