//! What can be told before the first packet: a start that hangs, memories, tables and modules that are too large.

use std::path::Path;

use protap_e2e::artifacts::scratch;
use protap_e2e::engine::{load, try_load, wasm_engine};
use protap_e2e::hostile::{FOREVER, Guest};

fn refusal(test: &str, change: impl FnOnce(&mut Guest)) -> String {
    let mut guest = Guest::sound("refused", 7000);
    change(&mut guest);
    refusal_of(&guest.file(&scratch(test)))
}

fn refusal_of(file: &Path) -> String {
    try_load(wasm_engine(), [file]).err().unwrap_or_else(|| panic!("{} was not refused", file.display())).to_string()
}

#[test]
fn what_can_be_told_before_the_first_packet_is_refused_at_load() {
    for (why, refusal) in [
        ("start fails", refusal("start-loops", |guest| guest.more = format!("(func $s {FOREVER}) (start $s)"))),
        (
            "start fails",
            refusal("initialize-loops", |guest| {
                guest.more = format!(r#"(func (export "_initialize") {FOREVER})"#);
            }),
        ),
        ("start fails", refusal("start-traps", |guest| guest.more = "(func $s (unreachable)) (start $s)".to_owned())),
        ("start fails", refusal("memory", |guest| guest.pages = 1025)),
        ("start fails", refusal("table", |guest| guest.more = "(table 100001 funcref)".to_owned())),
        ("no memory for its input", refusal("input-null", |guest| guest.input = "(i32.const 0)".to_owned())),
        ("no memory for its input", refusal("input-far", |guest| guest.input = "(i32.const -1)".to_owned())),
        ("start fails", refusal("input-loops", |guest| guest.input = FOREVER.to_owned())),
        (
            "size of",
            refusal("large", |guest| {
                guest.more = format!(r#"(@custom "padding" "{}")"#, "x".repeat(16 << 20));
            }),
        ),
        ("number of functions", refusal("functions", |guest| guest.more = "(func)".repeat(50_001))),
        (
            "signature",
            refusal("signature", |guest| {
                guest.unexported.push("protap_close");
                guest.more = r#"(func (export "protap_close") (param i64))"#.to_owned();
            }),
        ),
    ] {
        assert!(refusal.contains(why), "expected {why:?} in: {refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
}

/// The other halves of the pairs above.
#[test]
fn what_stays_within_the_limits_is_loaded() {
    let load = |test: &str, change: fn(&mut Guest)| {
        let mut guest = Guest::sound("accepted", 7000);
        change(&mut guest);
        load([guest.file(&scratch(test)).as_path()]);
    };
    load("memory-fits", |guest| guest.pages = 1024);
    load("table-fits", |guest| guest.more = "(table 100000 funcref)".to_owned());
    load("size-fits", |guest| guest.more = format!(r#"(@custom "padding" "{}")"#, "x".repeat(15 << 20)));
    load("functions-fit", |guest| guest.more = "(func)".repeat(10_000));
}
