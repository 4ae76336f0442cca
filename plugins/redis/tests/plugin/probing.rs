//! Inference.

use protap_plugin::testing::{Random, mid_stream, probe, probe_heads};
use protap_plugin::{Client, Heads, Transport, Verdict};

use crate::wire::{Plugin, array_of, command, commands};

#[test]
fn both_ends_make_it_certain_and_one_likely() {
    for first in [command("GET k"), command("CLIENT SETNAME x"), commands(&["HELLO 3", "SELECT 1"])] {
        assert_eq!(probe::<Plugin>(&first, b""), Verdict::Likely(Client::A));
        for answer in
            [&b"+OK\r\n"[..], b"$-1\r\n", b"%1\r\n$5\r\nproto\r\n:3\r\n", b"-NOAUTH Authentication required.\r\n"]
        {
            assert_eq!(probe::<Plugin>(&first, answer), Verdict::Certain(Client::A));
            assert_eq!(probe_heads::<Plugin>(&mid_stream(answer, &first)), Verdict::Certain(Client::B));
        }
    }
    assert_eq!(probe_heads::<Plugin>(&mid_stream(b"", &command("GET k"))), Verdict::Likely(Client::B));
}

#[test]
fn replies_alone_are_enough_if_there_are_several() {
    let replies = b"$5\r\nhello\r\n*2\r\n$1\r\na\r\n:1\r\n+OK\r\n";
    assert_eq!(probe_heads::<Plugin>(&mid_stream(replies, b"")), Verdict::Likely(Client::B));
    let pushes = array_of(&[b"message", b"channel", b"hello"]).repeat(3);
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&pushes, b"")), Verdict::Likely(Client::B));
    assert!(matches!(probe_heads::<Plugin>(&mid_stream(b"+OK\r\n", b"")), Verdict::More(_)));
}

#[test]
fn a_flow_is_known_from_inside_a_frame() {
    let inside = [&b"of a value\r\n"[..], &commands(&["GET a", "SET b c", "GET d"])].concat();
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&inside, b"")), Verdict::Likely(Client::A));
    assert_eq!(
        probe_heads::<Plugin>(&mid_stream(b"lo\r\n+OK\r\n$1\r\nx\r\n*1\r\n:1\r\n", &inside)),
        Verdict::Certain(Client::B)
    );
}

#[test]
fn whoever_opened_the_connection_is_the_client() {
    let error = b"-ERR Protocol error: expected '$', got ':'\r\n";
    let asked = b"GET foo\r\n*3\r\n$3\r\nSET\r\n:5\r\n";
    let verdict = probe::<Plugin>(asked, error);
    assert!(!matches!(verdict, Verdict::Certain(Client::B) | Verdict::Likely(Client::B)), "{verdict:?}");
}

#[test]
fn a_replica_is_the_client_of_its_master() {
    let (master, replica) = (commands(&["SET k v", "SET k w"]), commands(&["REPLCONF ACK 1", "REPLCONF ACK 2"]));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&master, &replica)), Verdict::Certain(Client::B));
    assert_eq!(probe_heads::<Plugin>(&mid_stream(&replica, &master)), Verdict::Certain(Client::A));
}

#[test]
fn typed_lines_need_an_answer() {
    assert!(matches!(probe::<Plugin>(b"PING\r\n", b""), Verdict::More(_)));
    assert_eq!(probe::<Plugin>(b"PING\r\n", b"+PONG\r\n"), Verdict::Likely(Client::A));
    assert_eq!(probe::<Plugin>(b"get k\r\n", b"$-1\r\n"), Verdict::Likely(Client::A));
}

#[test]
fn a_refused_connection_is_redis() {
    assert_eq!(probe::<Plugin>(b"", b"-ERR max number of clients reached\r\n"), Verdict::Likely(Client::A));
}

#[test]
fn a_prefix_wants_more_until_it_is_enough() {
    let first = command("GET key");
    for len in 1..first.len() {
        match probe::<Plugin>(&first[..len], b"") {
            Verdict::More(more) => assert!(more as usize > len, "{len}"),
            Verdict::Likely(Client::A) => assert!(len > 10, "{len}"),
            other => panic!("{other:?} at {len}"),
        }
    }
}

#[test]
fn other_protocols_are_not_mistaken() {
    let others: [(&[u8], &[u8]); 14] = [
        (b"get k\r\n", b"VALUE k 0 2\r\nhi\r\nEND\r\n"),
        (b"set k 0 0 2\r\nhi\r\n", b"STORED\r\n"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"EHLO x\r\n", b"220 mail ESMTP\r\n250 OK\r\n"),
        (b"USER x\r\nPASS y\r\n", b"+OK POP3 ready\r\n+OK\r\n+OK\r\n"),
        (b"AUTH PLAIN\r\nQUIT\r\n", b"+OK POP3 ready\r\n+OK bye\r\n"),
        (b"CONNECT {\"verbose\":true}\r\nPING\r\n", b"INFO {\"server_id\":\"x\"}\r\n+OK\r\nPONG\r\n"),
        (b"PUB a 5\r\nhello\r\n", b"+OK\r\n+OK\r\n"),
        (b"\0\0\0\x23\0\x12\0\x03\0\0\0\x01\0\x09rdkafka-1", b""),
        (b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0", b""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", b""),
        (b"a001 LOGIN x y\r\n", b"* OK IMAP4rev1 ready\r\na001 OK\r\n"),
        (&[0; 64], &[0; 64]),
    ];
    for (a, b) in others {
        for is_mid_stream in [false, true] {
            let complete = Heads {
                is_complete: true,
                a_opened: true,
                a_is_mid_stream: is_mid_stream,
                b_is_mid_stream: is_mid_stream,
                ..mid_stream(a, b)
            };
            assert_eq!(probe_heads::<Plugin>(&complete), Verdict::No, "{} {}", a.escape_ascii(), b.escape_ascii());
            let verdict = probe_heads::<Plugin>(&Heads { is_complete: false, ..complete });
            assert!(matches!(verdict, Verdict::No | Verdict::More(_)), "{verdict:?} {}", a.escape_ascii());
        }
    }
    let datagram = Heads { transport: Transport::Udp, ..mid_stream(b"*1\r\n$4\r\nPING\r\n", b"") };
    assert_eq!(probe_heads::<Plugin>(&datagram), Verdict::No);
}

#[test]
fn noise_is_not_mistaken() {
    let mut random = Random::new(1);
    for round in 0..20_000 {
        let len = random.below(200);
        // Half of it is nearer to lines of text than white noise is.
        let noise: Vec<u8> = (0..len)
            .map(|_| if round % 2 == 0 { random.byte() } else { b"\r\n+-:$*_ 01abc"[random.below(14)] })
            .collect();
        let (a, b) = noise.split_at(len / 2);
        for mid in [false, true] {
            let noise = Heads { a_is_mid_stream: mid, b_is_mid_stream: mid, is_complete: true, ..mid_stream(a, b) };
            assert_ne!(probe_heads::<Plugin>(&noise), Verdict::Certain(Client::A), "{a:?} {b:?}");
            assert_ne!(probe_heads::<Plugin>(&noise), Verdict::Certain(Client::B), "{a:?} {b:?}");
        }
    }
}
