//! The command line: what can be asked for, and the steps that answer it.

mod capture;
mod plugins;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use capture::{LiveArguments, ReadArguments, TraceArguments};
use plugins::PluginsCommand;

/// Sees who asks what of which service, in captured traffic, by way of Wasm plugins that parse the protocols.
#[derive(Debug, Parser)]
#[command(name = "protap", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read capture files (pcap or pcapng, also gzip or zstd; - is standard input)
    Read(ReadArguments),
    /// Capture from a network interface (SIGUSR1 prints counters, Ctrl-C ends)
    Live(LiveArguments),
    /// Trace what processes read and write on their sockets (BPF; SIGUSR1 prints counters, Ctrl-C ends)
    Trace(TraceArguments),
    /// Look at plugins
    Plugins {
        #[command(subcommand)]
        command: PluginsCommand,
    },
}

/// Why the program ends with an error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was used wrongly: exit status 2.
    Usage(anyhow::Error),
    /// It could not do what was asked: exit status 1.
    Run(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}

/// Does what was asked.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    log_to_stderr();
    match &arguments.command {
        Command::Read(arguments) => capture::read(arguments),
        Command::Live(arguments) => capture::live(arguments),
        Command::Trace(arguments) => capture::trace(arguments),
        Command::Plugins { command } => plugins::run(command),
    }
}

/// Logs to standard error: warnings, or what `PROTAP_LOG` asks for (error, warn, info, debug, trace).
fn log_to_stderr() {
    let level = std::env::var("PROTAP_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}
