//! What flows cost in memory: each case in a process of its own, which says how much more it has resident at the end.

use std::io::{self, Read};
use std::process::Command;
use std::sync::Arc;

use protap::capture::FileSource;
use protap::emit::JsonSink;
use protap::pipeline::{Unobserved, run};
use protap::plugin::wasm::Deadline;

use crate::measure::is_quick;
use crate::plugins;
use crate::replay::options;
use crate::report::{Report, Row};
use crate::traffic::{Flag, bulk, short_flow};

const COMMAND: &str = "make bench PART=memory";

/// Row 6.
pub fn rows(report: &mut Report) {
    let flows = 100_000;
    let idle = grown("idle", flows) * 1024 / flows;
    report.add(Row {
        what: "memory: an idle flow, of 100,000",
        target: "1,024 bytes",
        measured: format!("{idle} bytes"),
        is_reached: Some(idle <= 1024),
        command: COMMAND,
    });
    let many = if is_quick() { 200_000 } else { 1_000_000 };
    let (few_kib, many_kib) = (grown("short", 100_000), grown("short", many));
    report.add(Row {
        what: "memory: a million short flows rather than 100,000",
        target: "flat",
        measured: format!("{:.1} rather than {:.1} MiB", many_kib as f64 / 1024.0, few_kib as f64 / 1024.0),
        is_reached: Some(many_kib < few_kib + few_kib / 10 + 1024),
        command: COMMAND,
    });
    let gigabyte = grown("bulk", if is_quick() { 32 } else { 112 }) as f64 / 1024.0;
    report.add(Row {
        what: "memory: replay of 1 GB of bulk",
        target: "64 MiB",
        measured: format!("{gigabyte:.1} MiB"),
        is_reached: Some(gigabyte < 64.0),
        command: COMMAND,
    });
}

/// KiB that a child with that case has more at most than at its beginning.
fn grown(what: &str, count: u64) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap()).args(["memory", what, &count.to_string()]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// The child.
pub fn child(what: &str, count: u64) {
    let plugins = plugins::wasm(Deadline::Fuel);
    let capture: Box<dyn Read + Send> = match what {
        "idle" => Box::new(Pieces::new((0..count).map(|flow| short_flow(flow, None)))),
        "short" => Box::new(Pieces::new((0..count).map(|flow| short_flow(flow, Some(Flag::Fin))))),
        _ => {
            let transfer: Arc<[u8]> = bulk(8, 1 << 20).bytes.into();
            Box::new(Pieces::new((0..count).map(move |time| crate::traffic::later(&transfer[24..], time))))
        }
    };
    let before = resident("VmRSS");
    let mut sink = JsonSink::new(io::sink(), "pcap");
    run(&mut FileSource::from_reader("made", capture), &plugins, &options(1), &mut sink, &mut Unobserved).unwrap();
    println!("{}", resident("VmHWM").saturating_sub(before));
}

/// KiB, as the kernel counts them.
fn resident(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A capture file that is made piece by piece.
struct Pieces<I> {
    current: io::Cursor<Vec<u8>>,
    rest: I,
}

impl<I: Iterator<Item = Vec<u8>>> Pieces<I> {
    fn new(rest: I) -> Self {
        Self { current: io::Cursor::new(crate::traffic::file_header()), rest }
    }
}

impl<I: Iterator<Item = Vec<u8>>> Read for Pieces<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(into)?;
            if read > 0 {
                return Ok(read);
            }
            match self.rest.next() {
                Some(piece) => self.current = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}
