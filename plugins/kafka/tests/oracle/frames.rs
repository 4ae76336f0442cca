//! Frames as the `kafka-protocol` crate writes them, and what the plugin says of them.

use kafka_protocol::messages::ApiKey;
use protap_plugin::testing::{Replay, Report, Seen, Value};

pub(crate) use protap_kafka_messages::{request_body, response_body, text};

const ID: i32 = 77;

/// A request with that body.
pub(crate) fn request_frame(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    protap_kafka_messages::request_frame(key, version, ID, body)
}

/// A response with that body.
pub(crate) fn response_frame(key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    protap_kafka_messages::response_frame(key, version, ID, body)
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
