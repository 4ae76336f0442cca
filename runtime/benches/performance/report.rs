//! The figures as a table, on the terminal as they come and in `docs/performance.md` at the end.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// One row.
pub struct Row {
    pub what: &'static str,
    pub target: &'static str,
    pub measured: String,
    /// `None` where nothing was promised.
    pub is_reached: Option<bool>,
    pub command: &'static str,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, row: Row) {
        println!("{:<58} {:>26}  {}", row.what, row.measured, verdict(&row));
        self.rows.push(row);
    }

    /// Writes the file, if all rows were measured.
    pub fn write(&self, is_whole: bool) {
        if !is_whole {
            return;
        }
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut text =
            format!("{INTRODUCTION}\n| what | promised | measured | reached | command |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            let Row { what, target, measured, command, .. } = row;
            writeln!(text, "| {what} | {target} | {measured} | {} | `{command}` |", verdict(row)).unwrap();
        }
        writeln!(text, "\n{}", machine()).unwrap();
        text += NOTES;
        std::fs::create_dir_all(root.join("docs")).unwrap();
        std::fs::write(root.join("docs/performance.md"), text).unwrap();
        println!("written: docs/performance.md");
    }
}

/// Why a row is not reached, and what is not measured.
const NOTES: &str = include_str!("notes.md");

const INTRODUCTION: &str = "\
# Performance

Written by `make bench` (`QUICK=1` for three turns instead of eleven); `make bench PART=NAME` for one part: `sandbox`, `limit`, `peers`, `scaling`, `memory`, `start`, `more`, `live`. Peers take turns in one run; of each the median counts. CPU
time wherever one thread does the work; tshark and scaling by the clock, protap on captures six times as long as the \"small\" ones, and against tshark
with as many workers as it starts by itself (in brackets by CPU time, with one). \"Small\" is a recorded workload repeated under new flows (Kafka: 90,000 packets, 29 MB;
MongoDB: 63,500 packets, 30 MB), \"bulk\" is Produce requests of 1 MiB in full segments (139,268 packets, 144 MB).
";

fn verdict(row: &Row) -> &'static str {
    match row.is_reached {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    }
}

/// The machine, the versions, the date and how many turns there were.
fn machine() -> String {
    let run = |line: &str| {
        let output = Command::new("bash").args(["-c", line]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    format!(
        "Machine: {} ({} cores), Linux {}. {}. protap {} at {}, {} Load when it ended: {}. {} turns. {}.\n",
        run("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n1"),
        run("nproc"),
        run("uname -r"),
        run("rustc --version"),
        env!("CARGO_PKG_VERSION"),
        run("git rev-parse --short HEAD 2>/dev/null || echo '?'"),
        run("tshark --version 2>/dev/null | head -n1"),
        run("cut -d' ' -f1-3 /proc/loadavg"),
        super::measure::rounds(),
        run("date -u +%F"),
    )
}
