//! The toy protocol of the guests for DeepFlow's ABI (`tests/guests/deepflow`), by our own contract: `Q 7 GET item/1` asks,
//! `A 7 200 done` answers, each with a line feed at its end. Its records must be those of the guests.

#![forbid(unsafe_code)]

use protap_plugin::prelude::*;

/// Longest line.
const MAX_LINE: usize = 1024;

/// The plugin.
#[derive(Debug, Default)]
pub struct Toy;

/// A line's words: kind, id, and two more.
fn words(line: &[u8]) -> Option<(&str, u64, &str, &str)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.splitn(4, ' ');
    Some((words.next()?, words.next()?.parse().ok()?, words.next()?, words.next()?))
}

impl Frames for Toy {
    const MANIFEST: Manifest = Manifest::new("toy", env!("CARGO_PKG_VERSION"));
    type Flow = ();

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        let kind = if direction == Direction::ToServer { b"Q " } else { b"A " };
        if !bytes.starts_with(kind.get(..bytes.len()).unwrap_or(kind)) {
            return Frame::Invalid("neither a question nor an answer");
        }
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => Frame::Len(end as u64 + 1),
            None if bytes.len() >= MAX_LINE => Frame::Invalid("no line"),
            None => Frame::Need(bytes.len() + 1),
        }
    }

    fn decode(&self, _flow: &mut (), frame: &FrameBytes<'_>, output: &mut Output) {
        let Some((_, id, third, fourth)) = words(frame.bytes) else { return };
        let message = match frame.direction {
            Direction::ToServer => output.request(third).resource(fourth).endpoint(fourth),
            Direction::ToClient => {
                let Ok(code) = third.parse::<i64>() else { return };
                let status = match code {
                    0..400 => Status::Ok,
                    400..500 => Status::ClientError,
                    _ => Status::ServerError,
                };
                output.response(status).code(code).result(fourth)
            }
        };
        message.id(id).emit();
    }

    fn frame_id(&self, _direction: Direction, bytes: &[u8]) -> Option<u64> {
        words(bytes).map(|(_, id, ..)| id)
    }
}

export!(Toy as Frames);
