//! `protap read`, `protap live` and `protap trace`: from arguments to a source, plugins and a sink, through the pipeline, to
//! records on standard output and a summary on standard error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use crossbeam_channel::{Receiver, bounded};
use protap::capture::{
    CaptureError, CaptureSource, CaptureStats, FileSource, FrontEnd, LiveOptions, LiveSource, PcapngWriter,
    TraceOptions, TraceSource, check_trace, list_interfaces,
};
use protap::emit::{JsonSink, Sink, TextSink, TextStyle};
use protap::packet::{RawPacket, Transport};
use protap::pipeline::{Observer, RunError, RunOptions, RunReport, run};
use protap::plugin::PluginSet;
use protap::plugin::wasm::Deadline;
use protap::plugin::watch::PluginWatch;
use protap::shard::{DecodeAs, FlowOptions, Limits, MAX_SHARDS};
use protap::summary::{Counters, Progress};

use super::Failure;
use super::plugins::PluginArguments;

/// How often a live capture looks at the plugins' files; one is loaded at the second look that finds it the same.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(super) struct ReadArguments {
    /// Capture files, read one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct LiveArguments {
    /// Interface to capture from; any is all of them
    #[arg(short, long, value_name = "IFACE", required_unless_present = "list_interfaces")]
    interface: Option<String>,
    /// Filter expression, as for tcpdump (pcap-filter(7))
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// List the interfaces and exit
    #[arg(short = 'D', long)]
    list_interfaces: bool,
    /// Most bytes kept of a packet
    #[arg(short, long, default_value_t = 262_144, value_name = "BYTES")]
    snaplen: u32,
    /// Size of the kernel's buffer, in MiB
    #[arg(long, default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=2047))]
    buffer: u32,
    /// Do not put the interface into promiscuous mode
    #[arg(long)]
    no_promiscuous: bool,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct TraceArguments {
    /// Trace a process, repeatable [default: all processes]
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Trace processes of that name, repeatable (the thread's name, of which the kernel keeps 15 bytes)
    #[arg(long, value_name = "NAME")]
    comm: Vec<String>,
    /// Trace the processes of a cgroup (v2) and of those below it
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Only connections with this port, repeatable
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// No connections with this port, repeatable
    #[arg(long, value_name = "PORT")]
    exclude_port: Vec<u16>,
    /// Size of the ring that the kernel writes to, in KiB; rounded up to a power of two
    #[arg(long, default_value_t = 65_536, value_name = "KIB", value_parser = clap::value_parser!(u32).range(4..=1_048_576))]
    buffer: u32,
    /// Most bytes copied of one system call
    #[arg(long, default_value_t = 16 << 20, value_name = "BYTES")]
    call_cap: u64,
    /// Also read what OpenSSL and BoringSSL encrypt and decrypt, in the processes that use them (uprobes)
    #[arg(long)]
    tls: bool,
    /// How system calls are hooked [default: socket unless a plugin reads datagrams or there is --tls, else tp-btf; where the
    /// kernel has no BTF or does not take them, tracepoint]
    #[arg(long, value_enum)]
    front_end: Option<FrontEndName>,
    /// The kernel's type information (BTF), where the kernel does not give it itself
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Say what this kernel and this user can do, and exit
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct CommonArguments {
    #[command(flatten)]
    plugins: PluginArguments,
    /// Form of the records [default: text on a terminal, else json]
    #[arg(short, long, value_enum)]
    output: Option<OutputForm>,
    /// Parse a port with a plugin, whatever its bytes, repeatable
    #[arg(short, long = "decode-as", value_name = "tcp.port==N,PLUGIN")]
    decode_as: Vec<String>,
    /// Stop after so many packets
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Threads that parse; the output is the same for any number [default: to read, as many as cores, at most 4; else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_SHARDS as i64))]
    workers: Option<u16>,
    /// Also write the packets to a pcapng file
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write the summary as JSON to a file
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// Say what was seen of a server port and why there are no records of it
    #[arg(long, value_name = "PORT")]
    explain: Vec<u16>,
    /// One record for each response, not one for each request
    #[arg(long)]
    each_response: bool,
    /// Flows followed at a time; the least recently used gives way
    #[arg(long, default_value_t = Limits::default().flows, value_name = "N")]
    max_flows: usize,
    /// Do not print the summary
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    /// JSON Lines
    Json,
    /// A table for people
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FrontEndName {
    /// Typed raw tracepoints where sockets move bytes: no other call is slowed down, and no UDP is seen (Linux 6.3)
    Socket,
    /// Typed raw tracepoints on all system calls
    TpBtf,
    /// The tracepoints of single system calls, through tracefs
    Tracepoint,
}

impl From<FrontEndName> for FrontEnd {
    fn from(name: FrontEndName) -> Self {
        match name {
            FrontEndName::Socket => Self::Socket,
            FrontEndName::TpBtf => Self::TpBtf,
            FrontEndName::Tracepoint => Self::Tracepoint,
        }
    }
}

pub(super) fn read(arguments: &ReadArguments) -> Result<ExitCode, Failure> {
    let common = &arguments.common;
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

impl TraceArguments {
    fn options(&self) -> TraceOptions {
        TraceOptions {
            pids: self.pid.clone(),
            comms: self.comm.clone(),
            cgroup: self.cgroup.clone(),
            ports: self.port.clone(),
            excluded_ports: self.exclude_port.clone(),
            buffer_bytes: self.buffer << 10,
            call_cap: self.call_cap,
            tls: self.tls,
            datagrams: true,
            front_end: self.front_end.map(FrontEnd::from),
            btf: self.btf.clone(),
        }
    }
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
            for error in &news.refused {
                eprintln!("protap: {error}; what was there before stays");
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

    fn run_options(
        &self,
        plugins: &PluginSet,
        duration: Option<Duration>,
    ) -> Result<(Arc<AtomicBool>, RunOptions), Failure> {
        let decode_as = self.decode_as.iter().map(|order| parse_decode_as(order, plugins));
        let stop = Arc::new(AtomicBool::new(false));
        let options = RunOptions {
            workers: self.workers.map_or(1, usize::from),
            flows: FlowOptions {
                limits: Limits { flows: self.max_flows, ..Limits::default() },
                decode_as: decode_as.collect::<Result<_, _>>()?,
                has_each_response: self.each_response,
                given_up: None,
            },
            max_packets: self.count,
            duration,
            stop: stop.clone(),
            wants_counters: Arc::default(),
            plugins: None,
        };
        Ok((stop, options))
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

/// `tcp.port==9093,name`.
fn parse_decode_as(order: &str, plugins: &PluginSet) -> Result<DecodeAs, Failure> {
    let usage = |why: &str| Failure::Usage(anyhow!("--decode-as {order}: {why}"));
    let parts = order.split_once(',').and_then(|(port, plugin)| Some((port.split_once("==")?, plugin)));
    let Some(((field, port), name)) = parts else { return Err(usage("expected tcp.port==N,PLUGIN")) };
    let transport = match field.trim() {
        "tcp.port" => Transport::Tcp,
        "udp.port" => Transport::Udp,
        _ => return Err(usage("expected tcp.port or udp.port")),
    };
    let port = port.trim().parse().map_err(|_| usage("the port is not a number from 0 to 65535"))?;
    let plugin = plugins.position(name.trim());
    let plugin = plugin.ok_or_else(|| usage("no loaded plugin has that name"))?;
    Ok(DecodeAs { transport, port, plugin })
}

/// What was seen of a port, and what follows from it.
fn explain(out: &mut dyn Write, port: u16, report: &RunReport) -> io::Result<()> {
    let flows = &report.summary.flows;
    let unclaimed: Vec<_> = flows.unclaimed.sorted().into_iter().filter(|(key, _)| key.port == port).collect();
    if unclaimed.is_empty() {
        return writeln!(
            out,
            "port {port}: no unclaimed flow. Either a plugin parsed all of them, or none was captured."
        );
    }
    for (key, count) in unclaimed {
        let advice = match key.reason {
            "tls" => "encrypted; `protap trace --tls` sees what OpenSSL and BoringSSL encrypt",
            "tls after a handover" => "its plugin read on until the flow turned to TLS",
            "no data" => "only connection attempts or empty segments; was the server reachable?",
            "too short to tell" => "the plugins wanted more bytes than came",
            "opaque" => "its plugin recognised it and cannot read on (encrypted)",
            "no plugin loaded" => "load one with -p",
            _ => "load the plugin of its protocol, or order one with -d",
        };
        writeln!(out, "port {port}: {count} flows, {}: {advice}", key.reason)?;
    }
    Ok(())
}

fn print_check(options: &TraceOptions) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    let checks = check_trace(options);
    for check in &checks {
        let verdict = match check.is_ok {
            Some(true) => "ok",
            Some(false) => "missing",
            None => "-",
        };
        writeln!(out, "{verdict:<8} {:<17} {}", check.subject, check.finding)?;
    }
    let is_ok = checks.iter().all(|check| check.is_ok != Some(false));
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_interfaces() -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    for interface in list_interfaces()? {
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        let state = if interface.is_up { "up" } else { "down" };
        writeln!(out, "{:<16} {state:<5} {}", interface.name, addresses.join(", "))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The first Ctrl-C or SIGTERM ends the run in good order, the second one at once.
fn stop_on_signal(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(())
}

/// Writes the packets to a file and shows progress.
struct Watcher {
    writer: Option<PcapngWriter<BufWriter<File>>>,
    progress: Option<Progress<io::Stderr>>,
    seen: Counters,
}

impl Watcher {
    fn new(file: Option<&Path>, progress: Option<Option<u64>>) -> Result<Self, Failure> {
        let writer = match file {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                Some(PcapngWriter::new(BufWriter::new(file))?)
            }
            None => None,
        };
        let width = TextStyle::detect(&io::stderr()).width;
        let progress = progress.map(|total| Progress::new(io::stderr(), total, width, Instant::now()));
        Ok(Self { writer, progress, seen: Counters::default() })
    }

    fn finish(mut self) -> Result<(), Failure> {
        if let Some(progress) = &mut self.progress {
            progress.clear()?;
        }
        if let Some(writer) = self.writer.take() {
            writer.finish()?.flush()?;
        }
        Ok(())
    }
}

impl Observer for Watcher {
    fn packet(&mut self, packet: &RawPacket<'_>) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.write(packet)?;
        }
        if let Some(progress) = &mut self.progress {
            // Looking at the clock for every packet would cost more than most packets.
            self.seen.packets = packet.number;
            self.seen.bytes += packet.data.len() as u64 + 16;
            if packet.number.is_multiple_of(4096) {
                progress.update(Instant::now(), self.seen)?;
            }
        }
        Ok(())
    }

    fn counters(&mut self, stats: &CaptureStats) -> io::Result<()> {
        let CaptureStats { packets, bytes, kernel_drops, interface_drops, .. } = stats;
        writeln!(
            io::stderr(),
            "protap: {packets} packets, {bytes} bytes, dropped by the kernel {kernel_drops}, by the interface {interface_drops}"
        )
    }

    fn idle(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), PcapngWriter::flush)
    }
}
