//! The conformance suite, held against plugins that keep the contract, ours and those without our SDK, and against
//! plugins that break it in one way each: it must pass the ones, and find in each of the others just that.

use std::collections::BTreeSet;
use std::path::Path;

use protap_e2e::artifacts::{c_guest, example_plugin, fixture, plugin, root, scratch, wat_guest};
use protap_e2e::conformance::{Verdict, run};
use protap_e2e::conversation::{conversation, mixed};
use protap_e2e::hostile::{FOREVER, Guest};
use protap_e2e::link::Link;
use protap_e2e::segment::to_file;
use serde_json::json;

fn assert_conforms(module: &Path, capture: &Path) {
    let outcomes = run(module, Some(capture));
    let wrong: Vec<String> =
        outcomes.iter().filter(|o| matches!(o.verdict, Verdict::Failed(_))).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}:\n{}", module.display(), wrong.join("\n"));
    assert!(outcomes.len() > 20, "only {} checks were made", outcomes.len());
}

#[test]
fn the_shipped_plugins_conform() {
    assert_conforms(&plugin("kafka"), &fixture("kafka/noida_kcat171").path);
    assert_conforms(&plugin("mongodb"), &fixture("mongodb/secantus_pm420_crud").path);
}

#[test]
fn the_example_conforms() {
    assert_conforms(&example_plugin("memcached"), &root().join("tests/captures/memcached.pcap"));
}

#[test]
fn a_plugin_in_c_conforms() {
    assert_conforms(&c_guest("resp"), &fixture("guests/redis7_pipelined").path);
}

#[test]
fn a_plugin_in_text_form_conforms() {
    assert_conforms(&wat_guest("ntp"), &fixture("guests/chrony43_ntp").path);
}

/// A plugin that keeps the contract: frames of 40 bytes to the server, of 60 to the client, as [`conversation`] has them.
fn framed(name: &str) -> Guest {
    let mut guest = Guest::sound(name, 7000);
    guest.manifest["window"] = 1024.into();
    guest.configure = "(i32.ne (local.get $len) (i32.const 0))".to_owned();
    // Likely, A is the client.
    guest.probe = "(i64.const 0x102)".to_owned();
    guest.message.kind = 0;
    guest.parse = format!(
        "{FRAME_SIZE}
        (memory.fill (i32.const 1024) (i32.const 0) (i32.const 16))
        (i32.store (i32.const 1044) (i32.const 0))
        (if (i32.lt_u (local.get $len) (i32.load (i32.const 900))) (then
            (if (i32.and (local.get $flags) (i32.const 8)) (then
                (i32.store (i32.const 1024) (i32.const 7)) (return (i32.const 1024))))
            (i32.store (i32.const 1024) (i32.const 1))
            (i64.store (i32.const 1032) (i64.load32_u (i32.const 900)))
            (return (i32.const 1024))))
        (i32.store (i32.const 1028) (i32.load (i32.const 900)))
        (i32.store (i32.const 1044) (i32.const 1))
        (i64.store (i32.const 2048) (local.get $offset))
        (i64.store (i32.const 2056) (i64.add (local.get $offset) (i64.load32_u (i32.const 900))))
        (i32.store8 (i32.const 2096) (i32.and (local.get $flags) (i32.const 1)))
        (i32.const 1024)"
    );
    // Where the other has spoken, a frame starts.
    guest.resync = "
        (memory.fill (i32.const 1216) (i32.const 0) (i32.const 48))
        (i32.store (i32.const 1240) (i32.const 144))
        (i32.store (i32.const 1252) (i32.const 24))
        (if (i32.and (local.get $flags) (i32.const 16))
            (then (i32.store (i32.const 1216) (i32.const 8)))
            (else (i32.store (i32.const 1220) (local.get $len))))
        (i32.const 1216)"
        .to_owned();
    guest
}

/// Stores the length of a frame of this direction at 900.
const FRAME_SIZE: &str = "(i32.store (i32.const 900)
    (select (i32.const 60) (i32.const 40) (i32.and (local.get $flags) (i32.const 1))))";

/// A counter, and what raises it.
const COUNTER: &str = "(global $n (mut i32) (i32.const 0))";
const COUNT: &str = "(global.set $n (i32.add (global.get $n) (i32.const 1)))";

/// Each with the check that it must fail, and no other.
fn wrong_guests() -> Vec<(&'static str, Guest)> {
    let mut guests = Vec::new();
    let mut wrong = |check: &'static str, name: &str, change: &dyn Fn(&mut Guest)| {
        let mut guest = framed(name);
        change(&mut guest);
        guests.push((check, guest));
    };
    wrong("module", "no_memory", &|g| g.unexported.push("memory"));
    wrong("module", "other_contract", &|g| g.manifest["contract"] = "99.0".into());
    wrong("module", "forbidden_import", &|g| {
        g.imports = r#"(import "env" "read" (func $read (param i32)))"#.to_owned();
    });
    wrong("manifest", "odd_type", &|g| {
        g.manifest["attributes"] = json!([{"name": "number", "type": "i64"}, {"name": "odd", "type": "integer"}])
    });
    wrong("signatures", "odd_close", &|g| {
        g.unexported.push("protap_close");
        g.more = r#"(func (export "protap_close") (param i64))"#.to_owned();
    });
    wrong("signatures", "no_input", &|g| g.input = "(i32.const 0)".to_owned());
    wrong("signatures", "input_outside", &|g| g.input = "(i32.const 262143)".to_owned());
    wrong("options", "takes_all", &|g| g.configure = "(i32.const 0)".to_owned());
    wrong("options", "refuses_default", &|g| {
        g.manifest["options"] = json!([{"key": "a", "default": "b"}]);
    });
    wrong("probe-pure", "moody", &|g| {
        g.more = COUNTER.to_owned();
        g.probe = format!("{COUNT} (select (i64.const 0x102) (i64.const 0) (i32.and (global.get $n) (i32.const 3)))");
    });
    wrong("probe-random", "sure", &|g| g.probe = "(i64.const 0x103)".to_owned());
    wrong("probe-more", "waits_for_nothing", &|g| {
        // Only of short heads, which the other checks have none of.
        g.probe = "(select (i64.const 1) (i64.const 0x102) (i32.and (i32.lt_u (local.get $len_a) (i32.const 13))
            (i32.eqz (i32.and (local.get $flags) (i32.const 512)))))"
            .to_owned();
    });
    wrong("handles", "one_handle", &|g| g.open = "(i32.const 1)".to_owned());
    wrong("memory", "leaks", &|g| {
        g.more = COUNTER.to_owned();
        g.open = format!(
            "{COUNT} (if (i32.eqz (i32.rem_u (global.get $n) (i32.const 5000))) (then (drop (memory.grow (i32.const 1))))) {}",
            g.open
        );
    });
    wrong("input", "moves", &|g| {
        // After many flows it reads elsewhere.
        g.parse = format!(
            "(if (i32.gt_u (global.get $flows) (i32.const 20000)) (then (local.set $len (i32.const 0)))) {}",
            g.parse
        );
    });
    wrong("unknown-flags", "knows_all", &|g| {
        g.parse = format!("(if (i32.shr_u (local.get $flags) (i32.const 10)) (then (unreachable))) {}", g.parse);
    });
    wrong("isolation", "counts_flows", &|g| {
        g.more = COUNTER.to_owned();
        g.open = format!("{COUNT} {}", g.open);
        g.close = "(global.set $n (i32.sub (global.get $n) (i32.const 1)))".to_owned();
        g.parse = g.parse.replace(
            "(i64.store (i32.const 2048)",
            "(i32.store (i32.const 2108) (select (i32.const 3) (i32.const 4) (i32.gt_u (global.get $n) (i32.const 1))))
            (i64.store (i32.const 2048)",
        );
    });
    guests
}

/// Those whose fault shows in more than one check, since those all parse random bytes: the first check of them that must
/// fail.
fn wrong_in_calls() -> Vec<(&'static str, Guest)> {
    let mut guests = Vec::new();
    let mut wrong = |check: &'static str, name: &str, change: &dyn Fn(&mut Guest)| {
        let mut guest = framed(name);
        change(&mut guest);
        guests.push((check, guest));
    };
    wrong("parse", "no_progress", &|g| {
        replace(&mut g.parse, "(i32.store (i32.const 1028) (i32.load (i32.const 900)))", "");
    });
    wrong("parse", "consumes_more", &|g| {
        replace(&mut g.parse, "(i32.const 1028) (i32.load (i32.const 900))", "(i32.const 1028) (i32.const 4000)");
    });
    wrong("parse", "needs_nothing", &|g| {
        replace(&mut g.parse, "(i32.const 1032) (i64.load32_u (i32.const 900))", "(i32.const 1032) (i64.const 0)");
    });
    wrong("parse", "needs_too_much", &|g| {
        replace(&mut g.parse, "(i32.const 1032) (i64.load32_u (i32.const 900))", "(i32.const 1032) (i64.const 1025)");
    });
    wrong("parse", "loops", &|g| g.parse = FOREVER.to_owned());
    wrong("parse", "odd_tag", &|g| g.attribute.tag = 0);
    wrong("gap", "dislikes_gaps", &|g| {
        g.parse = format!("(if (i32.and (local.get $flags) (i32.const 8)) (then (unreachable))) {}", g.parse);
    });
    wrong("gap", "odd_verb_at_gaps", &|g| {
        replace(&mut g.parse, "(i32.const 1024) (i32.const 7)", "(i32.const 1024) (i32.const 9)");
    });
    wrong("end", "dislikes_ends", &|g| {
        g.parse = format!(
            "(if (i32.and (i32.eqz (local.get $len)) (i32.eq (i32.and (local.get $flags) (i32.const 4)) (i32.const 4))) (then (unreachable))) {}",
            g.parse
        );
    });
    wrong("resync", "tells_in_resync", &|g| {
        let tell = "(i32.store (i32.const 1232) (i32.const 2048)) (i32.store (i32.const 1236) (i32.const 1))";
        replace(&mut g.resync, "(i32.store (i32.const 1240)", &format!("{tell} (i32.store (i32.const 1240)"));
    });
    wrong("resync", "skips_in_resync", &|g| {
        replace(&mut g.resync, "(i32.const 1216) (i32.const 8)", "(i32.const 1216) (i32.const 2)");
    });
    wrong("reuse", "remembers", &|g| {
        // A handle is given again, and what its last flow left there decides.
        g.more = "(global $last (mut i32) (i32.const 0))".to_owned();
        g.open = format!(
            "(if (global.get $last) (then (local.set $flags (global.get $last)) (global.set $last (i32.const 0))
                (return (local.get $flags)))) {}",
            g.open
        );
        g.close = "(global.set $last (local.get $handle))".to_owned();
        let slot = "(i32.add (i32.const 8192) (i32.and (local.get $handle) (i32.const 0xfff)))";
        let remember = format!(
            "(i32.store (i32.const 2108) (i32.add (i32.const 1) (i32.load8_u {slot}))) (i32.store8 {slot} (i32.const 1))
            (i64.store (i32.const 2048)"
        );
        replace(&mut g.parse, "(i64.store (i32.const 2048)", &remember);
    });
    guests
}

/// Those that only a capture shows.
fn wrong_with_a_capture() -> Vec<(&'static str, Guest)> {
    let mut guests = Vec::new();
    let mut wrong = |check: &'static str, name: &str, change: &dyn Fn(&mut Guest)| {
        let mut guest = framed(name);
        change(&mut guest);
        guests.push((check, guest));
    };
    // Only a stream that is cut off has such a last window.
    wrong("truncation", "dislikes_a_length", &|g| {
        g.parse = format!(
            "(if (i32.and (i32.eq (local.get $len) (i32.const 23)) (i32.and
                (i32.eq (i32.load (i32.const 65536)) (i32.const 0x63636363))
                (i32.ne (i32.const 0) (i32.and (local.get $flags) (i32.const 12))))) (then (unreachable))) {}",
            g.parse
        );
    });
    wrong("records", "mute", &|g| {
        replace(&mut g.parse, "(i32.const 1044) (i32.const 1)", "(i32.const 1044) (i32.const 0)")
    });
    wrong("cuts", "by_the_packet", &|g| {
        // As the sound one does: whatever there is, is a message.
        let sound = Guest::sound("x", 0);
        (g.parse, g.message.kind) = (sound.parse, 2);
    });
    wrong("losses", "never_finds_back", &|g| {
        replace(
            &mut g.resync,
            "(i32.store (i32.const 1216) (i32.const 8))",
            "(i32.store (i32.const 1220) (local.get $len))",
        );
    });
    guests
}

fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "there is no {from}");
    *text = text.replace(from, to);
}

fn capture(test: &str) -> std::path::PathBuf {
    let path = scratch(test).join("capture.pcap");
    let flows = (0..6).map(|flow| conversation(30_000 + flow, 7000, b'c', 1_000_000_000 + u64::from(flow) * 1_000));
    std::fs::write(&path, to_file(&mixed(flows), Link::Ethernet)).expect("a temporary file can be written");
    path
}

fn failed(module: &Path, capture: Option<&Path>) -> BTreeSet<&'static str> {
    let outcomes = run(module, capture);
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    failed
        .map(|outcome| {
            println!("{}: {outcome}", module.display());
            outcome.name
        })
        .collect()
}

#[test]
fn what_these_are_made_of_conforms() {
    let folder = scratch("conformance-right");
    assert_conforms(&framed("framed").file(&folder), &capture("conformance-right"));
}

#[test]
fn a_plugin_that_breaks_the_contract_in_one_way_fails_just_that_check() {
    let folder = scratch("conformance-wrong");
    let mut report = String::new();
    for (check, guest) in wrong_guests() {
        let failed = failed(&guest.file(&folder), None);
        if failed != BTreeSet::from([check]) {
            report += &format!("{}: {failed:?} instead of {check}\n", guest.name);
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn a_plugin_that_breaks_the_contract_in_its_calls_fails() {
    let folder = scratch("conformance-calls");
    let all = ["input", "parse", "gap", "end", "resync", "unknown-flags", "reuse", "isolation", "determinism", "cost"];
    let mut report = String::new();
    for (check, guest) in wrong_in_calls() {
        let failed = failed(&guest.file(&folder), None);
        if !failed.contains(check) || failed.iter().any(|name| !all.contains(name)) {
            report += &format!("{}: {failed:?} instead of {check}\n", guest.name);
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn what_only_a_capture_shows_is_found_with_one() {
    let folder = scratch("conformance-captured");
    let capture = capture("conformance-captured");
    let mut report = String::new();
    for (check, guest) in wrong_with_a_capture() {
        let failed = failed(&guest.file(&folder), Some(&capture));
        if failed != BTreeSet::from([check]) {
            report += &format!("{}: {failed:?} instead of {check}\n", guest.name);
        }
    }
    assert!(report.is_empty(), "{report}");
}
