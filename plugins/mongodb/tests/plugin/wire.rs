//! Puts messages together.

use bson::Document;
use protap_plugin::testing::{Replay, Report, Seen, Value};

pub(crate) const OP_REPLY: i32 = 1;
pub(crate) const OP_QUERY: i32 = 2004;
pub(crate) const OP_COMPRESSED: i32 = 2012;
pub(crate) const OP_MSG: i32 = 2013;

pub(crate) const CHECKSUM_PRESENT: u32 = 1;
pub(crate) const MORE_TO_COME: u32 = 2;
pub(crate) const EXHAUST_ALLOWED: u32 = 1 << 16;

/// A message of any op code.
pub(crate) fn message(request_id: u32, response_to: u32, op_code: i32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut message = len.to_le_bytes().to_vec();
    message.extend(request_id.to_le_bytes());
    message.extend(response_to.to_le_bytes());
    message.extend(op_code.to_le_bytes());
    message.extend(body);
    message
}

/// OP_MSG.
pub(crate) fn msg(request_id: u32, response_to: u32, flags: u32, sections: &[Vec<u8>]) -> Vec<u8> {
    let mut body = flags.to_le_bytes().to_vec();
    body.extend(sections.concat());
    message(request_id, response_to, OP_MSG, &body)
}

/// Section of kind 0.
pub(crate) fn body(document: &Document) -> Vec<u8> {
    [vec![0], document.to_vec().unwrap()].concat()
}

/// Section of kind 1.
pub(crate) fn sequence(identifier: &str, documents: &[Document]) -> Vec<u8> {
    let mut content = identifier.as_bytes().to_vec();
    content.push(0);
    content.extend(documents.iter().flat_map(|document| document.to_vec().unwrap()));
    let size = u32::try_from(4 + content.len()).unwrap();
    [vec![1], size.to_le_bytes().to_vec(), content].concat()
}

/// A command.
pub(crate) fn request(request_id: u32, command: &Document) -> Vec<u8> {
    msg(request_id, 0, 0, &[body(command)])
}

/// A reply to it.
pub(crate) fn reply(response_to: u32, reply: &Document) -> Vec<u8> {
    msg(response_to + 1000, response_to, 0, &[body(reply)])
}

/// An empty conversation.
pub(crate) fn replay() -> Replay {
    Replay::new::<mongodb::Plugin>()
}

/// What the plugin says of one request.
pub(crate) fn ask(bytes: &[u8]) -> Seen {
    only(replay().to_server(bytes).run())
}

/// What it says of a reply to that request.
pub(crate) fn answer(request: &[u8], reply: &[u8]) -> Seen {
    let mut report = replay().to_server(request).to_client(reply).run();
    assert_eq!(report.losses, []);
    assert_eq!(report.messages.len(), 2, "{report:#?}");
    report.messages.remove(1)
}

pub(crate) fn only(mut report: Report) -> Seen {
    assert_eq!(report.losses, []);
    assert_eq!(report.messages.len(), 1, "{report:#?}");
    report.messages.remove(0)
}

/// The integer that is an attribute's value.
pub(crate) fn number(seen: &Seen, name: &str) -> Option<i64> {
    match seen.attribute(name) {
        Some(Value::I64(number)) => Some(*number),
        _ => None,
    }
}

/// The strings that are an attribute's value.
pub(crate) fn list(seen: &Seen, name: &str) -> Vec<String> {
    match seen.attribute(name) {
        Some(Value::List(list)) => list.clone(),
        _ => Vec::new(),
    }
}

/// The string that is an attribute's value.
pub(crate) fn text<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    match seen.attribute(name) {
        Some(Value::Str(text)) => Some(text),
        _ => None,
    }
}

/// The message with its checksum behind it: the definition of CRC-32C, bit by bit.
pub(crate) fn with_checksum(request_id: u32, sections: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = msg(request_id, 0, CHECKSUM_PRESENT, &[sections.concat(), vec![0; 4]]);
    let end = bytes.len() - 4;
    let mut crc = u32::MAX;
    for byte in &bytes[..end] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    bytes[end..].copy_from_slice(&(!crc).to_le_bytes());
    bytes
}
