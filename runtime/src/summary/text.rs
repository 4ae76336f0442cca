//! The report for people: a few labelled lines, then tables. Sections with nothing to say are left out, zeros are
//! dashes, and of long lists the top is shown; `--stats-json` has everything.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::emit::human::{count, duration, size};
use crate::emit::terminal::{Paint, push_visible};
use crate::packet::Transport;
use crate::running::FaultExample;
use crate::summary::table::Table;
use crate::summary::{CaptureSummary, FlowSummary, Loss, Operation, PluginSummary, RecordSummary, Summary};

/// Rows shown of the unclaimed flows.
const TOP_UNCLAIMED: usize = 10;
/// Rows shown of the operations: about a screen.
const TOP_OPERATIONS: usize = 40;
/// Reasons shown for incomplete decoding.
const TOP_REASONS: usize = 8;
/// Faults told of a plugin.
const TOP_FAULTS: usize = 3;
/// Longest line that is made of names; further ones are cut.
const MAX_LINE_WIDTH: usize = 400;

pub(super) fn write(summary: &Summary, out: &mut dyn Write, has_colour: bool) -> io::Result<()> {
    let mut report = Report { out, has_colour };
    report.capture(&summary.capture)?;
    report.flows(&summary.flows)?;
    report.records(&summary.records)?;
    report.operations(&summary.records)?;
    report.undecoded(&summary.records)?;
    report.unclaimed(&summary.flows)?;
    report.losses(&summary.losses)?;
    report.plugins(&summary.plugins)
}

struct Report<'a> {
    out: &'a mut dyn Write,
    has_colour: bool,
}

impl Report<'_> {
    fn capture(&mut self, capture: &CaptureSummary) -> io::Result<()> {
        let span = capture.first.zip(capture.last).map(|(first, last)| duration(last.saturating_sub(first)));
        let span = span.map_or(String::new(), |span| format!(" in {span}"));
        let mut parts = vec![format!("{} packets, {}B{span}", count(capture.packets), size(capture.bytes))];
        let more = [("duplicates", capture.duplicates), ("dropped by the kernel", capture.kernel_drops)];
        parts.extend(counted(more));
        self.line("capture", &parts.join(", "))?;
        self.line("ignored", &counted(capture.ignored.iter().copied()).join(", "))
    }

    fn flows(&mut self, flows: &FlowSummary) -> io::Result<()> {
        if flows.seen == 0 {
            return Ok(());
        }
        let claimed = flows.claimed.iter().map(|(name, count)| (name.as_str(), *count));
        let parts = counted(claimed.chain([("unclaimed", flows.unclaimed.total())]));
        let separator = if parts.is_empty() { "" } else { ": " };
        self.line("flows", &format!("{} seen{separator}{}", count(flows.seen), parts.join(", ")))
    }

    fn records(&mut self, records: &RecordSummary) -> io::Result<()> {
        for (protocol, kinds) in &records.by_protocol {
            self.line("records", &format!("{protocol}: {}", counted(kinds.named()).join(", ")))?;
        }
        let coverage = records.coverage();
        if coverage.messages() == 0 {
            return Ok(());
        }
        let mut text = format!("{} of {} messages decoded in full", count(coverage.full), count(coverage.messages()));
        let reasons = coverage.reasons.sorted();
        let (top, rest) = reasons.split_at(reasons.len().min(TOP_REASONS));
        let rest = rest.iter().map(|(_, count)| count).sum::<u64>() + coverage.reasons.other();
        let parts = counted(top.iter().map(|(reason, count)| (reason.as_str(), *count)).chain([("other", rest)]));
        if !parts.is_empty() {
            text.push_str(&format!("; else: {}", parts.join(", ")));
        }
        self.line("coverage", &text)
    }

    fn operations(&mut self, records: &RecordSummary) -> io::Result<()> {
        let titles =
            ["operation", "records", "client err", "server err", "timeout", "unknown", "p50", "p99", "req B", "resp B"];
        let mut table = Table::new(&titles, 1..titles.len());
        let rows = records.operations.sorted();
        for row in rows.iter().take(TOP_OPERATIONS) {
            table.add(operation_row(operation_name(row), row));
        }
        let other = records.operations.other();
        if other.records > 0 {
            table.add(operation_row("other".into(), other));
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.table(&table)?;
        match rows.len().saturating_sub(TOP_OPERATIONS) {
            0 => Ok(()),
            more => writeln!(self.out, "and {more} more"),
        }
    }

    /// The versions of which not all was decoded, the most frequent first.
    fn undecoded(&mut self, records: &RecordSummary) -> io::Result<()> {
        let versions =
            |row: &Operation| row.versions.iter().map(|version| (operation_name(row), version.clone())).collect();
        let mut rows: Vec<_> =
            records.operations.sorted().into_iter().flat_map(|row| -> Vec<_> { versions(row) }).collect();
        rows.retain(|(_, version)| version.full < version.records);
        rows.sort_by_key(|(_, version)| Reverse(version.records - version.full));
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["not decoded in full", "seen", "decoded", "in part", "header only"], 1..5);
        for (name, version) in rows.iter().take(TOP_OPERATIONS) {
            let name = if version.version.is_empty() { name.clone() } else { format!("{name} v{}", version.version) };
            let counts = [version.records, version.full, version.partial, version.header].map(count);
            table.add([name].into_iter().chain(counts).collect());
        }
        self.table(&table)
    }

    fn unclaimed(&mut self, flows: &FlowSummary) -> io::Result<()> {
        let rows = flows.unclaimed.sorted();
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["unclaimed", "flows", "reason"], 1..2);
        for (at, flows) in rows.iter().take(TOP_UNCLAIMED) {
            let transport = if at.transport == Transport::Tcp { "tcp" } else { "udp" };
            table.add(vec![format!("{transport} port {}", at.port), count(*flows), at.reason.into()]);
        }
        let rest = rows.iter().skip(TOP_UNCLAIMED).map(|(_, flows)| flows).sum::<u64>() + flows.unclaimed.other();
        if rest > 0 {
            table.add(vec!["others".into(), count(rest)]);
        }
        self.table(&table)
    }

    fn losses(&mut self, losses: &[Loss]) -> io::Result<()> {
        let mut table = Table::new(&["lost", "count", "what it means"], 1..2);
        let mut real = losses.iter().filter(|loss| loss.count > 0).peekable();
        if real.peek().is_none() {
            return Ok(());
        }
        for loss in real {
            table.add(vec![loss.name.into(), count(loss.count), loss.explanation.into()]);
        }
        self.table(&table)
    }

    fn plugins(&mut self, plugins: &[PluginSummary]) -> io::Result<()> {
        if plugins.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(
            &["plugin", "abi", "claims", "calls", "p50", "p99", "errors", "traps", "memory", "faults"],
            2..9,
        );
        for plugin in plugins {
            table.add(vec![
                format!("{} {}", plugin.name, plugin.version),
                plugin.abi.clone(),
                dashed(plugin.claims),
                dashed(plugin.calls),
                time(plugin.call_time.p50()),
                time(plugin.call_time.p99()),
                dashed(plugin.bad_answers()),
                dashed(plugin.traps()),
                format!("{}B", size(plugin.memory_bytes)),
                counted(plugin.faults.iter().copied()).join(", "),
            ]);
        }
        self.table(&table)?;
        plugins.iter().try_for_each(|plugin| self.faults(plugin))
    }

    /// On whose bytes a plugin failed first, and how often it was left alone for it.
    fn faults(&mut self, plugin: &PluginSummary) -> io::Result<()> {
        for FaultExample { ends: (a, b), error, .. } in plugin.fault_examples.iter().take(TOP_FAULTS) {
            self.line(&plugin.name, &format!("failed on {a} - {b}: {error}"))?;
        }
        let (all, hosts) = (plugin.quarantines, plugin.host_quarantines);
        if all + hosts > 0 {
            self.line(
                &plugin.name,
                &format!("quarantined {} times, for single hosts {} times", count(all), count(hosts)),
            )?;
        }
        Ok(())
    }

    fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let (on, off) = if self.has_colour { (Paint::Bold.on(), Paint::OFF) } else { ("", "") };
        let mut visible = String::new();
        push_visible(&mut visible, text, MAX_LINE_WIDTH);
        writeln!(self.out, "{on}{label:<9}{off} {visible}")
    }

    fn table(&mut self, table: &Table) -> io::Result<()> {
        writeln!(self.out)?;
        table.write(self.out, self.has_colour)
    }
}

fn operation_name(row: &Operation) -> String {
    let name = if row.type_name.is_empty() { "-" } else { &row.type_name };
    let mark = if row.is_long_poll { " (long poll)" } else { "" };
    format!("{} {name}{mark}", row.protocol)
}

fn operation_row(name: String, row: &Operation) -> Vec<String> {
    let counts = [row.records, row.client_errors, row.server_errors, row.timeouts, row.unknown].map(dashed);
    let times = [row.latency.p50(), row.latency.p99()].map(time);
    let sizes = [row.request_bytes, row.response_bytes].map(size);
    [name].into_iter().chain(counts).chain(times).chain(sizes).collect()
}

/// `12 arp`, for each count that is not zero.
fn counted<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<String> {
    let nonzero = counts.into_iter().filter(|(_, count)| *count > 0);
    nonzero.map(|(name, value)| format!("{} {name}", count(value))).collect()
}

fn dashed(value: u64) -> String {
    if value == 0 { "-".into() } else { count(value) }
}

fn time(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "-".into(), duration)
}
