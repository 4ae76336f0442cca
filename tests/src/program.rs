//! The built program, run as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::artifacts::{plugin, program, scratch};

/// How a run of the program ended.
#[derive(Debug)]
pub struct Run {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// `protap` with these arguments, to be run. Nothing of the user's own settings reaches it, nor that SIGHUP is ignored, as it is
/// where the tests run under nohup(1).
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP")
        .arg(program())
        .args(arguments)
        .env_remove("PROTAP_PLUGIN_PATH")
        .env_remove("PROTAP_LOG")
        .stdin(Stdio::null());
    command.env("XDG_CACHE_HOME", scratch("cache").canonicalize().expect("it was made"));
    command
}

/// Interrupts a program, as Ctrl-C does.
pub fn interrupt(child: &Child) {
    signal(child, "INT");
}

/// Sends a program a signal: by the shell's own `kill`, as a program of that name is not on every machine.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "it runs, and may be told");
}

/// Runs `protap` with these arguments, for `read` and `live` with the kafka plugin (which compiles fastest) and without
/// summary.
#[must_use]
pub fn run(arguments: &[&str]) -> Run {
    let kafka = plugin("kafka");
    let mut arguments = arguments.to_vec();
    let takes_plugins = matches!(arguments.first(), Some(&("read" | "live")));
    if takes_plugins {
        arguments.extend(["-q", "-o", "json"]);
        if !arguments.contains(&"-p") {
            arguments.extend(["-p", text(&kafka)]);
        }
    }
    finished(command(&arguments).output().expect("the program starts"))
}

/// Runs `protap` with these arguments and this standard input.
#[must_use]
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Run {
    let kafka = plugin("kafka");
    let arguments = [arguments, &["-q", "-o", "json", "-p", text(&kafka)]].concat();
    let mut command = command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // It may end before it has read all.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    finished(child.wait_with_output().expect("the program ends"))
}

/// What a finished process said.
#[must_use]
pub fn finished(output: Output) -> Run {
    let run = Run {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    assert!(!run.err.contains("panicked"), "it panicked: {}", run.err);
    run
}

/// A path as text.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the repository is UTF-8")
}
