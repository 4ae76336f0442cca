//! Headers of requests and responses, and the check whether bytes look like a request: what probing and finding the
//! way after a loss rest on.
//!
//! ```text
//! request:  size i32 | api_key i16 | api_version i16 | correlation_id i32 | client_id nullable string (1+) | tags (2)
//! response: size i32 | correlation_id i32 | tags (1)
//! ```
//! The client id is never compact, not even in header version 2. Spec: <https://kafka.apache.org/protocol#protocol_messages>.

use protap_plugin::{ReadError, Reader, Source, Stop, Stream, Text, at_once};

use crate::api::Api;
use crate::wire::Wire;

/// Size field of a frame.
pub(crate) const SIZE: u64 = 4;
/// Largest frame that is read. Brokers take 100 MiB (`socket.request.max.bytes`) unless told otherwise.
pub(crate) const MAX_FRAME: u32 = 512 << 20;
/// Largest frame that is believed where it is not known that a frame begins.
const MAX_BELIEVED: u32 = 128 << 20;
/// Longest client id that is believed.
const MAX_CLIENT_ID: usize = 1024;
/// How many versions above the newest known one are believed.
const NEWER_VERSIONS: i16 = 3;
/// Api key, version and correlation id.
const FIXED: u32 = 8;
/// Largest key and version that a request of an unknown API may have; beyond that it is no request.
const MAX_KEY: i16 = 1023;
const MAX_VERSION: i16 = 127;

/// The part of a request header that all versions have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHeader {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    pub(crate) correlation_id: u32,
}

#[at_once]
impl RequestHeader {
    /// Reads it, size included, and declares the frame.
    pub(crate) async fn read(stream: &Stream<impl Source>) -> Result<Self, Stop> {
        let size = stream.u32_be().await?;
        if !(FIXED..=MAX_FRAME).contains(&size) {
            return Err(Stop::Malformed("no request has that size"));
        }
        stream.begin_frame(SIZE + u64::from(size))?;
        stream.read(Self::fields).await
    }

    fn fields(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let (api_key, api_version) = (reader.i16_be()?, reader.i16_be()?);
        if !(0..=MAX_KEY).contains(&api_key) || !(0..=MAX_VERSION).contains(&api_version) {
            return Err(reader.malformed("no API has that key and version"));
        }
        Ok(Self { api_key, api_version, correlation_id: reader.u32_be()? })
    }

    /// The API, if it is known.
    pub(crate) fn api(&self) -> Option<&'static Api> {
        Api::find(self.api_key)
    }
}

/// Reads what follows in a request header: the client id, then tags. An unknown API is taken to have a client id.
#[at_once]
pub(crate) async fn read_client_id(wire: &Wire<'_, impl Source>, header_version: i16) -> Result<Option<Text>, Stop> {
    if header_version == 0 {
        return Ok(None);
    }
    let client_id = Wire { is_flexible: false, ..*wire }.string().await?;
    if header_version >= 2 {
        wire.tags().await?;
    }
    Ok(client_id)
}

/// What is at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A request, as far as its header goes.
    Request(Candidate<'a>),
    /// It takes that many bytes to tell.
    Need(usize),
    /// No request.
    Nothing(&'static str),
}

/// Bytes that look like a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) api: &'static Api,
    pub(crate) version: i16,
    pub(crate) correlation_id: u32,
    pub(crate) client_id: Option<&'a [u8]>,
    /// Bytes of the frame, size included.
    pub(crate) len: u64,
    /// Bytes of it that are there, after the client id.
    pub(crate) rest: &'a [u8],
}

impl Candidate<'_> {
    /// It bears a client id. Next to no bytes of other protocols look like a request that does, but some do that look
    /// like one without (a ZooKeeper client's first frame reads as Produce version 0).
    pub(crate) fn is_named(&self) -> bool {
        self.client_id.is_some_and(|id| !id.is_empty())
    }

    /// The version is one that is known.
    pub(crate) fn is_known_version(&self) -> bool {
        self.version <= self.api.max_version
    }
}

/// Looks for a request at the front of `bytes`: a plausible size, a known API, a version not far above the known ones,
/// and a client id that is null or printable.
pub(crate) fn find_request(bytes: &[u8]) -> Found<'_> {
    match check_request(bytes) {
        Ok(found) => found,
        Err(error) => Found::Need(error.offset.saturating_add(error.needed)),
    }
}

fn check_request(bytes: &[u8]) -> Result<Found<'_>, ReadError> {
    let mut reader = Reader::new(bytes);
    let size = reader.u32_be()?;
    if !(FIXED..=MAX_BELIEVED).contains(&size) {
        return Ok(Found::Nothing("no request has that size"));
    }
    let key = reader.i16_be()?;
    let Some(api) = Api::find(key) else { return Ok(Found::Nothing("no API has that key")) };
    let version = reader.i16_be()?;
    if !(0..=api.max_version + NEWER_VERSIONS).contains(&version) {
        return Ok(Found::Nothing("the API has no such version"));
    }
    let correlation_id = reader.u32_be()?;
    let candidate = |client_id, rest| {
        let len = SIZE + u64::from(size);
        Found::Request(Candidate { api, version, correlation_id, client_id, len, rest })
    };
    if api.request_header_version(version) == 0 {
        return Ok(candidate(None, reader.remaining()));
    }
    if size < FIXED + 2 {
        return Ok(Found::Nothing("a request shorter than its header"));
    }
    let len = match usize::try_from(reader.i16_be()?) {
        Ok(len) if len <= MAX_CLIENT_ID && len as u64 <= u64::from(size - FIXED - 2) => len,
        Err(_) if bytes.get(12..14) == Some(&[0xff, 0xff]) => return Ok(candidate(None, reader.remaining())),
        _ => return Ok(Found::Nothing("no client id has that length")),
    };
    let there = reader.remaining();
    if !is_printable(there.get(..len).unwrap_or(there)) {
        return Ok(Found::Nothing("a client id that is no text"));
    }
    let client_id = reader.bytes(len)?;
    if core::str::from_utf8(client_id).is_err() {
        return Ok(Found::Nothing("a client id that is no text"));
    }
    Ok(candidate(Some(client_id), reader.remaining()))
}

/// Whether bytes may be part of a text without control characters.
fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}
