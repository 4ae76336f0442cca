//! One call of a plugin with its answer read, in the sandbox and linked natively, in turns.

use std::time::Duration;

use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;

use crate::flow::Flow;
use crate::measure::{cpu_time, in_turns, is_quick};
use crate::messages::{op_msg, produce, produce_request};
use crate::plugins::{self, KAFKA, MONGODB};
use crate::report::{Report, Row};

/// What a call may cost beyond one and a half times the native one.
const ALLOWANCE: f64 = 80.0;

pub fn sandbox(report: &mut Report) {
    let (wasm, native) = (plugins::wasm(Deadline::Fuel), plugins::native());
    for (what, plugin, message) in [
        ("sandbox: one call, Kafka Produce", KAFKA, produce_request(7, 100)),
        ("sandbox: one call, MongoDB find", MONGODB, op_msg(7)),
    ] {
        let [wasm, native] =
            in_turns([&mut || calls(&wasm, plugin, &message), &mut || calls(&native, plugin, &message)])
                .map(|time| time.as_secs_f64() * 1e9 / f64::from(count()));
        let most = native * 1.5 + ALLOWANCE;
        report.add(Row {
            what,
            target: "1.5 x native + 80 ns",
            measured: format!("{wasm:.0} ns; 1.5 x {native:.0} + 80 = {most:.0} ns"),
            is_reached: Some(wasm <= most),
            command: "make bench PART=sandbox",
        });
    }
}

/// Beyond the promises: what it costs that a batch is compressed. Its records are counted in its header.
pub fn compressed(report: &mut Report) {
    const SNAPPY: u8 = 2;
    let wasm = plugins::wasm(Deadline::Fuel);
    let (plain, snappy) = (produce_request(7, 10_000), produce(7, 10_000, SNAPPY));
    let [plain, snappy] = in_turns([&mut || calls(&wasm, KAFKA, &plain), &mut || calls(&wasm, KAFKA, &snappy)])
        .map(|time| time.as_secs_f64() * 1e9 / f64::from(count()));
    report.add(Row {
        what: "one call, Kafka Produce of a batch of 10 kB: compressed / not",
        target: "",
        measured: format!("{:.2} ({snappy:.0} / {plain:.0} ns)", snappy / plain),
        is_reached: None,
        command: "make bench PART=more",
    });
}

fn count() -> u32 {
    if is_quick() { 20_000 } else { 100_000 }
}

fn calls(set: &PluginSet, plugin: usize, message: &[u8]) -> Duration {
    let mut flow = Flow::open(set, plugin, message);
    for _ in 0..1000 {
        flow.parse_and_read();
    }
    cpu_time(|| {
        for _ in 0..count() {
            flow.parse_and_read();
        }
    })
}
