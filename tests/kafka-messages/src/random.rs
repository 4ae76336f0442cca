//! Random messages of every API and version: the crate makes a message of random bytes, writes it in each version, and
//! reads it back.

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use crate::frames;

/// Seeds: as many as it takes for a message of every API and version.
const SEEDS: u64 = 300;

/// A message.
#[derive(Debug)]
pub struct Generated {
    /// Its API.
    pub key: ApiKey,
    /// Its version.
    pub version: i16,
    /// As the crate wrote it.
    pub body: Bytes,
    /// As the crate reads that, printed.
    pub printed: String,
}

/// Gives every request that can be made of the seeds.
pub fn each_request(mut take: impl FnMut(Generated)) {
    each(|key, version, mut source| {
        let request = RequestKind::decode(key, &mut source.bytes, source.version).ok()?;
        let body = frames::request_body(&request, version).filter(|body| body.len() <= source.max_body)?;
        let as_read = RequestKind::decode(key, &mut body.clone(), version).ok()?;
        take(Generated { key, version, body, printed: format!("{as_read:?}") });
        Some(())
    });
}

/// Gives every response that can be made of the seeds.
pub fn each_response(mut take: impl FnMut(Generated)) {
    each(|key, version, mut source| {
        let response = ResponseKind::decode(key, &mut source.bytes, source.version).ok()?;
        let body = frames::response_body(&response, version).filter(|body| body.len() <= source.max_body)?;
        let as_read = ResponseKind::decode(key, &mut body.clone(), version).ok()?;
        take(Generated { key, version, body, printed: format!("{as_read:?}") });
        Some(())
    });
}

/// What a message is made of.
struct Source {
    /// The version that the bytes are read as.
    version: i16,
    bytes: Bytes,
    max_body: usize,
}

/// Versions whose requests the crate does not have although it has their answers.
const WITHOUT_REQUEST: [(ApiKey, i16); 3] =
    [(ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::InitProducerId, 6)];

/// Has messages made of random bytes in the newest version (or the one before), and in the version that is written. The one
/// says more, the other can always be written. There is a message of every API and version, or it is told.
fn each(mut make: impl FnMut(ApiKey, i16, Source) -> Option<()>) {
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for version in versions.min..=versions.max {
            let made = |seed| {
                let compact = [versions.max, versions.max - 1].map(|version| (version, COMPACT, usize::MAX));
                let mut sources = compact.into_iter().chain([(version, WIDE, MAX_BODY)]).map(|source| {
                    let (version, values, max_body) = source;
                    Source { version, bytes: bytes(seed, values), max_body }
                });
                sources.find_map(|source| make(key, version, source))
            };
            let count = (0..SEEDS).filter_map(made).count();
            let is_missing = count == 0 && !WITHOUT_REQUEST.contains(&(key, version));
            assert!(!is_missing, "no message of {key:?} {version} came of {SEEDS} seeds");
        }
    }
}

/// Bytes of which most things can be read in a flexible version: all counts and lengths, of one byte, are small.
const COMPACT: [u8; 8] = [0, 0, 0, 1, 1, 2, 2, 3];
/// The same for older versions, where they have two or four.
const WIDE: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

/// Longest body of those: a string of theirs has few bytes or 256 and more, and topics' names have at most 249.
const MAX_BODY: usize = 250;

fn bytes(seed: u64, values: [u8; 8]) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values[usize::try_from(state >> 40 & 7).expect("three bits")]
    };
    (0..2000).map(|_| next()).collect()
}
