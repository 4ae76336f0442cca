//! A case under two captures: a real Redis server and a client in a network namespace of their own, `tcpdump` and
//! `protap trace` at the same time, by each of trace's front ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protap_e2e::artifacts::{plugin, root, scratch};
pub(super) use protap_e2e::program::interrupt;
use protap_e2e::program::{command, finished, text};
use serde_json::Value;

/// How system calls are hooked: every case is run with each, and those of datagrams and TLS with all but the first.
pub(super) const FRONT_ENDS: [&str; 3] = ["socket", "tp-btf", "tracepoint"];
pub(super) const AT_CALLS: [&str; 2] = ["tp-btf", "tracepoint"];

/// A server's port. A trace sees all namespaces, and the tests run side by side: each has its own.
pub(super) fn port() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (20_000 + (std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).to_string()
}

/// What both captures made of a case.
pub(super) struct Outcome {
    pub(super) front_end: String,
    pub(super) traced: Vec<Value>,
    pub(super) captured: Vec<Value>,
    pub(super) stats: Value,
    pub(super) client: u32,
    pub(super) server: u32,
}

/// A child that does not outlive its test.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace of its own.
pub(super) struct Namespace(String);

impl Namespace {
    pub(super) fn new(suffix: &str) -> Result<Self, String> {
        let name = format!("protap-{}-{suffix}", std::process::id());
        say(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self(name);
        say(Command::new("ip").args(["-n", &namespace.0, "link", "set", "lo", "up", "mtu", "1500"]))?;
        Ok(namespace)
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).args(arguments).stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs a command; what it said if it failed.
pub(super) fn say(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Whether a program can be run.
pub(super) fn has(program: &str) -> Result<(), String> {
    say(Command::new("sh").args(["-c", &format!("command -v {program}")])).map_err(|_| format!("no {program}"))
}

/// Reads lines until one that contains `what`.
pub(super) fn wait_for(lines: &mut impl BufRead, what: &str) -> Result<(), String> {
    let mut all = String::new();
    while lines.read_line(&mut all).is_ok_and(|len| len > 0) {
        if all.lines().last().is_some_and(|line| line.contains(what)) {
            return Ok(());
        }
    }
    Err(all.trim().to_owned())
}

/// A case under way.
pub(super) struct Running {
    folder: PathBuf,
    tcpdump: Killed,
    trace: Killed,
    trace_says: BufReader<ChildStderr>,
    namespace: Namespace,
}

impl Running {
    pub(super) fn start(
        front_end: &str,
        namespace: Namespace,
        folder: &Path,
        plugins: &Path,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let pcap = folder.join("case.pcap");
        let mut tcpdump = namespace.run(&["tcpdump", "-i", "lo", "-U", "-B", "65536", "-w", text(&pcap)]);
        let mut tcpdump = Killed(tcpdump.stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?);
        wait_for(&mut BufReader::new(tcpdump.0.stderr.take().expect("piped")), "listening")?;
        let stats = folder.join("stats.json");
        let mut all = vec!["-p", text(plugins), "-o", "json", "--stats-json", text(&stats)];
        all.extend(arguments);
        let out = std::fs::File::create(folder.join("trace.json")).expect("the folder can be written to");
        let trace = trace(front_end, &all).stdout(out).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut trace = Killed(trace);
        let mut trace_says = BufReader::new(trace.0.stderr.take().expect("piped"));
        wait_for(&mut trace_says, "tracing")?;
        Ok(Self { folder: folder.to_owned(), tcpdump, trace, trace_says, namespace })
    }

    /// Ends both captures; their records, those of tcpdump by the plugin `reader`, and the trace's counters.
    pub(super) fn end(mut self, reader: &Path) -> (Vec<Value>, Vec<Value>, Value) {
        settle(&self.namespace, &self.folder.join("case.pcap"));
        interrupt(&self.trace.0);
        interrupt(&self.tcpdump.0);
        let (_, status) = (wait_for(&mut self.trace_says, "\0"), self.trace.0.wait().expect("it ends"));
        assert!(status.success(), "trace failed");
        self.tcpdump.0.wait().expect("it ends");
        let file = |name: &str| self.folder.join(name);
        let stats = std::fs::read(file("stats.json")).expect("the summary was written");
        let traced = std::fs::read_to_string(file("trace.json")).expect("it was written");
        let read = command(&["read", "-q", "-p", text(reader), "-o", "json", text(&file("case.pcap"))]).output();
        let captured = finished(read.expect("the program starts")).out;
        (records(&traced), records(&captured), serde_json::from_slice(&stats).expect("JSON"))
    }
}

/// Waits until tcpdump has written all that was sent so far: on a busy machine it is some time behind.
fn settle(namespace: &Namespace, pcap: &Path) {
    const END: &str = "that was all of it";
    say(&mut namespace.run(&["bash", "-c", &format!("echo {END} >/dev/udp/127.0.0.1/9")])).expect("UDP works");
    for _ in 0..600 {
        let bytes = std::fs::read(pcap).unwrap_or_default();
        let tail = bytes.get(bytes.len().saturating_sub(4096)..).unwrap_or_default();
        if tail.windows(END.len()).any(|window| window == END.as_bytes()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("tcpdump does not come to an end");
}

/// Runs a case under both captures, with each front end; nothing if that is not possible here.
pub(super) fn run(case: &str, arguments: &[&str]) -> Vec<Outcome> {
    FRONT_ENDS.iter().filter_map(|front_end| run_with(front_end, case, arguments, &plugin("redis"), || ())).collect()
}

/// The same with one front end and other plugins, and with something to do when the case says "more".
pub(super) fn run_with(
    front_end: &str,
    case: &str,
    arguments: &[&str],
    plugins: &Path,
    more: impl FnMut(),
) -> Option<Outcome> {
    match try_run(front_end, case, arguments, plugins, more) {
        Ok(outcome) => Some(outcome),
        Err(why) => {
            println!("skipped ({front_end}): {why}");
            None
        }
    }
}

/// Mounts tracefs where it is not; to be run in a mount namespace.
pub(super) const MOUNTED: &str = "test -d /sys/kernel/tracing/events || mount -t tracefs nodev /sys/kernel/tracing";

/// `protap trace` with that front end. Where tracefs is not mounted, it is for this process only.
pub(super) fn trace(front_end: &str, arguments: &[&str]) -> Command {
    match front_end {
        "socket" | "tp-btf" => command(&[&["trace", "--front-end", front_end], arguments].concat()),
        _ => trace_after(MOUNTED, &[], &[&["--front-end", front_end], arguments].concat()),
    }
}

/// `protap trace` in a mount namespace of its own, in which those commands of a shell were run before, and by way of
/// another program.
pub(super) fn trace_after(mounts: &str, by_way_of: &[&str], arguments: &[&str]) -> Command {
    let plain = command(&[&["trace"], arguments].concat());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!(r#"{mounts}; exec "$@""#), "sh"]).args(by_way_of);
    command.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

pub(super) fn try_run(
    front_end: &str,
    case: &str,
    arguments: &[&str],
    plugins: &Path,
    mut more: impl FnMut(),
) -> Result<Outcome, String> {
    ["ip", "tcpdump", "python3", "redis-server"].into_iter().try_for_each(has)?;
    let port = port();
    let namespace = Namespace::new(&port)?;
    let folder = scratch("trace").join(format!("{case}-{port}"));
    std::fs::create_dir_all(&folder).expect("the folder can be written to");
    let mut server = namespace.run(&["redis-server", "--port", &port, "--save", "", "--dir", text(&folder)]);
    let server = Killed(server.stdout(Stdio::null()).spawn().map_err(|error| error.to_string())?);
    let script = root().join("tests/trace/cases.py");
    let mut client = namespace.run(&["python3", text(&script), case, &port]);
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut client = Killed(client);
    let mut says = BufReader::new(client.0.stdout.take().expect("piped"));
    let mut tell = client.0.stdin.take().expect("piped");
    wait_for(&mut says, "ready").expect("the client connects");
    let running = Running::start(front_end, namespace, &folder, plugins, &[arguments, &["--port", &port]].concat())?;
    tell.write_all(b"go\n").expect("the client listens");
    if case == "muted" {
        wait_for(&mut says, "more").expect("the case runs");
        more();
        tell.write_all(b"go\n").expect("the client listens");
    }
    wait_for(&mut says, "done").expect("the case runs to its end");
    let (traced, captured, stats) = running.end(&plugin("redis"));
    let _ = std::fs::remove_dir_all(&folder);
    Ok(Outcome {
        front_end: front_end.to_owned(),
        traced,
        captured,
        stats,
        client: client.0.id(),
        server: server.0.id(),
    })
}

pub(super) fn records(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Records without what differs between the two captures, by flow: of several flows, those that end at once may be told
/// in any order.
pub(super) fn told(records: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut flows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in records {
        let mut record = record.clone();
        let fields = record.as_object_mut().expect("a record is an object");
        fields.retain(|field, _| !["ts", "latency_ns", "duration_ns", "process", "capture"].contains(&field.as_str()));
        flows.entry(record["flow"].to_string()).or_default().push(record);
    }
    flows
}

pub(super) fn lost(outcome: &Outcome, what: &str) -> u64 {
    outcome.stats["losses"][what].as_u64().expect("a counter")
}
