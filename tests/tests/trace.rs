//! `protap trace` beside `tcpdump`: a real Redis server in a network namespace, a client that uses its sockets in all the
//! ways there are, and both captures at the same time. The records must be the same but for their times and processes.
//! Needs root, BPF, network namespaces and redis-server; says what is missing and passes without.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protap_e2e::artifacts::{plugin, program, root, scratch};
use protap_e2e::program::{command, finished, text};
use serde_json::Value;

/// How long what a case did takes to come out of both captures.
const SETTLE: Duration = Duration::from_millis(400);

/// A server's port. A trace sees all namespaces, and the tests run side by side: each has its own.
pub(crate) fn port() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (20_000 + (std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000).to_string()
}

/// What both captures made of a case.
struct Outcome {
    traced: Vec<Value>,
    captured: Vec<Value>,
    stats: Value,
    client: u32,
    server: u32,
}

/// A child that does not outlive its test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace of its own.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(suffix: &str) -> Result<Self, String> {
        let name = format!("protap-{}-{suffix}", std::process::id());
        say(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self(name);
        say(Command::new("ip").args(["-n", &namespace.0, "link", "set", "lo", "up", "mtu", "1500"]))?;
        Ok(namespace)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Command {
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
pub(crate) fn say(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Whether a program can be run.
pub(crate) fn has(program: &str) -> Result<(), String> {
    say(Command::new("sh").args(["-c", &format!("command -v {program}")])).map_err(|_| format!("no {program}"))
}

/// Reads lines until one that contains `what`.
pub(crate) fn wait_for(lines: &mut impl BufRead, what: &str) -> Result<(), String> {
    let mut all = String::new();
    while lines.read_line(&mut all).is_ok_and(|len| len > 0) {
        if all.lines().last().is_some_and(|line| line.contains(what)) {
            return Ok(());
        }
    }
    Err(all.trim().to_owned())
}

pub(crate) fn interrupt(child: &Child) {
    say(Command::new("kill").args(["-INT", &child.id().to_string()])).expect("it runs");
}

/// A case under way.
struct Running {
    folder: PathBuf,
    tcpdump: Killed,
    trace: Killed,
    trace_says: BufReader<ChildStderr>,
    _namespace: Namespace,
}

impl Running {
    fn start(namespace: Namespace, folder: &Path, plugins: &Path, arguments: &[&str]) -> Result<Self, String> {
        let pcap = folder.join("case.pcap");
        let mut tcpdump =
            namespace.run(&["tcpdump", "-i", "lo", "--immediate-mode", "-U", "-B", "65536", "-w", text(&pcap)]);
        let mut tcpdump = Killed(tcpdump.stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?);
        wait_for(&mut BufReader::new(tcpdump.0.stderr.take().expect("piped")), "listening")?;
        let stats = folder.join("stats.json");
        let mut all = vec!["trace", "-p", text(plugins), "-o", "json", "--stats-json", text(&stats)];
        all.extend(arguments);
        let out = std::fs::File::create(folder.join("trace.json")).expect("the folder can be written to");
        let trace = command(&all).stdout(out).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut trace = Killed(trace);
        let mut trace_says = BufReader::new(trace.0.stderr.take().expect("piped"));
        wait_for(&mut trace_says, "tracing")?;
        Ok(Self { folder: folder.to_owned(), tcpdump, trace, trace_says, _namespace: namespace })
    }

    /// Ends both captures; their records, and the trace's counters.
    fn end(mut self) -> (Vec<Value>, Vec<Value>, Value) {
        settle(&self.folder.join("case.pcap"));
        interrupt(&self.trace.0);
        interrupt(&self.tcpdump.0);
        let (_, status) = (wait_for(&mut self.trace_says, "\0"), self.trace.0.wait().expect("it ends"));
        assert!(status.success(), "trace failed");
        self.tcpdump.0.wait().expect("it ends");
        let file = |name: &str| self.folder.join(name);
        let stats = std::fs::read(file("stats.json")).expect("the summary was written");
        let traced = std::fs::read_to_string(file("trace.json")).expect("it was written");
        let redis = plugin("redis");
        let read = command(&["read", "-q", "-p", text(&redis), "-o", "json", text(&file("case.pcap"))]).output();
        let captured = finished(read.expect("the program starts")).out;
        (records(&traced), records(&captured), serde_json::from_slice(&stats).expect("JSON"))
    }
}

/// Waits until a file grows no more: on a busy machine tcpdump is some time behind.
fn settle(file: &Path) {
    let mut len = None;
    for _ in 0..40 {
        std::thread::sleep(SETTLE);
        let now = std::fs::metadata(file).map(|metadata| metadata.len()).ok();
        if std::mem::replace(&mut len, now) == now {
            return;
        }
    }
}

/// Runs a case under both captures; nothing if that is not possible here.
fn run(case: &str, arguments: &[&str]) -> Option<Outcome> {
    run_with(case, arguments, &plugin("redis"), || ())
}

/// The same with other plugins, and with something to do when the case says "more".
fn run_with(case: &str, arguments: &[&str], plugins: &Path, more: impl FnMut()) -> Option<Outcome> {
    match try_run(case, arguments, plugins, more) {
        Ok(outcome) => Some(outcome),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

fn try_run(case: &str, arguments: &[&str], plugins: &Path, mut more: impl FnMut()) -> Result<Outcome, String> {
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
    let running = Running::start(namespace, &folder, plugins, &[arguments, &["--port", &port]].concat())?;
    tell.write_all(b"go\n").expect("the client listens");
    if case == "muted" {
        wait_for(&mut says, "more").expect("the case runs");
        more();
        tell.write_all(b"go\n").expect("the client listens");
    }
    wait_for(&mut says, "done").expect("the case runs to its end");
    let (traced, captured, stats) = running.end();
    let _ = std::fs::remove_dir_all(&folder);
    Ok(Outcome { traced, captured, stats, client: client.0.id(), server: server.0.id() })
}

fn records(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Records without what differs between the two captures, by flow: of several flows, those that end at once may be told
/// in any order.
fn told(records: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut flows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in records {
        let mut record = record.clone();
        let fields = record.as_object_mut().expect("a record is an object");
        fields.retain(|field, _| !["ts", "latency_ns", "duration_ns", "process", "capture"].contains(&field.as_str()));
        flows.entry(record["flow"].to_string()).or_default().push(record);
    }
    flows
}

fn lost(outcome: &Outcome, what: &str) -> u64 {
    outcome.stats["losses"][what].as_u64().expect("a counter")
}

/// Runs a case and holds both captures against each other.
fn same(case: &str, at_least: usize) -> Option<Outcome> {
    let outcome = run(case, &[])?;
    assert!(outcome.captured.len() >= at_least, "{case}: {} records in the pcap", outcome.captured.len());
    let (traced, captured) = (told(&outcome.traced), told(&outcome.captured));
    for (flow, records) in &captured {
        assert_eq!(traced.get(flow), Some(records), "{case}: {flow}");
    }
    assert_eq!(traced.len(), captured.len(), "{case}: flows");
    for counter in ["ring_events", "cap_bytes", "fault_bytes", "concurrent_bytes", "gap_bytes", "conflicting_bytes"] {
        assert_eq!(lost(&outcome, counter), 0, "{case}: {counter}");
    }
    println!("{case}: {} records, equal", captured.values().map(Vec::len).sum::<usize>());
    Some(outcome)
}

#[test]
fn trace_tells_of_a_redis_server_what_a_packet_capture_tells_and_who_it_was() {
    let Some(outcome) = same("commands", 1500) else { return };
    for record in &outcome.traced {
        assert_eq!(record["capture"], "ebpf");
        let process = &record["process"];
        assert_eq!(process["client"]["pid"], outcome.client, "{record}");
        assert_eq!(process["server"]["pid"], outcome.server, "{record}");
        assert_eq!(process["server"]["comm"], "redis-server");
    }
}

#[test]
fn trace_sees_a_connection_that_is_older_than_itself() {
    same("old", 8);
}

#[test]
fn trace_sees_duplicated_and_inherited_descriptors() {
    same("dup", 20);
    same("fork", 3);
}

#[test]
fn trace_sees_bytes_however_they_are_handed_to_the_kernel() {
    same("iovecs", 10);
    same("mib", 3);
    same("peek", 10);
    same("recvmmsg", 10);
    // The server reads what the client sent from a file.
    same("sendfile", 13);
}

#[test]
fn trace_sees_what_is_left_of_a_killed_client() {
    same("killed", 2);
}

#[test]
fn trace_sees_a_thousand_short_connections() {
    same("short", 1000);
}

#[test]
fn bytes_sent_from_a_file_are_a_gap_where_only_the_sender_is_traced() {
    let Some(outcome) = run("sendfile", &["--comm", "python3"]) else { return };
    assert_eq!(lost(&outcome, "gap_bytes"), 3 * 32, "three commands of 32 bytes");
    let pings = outcome.traced.iter().filter(|record| record["request"]["type"] == "PING");
    let answered = pings.filter(|record| record["response"]["status"] == "ok").count();
    assert!(answered >= 9, "{answered} of 10 commands around the gap");
    assert!(outcome.traced.iter().all(|record| record["request"]["type"] != "ECHO"), "what was not seen was told");
}

#[test]
fn a_call_is_cut_into_chunks_that_make_up_its_bytes() {
    if let Err(why) = has("cc") {
        return println!("skipped: {why}");
    }
    let test = scratch("trace").join("copy_test");
    let source = root().join("bpf/tests/copy_test.c");
    let compile = ["-g", "-Wall", "-Wno-unused-function", "-fsanitize=undefined", "-fno-sanitize-recover", "-o"];
    say(Command::new("cc").args(compile).args([text(&test), text(&source)])).expect("it compiles");
    say(&mut Command::new(test)).expect("all cases pass");
}

#[test]
fn a_flow_that_nobody_claims_is_muted_in_the_kernel_and_heard_again_with_its_plugin() {
    let folder = scratch("muted");
    let module = folder.join("redis.wasm");
    let _ = std::fs::remove_file(&module);
    std::fs::copy(plugin("mongodb"), folder.join("mongodb.wasm")).expect("the folder can be written to");
    let Some(outcome) = run_with("muted", &[], &folder, || {
        std::fs::copy(plugin("redis"), &module).expect("the folder can be written to");
        // Two looks find it, the second one loads it.
        std::thread::sleep(Duration::from_secs(2));
    }) else {
        return;
    };
    assert!(lost(&outcome, "muted_calls") > 1000, "{}", outcome.stats["losses"]);
    let last = outcome.traced.iter().filter(|record| record["response"]["status"] == "ok").count();
    assert!(last >= 90, "{last} of the last 100 commands");
    println!("{last} of 100 commands once the plugin was there, {} calls muted", lost(&outcome, "muted_calls"));
}

#[test]
fn what_cannot_be_traced_is_told_in_a_line() {
    let Err(why) = has("setpriv").and_then(|()| try_run("old", &[], &plugin("redis"), || ()).map(drop)) else {
        let arguments = ["--reuid", "65534", "--clear-groups", text(&program()), "trace", "-p", text(&plugin("redis"))]
            .map(str::to_owned);
        let told = finished(Command::new("setpriv").args(arguments).output().expect("it starts"));
        if told.err.starts_with("setpriv:") {
            return println!("skipped: nobody else may run the program here: {}", told.err.trim());
        }
        assert_eq!((told.status, told.err.lines().count()), (1, 1), "{}", told.err);
        assert!(told.err.contains("setcap cap_bpf,cap_perfmon+ep"), "{}", told.err);
        let check = finished(command(&["trace", "--check"]).output().expect("it starts"));
        assert_eq!((check.status, check.out.lines().count()), (0, 8), "{}", check.out);
        return;
    };
    println!("skipped: {why}");
}

#[test]
fn a_ring_that_is_too_small_loses_bytes_and_counts_them() {
    let Some(outcome) = run("burst", &["--buffer", "4"]) else { return };
    assert!(lost(&outcome, "ring_events") > 0, "nothing was lost");
    assert!(lost(&outcome, "ring_bytes") > 0);
    assert!(lost(&outcome, "gap_bytes") > 0);
    assert!(outcome.traced.len() < outcome.captured.len(), "records were made up");
    println!("{} of {} records, {}", outcome.traced.len(), outcome.captured.len(), outcome.stats["losses"]);
}
