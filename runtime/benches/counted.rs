//! What is counted instead of timed: a program for `valgrind --tool=callgrind --toggle-collect='*measured*'`, which counts
//! the instructions between the beginning and the end of what is measured: one call of a plugin with its answer read,
//! in the sandbox or linked natively, or a replay of 10,000 packets. All that comes before (compiling, the first
//! instances, warm-up) is not in it. `.ci/instructions.sh` runs it and holds the counts against their limits.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "a program of its own")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

#[path = "support/flow.rs"]
mod flow;
#[path = "support/messages.rs"]
mod messages;
#[path = "support/plugins.rs"]
mod plugins;
#[path = "support/replay.rs"]
mod replay;
#[path = "support/traffic.rs"]
mod traffic;

use std::hint::black_box;
use std::sync::Arc;

use flow::Flow;
use messages::{op_msg, produce_request};
use plugins::{KAFKA, MONGODB};
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;
use traffic::{bulk, repeated};

/// Packets that are replayed.
const PACKETS: u64 = 10_000;
/// Calls before the one that counts.
const WARM_UP: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let [what, host] = arguments.as_slice() else {
        eprintln!(
            "counted: kafka_call|mongodb_call|redis_call|redis_reply|kafka_small|kafka_bulk|mongodb_small wasm|native"
        );
        return;
    };
    let deadline = match host.as_str() {
        "wasm" => Some(Deadline::Fuel),
        "time" => Some(Deadline::CpuTime),
        _ => None,
    };
    let plugins = match deadline {
        _ if what.starts_with("redis") => plugins::redis(deadline),
        Some(deadline) => plugins::wasm(deadline),
        None => plugins::native(),
    };
    match what.as_str() {
        "kafka_call" => call(Flow::open(&plugins, KAFKA, &produce_request(7, 100))),
        "mongodb_call" => call(Flow::open(&plugins, MONGODB, &op_msg(7))),
        "redis_call" => call(Flow::open(&plugins, 0, b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n")),
        "redis_reply" => call(Flow::open(&plugins, 0, b"$5\r\nhello\r\n").towards_client()),
        "kafka_small" => replayed(&plugins, repeated("kafka/noida_ck216_basic.pcap", 19_092, 60).bytes),
        "mongodb_small" => replayed(&plugins, repeated("mongodb/secantus_pm420_crud.pcap", 27_017, 80).bytes),
        "kafka_bulk" => replayed(&plugins, bulk(9, 1 << 20).bytes),
        _ => eprintln!("counted: no {what}"),
    }
}

fn call(mut flow: Flow<'_>) {
    for _ in 0..WARM_UP {
        flow.parse_and_read();
    }
    measured(|| {
        flow.parse_and_read();
    });
}

fn replayed(plugins: &Arc<PluginSet>, capture: Vec<u8>) {
    let capture: Arc<[u8]> = capture.into();
    measured(|| {
        black_box(replay::replay(&capture, plugins, Some(PACKETS)));
    });
}

#[inline(never)]
fn measured(act: impl FnOnce()) {
    black_box(act)();
    black_box(());
}
