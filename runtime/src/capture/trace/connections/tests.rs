//! What two sockets' events amount to, as segments: who sent what from which number on, and what is missing for good.

use std::net::IpAddr;

use super::{Connections, Made, Payload, Turn};
use crate::capture::trace::event::{Event, Kind, layout};
use crate::packet::{Endpoint, GivenUp};

mod turns;

const CLIENT: u32 = 1000;
const SERVER: u32 = 5000;

fn ends() -> (Endpoint, Endpoint) {
    let end = |port| Endpoint { ip: "127.0.0.1".parse::<IpAddr>().unwrap(), port };
    (end(40_000), end(6379))
}

/// An event at the client's end, and the same at the server's.
fn at_client(kind: Kind, seq: u32) -> Event {
    let (local, remote) = ends();
    Event {
        at: 0,
        socket: 1,
        tgid: 11,
        comm: *b"client\0\0\0\0\0\0\0\0\0\0",
        seq,
        ack: if matches!(kind, Kind::Sent) { SERVER } else { CLIENT },
        first: SERVER,
        missing: 0,
        kind,
        flags: 0,
        local,
        remote,
    }
}

fn at_server(kind: Kind, seq: u32) -> Event {
    let (remote, local) = ends();
    let ack = if matches!(kind, Kind::Sent) { CLIENT } else { SERVER };
    let comm = *b"server\0\0\0\0\0\0\0\0\0\0";
    Event { socket: 2, tgid: 22, comm, ack, first: CLIENT, local, remote, ..at_client(kind, seq) }
}

fn opened() -> Event {
    Event { ack: SERVER, ..at_client(Kind::Opened, CLIENT) }
}

/// The same when its program had come so far in the other direction.
fn after(ack: u32, event: Event) -> Event {
    Event { ack, ..event }
}

/// The same in the next connection of these ports.
fn again(event: Event) -> Event {
    Event { seq: event.seq + 90_000, ack: event.ack + 90_000, first: event.first + 90_000, ..event }
}

/// What events with so many bytes amount to, all of them having arrived before the first one's turn.
fn told(events: &[(Event, usize)]) -> Vec<Made> {
    let (mut connections, mut made) = (Connections::default(), Vec::new());
    let mut waiting = Vec::new();
    for (event, len) in events {
        let turn = connections.arrive(event, &vec![0; *len], 7, &mut made);
        if let Turn::At(at) | Turn::SpareAt(at) = turn {
            waiting.push((at, turn, event, len));
        }
    }
    waiting.sort_by_key(|(at, ..)| *at);
    for (_, turn, event, len) in waiting {
        connections.tell((event, turn), &vec![0; *len], 7, &mut made);
    }
    made
}

/// An event at that time, in nanoseconds.
fn when(at: u64, event: Event) -> Event {
    Event { at, ..event }
}

/// Port of the sender, number, bytes with and without payload, and S, F, R.
fn brief(made: &[Made]) -> Vec<String> {
    let line = |made: &Made| {
        let segment = &made.segment;
        let marks = [(segment.tcp.syn, " S"), (segment.tcp.fin, " F"), (segment.tcp.rst, " R")];
        let marks: String = marks.iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| *mark).collect();
        let gap = if made.payload == Payload::None && segment.payload_len > 0 { " gap" } else { "" };
        format!("{} {}+{}{gap}{marks}", segment.source.port, segment.tcp.seq, segment.payload_len)
    };
    made.iter().map(line).collect()
}

#[test]
fn a_connection_begins_with_its_first_bytes_and_ends_with_its_marks() {
    let made = told(&[
        (opened(), 0),
        (at_client(Kind::Sent, CLIENT), 10),
        (at_client(Kind::Received, SERVER), 20),
        (at_client(Kind::FinSent, CLIENT + 10), 0),
        (at_client(Kind::FinReceived, SERVER + 20), 0),
        (at_client(Kind::Gone, CLIENT + 11), 0),
    ]);
    let expected =
        ["40000 999+0 S", "6379 4999+0 S", "40000 1000+10", "6379 5000+20", "40000 1010+0 F", "6379 5020+0 F"];
    assert_eq!(brief(&made), expected);
}

#[test]
fn the_marks_of_others_connections_are_not_told() {
    assert!(
        told(&[(opened(), 0), (at_client(Kind::FinSent, CLIENT), 0), (at_client(Kind::Reset, CLIENT), 0)]).is_empty()
    );
}

#[test]
fn a_connection_that_is_older_than_the_trace_has_no_beginning() {
    assert_eq!(brief(&told(&[(at_client(Kind::Sent, 77), 5)])), ["40000 77+5"]);
}

#[test]
fn of_bytes_seen_at_both_ends_the_client_tells_and_both_processes_are_known() {
    let made = told(&[
        (opened(), 0),
        (at_client(Kind::Sent, CLIENT), 10),
        (at_server(Kind::Received, CLIENT), 10),
        (after(CLIENT + 10, at_server(Kind::Sent, SERVER)), 20),
        (after(CLIENT + 10, at_client(Kind::Received, SERVER)), 20),
    ]);
    assert_eq!(brief(&made)[2..], ["40000 1000+10", "6379 5000+20"]);
    let pids = made.last().unwrap().processes.each_ref().map(|process| process.as_ref().unwrap().pid);
    assert_eq!(pids, [22, 11]);
}

#[test]
fn bytes_that_no_call_moved_are_a_gap_where_nobody_else_can_tell_of_them() {
    let events = [(opened(), 0), (at_client(Kind::Sent, CLIENT), 10), (at_client(Kind::Sent, CLIENT + 110), 10)];
    assert_eq!(brief(&told(&events))[2..], ["40000 1000+10", "40000 1010+100 gap", "40000 1110+10"]);
    let both = [&events[..], &[(at_server(Kind::Received, CLIENT), 120)]].concat();
    assert_eq!(brief(&told(&both))[2..], ["40000 1000+10", "40000 1110+10", "40000 1000+120"]);
}

#[test]
fn bytes_that_no_call_moved_before_a_fin_are_a_gap() {
    let sent = [(opened(), 0), (at_client(Kind::Sent, CLIENT), 10), (at_client(Kind::FinSent, CLIENT + 110), 0)];
    assert_eq!(brief(&told(&sent))[2..], ["40000 1000+10", "40000 1010+100 gap", "40000 1110+0 F"]);
    // What came and was not read may be read yet.
    let came = [(opened(), 0), (at_client(Kind::Received, SERVER), 10), (at_client(Kind::FinReceived, SERVER + 30), 0)];
    assert_eq!(brief(&told(&came))[2..], ["6379 5000+10", "6379 5030+0 F"]);
}

#[test]
fn bytes_at_the_beginning_that_were_not_seen_are_a_gap() {
    let made = told(&[(opened(), 0), (at_client(Kind::Received, SERVER + 50), 10)]);
    assert_eq!(brief(&made)[2..], ["6379 5000+50 gap", "6379 5050+10"]);
}

#[test]
fn bytes_that_were_not_copied_count_for_the_segment() {
    let cut = Event { missing: 90, ..at_client(Kind::Sent, CLIENT) };
    let made = told(&[(opened(), 0), (cut, 10), (at_client(Kind::Sent, CLIENT + 100), 10)]);
    assert_eq!(brief(&made)[2..], ["40000 1000+100", "40000 1100+10"]);
}

#[test]
fn bytes_that_neither_end_tells_are_a_gap_once_both_have_had_their_time() {
    let late = super::holes::PATIENCE;
    let events = [
        (opened(), 0),
        (after(CLIENT, at_server(Kind::Accepted, SERVER)), 0),
        (at_client(Kind::Sent, 1000), 10),
        (after(1010, at_server(Kind::Sent, 5000)), 10),
        (after(1010, at_client(Kind::Received, 5000)), 10),
        // 100 bytes from a file, which no call of either told.
        (when(1, after(1010, at_client(Kind::Received, 5110))), 10),
        (when(late, after(5120, at_client(Kind::Sent, 1010))), 10),
        (when(late + 1, after(5120, at_client(Kind::Sent, 1020))), 10),
    ];
    // What the server told may have been the hole's, so it is told as well.
    let spare = "6379 5000+10";
    assert_eq!(
        brief(&told(&events))[2..],
        ["40000 1000+10", "6379 5000+10", "6379 5110+10", spare, "40000 1010+10", "6379 5010+100 gap", "40000 1020+10"]
    );
}

#[test]
fn numbers_that_wrap_leave_no_gap() {
    let begin = u32::MAX - 4;
    let sent = |after: u32| (at_client(Kind::Sent, begin.wrapping_add(after)), 10);
    let made = told(&[sent(0), sent(10), sent(30)]);
    assert_eq!(brief(&made), ["40000 4294967291+10", "40000 5+10", "40000 15+10 gap", "40000 25+10"]);
}

/// Bytes 0 to 99 were sent, then 50 more by another thread before the first one's call had ended.
#[test]
fn of_two_callers_at_once_neither_tells_and_their_bytes_are_a_gap() {
    let claims = [(opened(), 0), (at_client(Kind::Sent, CLIENT + 50), 100), (at_client(Kind::Sent, CLIENT + 100), 50)];
    let later = (at_client(Kind::Sent, CLIENT + 150), 10);
    assert_eq!(brief(&told(&[&claims[..], &[later]].concat()))[2..], ["40000 1000+150 gap", "40000 1150+10"]);
    // If the server is traced, too, it tells.
    let read = [(at_server(Kind::Received, CLIENT), 50), (at_server(Kind::Received, CLIENT + 50), 100)];
    let both = told(&[&claims[..], &read, &[later]].concat());
    assert_eq!(brief(&both)[2..], ["40000 1000+50", "40000 1050+100", "40000 1150+10"]);
    let both = told(&[&claims[..2], &read, &claims[2..], &[later]].concat());
    assert_eq!(brief(&both)[2..], ["40000 1000+50", "40000 1050+100", "40000 1150+10"]);
}

/// What the kernel found to be right behind the last bytes, and the server so leaves out.
#[test]
fn callers_at_once_do_not_take_away_what_is_sure() {
    let early = after(SERVER + 20, at_client(Kind::Sent, CLIENT));
    let sure = Event { flags: layout::EVENT_ONLY as u8, ..early };
    let claims = [(at_client(Kind::Sent, CLIENT + 50), 100), (at_client(Kind::Sent, CLIENT + 100), 50)];
    let told = |first| brief(&told(&[&[(opened(), 0), (first, 10)], &claims[..]].concat()));
    assert_eq!(told(sure)[2..], ["40000 1000+10"]);
    assert!(told(early).is_empty(), "it may be another call's");
}

#[test]
fn a_clients_reset_is_told_after_what_the_server_sent_shortly_before() {
    let request = [(opened(), 0), (at_client(Kind::Sent, CLIENT), 10), (at_server(Kind::Received, CLIENT), 10)];
    let response = after(CLIENT + 10, at_server(Kind::Sent, SERVER));
    for sooner in [1, 5_000_000, 9_999_999] {
        let end =
            [(when(20_000_000 - sooner, response), 20), (when(20_000_000, at_client(Kind::Reset, CLIENT + 10)), 0)];
        let made = told(&[&request[..], &end].concat());
        assert_eq!(brief(&made)[2..], ["40000 1000+10", "6379 5000+20", "40000 1010+0 R"], "{sooner} ns before");
    }
}

#[test]
fn the_same_ports_are_used_by_a_later_connection() {
    let made = told(&[
        (opened(), 0),
        (at_client(Kind::Sent, CLIENT), 10),
        (at_client(Kind::Reset, CLIENT + 10), 0),
        (again(opened()), 0),
        (again(at_client(Kind::Sent, CLIENT)), 5),
    ]);
    assert_eq!(brief(&made)[3..], ["40000 1010+0 R", "40000 90999+0 S", "6379 94999+0 S", "40000 91000+5"]);
}

/// The client did not wait for the answer, or its receipt was lost; and then it asks anew.
#[test]
fn what_waits_of_a_connection_is_told_before_the_next_one_begins() {
    let old = [
        (opened(), 0),
        (after(CLIENT, at_server(Kind::Accepted, SERVER)), 0),
        (at_client(Kind::Sent, CLIENT), 10),
        (after(CLIENT + 10, at_server(Kind::Sent, SERVER)), 20),
    ];
    let new = [
        (when(1_000_000, again(opened())), 0),
        (when(1_000_000, again(after(CLIENT, at_server(Kind::Accepted, SERVER)))), 0),
        (when(2_000_000, again(at_client(Kind::Sent, CLIENT))), 5),
        (when(3_000_000, again(after(CLIENT + 5, at_server(Kind::Sent, SERVER)))), 7),
        (when(4_000_000, again(after(CLIENT + 5, at_client(Kind::Received, SERVER)))), 7),
    ];
    let expected =
        ["40000 1000+10", "6379 5000+20", "40000 90999+0 S", "6379 94999+0 S", "40000 91000+5", "6379 95000+7"];
    assert_eq!(brief(&told(&[&old[..], &new[..]].concat()))[2..], expected);
    // So on a busy machine, where what should have been told long ago still waits.
    let late = new.map(|(event, len)| (when(event.at + 50_000_000, event), len));
    assert_eq!(brief(&told(&[&old[..], &late[..]].concat()))[2..], expected);
    // The server's call returns when the next connection is under way.
    assert_eq!(brief(&told(&[&old[..3], &new[..4], &old[3..], &new[4..]].concat()))[2..], expected);
}

#[test]
fn bytes_of_a_connection_that_come_in_the_next_one_are_told_by_nobody_and_counted() {
    let (mut connections, mut made) = (Connections::default(), Vec::new());
    let next = [opened(), at_client(Kind::Sent, CLIENT)].map(|event| when(100_000_000, again(event)));
    for event in [&[opened(), at_client(Kind::Sent, CLIENT)], &next].into_iter().flatten() {
        connections.arrive(event, &[0; 5], 0, &mut made);
    }
    assert_eq!(brief(&made)[2..4], ["40000 1000+5", "40000 90999+0 S"]);
    for event in [at_server(Kind::Received, CLIENT), at_server(Kind::Sent, SERVER), at_server(Kind::FinSent, SERVER)] {
        assert_eq!(connections.arrive(&event, &[0; 5], 0, &mut made), Turn::Never);
    }
    // Nobody remembers by then that the client told the first five.
    assert_eq!((made.len(), connections.unplaced_bytes), (6, 10));
}

#[test]
fn only_living_sockets_are_muted() {
    let (mut connections, mut made) = (Connections::default(), Vec::new());
    let (client, server) = ends();
    for event in [at_client(Kind::Sent, CLIENT), at_server(Kind::Received, CLIENT)] {
        connections.arrive(&event, &[0; 4], 0, &mut made);
    }
    let given_up = |at| GivenUp { a: server, b: client, at };
    let mut sockets: Vec<(u64, u32)> = connections.sockets(&given_up(0), 0).collect();
    sockets.sort_unstable();
    assert_eq!(sockets, [(1, SERVER), (2, CLIENT)]);
    connections.segments(&at_client(Kind::Gone, CLIENT), &[], 0, &mut made);
    assert_eq!(connections.sockets(&given_up(0), 0).collect::<Vec<_>>(), [(2, CLIENT)]);
    // The next connection between the same ends.
    connections.arrive(&again(opened()), &[], 100, &mut made);
    connections.arrive(&again(at_client(Kind::Sent, CLIENT)), &[0; 4], 101, &mut made);
    assert_eq!(connections.sockets(&given_up(99), 0).count(), 0);
    assert!(connections.sockets(&given_up(101), 0).count() > 0);
}
