//! Conversations, cut and truncated in every way. The bytes are built from the protocol's description.

#![expect(clippy::unwrap_used, reason = "tests")]

use dns::Plugin;
use protap_plugin::testing::{Completeness, Replay, Report, probe, probe_heads};
use protap_plugin::{Client, Direction, Heads, Kind, Status, Transport, Verdict};

const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;
const A: u16 = 1;
const SOA: u16 = 6;
const AXFR: u16 = 252;

fn name(text: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    [text.split('.').filter(|part| !part.is_empty()).flat_map(label).collect(), vec![0]].concat()
}

fn record(kind: u16) -> Vec<u8> {
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]].concat()
}

fn message(id: u16, flags: u16, question: (&str, u16), answers: &[u16]) -> Vec<u8> {
    let counts = [1, u16::try_from(answers.len()).unwrap(), 0, 0];
    let mut bytes: Vec<u8> = [id, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect();
    bytes.extend(name(question.0));
    bytes.extend(question.1.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(answers.iter().flat_map(|kind| record(*kind)));
    bytes
}

fn query(id: u16, name: &str) -> Vec<u8> {
    message(id, QUERY, (name, A), &[])
}

fn answer(id: u16, name: &str) -> Vec<u8> {
    message(id, RESPONSE, (name, A), &[A, A])
}

fn over_tcp(message: Vec<u8>) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
}

/// The id and the kind of each response's request.
fn answered(report: &Report) -> Vec<(Option<u64>, Option<&str>)> {
    let responses = report.messages.iter().filter(|message| message.kind == Kind::Response);
    responses.map(|response| (response.id, response.answers.as_deref())).collect()
}

fn udp() -> Replay {
    Replay::new::<Plugin>()
}

#[test]
fn datagrams_are_paired_by_id_in_any_order() {
    let replay = udp()
        .datagram(Direction::ToServer, query(1, "a.example"))
        .datagram(Direction::ToServer, query(2, "b.example"))
        .datagram(Direction::ToClient, answer(2, "b.example"))
        .datagram(Direction::ToClient, answer(1, "a.example"));
    replay.truncation_sweep();
    let report = replay.run();
    assert_eq!(answered(&report), [(Some(2), Some("A")), (Some(1), Some("A"))]);
    let response = &report.messages[2];
    assert_eq!((response.status, response.code, response.resource.as_str()), (Status::Ok, Some(0), "b.example"));
    assert_eq!(response.attribute("dns.answer.count"), Some(&2.into()));
    assert_eq!(report.unanswered, 0);
}

#[test]
fn an_answer_to_another_question_is_not_taken_for_one_to_this() {
    let replay = udp()
        .datagram(Direction::ToServer, query(1, "old.example"))
        .datagram(Direction::ToServer, query(1, "new.example"))
        .datagram(Direction::ToClient, answer(1, "old.example"))
        .datagram(Direction::ToClient, answer(1, "NEW.example"));
    let report = replay.run();
    assert_eq!(answered(&report), [(None, None), (Some(1), Some("A"))]);
    assert_eq!(report.messages[2].attribute("dns.id"), Some(&1.into()));
}

#[test]
fn response_codes_are_named() {
    for (code, name, status) in [
        (1, "FORMERR", Status::ClientError),
        (2, "SERVFAIL", Status::ServerError),
        (3, "NXDOMAIN", Status::ClientError),
    ] {
        let reply = message(1, RESPONSE | code, ("a.example", A), &[]);
        let replay = udp().datagram(Direction::ToServer, query(1, "a.example")).datagram(Direction::ToClient, reply);
        let report = replay.run();
        let response = &report.messages[1];
        assert_eq!((response.status, response.code, response.exception.as_str()), (status, Some(code.into()), name));
    }
}

#[test]
fn edns_adds_to_the_response_code() {
    let mut reply = message(1, RESPONSE, ("a.example", A), &[]);
    reply[11] = 1;
    reply.extend([0, 0, 41, 4, 208, 1, 0, 0x80, 0, 0, 0]);
    let report = udp().datagram(Direction::ToServer, query(1, "a.example")).datagram(Direction::ToClient, reply).run();
    assert_eq!((report.messages[1].code, report.messages[1].exception.as_str()), (Some(16), "BADVERS"));
}

#[test]
fn a_cut_datagram_tells_what_it_has() {
    let whole = message(1, RESPONSE | TRUNCATED, ("a.example", A), &[A; 2]);
    let report = udp().datagram(Direction::ToClient, &whole[..whole.len() - 1]).run();
    assert_eq!((report.messages.len(), report.messages[0].completeness), (1, Completeness::Partial));
    assert_eq!(report.messages[0].attribute("dns.truncated"), Some(&true.into()));
    for junk in [&b""[..], b"x", &[0; 11], &[0xff; 40], &[0xc0; 600]] {
        assert!(udp().datagram(Direction::ToServer, junk).run().messages.is_empty(), "{junk:?}");
    }
}

#[test]
fn a_stream_is_cut_by_lengths_however_it_comes() {
    let replay = udp()
        .to_server(
            [over_tcp(query(1, "a.example")), over_tcp(query(2, "b.example")), over_tcp(query(3, "c.example"))]
                .concat(),
        )
        .to_client([over_tcp(answer(3, "c.example")), over_tcp(answer(1, "a.example"))].concat())
        .to_client(over_tcp(answer(2, "b.example")));
    replay.truncation_sweep();
    let report = replay.split_sweep();
    assert_eq!(answered(&report), [(Some(3), Some("A")), (Some(1), Some("A")), (Some(2), Some("A"))]);
    let spans: Vec<_> = report.messages.iter().take(3).map(|message| (message.start, message.end)).collect();
    assert_eq!(spans, [(0, 29), (29, 58), (58, 87)]);
}

#[test]
fn many_messages_at_once_all_fit() {
    let ids = 0..1000_u16;
    let queries: Vec<u8> = ids.clone().flat_map(|id| over_tcp(query(id, "many.example"))).collect();
    let answers: Vec<u8> = ids.flat_map(|id| over_tcp(answer(id, "many.example"))).collect();
    let report = udp().to_server(queries).to_client(answers).run();
    assert_eq!((report.messages.len(), report.unanswered), (2000, 0));
    assert!(report.messages.iter().all(|message| message.completeness == Completeness::Full));
}

#[test]
fn a_gap_is_bridged_to_the_end_of_the_message_or_found_behind() {
    let (first, second) = (over_tcp(answer(1, "a.example")), over_tcp(answer(2, "b.example")));
    let queries = [over_tcp(query(1, "a.example")), over_tcp(query(2, "b.example"))].concat();
    for lost in [5, 20, first.len() - 2] {
        let (head, tail) = first.split_at(first.len() - lost);
        let report = udp()
            .to_server(&queries)
            .to_client(head)
            .gap(Direction::ToClient, tail.len() as u64)
            .to_client(&second)
            .run();
        assert_eq!(answered(&report).last(), Some(&(Some(2), Some("A"))), "{lost} lost");
    }
    // The gap reaches into the next message: it is found by its id.
    let third = over_tcp(answer(3, "c.example"));
    let report = udp()
        .to_server([queries, over_tcp(query(3, "c.example"))].concat())
        .to_client(&first[..20])
        .gap(Direction::ToClient, first.len() as u64)
        .to_client([&second[20..], &third].concat())
        .run();
    assert_eq!(answered(&report).last(), Some(&(Some(3), Some("A"))));
}

#[test]
fn a_zone_is_one_reply() {
    let part = |answers: &[u16]| over_tcp(message(1, RESPONSE, ("example", AXFR), answers));
    let replay = udp()
        .to_server([over_tcp(message(1, QUERY, ("example", AXFR), &[])), over_tcp(query(2, "b.example"))].concat())
        .to_client([part(&[SOA]), part(&[A, A]), over_tcp(answer(2, "b.example")), part(&[A, SOA])].concat());
    let report = replay.split_sweep();
    let more: Vec<bool> = report.messages.iter().skip(2).map(|message| message.has_more_replies).collect();
    assert_eq!(more, [true, true, false, false]);
    assert_eq!(report.unanswered, 0);
}

#[test]
fn probing_tells_the_client_by_the_message() {
    let (query, answer) = (query(1, "a.example"), answer(1, "a.example"));
    let heads = |a, b| Heads {
        a,
        b,
        a_port: 50_000,
        b_port: 50_001,
        transport: Transport::Udp,
        a_opened: false,
        a_is_mid_stream: false,
        b_is_mid_stream: false,
        is_complete: false,
    };
    assert_eq!(probe_heads::<Plugin>(&heads(&query, b"")), Verdict::Certain(Client::A));
    assert_eq!(probe_heads::<Plugin>(&heads(&answer, b"")), Verdict::Certain(Client::B));
    assert_eq!(probe_heads::<Plugin>(&heads(&answer, &query)), Verdict::Certain(Client::B));
    // Multicast DNS is another protocol.
    assert_eq!(probe_heads::<Plugin>(&Heads { a_port: 5353, ..heads(&query, b"") }), Verdict::No);
    let netbios = message(1, QUERY, ("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33), &[]);
    assert_eq!(probe_heads::<Plugin>(&heads(&netbios, b"")), Verdict::No);
    let stream = over_tcp(query);
    assert_eq!(probe::<Plugin>(&stream, b""), Verdict::Certain(Client::A));
    for len in 0..stream.len() {
        assert_ne!(probe::<Plugin>(&stream[..len], b""), Verdict::No, "{len} bytes");
    }
}

#[test]
fn random_bytes_are_not_claimed() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..20_000_usize {
        let bytes: Vec<u8> = (0..round % 90).map(|_| random()).collect();
        for transport in [Transport::Udp, Transport::Tcp] {
            let heads = Heads {
                a: &bytes,
                b: b"",
                a_port: 50_000,
                b_port: 53,
                transport,
                a_opened: false,
                a_is_mid_stream: true,
                b_is_mid_stream: true,
                is_complete: true,
            };
            assert_eq!(probe_heads::<Plugin>(&heads), Verdict::No, "{bytes:?}");
        }
    }
}
