//! Frames as the `kafka-protocol` crate writes them, and what the plugin says of them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Encodable, StrBytes};
use protap_plugin::testing::{Replay, Report, Seen, Value};

pub(crate) const ID: i32 = 77;

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn framed(frame: &BytesMut) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat()
}

/// A request with that body.
pub(crate) fn request_frame(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(ID)
        .with_client_id(Some(text("oracle")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, key.request_header_version(version)).unwrap();
    frame.extend_from_slice(body);
    framed(&frame)
}

/// A response with that body.
pub(crate) fn response_frame(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(ID);
    header.encode(&mut frame, key.response_header_version(version)).unwrap();
    frame.extend_from_slice(body);
    framed(&frame)
}

pub(crate) fn request_body(request: &RequestKind, version: i16) -> Option<Bytes> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).ok().map(|()| body.freeze())
}

pub(crate) fn response_body(response: &ResponseKind, version: i16) -> Option<Bytes> {
    let mut body = BytesMut::new();
    response.encode(&mut body, version).ok().map(|()| body.freeze())
}

/// A conversation that consists of one request with that body.
pub(crate) fn asked(key: ApiKey, version: i16, body: &[u8]) -> Replay {
    Replay::new::<kafka::Plugin>().to_server(request_frame(key, version, body))
}

/// The same, with the answer to it. The request's body does not matter.
pub(crate) fn answered(key: ApiKey, version: i16, body: &[u8]) -> Replay {
    asked(key, version, &[]).to_client(response_frame(key, version, body))
}

/// The only message of a conversation with one request.
pub(crate) fn only(report: Report) -> Seen {
    assert!(report.losses.is_empty(), "{:?}", report.losses);
    assert_eq!(report.messages.len(), 1, "{:?}", report.messages);
    report.messages.into_iter().next().unwrap()
}

/// The response of a conversation.
pub(crate) fn response(report: Report) -> Seen {
    assert!(report.losses.is_empty(), "{:?}", report.losses);
    assert_eq!(report.messages.len(), 2, "{:?}", report.messages);
    report.messages.into_iter().nth(1).unwrap()
}

pub(crate) fn integer(seen: &Seen, name: &str) -> Option<i64> {
    match seen.attribute(name) {
        Some(Value::I64(value)) => Some(*value),
        None => None,
        other => panic!("{name}: {other:?}"),
    }
}

/// A list of strings or of fact keys; empty if it is absent.
pub(crate) fn list(seen: &Seen, name: &str) -> Vec<String> {
    match seen.attribute(name) {
        Some(Value::List(list) | Value::RefList(_, list)) => list.clone(),
        None => Vec::new(),
        other => panic!("{name}: {other:?}"),
    }
}
