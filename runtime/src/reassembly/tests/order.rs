//! Order between the directions.

use super::{SECOND, Tap, down, up};
use crate::reassembly::REORDER_PACKETS;

const NOTHING: [&str; 0] = [];

#[test]
fn answer_waits_for_its_request() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(down(500, 103, b"answer")), NOTHING);
    assert_eq!(tap.counters.out_of_turn, 1);
    assert_eq!(tap.send(up(100, 500, b"ask")), ["up 0 ask", "down 0 answer"]);
}

#[test]
fn conversation_in_reverse_is_put_in_order() {
    let mut tap = Tap::open();
    tap.send(down(503, 106, b"DEF"));
    tap.send(up(103, 503, b"def"));
    tap.send(down(500, 103, b"ABC"));
    let out = ["up 0 abc", "down 0 ABC", "up 3 def", "down 3 DEF"];
    assert_eq!(tap.send(up(100, 500, b"abc")), out);
}

#[test]
fn server_that_speaks_first_is_not_held() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(down(500, 100, b"welcome")), ["down 0 welcome"]);
}

#[test]
fn data_before_the_syn_ack_waits_for_it() {
    let mut tap = Tap::default();
    tap.send(up(99, 0, b"").syn().without_ack());
    assert_eq!(tap.send(up(100, 500, b"ask")), NOTHING);
    assert_eq!(tap.send(down(499, 100, b"").syn()), ["up 0 ask"]);
}

#[test]
fn one_sided_capture_is_delivered() {
    let mut tap = Tap::default();
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up 0 ask"]);
    assert_eq!(tap.send(up(103, 500, b"again")), ["up 3 again"]);
    assert_eq!(tap.send(up(108, 600, b"!")), NOTHING);
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["down 0 gap 100", "up 8 !"]);
}

#[test]
fn answer_to_a_request_that_was_not_captured_comes_after_the_gap() {
    let mut tap = Tap::open();
    tap.send(down(500, 103, b"answer"));
    assert_eq!(tap.pass(REORDER_PACKETS - 1, 9 * SECOND, false), NOTHING);
    assert_eq!(tap.pass(1, 0, false), ["up 0 gap 3", "down 0 answer"]);
}

#[test]
fn holes_on_both_sides_resolve() {
    let mut tap = Tap::open();
    tap.send(up(103, 506, b"def"));
    tap.send(down(503, 106, b"DEF"));
    tap.pass(REORDER_PACKETS, SECOND, false);
    let whole = tap.finish();
    assert_eq!(whole, NOTHING);
    assert!(!tap.flow.is_waiting());
    assert_eq!((tap.counters.gaps, tap.counters.gap_bytes), (2, 6));
}

#[test]
fn directions_that_wait_for_each_other_go_on_with_the_client() {
    let mut tap = Tap::open();
    tap.send(up(100, 503, b"abc"));
    tap.send(down(500, 103, b"ABC"));
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up 0 abc", "down 0 ABC"]);
    assert_eq!(tap.counters.order_waived, 1);
}

#[test]
fn original_shuffled_behind_its_retransmission_restores_the_order() {
    let mut tap = Tap::open();
    tap.send(up(100, 503, b"abc"));
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc"]);
    assert_eq!(tap.send(down(500, 103, b"ABC")), ["down 0 ABC"]);
    assert_eq!(tap.counters.order_waived, 0);
}

#[test]
fn too_much_held_out_of_turn_is_given_up() {
    let mut tap = Tap::open().with_limit(300);
    assert_eq!(tap.send(down(500, 103, &[b'x'; 100])), NOTHING);
    let out = tap.send(down(600, 103, &[b'y'; 100]));
    assert_eq!(out.first().map(String::as_str), Some("up 0 gap 3"));
    assert_eq!((out.len(), tap.flow.held_bytes()), (3, 0));
}
