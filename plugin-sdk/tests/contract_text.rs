//! CONTRACT.md against the constants and layouts that the compiler sees.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use protap_plugin::contract::functions::{EXPORTS, IMPORTS};
use protap_plugin::contract::{self, Attribute, Fact, Message, NUMBERS, ParseResult, memory};

const TEXT: &str = include_str!("../CONTRACT.md");

/// The cells of a table's row, without the code marks.
fn cells(line: &str) -> Vec<&str> {
    let cells = line.trim().trim_matches('|').split('|');
    cells.map(|cell| cell.trim().trim_matches('`')).collect()
}

fn layout(name: &str, size: usize) -> Vec<(String, usize, usize)> {
    let heading = format!("### `{name}`, {size} bytes");
    let rows = TEXT.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|')).map(cells);
    rows.map(|row| (row[2].to_owned(), row[0].parse().unwrap(), row[1].parse().unwrap())).collect()
}

fn assert_layout(name: &str, size: usize, fields: &[(&str, usize, usize)]) {
    let fields: Vec<_> = fields.iter().map(|(name, at, size)| ((*name).to_owned(), *at, *size)).collect();
    assert_eq!(layout(name, size), fields, "{name}");
}

#[test]
fn the_tables_of_layouts_are_those_of_the_structs() {
    assert_layout("ParseResult", ParseResult::SIZE, ParseResult::FIELDS);
    assert_layout("Message", Message::SIZE, Message::FIELDS);
    assert_layout("Attribute", Attribute::SIZE, Attribute::FIELDS);
    assert_layout("Fact", Fact::SIZE, Fact::FIELDS);
}

fn assert_in_text(name: &str, value: &str) {
    let code = format!("| `{name}` | {value} |");
    assert!(TEXT.contains(&code), "no row `{code}`");
}

#[test]
fn the_tables_of_numbers_are_those_of_the_constants() {
    // What a probe says of the client, and what `pending` is asked for, stands in sentences.
    let in_tables = NUMBERS.iter().filter(|numbers| numbers.module != "pending");
    for (name, value, _) in in_tables.flat_map(|numbers| numbers.constants) {
        if !name.starts_with("CLIENT_") || *name == "CLIENT_ERROR" {
            assert_in_text(name, &value.to_string());
        }
    }
    for (name, value) in [
        ("MAX_MESSAGES", memory::MAX_MESSAGES),
        ("MAX_FACTS", memory::MAX_FACTS),
        ("MAX_ATTRIBUTES", memory::MAX_ATTRIBUTES),
        ("MAX_LIST", memory::MAX_LIST),
        ("MAX_STR", memory::MAX_STR),
        ("MAX_ANSWER", memory::MAX_ANSWER),
    ] {
        assert_in_text(name, &value.to_string());
    }
    assert_in_text("DEFAULT_WINDOW", &contract::DEFAULT_WINDOW.to_string());
    assert_in_text("MAX_WINDOW", &contract::MAX_WINDOW.to_string());
    assert_in_text("MAX_CONTEXT", &contract::MAX_CONTEXT.to_string());
}

#[test]
fn the_tables_of_functions_are_those_of_the_signatures() {
    for function in EXPORTS.iter().chain(&IMPORTS) {
        assert_in_text(function.name, &format!("`{function}`"));
    }
}

#[test]
fn the_names_and_the_version_are_those_of_the_constants() {
    use contract::name::{CLOSE, CONFIGURE, INPUT, LOG, OPEN, PARSE, PENDING, PROBE, RESYNC};
    for name in [INPUT, CONFIGURE, PROBE, OPEN, CLOSE, PARSE, RESYNC, PENDING, LOG, contract::MANIFEST_SECTION] {
        assert!(TEXT.contains(&format!("`{name}`")), "{name}");
    }
    assert!(TEXT.starts_with(&format!("# The plugin contract, version {}\n", contract::VERSION)));
}
