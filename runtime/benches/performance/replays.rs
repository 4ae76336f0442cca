//! Whole replays in one thread: with the plugins in the sandbox and linked natively, and against a program that does
//! nothing but read the file and decode headers.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protap::capture::{CaptureEvent, CaptureSource, FileSource};
use protap::emit::{FactTable, Form, JsonSink, Sink};
use protap::packet::{Decoded, Timestamp, decode};
use protap::pipeline::{Unobserved, run};
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;
use protap::record::Record;

use crate::measure::{cpu_time, in_turns, is_quick};
use crate::plugins;
use crate::replay::options;
use crate::report::{Report, Row};
use crate::traffic::{Pcap, bulk, fetches, repeated};

const COMMAND: &str = "make bench PART=sandbox";

/// The captures, as files.
pub struct Inputs {
    pub kafka_small: Input,
    /// As the small ones, but six times as long: where it counts how long a process takes to start.
    pub kafka_long: Input,
    pub mongodb_long: Input,
    pub kafka_bulk: Input,
    pub mongodb_small: Input,
    /// As the bulk one, but short enough for a dissector.
    pub kafka_bulk_short: Input,
    pub mongodb_compressed: Input,
    pub folder: PathBuf,
}

pub struct Input {
    pub path: PathBuf,
    pub packets: u64,
    pub bytes: u64,
}

impl Inputs {
    /// Writes them to `target/bench`; always the same bytes.
    pub fn generate() -> Self {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, pcap: Pcap| {
            let path = folder.join(name);
            std::fs::write(&path, &pcap.bytes).unwrap();
            Input { path, packets: pcap.packets, bytes: pcap.bytes.len() as u64 }
        };
        Self {
            kafka_small: write("kafka_small.pcap", repeated("kafka/noida_ck216_basic.pcap", 19_092, 500)),
            kafka_long: write("kafka_long.pcap", repeated("kafka/noida_ck216_basic.pcap", 19_092, 3_000)),
            mongodb_long: write("mongodb_long.pcap", repeated("mongodb/secantus_pm420_crud.pcap", 27_017, 3_000)),
            kafka_bulk: write("kafka_bulk.pcap", bulk(128, 1 << 20)),
            mongodb_small: write("mongodb_small.pcap", repeated("mongodb/secantus_pm420_crud.pcap", 27_017, 500)),
            kafka_bulk_short: write("kafka_bulk_short.pcap", bulk(8, 1 << 20)),
            mongodb_compressed: write("mongodb_comp.pcap", repeated("mongodb/comp_snappy_pm420.pcap", 27_018, 500)),
            folder: folder.clone(),
        }
    }
}

/// A sink that drops what it gets.
struct NullSink(u64);

impl Sink for NullSink {
    fn record(&mut self, record: &Record, _: &mut FactTable) -> io::Result<()> {
        black_box(record);
        self.0 += 1;
        Ok(())
    }

    fn form(&self) -> Box<dyn Form> {
        Box::new(NoForm)
    }

    fn line(&mut self, _: Timestamp, _: &[u8]) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes nothing of records.
struct NoForm;

impl Form for NoForm {
    fn put(&mut self, _: &mut Vec<u8>, record: &Record, _: &mut FactTable) {
        black_box(record);
    }
}

fn source(input: &Input) -> FileSource {
    FileSource::new([input.path.clone()])
}

/// To JSON, in a file.
fn to_json(input: &Input, plugins: &Arc<PluginSet>) -> Duration {
    to_json_in(File::create(input.path.with_extension("json")).unwrap(), input, plugins)
}

fn to_json_in(out: impl io::Write + Send, input: &Input, plugins: &Arc<PluginSet>) -> Duration {
    cpu_time(|| {
        let mut sink = JsonSink::new(out, "pcap");
        run(&mut source(input), plugins, &options(1), &mut sink, &mut Unobserved).unwrap();
    })
}

fn to_nothing(input: &Input, plugins: &Arc<PluginSet>) -> (Duration, u64) {
    let mut sink = NullSink(0);
    let time = cpu_time(|| {
        run(&mut source(input), plugins, &options(1), &mut sink, &mut Unobserved).unwrap();
    });
    (time, sink.0)
}

/// The reader and the decoder of headers, and nothing else.
fn headers_only(input: &Input) -> Duration {
    cpu_time(|| {
        let mut source = source(input);
        let mut bytes = 0_u64;
        while let Ok(CaptureEvent::Packet(packet)) = source.next() {
            if let Decoded::Segment(segment) = decode(&packet) {
                bytes += u64::from(black_box(&segment).payload_len);
            }
        }
        black_box(bytes);
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Row 1: what the sandbox costs.
pub fn sandbox(inputs: &Inputs, report: &mut Report) {
    let (wasm, native) = (plugins::wasm(Deadline::Fuel), plugins::native());
    for (what, input, is_gated) in [
        ("sandbox: replay of small Kafka, Wasm / native", &inputs.kafka_small, true),
        ("sandbox: replay of bulk Kafka, Wasm / native", &inputs.kafka_bulk, true),
        ("sandbox: replay of small MongoDB, Wasm / native", &inputs.mongodb_small, true),
        ("sandbox: replay of MongoDB with snappy, Wasm / native", &inputs.mongodb_compressed, false),
    ] {
        let [wasm, native] = in_turns([&mut || to_json(input, &wasm), &mut || to_json(input, &native)]);
        let ratio = wasm.as_secs_f64() / native.as_secs_f64();
        report.add(Row {
            what,
            target: if is_gated { "1.15" } else { "" },
            measured: format!("{ratio:.2} ({:.0} / {:.0} ms)", ms(wasm), ms(native)),
            is_reached: is_gated.then_some(ratio <= 1.15),
            command: COMMAND,
        });
    }
}

/// Row 2: how far from only reading the file.
pub fn limit(inputs: &Inputs, report: &mut Report) {
    let wasm = plugins::wasm(Deadline::Fuel);
    let command = "make bench PART=limit";
    let bulk = &inputs.kafka_bulk;
    let [json, headers] = in_turns([&mut || to_json(bulk, &wasm), &mut || headers_only(bulk)]);
    let ratio = json.as_secs_f64() / headers.as_secs_f64();
    report.add(Row {
        what: "limit: bulk Kafka to JSON / only reading and decoding headers",
        target: "2",
        measured: format!("{ratio:.2} ({:.1} / {:.1} ms)", ms(json), ms(headers)),
        is_reached: Some(ratio <= 2.0),
        command,
    });
    for (null, more, input) in [
        ("limit: small Kafka, a record to no sink, beyond reading", "limit: its JSON", &inputs.kafka_small),
        ("limit: small MongoDB, a record to no sink, beyond reading", "limit: its JSON", &inputs.mongodb_small),
    ] {
        let records = to_nothing(input, &wasm).1 as f64;
        let [to_null, json, file, headers] = in_turns([
            &mut || to_nothing(input, &wasm).0,
            &mut || to_json_in(io::sink(), input, &wasm),
            &mut || to_json(input, &wasm),
            &mut || headers_only(input),
        ]);
        let each = |time: Duration, less: Duration| (time.as_secs_f64() - less.as_secs_f64()) * 1e9 / records;
        for (what, target, nanos, most) in [
            (null, "500 ns", each(to_null, headers), Some(500.0)),
            (more, "600 ns", each(json, to_null), Some(600.0)),
            ("limit: writing that to a file", "", each(file, json), None),
        ] {
            report.add(Row {
                what,
                target,
                measured: format!("{nanos:.0} ns"),
                is_reached: most.map(|most| nanos <= most),
                command,
            });
        }
    }
}

/// Row 5: what is read of a response that is mostly passed over, by the difference that more partitions or batches make. That is
/// the host's part, too: handing over windows, and skipping.
pub fn skipping(report: &mut Report) {
    let plugins = plugins::wasm(Deadline::Fuel);
    let count = if is_quick() { 50 } else { 200 };
    let captures =
        [(1, 1), (1, 1000), (100, 10)].map(|(partitions, batches)| fetches(count, partitions, batches).bytes);
    let [one, batches, partitions] = &captures;
    let replay = |capture: &Vec<u8>| {
        let mut source = FileSource::from_reader("made", Cursor::new(capture.clone()));
        let mut sink = NullSink(0);
        let time = cpu_time(|| {
            run(&mut source, &plugins, &options(1), &mut sink, &mut Unobserved).unwrap();
        });
        assert_eq!(sink.0, u64::from(count.unsigned_abs()), "a record of each fetch");
        time
    };
    let [one, batches, partitions] =
        in_turns([&mut || replay(one), &mut || replay(batches), &mut || replay(partitions)])
            .map(|time| time.as_secs_f64() * 1e9 / f64::from(count));
    for (what, target, nanos, most) in [
        ("skipping: a batch of a Fetch response of 1 MiB, all told", "150 ns", (batches - one) / 999.0, 150.0),
        ("skipping: a partition of it, all told", "2 us", (partitions - batches) / 99.0, 2000.0),
    ] {
        report.add(Row {
            what,
            target,
            measured: format!("{nanos:.0} ns"),
            is_reached: Some(nanos <= most),
            command: "make bench PART=limit",
        });
    }
}

/// Beyond the promises: what bounding a call by fuel and by CPU time costs.
pub fn deadlines(inputs: &Inputs, report: &mut Report) {
    let (fuel, time) = (plugins::wasm(Deadline::Fuel), plugins::wasm(Deadline::CpuTime));
    for (what, input) in [
        ("calls bounded by fuel / by CPU time, small Kafka", &inputs.kafka_small),
        ("calls bounded by fuel / by CPU time, small MongoDB", &inputs.mongodb_small),
    ] {
        let [fuel, time] = in_turns([&mut || to_json(input, &fuel), &mut || to_json(input, &time)]);
        let ratio = fuel.as_secs_f64() / time.as_secs_f64();
        report.add(Row {
            what,
            target: "",
            measured: format!("{ratio:.2} ({:.0} / {:.0} ms)", ms(fuel), ms(time)),
            is_reached: None,
            command: "make bench PART=more",
        });
    }
}
