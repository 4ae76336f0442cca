//! What a whole replay costs: the bytes of a capture in, JSON into a sink that counts it out, with the plugins in the
//! sandbox and with the same crates linked natively. Both take turns in one run; printed are the medians of the CPU
//! time (one thread does it all, and a busy machine would spoil any other), and their ratio, which is the price of the
//! sandbox. Compiling the modules is not in it.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a program of its own")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

#[path = "support/cpu_time.rs"]
mod cpu_time;
#[path = "support/messages.rs"]
mod messages;
#[path = "support/plugins.rs"]
mod plugins;
#[path = "support/replay.rs"]
mod once;
#[path = "support/traffic.rs"]
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::measurement::Measurement;
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;
use traffic::{Pcap, bulk, repeated};

/// A name, and what writes the capture.
type Input = (&'static str, fn() -> Pcap);

/// Runs of each, one after the other in turn.
const ROUNDS: usize = 15;

fn main() {
    // Arguments: what cargo gives (`--bench`), and perhaps a part of a name.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (wasm, native) = (plugins::wasm(Deadline::Fuel), plugins::native());
    println!("replay            packets      MB  records     wasm ms   native ms    wasm/native");
    let inputs: [Input; 3] = [
        ("kafka_small", || repeated("kafka/noida_ck216_basic.pcap", 19_092, 500)),
        ("kafka_bulk", || bulk(128, 1 << 20)),
        ("mongodb_small", || repeated("mongodb/secantus_pm420_crud.pcap", 27_017, 500)),
    ];
    for (name, make) in inputs {
        if name.contains(&filter) {
            compare(name, make(), &wasm, &native);
        }
    }
}

fn compare(name: &str, pcap: Pcap, wasm: &Arc<PluginSet>, native: &Arc<PluginSet>) {
    let capture: Arc<[u8]> = pcap.bytes.into();
    let (records, output) = once::replay(&capture, wasm, None);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (times, plugins) in times.iter_mut().zip([wasm, native]) {
            let started = CpuTime.start();
            let came_out = once::replay(&capture, plugins, None);
            let time = CpuTime.end(started);
            assert_eq!(came_out, (records, output), "the sandbox changes what comes out");
            times.push(time);
        }
    }
    let [wasm, native] = times.map(median);
    println!(
        "{name:<15} {:>9} {:>7.1} {records:>8} {:>11.2} {:>11.2} {:>14.3}",
        pcap.packets,
        capture.len() as f64 / 1e6,
        wasm.as_secs_f64() * 1e3,
        native.as_secs_f64() * 1e3,
        wasm.as_secs_f64() / native.as_secs_f64(),
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
