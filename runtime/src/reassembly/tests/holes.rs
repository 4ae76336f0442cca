//! Out of order, repeated, overlapping, truncated, missing.

use super::{SECOND, Tap, down, up};
use crate::reassembly::REORDER_PACKETS;

const NOTHING: [&str; 0] = [];

#[test]
fn segments_out_of_order_are_put_in_order() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(106, 500, b"ghi")), NOTHING);
    assert_eq!(tap.send(up(103, 500, b"def")), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc", "up 3 def", "up 6 ghi"]);
    assert_eq!(tap.counters.out_of_order, 2);
    assert!(!tap.flow.is_waiting() && tap.flow.held_bytes() == 0);
}

#[test]
fn retransmission_is_counted_and_its_new_part_delivered() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"abc"));
    assert_eq!(tap.send(up(100, 500, b"abc")), NOTHING);
    assert_eq!(tap.send(up(101, 500, b"bcde")), ["up 3 de"]);
    assert_eq!(tap.counters.retransmitted_bytes, 5);
}

#[test]
fn overlapping_segment_keeps_first_bytes() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"DEF"));
    tap.send(up(101, 500, b"bcdEfgh"));
    assert_eq!(tap.send(up(100, 500, b"a")), ["up 0 a", "up 1 bc", "up 3 DEF", "up 6 gh"]);
    assert_eq!((tap.counters.overlapping_bytes, tap.counters.conflicting_bytes), (3, 2));
}

#[test]
fn segment_that_fills_a_hole_stops_at_held_bytes() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"DEF"));
    assert_eq!(tap.send(up(100, 500, b"abcdefgh")), ["up 0 abc", "up 3 DEF", "up 6 gh"]);
    assert_eq!((tap.counters.overlapping_bytes, tap.counters.conflicting_bytes), (3, 3));
}

#[test]
fn keep_alive_probe_leaves_its_garbage_byte_out() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"abc"));
    assert_eq!(tap.send(up(102, 500, b"\0")), NOTHING);
    assert_eq!(tap.send(down(500, 103, b"")), NOTHING);
    assert_eq!(tap.send(up(103, 500, b"d")), ["up 3 d"]);
    assert_eq!((tap.counters.keep_alives, tap.counters.retransmitted_bytes), (1, 0));
}

#[test]
fn keep_alive_probe_shuffled_before_the_data_loses_to_it() {
    let mut tap = Tap::open();
    tap.send(up(104, 500, b"\0"));
    tap.send(up(103, 500, b"de"));
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc", "up 3 d", "up 4 e"]);
}

#[test]
fn zero_window_probe_byte_is_delivered_once() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 500, b"a")), ["up 0 a"]);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 1 bc"]);
}

#[test]
fn sequence_number_out_of_window_is_counted_and_ignored() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(1_000_000_000, 500, b"far")), NOTHING);
    assert_eq!(tap.send(up(4_000_000_000, 500, b"far")), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc"]);
    assert_eq!(tap.counters.out_of_window, 2);
    assert!(!tap.flow.is_waiting());
}

#[test]
fn ack_out_of_window_binds_nobody() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 1_000_000_000, b"abc")), ["up 0 abc"]);
    assert_eq!(tap.send(up(103, 400, b"d")), ["up 3 d"]);
}

#[test]
fn truncated_segment_leaves_a_gap_at_its_end() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 500, b"abcdef").truncated(2)), ["up 0 ab", "up 2 gap 4"]);
    assert_eq!(tap.send(up(106, 500, b"gh")), ["up 6 gh"]);
    assert_eq!((tap.counters.truncated_bytes, tap.counters.gaps, tap.counters.gap_bytes), (4, 1, 4));
}

#[test]
fn truncated_tail_is_filled_by_bytes_that_were_there_first() {
    let mut tap = Tap::open();
    tap.send(up(104, 500, b"ef"));
    tap.send(up(103, 500, b"defgh").truncated(1));
    tap.send(up(108, 500, b"ij"));
    let out = ["up 0 abc", "up 3 d", "up 4 ef", "up 6 gap 2", "up 8 ij"];
    assert_eq!(tap.send(up(100, 500, b"abc")), out);
}

#[test]
fn segment_without_any_captured_payload_is_a_gap() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 500, b"abcdef").truncated(0)), ["up 0 gap 6"]);
}

#[test]
fn unacknowledged_hole_waits_for_packets_and_time() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    assert_eq!(tap.pass(REORDER_PACKETS, SECOND / 2, false), NOTHING);
    assert_eq!(tap.pass(0, SECOND, false), ["up 0 gap 3", "up 3 def"]);
    tap.send(up(109, 500, b"jkl"));
    assert_eq!(tap.pass(REORDER_PACKETS - 1, 5 * SECOND, false), NOTHING);
    assert_eq!(tap.pass(1, 0, false), ["up 6 gap 3", "up 9 jkl"]);
}

#[test]
fn late_retransmission_after_a_gap_is_ignored() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    tap.pass(REORDER_PACKETS, SECOND, false);
    assert_eq!(tap.send(up(100, 500, b"abc")), NOTHING);
    assert_eq!(tap.counters.retransmitted_bytes, 3);
}

#[test]
fn acknowledged_hole_waits_for_packets_only() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    tap.send(down(500, 106, b""));
    assert_eq!(tap.pass(REORDER_PACKETS - 1, 0, false), NOTHING);
    assert_eq!(tap.pass(1, 0, false), ["up 0 gap 3", "up 3 def"]);
}

#[test]
fn only_the_acknowledged_part_of_a_hole_is_given_up() {
    let mut tap = Tap::open();
    tap.send(up(110, 500, b"late"));
    tap.send(down(500, 104, b""));
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up 0 gap 4"]);
    assert_eq!(tap.send(up(104, 500, b"efghij")), ["up 4 efghij", "up 10 late"]);
}

#[test]
fn acknowledged_bytes_never_seen_are_a_gap_without_anything_behind_them() {
    let mut tap = Tap::open();
    tap.send(down(500, 150, b""));
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up 0 gap 50"]);
    assert!(!tap.flow.is_waiting());
}

#[test]
fn quiet_source_waives_the_packets_but_not_the_time() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    assert_eq!(tap.pass(0, SECOND / 2, true), NOTHING);
    assert_eq!(tap.pass(0, SECOND, true), ["up 0 gap 3", "up 3 def"]);
    tap.send(up(109, 500, b"jkl"));
    tap.send(down(500, 112, b""));
    assert_eq!(tap.pass(0, 0, true), ["up 6 gap 3", "up 9 jkl"]);
}

#[test]
fn time_does_not_go_back() {
    let mut tap = Tap::open();
    tap.now = 100 * SECOND;
    tap.send(down(500, 100, b""));
    let mut early = up(103, 500, b"def");
    early.at = Some(SECOND);
    tap.send(early);
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc", "up 3 def"]);
}

#[test]
fn oldest_hole_is_given_up_when_too_much_is_held() {
    let mut tap = Tap::open().with_limit(500);
    tap.send(up(102, 500, &[b'x'; 200]));
    assert_eq!(tap.send(up(310, 500, &[b'y'; 100])).len(), 0);
    assert_eq!(tap.flow.held_bytes(), 300 + 2 * 96);
    let out = tap.send(up(420, 500, b"z"));
    assert_eq!(out.first().map(String::as_str), Some("up 0 gap 2"));
    assert_eq!((out.len(), tap.counters.held_limit_exceeded), (2, 1));
    assert!(tap.flow.held_bytes() <= 500);
}

#[test]
fn many_tiny_segments_count_with_their_bookkeeping() {
    let mut tap = Tap::open().with_limit(10_000);
    for index in 0..1000 {
        tap.send(up(200 + 2 * index, 500, b"x"));
        assert!(tap.flow.held_bytes() <= 10_000);
    }
    assert!(tap.counters.held_limit_exceeded > 0);
}

#[test]
fn end_of_the_capture_delivers_what_is_held() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    tap.send(up(109, 520, b"jkl"));
    assert_eq!(tap.finish(), ["up 0 gap 3", "up 3 def", "up 6 gap 3", "down 0 gap 20", "up 9 jkl"]);
    assert!(!tap.flow.is_waiting());
}
