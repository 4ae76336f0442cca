//! What one call of a plugin costs, in the sandbox (bounded by fuel, as `read` does, or by CPU time, as `live` does)
//! and linked natively: the call alone, and with its answer read and checked.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a program of its own")]
#![expect(clippy::unwrap_used, reason = "a bench stops where it fails")]

#[path = "support/cpu_time.rs"]
mod cpu_time;
#[path = "support/flow.rs"]
mod flow;
#[path = "support/messages.rs"]
mod messages;
#[path = "support/plugins.rs"]
mod plugins;

use std::sync::Arc;

use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flow::Flow;
use messages::{op_msg, produce_request};
use plugins::{KAFKA, MONGODB};
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;

fn plugin_call(criterion: &mut Criterion<CpuTime>) {
    let hosts: [(&str, Arc<PluginSet>); 3] = [
        ("wasm_fuel", plugins::wasm(Deadline::Fuel)),
        ("wasm_cpu_time", plugins::wasm(Deadline::CpuTime)),
        ("native", plugins::native()),
    ];
    for (name, plugin, message) in
        [("kafka_produce", KAFKA, produce_request(7, 100)), ("mongodb_find", MONGODB, op_msg(7))]
    {
        let mut group = criterion.benchmark_group(format!("plugin_call/{name}"));
        group.throughput(Throughput::Elements(1));
        for (host, set) in &hosts {
            let mut flow = Flow::open(set, plugin, &message);
            group.bench_function(format!("{host}/call"), |bencher| bencher.iter(|| flow.parse()));
            group.bench_function(format!("{host}/call_and_read"), |bencher| bencher.iter(|| flow.parse_and_read()));
        }
        group.finish();
    }
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = plugin_call);
criterion_main!(benches);
