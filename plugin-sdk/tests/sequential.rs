//! The `Sequential` level, driven by the miniature host: a made-up protocol of messages `M, operation, length (u32, of
//! all; 0 where the end is not known)` and what the operation says.

#![allow(missing_docs, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::rc::Rc;

use protap_plugin::prelude::*;
use protap_plugin::read_head;
use protap_plugin::testing::{Completeness, Ending, Replay, Seen, Value};

attributes! {
    SCHEMA;
    AFTER: i64 = "after",
    LEN: i64 = "len",
}

#[derive(Default)]
struct Spoken;

impl Sequential for Spoken {
    const MANIFEST: Manifest =
        Manifest::new("spoken", "0.1.0").transports(&[Transport::Tcp, Transport::Udp]).attributes(SCHEMA).window(256);
    type Flow = ();

    fn probe(&self, _heads: &Heads<'_>) -> Verdict {
        Verdict::No
    }

    async fn message(_plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        let [magic, op] = stream.array().await?;
        if magic != b'M' {
            return Err(Stop::Malformed("no magic"));
        }
        match stream.u32_be().await? {
            0 => {}
            len => stream.begin_frame(u64::from(len))?,
        }
        match op {
            b't' => {
                let len = stream.u16_be().await?;
                let text = stream.text(u64::from(len)).await?;
                let after = stream.u8().await?;
                said(&stream, text, after);
            }
            b'f' => {
                let (len, after) = stream.read(fields).await?;
                stream.emit(|output, _| output.one_way("SAID").i64(AFTER, after).i64(LEN, len).emit());
            }
            b'c' => {
                let text = stream.c_str(20).await?;
                said(&stream, text, 0);
            }
            b's' => {
                let len = stream.u32_be().await?;
                stream.skip(u64::from(len)).await?;
                let after = stream.u8().await?;
                said(&stream, Text::default(), after);
            }
            b'e' => {
                let len = stream.u32_be().await?;
                stream.skip(u64::from(len)).await?;
                said(&stream, Text::default(), 9);
            }
            b'p' => partial_if_lost(&stream).await?,
            b'w' => stream.available(300).await?,
            b'k' => {
                let texts: Vec<_> = (0..10).map(|_| stream.keep(&[b'k'; 4000])).collect();
                said(&stream, texts[0], 0);
            }
            b'q' => drop(stream.emit(|output, _| output.request("ASK").context(b"ctx").emit())),
            b'r' => {
                let context = stream.pending_front();
                let exception = if context.is_some_and(|context| &*context == b"ctx") { "known" } else { "unknown" };
                stream.emit(|output, _| output.response(Status::Ok).exception(exception).emit());
            }
            b'm' => {
                for _ in 0..200 {
                    stream.room().await;
                    stream.emit(|output, _| output.one_way("EVENT").emit());
                }
            }
            b'n' => {
                let (name, end) = stream.nested(b"nested\0", 8, |nested| (nested.c_str_now(20), nested.u8_now()));
                let name = name?;
                said(&stream, name, u8::from(end == Err(Stop::Lost)));
            }
            b'o' => return Err(Stop::Opaque("sealed")),
            b'h' => return Err(Stop::Handover(stream.offset(), "starttls")),
            b'j' => return Err(Stop::Reject("not mine")),
            b'l' => return Err(Stop::Lost),
            _ => return Err(Stop::Malformed("no such operation")),
        }
        Ok(())
    }

    fn frame(&self, _direction: Direction, bytes: &[u8]) -> Frame {
        match bytes {
            [b'M', op, a, b, c, d, ..] if op.is_ascii_lowercase() => {
                Frame::Len(u64::from(u32::from_be_bytes([*a, *b, *c, *d])))
            }
            [b'M', ..] if bytes.len() < 6 => Frame::Need(6),
            _ => Frame::Invalid("no message"),
        }
    }
}

export!(Spoken as Sequential);

/// A length, so many bytes, and one more that is not 0.
fn fields(reader: &mut Reader<'_>) -> Result<(u16, u8), ReadError> {
    let len = reader.u16_be()?;
    reader.skip(usize::from(len))?;
    match reader.u8()? {
        0 => Err(reader.malformed("no byte after")),
        after => Ok((len, after)),
    }
}

fn said(stream: &Stream, text: Text, after: u8) {
    stream.emit(|output, texts| {
        let said = output.one_way("SAID").resource(texts.get(text)).i64(AFTER, after);
        said.i64(LEN, texts.get(text).len() as i64).emit();
    });
}

/// Emits what it has when its bytes are lost.
async fn partial_if_lost(stream: &Stream) -> Result<(), Stop> {
    let read = stream.array::<100>().await;
    stream.emit(|output, _| match read {
        Ok(_) => output.one_way("WHOLE").emit(),
        Err(_) => output.one_way("WHOLE").partial("bytes lost").emit(),
    });
    read.map(drop)
}

fn message(op: u8, body: &[u8]) -> Vec<u8> {
    let mut message = unframed(op, body);
    let len = message.len() as u32;
    message[2..6].copy_from_slice(&len.to_be_bytes());
    message
}

fn unframed(op: u8, body: &[u8]) -> Vec<u8> {
    [&[b'M', op, 0, 0, 0, 0], body].concat()
}

fn text(len: u16) -> Vec<u8> {
    [&len.to_be_bytes()[..], &vec![b'x'; usize::from(len)], &[7]].concat()
}

fn skip(len: u32) -> Vec<u8> {
    [&len.to_be_bytes()[..], &vec![b'x'; len as usize], &[8]].concat()
}

fn attributes(messages: &[Seen], name: &str) -> Vec<i64> {
    let value = |seen: &Seen| match seen.attribute(name) {
        Some(Value::I64(value)) => *value,
        other => panic!("{other:?}"),
    };
    messages.iter().map(value).collect()
}

fn to_server(bytes: Vec<u8>) -> Replay {
    Replay::new::<Plugin>().to_server(bytes)
}

#[test]
fn cutting_changes_nothing() {
    let stream = [
        message(b't', &text(10)),
        unframed(b't', &text(300)),
        message(b's', &skip(1000)),
        unframed(b's', &skip(3)),
        message(b'c', b"name\0and the rest is passed over"),
        unframed(b'c', b"twenty bytes long...\0"),
        message(b'f', &text(20)),
        unframed(b'f', &text(0)),
        message(b'p', &[0; 150]),
    ];
    let replay = to_server(stream.concat());
    let report = replay.split_sweep();
    let [said @ .., whole] = &report.messages[..] else { panic!() };
    assert_eq!(attributes(said, "after"), [7, 7, 8, 8, 0, 0, 7, 7]);
    assert_eq!(attributes(said, "len"), [10, 300, 0, 0, 4, 20, 20, 0]);
    assert_eq!((whole.start, whole.end), (report.messages[7].end, stream.concat().len() as u64));
    replay.truncation_sweep();
}

#[test]
fn fields_that_are_wrong_or_longer_than_frame_or_window_are_malformed_however_they_are_cut() {
    let wrong = [&[0, 2, b'x', b'x', 0][..], b"behind it"].concat();
    for stream in [unframed(b'f', &wrong), message(b'f', &[0, 9, 0]), unframed(b'f', &text(300))] {
        let report = to_server(stream).end(Direction::ToServer).split_sweep();
        assert_eq!(report.messages, []);
    }
}

#[test]
fn a_text_is_kept_up_to_a_limit_whatever_the_window() {
    let report = to_server([unframed(b't', &text(60_000)), unframed(b't', &text(1))].concat()).run();
    assert_eq!(attributes(&report.messages, "len"), [4096, 1]);
}

#[test]
fn texts_beyond_what_is_kept_make_a_message_partial() {
    let report = to_server([message(b'k', b""), message(b'c', b"x\0")].concat()).run();
    let completeness: Vec<_> = report.messages.iter().map(|seen| seen.completeness).collect();
    assert_eq!(completeness, [Completeness::Partial, Completeness::Full]);
}

#[test]
fn a_string_without_an_end_is_malformed_however_it_is_cut() {
    for stream in [unframed(b'c', b"twenty-one bytes long\0"), unframed(b'c', &[b'x'; 300]), message(b'c', b"no end")] {
        let report = to_server(stream).end(Direction::ToServer).split_sweep();
        assert_eq!(report.messages, []);
    }
}

#[test]
fn a_gap_inside_skipped_bytes_goes_unnoticed() {
    for (before, gap) in [(100, 500), (300, 710), (20, 989)] {
        let stream = [message(b's', &skip(1000)), message(b'c', b"x\0")].concat();
        let (head, tail) = (&stream[..before], &stream[before + gap..]);
        let replay = Replay::new::<Plugin>().to_server(head).gap(Direction::ToServer, gap as u64).to_server(tail);
        let report = replay.run();
        assert_eq!((attributes(&report.messages, "after"), report.losses), (vec![8, 0], vec![]), "{before} {gap}");
    }
}

#[test]
fn a_gap_at_the_end_of_skipped_bytes_makes_nothing_wait_for_the_next_message() {
    let all_skipped = message(b'e', &[&[0, 0, 0x3, 0xe8][..], &[1; 1000]].concat());
    let read_behind = message(b's', &skip(1000));
    let next = message(b'c', b"x\0");
    for gap in [1, 500, 1000] {
        let seen = &all_skipped[..all_skipped.len() - gap];
        let replay = Replay::new::<Plugin>().to_server(seen).gap(Direction::ToServer, gap as u64);
        let report = replay.run();
        assert_eq!((attributes(&report.messages, "after"), report.losses), (vec![9], vec![]), "{gap}");
        assert_eq!((report.messages[0].start, report.messages[0].end), (0, 1010));
        let report = replay.to_server(&next).run();
        assert_eq!((attributes(&report.messages, "after"), report.losses), (vec![9, 0], vec![]), "{gap}");
        assert_eq!((report.messages[1].start, report.messages[1].end), (1010, 1010 + next.len() as u64));

        let (seen, rest) = (&read_behind[..read_behind.len() - 1 - gap], &read_behind[read_behind.len() - 1..]);
        let replay = Replay::new::<Plugin>().to_server(seen).gap(Direction::ToServer, gap as u64);
        let report = replay.to_server(rest).to_server(&next).run();
        assert_eq!((attributes(&report.messages, "after"), report.losses), (vec![8, 0], vec![]), "{gap}");
    }
}

#[test]
fn a_gap_inside_read_bytes_is_bridged_to_the_frames_end() {
    let stream = [message(b't', &text(200)), message(b'c', b"x\0")].concat();
    for (before, gap) in [(8, 20), (8, 201), (100, 50), (6, 203)] {
        let (head, tail) = (&stream[..before], &stream[before + gap..]);
        let replay = Replay::new::<Plugin>().to_server(head).gap(Direction::ToServer, gap as u64).to_server(tail);
        let report = replay.run();
        assert_eq!((attributes(&report.messages, "after"), report.losses), (vec![0], vec![]), "{before} {gap}");
    }
}

#[test]
fn a_message_may_say_what_it_has_when_its_bytes_are_lost() {
    let stream = [message(b'p', &[0; 150]), message(b'c', b"x\0")].concat();
    let replay = Replay::new::<Plugin>().to_server(&stream[..50]).gap(Direction::ToServer, 20).to_server(&stream[70..]);
    let report = replay.run();
    let seen = &report.messages[0];
    assert_eq!((seen.start, seen.end, seen.reason.as_str()), (0, 156, "bytes lost"));
    assert_eq!((report.messages.len(), report.losses.len()), (2, 0));
    let ended = Replay::new::<Plugin>().to_server(&stream[..50]).end(Direction::ToServer).run();
    assert_eq!((ended.messages.len(), ended.messages[0].completeness), (1, Completeness::Partial));
}

#[test]
fn a_gap_over_the_frames_end_or_in_an_unframed_message_is_a_loss() {
    let after = || message(b'c', b"x\0").repeat(2);
    let framed = Replay::new::<Plugin>().to_server(&message(b't', &text(50))[..20]).gap(Direction::ToServer, 60);
    let unframed = Replay::new::<Plugin>().to_server(&unframed(b't', &text(50))[..20]).gap(Direction::ToServer, 20);
    for replay in [framed, unframed] {
        let report = replay.to_server(after()).run();
        assert_eq!((attributes(&report.messages, "after"), report.losses.len()), (vec![0, 0], 1));
    }
}

#[test]
fn a_field_beyond_its_frame_or_longer_than_a_window_is_malformed() {
    let mut lie = message(b't', &text(10));
    lie[5] = 12;
    let short = vec![b'M', b'c', 0, 0, 0, 3];
    for stream in [lie, short, message(b'w', &[0; 400]), message(b'l', b"")] {
        let good = message(b'c', b"x\0").repeat(2);
        let report = to_server([stream, good].concat()).run();
        assert_eq!((attributes(&report.messages, "after"), report.losses.len()), (vec![0, 0], 1));
    }
}

#[test]
fn more_messages_than_an_answer_holds_all_come() {
    let report = to_server(unframed(b'q', b"").repeat(500)).run();
    assert_eq!((report.messages.len(), report.unanswered), (500, 500));
}

#[test]
fn a_message_that_waits_for_room_goes_on_without_more_bytes() {
    let replay = to_server([unframed(b'm', b""), message(b'm', b"."), unframed(b'm', b"")].concat());
    let report = replay.run();
    assert_eq!((report.messages.len(), report.log.len()), (600, 0));
    assert_eq!(replay.split_sweep().messages.len(), 600);
    let datagrams = Replay::new::<Plugin>().datagram(Direction::ToServer, unframed(b'm', b""));
    assert_eq!(datagrams.datagram(Direction::ToServer, unframed(b'q', b"")).run().messages.len(), 201);
    let lost = to_server(unframed(b'm', b"")).gap(Direction::ToServer, 5).to_server(message(b'm', b"").repeat(2));
    assert_eq!(lost.run().messages.len(), 600);
}

#[test]
fn a_skip_ends_with_its_last_byte() {
    let stream = [&1000_u32.to_be_bytes()[..], &[b'x'; 1000]].concat();
    let report = to_server(unframed(b'e', &stream)).split_sweep();
    assert_eq!((attributes(&report.messages, "after"), report.messages[0].end), (vec![9], 1010));
}

#[test]
fn a_nested_stream_is_read_like_any_other() {
    let report = to_server(unframed(b'n', b"")).run();
    assert_eq!((report.messages[0].resource.as_str(), attributes(&report.messages, "after")), ("nested", vec![1]));
}

#[test]
fn in_order_responses_find_their_requests_even_in_one_window() {
    let replay = to_server(unframed(b'q', b"").repeat(3)).to_client(unframed(b'r', b"").repeat(4));
    let report = replay.split_sweep();
    let known: Vec<_> = report.messages[3..].iter().map(|seen| seen.exception.as_str()).collect();
    assert_eq!(known, ["known", "known", "known", "unknown"]);
}

#[test]
fn a_datagram_is_read_for_itself() {
    let replay = Replay::new::<Plugin>().datagram(Direction::ToServer, unframed(b'q', b"").repeat(3));
    let replay = replay.datagram(Direction::ToServer, &message(b's', &skip(900))[..500]);
    let report = replay.datagram(Direction::ToServer, b"M").datagram(Direction::ToServer, unframed(b'q', b"")).run();
    assert_eq!((report.messages.len(), report.losses.len()), (4, 0));
}

#[test]
fn a_message_may_end_the_flow() {
    let ending = |op| to_server(unframed(op, b"")).to_server(unframed(b'q', b"")).run();
    assert_eq!(ending(b'o').ending, Ending::Opaque("sealed".to_owned()));
    assert_eq!(ending(b'h').ending, Ending::Handover(6, "starttls".to_owned()));
    assert_eq!(ending(b'j').ending, Ending::Rejected("not mine".to_owned()));
    assert_eq!(ending(b'j').messages, []);
}

#[test]
fn a_head_is_read_as_far_as_it_goes() {
    let read = |bytes: &[u8]| {
        let mut first = None;
        let code = async |stream: Stream| {
            stream.begin_frame(8)?;
            first = Some(stream.u16_be().await?);
            stream.skip(4).await?;
            stream.u16_be().await
        };
        let (done, stream) = read_head(Direction::ToServer, bytes, code);
        (first, done, stream.offset())
    };
    assert_eq!(read(&[0, 1, 9, 9, 9, 9, 0, 2]), (Some(1), Some(Ok(2)), 8));
    assert_eq!(read(&[0, 1, 9]), (Some(1), None, 3));
    assert_eq!(read(&[0]), (None, None, 0));
}

/// Numbers its messages, and begins anew where bytes were lost: `N`, and nothing else.
#[derive(Default)]
struct Counting;

impl Sequential for Counting {
    const MANIFEST: Manifest = Manifest::new("counting", "0.1.0").attributes(SCHEMA);
    type Flow = std::cell::Cell<i64>;

    fn probe(&self, _heads: &Heads<'_>) -> Verdict {
        Verdict::No
    }

    async fn message(_plugin: Rc<Self>, flow: Rc<Self::Flow>, stream: Stream) -> Result<(), Stop> {
        if stream.u8().await? != b'N' {
            return Err(Stop::Malformed("no N"));
        }
        flow.set(flow.get() + 1);
        stream.emit(|output, _| output.one_way("N").i64(AFTER, flow.get()).emit());
        Ok(())
    }

    fn frame(&self, _direction: Direction, _bytes: &[u8]) -> Frame {
        Frame::Invalid("found by the resync below")
    }

    fn resync(&self, flow: &Self::Flow, input: &Input<'_>) -> Resync {
        flow.set(100);
        match input.bytes.iter().position(|byte| *byte == b'N') {
            Some(at) => Resync::Found(at),
            None => Resync::Need { consumed: input.bytes.len(), amount: 1 },
        }
    }
}

#[test]
fn a_plugins_own_resync_finds_the_frame_and_tells_the_flow_of_the_loss() {
    mod counting {
        protap_plugin::export!(super::Counting as Sequential);
    }
    let replay = Replay::new::<counting::Plugin>();
    let lost = replay.clone().to_server("NN").gap(Direction::ToServer, 5).to_server("xxNN").to_server("N");
    assert_eq!(attributes(&lost.run().messages, "after"), [1, 2, 101, 102, 103]);
    assert_eq!(attributes(&replay.mid_stream().to_server("xN").run().messages, "after"), [101]);
}
