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
            let (code, line) = match &failure {
                Failure::Usage(error) => (2, format!("{error:#}")),
                Failure::Run(error) => (1, format!("{error:#}")),
            };
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "protap: {line}");
            ExitCode::from(code)
        }
    }
}
