//! Records by operation: how many, how they ended, how long they took. Long polls have rows of their own, since a
//! server that waits for news on purpose would drown the latencies that mean something.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::emit::outcome;
use crate::record::{Completeness, Part, Record, Status};
use crate::summary::histogram::LatencyHistogram;
use crate::summary::tally::clip_name;

/// Operations told apart unless told otherwise: some hundreds exist in the protocols we know; 16 MB at the very most.
const DEFAULT_LIMIT: usize = 1_024;
/// Operations told apart by each shard: more than any protocol has.
pub(super) const SHARD_LIMIT: usize = 256;

/// Versions of an operation told apart: more than any API has. Versions come from plugins, which may make them up.
const MAX_VERSIONS: usize = 32;

/// Between the parts of a key; no byte of UTF-8 has this value.
const SEPARATOR: u8 = 0xff;

/// One row: an operation of a protocol, long polls apart.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// The protocol.
    pub protocol: String,
    /// Command or API; empty if the message did not say.
    pub type_name: String,
    /// The row of those that the server may hold back on purpose.
    pub is_long_poll: bool,
    /// All records.
    pub records: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed by the client's fault.
    pub client_errors: u64,
    /// Those that failed by the server's fault.
    pub server_errors: u64,
    /// Those that got no answer in time.
    pub timeouts: u64,
    /// Those of which it is not known how they ended.
    pub unknown: u64,
    /// Last byte of the request to first byte of the response, in nanoseconds.
    pub latency: LatencyHistogram,
    /// Bytes of the requests.
    pub request_bytes: u64,
    /// Bytes of the responses.
    pub response_bytes: u64,
    /// How much was decoded of each version, in the order in which they were first seen.
    pub versions: Vec<VersionCoverage>,
}

/// How much was decoded of the records of one version of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionCoverage {
    /// The version; empty if the message did not say.
    pub version: String,
    /// All records.
    pub records: u64,
    /// Those decoded in full, request and response.
    pub full: u64,
    /// Those decoded in part.
    pub partial: u64,
    /// Those of which only a header was decoded.
    pub header: u64,
}

impl Operation {
    fn observe(&mut self, record: &Record) {
        self.records += 1;
        match outcome::status(record) {
            Some(Status::Ok) => self.ok += 1,
            Some(Status::ClientError) => self.client_errors += 1,
            Some(Status::ServerError) => self.server_errors += 1,
            Some(Status::Timeout) => self.timeouts += 1,
            Some(Status::Unknown) => self.unknown += 1,
            None => (),
        }
        if let Some(latency) = record.latency_ns {
            self.latency.record(latency);
        }
        let bytes = |part: Option<&Part>| part.map_or(0, |part| part.bytes);
        self.request_bytes = self.request_bytes.saturating_add(bytes(outcome::request(record)));
        self.response_bytes = self.response_bytes.saturating_add(bytes(outcome::response(record)));
        self.observe_version(record);
    }

    fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.ok += other.ok;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
        self.timeouts += other.timeouts;
        self.unknown += other.unknown;
        self.latency.merge(&other.latency);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        for theirs in &other.versions {
            let Some(row) = self.version(&theirs.version) else { continue };
            row.records += theirs.records;
            row.full += theirs.full;
            row.partial += theirs.partial;
            row.header += theirs.header;
        }
        // By length first: numbers in their order.
        self.versions.sort_by(|a, b| (a.version.len(), &a.version).cmp(&(b.version.len(), &b.version)));
    }

    fn observe_version(&mut self, record: &Record) {
        let version = outcome::contents(record).find_map(|content| content.said(content.version));
        let version = clip_name(version.unwrap_or_default());
        let Some(row) = self.version(version) else { return };
        row.records += 1;
        match outcome::completeness(record).0 {
            Completeness::Full => row.full += 1,
            Completeness::Partial => row.partial += 1,
            Completeness::Header => row.header += 1,
        }
    }
}

impl Operation {
    /// The row of that version, if there is room for it.
    fn version(&mut self, version: &str) -> Option<&mut VersionCoverage> {
        // Most protocols have none. To compare strings of no bytes, which may lie nowhere, can take the C library long.
        let is_that = |row: &VersionCoverage| row.version.is_empty() && version.is_empty() || row.version == version;
        let place = self.versions.iter().position(is_that).or_else(|| {
            let has_room = self.versions.len() < MAX_VERSIONS;
            has_room.then(|| {
                self.versions.push(VersionCoverage { version: version.to_owned(), ..VersionCoverage::default() });
                self.versions.len() - 1
            })
        });
        place.and_then(|place| self.versions.get_mut(place))
    }
}

/// Records by operation, a bounded number of which are told apart.
#[derive(Debug)]
pub struct OperationStats {
    operations: HashMap<Box<[u8]>, Operation, RandomState>,
    other: Operation,
    limit: usize,
    /// The key of the last record; kept so that counting does not allocate.
    key: Vec<u8>,
}

impl Default for OperationStats {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl OperationStats {
    /// Tells up to `limit` operations apart.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { operations: HashMap::default(), other: Operation::default(), limit, key: Vec::new() }
    }

    /// Counts one record.
    pub fn observe(&mut self, record: &Record) {
        let protocol = outcome::protocol(record);
        let type_name = clip_name(outcome::type_name(record).unwrap_or_default());
        let is_long_poll = outcome::is_long_poll(record);
        self.key.clear();
        self.key.extend_from_slice(protocol.as_bytes());
        self.key.extend_from_slice(&[SEPARATOR, u8::from(is_long_poll)]);
        self.key.extend_from_slice(type_name.as_bytes());

        if let Some(operation) = self.operations.get_mut(self.key.as_slice()) {
            operation.observe(record);
        } else if self.operations.len() < self.limit {
            let (protocol, type_name) = (protocol.to_owned(), type_name.to_owned());
            let mut operation = Operation { protocol, type_name, is_long_poll, ..Operation::default() };
            operation.observe(record);
            self.operations.insert(self.key.as_slice().into(), operation);
        } else {
            self.other.observe(record);
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        let mut keys: Vec<_> = other.operations.iter().collect();
        // If there is no room for all of them, it is the same ones in every run.
        keys.sort_unstable_by_key(|(key, _)| *key);
        for (key, theirs) in keys {
            if let Some(operation) = self.operations.get_mut(key) {
                operation.merge(theirs);
            } else if self.operations.len() < self.limit {
                self.operations.insert(key.clone(), theirs.clone());
            } else {
                self.other.merge(theirs);
            }
        }
        self.other.merge(&other.other);
    }

    /// The operations, the most frequent first, then by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Operation> {
        let mut rows: Vec<_> = self.operations.values().collect();
        rows.sort_unstable_by(|a, b| {
            let names = |row: &Operation| (row.protocol.clone(), row.type_name.clone(), row.is_long_poll);
            b.records.cmp(&a.records).then_with(|| names(a).cmp(&names(b)))
        });
        rows
    }

    /// All operations beyond the limit together.
    #[must_use]
    pub fn other(&self) -> &Operation {
        &self.other
    }
}

#[cfg(test)]
mod tests {
    use super::{OperationStats, VersionCoverage};
    use crate::emit::samples::{failed_fetch, produce, unanswered};

    #[test]
    fn long_polls_have_a_row_of_their_own() {
        let mut stats = OperationStats::default();
        let mut quick_fetch = failed_fetch();
        quick_fetch.request.as_mut().unwrap().content.is_long_poll = false;
        for record in [failed_fetch(), quick_fetch, failed_fetch()] {
            stats.observe(&record);
        }
        let rows: Vec<_> = stats.sorted().iter().map(|row| (row.is_long_poll, row.records)).collect();
        assert_eq!(rows, [(true, 2), (false, 1)]);
    }

    #[test]
    fn endings_are_counted_apart() {
        let mut stats = OperationStats::default();
        for record in [produce(), unanswered("timeout"), unanswered("closed"), produce()] {
            stats.observe(&record);
        }
        let rows = stats.sorted();
        assert_eq!((rows[0].records, rows[0].ok, rows[0].timeouts, rows[0].unknown), (4, 2, 1, 1));
        assert_eq!((rows[0].latency.count(), rows[0].request_bytes, rows[0].response_bytes), (2, 4_936, 120));
    }

    #[test]
    fn versions_are_told_apart_up_to_a_limit() {
        let mut stats = OperationStats::default();
        for version in 0..40 {
            for record in [produce(), failed_fetch()] {
                let mut record = record;
                let content = &mut record.request.as_mut().unwrap().content;
                content.version = Some(content.put(&(version / 2).to_string()));
                content.type_name = Some(content.put("Api"));
                content.is_long_poll = false;
                stats.observe(&record);
            }
        }
        let rows = &stats.sorted()[0].versions;
        let row = |row: &VersionCoverage| (row.version.clone(), row.records, row.full, row.partial, row.header);
        assert_eq!((rows.len(), row(&rows[3])), (20, ("3".to_owned(), 4, 2, 2, 0)));
        for version in 0..1_000 {
            let mut record = produce();
            let content = &mut record.request.as_mut().unwrap().content;
            content.version = Some(content.put(&version.to_string()));
            stats.observe(&record);
        }
        assert_eq!(stats.sorted()[0].versions.len(), 32);
    }

    #[test]
    fn operations_beyond_the_limit_are_counted_together() {
        let mut stats = OperationStats::new(1);
        for record in [produce(), failed_fetch(), failed_fetch(), produce()] {
            stats.observe(&record);
        }
        assert_eq!((stats.sorted().len(), stats.sorted()[0].records, stats.other().records), (1, 2, 2));
    }
}
