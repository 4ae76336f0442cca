//! What a call by DeepFlow's ABI costs beside one by our own contract: the same parser of the same toy protocol, built as a
//! guest of each era (`make guests`) and as a plugin of ours (`make test-plugins`), through the same call of the runtime,
//! with the answer read and checked. All take turns in one run; printed are medians of the CPU time, and the ratio.

#![allow(missing_docs, unreachable_pub, reason = "a program of its own")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

#[path = "support/cpu_time.rs"]
mod cpu_time;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::measurement::Measurement;
use protap::packet::{Endpoint, Transport};
use protap::plugin::deepflow::FlowView;
use protap::plugin::wasm::{Deadline, WasmEngine};
use protap::plugin::{Plugin, PluginSet};
use protap::record::Spares;
use protap::running::{CallKind, Handle, ParseArguments, RunningPlugins};

/// Rounds, in each of which everybody has a turn.
const ROUNDS: usize = 15;
/// Calls in a turn.
const CALLS: u32 = 20_000;
/// The guests' number of the toy protocol, with which they claim a flow.
const NUMBER: u32 = 127;
const REQUEST: &[u8] = b"Q 7 GET item/1\n";

fn main() {
    let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let mut files = vec![("protap", target.join("test-plugins/toy.wasm"))];
    let eras = ["l0", "l1", "l2", "l3", "l4", "pb"];
    files.extend(eras.map(|era| (era, target.join(format!("deepflow-guests/{era}.wasm")))));
    if let Some((_, file)) = files.iter().find(|(_, file)| !file.is_file()) {
        return eprintln!("no {}: run `make test-plugins guests` first", file.display());
    }
    let engine = WasmEngine::new(Deadline::Fuel).unwrap();
    let mut flows: Vec<Flow> = files.iter().map(|(_, file)| Flow::open(&engine, file)).collect();
    let mut times = vec![Vec::new(); flows.len()];
    for _ in 0..ROUNDS {
        for (flow, times) in flows.iter_mut().zip(&mut times) {
            let started = CpuTime.start();
            (0..CALLS).for_each(|_| flow.parse());
            times.push(CpuTime.end(started) / CALLS);
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    println!("abi       call with its answer    by our contract: 1");
    for ((name, _), time) in files.iter().zip(&medians) {
        let ratio = time.as_secs_f64() / medians[0].as_secs_f64();
        println!("{name:<8} {:>18} ns {ratio:>20.2}", time.as_nanos());
    }
}

/// A flow in which the same request comes again and again.
struct Flow {
    plugins: RunningPlugins,
    spares: Spares,
    handle: Handle,
    offset: u64,
}

impl Flow {
    fn open(engine: &WasmEngine, file: &std::path::Path) -> Self {
        let mut set = PluginSet::default();
        set.add(Plugin::load(engine, file).unwrap());
        let mut plugins = RunningPlugins::new(Arc::new(set));
        let handle = plugins.open(0, 0, 0, NUMBER).unwrap();
        Self { plugins, spares: Spares::default(), handle, offset: 0 }
    }

    fn parse(&mut self) {
        let end = |port| Endpoint { ip: [10, 0, 0, 1].into(), port };
        let flow = FlowView {
            id: 1,
            transport: Transport::Tcp,
            ends: (end(40_000), end(4242)),
            processes: None,
            is_from_first: true,
            is_response: false,
            now: 1,
        };
        let (window, piece_at) = (black_box(REQUEST), self.offset);
        let arguments = ParseArguments {
            handle: self.handle,
            flags: 0,
            offset: self.offset,
            window,
            gap: 0,
            now: 1,
            piece_at,
            flow: &flow,
        };
        let answer = self.plugins.parse(0, CallKind::Parse, &arguments, (&mut None, &mut self.spares)).unwrap();
        assert_eq!((answer.messages.len(), answer.result.consumed as usize), (1, REQUEST.len()));
        self.offset += REQUEST.len() as u64;
        let mut messages = black_box(answer).messages;
        messages.drain(..).for_each(|message| self.spares.keep_content(message.content));
        self.plugins.keep_room(messages);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
