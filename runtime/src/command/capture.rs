//! `protap read`, `protap live` and `protap trace`: from arguments to a source, plugins and a sink, through the pipeline, to
//! records on standard output and a summary on standard error.

mod answers;
mod arguments;
mod watcher;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, bounded};
use protap::capture::{CaptureError, CaptureSource, FileSource, LiveOptions, LiveSource, TraceOptions, TraceSource};
use protap::emit::{JsonSink, Sink, TextSink, TextStyle, visible};
use protap::packet::Transport;
use protap::pipeline::{RunError, RunOptions, RunReport, run};
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;
use protap::plugin::watch::{PluginWatch, Refusal};
use protap::shard::DecodeAs;

use self::answers::{explain, print_check, print_interfaces};
use self::arguments::{CommonArguments, FrontEndName, OutputForm};
pub(super) use self::arguments::{LiveArguments, ReadArguments, TraceArguments};
use self::watcher::Watcher;
use super::Failure;

/// Signals so close together are one: timeout(1) sends its own to the program and then to the program's process group.
const ONE_SIGNAL: Duration = Duration::from_millis(200);

/// How often a live capture looks at the plugins' files; one is loaded at the second look that finds it the same.
const LOOK: Duration = Duration::from_millis(300);

pub(super) fn read(arguments: &ReadArguments) -> Result<ExitCode, Failure> {
    let common = &arguments.common;
    common.check_outputs(&arguments.files)?;
    let plugins = Arc::new(common.plugins.load(Deadline::Fuel)?);
    let mut source = FileSource::new(arguments.files.iter().cloned());
    let size = arguments.files.iter().map(|file| std::fs::metadata(file).ok().map(|meta| meta.len())).sum();
    let (stop, mut options) = common.run_options(&plugins, None)?;
    options.workers = common.workers.map_or_else(cores, usize::from);
    stop_on_signal(&stop)?;
    let progress = (io::stderr().is_terminal() && !io::stdout().is_terminal()).then_some(size);
    common.run(&mut source, "pcap", plugins, &options, common.told(progress)?)
}

/// Workers for a file, unless told otherwise, at most: more would have more shards to serve, and one thread puts what they
/// give out in order.
const WORKERS: usize = 4;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS)
}

pub(super) fn live(arguments: &LiveArguments) -> Result<ExitCode, Failure> {
    if arguments.list_interfaces {
        return print_interfaces();
    }
    let common = &arguments.common;
    common.check_outputs(&[])?;
    let (plugins, watch) = common.plugins.load_and_watch(Deadline::CpuTime)?;
    let (stop, mut options) = common.run_options(&plugins, arguments.duration.map(Duration::from_secs))?;
    let filter = arguments.filter.join(" ");
    let live = LiveOptions {
        filter: (!filter.is_empty()).then_some(filter),
        snaplen: arguments.snaplen,
        buffer_bytes: arguments.buffer << 20,
        promiscuous: !arguments.no_promiscuous,
        ..LiveOptions::new(arguments.interface.clone().unwrap_or_default())
    };
    let mut source = LiveSource::open(&live, stop.clone()).map_err(|error| match error {
        CaptureError::BadFilter { .. } => Failure::Usage(error.into()),
        _ => error.into(),
    })?;
    attend(watch, &stop, &mut options)?;
    if io::stderr().is_terminal() {
        eprintln!("capturing on {}; Ctrl-C ends", live.interface);
    }
    common.run(&mut source, "pcap", plugins, &options, common.told(None)?)
}

/// Flows that were given up and not yet muted, at most; those that find no room tell again.
const GIVEN_UP: usize = 4096;

pub(super) fn trace(arguments: &TraceArguments) -> Result<ExitCode, Failure> {
    if arguments.check {
        return print_check(&arguments.options());
    }
    let common = &arguments.common;
    if common.write.is_some() {
        return Err(Failure::Usage(anyhow!("--write: a trace sees no packets that it could write")));
    }
    common.check_outputs(&[])?;
    for path in [&arguments.cgroup, &arguments.btf].into_iter().flatten() {
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    }
    if arguments.tls && arguments.front_end == Some(FrontEndName::Socket) {
        return Err(Failure::Usage(anyhow!("--tls: the front ends that see it are tp-btf and tracepoint")));
    }
    let (plugins, watch) = common.plugins.load_and_watch(Deadline::CpuTime)?;
    let (stop, mut options) = common.run_options(&plugins, arguments.duration.map(Duration::from_secs))?;
    let is_udp = |order: &DecodeAs| order.transport == Transport::Udp;
    let datagrams = plugins.reads_datagrams() || options.flows.decode_as.iter().any(is_udp);
    let (tell, given_up) = bounded(GIVEN_UP);
    options.flows.given_up = Some(tell);
    let mut source = TraceSource::open(&TraceOptions { datagrams, ..arguments.options() }, given_up, stop.clone())?;
    let told = common.told(None)?;
    // Before threads are started, which get what is left.
    source.drop_capabilities()?;
    attend(watch, &stop, &mut options)?;
    if !common.quiet {
        let tls = if arguments.tls { format!(" and {} TLS libraries", source.libraries()) } else { String::new() };
        eprintln!("tracing system calls ({}){tls}; Ctrl-C ends", source.front_end().name());
    }
    common.run(&mut source, "ebpf", plugins, &options, told)
}

/// What a run that has no end of its own listens to: signals, and the plugins' files.
fn attend(watch: PluginWatch, stop: &Arc<AtomicBool>, options: &mut RunOptions) -> Result<(), Failure> {
    stop_on_signal(stop)?;
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, options.wants_counters.clone())?;
    options.plugins = Some(keep_watch(watch, stop.clone())?);
    Ok(())
}

/// Looks after the plugins' files until the run is stopped. What changes is told on standard error, whole sets are
/// handed to the run.
fn keep_watch(mut watch: PluginWatch, stop: Arc<AtomicBool>) -> Result<Receiver<Arc<PluginSet>>, Failure> {
    let (send, receive) = bounded(1);
    let look = move || {
        // It compiles what others wrote, and needs nothing.
        #[cfg(target_os = "linux")]
        let _ = protap::privilege::drop_all();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            let news = watch.look();
            for Refusal { error, goes_on } in &news.refused {
                let before = if *goes_on { "; what was there before stays" } else { "" };
                eprintln!("protap: {}{before}", visible(&error.to_string()));
            }
            let Some(set) = news.set else { continue };
            news.changes.iter().for_each(|change| eprintln!("protap: {change}"));
            if send.send(set).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("plugins".to_owned()).spawn(look).context("cannot watch the plugins")?;
    Ok(receive)
}

/// What is told beside the records.
struct Told {
    /// Whether progress is shown, and of how many bytes.
    progress: Option<Option<u64>>,
    /// Where the summary goes. Opened at the beginning: later there may be no right to do so.
    stats: Option<File>,
}

impl CommonArguments {
    fn told(&self, progress: Option<Option<u64>>) -> Result<Told, Failure> {
        let open = |path: &PathBuf| File::create(path).with_context(|| format!("cannot write {}", path.display()));
        Ok(Told { progress, stats: self.stats_json.as_ref().map(open).transpose()? })
    }

    fn run(
        &self,
        source: &mut dyn CaptureSource,
        capture: &'static str,
        plugins: Arc<PluginSet>,
        options: &RunOptions,
        told: Told,
    ) -> Result<ExitCode, Failure> {
        let mut sink = self.sink(capture);
        let mut watcher = Watcher::new(self.write.as_deref(), told.progress)?;
        let result = run(source, &plugins, options, &mut *sink, &mut watcher);
        watcher.finish()?;
        match result {
            Ok(report) => self.report(&report, told.stats),
            Err(RunError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error.into()),
        }
    }

    fn sink(&self, capture: &'static str) -> Box<dyn Sink + Send> {
        let out = io::stdout();
        let default = if out.is_terminal() { OutputForm::Text } else { OutputForm::Json };
        match self.output.unwrap_or(default) {
            OutputForm::Json => Box::new(JsonSink::new(out, capture)),
            OutputForm::Text => {
                let style = TextStyle::detect(&out);
                Box::new(TextSink::new(out, style))
            }
        }
    }

    /// Tells what there is to tell after a run, and whether it was a success.
    fn report(&self, report: &RunReport, stats: Option<File>) -> Result<ExitCode, Failure> {
        let mut err = io::stderr().lock();
        let has_colour = TextStyle::detect(&io::stderr()).has_colour;
        let has_read = report.summary.capture.packets > 0 || report.errors.is_empty();
        if !self.quiet && has_read {
            report.summary.write_text(&mut err, has_colour)?;
        }
        for port in &self.explain {
            explain(&mut err, *port, report)?;
        }
        if let Some(mut stats) = stats {
            let text = serde_json::to_string_pretty(&report.summary.to_json())?;
            stats.write_all((text + "\n").as_bytes()).context("cannot write the summary")?;
        }
        for error in &report.errors {
            writeln!(err, "protap: {error}")?;
        }
        Ok(if report.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The first Ctrl-C or SIGTERM ends the run in good order, a later one at once; so does a terminal that is closed, unless
/// that is to be ignored (nohup(1)).
fn stop_on_signal(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let heeded = || [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(*signal));
    // By the handler itself: whoever waits is interrupted by it, and must find the flag set.
    for signal in heeded() {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut signals = signal_hook::iterator::Signals::new(heeded())?;
    let wait = move || {
        #[cfg(target_os = "linux")]
        let _ = protap::privilege::drop_all();
        let mut first = None;
        for _ in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > ONE_SIGNAL {
                signal_hook::low_level::exit(1);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot wait for signals")?;
    Ok(())
}

/// Whether the program was started with that signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
