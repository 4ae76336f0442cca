//! What the plugin takes for Kafka, and what it does not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use protap_plugin::testing::{Random, probe, probe_heads};
use protap_plugin::{Client, Heads, Transport, Verdict};

type Kafka = kafka::Plugin;

fn request(key: i16, version: i16, id: u32, client_id: &[u8], body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(client_id.len()).unwrap();
    let (key, version, id) = (key.to_be_bytes(), version.to_be_bytes(), id.to_be_bytes());
    let frame = [&key[..], &version, &id, &len.to_be_bytes(), client_id, body].concat();
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

fn response(id: u32, body: &[u8]) -> Vec<u8> {
    [&u32::try_from(4 + body.len()).unwrap().to_be_bytes()[..], &id.to_be_bytes(), body].concat()
}

/// The heads of a flow of which the beginning was not captured.
fn middle(a: &[u8], b: &[u8]) -> Verdict {
    probe_heads::<Kafka>(&Heads {
        a,
        b,
        a_port: 50_000,
        b_port: 50_001,
        transport: Transport::Tcp,
        a_opened: false,
        a_is_mid_stream: true,
        b_is_mid_stream: true,
        is_complete: true,
    })
}

fn is_claimed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Likely(_) | Verdict::Certain(_))
}

#[test]
fn a_first_request_with_a_client_id_is_certain_once_its_body_makes_sense() {
    let first = request(18, 3, 0, b"consumer-1", b"\0\x09a-client\x061.2.3\0");
    // All but the tagged fields at the end must be there.
    for len in 0..first.len() - 1 {
        match probe::<Kafka>(&first[..len], &[]) {
            Verdict::More(wanted) => assert!(wanted as usize > len, "{wanted} at {len}"),
            verdict => panic!("{verdict:?} at {len}"),
        }
    }
    assert_eq!(probe::<Kafka>(&first, &[]), Verdict::Certain(Client::A));
    assert_eq!(probe::<Kafka>(&first, &response(0, &[0; 20])), Verdict::Certain(Client::A));
    assert_eq!(probe::<Kafka>(&request(3, 16, 0, b"newer", &[0]), &[]), Verdict::Likely(Client::A));
    let mut big = request(0, 3, 4, b"rdkafka", b"\xff\xff\xff\xff\0\0\x05\xdc\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0");
    big[..4].copy_from_slice(&1_000_000_u32.to_be_bytes());
    assert_eq!(probe::<Kafka>(&big, &[]), Verdict::Certain(Client::A), "its end need not be there");
}

#[test]
fn a_first_request_with_nothing_in_it_is_borne_out_by_its_answer_or_by_the_next_one() {
    // ListGroups, InitProducerId without a transactional id, DescribeLogDirs of all topics.
    let bodies: [(i16, &[u8]); 3] = [(16, b""), (22, b"\xff\xff\0\0\xea\x60"), (35, b"\xff\xff\xff\xff")];
    for (key, body) in bodies {
        let first = request(key, 0, 1, b"kafka-python-2.0.2", body);
        assert!(matches!(probe::<Kafka>(&first, &[]), Verdict::More(_)), "{key}");
        assert_eq!(probe::<Kafka>(&first, &response(1, &[0; 6])), Verdict::Likely(Client::A), "{key}");
        assert_eq!(probe::<Kafka>(&first, &response(2, &[0; 6])), Verdict::No, "{key}");
        let next = |id| [first.clone(), request(3, 1, id, b"kafka-python-2.0.2", b"\0\0\0\0")].concat();
        assert_eq!(probe::<Kafka>(&next(2), &[]), Verdict::Likely(Client::A), "{key}");
        assert!(!is_claimed(probe::<Kafka>(&next(9000), &[])), "{key}");
    }
}

#[test]
fn a_handshake_is_told_by_its_mechanism() {
    let handshake = |name: &[u8]| request(17, 1, 1, b"client", &[&[0, name.len() as u8][..], name].concat());
    assert_eq!(probe::<Kafka>(&handshake(b"SCRAM-SHA-512"), &[]), Verdict::Certain(Client::A));
    assert!(!is_claimed(probe::<Kafka>(&handshake(b"\x01\x02"), &[])));
}

#[test]
fn without_a_client_id_the_body_must_make_sense() {
    let bodies: [(i16, i16, &[u8]); 4] = [
        (18, 0, b""),
        (18, 3, b"\0\x09a-client\x061.2.3\0"),
        (3, 1, b"\0\0\0\x01\0\x06orders"),
        (0, 2, b"\0\x01\0\0\x05\xdc\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\x02\0\0\0\0"),
    ];
    for (key, version, body) in bodies {
        let first = request(key, version, 1, b"", body);
        assert_eq!(probe::<Kafka>(&first, &[]), Verdict::Likely(Client::A), "{key}");
        let wrong = request(key, version, 1, b"", &[body, b"\x01"].concat());
        assert!(!is_claimed(probe::<Kafka>(&wrong, &[])), "{key}");
    }
    let nothing_in_it = request(0, 0, 1, b"", &[0; 10]);
    assert_eq!(probe::<Kafka>(&nothing_in_it, &[]), Verdict::No);
}

#[test]
fn an_answer_with_another_id_is_a_contradiction() {
    let first = request(18, 2, 5, b"consumer-1", b"");
    assert_eq!(probe::<Kafka>(&first, &response(6, &[0; 20])), Verdict::No);
    assert_eq!(probe::<Kafka>(&first, b"HTTP/1.1 400 Bad Request"), Verdict::No);
}

#[test]
fn requests_are_recognised_in_the_middle_of_a_connection_from_either_end() {
    let heartbeat = |id| request(12, 4, id, b"rdkafka", b"\0\x02g\0\0\0\0\x01\0\0");
    let requests = [heartbeat(7), heartbeat(8)].concat();
    let responses = [response(7, &[0; 7]), response(8, &[0; 7])].concat();
    assert_eq!(middle(&requests, &responses), Verdict::Likely(Client::A));
    assert_eq!(middle(&responses, &requests), Verdict::Likely(Client::B));
    // The head begins inside of a request.
    let inside = [&[0; 99], &requests[..]].concat();
    assert_eq!(middle(&responses, &inside), Verdict::Likely(Client::B));
    // This answer to OffsetCommit reads as a Produce request without topics, of client "legm".
    let answer = response(1, b"\0\0\0\x01\0\x04legm\0\0\0\x01\0\0\0\0\0\0");
    assert!(!is_claimed(probe::<Kafka>(&answer, &[])) && !is_claimed(middle(&[&answer[..], &answer].concat(), &[])));
    assert_eq!(middle(&responses, &[]), Verdict::No, "responses alone could be anything");
    assert_eq!(middle(&inside[..99], &[]), Verdict::No);
}

#[test]
fn other_protocols_are_not_claimed() {
    let postgres =
        b"\0\0\0\x54\0\x03\0\0user\0postgres\0database\0postgres\0application_name\0psql\0client_encoding\0UTF8\0\0";
    let zookeeper =
        b"\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let zookeeper_answer =
        b"\0\0\0\x24\0\0\0\0\0\0\x75\x30\x01\0\x12\x34\0\0\0\x01\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let cases: [(&[u8], &[u8]); 8] = [
        (postgres, b"R\0\0\0\x08\0\0\0\0"),
        (zookeeper, zookeeper_answer),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", b"N"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\x16\x03\x03"),
        (b"\0\0\0\x55\xffSMBr\0\0\0\0\x18\x53\xc8", b""),
        (&[0; 4096], &[0; 4096]),
        (b"\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b""),
    ];
    for (a, b) in cases {
        assert!(!is_claimed(probe::<Kafka>(a, b)), "{a:?}");
        assert!(!is_claimed(probe::<Kafka>(a, &[])), "{a:?} alone");
        assert!(!is_claimed(middle(a, b)), "the middle of {a:?}");
        assert!(!is_claimed(middle(b, a)), "the middle of {b:?}");
    }
}

#[test]
fn random_bytes_are_not_claimed() {
    let mut random = Random::new(1);
    for round in 0..2000 {
        // Half of them with many zeros, as binary protocols have.
        let mut byte = || match random.number() {
            bits if round % 2 == 0 && bits & 0x300 != 0 => 0,
            bits => u8::try_from(bits >> 32 & 0xff).unwrap(),
        };
        let head: Vec<u8> = (0..1000).map(|_| byte()).collect();
        assert!(!is_claimed(probe::<Kafka>(&head, &[])));
        assert!(!is_claimed(middle(&head, &head)));
    }
}

/// Heads that were once claimed: pieces of other protocols, and bytes that were made up.
#[test]
fn what_merely_resembles_a_request_is_not_claimed() {
    let other = b"\0\x10\x02name\0\0\0\0\0J\x97\xb1'R\0\0\0\x10";
    let a_header = b"\x02\0O9\0\0\0\0\0\0\0\0\0\x05topic";
    let a_big_id = b"\x04\0\0\0\0\0\0\0\x1d\0\0\0\0\x0ftopic-name.test\0\0\0\0\x04\0\0\0\xf5\xd8\0_\0";
    let a_long_handshake = b"\0\0\x19\0\0\x11\0\0\0\0\xa9\x07\0\x0btopic-name.-AS(9\x82'\x04\xdd\x02\xe7\xa2\x08\xc7\0";
    let tags = b"\0\0I\0\0\0\0\x0b\0\0\0\0\0\x04topi\x9a\0\0\0\0\0\n\xa5\0\0\t\n\0\0\0\0";
    let unread = b"\0\0P\0\0\0\0\x0f\0\0\0\0\0\x04topi\0\0\0\x0ftopic-name.test\x02name\0\x11\0\0";
    for head in [&a_header[..], a_big_id, a_long_handshake, tags, unread] {
        assert!(!is_claimed(probe_whole(head, &[])), "{}", head.escape_ascii());
    }
    let cut = b"\x07\0\0\0\0\0\0\x05\0\0\0/\0\x03top \t\0\0\x02name\0\x02name\0\0\0\0\0";
    assert_eq!(probe_whole(cut, &[]), Verdict::Likely(Client::A), "the beginning of a large request");
    assert!(!is_claimed(probe_whole(cut, other)), "answered by something else");
    // A ZooKeeper client's GetData reads as LeaderAndIsr of a client called /november/72.
    let path = b"\0\0\0\x19\0\0\0g\0\0\0\x04\0\0\0\x05\0\0\0\x0c/november/72\0";
    assert!(!is_claimed(middle(&[&[0; 9], &path[..], path].concat(), &[])));
    // Between other bytes, a request must end with them, or be followed by another one.
    let request = request(12, 4, 7, b"rdkafka", b"\0\x02g\0\0\0\0\x01\0\0");
    assert!(is_claimed(middle(&[&[0; 99], &request[..]].concat(), &[])));
    assert!(!is_claimed(middle(&[&[0; 99], &request[..], &[0; 99]].concat(), &[])));
}

/// A flow that was captured from its beginning, and of which no more will come.
fn probe_whole(a: &[u8], b: &[u8]) -> Verdict {
    probe_heads::<Kafka>(&Heads {
        a,
        b,
        a_port: 50_000,
        b_port: 50_001,
        transport: Transport::Tcp,
        a_opened: true,
        a_is_mid_stream: false,
        b_is_mid_stream: false,
        is_complete: true,
    })
}
