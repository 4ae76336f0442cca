//! Frames by hand, and replays of them.

use protap_plugin::testing::{Completeness, Replay, Seen};

/// A frame: its size, then the parts.
pub(crate) fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

pub(crate) fn request(key: i16, version: i16, id: u32, body: &[u8]) -> Vec<u8> {
    let [key, version] = [key, version].map(i16::to_be_bytes);
    frame(&[&key, &version, &id.to_be_bytes(), b"\0\x02me", body])
}

pub(crate) fn response(id: u32, body: &[u8]) -> Vec<u8> {
    frame(&[&id.to_be_bytes(), body])
}

pub(crate) fn replay() -> Replay {
    Replay::new::<kafka::Plugin>()
}

/// The messages of a conversation, and that none of them depends on how the bytes were cut or end.
pub(crate) fn swept(replay: &Replay) -> Vec<Seen> {
    let report = replay.split_sweep();
    replay.truncation_sweep();
    assert_eq!(report.losses, []);
    report.messages
}

pub(crate) fn state(seen: &Seen) -> (&str, Completeness, &str) {
    (seen.type_name.as_str(), seen.completeness, seen.reason.as_str())
}
