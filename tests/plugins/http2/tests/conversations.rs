//! Conversations put together by the standard's tables, cut and truncated in every way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use http2::Plugin;
use protap_plugin::prelude::*;
use protap_plugin::testing::{Completeness, Part, Random, Replay, Seen, probe, probe_heads};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ALL: u8 = END_STREAM | END_HEADERS;

fn replay() -> Replay {
    Replay::new::<Plugin>()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(1, flags, stream, block)
}

fn data(flags: u8, stream: u32, len: usize) -> Vec<u8> {
    frame(0, flags, stream, &vec![b'd'; len])
}

/// A literal with a name of the static table; `first` says which, and whether it is added to the table.
fn literal(first: u8, value: &str) -> Vec<u8> {
    [&[first, value.len() as u8], value.as_bytes()].concat()
}

fn named(first: u8, name: &str, value: &str) -> Vec<u8> {
    [&[first, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// GET or POST by its index, scheme, path and authority, both added to the table.
fn ask(method: u8, path: &str) -> Vec<u8> {
    [vec![method, 0x86], literal(0x44, path), literal(0x41, "a.example")].concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// Streams that are interleaved: 3 and 5 begin while 1 still sends, and are answered before it.
fn interleaved() -> Replay {
    replay()
        .to_server([PREFACE.to_vec(), settings(), headers(END_HEADERS, 1, &ask(POST, "/up?user=secret"))].concat())
        .to_client([settings(), frame(4, 1, 0, b"")].concat())
        .to_server([data(0, 1, 700), headers(ALL, 3, &ask(GET, "/three"))].concat())
        // Both fields from the table: the newest is the authority, the one before it the path.
        .to_server([headers(ALL, 5, &[GET, 0x86, 0xbf, 0xbe]), data(0, 1, 300)].concat())
        .to_client([headers(END_HEADERS, 5, &[0x88]), headers(ALL, 3, &[0x8d]), data(0, 5, 50)].concat())
        .to_server([frame(8, 0, 0, &[0, 0, 1, 0]), frame(6, 0, 0, b"12345678"), data(END_STREAM, 1, 0)].concat())
        .to_client([data(END_STREAM, 5, 150), headers(ALL, 1, &literal(0x48, "503"))].concat())
}

type Line<'a> = (Kind, u64, Part, &'a str, Option<&'a str>);

fn parts(messages: &[Seen], direction: Direction) -> Vec<Line<'_>> {
    let of = messages.iter().filter(|seen| seen.direction == direction);
    of.map(|m| (m.kind, m.id.unwrap_or(0), m.part, m.resource.as_str(), m.answers.as_deref())).collect()
}

#[test]
fn interleaved_streams_are_kept_apart() {
    let report = interleaved().split_sweep();
    use Kind::{Request, Response};
    assert_eq!(
        parts(&report.messages, UP),
        [
            (Request, 1, Part::Begin(1), "/up", None),
            (Request, 1, Part::Amend(1), "", None),
            (Request, 3, Part::Whole, "/three", None),
            (Request, 5, Part::Whole, "/three", None),
            (Request, 1, Part::Amend(1), "", None),
            (Request, 1, Part::Finish(1), "", None),
        ]
    );
    assert_eq!(
        parts(&report.messages, DOWN),
        [
            (Response, 5, Part::Begin(5), "", None),
            (Response, 3, Part::Whole, "", Some("GET")),
            (Response, 5, Part::Amend(5), "", None),
            (Response, 5, Part::Finish(5), "", Some("GET")),
            (Response, 1, Part::Whole, "", Some("POST")),
        ]
    );
    let codes: Vec<_> = report.messages.iter().filter(|m| m.kind == Response).map(|m| (m.code, m.status)).collect();
    assert_eq!(codes[1], (Some(404), Status::ClientError));
    assert_eq!(codes[3..], [(Some(200), Status::Ok), (Some(503), Status::ServerError)]);
    let sizes: Vec<_> = ["http.request.body.size", "http.response.body.size"]
        .map(|name| report.messages.iter().filter_map(|m| m.attribute(name).cloned()).collect::<Vec<_>>())
        .into();
    assert_eq!(sizes, [vec![1000.into()], vec![0.into(), 200.into(), 0.into()]]);
    assert_eq!((report.unanswered, report.losses.len()), (0, 0));
    assert!(report.messages.iter().all(|seen| seen.completeness == Completeness::Full));
    assert!(!format!("{report:?}").contains("secret"));
}

fn grpc() -> Replay {
    let grpc = literal(0x5f, "application/grpc");
    let request = [ask(POST, "/s.S/M"), grpc.clone()].concat();
    let ok = [vec![0x88], grpc.clone()].concat();
    replay()
        .to_server([PREFACE.to_vec(), settings(), headers(END_HEADERS, 1, &request), data(END_STREAM, 1, 9)].concat())
        .to_client([settings(), headers(END_HEADERS, 1, &ok), data(0, 1, 20)].concat())
        .to_client(headers(ALL, 1, &named(0x40, "grpc-status", "0")))
        .to_server([headers(END_HEADERS, 3, &[POST, 0xc0, 0xbf, 0xbe]), data(END_STREAM, 3, 9)].concat())
        // Trailers only, with an error.
        .to_client(headers(ALL, 3, &[vec![0x88, 0xbf], literal(0x7e, "5")].concat()))
}

#[test]
fn the_status_of_grpc_is_in_its_trailers() {
    let report = grpc().split_sweep();
    let ended: Vec<&Seen> = report.messages.iter().filter(|seen| seen.answers.is_some()).collect();
    let found: Vec<_> = ended.iter().map(|seen| (seen.status, seen.code, seen.exception.as_str())).collect();
    assert_eq!(found, [(Status::Ok, Some(0), ""), (Status::ClientError, Some(5), "NOT_FOUND")]);
    assert_eq!(ended[1].attribute("http.response.status_code"), Some(&200.into()));
    assert!(report.messages.iter().all(|seen| seen.completeness == Completeness::Full), "{report:#?}");
}

fn rare() -> Replay {
    let block = ask(GET, "/long");
    let padded = [&[3][..], &[0x80, 0, 0, 1, 16], &block, &[0; 3]].concat();
    replay()
        .to_server([PREFACE.to_vec(), settings()].concat())
        .to_server(
            [frame(1, END_STREAM, 1, &block[..4]), frame(9, 0, 1, &block[4..9]), frame(9, 4, 1, &block[9..])].concat(),
        )
        .to_client(
            [settings(), headers(END_HEADERS, 1, &literal(0x08, "103")), headers(END_HEADERS, 1, &[0x88])].concat(),
        )
        .to_client(frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &ask(GET, "/pushed")].concat()))
        .to_client([headers(END_HEADERS, 2, &[0x88]), frame(0, 9, 1, &[&[9][..], &[b'x'; 29]].concat())].concat())
        .to_client(data(END_STREAM, 2, 30))
        .to_server(frame(1, ALL | 0x28, 3, &padded))
        .to_client(frame(3, 0, 3, &[0, 0, 0, 7]))
        .to_server(headers(END_HEADERS, 5, &ask(POST, "/early")))
        .to_client([headers(ALL, 5, &literal(0x08, "413")), frame(3, 0, 5, &[0; 4])].concat())
        .to_server([headers(ALL, 7, &ask(GET, "/cancelled")), frame(3, 0, 7, &[0, 0, 0, 8])].concat())
        .to_client(frame(7, 0, 0, &[&[0, 0, 0, 7, 0, 0, 0, 11][..], b"secret"].concat()))
}

#[test]
fn what_is_rare_is_understood() {
    let report = rare().split_sweep();
    let of = |id| report.messages.iter().filter(move |seen| seen.id == Some(id));
    let last = |id| of(id).next_back().unwrap();
    assert_eq!(
        (of(1).next().unwrap().resource.as_str(), last(1).code, last(1).part),
        ("/long", Some(200), Part::Finish(1))
    );
    assert_eq!(last(1).attribute("http.response.body.size"), Some(&20.into()));
    let pushed: Vec<_> = of(2).map(|seen| (seen.kind, seen.part)).collect();
    assert_eq!(pushed, [Part::Begin(2), Part::Amend(2), Part::Finish(2)].map(|part| (Kind::OneWay, part)));
    assert_eq!((of(2).next().unwrap().resource.as_str(), last(2).status), ("/pushed", Status::Ok));
    assert_eq!((last(3).exception.as_str(), last(3).status), ("REFUSED_STREAM", Status::ServerError));
    assert_eq!((of(5).count(), last(5).answers.as_deref(), last(5).code), (2, Some("POST"), Some(413)));
    assert!(last(7).is_cancel);
    let bye = report.messages.last().unwrap();
    assert_eq!((bye.type_name.as_str(), bye.attribute("error.type")), ("GOAWAY", Some(&"ENHANCE_YOUR_CALM".into())));
    assert_eq!((report.unanswered, report.losses.len()), (0, 0));
    assert!(!format!("{report:?}").contains("secret"));
}

#[test]
fn an_answer_that_was_on_its_way_when_its_request_was_withdrawn_is_ignored() {
    let reset = |stream| frame(3, 0, stream, &[0, 0, 0, 8]);
    let report = Replay::new::<Plugin>()
        .to_server([PREFACE.to_vec(), settings(), headers(ALL, 1, &ask(GET, "/one")), reset(1)].concat())
        .to_client([settings(), headers(END_HEADERS, 1, &[0x88]), data(END_STREAM, 1, 9), reset(1)].concat())
        .split_sweep();
    assert_eq!((report.messages.len(), report.unanswered), (2, 0));
    assert!(report.messages[1].is_cancel);
}

#[test]
fn nothing_false_is_said_of_what_is_cut_or_lost() {
    interleaved().truncation_sweep();
    grpc().truncation_sweep();
    rare().truncation_sweep();
}

#[test]
fn after_a_loss_the_header_table_is_not_known() {
    let lost = headers(ALL, 3, &ask(GET, "/three"));
    let later = [
        headers(ALL, 5, &[GET, 0x86, 0xbf, 0xbe]),
        headers(ALL, 7, &ask(GET, "/seven")),
        headers(ALL, 9, &[GET, 0x86, 0xbf, 0xbe]),
        headers(ALL, 11, &[GET, 0x86, 0xc0, 0xbe]),
    ];
    let report = Replay::new::<Plugin>()
        .to_server([PREFACE.to_vec(), settings(), headers(ALL, 1, &ask(GET, "/one"))].concat())
        .gap(UP, lost.len() as u64)
        .to_server(later.concat())
        .run();
    let found: Vec<_> = report
        .messages
        .iter()
        .map(|m| (m.id.unwrap(), m.resource.as_str(), m.completeness, m.reason.as_str()))
        .collect();
    let unseen = "header table not seen";
    assert_eq!(
        found,
        [
            (1, "/one", Completeness::Full, ""),
            (5, "", Completeness::Partial, unseen),
            (7, "/seven", Completeness::Full, ""),
            (9, "/seven", Completeness::Full, ""),
            (11, "", Completeness::Partial, unseen),
        ]
    );
}

#[test]
fn a_gap_in_a_body_costs_nothing() {
    let report = Replay::new::<Plugin>()
        .to_server([PREFACE.to_vec(), settings(), headers(END_HEADERS, 1, &ask(POST, "/one"))].concat())
        .to_server(&data(END_STREAM, 1, 1000)[..100])
        .gap(UP, 909)
        .to_server(headers(ALL, 3, &[GET, 0x86, 0xbf, 0xbe]))
        .run();
    assert_eq!((report.losses.len(), report.messages.last().unwrap().resource.as_str()), (0, "/one"));
    assert!(report.messages.iter().all(|seen| seen.completeness == Completeness::Full));
}

const UPGRADE: &[u8] =
    b"GET /first?user=secret HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nupgrade: h2c\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";

#[test]
fn an_upgraded_request_is_that_of_stream_1() {
    let replay = Replay::new::<Plugin>()
        .to_server(UPGRADE)
        .to_client([SWITCHING.to_vec(), settings(), headers(ALL, 1, &[0x88])].concat())
        .to_server([PREFACE.to_vec(), settings(), headers(ALL, 3, &ask(GET, "/second"))].concat())
        .to_client(headers(ALL, 3, &[0x88]));
    let report = replay.split_sweep();
    let found: Vec<_> = report.messages.iter().map(|m| (m.id, m.resource.as_str(), m.answers.as_deref())).collect();
    let get = Some("GET");
    assert_eq!(found, [(Some(1), "/first", None), (Some(1), "", get), (Some(3), "/second", None), (Some(3), "", get)]);
    assert_eq!(report.messages[0].domain, "a.example");
    replay.truncation_sweep();
}

#[test]
fn an_upgrade_counts_once_it_is_granted() {
    assert_eq!(probe::<Plugin>(UPGRADE, SWITCHING), Verdict::Certain(Client::A));
    assert_eq!(probe::<Plugin>(&[UPGRADE, PREFACE].concat(), b""), Verdict::Certain(Client::A));
    assert!(matches!(probe::<Plugin>(UPGRADE, b""), Verdict::More(_)));
    assert!(matches!(probe::<Plugin>(&UPGRADE[..9], b""), Verdict::More(_)));
    assert_eq!(probe::<Plugin>(UPGRADE, b"HTTP/1.1 200 OK\r\n\r\n"), Verdict::No);
    assert_eq!(probe::<Plugin>(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", SWITCHING), Verdict::No);
}

fn middle(a: &[u8], b: &[u8]) -> Verdict {
    probe_heads::<Plugin>(&Heads {
        a,
        b,
        a_port: 50_000,
        b_port: 80,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: true,
    })
}

#[test]
fn the_preface_is_certain_and_frames_in_a_row_are_likely() {
    assert_eq!(probe::<Plugin>(PREFACE, b""), Verdict::Certain(Client::A));
    assert_eq!(probe::<Plugin>(b"", PREFACE), Verdict::Certain(Client::B));
    (1..24).for_each(|len| assert_eq!(probe::<Plugin>(&PREFACE[..len], b""), Verdict::More(24)));
    let up = [headers(ALL, 9, &ask(GET, "/")), frame(8, 0, 9, &[0, 0, 1, 0]), frame(6, 1, 0, &[0; 8])].concat();
    let down = [headers(END_HEADERS, 9, &[0x88]), data(END_STREAM, 9, 40)].concat();
    assert_eq!(middle(&up, b""), Verdict::Likely(Client::A));
    assert_eq!(middle(b"", &up), Verdict::Likely(Client::B));
    assert_eq!(middle(&down, &up), Verdict::Likely(Client::B));
    assert_eq!(middle(&headers(ALL, 9, &[0x82, 0xbe]), &down), Verdict::Likely(Client::A));
    assert_eq!(middle(&[&[b'x'; 50][..], &up, &up].concat(), b""), Verdict::Likely(Client::A));
    assert_eq!(middle(&frame(6, 0, 0, &[0; 8]), b""), Verdict::No);
}

#[test]
fn other_protocols_and_noise_are_not_claimed() {
    let others: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\0\0\0\x2a\0\x12\0\x03\0\0\0\x01\0\x07librdka",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        &[0xff; 64],
        b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
    ];
    for a in others {
        for b in [&b""[..], b"+PONG\r\n", a] {
            assert_eq!(middle(a, b), Verdict::No, "{a:?}");
            assert_eq!(probe::<Plugin>(a, b), Verdict::No, "{a:?}");
        }
    }
    let mut random = Random::new(1);
    for _ in 0..200 {
        let (a, b) = (random.bytes(4096), random.bytes(4096));
        assert_eq!(middle(&a, &b), Verdict::No);
        let report = Replay::new::<Plugin>().mid_stream().to_server(&a).to_client(&b).run();
        assert_eq!(report.messages.len(), 0);
    }
}

/// Bytes changed, dropped and added at random: whatever comes, the plugin keeps to the contract.
#[test]
fn changed_bytes_break_nothing() {
    let mut random = Random::new(2);
    for whole in [interleaved(), grpc(), rare()] {
        for _ in 0..2000 {
            let damaged = whole.clone().damaged(&mut random);
            if let Err(violation) = damaged.try_run() {
                panic!("{violation}: {damaged:x?}");
            }
        }
    }
}
