//! Events of both ends in, the segments that reassembly gets out.

use crate::capture::SocketLoss;
use crate::capture::trace::connections::{Connections, Made, Payload, Turn};
use crate::capture::trace::event::{Event, Kind, layout};
use crate::packet::Endpoint;
use crate::record::Via;

const TLS: u64 = layout::EVENT_TLS;

/// An event of a client on port 40000, at that time.
fn client(kind: Kind, flags: u64, at: u64, seq: u32, ack: u32) -> Event {
    let end = |port| Endpoint { ip: [127, 0, 0, 1].into(), port };
    let (socket, flags) = (if flags == TLS { 77 } else { 1 }, u8::try_from(flags).unwrap());
    let (local, remote) = (end(40_000), end(6379));
    Event { at, socket, tgid: 1, comm: [0; 16], seq, ack, first: 0, missing: 0, kind, flags, local, remote }
}

/// The same of its server.
fn server(kind: Kind, flags: u64, at: u64, seq: u32, ack: u32) -> Event {
    let event = client(kind, flags, at, seq, ack);
    Event { local: event.remote, remote: event.local, tgid: 2, ..event }
}

fn give(connections: &mut Connections, event: &Event, payload: &[u8]) -> Vec<Made> {
    let mut made = Vec::new();
    let turn = connections.arrive(event, payload, event.at, &mut made);
    if matches!(turn, Turn::At(_) | Turn::SpareAt(_)) {
        connections.tell((event, turn), payload, event.at, &mut made);
    }
    made
}

fn tracing_tls() -> Connections {
    let mut connections = Connections::default();
    connections.expect_tls();
    connections
}

/// Flags of the segments, and their lengths.
fn shape(made: &[Made]) -> Vec<(&'static str, u32)> {
    let flag = |made: &Made| match made.segment.tcp {
        tcp if tcp.syn => "syn",
        tcp if tcp.rst => "rst",
        tcp if tcp.fin => "fin",
        _ if made.payload != Payload::None => "data",
        _ => "hole",
    };
    made.iter().map(|made| (flag(made), made.segment.payload_len)).collect()
}

#[test]
fn plaintext_takes_the_place_of_ciphertext_from_the_first_byte() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Opened, 0, 1, 1000, 2000), b"");
    let hello = give(&mut connections, &client(Kind::Sent, 0, 2, 1000, 2000), b"\x16\x03\x01\x02\x00");
    give(&mut connections, &client(Kind::Tied, TLS, 3, 1300, 5000), b"");
    let sent = give(&mut connections, &client(Kind::Sent, TLS, 4, 0, 0), b"PING");
    let ciphertext = give(&mut connections, &client(Kind::Sent, 0, 5, 1300, 5000), b"\x17\x03\x03\x00\x20");
    let received = give(&mut connections, &client(Kind::Received, TLS, 6, 0, 4), b"PONG");
    assert_eq!((hello.len(), ciphertext.len()), (0, 0));
    assert_eq!(shape(&sent), [("syn", 0), ("syn", 0), ("data", 4)]);
    assert_eq!(sent[2].segment.tcp.seq, sent[0].segment.tcp.seq.wrapping_add(1));
    assert_eq!(shape(&received), [("data", 4)]);
    let mut losses = SocketLoss::default();
    connections.count(&mut losses);
    assert_eq!(losses.ciphertext_bytes, 10);
}

#[test]
fn what_the_ring_lost_of_plaintext_is_a_hole_of_its_length() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Sent, TLS, 1, 0, 0), b"one");
    let made = give(&mut connections, &client(Kind::Sent, TLS, 2, 103, 0), b"two");
    assert_eq!(shape(&made), [("hole", 100), ("data", 3)]);
}

#[test]
fn of_two_probed_ends_one_tells_and_both_are_named() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Tied, TLS, 1, 0, 0), b"");
    give(&mut connections, &server(Kind::Tied, TLS, 1, 0, 0), b"");
    assert!(give(&mut connections, &server(Kind::Received, TLS, 2, 55, 0), b"PING").is_empty());
    let made = give(&mut connections, &client(Kind::Sent, TLS, 2, 0, 0), b"PING");
    let pids = made[0].processes.each_ref().map(|process| process.as_ref().map(|process| process.pid));
    assert_eq!((shape(&made), pids), (vec![("data", 4)], [Some(1), Some(2)]));
}

#[test]
fn plaintext_ends_in_both_directions_when_the_end_that_tells_closes() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Sent, TLS, 1, 0, 0), b"PING");
    assert!(give(&mut connections, &client(Kind::FinReceived, 0, 2, 9, 9), b"").is_empty());
    give(&mut connections, &client(Kind::Received, TLS, 3, 0, 4), b"PONG");
    let made = give(&mut connections, &client(Kind::FinSent, 0, 4, 9, 9), b"");
    assert_eq!(shape(&made), [("fin", 0), ("fin", 0)]);
    assert_ne!(made[0].segment.source, made[1].segment.source);
}

#[test]
fn ciphertext_that_no_library_tells_of_is_told_after_all() {
    let mut connections = tracing_tls();
    let record = b"\x17\x03\x03\x00\x20";
    assert!(give(&mut connections, &client(Kind::Sent, 0, 1, 1000, 0), record).is_empty());
    assert!(give(&mut connections, &client(Kind::Sent, 0, 2, 1005, 0), record).is_empty());
    let made = give(&mut connections, &client(Kind::Sent, 0, 3_000_000_000, 1010, 0), record);
    assert_eq!(shape(&made), [("data", 5), ("hole", 5), ("data", 5)]);
    assert_eq!(made[0].payload, Payload::Kept(record.to_vec()));
    let mut plain = Connections::default();
    assert_eq!(give(&mut plain, &client(Kind::Sent, 0, 1, 1000, 0), record).len(), 1, "without --tls nothing is held");
}

#[test]
fn plain_bytes_before_tls_are_told_though_they_still_wait_for_their_turn() {
    let (mut connections, mut made) = (tracing_tls(), Vec::new());
    let plain = [client(Kind::Sent, 0, 1, 1000, 2000), client(Kind::Received, 0, 2, 2000, 1008)];
    let tied = client(Kind::Tied, TLS, 3, 1008, 2003);
    let turns = [plain[0], plain[1], tied].map(|event| (event, connections.arrive(&event, b"plain", 0, &mut made)));
    turns.iter().for_each(|(event, turn)| connections.tell((event, *turn), b"plain", 0, &mut made));
    assert_eq!(shape(&made), [("data", 5), ("data", 5)]);
    assert!(made.iter().all(|made| !made.processes.iter().flatten().any(|process| process.via != Via::Socket)));
    let secret = give(&mut connections, &client(Kind::Sent, TLS, 4, 0, 0), b"secret");
    assert_eq!(shape(&secret), [("syn", 0), ("syn", 0), ("data", 6)], "another flow");
}

#[test]
fn a_hello_behind_plain_bytes_is_held_as_that_of_a_connection_is() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Sent, 0, 1, 1000, 2000), b"STARTTLS");
    assert!(give(&mut connections, &client(Kind::Sent, 0, 2, 1008, 2003), b"\x16\x03\x01\x00\xf0\x01\x00").is_empty());
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Sent, 0, 1, 1000, 2000), b"SET");
    assert_eq!(give(&mut connections, &client(Kind::Sent, 0, 2, 1003, 2000), b"\x17\x03\x03\x00\x20").len(), 1);
}

#[test]
fn where_a_library_has_let_go_of_a_socket_its_bytes_are_plain_again() {
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Tied, TLS, 1, 1000, 2000), b"");
    give(&mut connections, &client(Kind::Sent, TLS, 2, 0, 0), b"secret");
    assert!(give(&mut connections, &client(Kind::Sent, 0, 3, 1300, 5000), b"not ours").is_empty());
    give(&mut connections, &client(Kind::Untied, TLS, 4, 6, 0), b"");
    let alert = give(&mut connections, &client(Kind::Sent, 0, 5, 1308, 5000), b"\x15\x03\x03\x00\x13");
    assert!(alert.is_empty(), "the end of the ciphertext");
    let made = give(&mut connections, &client(Kind::Sent, 0, 6, 1313, 5000), b"plain");
    assert_eq!(shape(&made), [("syn", 0), ("syn", 0), ("data", 5)]);
    let numbers: Vec<u32> = made.iter().map(|made| made.segment.tcp.seq).collect();
    assert_eq!(numbers, [1312, 4999, 1313]);
    let answer = give(&mut connections, &client(Kind::Received, 0, 7, 5000, 1318), b"answer");
    assert_eq!(shape(&answer), [("data", 6)], "no hole");
}

#[test]
fn a_connection_that_is_closed_after_its_library_let_go_ends_where_the_plaintext_does() {
    let mut connections = tracing_tls();
    let sent = give(&mut connections, &client(Kind::Sent, TLS, 1, 0, 0), b"PING");
    give(&mut connections, &client(Kind::Untied, TLS, 2, 4, 0), b"");
    let made = give(&mut connections, &client(Kind::FinSent, 0, 3, 99, 99), b"");
    assert_eq!((shape(&made), made[0].segment.tcp.seq), (vec![("fin", 0)], sent[0].segment.tcp.seq.wrapping_add(4)));
}

#[test]
fn a_connection_whose_plaintext_does_not_come_is_told_as_ciphertext_when_it_ends() {
    let record = b"\x16\x03\x01";
    for end in [Kind::FinSent, Kind::Reset, Kind::Gone] {
        let mut connections = tracing_tls();
        give(&mut connections, &client(Kind::Opened, 0, 1, 1000, 2000), b"");
        assert!(give(&mut connections, &client(Kind::Tied, TLS, 2, 1000, 2000), record).is_empty());
        assert!(give(&mut connections, &client(Kind::FinReceived, 0, 3, 4000, 1500), b"").is_empty());
        let made = give(&mut connections, &client(end, 0, 4, 1500, 4000), b"");
        assert_eq!(shape(&made)[..3], [("syn", 0), ("syn", 0), ("data", 3)]);
        assert_eq!((&made[2].payload, made[2].segment.tcp.seq), (&Payload::Kept(record.to_vec()), 1000));
    }
}

#[test]
fn at_the_end_of_the_trace_ciphertext_is_told_whose_plaintext_did_not_come() {
    let (mut connections, mut made) = (tracing_tls(), Vec::new());
    give(&mut connections, &server(Kind::Tied, TLS, 1, 2000, 1000), b"\x16\x03\x01");
    connections.finish(&mut made);
    assert_eq!((shape(&made), made[0].segment.source.port), (vec![("data", 3)], 40_000), "the client begins");
    connections.finish(&mut made);
    assert_eq!(made.len(), 1, "once");
    let mut connections = tracing_tls();
    give(&mut connections, &client(Kind::Tied, TLS, 1, 1000, 2000), b"\x16\x03\x01");
    give(&mut connections, &client(Kind::Sent, TLS, 2, 0, 0), b"secret");
    made.clear();
    connections.finish(&mut made);
    assert!(made.is_empty());
}
