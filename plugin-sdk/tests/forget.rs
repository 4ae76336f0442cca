//! What a plugin has learnt from a stream may be out of date once bytes of it were lost: it is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use protap_plugin::prelude::*;
use protap_plugin::testing::Replay;

/// Frames of two bytes: `=` and a name that the later ones `.` go by, each direction its own.
#[derive(Default)]
struct Names;

impl Frames for Names {
    const MANIFEST: Manifest = Manifest::new("names", "0.1.0");
    type Flow = [Option<u8>; 2];

    fn frame(&self, _direction: Direction, bytes: &[u8]) -> Frame {
        match bytes {
            [b'=' | b'.', ..] => Frame::Len(2),
            [] => Frame::Need(1),
            _ => Frame::Invalid("neither"),
        }
    }

    fn decode(&self, flow: &mut Self::Flow, frame: &FrameBytes<'_>, output: &mut Output) {
        let name = &mut flow[usize::from(frame.direction == Direction::ToClient)];
        if let [b'=', new] = frame.bytes {
            *name = Some(*new);
        }
        let message = output.one_way("EVENT");
        if let Some(name) = name { message.resource([*name]).emit() } else { message.partial("not seen").emit() }
    }

    fn forget(&self, flow: &mut Self::Flow, direction: Direction) {
        flow[usize::from(direction == Direction::ToClient)] = None;
    }
}

export!(Names as Frames);

#[test]
fn a_loss_makes_a_plugin_forget_what_that_direction_said() {
    let replay = Replay::new::<Plugin>().to_server("=a..").to_client("=b..").gap(Direction::ToServer, 2);
    let report = replay.to_server("......").to_client("..").run();
    let names: Vec<_> =
        report.messages.iter().map(|seen| (seen.direction == Direction::ToClient, seen.resource.as_str())).collect();
    let (ask, reply) = (false, true);
    assert_eq!(names[..4], [(ask, "a"), (ask, "a"), (reply, "b"), (reply, "b")]);
    assert_eq!(names[4..], [(ask, ""), (ask, ""), (ask, ""), (reply, "b")]);
}
