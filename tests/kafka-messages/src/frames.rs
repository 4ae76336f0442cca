//! Frames: the crate's header and body, with the size before them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Encodable, StrBytes};

/// A string of the crate.
#[must_use]
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn framed(frame: &BytesMut) -> Vec<u8> {
    [&u32::try_from(frame.len()).expect("a frame is short").to_be_bytes()[..], frame].concat()
}

/// A request with that body, of the client `oracle`.
#[must_use]
pub fn request_frame(key: ApiKey, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(text("oracle")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, key.request_header_version(version)).expect("a header can be written");
    frame.extend_from_slice(body);
    framed(&frame)
}

/// A response with that body.
#[must_use]
pub fn response_frame(key: ApiKey, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(id);
    header.encode(&mut frame, key.response_header_version(version)).expect("a header can be written");
    frame.extend_from_slice(body);
    framed(&frame)
}

/// A request's body; `None` if that version cannot say what the request does.
#[must_use]
pub fn request_body(request: &RequestKind, version: i16) -> Option<Bytes> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).ok().map(|()| body.freeze())
}

/// The same of a response.
#[must_use]
pub fn response_body(response: &ResponseKind, version: i16) -> Option<Bytes> {
    let mut body = BytesMut::new();
    response.encode(&mut body, version).ok().map(|()| body.freeze())
}
