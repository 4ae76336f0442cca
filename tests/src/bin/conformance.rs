//! `conformance PLUGIN.wasm [CAPTURE.pcap]`: the contract's conformance suite on a plugin module (or its text form,
//! `.wat`), a line per check. Exits with 1 if a check failed, with 2 if it was called wrongly.

use std::path::Path;
use std::process::ExitCode;

use protap_e2e::conformance::{Verdict, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (module, capture) = match arguments.as_slice() {
        [module] => (module, None),
        [module, capture] => (module, Some(Path::new(capture))),
        _ => {
            eprintln!("usage: conformance PLUGIN.wasm [CAPTURE.pcap]");
            return ExitCode::from(2);
        }
    };
    let outcomes = run(Path::new(module), capture);
    outcomes.iter().for_each(|outcome| println!("{outcome}"));
    let failed = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_))).count();
    let skipped = outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Skipped(_))).count();
    println!("{} checks, {failed} failed, {skipped} skipped", outcomes.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
