//! Guests that do what brings DeepFlow's agent down, and more of the kind, each in the middle of a replay in which a good
//! plugin loses nothing. All claim their flows under the same number, which is each plugin's own.

use std::path::PathBuf;

use protap::plugin::wasm::WasmEngine;
use protap_e2e::artifacts::{fixture, plugin, scratch};
use protap_e2e::conversation::{ROUNDS, conversation, mixed};
use protap_e2e::deepflow::{WatGuest, golden, literal};
use protap_e2e::engine::{Outcome, live_engine, load, read_with, try_load, wasm_engine};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::segment::{segments, to_file};

/// Flows of each guest.
const FLOWS: u16 = 8;

/// What is expected of a guest.
enum Expected {
    /// All its records.
    Records,
    /// Errors are counted, and there are no records.
    Errors,
    /// Faults of that kind.
    Fault(&'static str),
    /// Neither records nor errors.
    Nothing,
    /// So many records, all partial, and no errors.
    Partial(usize),
}

type Case = (WatGuest, Expected);

fn case(name: &str, expected: Expected, change: impl FnOnce(&mut WatGuest)) -> Case {
    let mut guest = WatGuest::sound(name, 0);
    change(&mut guest);
    (guest, expected)
}

/// Runs all cases at once, each with flows of its own, beside the kafka plugin.
fn contained(test: &str, cases: Vec<Case>) {
    contained_by(wasm_engine(), test, cases);
}

fn contained_by(engine: &WasmEngine, test: &str, cases: Vec<Case>) {
    let folder = scratch(test);
    let kafka = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let begin = kafka[0].at;
    let mut files: Vec<PathBuf> = vec![plugin("kafka")];
    let mut flows = vec![kafka];
    let mut cases = cases;
    for (index, (guest, _)) in cases.iter_mut().enumerate() {
        // Marks that no request of kafka begins with.
        guest.mark = 0xc0 + u8::try_from(index).expect("few cases");
        files.push(guest.file(&folder));
        for flow in 0..FLOWS {
            let port = 7000 + u16::try_from(index).expect("few cases");
            flows.push(conversation(20_000 + flow, port, guest.mark, begin + u64::from(flow) * 1_000_000));
        }
    }
    let capture = to_file(&mixed(flows), Link::Ethernet);
    let plugins = try_load(engine, files.iter().map(PathBuf::as_path)).unwrap_or_else(|error| panic!("{error}"));
    let outcome = read_with(&plugins, capture.clone(), 1);
    let alone = read_with(&load([plugin("kafka").as_path()]), capture, 1);
    let expected = alone.records.of_protocol("kafka");
    assert!(expected.len() > 40 && outcome.records.of_protocol("kafka") == expected, "the good plugin lost records");
    let wrong: Vec<String> =
        cases.iter().filter_map(|(guest, expected)| misjudged(guest, expected, &outcome)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the run says of a guest other than it should.
fn misjudged(guest: &WatGuest, expected: &Expected, outcome: &Outcome) -> Option<String> {
    let name = &guest.name;
    let plugin = outcome.plugin(name);
    let records = outcome.records.of_protocol(name).len();
    let faults = outcome.faults(name);
    let errors = plugin["errors"].as_u64().expect("a number");
    let all = usize::from(FLOWS) * ROUNDS;
    let is_right = match expected {
        Expected::Records => records == all && faults == 0 && errors == 0,
        Expected::Errors => records == 0 && faults == 0 && errors > 0,
        Expected::Fault(kind) => plugin["faults"][kind].as_u64().is_some_and(|count| count > 0),
        Expected::Nothing => records == 0 && faults == 0 && errors == 0,
        Expected::Partial(count) => {
            let of_guest = outcome.records.of_protocol(name);
            let is_partial = |line: &&&str| line.contains(r#""completeness":"partial""#);
            records == *count && of_guest.iter().filter(is_partial).count() == *count && faults == 0 && errors == 0
        }
    };
    (!is_right).then(|| format!("{name}: {records} records, faults {}, {errors} errors", plugin["faults"]))
}

/// The sound plugin's parse, after something else.
fn before(guest: &mut WatGuest, what: &str) {
    guest.parse = format!("{what} {}", guest.parse);
}

/// Instructions as one expression.
fn in_one(body: &str) -> String {
    format!("(block (result i32) {body})")
}

#[test]
fn the_seven_ways_to_bring_the_agent_down_bring_nothing_down() {
    contained(
        "deepflow-seven",
        vec![
            case("sound", Expected::Records, |_| {}),
            // a: an address and a length whose sum wraps round.
            case("a_wrap", Expected::Records, |guest| {
                let wild = "(i32.const 0xfffffff0) (i32.const 0x20)";
                let calls = ["context", "payload", "http_req", "http_resp", "custom", "records", "name"];
                let calls =
                    calls.map(|name| format!("(if (i32.ne (call ${name} {wild}) (i32.const 0)) (then unreachable))"));
                before(guest, &calls.concat());
            }),
            // b: a buffer too small for what it is to hold, and then further questions.
            case("b_small", Expected::Records, |guest| {
                before(
                    guest,
                    "(drop (call $context (i32.const 1024) (i32.const 1)))
                    (drop (call $http_req (i32.const 1024) (i32.const 1)))
                    (drop (call $http_resp (i32.const 1024) (i32.const 1)))
                    (drop (call $custom (i32.const 1024) (i32.const 1)))
                    (if (i32.ne (call $payload (i32.const 1024) (i32.const 1)) (i32.const -1)) (then unreachable))",
                );
            }),
            // c: imports called before there is anything to tell.
            case("c_start", Expected::Records, |guest| {
                let calls = ["context", "payload", "http_req", "http_resp", "custom", "records", "name"];
                let calls = calls.map(|name| {
                    format!(
                        "(if (i32.ne (call ${name} (i32.const 1024) (i32.const 64)) (i32.const 0)) (then unreachable))"
                    )
                });
                guest.start = calls.concat();
            }),
            // d: a log line of 4 GiB.
            case("d_log", Expected::Records, |guest| {
                before(guest, "(call $log (i32.const 16) (i32.const 0xffffffff) (i32.const 2))");
            }),
            // e: a response's record that ends before its status.
            case("e_short", Expected::Errors, |guest| {
                let short = format!("\\00\\09{}", "\\00".repeat(9));
                guest.records = [short.clone(), short];
            }),
            // g: messages in parts that never end: they do when their flow does.
            case("g_merge", Expected::Partial(usize::from(FLOWS)), |guest| {
                guest.records = guest.records.clone().map(|record| {
                    let tail = "\\00\\00\\00\\00";
                    format!("{}\\80{}", record.strip_suffix(tail).expect("merge and more"), &tail[3..])
                });
            }),
        ],
    );
}

/// f: pointers that wrap round. The plugin is refused, and the others run on without it: see also `loading`.
#[test]
fn pointers_to_hooks_that_wrap_round_refuse_the_plugin() {
    for (name, hook) in [("f_bitmap", 0), ("f_custom", 1)] {
        let mut guest = WatGuest::sound(name, b'c');
        *[&mut guest.bitmap, &mut guest.custom_hook][hook] = "(i32.const 0xfffffffc)".to_owned();
        let file = guest.file(&scratch("deepflow-pointers"));
        let error = try_load(wasm_engine(), [file.as_path()]).expect_err("it is refused").to_string();
        assert!(error.contains("out of its memory"), "{error}");
    }
}

#[test]
fn guests_that_loop_trap_and_lie_harm_nobody() {
    contained(
        "deepflow-hostile",
        vec![
            case("sound", Expected::Records, |_| {}),
            case("loop_parse", Expected::Fault("deadline"), |guest| {
                guest.parse = "(loop $l (br $l)) (unreachable)".into()
            }),
            case("loop_check", Expected::Fault("deadline"), |guest| {
                guest.check = "(loop $l (br $l)) (unreachable)".into()
            }),
            case("trap", Expected::Fault("trap"), |guest| guest.parse = "unreachable".into()),
            case("exit", Expected::Fault("trap"), |guest| {
                guest.imports = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#.into();
                guest.parse = "(call $exit (i32.const 0)) (unreachable)".into();
            }),
            case("recurse", Expected::Fault("trap"), |guest| {
                guest.parse = "(call $deep (i32.const 0))".into();
                guest.start +=
                    ") (func $deep (param i32) (result i32) (call $deep (i32.add (local.get 0) (i32.const 1)))";
            }),
            case("grow", Expected::Records, |guest| before(guest, "(drop (memory.grow (i32.const 2000)))")),
            case("other_return", Expected::Errors, |guest| guest.parse = "(i32.const 2)".into()),
            case("other_claim", Expected::Errors, |guest| guest.check = "(i32.const 0x34d)".into()),
            case("wild_claim", Expected::Errors, |guest| guest.check = "(i32.const -1)".into()),
            // Says that it gave something, and has not: what was given while checking is not what was parsed.
            case("stale", Expected::Nothing, |guest| {
                guest.check = "(drop (call $records (i32.const 4096) (global.get $request_len))) (i32.const 77)".into();
                guest.parse = "(i32.const 1)".into();
            }),
            case("again", Expected::Records, |guest| guest.parse = format!("(drop {0}) {0}", in_one(&guest.parse))),
            case("empty", Expected::Errors, |guest| guest.records = ["\\00".into(), "\\00".into()]),
            case("no_status", Expected::Errors, |guest| {
                guest.records = ["pb_no_status", "pb_no_status"].map(|name| literal(&golden(name)));
            }),
        ],
    );
}

/// As live captures bound calls: by CPU time.
#[test]
fn what_never_ends_is_ended_by_the_clock_too() {
    let forever = || "(loop $l (br $l)) (unreachable)".to_owned();
    contained_by(
        live_engine(),
        "deepflow-live",
        vec![
            case("sound", Expected::Records, |_| {}),
            case("loop_parse", Expected::Fault("deadline"), |guest| guest.parse = forever()),
            case("loop_check", Expected::Fault("deadline"), |guest| guest.check = forever()),
        ],
    );
}

/// A guest's memory does not outlive a trap: this one counts its calls, and traps from the 31st on.
#[test]
fn a_trapped_guest_is_made_anew_and_its_other_flows_lose_nothing() {
    let mut guest = WatGuest::sound("counts", b'c');
    before(
        &mut guest,
        "(i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
        (if (i32.gt_u (i32.load (i32.const 16)) (i32.const 30)) (then unreachable))",
    );
    let flows = (0..64).map(|n| conversation(20_000 + n, 7000, b'c', u64::from(n) * 1_000_000));
    let file = guest.file(&scratch("deepflow-counts"));
    let outcome = read_with(&load([file.as_path()]), to_file(&mixed(flows), Link::Ethernet), 1);
    // A trap in each of the 16 shards at the most, for its 30 calls; each costs its own flow and no other.
    let traps = usize::try_from(outcome.plugin("counts")["traps"].as_u64().expect("a number")).expect("few");
    assert!((1..=16).contains(&traps), "{traps} traps");
    assert!(outcome.records.len() >= (64 - traps) * ROUNDS, "{} records, {traps} traps", outcome.records.len());
}

/// It says of every payload that it is its own; its name comes first.
#[test]
fn a_guest_that_claims_everything_takes_no_flow_that_others_know() {
    let mut guest = WatGuest::sound("all", 0);
    guest.check = "(i32.const 77)".into();
    let (all, kafka, mongodb) = (guest.file(&scratch("deepflow-claims-all")), plugin("kafka"), plugin("mongodb"));
    let names = ["kafka/noida_ck216_midstream", "mongodb/secantus_pm420_midstream"];
    for capture in names.map(|name| fixture(name).bytes()) {
        let alone = read_with(&load([kafka.as_path(), mongodb.as_path()]), capture.clone(), 1);
        let beside = read_with(&load([all.as_path(), kafka.as_path(), mongodb.as_path()]), capture, 1);
        assert!(!alone.records.text.is_empty());
        assert_eq!(beside.records.text, alone.records.text);
    }
}
