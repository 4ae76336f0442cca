//! Plugins that leave a flow, and the bounds of flows that are datagrams: what the plugins of `tests/plugins/` rely on,
//! tried with plugins written for the purpose.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use protap::plugin::PluginSet;
use protap_e2e::artifacts::scratch;
use protap_e2e::conversation::{conversation, mixed};
use protap_e2e::datagram::{self, Datagram};
use protap_e2e::engine::{load, read_with};
use protap_e2e::hostile::Guest;
use protap_e2e::link::Link;
use protap_e2e::segment::to_file;
use protap_plugin::contract::{ParseResult, verb};

/// 2026-01-01.
const BEGIN: u64 = 1_767_225_600_000_000_000;
const MILLISECOND: u64 = 1_000_000;

fn plugins(test: &str, guests: &[&Guest]) -> Arc<PluginSet> {
    let folder = scratch(test);
    let files: Vec<_> = guests.iter().map(|guest| guest.file(&folder)).collect();
    load(files.iter().map(AsRef::as_ref))
}

/// Reports the window, and answers with that verb instead of consuming it.
fn report_and(verb: u32, amount: u64) -> impl Fn(&mut Guest) {
    move |guest| {
        guest.result = ParseResult { verb, amount, message_count: 1, ..guest.result };
        guest.parse = "(i64.store (i32.const 2048) (local.get $offset))
            (i64.store (i32.const 2056) (i64.add (local.get $offset) (i64.extend_i32_u (local.get $len))))
            (i32.const 1024)"
            .to_owned();
    }
}

#[test]
fn an_opaque_flow_is_closed_and_counts_once() {
    let mut guest = Guest::sound("opaque", 7000);
    report_and(verb::OPAQUE, 0)(&mut guest);
    // It has room for one flow at a time.
    guest.open = "(if (i32.ne (global.get $flows) (i32.const 0)) (then (return (i32.const 0))))
        (global.set $flows (i32.const 1)) (i32.const 1)"
        .to_owned();
    guest.close = "(global.set $flows (i32.const 0))".to_owned();
    let flows = (0..40).map(|n| conversation(40_000 + n, 7000, b'c', BEGIN + u64::from(n) * 10 * MILLISECOND));
    let capture = to_file(&mixed(flows), Link::Ethernet);
    let outcome = read_with(&plugins("opaque", &[&guest]), capture, 1);
    assert_eq!(outcome.records.len(), 40);
    let flows = &outcome.summary["flows"];
    assert_eq!((&flows["seen"], &flows["claimed"]["opaque"], &flows["unclaimed"]), (&40.into(), &0.into(), &40.into()));
    assert_eq!(flows["unclaimed_by_port"][0]["reason"], "opaque");
}

#[test]
fn nobody_is_asked_about_a_flow_that_was_handed_over_before_it_goes_on() {
    let mut first = Guest::sound("first", 7000);
    // Everything that came goes to whoever claims what comes next.
    report_and(verb::HANDOVER, 40)(&mut first);
    first.probe =
        "(if (result i64) (i32.eq (global.get $flows) (i32.const 0)) (then (i64.const 0x103)) (else (i64.const 0)))"
            .to_owned();
    let mut second = Guest::sound("second", 7000);
    second.probe = "(if (result i64) (i32.or (local.get $len_a) (local.get $len_b))
        (then (i64.const 0x103)) (else (i64.const 0)))"
        .to_owned();
    let capture = to_file(&conversation(40_000, 7000, b'c', BEGIN), Link::Ethernet);
    let outcome = read_with(&plugins("handover", &[&first, &second]), capture, 1);
    let by_first = outcome.records.of_protocol("first").len();
    let by_second = outcome.records.of_protocol("second").len();
    // Of five messages in each direction the first plugin had one.
    assert_eq!((by_first, by_second), (1, 9));
    let flows = &outcome.summary["flows"];
    assert_eq!((&flows["claimed"]["first"], &flows["claimed"]["second"]), (&0.into(), &1.into()));
    assert_eq!(flows["unclaimed"], 0);
}

/// Datagrams of a client to port 7000.
fn datagrams(count: u64) -> Vec<u8> {
    let end = |last, port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port);
    let datagram = |n| Datagram {
        at: BEGIN + n * MILLISECOND,
        source: end(1, 40_000),
        destination: end(2, 7000),
        payload: vec![b'd'; 40],
    };
    datagram::to_file(&(0..count).map(datagram).collect::<Vec<_>>())
}

#[test]
fn the_end_of_a_flow_of_datagrams_is_no_datagram() {
    let mut guest = Guest::sound("udp", 7000);
    guest.manifest["transports"] = serde_json::json!(["udp"]);
    // Reports every call, also one without bytes.
    guest.result.message_count = 1;
    guest.parse = guest.parse.replace("(i32.store (i32.const 1044) (i32.ne (local.get $len) (i32.const 0)))", "");
    let outcome = read_with(&plugins("datagrams", &[&guest]), datagrams(3), 1);
    assert_eq!(outcome.records.len(), 3);
}

#[test]
fn a_plugin_that_makes_nothing_of_datagrams_loses_the_flow() {
    let mut guest = Guest::sound("udp", 7000);
    guest.manifest["transports"] = serde_json::json!(["udp"]);
    guest.result = ParseResult { verb: verb::INVALID, message_count: 0, ..guest.result };
    guest.parse = "(i32.const 1024)".to_owned();
    let plugins = plugins("malformed_datagrams", &[&guest]);
    for (count, is_lost) in [(16, false), (17, true)] {
        let outcome = read_with(&plugins, datagrams(count), 1);
        assert_eq!(outcome.loss("malformed"), count);
        assert_eq!(outcome.loss("rejected"), u64::from(is_lost));
        assert_eq!(outcome.summary["flows"]["unclaimed"], u64::from(is_lost));
    }
}
