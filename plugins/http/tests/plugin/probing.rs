//! Inference.

use protap_plugin::testing::{mid_stream, probe, probe_heads};
use protap_plugin::{Client, Heads, Transport, Verdict};

use crate::wire::Plugin;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn either_end_tells_who_is_the_client() {
    assert_eq!(probe::<Plugin>(GET, b""), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(b"\r\nGET / HTTP/1.0\r\n\r\n", b""), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(GET, OK), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(b"", OK), Verdict::Likely(Client::A));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(OK, b"")), Verdict::Likely(Client::B));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(b"", GET)), Verdict::Likely(Client::B));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(b"rest of a body", OK)), Verdict::Likely(Client::A));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(GET, b"rest of a body")), Verdict::Likely(Client::A));
}

#[test]
fn a_prefix_wants_more_until_it_is_enough() {
    for first in [GET, OK] {
        for len in 1..=first.len() {
            match probe_heads::<Plugin>(&mid_stream(&first[..len], b"")) {
                Verdict::More(more) => assert!(more as usize > len, "{len}"),
                Verdict::Likely(_) => assert_eq!(len, first.len()),
                other => panic!("{other:?} at {len}"),
            }
        }
    }
}

#[test]
fn other_protocols_are_not_mistaken() {
    let others: [(&[u8], &[u8]); 14] = [
        (b"OPTIONS sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"),
        (b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", b""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"),
        (b"REQMOD icap://x/y ICAP/1.0\r\n\r\n", b"ICAP/1.0 200 OK\r\n\r\n"),
        (GET, b"ICY 200 OK\r\nicy-name: x\r\n\r\n"),
        (GET, b"SSH-2.0-OpenSSH_9.2\r\n"),
        (b"GET /\r\n", b"<html>"),
        (b"get k\r\n", b"VALUE k 0 2\r\nhi\r\nEND\r\n"),
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
        (b"EHLO x\r\n", b"220 mail ESMTP\r\n250 OK\r\n"),
        (b"CONNECT {\"verbose\":true}\r\nPING\r\n", b"INFO {\"server_id\":\"x\"}\r\n"),
        (b"CONNECT\naccept-version:1.2\n\n\0", b"CONNECTED\nversion:1.2\n\n\0"),
        (&[0; 64], &[0; 64]),
    ];
    for (a, b) in others {
        let opened = Heads { a_opened: true, a_is_mid_stream: false, b_is_mid_stream: false, ..mid_stream(a, b) };
        assert_eq!(probe_heads::<Plugin>(&opened), Verdict::No, "{} {}", a.escape_ascii(), b.escape_ascii());
    }
    let datagram = Heads { transport: Transport::Udp, ..mid_stream(b"NOTIFY * HTTP/1.1\r\nHOST: x\r\n\r\n", b"") };
    assert_eq!(probe_heads::<Plugin>(&datagram), Verdict::No);
}
