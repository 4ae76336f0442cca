//! What a plugin says of a message: the fields of a record, whichever era wrote them. Here is the plain data, and the
//! layout of the eras before protobuf:
//!
//! ```text
//! req_len, resp_len   u32 each: bit 31 says that it is there, the others are the length
//! has_request_id      u8, 0 or 1; then request_id u32
//! client to server    type, endpoint, domain, resource: strings
//! server to client    status u8, has_code u8, [code i32], result, exception
//! protocol            string                                          (from L4 on)
//! merge               u8: 0, 0x80, or 0x81 for the last part          (from L1 on)
//! has_trace           u8, [trace id, span id, parent span id]
//! has_attributes      u8, [key, value]... to the end of the record
//! business type       u8                                              (from L3 on)
//! ```
//!
//! A string is a u16 length and bytes; integers are big-endian. Nothing says which era wrote a record, so the decoder
//! is strict: every byte must have its place.

use protap_plugin::Reader;

use super::era::Era;
use crate::record::Status;

/// Attributes that are taken of one record; further ones are passed over.
pub(super) const MAX_ATTRIBUTES: usize = 256;
/// Set in a length that is there.
const IS_PRESENT: u32 = 1 << 31;

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppRecord {
    /// Bytes of the request, if given.
    pub request_len: Option<u32>,
    /// Bytes of the response, if given.
    pub response_len: Option<u32>,
    /// Pairs request and response.
    pub request_id: Option<u32>,
    /// Request or response.
    pub info: Info,
    /// Name of the protocol; may be empty.
    pub protocol: String,
    /// Part of a message that comes in several records.
    pub merge: Merge,
    /// Trace.
    pub trace: Trace,
    /// Attributes, in the order in which they came.
    pub attributes: Vec<(String, String)>,
    /// What the record means to a business.
    pub business: Business,
    /// Its response comes whenever.
    pub is_async: bool,
    /// It goes against the direction of its flow.
    pub is_reversed: bool,
    /// Strings that were not UTF-8.
    pub replaced_strings: u32,
}

/// What depends on the direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Info {
    /// Nothing was said.
    #[default]
    None,
    /// A request.
    Request(RequestInfo),
    /// A response.
    Response(ResponseInfo),
}

/// A request; empty strings are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RequestInfo {
    pub version: String,
    pub type_name: String,
    pub domain: String,
    pub resource: String,
    pub endpoint: String,
}

/// A response; empty strings are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ResponseInfo {
    pub status: Status,
    pub code: Option<i32>,
    pub exception: String,
    pub result: String,
    pub type_name: String,
    pub endpoint: String,
}

/// Whether a record is a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// It is all.
    #[default]
    Whole,
    /// More will come.
    Part,
    /// It is the last.
    Last,
}

/// Trace ids; empty strings are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Trace {
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    pub x_request_id: String,
    pub http_proxy_client: String,
    pub trace_ids: Vec<String>,
}

/// What the record means to a business; empty strings and 0 are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Business {
    pub kind: u32,
    pub code: String,
    pub scenario: String,
    pub response_code: String,
}

impl AppRecord {
    /// A record as that era laid it out; `None` if it is not of that era.
    pub(super) fn decode(bytes: &[u8], era: Era, is_response: bool) -> Option<Self> {
        let mut record = Self::default();
        let mut reader = Reader::new(bytes);
        record.request_len = length(&mut reader)?;
        record.response_len = length(&mut reader)?;
        if flag(&mut reader)? {
            record.request_id = Some(reader.u32_be().ok()?);
        }
        record.info = if is_response { record.response(&mut reader)? } else { record.request(&mut reader)? };
        if era >= Era::L4 {
            record.protocol = record.text(&mut reader)?;
        }
        if era >= Era::L1 {
            record.merge = merge(reader.u8().ok()?)?;
        }
        if flag(&mut reader)? {
            record.trace = record.trace(&mut reader)?;
        }
        let trailer = usize::from(era >= Era::L3);
        if flag(&mut reader)? {
            record.attributes(&mut reader, trailer)?;
        }
        if trailer > 0 {
            record.business.kind = u32::from(reader.u8().ok()?);
        }
        reader.is_empty().then_some(record)
    }

    /// What HTTP hooks of the first eras gave back: a trace, and attributes to the end.
    pub fn decode_http_result(bytes: &[u8]) -> Option<Self> {
        let mut record = Self::default();
        let mut reader = Reader::new(bytes);
        if flag(&mut reader)? {
            record.trace = record.trace(&mut reader)?;
        }
        record.attributes(&mut reader, 0)?;
        Some(record)
    }

    fn request(&mut self, reader: &mut Reader<'_>) -> Option<Info> {
        let mut text = || self.text(reader);
        let (type_name, endpoint, domain, resource) = (text()?, text()?, text()?, text()?);
        Some(Info::Request(RequestInfo { version: String::new(), type_name, domain, resource, endpoint }))
    }

    fn response(&mut self, reader: &mut Reader<'_>) -> Option<Info> {
        let status = status(reader.u8().ok()?.into())?;
        let code = if flag(reader)? { Some(reader.i32_be().ok()?) } else { None };
        let result = self.text(reader)?;
        let exception = self.text(reader)?;
        Some(Info::Response(ResponseInfo { status, code, exception, result, ..ResponseInfo::default() }))
    }

    fn trace(&mut self, reader: &mut Reader<'_>) -> Option<Trace> {
        let mut text = || self.text(reader);
        let (trace_id, span_id, parent_span_id) = (text()?, text()?, text()?);
        Some(Trace { trace_id, span_id, parent_span_id, ..Trace::default() })
    }

    /// Pairs, until `trailer` bytes are left.
    fn attributes(&mut self, reader: &mut Reader<'_>, trailer: usize) -> Option<()> {
        while reader.remaining().len() > trailer {
            let (key, value) = (string(reader)?, string(reader)?);
            if self.attributes.len() < MAX_ATTRIBUTES {
                let pair = (self.lossy(key), self.lossy(value));
                self.attributes.push(pair);
            }
        }
        Some(())
    }

    fn text(&mut self, reader: &mut Reader<'_>) -> Option<String> {
        string(reader).map(|bytes| self.lossy(bytes))
    }

    /// The bytes as text; what is not UTF-8 is replaced and counted.
    pub(super) fn lossy(&mut self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        self.replaced_strings += u32::from(matches!(text, std::borrow::Cow::Owned(_)));
        text.into_owned()
    }
}

fn length(reader: &mut Reader<'_>) -> Option<Option<u32>> {
    match reader.u32_be().ok()? {
        0 => Some(None),
        len if len & IS_PRESENT != 0 => Some(Some(len & !IS_PRESENT)),
        _ => None,
    }
}

/// A byte that is 0 or 1.
fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// A length of two bytes, and so many bytes.
pub(super) fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u16_be().ok()?;
    reader.bytes(usize::from(len)).ok()
}

fn merge(byte: u8) -> Option<Merge> {
    match byte {
        0 => Some(Merge::Whole),
        0x80 => Some(Merge::Part),
        0x81 => Some(Merge::Last),
        _ => None,
    }
}

/// A status by its number. 1 is not given any more, and meant an error of either side.
pub(super) fn status(number: u64) -> Option<Status> {
    match number {
        0 => Some(Status::Ok),
        1 | 5 => Some(Status::Unknown),
        2 => Some(Status::Timeout),
        3 => Some(Status::ServerError),
        4 => Some(Status::ClientError),
        _ => None,
    }
}

#[cfg(test)]
#[path = "record/tests.rs"]
mod tests;
