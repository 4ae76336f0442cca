//! Records of the era PB: behind the letters "PB" the protobuf message `AppInfo`
//! (<https://protobuf.dev/programming-guides/encoding/>). A reader of its own, as it is one message with some twenty
//! fields: a crate would bring a code generator that changes how the Wasm engine is compiled. Unknown fields are passed
//! over; of a field that comes twice the last one counts, and messages are merged, as the encoding has it.

use super::record::{AppRecord, Info, MAX_ATTRIBUTES, Merge, RequestInfo, ResponseInfo, status};

/// Begins every record of the era.
pub(super) const MAGIC: &[u8] = b"PB";
/// Ids of further traces that are taken of one record.
const MAX_TRACE_IDS: usize = 16;
/// Longest varint, in bytes.
const MAX_VARINT: usize = 10;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no known field has.
    Fixed,
}

impl<'a> Value<'a> {
    fn number(self) -> Option<u64> {
        if let Self::Varint(number) = self { Some(number) } else { None }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The lower half, as both kinds of 32 bits are read.
    fn u32(self) -> Option<u32> {
        let [a, b, c, d, ..] = self.number()?.to_le_bytes();
        Some(u32::from_le_bytes([a, b, c, d]))
    }
}

/// Calls `take` with each field of a message; `None` if it is none, or `take` says so.
fn fields<'a>(mut bytes: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => cut(&mut bytes, 8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(cut(&mut bytes, len)?)
            }
            5 => cut(&mut bytes, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        match key >> 3 {
            0 => return None,
            field => take(field, value)?,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

fn cut<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

impl AppRecord {
    /// A record from what follows the letters "PB".
    pub(super) fn decode_protobuf(bytes: &[u8]) -> Option<Self> {
        let mut record = Self::default();
        fields(bytes, |field, value| {
            match field {
                1 => record.request_len = Some(value.u32()?),
                2 => record.response_len = Some(value.u32()?),
                3 => record.request_id = Some(value.u32()?),
                10 => record.take_request(value.bytes()?)?,
                11 => record.take_response(value.bytes()?)?,
                12 => record.take_trace(value.bytes()?)?,
                13 => record.protocol = record.lossy(value.bytes()?),
                21 => record.merge = if value.number()? == 0 { Merge::Part } else { Merge::Last },
                22 => record.is_async = value.number()? != 0,
                23 => record.is_reversed = value.number()? != 0,
                31 => record.take_attribute(value.bytes()?)?,
                32 => record.business.kind = value.u32()?,
                33 => record.business.code = record.lossy(value.bytes()?),
                34 => record.business.scenario = record.lossy(value.bytes()?),
                35 => record.business.response_code = record.lossy(value.bytes()?),
                _ => {}
            }
            Some(())
        })?;
        Some(record)
    }

    fn take_request(&mut self, bytes: &[u8]) -> Option<()> {
        let mut request = match std::mem::take(&mut self.info) {
            Info::Request(request) => request,
            _ => RequestInfo::default(),
        };
        fields(bytes, |field, value| {
            let target = match field {
                1 => &mut request.version,
                2 => &mut request.type_name,
                3 => &mut request.domain,
                4 => &mut request.resource,
                5 => &mut request.endpoint,
                _ => return Some(()),
            };
            *target = self.lossy(value.bytes()?);
            Some(())
        })?;
        self.info = Info::Request(request);
        Some(())
    }

    /// A response must say how it ended.
    fn take_response(&mut self, bytes: &[u8]) -> Option<()> {
        let mut response = ResponseInfo::default();
        let mut has_status = false;
        if let Info::Response(known) = std::mem::take(&mut self.info) {
            (response, has_status) = (known, true);
        }
        fields(bytes, |field, value| {
            match field {
                1 => {
                    response.status = status(value.number()?)?;
                    has_status = true;
                }
                2 => response.code = Some(value.u32()?.cast_signed()),
                3 => response.exception = self.lossy(value.bytes()?),
                4 => response.result = self.lossy(value.bytes()?),
                5 => response.type_name = self.lossy(value.bytes()?),
                6 => response.endpoint = self.lossy(value.bytes()?),
                _ => {}
            }
            Some(())
        })?;
        self.info = Info::Response(response);
        has_status.then_some(())
    }

    fn take_trace(&mut self, bytes: &[u8]) -> Option<()> {
        let mut trace = std::mem::take(&mut self.trace);
        fields(bytes, |field, value| {
            let target = match field {
                1 => &mut trace.trace_id,
                2 => &mut trace.span_id,
                3 => &mut trace.parent_span_id,
                4 => &mut trace.x_request_id,
                5 => &mut trace.http_proxy_client,
                6 => {
                    let id = self.lossy(value.bytes()?);
                    if trace.trace_ids.len() < MAX_TRACE_IDS {
                        trace.trace_ids.push(id);
                    }
                    return Some(());
                }
                _ => return Some(()),
            };
            *target = self.lossy(value.bytes()?);
            Some(())
        })?;
        self.trace = trace;
        Some(())
    }

    fn take_attribute(&mut self, bytes: &[u8]) -> Option<()> {
        let (mut key, mut text) = (String::new(), String::new());
        fields(bytes, |field, value| {
            match field {
                1 => key = self.lossy(value.bytes()?),
                2 => text = self.lossy(value.bytes()?),
                _ => {}
            }
            Some(())
        })?;
        if self.attributes.len() < MAX_ATTRIBUTES {
            self.attributes.push((key, text));
        }
        Some(())
    }
}
