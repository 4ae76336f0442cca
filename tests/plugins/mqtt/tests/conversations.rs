//! Conversations put together by the standard's tables, cut and truncated in every way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use mqtt::Plugin;
use protap_plugin::prelude::*;
use protap_plugin::testing::{Completeness, Random, Replay, Seen, Value, probe, probe_heads};

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

fn replay() -> Replay {
    Replay::new::<Plugin>()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut len = body.len();
    let mut out = vec![first];
    loop {
        let more = if len > 0x7f { 0x80 } else { 0 };
        out.push((len & 0x7f) as u8 | more);
        len >>= 7;
        if len == 0 {
            break;
        }
    }
    [out, body.to_vec()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn connect(level: u8) -> Vec<u8> {
    let properties: &[u8] = if level == 5 { &[5, 0x11, 0, 0, 0, 9] } else { &[] };
    let head = [text("MQTT"), vec![level, 0xc2, 0, 60], properties.to_vec(), text("me"), text("user"), text("secret")];
    packet(0x10, &head.concat())
}

fn publish(qos: u8, id: u16, topic: &str, properties: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let id = if qos > 0 { id.to_be_bytes().to_vec() } else { Vec::new() };
    packet(0x30 | qos << 1, &[text(topic), id, properties.unwrap_or_default().to_vec(), payload.to_vec()].concat())
}

fn ack(kind: u8, id: u16) -> Vec<u8> {
    packet(kind << 4 | if kind == 6 { 2 } else { 0 }, &id.to_be_bytes())
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const CONNACK5: [u8; 5] = [0x20, 3, 0, 0, 0];

/// Both ends publish under the same identifiers at the same time.
fn both_sides() -> Replay {
    replay()
        .to_server(connect(4))
        .to_client(CONNACK)
        .to_server([publish(1, 1, "up/one", None, b"payload"), publish(2, 2, "up/two", None, b"")].concat())
        .to_client([publish(2, 1, "down/one", None, b"p"), publish(1, 2, "down/two", None, b"")].concat())
        .to_client([ack(5, 2), ack(4, 1)].concat())
        .to_server([ack(4, 2), ack(5, 1), ack(6, 2)].concat())
        .to_client([ack(6, 1), ack(7, 2), publish(0, 0, "news", None, b"!")].concat())
        .to_server([ack(7, 1), vec![0xc0, 0], vec![0xe0, 0]].concat())
        .to_client([0xd0, 0])
}

type Line<'a> = (Direction, Kind, Option<u64>, &'a str, Option<&'a str>);

fn summary(messages: &[Seen]) -> Vec<Line<'_>> {
    messages.iter().map(|m| (m.direction, m.kind, m.id, m.resource.as_str(), m.answers.as_deref())).collect()
}

#[test]
fn identifiers_of_both_ends_collide_and_are_kept_apart() {
    let report = both_sides().split_sweep();
    use Kind::{OneWay, Request, Response};
    let publish = Some("PUBLISH");
    assert_eq!(
        summary(&report.messages),
        [
            (UP, Request, None, "", None),
            (DOWN, Response, None, "", Some("CONNECT")),
            (UP, Request, Some(1), "up/one", None),
            (UP, Request, Some(2), "up/two", None),
            (DOWN, Request, Some(1), "down/one", None),
            (DOWN, Request, Some(2), "down/two", None),
            (DOWN, Response, Some(2), "", publish),
            (DOWN, Response, Some(1), "", publish),
            (UP, Response, Some(2), "", publish),
            (UP, Response, Some(1), "", publish),
            (DOWN, Response, Some(2), "", publish),
            (DOWN, OneWay, None, "news", None),
            (UP, Response, Some(1), "", publish),
            (UP, Request, None, "", None),
            (UP, OneWay, None, "", None),
            (DOWN, Response, None, "", Some("PINGREQ")),
        ]
    );
    assert_eq!((report.unanswered, report.losses.len()), (0, 0));
    let is_first_of_two: Vec<bool> = report.messages.iter().map(|seen| seen.has_more_replies).collect();
    assert_eq!(is_first_of_two.iter().filter(|more| **more).count(), 2);
    assert!(!format!("{report:?}").contains("secret") && !format!("{report:?}").contains("user"));
}

#[test]
fn nothing_false_is_said_of_what_is_cut_or_lost() {
    both_sides().truncation_sweep();
    version_5().truncation_sweep();
}

fn version_5() -> Replay {
    let alias = |number: u8| [3, 0x23, 0, number];
    let user = [13, 0x26, 0, 3, b'k', b'e', b'y', 0, 5, b'v', b'a', b'l', b'u', b'e'];
    replay()
        .to_server(connect(5))
        .to_client(CONNACK5)
        .to_server(publish(0, 0, "long/name", Some(&alias(1)), b"p"))
        .to_server(publish(1, 7, "", Some(&alias(1)), &[b'x'; 300]))
        .to_client(packet(0x40, &[0, 7, 0x10]))
        .to_server(publish(2, 8, "other", Some(&user), b""))
        .to_client(packet(0x50, &[0, 8, 0x87]))
        .to_server(packet(0x82, &[&[0, 9, 0][..], &text("a/#"), &[1], &text("b/+"), &[2]].concat()))
        .to_client(packet(0x90, &[0, 9, 0, 1, 0x87]))
        .to_server(packet(0xa2, &[&[0, 10, 0][..], &text("a/#")].concat()))
        .to_client(packet(0xb0, &[0, 10, 0, 0x11]))
        .to_client(packet(0xe0, &[0x8b, 0]))
}

#[test]
fn version_5_has_aliases_reason_codes_and_properties() {
    let report = version_5().split_sweep();
    let found = &report.messages;
    assert_eq!((found[0].version.as_str(), found[0].attribute("messaging.client.id")), ("5.0", Some(&"me".into())));
    assert_eq!((found[2].resource.as_str(), found[3].resource.as_str()), ("long/name", "long/name"));
    assert_eq!(found[3].attribute("messaging.message.body.size"), Some(&300.into()));
    assert_eq!(
        (found[4].status, found[4].code, found[4].result.as_str()),
        (Status::Ok, Some(16), "No matching subscribers")
    );
    // A PUBREC that fails is the only answer.
    assert_eq!((found[6].status, found[6].code, found[6].has_more_replies), (Status::ClientError, Some(135), false));
    assert_eq!(found[7].attribute("mqtt.topic_filters"), Some(&Value::from(&["a/#", "b/+"][..])));
    assert_eq!(
        (found[8].status, found[8].attribute("mqtt.topic_filter.refused")),
        (Status::ClientError, Some(&1.into()))
    );
    assert_eq!((found[10].code, found[10].result.as_str()), (Some(17), "No subscription existed"));
    assert_eq!(found[11].attribute("error.type"), Some(&"Server shutting down".into()));
    assert!(found.iter().all(|seen| seen.completeness == Completeness::Full), "{found:#?}");
    assert_eq!(report.unanswered, 0);
}

#[test]
fn a_payload_longer_than_the_window_is_passed_over() {
    let report = Replay::new::<Plugin>()
        .to_server(connect(4))
        .to_server(publish(1, 3, "big", None, &vec![0x30; 100_000]))
        .to_server(publish(1, 4, "next", None, b""))
        .run();
    let last = &report.messages[1..];
    assert_eq!((last[0].resource.as_str(), last[1].resource.as_str()), ("big", "next"));
    assert_eq!(last[0].attribute("messaging.message.body.size"), Some(&100_000.into()));
    assert_eq!(last[0].completeness, Completeness::Full);
}

#[test]
fn an_alias_is_not_believed_after_a_loss() {
    let alias = [3, 0x23, 0, 1];
    let stream = [publish(1, 1, "", Some(&alias), b""), publish(1, 2, "new", Some(&alias), b"")].concat();
    let report = Replay::new::<Plugin>()
        .to_server([connect(5), publish(0, 0, "old", Some(&alias), b"")].concat())
        .gap(UP, 20)
        .to_server([stream.clone(), stream].concat())
        .run();
    let after: Vec<_> = report.messages[2..].iter().map(|m| (m.resource.as_str(), m.reason.as_str())).collect();
    assert_eq!(after, [("", "topic alias not seen"), ("new", ""), ("new", ""), ("new", "")]);
}

#[test]
fn the_middle_of_a_connection_is_read_without_its_version() {
    let report = Replay::new::<Plugin>()
        .mid_stream()
        .to_server([publish(1, 1, "a/b", None, b"hello"), publish(1, 2, "a/b", None, b"hello")].concat())
        .to_client([ack(4, 1), ack(4, 2)].concat())
        .to_server(packet(0x82, &[&[0, 9][..], &text("a/#"), &[1]].concat()))
        .to_client(packet(0x90, &[0, 9, 1]))
        .run();
    let found = &report.messages;
    assert_eq!((found[0].resource.as_str(), found[0].reason.as_str()), ("a/b", "protocol version not seen"));
    assert_eq!((found[2].answers.as_deref(), found[2].status, found[2].code), (Some("PUBLISH"), Status::Ok, None));
    // A SUBSCRIBE fits one version alone, and its answer is read by that.
    assert_eq!((found[4].resource.as_str(), found[4].completeness), ("a/#", Completeness::Partial));
    assert_eq!((found[5].status, found[5].code), (Status::Ok, Some(1)));
}

fn middle(a: &[u8], b: &[u8], b_port: u16) -> Verdict {
    probe_heads::<Plugin>(&Heads {
        a,
        b,
        a_port: 50_000,
        b_port,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: true,
    })
}

#[test]
fn a_connect_is_certain_and_nothing_else_at_a_connections_start() {
    assert_eq!(probe::<Plugin>(&connect(4), b""), Verdict::Certain(Client::A));
    assert_eq!(probe::<Plugin>(b"", &connect(5)), Verdict::Certain(Client::B));
    for len in 0..20 {
        assert!(matches!(probe::<Plugin>(&connect(5)[..len], b""), Verdict::More(_)), "{len}");
    }
    for other in
        [&publish(0, 0, "a", None, b"x")[..], b"\x10\x0c\0\x04HTTP\x04\x02\0\x3c\0\0", b"GET / HTTP/1.1\r\n\r\n"]
    {
        assert_eq!(probe::<Plugin>(other, b""), Verdict::No);
    }
}

#[test]
fn a_broker_alone_is_recognised() {
    let down = [&CONNACK[..], &publish(0, 0, "a", None, b"x")].concat();
    assert_eq!(probe::<Plugin>(b"", &down), Verdict::Likely(Client::A));
    assert!(matches!(probe::<Plugin>(b"", &CONNACK), Verdict::More(_)));
    assert_eq!(probe::<Plugin>(b"hello", &down), Verdict::No);
}

#[test]
fn the_middle_is_recognised_in_one_direction_or_both() {
    let up = [publish(1, 1, "a/b", None, b"x"), ack(4, 1), publish(1, 2, "a/b", None, b"x")].concat();
    let down = [ack(4, 1), ack(4, 2)].concat();
    assert_eq!(middle(&up, &down, 50_001), Verdict::Likely(Client::Unknown));
    assert_eq!(middle(&down, &up, 1883), Verdict::Likely(Client::A));
    assert_eq!(middle(&up, b"", 1883), Verdict::Likely(Client::A));
    assert_eq!(middle(&[&up[..], &[0xc0, 0]].concat(), b"", 9), Verdict::Likely(Client::A));
    assert_eq!(middle(b"", &[&up[..], &[0xc0, 0]].concat(), 9), Verdict::Likely(Client::B));
    assert_eq!(middle(&[&[b'x'; 40][..], &up, &up].concat(), b"", 1883), Verdict::Likely(Client::A));
    // Acknowledgements and pings alone are too little.
    assert_eq!(middle(&down, b"", 1883), Verdict::No);
    assert_eq!(middle(&[0xc0, 0], &[0xd0, 0], 1883), Verdict::No);
}

#[test]
fn other_protocols_and_noise_are_not_claimed() {
    let others: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"0000000000000000000000000000000000000000",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"220 mail.example.org ESMTP\r\n",
        &[0; 64],
        &[0xff; 64],
        b"\0\0\0\x2a\0\x12\0\x03\0\0\0\x01\0\x07librdka",
    ];
    for a in others {
        for b in [&b""[..], b"+PONG\r\n", a] {
            assert_eq!(middle(a, b, 1883), Verdict::No, "{a:?}");
            assert!(matches!(probe::<Plugin>(a, b), Verdict::No), "{a:?}");
        }
    }
    let mut random = Random::new(2);
    let mut made_up = 0;
    for _ in 0..200 {
        let (a, b) = (random.bytes(4096), random.bytes(4096));
        assert_eq!(middle(&a, &b, 1883), Verdict::No);
        let report = Replay::new::<Plugin>().mid_stream().to_server(&a).to_client(&b).run();
        made_up += report.messages.len();
    }
    // Of 1.6 MB that were taken for MQTT against the probe's advice.
    assert!(made_up < 10, "{made_up} messages");
}

/// Bytes changed, dropped and added at random: whatever comes, the plugin keeps to the contract.
#[test]
fn changed_bytes_break_nothing() {
    let mut random = Random::new(2);
    for whole in [both_sides(), version_5()] {
        for _ in 0..2000 {
            let damaged = whole.clone().damaged(&mut random);
            if let Err(violation) = damaged.try_run() {
                panic!("{violation}: {damaged:x?}");
            }
        }
    }
}
