//! When events are told: at once where they follow what was told, in the order of time where they do not.

use super::{CLIENT, Connections, Event, Kind, SERVER, Turn, after, at_client, at_server, opened};
use crate::capture::trace::HOLD;
use crate::capture::trace::connections::turn::SERVER_DELAY;
use crate::capture::trace::event::layout;

/// A connection whose opening was seen.
fn open() -> Connections {
    let mut connections = Connections::default();
    assert_eq!(arrive(&mut connections, 0, opened(), 0), Turn::Never);
    connections
}

fn arrive(connections: &mut Connections, at: u64, event: Event, len: usize) -> Turn {
    connections.arrive(&Event { at, ..event }, &vec![0; len], at, &mut Vec::new())
}

/// Numbers of the segments with bytes that an event amounts to once it waited.
fn tell(connections: &mut Connections, event: Event, turn: Turn, len: usize) -> Vec<u32> {
    let mut made = Vec::new();
    connections.tell((&event, turn), &vec![0; len], event.at, &mut made);
    made.iter().filter(|made| made.segment.payload_len > 0).map(|made| made.segment.tcp.seq).collect()
}

#[test]
fn what_follows_what_was_told_is_told_at_once() {
    let mut connections = open();
    for round in 0..100 {
        let (asked, answered) = (CLIENT + round * 10, SERVER + round * 20);
        let request = after(answered, at_client(Kind::Sent, asked));
        assert_eq!(arrive(&mut connections, 1, request, 10), Turn::Now);
        let response = after(asked + 10, at_client(Kind::Received, answered));
        assert_eq!(arrive(&mut connections, 1, response, 20), Turn::Now);
    }
}

#[test]
fn an_older_connection_begins_with_the_first_event() {
    let mut connections = Connections::default();
    let response = after(77, at_server(Kind::Sent, 99));
    assert_eq!(arrive(&mut connections, 1, response, 10), Turn::Now);
    assert_eq!(arrive(&mut connections, 1, after(109, at_server(Kind::Received, 77)), 10), Turn::Now);
}

#[test]
fn a_response_waits_for_a_request_whose_call_has_not_returned() {
    let mut connections = open();
    let request = at_client(Kind::Sent, CLIENT);
    let response = after(CLIENT + 10, at_client(Kind::Received, SERVER));
    assert_eq!(arrive(&mut connections, 9, response, 20), Turn::At(9));
    assert_eq!(arrive(&mut connections, 5, request, 10), Turn::At(5), "it began before the response came");
    // What comes soon after is sorted by time, what comes later follows what waits.
    let second = |begin| after(SERVER + 20, at_client(Kind::Sent, begin));
    assert_eq!(arrive(&mut connections, 20, second(CLIENT + 10), 10), Turn::At(20));
    assert_eq!(arrive(&mut connections, 2 * HOLD, second(CLIENT + 20), 10), Turn::At(9 + HOLD));
    assert_eq!(tell(&mut connections, request, Turn::At(5), 10), [CLIENT]);
    assert_eq!(tell(&mut connections, response, Turn::At(9), 20), [SERVER]);
    assert_eq!(tell(&mut connections, second(CLIENT + 10), Turn::At(20), 10), [CLIENT + 10]);
    assert_eq!(arrive(&mut connections, 2 * HOLD + 1, second(CLIENT + 30), 10), Turn::At(9 + HOLD), "one still waits");
    assert_eq!(tell(&mut connections, second(CLIENT + 20), Turn::At(9 + HOLD), 10), [CLIENT + 20]);
    assert_eq!(tell(&mut connections, second(CLIENT + 30), Turn::At(9 + HOLD), 10), [CLIENT + 30]);
    assert_eq!(arrive(&mut connections, 3 * HOLD, second(CLIENT + 40), 10), Turn::Now, "all is in order again");
}

#[test]
fn what_the_client_told_is_dropped_at_the_server_early_or_late() {
    let mut connections = open();
    assert_eq!(arrive(&mut connections, 1, at_client(Kind::Sent, CLIENT), 10), Turn::Now);
    assert_eq!(arrive(&mut connections, 2, at_server(Kind::Received, CLIENT), 10), Turn::Never);
    let response = after(CLIENT + 10, at_server(Kind::Sent, SERVER));
    let turn = arrive(&mut connections, 3, response, 20);
    assert_eq!(turn, Turn::SpareAt(3 + SERVER_DELAY));
    let receipt = after(CLIENT + 10, at_client(Kind::Received, SERVER));
    assert_eq!(arrive(&mut connections, 4, receipt, 20), Turn::Now, "a spare is in nobody's way");
    assert!(tell(&mut connections, response, turn, 20).is_empty());
}

#[test]
fn a_server_that_is_the_first_to_tell_of_a_local_connection_waits_for_the_client() {
    for is_client_traced in [true, false] {
        let mut connections = open();
        assert_eq!(arrive(&mut connections, 0, after(CLIENT, at_server(Kind::Accepted, SERVER)), 0), Turn::Never);
        let (receipt, request) = (at_server(Kind::Received, CLIENT), at_client(Kind::Sent, CLIENT));
        let response = after(CLIENT + 10, at_server(Kind::Sent, SERVER));
        assert_eq!(arrive(&mut connections, 5, receipt, 10), Turn::SpareAt(5));
        assert_eq!(arrive(&mut connections, 6, response, 20), Turn::SpareAt(6));
        if is_client_traced {
            assert_eq!(arrive(&mut connections, 4, request, 10), Turn::Now);
            assert!(tell(&mut connections, receipt, Turn::SpareAt(5), 10).is_empty());
        } else {
            assert_eq!(tell(&mut connections, receipt, Turn::SpareAt(5), 10), [CLIENT]);
        }
        assert_eq!(tell(&mut connections, response, Turn::SpareAt(6), 20), [SERVER]);
        let next = after(SERVER + 20, at_server(Kind::Received, CLIENT + 10));
        let turn = arrive(&mut connections, HOLD, next, 10);
        assert_eq!(turn, if is_client_traced { Turn::SpareAt(HOLD) } else { Turn::Now });
    }
}

#[test]
fn what_the_client_did_not_tell_the_server_does() {
    let mut connections = open();
    assert_eq!(arrive(&mut connections, 1, at_client(Kind::Sent, CLIENT), 10), Turn::Now);
    assert_eq!(arrive(&mut connections, 2, at_server(Kind::Received, CLIENT), 10), Turn::Never);
    // 100 bytes go out by other means.
    let behind = at_client(Kind::Sent, CLIENT + 110);
    assert_eq!(arrive(&mut connections, 4, behind, 10), Turn::At(4));
    let all = at_server(Kind::Received, CLIENT + 10);
    assert_eq!(arrive(&mut connections, 5, all, 110), Turn::SpareAt(5));
    assert_eq!(tell(&mut connections, behind, Turn::At(4), 10), [CLIENT + 110]);
    assert_eq!(tell(&mut connections, all, Turn::SpareAt(5), 110), [CLIENT + 10]);
    let next = at_client(Kind::Sent, CLIENT + 120);
    assert_eq!(arrive(&mut connections, 6, next, 10), Turn::Now, "the hole is behind it");
}

#[test]
fn marks_wait_for_late_bytes_and_those_of_the_server_for_its_bytes() {
    let mut connections = open();
    arrive(&mut connections, 1, at_client(Kind::Sent, CLIENT), 10);
    arrive(&mut connections, 2, at_server(Kind::Received, CLIENT), 10);
    assert_eq!(arrive(&mut connections, 3, at_client(Kind::FinSent, CLIENT + 10), 0), Turn::At(3));
    assert_eq!(arrive(&mut connections, 4, at_server(Kind::FinSent, SERVER), 0), Turn::At(4 + SERVER_DELAY));
}

#[test]
fn numbers_wrap() {
    let mut connections = Connections::default();
    let mut at = u32::MAX - 25;
    for _ in 0..10 {
        assert_eq!(arrive(&mut connections, 1, after(7, at_client(Kind::Sent, at)), 10), Turn::Now);
        assert_eq!(arrive(&mut connections, 1, after(7, at_server(Kind::Received, at)), 10), Turn::Never);
        at = at.wrapping_add(10);
    }
}

#[test]
fn what_the_other_end_leaves_out_is_told_as_it_comes_whoever_is_the_client() {
    let (only, mut connections) = (|event| Event { flags: layout::EVENT_ONLY as u8, ..event }, Connections::default());
    let (request, receipt) = (at_server(Kind::Sent, 77), at_client(Kind::Received, 77));
    let ack = 99;
    assert_eq!(arrive(&mut connections, 1, after(ack, request), 10), Turn::Now, "nobody else was heard yet");
    assert_eq!(arrive(&mut connections, 2, after(ack, receipt), 10), Turn::Never);
    assert_eq!(arrive(&mut connections, 3, after(ack, only(at_server(Kind::Sent, 87))), 10), Turn::Now);
    let next = arrive(&mut connections, 4, after(ack, at_server(Kind::Sent, 97)), 10);
    assert_eq!(next, Turn::SpareAt(4 + SERVER_DELAY), "by its port it is the server");
}

#[test]
fn a_server_that_left_out_much_is_heard_again() {
    let mut connections = open();
    arrive(&mut connections, 1, at_client(Kind::Sent, CLIENT), 10);
    arrive(&mut connections, 2, at_server(Kind::Received, CLIENT), 10);
    let mut at = CLIENT + 10;
    for _ in 0..1024 {
        let only = Event { flags: layout::EVENT_ONLY as u8, ..at_client(Kind::Sent, at) };
        assert_eq!(arrive(&mut connections, 3, only, 8192), Turn::Now);
        at += 8192;
    }
    assert_eq!(arrive(&mut connections, 4, at_client(Kind::Sent, at), 10), Turn::Now);
    assert_eq!(arrive(&mut connections, 5, at_server(Kind::Received, at), 10), Turn::Never);
    assert_eq!(connections.concurrent_bytes, 0);
}
