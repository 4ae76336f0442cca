//! Taking turns, medians, and child programs with the CPU time that they took.

use std::process::Command;
use std::time::Duration;

use criterion::measurement::Measurement;

use crate::cpu_time::CpuTime;

/// Whether the figures shall be there soon rather than be good.
pub fn is_quick() -> bool {
    std::env::var_os("QUICK").is_some_and(|value| value != "0" && !value.is_empty())
}

/// How often each peer has its turn.
pub fn rounds() -> usize {
    if is_quick() { 3 } else { 11 }
}

/// CPU time of this thread that `act` takes.
pub fn cpu_time(act: impl FnOnce()) -> Duration {
    let started = CpuTime.start();
    act();
    CpuTime.end(started)
}

/// Lets peers take turns; the median of what each says it took.
pub fn in_turns<const N: usize>(mut peers: [&mut dyn FnMut() -> Duration; N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds() {
        for (times, peer) in times.iter_mut().zip(&mut peers) {
            times.push(peer());
        }
    }
    times.map(median)
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What a command took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
}

/// Runs a shell command.
pub fn command(line: &str) -> Took {
    let script = format!("TIMEFORMAT='%R %U %S'; time ( {line} 2>/dev/null )");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let times: Vec<Duration> = text
        .lines()
        .last()
        .unwrap_or_default()
        .split(' ')
        .map(|seconds| Duration::from_secs_f64(seconds.parse().unwrap()))
        .collect();
    Took { wall: times[0], cpu: times[1] + times[2] }
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    Command::new("bash").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|out| out.status.success())
}
