//! What protap promises about its speed, measured: `make bench` runs it, and it writes `docs/performance.md`. Every figure
//! is a ratio to a peer, or what a unit of work costs, taken in one run on one machine: the peers take turns, and of
//! each the median counts. Where one thread does the work its CPU time is the measure, since a busy machine spoils any
//! other. `QUICK=1` takes three turns instead of eleven. It uses programs that are there (tshark, bash) and installs none.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a program of its own")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

#[path = "performance/calls.rs"]
mod calls;
#[path = "support/cpu_time.rs"]
mod cpu_time;
#[path = "support/flow.rs"]
mod flow;
#[path = "performance/live.rs"]
mod live;
#[path = "performance/measure.rs"]
mod measure;
#[path = "performance/memory.rs"]
mod memory;
#[path = "support/messages.rs"]
mod messages;
#[path = "performance/peers.rs"]
mod peers;
#[path = "support/plugins.rs"]
mod plugins;
#[path = "support/replay.rs"]
mod replay;
#[path = "performance/replays.rs"]
mod replays;
#[path = "performance/report.rs"]
mod report;
#[path = "support/traffic.rs"]
mod traffic;
#[path = "performance/unclaimed.rs"]
mod unclaimed;

use report::Report;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [child, what, count] = arguments.as_slice()
        && child == "memory"
    {
        return memory::child(what, count.parse().unwrap());
    }
    if let [child, rate, millis] = arguments.as_slice()
        && child == "blast"
    {
        return live::blast(rate.parse().unwrap(), millis.parse().unwrap());
    }
    let wanted = |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    let mut report = Report::default();
    let inputs = replays::Inputs::generate();
    if wanted("sandbox") {
        replays::sandbox(&inputs, &mut report);
        calls::sandbox(&mut report);
    }
    if wanted("limit") {
        replays::limit(&inputs, &mut report);
        replays::skipping(&mut report);
    }
    if wanted("peers") {
        peers::tshark(&inputs, &mut report);
    }
    if wanted("scaling") {
        peers::scaling(&inputs, &mut report);
    }
    if wanted("memory") {
        memory::rows(&mut report);
    }
    if wanted("start") {
        peers::start(&inputs, &mut report);
    }
    if wanted("more") {
        replays::deadlines(&inputs, &mut report);
        calls::compressed(&mut report);
        unclaimed::rows(&mut report);
    }
    if wanted("live") {
        live::rows(&mut report);
    }
    report.write(arguments.is_empty());
}
