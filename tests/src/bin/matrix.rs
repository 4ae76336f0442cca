//! Prints the matrix of claims: every plugin that was built against every capture of `tests/captures/matrix/` and a
//! million random heads. Fails if a plugin claims what is not its own. An argument sets the number of heads.

use std::process::ExitCode;

use protap_e2e::matrix::{Plan, all_traffic, built_plugins, run};

fn main() -> ExitCode {
    let heads = std::env::args().nth(1).map_or(1_000_000, |heads| heads.parse().expect("a number of heads"));
    let report = run(Plan { starts: 8, heads }, &built_plugins(), &all_traffic());
    println!("{report}");
    println!("Wrong claims: {}", report.wrong.len());
    report.wrong.iter().take(50).for_each(|wrong| eprintln!("wrong: {wrong}"));
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
