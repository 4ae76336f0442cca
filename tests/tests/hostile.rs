//! Plugins that loop, bomb, trap and lie, each beside a good one on the same worker. The good plugin's records are
//! those of a run without the others, the run ends, and every fault is counted. Limits come in pairs: what stays
//! within is no fault.

mod answers;
mod load;
mod quarantine;

use std::path::PathBuf;
use std::sync::Arc;

use protap::plugin::PluginSet;
use protap::plugin::wasm::WasmEngine;
use protap_e2e::artifacts::{fixture, plugin, scratch};
use protap_e2e::conversation::{ROUNDS, conversation, mixed};
use protap_e2e::engine::{Outcome, live_engine, load, read_with, try_load, wasm_engine};
use protap_e2e::hostile::{FOREVER, Guest};
use protap_e2e::link::Link;
use protap_e2e::pcap::{Capture, Packet};
use protap_e2e::segment::{segments, to_file};
use protap_plugin::contract::{ParseResult, verb};

/// Flows of each hostile plugin.
const FLOWS: u16 = 8;

/// What is expected of a guest: the kind of its faults, or none.
type Case = (Guest, Option<&'static str>);

/// A case: a sound guest with something changed.
fn case(name: &str, fault: impl Into<Option<&'static str>>, change: impl FnOnce(&mut Guest)) -> Case {
    let mut guest = Guest::sound(name, 0);
    change(&mut guest);
    (guest, fault.into())
}

/// Runs all cases at once, each with its own port, beside the kafka plugin.
fn contained(test: &str, cases: Vec<Case>) {
    contained_by(wasm_engine(), test, cases);
}

fn contained_by(engine: &WasmEngine, test: &str, cases: Vec<Case>) {
    let folder = scratch(test);
    let cases: Vec<Case> = cases
        .into_iter()
        .zip(7000..)
        .map(|((mut guest, fault), port)| {
            guest.port = port;
            (guest, fault)
        })
        .collect();
    let ports: Vec<u16> = cases.iter().map(|(guest, _)| guest.port).collect();
    let capture = capture(&ports, |_| b'c');
    let files: Vec<PathBuf> = cases.iter().map(|(guest, _)| guest.file(&folder)).collect();
    let outcome = read_with(&beside_kafka_in(engine, &files), capture.clone(), 1);
    assert_kafka_is_untouched(&outcome, capture);
    let wrong: Vec<String> = cases.iter().filter_map(|(guest, fault)| misjudged(guest, *fault, &outcome)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the run says of a guest other than it should.
fn misjudged(guest: &Guest, fault: Option<&str>, outcome: &Outcome) -> Option<String> {
    let name = &guest.name;
    let found = &outcome.plugin(name)["faults"];
    match fault {
        Some(kind) if found[kind].as_u64().is_none_or(|count| count == 0) => {
            Some(format!("{name}: no fault of kind {kind}, but {found}"))
        }
        None if outcome.faults(name) > 0 => Some(format!("{name}: faults {found}")),
        None => {
            let records = outcome.records.of_protocol(name).len();
            let expected = usize::from(FLOWS) * ROUNDS * 2;
            (records < expected).then(|| format!("{name}: {records} records, expected {expected}"))
        }
        Some(_) => None,
    }
}

/// A kafka capture with flows to these ports mixed in. `mark` tells the first byte of a client by its port.
fn capture(ports: &[u16], mark: impl Fn(u16) -> u8) -> Vec<u8> {
    let kafka = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let begin = kafka[0].at;
    let flows = (0..FLOWS).flat_map(|flow| ports.iter().map(move |port| (flow, *port)));
    let hostile = flows.map(|(flow, port)| {
        let client = 20_000 + flow;
        conversation(client, port, mark(client), begin + u64::from(flow) * 1_000_000)
    });
    to_file(&mixed(hostile.chain([kafka])), Link::Ethernet)
}

fn beside_kafka(files: &[PathBuf]) -> Arc<PluginSet> {
    beside_kafka_in(wasm_engine(), files)
}

fn beside_kafka_in(engine: &WasmEngine, files: &[PathBuf]) -> Arc<PluginSet> {
    let kafka = plugin("kafka");
    let files = [kafka.as_path()].into_iter().chain(files.iter().map(PathBuf::as_path));
    try_load(engine, files).unwrap_or_else(|error| panic!("{error}"))
}

fn assert_kafka_is_untouched(outcome: &Outcome, capture: Vec<u8>) {
    let kafka = plugin("kafka");
    let alone = read_with(&load([kafka.as_path()]), capture, 1);
    let expected = alone.records.of_protocol("kafka");
    assert!(expected.len() > 40, "only {} records of kafka", expected.len());
    assert!(outcome.records.of_protocol("kafka") == expected, "the good plugin's records differ");
}

#[test]
fn what_never_ends_is_ended() {
    contained("forever", endless());
}

/// As live captures bound calls: by CPU time, which a busy machine does not take from a good plugin.
#[test]
fn what_never_ends_is_ended_by_the_clock_too() {
    contained_by(live_engine(), "forever-live", endless());
}

fn endless() -> Vec<Case> {
    let forever = FOREVER.to_owned();
    let invalid = |guest: &mut Guest| {
        guest.parse = "(i32.const 1024)".to_owned();
        guest.result = ParseResult { verb: verb::INVALID, ..ParseResult::default() };
    };
    vec![
        case("sound", None, |_| {}),
        case("parse", "deadline", |guest| guest.parse = forever.clone()),
        case("probe", "deadline", |guest| guest.probe = forever.clone()),
        case("open", "deadline", |guest| guest.open = forever.clone()),
        case("close", "deadline", |guest| guest.close = forever.clone()),
        case("resync", "deadline", |guest| {
            invalid(guest);
            guest.resync = forever.clone();
        }),
        case("grow", "deadline", |guest| {
            guest.parse = "(loop $l (drop (memory.grow (i32.const 16))) (br $l)) (unreachable)".to_owned();
        }),
        case("copy", "deadline", |guest| {
            guest.parse = "(drop (memory.grow (i32.const 900)))
                    (loop $l (memory.copy (i32.const 0) (i32.const 65536) (i32.const 58000000)) (br $l)) (unreachable)"
                .to_owned();
        }),
        case("fill", "deadline", |guest| {
            guest.parse = "(drop (memory.grow (i32.const 900)))
                    (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 58000000)) (br $l)) (unreachable)"
                .to_owned();
        }),
        // Within the deadline: a thousand rounds a call.
        case("busy", None, |guest| {
            let busy = "(loop $l (global.set $n (i32.add (global.get $n) (i32.const 1)))
                    (br_if $l (i32.rem_u (global.get $n) (i32.const 1000))))";
            guest.more = "(global $n (mut i32) (i32.const 0))".to_owned();
            guest.parse = format!("{busy} {}", guest.parse);
        }),
    ]
}

#[test]
fn what_traps_is_closed_to_its_flows() {
    let trap = "(unreachable)".to_owned();
    contained(
        "traps",
        vec![
            case("parse", "trap", |guest| guest.parse = trap.clone()),
            case("probe", "trap", |guest| guest.probe = trap.clone()),
            case("open", "trap", |guest| guest.open = trap.clone()),
            case("close", "trap", |guest| guest.close = trap.clone()),
            case("recursion", "trap", |guest| {
                guest.more = "(func $deeper (param i64) (result i64)
                    (i64.add (local.get 0) (call $deeper (i64.add (local.get 0) (i64.const 1)))))"
                    .to_owned();
                guest.parse = "(drop (call $deeper (i64.const 0))) (unreachable)".to_owned();
            }),
            case("shallow", None, |guest| {
                guest.more = "(func $deeper (param i32) (result i32)
                    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                        (else (call $deeper (i32.sub (local.get 0) (i32.const 1))))))"
                    .to_owned();
                guest.parse = format!("(drop (call $deeper (i32.const 1000))) {}", guest.parse);
            }),
            case("outside", "trap", |guest| guest.parse = "(i32.load (i32.const -4))".to_owned()),
            case("exit", "trap", |guest| {
                guest.imports = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#.to_owned();
                guest.parse = "(call $exit (i32.const 0)) (unreachable)".to_owned();
            }),
        ],
    );
}

#[test]
fn imports_give_nothing_away() {
    let wasi = |name: &str, parameters: &str| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $wasi (param {parameters}) (result i32)))"#)
    };
    // Traps unless the import answers so.
    let expect = |call: &str, errno: i32, guest: &Guest| {
        format!("(if (i32.ne {call} (i32.const {errno})) (then (unreachable))) {}", guest.parse)
    };
    let log = r#"(import "protap" "log" (func $log (param i32 i32 i32)))"#;
    let pending = r#"(import "protap" "pending" (func $pending (param i32 i64 i32) (result i32)))"#;
    let none = "(i32.const 0) (i32.const 0)";
    contained(
        "imports",
        vec![
            case("sleep", None, |guest| {
                guest.imports = wasi("poll_oneoff", "i32 i32 i32 i32");
                guest.parse = expect(&format!("(call $wasi {none} (i32.const 1) (i32.const 0))"), 52, guest);
            }),
            case("random", None, |guest| {
                guest.imports = wasi("random_get", "i32 i32");
                guest.parse = expect("(call $wasi (i32.const 0) (i32.const -1))", 28, guest);
            }),
            case("read", None, |guest| {
                guest.imports = wasi("fd_read", "i32 i32 i32 i32");
                guest.parse = expect(&format!("(call $wasi {none} {none})"), 8, guest);
            }),
            case("write_file", None, |guest| {
                guest.imports = wasi("fd_write", "i32 i32 i32 i32");
                guest.parse = expect(&format!("(call $wasi (i32.const 3) (i32.const 0) {none})"), 8, guest);
            }),
            case("write_much", None, |guest| {
                guest.imports = wasi("fd_write", "i32 i32 i32 i32");
                let call = "(call $wasi (i32.const 1) (i32.const 0) (i32.const 0x7fffffff) (i32.const 0))";
                guest.parse = expect(call, 0, guest);
            }),
            case("log_storm", None, |guest| {
                guest.imports = log.to_owned();
                guest.more = "(global $n (mut i32) (i32.const 0))".to_owned();
                guest.parse = format!(
                    "(loop $l (call $log (i32.const 1) (i32.const 512) (i32.const -1))
                        (call $log (i32.const 1) (i32.const -1) (i32.const -1))
                        (global.set $n (i32.add (global.get $n) (i32.const 1)))
                        (br_if $l (i32.rem_u (global.get $n) (i32.const 300)))) {}",
                    guest.parse
                );
            }),
            case("pending_nowhere", None, |guest| {
                guest.imports = pending.to_owned();
                guest.parse = expect("(call $pending (i32.const 0) (i64.const 1) (i32.const -1))", -1, guest);
            }),
            case("pending_oddly", None, |guest| {
                guest.imports = pending.to_owned();
                guest.parse = expect("(call $pending (i32.const -2147483648) (i64.const 1) (i32.const 0))", -1, guest);
            }),
        ],
    );
}

#[test]
fn a_storm_of_log_lines_is_cut_and_counted() {
    let (mut guest, _) = case("storm", None, |guest| {
        guest.imports = r#"(import "protap" "log" (func $log (param i32 i32 i32)))"#.to_owned();
        guest.parse = format!("(call $log (i32.const 3) (i32.const 512) (i32.const 4)) {}", guest.parse);
    });
    guest.port = 7000;
    let lines = |count: u16| {
        let flow = (0..count).map(|flow| conversation(20_000, 7000, b'c', 1 + u64::from(flow) * 1_000_000_000_000));
        read_with(&load([guest.file(&scratch("storm")).as_path()]), to_file(&mixed(flow), Link::Ethernet), 1)
    };
    // A connection is ten messages and the ends of two streams: twelve lines. A hundred are written.
    assert_eq!(lines(8).loss("log_lines_dropped"), 0);
    assert!(lines(20).loss("log_lines_dropped") >= 100);
}

/// Whatever ends a flow, the plugin is told. This one has room for one at a time.
#[test]
fn every_flow_that_was_opened_is_closed() {
    let verbs =
        [("rejects", verb::REJECT), ("opaque", verb::OPAQUE), ("hands_over", verb::HANDOVER), ("parses", verb::MORE)];
    let cases = verbs.map(|(name, verb)| {
        case(name, None, |guest| {
            guest.more = "(global $open (mut i32) (i32.const 0))".to_owned();
            guest.open =
                format!("(if (global.get $open) (then (unreachable))) (global.set $open (i32.const 1)) {}", guest.open);
            guest.close = "(global.set $open (i32.const 0))".to_owned();
            if verb != verb::MORE {
                guest.result = ParseResult { verb, amount: 0, message_count: 0, ..guest.result };
                guest.parse = "(i32.const 1024)".to_owned();
            }
        })
    });
    let folder = scratch("closes");
    for (mut guest, _) in cases {
        guest.port = 7000;
        // One after the other, so that there never are two.
        let flows = (0..60).map(|flow| conversation(20_000 + flow, 7000, b'c', 1 + u64::from(flow) * 1_000_000_000));
        let outcome = read_with(&load([guest.file(&folder).as_path()]), to_file(&mixed(flows), Link::Ethernet), 1);
        assert_eq!(outcome.faults(&guest.name), 0, "{}: {}", guest.name, outcome.plugin(&guest.name)["faults"]);
        assert!(outcome.plugin(&guest.name)["claims"].as_u64() >= Some(60), "{}", outcome.plugin(&guest.name));
    }
}

/// UDP over IPv4 on Ethernet, both ways between a client's port and a server's.
fn datagram(client: u16, server: u16, payload: &[u8], at: u64) -> Packet {
    let len = u16::try_from(payload.len()).expect("short");
    let mut data = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    data.extend((len + 28).to_be_bytes());
    data.extend(u16::try_from(at % 60_000).expect("below").to_be_bytes());
    data.extend([0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    [client, server, len + 8, 0].iter().for_each(|word| data.extend(word.to_be_bytes()));
    data.extend(payload);
    Packet { at, origlen: u32::try_from(data.len()).expect("short"), data }
}

/// Datagrams need no resync, not even in a plugin that was rebuilt: each starts a frame.
#[test]
fn a_rebuilt_plugin_gets_the_next_datagrams_as_before() {
    const UDP_FLOWS: u16 = 100;
    let mut guest = Guest::sound("datagrams", 7000);
    guest.manifest["transports"] = serde_json::json!(["udp"]);
    guest.parse = format!(
        "(if (i32.and (i32.ne (local.get $len) (i32.const 0))
            (i32.eq (i32.load8_u (i32.const 65536)) (i32.const 255))) (then (unreachable))) {}",
        guest.parse
    );
    guest.resync = "(unreachable)".to_owned();
    let rounds = (0..3_u16).flat_map(|round| (0..UDP_FLOWS).map(move |flow| (round, flow)));
    let packets = rounds.zip(1..).map(|((round, flow), at)| {
        let mark = if (round, flow) == (1, 7) { 255 } else { b'd' };
        datagram(20_000 + flow, 7000, &[mark; 20], at)
    });
    let capture = Capture { linktype: 1, packets: packets.collect() };
    let outcome = read_with(&load([guest.file(&scratch("datagrams")).as_path()]), capture.to_bytes(), 1);
    assert_eq!(outcome.faults("datagrams"), 1, "{}", outcome.plugin("datagrams")["faults"]);
    // The flow that brought it down has its first datagram told only.
    assert_eq!(outcome.records.len(), usize::from(UDP_FLOWS) * 3 - 2);
}

/// One flow's bytes bring the plugin down. The others' records are all there.
#[test]
fn a_flow_that_provokes_a_fault_costs_the_others_nothing() {
    for (fault, body) in [("trap", "(unreachable)"), ("deadline", FOREVER)] {
        let mut guest = Guest::sound("touchy", 7000);
        guest.parse = format!(
            "(if (i32.and (i32.ne (local.get $len) (i32.const 0))
                (i32.eq (i32.load8_u (i32.const 65536)) (i32.const 255))) (then {body})) {}",
            guest.parse
        );
        let capture = capture(&[7000], |client| if client == 20_007 { 255 } else { b'c' });
        let outcome = read_with(&beside_kafka(&[guest.file(&scratch(fault))]), capture.clone(), 1);
        assert_kafka_is_untouched(&outcome, capture);
        assert_eq!(outcome.plugin("touchy")["faults"], serde_json::json!({ fault: 1 }));
        assert_eq!(outcome.loss("faulted"), 1);
        for client in (20_000..20_000 + FLOWS).filter(|client| *client != 20_007) {
            let end = format!(r#""client":"10.0.0.1:{client}""#);
            let records = outcome.records.of_protocol("touchy").iter().filter(|line| line.contains(&end)).count();
            assert_eq!(records, ROUNDS * 2, "{fault}: client port {client}");
        }
    }
}

/// A probe that is called for every flow, as it comes first by its ports and its name, and fails on every flow.
#[test]
fn a_probe_that_fails_on_every_flow_costs_no_flow() {
    for (fault, body) in [("trap", "(unreachable)"), ("deadline", FOREVER)] {
        let mut guest = Guest::sound("aaa", 7000);
        (guest.probe, guest.probe_others) = (body.to_owned(), body.to_owned());
        guest.manifest["ports"] = serde_json::json!([7000, 19_092]);
        let capture = capture(&[7000], |_| b'c');
        let outcome = read_with(&beside_kafka(&[guest.file(&scratch(&format!("probe-{fault}")))]), capture.clone(), 1);
        assert_kafka_is_untouched(&outcome, capture);
        assert!(outcome.plugin("aaa")["faults"][fault].as_u64().is_some_and(|count| count > 10));
    }
}
