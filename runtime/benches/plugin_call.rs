//! What one call of a plugin costs, in the sandbox (bounded by fuel, as `read` does, or by CPU time, as `live` does)
//! and linked natively: the call alone, and with its answer read and checked.

#![allow(missing_docs, unreachable_pub, reason = "a program of its own")]
#![expect(clippy::unwrap_used, reason = "a bench stops where it fails")]

#[path = "support/cpu_time.rs"]
mod cpu_time;
#[path = "support/messages.rs"]
mod messages;
#[path = "support/plugins.rs"]
mod plugins;

use std::hint::black_box;
use std::sync::Arc;

use cpu_time::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use messages::produce_request;
use protap::plugin::PluginSet;
use protap::plugin::content::ContentReader;
use protap::plugin::instance::{Call, Instance};
use protap::plugin::wasm::Deadline;
use protap::record::PluginIdentity;
use protap_plugin::contract::ParseResult;

/// Places in the set, which is sorted by name.
const KAFKA: usize = 0;
const MONGODB: usize = 1;

/// An open flow of which the same message comes again and again.
struct Flow<'a> {
    instance: Instance,
    identity: &'a PluginIdentity,
    call: Call,
    message: &'a [u8],
}

impl<'a> Flow<'a> {
    fn open(set: &'a PluginSet, plugin: usize, message: &'a [u8]) -> Self {
        let mut instance = set.instantiate(plugin).unwrap();
        let handle = instance.open(0, 0).unwrap();
        let call = Call { handle, flags: 0, offset: 0, gap: 0, now: 0 };
        Self { instance, identity: &set.get(plugin).unwrap().identity, call, message }
    }

    fn parse(&mut self) -> u32 {
        let result = self.instance.parse(&self.call, black_box(self.message), &mut None).unwrap();
        self.call.offset += self.message.len() as u64;
        result
    }

    fn parse_and_read(&mut self) -> ParseResult {
        let address = self.parse();
        let memory = self.instance.memory();
        let result = memory.result(address).unwrap();
        let mut reader = ContentReader::new(memory, self.identity);
        let messages = reader.messages(&result).unwrap();
        assert_eq!((messages.len(), result.consumed as usize), (1, self.message.len()));
        black_box(messages);
        result
    }
}

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

/// A `find` command in an OP_MSG.
fn op_msg(request_id: i32) -> Vec<u8> {
    let mut document = Vec::new();
    for (name, value) in [("find", "orders"), ("$db", "shop")] {
        document.push(2);
        document
            .extend([name.as_bytes(), &[0], &(value.len() as i32 + 1).to_le_bytes(), value.as_bytes(), &[0]].concat());
    }
    document.extend([16, b'l', b'i', b'm', b'i', b't', 0, 20, 0, 0, 0]);
    let len = document.len() as i32 + 5;
    let mut message = (21 + len).to_le_bytes().to_vec();
    message.extend([request_id, 0, 2013, 0].map(i32::to_le_bytes).concat()); // response_to, op_code, flag_bits
    message.push(0); // section kind
    message.extend(len.to_le_bytes());
    message.extend(document);
    message.push(0);
    message
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = plugin_call);
criterion_main!(benches);
