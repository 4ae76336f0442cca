//! What `protap read`, `protap live` and `protap trace` can be told, and what that means to a run.

use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use protap::capture::{FrontEnd, TraceOptions};
use protap::packet::Transport;
use protap::pipeline::RunOptions;
use protap::plugin::PluginSet;
use protap::shard::{DecodeAs, FlowOptions, Limits, MAX_SHARDS};

use crate::command::Failure;
use crate::command::plugins::PluginArguments;

#[derive(Debug, Args)]
pub(in crate::command) struct ReadArguments {
    /// Capture files, read one after the other
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(in crate::command) struct LiveArguments {
    /// Interface to capture from; any is all of them
    #[arg(short, long, value_name = "IFACE", required_unless_present = "list_interfaces")]
    pub(super) interface: Option<String>,
    /// Filter expression, as for tcpdump (pcap-filter(7))
    #[arg(value_name = "FILTER")]
    pub(super) filter: Vec<String>,
    /// List the interfaces and exit
    #[arg(short = 'D', long)]
    pub(super) list_interfaces: bool,
    /// Most bytes kept of a packet
    #[arg(short, long, default_value_t = 262_144, value_name = "BYTES")]
    pub(super) snaplen: u32,
    /// Size of the kernel's buffer, in MiB
    #[arg(long, default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=2047))]
    pub(super) buffer: u32,
    /// Do not put the interface into promiscuous mode
    #[arg(long)]
    pub(super) no_promiscuous: bool,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) duration: Option<u64>,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(in crate::command) struct TraceArguments {
    /// Trace a process, repeatable [default: all processes]
    #[arg(long, value_name = "PID")]
    pub(super) pid: Vec<u32>,
    /// Trace processes of that name, repeatable (the thread's name, of which the kernel keeps 15 bytes)
    #[arg(long, value_name = "NAME")]
    pub(super) comm: Vec<String>,
    /// Trace the processes of a cgroup (v2), a folder as in /sys/fs/cgroup, and of those below it
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Option<PathBuf>,
    /// Only connections with this port, repeatable
    #[arg(long, value_name = "PORT")]
    pub(super) port: Vec<u16>,
    /// No connections with this port, repeatable
    #[arg(long, value_name = "PORT")]
    pub(super) exclude_port: Vec<u16>,
    /// Size of the ring that the kernel writes to, in KiB; rounded up to a power of two
    #[arg(long, default_value_t = 65_536, value_name = "KIB", value_parser = clap::value_parser!(u32).range(4..=1_048_576))]
    pub(super) buffer: u32,
    /// Most bytes copied of one system call
    #[arg(long, default_value_t = 16 << 20, value_name = "BYTES")]
    pub(super) call_cap: u64,
    /// Also read what OpenSSL and BoringSSL encrypt and decrypt, in the processes that use them (uprobes)
    #[arg(long)]
    pub(super) tls: bool,
    /// How system calls are hooked [default: socket unless a plugin reads datagrams or there is --tls, else tp-btf; where the
    /// kernel has no BTF or does not take them, tracepoint]
    #[arg(long, value_enum)]
    pub(super) front_end: Option<FrontEndName>,
    /// The kernel's type information (BTF), where the kernel does not give it itself
    #[arg(long, value_name = "FILE")]
    pub(super) btf: Option<PathBuf>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) duration: Option<u64>,
    /// Say what this kernel and this user can do, and exit
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(super) struct CommonArguments {
    #[command(flatten)]
    pub(super) plugins: PluginArguments,
    /// Form of the records [default: text on a terminal, else json]
    #[arg(short, long, value_enum)]
    pub(super) output: Option<OutputForm>,
    /// Parse a port (tcp.port or udp.port) with a plugin, whatever its bytes, repeatable
    #[arg(short, long = "decode-as", value_name = "tcp.port==N,PLUGIN")]
    pub(super) decode_as: Vec<String>,
    /// Stop after so many packets
    #[arg(short, long, value_name = "N")]
    pub(super) count: Option<NonZeroU64>,
    /// Threads that parse, 1 to 16; up to 4 they never change the output [default: to read, as many as cores, at most 4; else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_SHARDS as i64))]
    pub(super) workers: Option<u16>,
    /// Also write the packets to a pcapng file (a trace has none)
    #[arg(short, long, value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
    /// Write the summary as JSON to a file
    #[arg(long, value_name = "FILE")]
    pub(super) stats_json: Option<PathBuf>,
    /// Say what was seen of a server port and why there are no records of it
    #[arg(long, value_name = "PORT")]
    pub(super) explain: Vec<u16>,
    /// One record for each response, not one for each request
    #[arg(long)]
    pub(super) each_response: bool,
    /// Flows followed at a time; the least recently used gives way
    #[arg(long, default_value_t = max_flows(), value_name = "N")]
    pub(super) max_flows: NonZeroUsize,
    /// Do not print the summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputForm {
    /// JSON Lines
    Json,
    /// A table for people
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FrontEndName {
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

impl TraceArguments {
    pub(super) fn options(&self) -> TraceOptions {
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

impl CommonArguments {
    /// An error if what is written would go to standard output, which has the records, or over one of the captures.
    pub(super) fn check_outputs(&self, captures: &[PathBuf]) -> Result<(), Failure> {
        let id = |path: &Path| {
            std::fs::metadata(path).ok().filter(|meta| meta.is_file()).map(|meta| (meta.dev(), meta.ino()))
        };
        // Of a file that does not exist yet: its folder and its name.
        let place = |path: &Path| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = std::fs::metadata(folder).ok()?;
            Some((folder.dev(), folder.ino(), path.file_name()?.to_owned()))
        };
        if let (Some(packets), Some(summary)) = (&self.write, &self.stats_json) {
            let is_same_file = id(packets).is_some_and(|packets| id(summary) == Some(packets));
            if is_same_file || place(packets).is_some_and(|packets| place(summary) == Some(packets)) {
                return Err(Failure::Usage(anyhow!("--write and --stats-json: both are {}", summary.display())));
            }
        }
        for (option, output) in [("--write", &self.write), ("--stats-json", &self.stats_json)] {
            let Some(output) = output else { continue };
            if output.as_os_str() == "-" {
                return Err(Failure::Usage(anyhow!("{option} -: standard output has the records; name a file")));
            }
            if let Some(id_of_output) = id(output)
                && captures.iter().any(|capture| id(capture) == Some(id_of_output))
            {
                return Err(Failure::Usage(anyhow!("{option} {}: that is a capture that is read", output.display())));
            }
        }
        Ok(())
    }

    /// What a run is told, and what stops it.
    pub(super) fn run_options(
        &self,
        plugins: &PluginSet,
        duration: Option<Duration>,
    ) -> Result<(Arc<AtomicBool>, RunOptions), Failure> {
        let decode_as = self.decode_as.iter().map(|order| parse_decode_as(order, plugins));
        let stop = Arc::new(AtomicBool::new(false));
        let options = RunOptions {
            workers: self.workers.map_or(1, usize::from),
            flows: FlowOptions {
                limits: Limits { flows: self.max_flows.get(), ..Limits::default() },
                decode_as: decode_as.collect::<Result<_, _>>()?,
                has_each_response: self.each_response,
                given_up: None,
            },
            max_packets: self.count.map(NonZeroU64::get),
            duration,
            stop: stop.clone(),
            wants_counters: Arc::default(),
            plugins: None,
        };
        Ok((stop, options))
    }
}

fn max_flows() -> NonZeroUsize {
    NonZeroUsize::new(Limits::default().flows).unwrap_or(NonZeroUsize::MIN)
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
