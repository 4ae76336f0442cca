//! `resync_by_frames`: which frame start it takes, and that it stays quick. Frames are `Q, length (of all)`.

#![allow(missing_docs, reason = "tests")]

use std::cell::Cell;

use protap_plugin::prelude::*;
use protap_plugin::resync_by_frames;

fn frame(bytes: &[u8]) -> Frame {
    match bytes {
        [b'Q', len, ..] => Frame::Len(u64::from(*len)),
        [b'Q'] => Frame::Need(2),
        _ => Frame::Invalid("no magic"),
    }
}

fn input(bytes: &[u8]) -> Input<'_> {
    Input {
        direction: Direction::ToServer,
        bytes,
        offset: 1000,
        gap: None,
        is_end: false,
        is_datagram: false,
        is_likely_start: false,
        is_boundary: false,
    }
}

fn resync(bytes: &[u8]) -> Resync {
    resync_by_frames(&input(bytes), frame, |_| false)
}

#[test]
fn two_chained_frames_are_found() {
    assert_eq!(resync(b"xxQ\x04..Q\x03."), Resync::Found(2));
    assert_eq!(resync(b"xxQ\x04..Q\x09."), Resync::Found(2));
}

#[test]
fn a_short_frame_that_reaches_behind_the_window_is_waited_for() {
    assert_eq!(resync(b"xxQ\x09..."), Resync::Need { consumed: 2, amount: 9 });
    assert_eq!(resync(b"xxQ\x05..."), Resync::Need { consumed: 2, amount: 6 });
}

#[test]
fn a_frame_whose_end_will_not_come_soon_is_a_candidate() {
    let last = Input { is_end: true, ..input(b"xxQ\x09...") };
    assert_eq!(resync_by_frames(&last, frame, |_| false), Resync::Candidate { at: 2, next: 1011 });
    let long = |bytes: &[u8]| if bytes.starts_with(b"Q") { Frame::Len(4097) } else { Frame::Invalid("no magic") };
    assert_eq!(resync_by_frames(&input(b"xxQ..."), long, |_| false), Resync::Candidate { at: 2, next: 5099 });
}

#[test]
fn a_false_frame_does_not_hide_a_chained_one_behind_it() {
    assert_eq!(resync(b"Q\xff..xxQ\x04..Q\x03.xx"), Resync::Found(6));
    assert_eq!(resync(b"Q\x04..xxQ\x04..Q\x03.Q"), Resync::Found(6));
}

#[test]
fn a_false_frame_chained_to_a_single_other_loses_to_a_longer_chain() {
    // The frame at 0 happens to point to a "Q", behind which nothing fits.
    assert_eq!(resync(b"Q\x04..Q\x03.xxQ\x03.Q\x03.Q\x03."), Resync::Found(9));
    // Where there is no longer chain, it is as good as any.
    assert_eq!(resync(b"Q\x04..Q\x03.xxxx"), Resync::Found(0));
}

#[test]
fn a_single_byte_at_the_end_confirms_nothing() {
    assert_eq!(resync(b"xQ\x03.Q"), Resync::Need { consumed: 1, amount: 5 });
}

#[test]
fn what_cannot_be_decided_does_not_hide_a_later_frame() {
    let needs_much = |bytes: &[u8]| match bytes {
        [b'?', ..] if bytes.len() < 100 => Frame::Need(100),
        _ => frame(bytes),
    };
    let found = resync_by_frames(&input(b"x?xQ\x03.Q\x03.Q\x03."), needs_much, |_| false);
    assert_eq!(found, Resync::Found(3));
    // Nor does a mere candidate push it aside.
    let waits = resync_by_frames(&input(b"x?xQ\x09."), needs_much, |_| false);
    assert_eq!(waits, Resync::Need { consumed: 1, amount: 100 });
}

#[test]
fn a_hint_or_a_pending_id_makes_a_lone_frame_count() {
    let hinted = Input { is_likely_start: true, ..input(b"Q\x20..") };
    assert_eq!(resync_by_frames(&hinted, frame, |_| false), Resync::Found(0));
    let cut = Input { is_likely_start: true, ..input(b"Q") };
    assert_eq!(resync_by_frames(&cut, frame, |_| false), Resync::Need { consumed: 0, amount: 2 });
    let behind = Input { is_likely_start: true, ..input(b"xQ\x20") };
    assert_eq!(resync_by_frames(&behind, frame, |_| false), Resync::Need { consumed: 1, amount: 32 });
    assert_eq!(resync_by_frames(&input(b"xQ\x20."), frame, |bytes| bytes.get(2) == Some(&b'.')), Resync::Found(1));
}

#[test]
fn at_a_boundary_a_frame_need_not_prove_itself() {
    let boundary = Input { is_likely_start: true, is_boundary: true, ..input(b"xx") };
    assert_eq!(resync_by_frames(&boundary, frame, |_| false), Resync::Found(0));
    let empty = Input { is_boundary: true, ..input(b"") };
    assert_eq!(resync_by_frames(&empty, frame, |_| false), Resync::Need { consumed: 0, amount: 1 });
}

#[test]
fn nothing_is_waited_for_at_the_end() {
    let last = Input { is_end: true, ..input(b"xxQ") };
    assert_eq!(resync_by_frames(&last, frame, |_| false), Resync::Need { consumed: 3, amount: 1 });
    assert_eq!(resync(b"xxxx"), Resync::Need { consumed: 4, amount: 1 });
    assert_eq!(resync(b""), Resync::Need { consumed: 0, amount: 1 });
    assert_eq!(resync(b"Q\0Q\0"), Resync::Need { consumed: 4, amount: 1 });
}

#[test]
fn a_large_window_is_searched_in_parts_and_each_position_costs_little() {
    let calls = Cell::new(0_usize);
    let counted = |bytes: &[u8]| {
        calls.set(calls.get() + 1);
        frame(bytes)
    };
    let window = b"Q\x04..Q\x03.x".repeat(1 << 17);
    let quiet = vec![b'x'; 1 << 20];
    let lines = |bytes: &[u8]| {
        calls.set(calls.get() + 1);
        let end = bytes.iter().position(|byte| *byte == b'\n');
        end.map_or(Frame::Need(bytes.len() + 1), |end| Frame::Len(end as u64 + 1))
    };
    assert_eq!(resync_by_frames(&input(&window), counted, |_| false), Resync::Found(0));
    assert!(calls.replace(0) < 3 << 16);
    assert_eq!(resync_by_frames(&input(&quiet), counted, |_| false), Resync::Need { consumed: 1 << 16, amount: 1 });
    assert_eq!(calls.replace(0), 1 << 16);
    let waits = resync_by_frames(&input(&quiet), lines, |_| false);
    assert_eq!(waits, Resync::Need { consumed: 0, amount: (1 << 20) + 1 });
    assert_eq!(calls.get(), 64);
}
