//! Inference.

use bson::doc;
use protap_plugin::testing::{Random, mid_stream, probe, probe_heads};
use protap_plugin::{Client, Heads, Transport, Verdict};

use crate::wire::{OP_QUERY, OP_REPLY, body, message, msg, reply, request, sequence};

type Plugin = mongodb::Plugin;

fn hello() -> Vec<u8> {
    request(1, &doc! { "hello": 1, "$db": "admin" })
}

fn legacy_hello() -> Vec<u8> {
    let document = doc! { "ismaster": 1 }.to_vec().unwrap();
    message(1, 0, OP_QUERY, &[&[0; 4], &b"admin.$cmd\0"[..], &[0; 4], &[0xff; 4], &document].concat())
}

#[test]
fn one_message_of_either_end_is_enough() {
    for first in [
        hello(),
        legacy_hello(),
        msg(1, 0, 0, &[sequence("documents", &[doc! { "a": 1 }]), body(&doc! { "insert": "c" })]),
    ] {
        assert_eq!(probe::<Plugin>(&first, b""), Verdict::Certain(Client::A));
        assert_eq!(probe_heads::<Plugin>(&mid_stream(b"", &first)), Verdict::Certain(Client::B));
    }
    let answer = reply(1, &doc! { "ok": 1 });
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&answer, b"")), Verdict::Certain(Client::B));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(b"", &answer)), Verdict::Certain(Client::A));
    let document = doc! { "ok": 1 }.to_vec().unwrap();
    let old = message(2, 1, OP_REPLY, &[&[0; 12], &[0; 4][..], &1_u32.to_le_bytes(), &document].concat());
    assert_eq!(probe::<Plugin>(&legacy_hello(), &old), Verdict::Certain(Client::A));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&old, b"")), Verdict::Certain(Client::B));
}

#[test]
fn a_reply_to_the_id_0_does_not_make_the_server_a_client() {
    let verdict = probe::<Plugin>(&request(0, &doc! { "hello": 1 }), &reply(0, &doc! { "ok": 1 }));
    assert_eq!(verdict, Verdict::Certain(Client::A));
}

#[test]
fn a_prefix_wants_more_until_it_is_enough() {
    for first in [hello(), legacy_hello()] {
        for len in 1..first.len() {
            match probe::<Plugin>(&first[..len], b"") {
                Verdict::More(more) => assert!(more as usize > len, "{len}"),
                Verdict::Certain(Client::A) => assert!(len > 25, "{len}"),
                other => panic!("{other:?} at {len}"),
            }
            let complete = Heads { is_complete: true, a_is_mid_stream: false, ..mid_stream(&first[..len], b"") };
            assert!(matches!(probe_heads::<Plugin>(&complete), Verdict::No | Verdict::Certain(Client::A)));
        }
    }
}

#[test]
fn a_flow_is_known_from_inside_a_message() {
    let find = request(3, &doc! { "find": "c", "filter": { "x": "y".repeat(500) }, "$db": "d" });
    for at in [1, 15, 20, 100, 400] {
        let inside = [&find[at..], &hello(), &find].concat();
        assert_eq!(probe_heads::<Plugin>(&mid_stream(&inside, b"")), Verdict::Certain(Client::A), "{at}");
        let inside = [&find[at..], &hello()].concat();
        assert_eq!(probe_heads::<Plugin>(&mid_stream(b"", &inside)), Verdict::Likely(Client::B), "{at}");
        assert!(matches!(probe_heads::<Plugin>(&mid_stream(&find[at..], b"")), Verdict::More(_)), "{at}");
        let complete = Heads { is_complete: true, ..mid_stream(&find[at..], b"") };
        assert_eq!(probe_heads::<Plugin>(&complete), Verdict::No, "{at}");
    }
}

#[test]
fn inside_other_bytes_a_lone_message_must_end_with_them() {
    let inside = [&[1; 50], &hello()[..]].concat();
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&inside, b"")), Verdict::Likely(Client::A));
    let complete = |head: &[u8]| probe_heads::<Plugin>(&Heads { is_complete: true, ..mid_stream(head, b"") });
    assert_eq!(complete(&[&inside[..], &[1; 50]].concat()), Verdict::No);
    assert_eq!(complete(&inside[..inside.len() - 1]), Verdict::No);
    assert_eq!(complete(&[&inside[..], &hello()[..]].concat()), Verdict::Certain(Client::A));
}

#[test]
fn other_protocols_are_not_mistaken() {
    let others: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\0\0\0\x23\0\x12\0\x03\0\0\0\x01\0\x09rdkafka-1",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"J\0\0\0\x0a8.0.35\0\x08\0\0\0",
        &[0; 64],
    ];
    for other in others {
        assert!(matches!(probe::<Plugin>(other, b""), Verdict::No | Verdict::More(_)), "{other:?}");
        let complete = Heads { is_complete: true, ..mid_stream(other, other) };
        assert_eq!(probe_heads::<Plugin>(&complete), Verdict::No, "{other:?}");
    }
    let datagram = Heads { transport: Transport::Udp, ..mid_stream(b"", b"") };
    assert_eq!(probe_heads::<Plugin>(&Heads { a: &hello(), ..datagram }), Verdict::No);
}

#[test]
fn noise_is_not_mistaken() {
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let len = random.below(200);
        // Few different values, many of them 0: nearer to headers than white noise is.
        let noise: Vec<u8> = (0..len).map(|_| [0, 0, 0, 1, 7, 0xd4, 0xdd, random.byte()][random.below(8)]).collect();
        let (a, b) = noise.split_at(len / 2);
        for mid in [false, true] {
            let noise = Heads { a_is_mid_stream: mid, b_is_mid_stream: mid, is_complete: true, ..mid_stream(a, b) };
            assert_eq!(probe_heads::<Plugin>(&noise), Verdict::No, "{a:?} {b:?}");
        }
    }
}
