//! Runs of the engine in this process: a capture's bytes in, records and counters out. The plugins are those that
//! `make test` built, compiled once for all tests of this process.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender};
use protap::capture::{CaptureError, CaptureEvent, CaptureSource, CaptureStats, FileSource};
use protap::emit::JsonSink;
use protap::packet::Transport;
use protap::pipeline::{RunOptions, Unobserved, run};
use protap::plugin::wasm::{Deadline, WasmEngine};
use protap::plugin::{LoadError, Plugin, PluginSet};
use protap::shard::{DecodeAs, FlowOptions};
use serde_json::Value;

use crate::artifacts;
use crate::records::Records;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The records.
    pub records: Records,
    /// The counters, as `--stats-json` writes them.
    pub summary: Value,
    /// What could not be read.
    pub errors: Vec<String>,
}

impl Outcome {
    /// A counter of losses.
    #[must_use]
    pub fn loss(&self, name: &str) -> u64 {
        let count = self.summary["losses"][name].as_u64();
        count.unwrap_or_else(|| panic!("the summary has no loss called {name}"))
    }

    /// Faults of a plugin, over all kinds.
    #[must_use]
    pub fn faults(&self, plugin: &str) -> u64 {
        self.plugin(plugin)["faults"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum()
    }

    /// What the summary says of a plugin.
    #[must_use]
    pub fn plugin(&self, name: &str) -> &Value {
        let plugins = self.summary["plugins"].as_array().expect("a list of plugins");
        plugins
            .iter()
            .find(|plugin| plugin["name"] == name)
            .unwrap_or_else(|| panic!("no plugin {name} in the summary"))
    }
}

/// The engine that compiles plugins for tests: calls are bounded by fuel, so every run does the same.
pub fn wasm_engine() -> &'static WasmEngine {
    static ENGINE: OnceLock<WasmEngine> = OnceLock::new();
    ENGINE.get_or_init(|| WasmEngine::new(Deadline::Fuel).expect("wasmtime starts"))
}

/// The engine of live captures: calls are bounded by the thread's CPU time.
pub fn live_engine() -> &'static WasmEngine {
    static ENGINE: OnceLock<WasmEngine> = OnceLock::new();
    ENGINE.get_or_init(|| WasmEngine::new(Deadline::CpuTime).expect("wasmtime starts"))
}

/// HTTP, Kafka, MongoDB and Redis.
pub fn shipped_plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| load(["http", "kafka", "mongodb", "redis"].map(artifacts::plugin).iter().map(AsRef::as_ref)))
}

/// Plugins from these files.
pub fn load<'a>(files: impl IntoIterator<Item = &'a Path>) -> Arc<PluginSet> {
    try_load(wasm_engine(), files).unwrap_or_else(|error| panic!("{error}"))
}

/// Plugins from these files, checked as the program checks them.
pub fn try_load<'a>(
    engine: &WasmEngine,
    files: impl IntoIterator<Item = &'a Path>,
) -> Result<Arc<PluginSet>, LoadError> {
    let mut set = PluginSet::default();
    for file in files {
        let twin = set.add(Plugin::load(engine, file)?);
        assert!(twin.is_none(), "two plugins of one name");
    }
    set.check()?;
    Ok(Arc::new(set))
}

/// Runs a capture through the shipped plugins, on one worker.
#[must_use]
pub fn read(capture: Vec<u8>) -> Outcome {
    read_with(shipped_plugins(), capture, 1)
}

/// Runs a capture through these plugins.
#[must_use]
pub fn read_with(plugins: &Arc<PluginSet>, capture: Vec<u8>, workers: usize) -> Outcome {
    read_source(plugins, &mut FileSource::from_reader("the capture", io::Cursor::new(capture)), workers)
}

/// Runs a source's packets through these plugins.
#[must_use]
pub fn read_source(plugins: &Arc<PluginSet>, source: &mut FileSource, workers: usize) -> Outcome {
    read_any(plugins, source, workers, FlowOptions::default(), None)
}

/// Runs a capture in which flows of that port belong to that plugin, whatever their bytes.
#[must_use]
pub fn read_as(plugins: &Arc<PluginSet>, capture: Vec<u8>, port: u16, plugin: &str) -> Outcome {
    let has_name = |slot: &usize| plugins.get(*slot).is_some_and(|known| known.identity.name == plugin);
    let plugin = (0..plugins.len()).find(has_name).unwrap_or_else(|| panic!("no plugin {plugin}"));
    let decode_as = vec![DecodeAs { transport: Transport::Tcp, port, plugin }];
    let mut source = FileSource::from_reader("the capture", io::Cursor::new(capture));
    read_any(plugins, &mut source, 1, FlowOptions { decode_as, ..FlowOptions::default() }, None)
}

/// Runs a capture while the plugins change: each set takes over behind the packet with that number.
#[must_use]
pub fn read_swapping(
    plugins: &Arc<PluginSet>,
    capture: Vec<u8>,
    swaps: Vec<(u64, Arc<PluginSet>)>,
    workers: usize,
) -> Outcome {
    let (send, receive) = crossbeam_channel::unbounded();
    let source = FileSource::from_reader("the capture", io::Cursor::new(capture));
    let mut source = Swapping { source, swaps: swaps.into(), send, packets: 0 };
    read_any(plugins, &mut source, workers, FlowOptions::default(), Some(receive))
}

/// Runs whatever source through these plugins.
pub fn read_live(
    plugins: &Arc<PluginSet>,
    source: &mut dyn CaptureSource,
    flows: FlowOptions,
    workers: usize,
) -> Outcome {
    read_any(plugins, source, workers, flows, None)
}

/// A source that has plugins exchanged on its way.
struct Swapping {
    source: FileSource,
    swaps: VecDeque<(u64, Arc<PluginSet>)>,
    send: Sender<Arc<PluginSet>>,
    packets: u64,
}

impl CaptureSource for Swapping {
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        self.packets += 1;
        if self.swaps.front().is_some_and(|(after, _)| *after <= self.packets)
            && let Some((_, set)) = self.swaps.pop_front()
        {
            self.send.send(set).expect("the run listens");
        }
        self.source.next()
    }

    fn stats(&mut self) -> CaptureStats {
        self.source.stats()
    }
}

/// Runs a capture up to the packet with that number.
#[must_use]
pub fn read_first(plugins: &Arc<PluginSet>, source: &mut FileSource, packets: u64, workers: usize) -> Outcome {
    outcome(source, plugins, &RunOptions { workers, max_packets: Some(packets), ..options() })
}

/// Runs a capture that is told to stop behind the packet with that number.
#[must_use]
pub fn read_stopped(plugins: &Arc<PluginSet>, source: FileSource, after: u64, workers: usize) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = Stopping { source, after, stop: stop.clone() };
    outcome(&mut source, plugins, &RunOptions { workers, stop, ..options() })
}

/// A source that has the run stopped on its way.
struct Stopping {
    source: FileSource,
    after: u64,
    stop: Arc<AtomicBool>,
}

impl CaptureSource for Stopping {
    fn next(&mut self) -> Result<CaptureEvent<'_>, CaptureError> {
        let event = self.source.next();
        if matches!(&event, Ok(CaptureEvent::Packet(packet)) if packet.number == self.after) {
            self.stop.store(true, Ordering::Relaxed);
        }
        event
    }

    fn again(&mut self, times: usize) -> Option<Vec<Box<dyn CaptureSource + Send>>> {
        self.source.again(times)
    }

    fn share(&mut self) {
        self.source.share();
    }

    fn stats(&mut self) -> CaptureStats {
        self.source.stats()
    }
}

fn read_any(
    plugins: &Arc<PluginSet>,
    source: &mut dyn CaptureSource,
    workers: usize,
    flows: FlowOptions,
    swaps: Option<Receiver<Arc<PluginSet>>>,
) -> Outcome {
    outcome(source, plugins, &RunOptions { workers, flows, plugins: swaps, ..options() })
}

fn outcome(source: &mut dyn CaptureSource, plugins: &Arc<PluginSet>, options: &RunOptions) -> Outcome {
    let mut out = Vec::new();
    let report = run(source, plugins, options, &mut JsonSink::new(&mut out, "pcap"), &mut Unobserved);
    let report = report.expect("a vector takes all records");
    Outcome {
        records: Records::new(String::from_utf8(out).expect("JSON is UTF-8")),
        summary: report.summary.to_json(),
        errors: report.errors.iter().map(ToString::to_string).collect(),
    }
}

/// The summary of a run whose records nobody wants.
#[must_use]
pub fn measure(plugins: &Arc<PluginSet>, source: &mut FileSource) -> Value {
    let mut sink = JsonSink::new(io::sink(), "pcap");
    let report = run(source, plugins, &options(), &mut sink, &mut Unobserved).expect("a sink takes all records");
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    report.summary.to_json()
}

/// One worker, to the end.
fn options() -> RunOptions {
    RunOptions {
        workers: 1,
        flows: FlowOptions::default(),
        max_packets: None,
        duration: None,
        stop: Arc::new(AtomicBool::new(false)),
        wants_counters: Arc::default(),
        plugins: None,
    }
}
