//! FIN and RST.

use super::{Observed, SECOND, Tap, down, up};
use crate::reassembly::REORDER_PACKETS;

const NOTHING: [&str; 0] = [];

#[test]
fn fins_close_both_directions() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(100, 500, b"bye").fin()), ["up 0 bye", "up fin"]);
    assert!(!tap.flow.is_closed());
    assert_eq!(tap.send(down(500, 104, b"bye")), ["down 0 bye"]);
    assert_eq!(tap.send(down(503, 104, b"").fin()), ["down fin"]);
    assert_eq!(tap.send(up(104, 504, b"")), NOTHING);
    assert!(tap.flow.is_closed() && !tap.flow.is_waiting() && tap.flow.counters.is_none());
}

#[test]
fn fin_waits_for_the_bytes_before_it() {
    let mut tap = Tap::open();
    assert_eq!(tap.send(up(103, 500, b"def").fin()), NOTHING);
    assert_eq!(tap.send(down(500, 107, b"").fin()), NOTHING);
    assert_eq!(tap.send(up(100, 500, b"abc")), ["up 0 abc", "up 3 def", "up fin", "down fin"]);
}

#[test]
fn fin_shuffled_before_the_answer_it_acknowledges_waits() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.send(up(103, 506, b"").fin()), NOTHING);
    assert_eq!(tap.send(down(500, 103, b"answer")), ["down 0 answer", "up fin"]);
}

#[test]
fn gap_before_a_fin_ends_at_it() {
    let mut tap = Tap::open();
    tap.send(up(110, 500, b"").fin());
    tap.send(down(500, 111, b""));
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up 0 gap 10", "up fin"]);
}

#[test]
fn fin_that_was_not_captured_is_no_gap() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.send(down(500, 104, b"answer")), NOTHING);
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["down 0 answer"]);
    assert_eq!(tap.send(down(506, 104, b" goes on")), ["down 6  goes on"]);
    assert!(tap.counters.gaps == 0 && !tap.flow.is_waiting());
}

#[test]
fn late_segments_after_a_close_make_no_garbage() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"bye").fin());
    tap.send(down(500, 104, b"").fin());
    assert_eq!(tap.send(up(100, 500, b"bye").fin()), NOTHING);
    assert_eq!(tap.observe(&up(104, 501, b"data behind the fin")).0, Observed::Ignored);
    assert_eq!(tap.finish(), NOTHING);
    assert_eq!((tap.counters.retransmitted_bytes, tap.counters.after_close_bytes), (3, 19));
}

#[test]
fn held_bytes_behind_a_fin_are_dropped() {
    let mut tap = Tap::open();
    tap.send(up(102, 500, b"cdef"));
    tap.send(up(110, 500, b"garbage"));
    tap.send(up(104, 500, b"").fin());
    assert_eq!(tap.send(up(100, 500, b"ab")), ["up 0 ab", "up 2 cd", "up fin"]);
    assert_eq!(tap.counters.after_close_bytes, 9);
}

#[test]
fn rst_closes_both_directions_once_nothing_can_be_shuffled() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    assert_eq!(tap.send(down(506, 103, b"").rst().without_ack()), NOTHING);
    assert_eq!(tap.send(down(500, 103, b"answer")), ["down 0 answer"]);
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["down rst", "up rst"]);
    assert!(tap.flow.is_closed() && !tap.flow.is_waiting());
    assert_eq!(tap.observe(&up(103, 500, b"late")).0, Observed::Ignored);
    assert_eq!(tap.counters.after_close_bytes, 4);
}

#[test]
fn rst_delivers_what_is_held() {
    let mut tap = Tap::open();
    tap.send(up(103, 500, b"def"));
    tap.send(up(106, 500, b"").rst());
    assert_eq!(tap.pass(0, 0, true), ["up 0 gap 3", "up 3 def", "up rst", "down rst"]);
}

#[test]
fn rst_out_of_window_is_ignored() {
    let mut tap = Tap::open();
    assert_eq!(tap.observe(&down(2_000_000_000, 0, b"").rst()).0, Observed::Ignored);
    assert!(!tap.flow.is_waiting());
}

#[test]
fn rst_of_bytes_long_received_is_ignored() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, &[b'x'; 50]));
    assert_eq!(tap.observe(&up(120, 500, b"").rst()).0, Observed::Ignored);
    assert!(!tap.flow.is_waiting());
    tap.send(up(149, 500, b"").rst());
    assert!(tap.flow.is_waiting(), "a probe's number is taken");
}

#[test]
fn a_connection_whose_end_goes_on_after_its_rst_is_not_closed() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"ask"));
    tap.send(up(5_000_000, 500, b"").rst());
    assert_eq!(tap.pass(REORDER_PACKETS, 0, false), ["up rst", "down rst"]);
    for n in 0..100 {
        assert_eq!(tap.observe(&down(500 + n, 103, b"a")).0, Observed::Ignored, "what was under way");
    }
    for n in 1..u32::from(crate::assembler::STRAY_RUN) {
        assert_eq!(tap.observe(&up(103 + n, 600, b"a")).0, Observed::Ignored);
        assert_eq!(tap.observe(&up(103 + n, 600, b"")).0, Observed::Ignored);
    }
    assert_eq!(tap.observe(&up(200, 600, b"a")).0, Observed::NewConnection);
}

#[test]
fn rst_after_both_fins_says_nothing_more() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"").fin());
    tap.send(down(500, 101, b"").fin());
    tap.send(up(101, 501, b"").rst());
    assert_eq!(tap.finish(), NOTHING);
    assert!(tap.flow.is_closed());
}

#[test]
fn refused_connection_is_closed() {
    let mut tap = Tap::default();
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(down(0, 100, b"").rst());
    assert_eq!(tap.pass(REORDER_PACKETS, SECOND, false), ["down rst", "up rst"]);
    assert_eq!(tap.observe(&up(99, 0, b"").syn().without_ack()).0, Observed::NewConnection);
}

#[test]
fn connection_accepted_after_a_refusal_is_not_closed() {
    let mut tap = Tap::default();
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(down(0, 100, b"").rst());
    tap.send(up(99, 0, b"").syn().without_ack());
    tap.send(down(499, 100, b"").syn());
    assert_eq!(tap.send(up(100, 500, b"ask")), ["up 0 ask"]);
    assert_eq!(tap.pass(REORDER_PACKETS, SECOND, false), NOTHING);
}

#[test]
fn port_reuse_after_a_close_is_a_new_connection() {
    let mut tap = Tap::open();
    tap.send(up(100, 500, b"").fin());
    tap.send(down(500, 101, b"").fin());
    assert_eq!(tap.observe(&up(99, 0, b"").syn().without_ack()).0, Observed::Taken);
    assert_eq!(tap.observe(&up(7777, 0, b"").syn().without_ack()).0, Observed::NewConnection);
}
