//! Flows that no plugin claims: what each plugin more costs, and that such a flow costs nothing more after its verdict.

use std::io::Cursor;
use std::sync::Arc;

use protap::capture::FileSource;
use protap::emit::JsonSink;
use protap::pipeline::{Unobserved, run};
use protap::plugin::wasm::{Deadline, WasmEngine};
use protap::plugin::{Plugin, PluginSet};

use crate::measure::{cpu_time, in_turns};
use crate::plugins;
use crate::replay::options;
use crate::report::{Report, Row};
use crate::traffic::foreign;

/// So many copies of the Kafka plugin, each under a name of its own.
fn copies(count: u8) -> Arc<PluginSet> {
    let module = std::fs::read(plugins::folder().join("kafka.wasm")).unwrap();
    let engine = WasmEngine::new(Deadline::Fuel).unwrap();
    let path = std::env::temp_dir().join(format!("protap-bench-{}.wasm", std::process::id()));
    let mut set = PluginSet::default();
    for copy in 0..count {
        let name = b"\"name\":\"kafka\"";
        let mut renamed = module.clone();
        let places = module.windows(name.len()).enumerate().filter(|(_, bytes)| bytes == name);
        places.for_each(|(at, _)| renamed[at + name.len() - 2] = b'a' + copy);
        std::fs::write(&path, &renamed).unwrap();
        set.add(Plugin::load(&engine, &path).unwrap());
    }
    let _ = std::fs::remove_file(&path);
    assert_eq!(set.len(), usize::from(count));
    Arc::new(set)
}

pub fn rows(report: &mut Report) {
    let sets = [copies(1), copies(5), copies(20)];
    for (what, flows, segments) in [
        ("unclaimed, 2,000 flows of 10 packets: 1, 5, 20 plugins, a flow", 2_000, 10),
        ("unclaimed, 2 flows of 100,000 packets: 1, 5, 20 plugins, a packet", 2, 100_000),
    ] {
        let capture: Arc<[u8]> = foreign(flows, segments).bytes.into();
        let replay = |set: &Arc<PluginSet>| {
            cpu_time(|| {
                let mut source = FileSource::from_reader("made", Cursor::new(capture.clone()));
                let mut sink = JsonSink::new(std::io::sink(), "pcap");
                run(&mut source, set, &options(1), &mut sink, &mut Unobserved).unwrap();
            })
        };
        let [one, five, twenty] = &sets;
        let times = in_turns([&mut || replay(one), &mut || replay(five), &mut || replay(twenty)]);
        let units = f64::from(if flows > segments { flows } else { flows * segments });
        let each = times.map(|time| time.as_secs_f64() * 1e9 / units);
        report.add(Row {
            what,
            target: "",
            measured: format!("{:.0}, {:.0}, {:.0} ns", each[0], each[1], each[2]),
            is_reached: None,
            command: "make bench PART=more",
        });
    }
}
