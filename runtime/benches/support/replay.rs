//! A whole replay in this thread: the bytes of a capture in, records out into a sink that counts them.

use std::io::{self, Cursor, Write};
use std::sync::Arc;

use protap::capture::FileSource;
use protap::emit::JsonSink;
use protap::pipeline::{RunOptions, Unobserved, run};
use protap::plugin::PluginSet;
use protap::shard::FlowOptions;

/// Replays the first `max_packets` packets of a capture; how many records and bytes of JSON come out.
pub fn replay(capture: &Arc<[u8]>, plugins: &Arc<PluginSet>, max_packets: Option<u64>) -> (u64, u64) {
    let mut out = Counted::default();
    let mut sink = JsonSink::new(&mut out, "pcap");
    let mut source = FileSource::from_reader("bench", Cursor::new(capture.clone()));
    let options = RunOptions { max_packets, ..options(1) };
    let report = run(&mut source, plugins, &options, &mut sink, &mut Unobserved).unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    drop(sink);
    (out.lines, out.bytes)
}

/// How a run of a whole capture goes.
pub fn options(workers: usize) -> RunOptions {
    RunOptions {
        workers,
        flows: FlowOptions::default(),
        max_packets: None,
        duration: None,
        stop: Arc::default(),
        wants_counters: Arc::default(),
        plugins: None,
    }
}

/// A sink that keeps nothing.
#[derive(Default)]
struct Counted {
    bytes: u64,
    lines: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        // In pieces whose counts fit into a byte, so that they are counted in wide registers.
        let lines = |piece: &[u8]| u64::from(piece.iter().fold(0_u8, |count, byte| count + u8::from(*byte == b'\n')));
        self.lines += bytes.chunks(128).map(lines).sum::<u64>();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
