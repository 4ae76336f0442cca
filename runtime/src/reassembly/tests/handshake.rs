//! Where streams begin: handshakes, the middle of a stream, port reuse.

use super::{Direction, Observed, SECOND, Tap, down, up};
use crate::reassembly::REORDER_PACKETS;

const NOTHING: [&str; 0] = [];

#[test]
fn data_shuffled_before_its_syn_is_placed() {
    let mut tap = Tap::default();
    assert_eq!(tap.send(up(103, 500, b"def")), NOTHING);
    assert_eq!(tap.send(down(499, 100, b"").syn()), NOTHING);
    assert_eq!(tap.send(up(99, 0, b"").syn().without_ack()), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc", "up 3 def"]);
    assert!(!tap.flow.is_midstream(Direction::ToServer) && !tap.flow.is_midstream(Direction::ToClient));
}

#[test]
fn data_in_a_syn_is_delivered_once() {
    let mut tap = Tap::default();
    assert_eq!(tap.send(up(99, 0, b"fast").syn().without_ack()), ["up 0 fast"]);
    assert_eq!(tap.send(down(499, 104, b"").syn()), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"fast")), NOTHING);
    assert_eq!(tap.send(up(104, 500, b"er")), ["up 4 er"]);
    assert_eq!(tap.counters.retransmitted_bytes, 4);
}

#[test]
fn syn_ack_before_a_syn_with_data_does_not_hide_the_data() {
    let mut tap = Tap::default();
    assert_eq!(tap.send(down(499, 104, b"").syn()), NOTHING);
    assert_eq!(tap.send(up(99, 0, b"fast").syn().without_ack()), ["up 0 fast"]);
}

#[test]
fn sequence_numbers_wrap_around() {
    let mut tap = Tap::default();
    tap.send(up(u32::MAX - 2, 0, b"").syn().without_ack());
    tap.send(down(u32::MAX, u32::MAX - 1, b"").syn());
    assert_eq!(tap.send(up(2, 0, b"ef")), NOTHING);
    assert_eq!(tap.send(up(u32::MAX - 1, 0, b"abcd")), ["up 0 abcd", "up 4 ef"]);
    assert_eq!(tap.send(down(0, 4, b"yes")), ["down 0 yes"]);
}

#[test]
fn streams_grow_beyond_4_gib() {
    let (mut tap, step) = (Tap::open(), 32_u32 << 20);
    for round in 0..200_u32 {
        let mut sent = up(100_u32.wrapping_add(step.wrapping_mul(round)), 500, b"x");
        sent.len = step;
        assert_eq!(tap.send(sent).len(), 2);
    }
    assert_eq!(tap.send(up(100_u32.wrapping_add(step.wrapping_mul(200)), 500, b"end")), ["up 6710886400 end"]);
}

#[test]
fn midstream_bytes_are_held_until_no_earlier_ones_can_come() {
    let mut tap = Tap::default();
    assert_eq!(tap.send(up(1010, 7000, b"second")), NOTHING);
    assert_eq!(tap.send(up(1005, 7000, b"first")), NOTHING);
    assert_eq!(tap.pass(REORDER_PACKETS - 2, 0, false), NOTHING);
    assert_eq!(tap.pass(2, 0, false), ["up 0 first", "up 5 second"]);
    assert!(tap.flow.is_midstream(Direction::ToServer));
    assert_eq!(tap.counters.midstream, 2);
}

#[test]
fn midstream_bytes_are_delivered_when_the_source_is_quiet() {
    let mut tap = Tap::default();
    assert_eq!(tap.send(up(1000, 7000, b"hello")), NOTHING);
    assert_eq!(tap.pass(0, 0, true), ["up 0 hello"]);
}

#[test]
fn unseen_opposite_stream_begins_at_the_ack_number() {
    let mut tap = Tap::default();
    tap.send(up(1000, 7000, b"hello"));
    tap.pass(REORDER_PACKETS, 0, false);
    assert_eq!(tap.send(down(6990, 1005, b"an old one")), NOTHING);
    assert_eq!(tap.send(down(7000, 1005, b"reply")), ["down 0 reply"]);
    assert_eq!(tap.counters.retransmitted_bytes, 10);
}

#[test]
fn lone_byte_at_a_midstream_start_is_a_keep_alive_probe() {
    let mut tap = Tap::default();
    tap.send(up(999, 7000, b"\0"));
    assert_eq!(tap.pass(0, 0, true), NOTHING);
    tap.send(up(1000, 7000, b"hello"));
    assert_eq!(tap.pass(0, 0, true), ["up 0 hello"]);
}

#[test]
fn missing_answer_before_the_first_bytes_is_a_gap() {
    let mut tap = Tap::default();
    tap.send(up(1000, 7000, b"ask"));
    tap.send(down(7000, 1003, b""));
    tap.send(up(1003, 7010, b"again"));
    tap.send(down(7010, 1008, b"second"));
    let out = ["up 0 ask", "down 0 gap 10", "up 3 again", "down 10 second"];
    assert_eq!(tap.finish(), out);
}

#[test]
fn missing_answer_across_the_wrap_around_is_a_gap() {
    let mut tap = Tap::default();
    tap.send(up(u32::MAX, u32::MAX - 3, b"ask"));
    tap.send(down(u32::MAX - 3, 2, b""));
    tap.send(up(2, 6, b"again"));
    tap.send(down(6, 7, b"second"));
    assert_eq!(tap.finish(), ["up 0 ask", "down 0 gap 10", "up 3 again", "down 10 second"]);
}

#[test]
fn missing_answer_after_a_lost_syn_ack_is_a_gap() {
    let mut tap = Tap::default();
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(up(100, 500, b"ask"));
    tap.send(down(510, 103, b"late"));
    assert_eq!(tap.pass(REORDER_PACKETS, SECOND, false), ["up 0 ask", "down 0 gap 10", "down 10 late"]);
}

#[test]
fn bytes_sent_before_the_first_request_came_are_no_missing_answer() {
    let mut tap = Tap::default();
    tap.send(up(1000, 7000, b"ask"));
    tap.send(down(7010, 1000, b"rest of an old one"));
    tap.send(down(7028, 1003, b"answer"));
    let out = ["up 0 ask", "down 0 rest of an old one", "down 18 answer"];
    assert_eq!(tap.finish().concat(), out.concat());
}

#[test]
fn ack_of_an_empty_segment_and_far_ones_ask_for_nothing() {
    for (ack, bytes) in [(6990, &b""[..]), (0, b"ask"), (1_000_000_000, b"ask")] {
        let mut tap = Tap::default();
        tap.send(up(1000, ack, bytes));
        tap.send(down(7000, 1003, b"answer"));
        assert_eq!(tap.finish().last().map(String::as_str), Some("down 0 answer"), "{ack}");
    }
}

#[test]
fn lone_byte_where_the_peer_asked_is_an_answers_first() {
    let mut tap = Tap::default();
    tap.send(up(1000, 7000, b"ask"));
    tap.send(down(7000, 1003, b"a"));
    tap.send(down(7001, 1003, b"nswer"));
    assert_eq!(tap.finish(), ["up 0 ask", "down 0 a", "down 1 nswer"]);
}

#[test]
fn lone_byte_below_where_the_peer_asked_is_a_keep_alive_probe() {
    let mut tap = Tap::default();
    tap.send(down(6999, 1000, b"\0"));
    tap.send(up(1000, 7000, b"ask"));
    tap.send(down(7000, 1003, b"answer"));
    assert_eq!(tap.finish(), ["up 0 ask", "down 0 answer"]);
}

#[test]
fn opener_seen_late_turns_the_flow_round() {
    let mut tap = Tap::default();
    tap.send(up(500, 103, b"from the server"));
    let syn = down(99, 0, b"").syn().without_ack();
    assert_eq!(tap.observe(&syn).0, Observed::Reversed);
    tap.flow.reverse();
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(down(499, 100, b"").syn());
    assert_eq!(tap.send(up(100, 500, b"ask")), ["up 0 ask", "down 0 from the server"]);
}

#[test]
fn first_direction_is_the_clients_unless_it_is_a_syn_ack() {
    assert_eq!(Direction::of_first(&up(1, 2, b"").tcp), Direction::ToServer);
    assert_eq!(Direction::of_first(&up(1, 2, b"").syn().without_ack().tcp), Direction::ToServer);
    assert_eq!(Direction::of_first(&down(1, 2, b"").syn().tcp), Direction::ToClient);
}

#[test]
fn retransmitted_syn_changes_nothing() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.observe(&up(99, 0, b"").syn().without_ack()).0, Observed::Taken);
    assert_eq!(tap.send(down(500, 103, b"answer")), ["down 0 answer"]);
}

#[test]
fn new_syn_is_a_new_connection() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.observe(&up(5000, 0, b"").syn().without_ack()).0, Observed::NewConnection);
    let mut midstream = Tap::default();
    midstream.send(down(7000, 1000, b"hello"));
    midstream.pass(REORDER_PACKETS, 0, false);
    assert_eq!(midstream.observe(&up(5000, 0, b"").syn().without_ack()).0, Observed::NewConnection);
}

#[test]
fn run_of_strays_is_a_new_connection() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    let stray = up(2_000_000_000, 500, b"stray");
    for _ in 1..crate::assembler::STRAY_RUN {
        assert_eq!(tap.observe(&stray).0, Observed::Ignored);
    }
    assert_eq!(tap.observe(&stray).0, Observed::NewConnection);
    assert_eq!(tap.counters.out_of_window, u64::from(crate::assembler::STRAY_RUN) - 1);
}
