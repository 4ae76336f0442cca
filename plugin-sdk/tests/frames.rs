//! The `Frames` level, driven by the miniature host: a made-up protocol of frames `magic, type, length (u16, of all)`,
//! of which types 2 and 3 emit more than an answer holds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use protap_plugin::prelude::*;
use protap_plugin::testing::{Completeness, Replay, Seen, Value, probe, probe_heads};

#[derive(Default)]
struct Framed;

attributes! {
    SCHEMA;
    SIZE: i64 = "size",
    NAMES: list = "names",
    OTHER: str = "other",
}

const HEADER: usize = 4;

impl Frames for Framed {
    const MANIFEST: Manifest =
        Manifest::new("framed", "0.1.0").transports(&[Transport::Tcp, Transport::Udp]).attributes(SCHEMA).window(1024);
    type Flow = ();

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        let magic = if direction == Direction::ToServer { b'Q' } else { b'R' };
        match bytes {
            [first, ..] if *first != magic => Frame::Invalid("no magic"),
            [_, 9, ..] => Frame::Need(2000),
            [_, kind, ..] if *kind > 9 => Frame::Invalid("no such type"),
            [_, _, a, b, ..] => Frame::Len(u64::from(u16::from_be_bytes([*a, *b]))),
            _ => Frame::Need(HEADER),
        }
    }

    fn decode(&self, _flow: &mut (), frame: &FrameBytes<'_>, output: &mut Output) {
        let kind = frame.bytes.get(1).copied().unwrap_or_default();
        match (frame.direction, kind) {
            (_, 2) => (0..100).for_each(|_| output.one_way("EVENT").emit()),
            (_, 3) => {
                let names = (0..300).map(|n| n.to_string());
                let request = output.request("MANY").list(NAMES, names);
                (0..300).fold(request, |request, n: i64| request.i64(SIZE, n)).emit();
            }
            (_, 4) => output.request("LONG").str(OTHER, [b'x'; 70_000]).emit(),
            (Direction::ToServer, _) => whole_or_partial(output.request("ASK").i64(SIZE, frame.len as i64), frame),
            (Direction::ToClient, _) => whole_or_partial(output.response(Status::Ok), frame),
        }
    }
}

export!(Framed as Frames);

fn whole_or_partial(message: MessageWriter<'_>, frame: &FrameBytes<'_>) {
    if frame.is_whole() { message.emit() } else { message.partial("cut").emit() }
}

fn frame(magic: u8, kind: u8, len: u16) -> Vec<u8> {
    let mut frame = vec![b'.'; usize::from(len)];
    frame[..HEADER].copy_from_slice(&[magic, kind, len.to_be_bytes()[0], len.to_be_bytes()[1]]);
    frame
}

fn spans(messages: &[Seen]) -> Vec<(u64, u64, Completeness)> {
    messages.iter().map(|seen| (seen.start, seen.end, seen.completeness)).collect()
}

const FULL: Completeness = Completeness::Full;
const PARTIAL: Completeness = Completeness::Partial;

#[test]
fn cutting_changes_nothing() {
    let ask = [frame(b'Q', 1, 10), frame(b'Q', 1, 3000), frame(b'Q', 1, 1024), frame(b'Q', 1, 4)].concat();
    let replay = Replay::new::<Plugin>().to_server(ask).to_client(frame(b'R', 1, 5));
    let report = replay.split_sweep();
    assert_eq!(
        spans(&report.messages),
        [(0, 10, FULL), (10, 3010, PARTIAL), (3010, 4034, FULL), (4034, 4038, FULL), (0, 5, FULL)]
    );
    assert_eq!(report.messages[1].attribute("size"), Some(&Value::I64(3000)));
    assert_eq!((report.unanswered, report.unread), (3, [0, 0]));
    replay.truncation_sweep();
}

#[test]
fn a_gap_in_a_frames_tail_is_bridged() {
    let ask = frame(b'Q', 1, 100);
    let replay = Replay::new::<Plugin>().to_server(&ask[..20]).gap(Direction::ToServer, 50).to_server(&ask[70..]);
    let report = replay.to_server(frame(b'Q', 1, 8)).run();
    assert_eq!(spans(&report.messages), [(0, 100, PARTIAL), (100, 108, FULL)]);
    assert_eq!(report.losses, []);
}

#[test]
fn a_gap_in_skipped_bytes_goes_unnoticed() {
    let ask = frame(b'Q', 1, 5000);
    let replay = Replay::new::<Plugin>().to_server(&ask[..1500]).gap(Direction::ToServer, 3500);
    let report = replay.to_server(frame(b'Q', 1, 8)).run();
    assert_eq!(spans(&report.messages), [(0, 5000, PARTIAL), (5000, 5008, FULL)]);
    assert_eq!(report.losses, []);
}

#[test]
fn a_gap_over_a_frames_end_is_a_loss_and_the_next_chained_frame_is_found() {
    let replay = Replay::new::<Plugin>().to_server(&frame(b'Q', 1, 100)[..50]).gap(Direction::ToServer, 60);
    let report = replay.to_server([b"..Q..".to_vec(), frame(b'Q', 1, 8), frame(b'Q', 1, 8)].concat()).run();
    assert_eq!(spans(&report.messages), [(0, 100, PARTIAL), (115, 123, FULL), (123, 131, FULL)]);
    assert_eq!((report.losses.len(), report.losses[0].offset), (1, 110));
}

#[test]
fn a_gap_in_a_header_is_a_loss() {
    let replay = Replay::new::<Plugin>().to_server(b"Q").gap(Direction::ToServer, 7).to_server(frame(b'Q', 1, 8));
    let report = replay.to_client(frame(b'R', 1, 8)).to_server(frame(b'Q', 1, 9)).run();
    // The frame right behind the gap stands alone: a candidate, which the one at the turn-around follows.
    assert_eq!(spans(&report.messages), [(0, 8, FULL), (16, 25, FULL)]);
}

#[test]
fn the_middle_of_a_stream_begins_with_a_search() {
    let stream = [b"....".to_vec(), frame(b'Q', 1, 8), frame(b'Q', 1, 8)].concat();
    let report = Replay::new::<Plugin>().mid_stream().to_server(stream).to_client(frame(b'R', 1, 8)).run();
    // At the turn-around a single frame is believed. What it answers is not known yet.
    assert_eq!(spans(&report.messages), [(4, 12, FULL), (12, 20, FULL), (0, 8, FULL)]);
    assert_eq!((report.messages[2].answers.as_deref(), report.unanswered), (None, 0));
}

#[test]
fn lies_about_lengths_end_in_a_resync_and_not_in_a_loop() {
    let good = || [frame(b'Q', 1, 8), frame(b'Q', 1, 8)].concat();
    for lie in [vec![b'Q', 1, 0, 0], vec![b'Q', 9, 0, 9], b"garbage".to_vec()] {
        let at = lie.len() as u64;
        let mut stream = lie;
        // A header that claims to be longer than the window waits for a window to come.
        stream.extend(good());
        stream.extend(std::iter::repeat_n(b'.', 2000));
        let report = Replay::new::<Plugin>().to_server(stream).run();
        assert_eq!(spans(&report.messages), [(at, at + 8, FULL), (at + 8, at + 16, FULL)]);
        assert_eq!(report.losses.len(), 2);
    }
}

#[test]
fn more_frames_than_an_answer_holds_all_come() {
    let report = Replay::new::<Plugin>().to_server(frame(b'Q', 1, 4).repeat(1000)).run();
    assert_eq!(report.messages.len(), 1000);
    assert!(report.messages.iter().all(|seen| seen.completeness == FULL));
}

#[test]
fn more_messages_than_an_answer_holds_are_admitted() {
    let report = Replay::new::<Plugin>().to_server(frame(b'Q', 2, 4)).run();
    assert_eq!(report.messages.len(), 64);
    let last = report.messages.last().unwrap();
    assert_eq!((last.completeness, last.reason.as_str()), (PARTIAL, "the answer was full, others were left out"));
    assert_eq!(report.log.len(), 1);
}

#[test]
fn lists_attributes_and_strings_over_their_limits_make_a_message_partial() {
    for kind in [3, 4] {
        // Three hundred times the same attribute is a breach that the test host would see: keep the first.
        let result = Replay::new::<Plugin>().to_server(frame(b'Q', kind, 4)).try_run();
        match (kind, result) {
            (3, Err(violation)) => assert_eq!(violation.what, "attribute size is given twice"),
            (4, Ok(report)) => {
                let seen = &report.messages[0];
                assert_eq!((seen.completeness, seen.reason.as_str()), (PARTIAL, "no room in the answer"));
            }
            (_, other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn datagrams_are_whole_frames_or_cut_ones() {
    let replay = Replay::new::<Plugin>().datagram(Direction::ToServer, frame(b'Q', 1, 40));
    let replay = replay.datagram(Direction::ToServer, &frame(b'Q', 1, 40)[..30]).datagram(Direction::ToServer, b"Q");
    let replay = replay.datagram(Direction::ToServer, frame(b'Q', 1, 3000));
    let report = replay.datagram(Direction::ToClient, [frame(b'R', 1, 9), frame(b'R', 1, 8)].concat()).run();
    let sizes: Vec<_> = report.messages.iter().map(|seen| (seen.end - seen.start, seen.completeness)).collect();
    assert_eq!(sizes, [(40, FULL), (40, PARTIAL), (3000, PARTIAL), (9, FULL), (8, FULL)]);
    assert_eq!(report.losses, []);
}

#[test]
fn a_datagram_that_makes_no_sense_costs_nothing_but_itself() {
    let replay = Replay::new::<Plugin>().datagram(Direction::ToServer, b"junk");
    let report = replay.datagram(Direction::ToServer, frame(b'Q', 1, 9)).run();
    assert_eq!((report.messages.len(), report.losses.len()), (1, 1));
}

#[test]
fn probing_tells_the_client_by_its_frames() {
    let (ask, reply) = (frame(b'Q', 1, 9), frame(b'R', 1, 9));
    assert_eq!(probe::<Plugin>(&ask, b""), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(&reply, b""), Verdict::Likely(Client::B));
    assert_eq!(probe::<Plugin>(&reply, &ask), Verdict::Likely(Client::B));
    assert_eq!(probe::<Plugin>(&ask, &ask), Verdict::No);
    assert_eq!(probe::<Plugin>(b"", b""), Verdict::More(1));
    assert_eq!(probe::<Plugin>(b"Q", b""), Verdict::More(1));
}

#[test]
fn probing_in_the_middle_of_a_stream_takes_chained_frames() {
    let middle = [b"......".to_vec(), frame(b'Q', 1, 9), frame(b'Q', 1, 9)].concat();
    let heads = Heads {
        a: b"",
        b: &middle,
        a_port: 1,
        b_port: 2,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: false,
        b_is_mid_stream: true,
        is_complete: false,
    };
    assert_eq!(probe_heads::<Plugin>(&heads), Verdict::Likely(Client::B));
    assert_eq!(probe_heads::<Plugin>(&Heads { b_is_mid_stream: false, ..heads }), Verdict::No);
}
