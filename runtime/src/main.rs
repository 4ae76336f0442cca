//! The `protap` program: arguments in, exit status out. 0 is success, 1 a failure, 2 a wrong use. Records alone go to
//! standard output, everything else to standard error.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

mod command;

use command::{Arguments, Failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match command::run(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            let (code, error) = match &failure {
                Failure::Usage(error) => (2, error),
                Failure::Run(error) => (1, error),
            };
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "protap: {}", in_one_line(error));
            ExitCode::from(code)
        }
    }
}

/// An error with its causes, but for those that it tells itself. It may name files as others called them.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    protap::emit::visible(&line.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}
