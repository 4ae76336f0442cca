//! `protap trace --tls` beside the client's own log: a real Redis server behind TLS, clients that use OpenSSL on a socket or
//! over a BIO pair, and what they wrote down of each command. The records must tell the same, one by one.
//! Needs root, BPF, network namespaces, openssl and redis-server; says what is missing and passes without.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use protap_e2e::artifacts::{plugin, root, scratch};
use protap_e2e::program::{command, finished, text};
use serde_json::Value;

use super::harness::{self, AT_CALLS, Killed, Namespace, has, interrupt, port, say, wait_for};

/// How long what a case did takes to come out of the trace.
const SETTLE: Duration = Duration::from_millis(600);

/// A TLS server in a namespace of its own.
pub(super) struct Server {
    pub(super) namespace: Namespace,
    pub(super) folder: PathBuf,
    pub(super) port: String,
    child: Killed,
}

impl Server {
    pub(super) fn start(case: &str) -> Result<Self, String> {
        ["ip", "python3", "redis-server", "openssl"].into_iter().try_for_each(has)?;
        let port = port();
        let namespace = Namespace::new(&port)?;
        let folder = scratch("trace_tls").join(format!("{case}-{port}"));
        std::fs::create_dir_all(&folder).expect("the folder can be written to");
        let make =
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost";
        say(Command::new("sh").args(["-c", make]).current_dir(&folder))?;
        let mut server = namespace.run(&["redis-server", "--port", "0", "--tls-port", &port, "--save", ""]);
        server.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "cert.pem"]);
        server.args(["--tls-auth-clients", "no"]).current_dir(&folder).stdout(Stdio::null());
        let child = Killed(server.spawn().map_err(|error| error.to_string())?);
        Ok(Self { namespace, folder, port, child })
    }
}

/// A client that waits for its word, and what it says.
struct Client {
    child: Killed,
    says: BufReader<ChildStdout>,
    tell: ChildStdin,
}

impl Client {
    fn start(server: &Server, arguments: &[&str]) -> Result<Self, String> {
        let mut client = server.namespace.run(arguments);
        let client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = Killed(client.map_err(|error| error.to_string())?);
        let (says, tell) = (child.0.stdout.take().expect("piped"), child.0.stdin.take().expect("piped"));
        let mut client = Self { child, says: BufReader::new(says), tell };
        wait_for(&mut client.says, "ready").expect("the client connects");
        Ok(client)
    }

    /// Lets it go; its log.
    fn run(&mut self) -> Vec<Entry> {
        self.tell.write_all(b"go\n").expect("the client listens");
        let lines = self.says.by_ref().lines().map(|line| line.expect("the client speaks"));
        let log = lines.take_while(|line| line != "done");
        log.map(|line| Entry::logged(&serde_json::from_str::<Value>(&line).expect("JSON"))).collect()
    }
}

/// What became of a command: the client's port, the command, bytes of request and response, status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry(u64, String, u64, u64, String);

impl Entry {
    fn logged(entry: &Value) -> Self {
        let number = |index: usize| entry[index].as_u64().expect("a number");
        let word = |index: usize| entry[index].as_str().expect("a word").to_owned();
        Self(number(0), word(1), number(2), number(3), word(4))
    }

    fn traced(record: &Value) -> Self {
        let client = record["flow"]["client"].as_str().expect("a flow has a client");
        let port = client.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (request, response) = (&record["request"], &record["response"]);
        let bytes = |part: &Value| part["bytes"].as_u64().unwrap_or(0);
        Self(port, word(&request["type"]), bytes(request), bytes(response), word(&response["status"]))
    }
}

/// By connection: their order among each other is not part of either.
fn by_connection(entries: impl Iterator<Item = Entry>) -> BTreeMap<u64, Vec<Entry>> {
    let mut connections: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    entries.for_each(|entry| connections.entry(entry.0).or_default().push(entry));
    connections
}

struct Outcome {
    records: Vec<Value>,
    log: Vec<Entry>,
    stats: Value,
    client: u32,
    server: u32,
}

impl Outcome {
    fn lost(&self, what: &str) -> u64 {
        self.stats["losses"][what].as_u64().expect("a counter")
    }

    /// Every command of the client has its record, and there is no other.
    fn assert_same(&self, case: &str) {
        let traced = by_connection(self.records.iter().map(Entry::traced));
        let logged = by_connection(self.log.iter().cloned());
        for (port, entries) in &logged {
            let told = traced.get(port).map_or(&[][..], Vec::as_slice);
            let differs = entries.iter().zip(told).position(|(entry, told)| entry != told);
            let at = differs.unwrap_or(entries.len().min(told.len()));
            assert_eq!(told.get(at), entries.get(at), "{case}: command {at} of port {port}");
            assert_eq!(told.len(), entries.len(), "{case}: port {port}");
        }
        assert_eq!(traced.len(), logged.len(), "{case}: connections");
        for counter in ["ring_events", "cap_bytes", "fault_bytes", "gap_bytes", "conflicting_bytes", "unplaced_bytes"] {
            assert_eq!(self.lost(counter), 0, "{case}: {counter}");
        }
        assert!(self.lost("ciphertext_bytes") > 0, "{case}: ciphertext was not counted");
        assert_eq!(
            self.stats["flows"]["unclaimed_by_port"].as_array().map(Vec::len),
            Some(0),
            "{case}: {}",
            self.stats
        );
        println!("{case}: {} commands, {} records, equal", self.log.len(), self.records.len());
    }

    fn processes(&self, key: &str) -> (u64, u64) {
        let count =
            |end: &str| self.records.iter().filter(|record| record["process"][end][key] != Value::Null).count() as u64;
        (count("client"), count("server"))
    }
}

/// Traces until it is dropped or ended.
struct Trace {
    child: Killed,
    folder: PathBuf,
    says: BufReader<std::process::ChildStderr>,
}

impl Trace {
    fn start(server: &Server, front_end: &str, arguments: &[&str]) -> Result<Self, String> {
        let (redis, stats) = (plugin("redis"), server.folder.join("stats.json"));
        let mut all = vec!["--tls", "-p", text(&redis), "-o", "json", "--stats-json", text(&stats)];
        all.extend(["--port", &server.port]);
        all.extend(arguments);
        let out = std::fs::File::create(server.folder.join("trace.json")).expect("the folder can be written to");
        let child =
            harness::trace(front_end, &all).stdout(out).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut child = Killed(child);
        let mut says = BufReader::new(child.0.stderr.take().expect("piped"));
        wait_for(&mut says, "Ctrl-C ends")?;
        Ok(Self { child, folder: server.folder.clone(), says })
    }

    fn end(mut self) -> (Vec<Value>, Value) {
        std::thread::sleep(SETTLE);
        interrupt(&self.child.0);
        let _ = wait_for(&mut self.says, "\0");
        assert!(self.child.0.wait().expect("it ends").success(), "trace failed");
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).expect("it was written");
        let records = read("trace.json").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (records, serde_json::from_str(&read("stats.json")).expect("JSON"))
    }
}

/// Which ends are traced, by their process ids: other programs of this machine may speak TLS at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Client,
    Server,
    Both,
}

/// Runs a case with each front end; nothing if that is not possible here.
fn run(case: &str, ends: Ends, arguments: &[&str]) -> Vec<Outcome> {
    let script = root().join("tests/trace/tls.py");
    let run = |front_end: &&str| match try_run(case, front_end, &["python3", text(&script), case], ends, arguments) {
        Ok(outcome) => Some(outcome),
        Err(why) => {
            println!("skipped ({front_end}): {why}");
            None
        }
    };
    AT_CALLS.iter().filter_map(run).collect()
}

fn try_run(case: &str, front_end: &str, client: &[&str], ends: Ends, arguments: &[&str]) -> Result<Outcome, String> {
    let server = Server::start(case)?;
    let certificate = server.folder.join("cert.pem");
    let mut client = Client::start(&server, &[client, &[&server.port, text(&certificate)]].concat())?;
    let (asking, answering) = (client.child.0.id().to_string(), server.child.0.id().to_string());
    let mut filter = arguments.to_vec();
    if ends != Ends::Server {
        filter.extend(["--pid", &asking]);
    }
    if ends != Ends::Client {
        filter.extend(["--pid", &answering]);
    }
    let trace = Trace::start(&server, front_end, &filter)?;
    let log = client.run();
    let (records, stats) = trace.end();
    let _ = std::fs::remove_dir_all(&server.folder);
    Ok(Outcome { records, log, stats, client: client.child.0.id(), server: server.child.0.id() })
}

#[test]
fn tls_on_a_socket_tells_what_the_client_asked_and_who_it_was() {
    for outcome in run("blocking", Ends::Both, &[]) {
        outcome.assert_same("blocking");
        for record in &outcome.records {
            let process = &record["process"];
            assert_eq!(process["client"]["pid"], outcome.client, "{record}");
            assert_eq!(process["server"]["pid"], outcome.server, "{record}");
            assert_eq!((&process["client"]["tls"], &process["server"]["tls"]), (&true.into(), &true.into()));
        }
        assert_eq!(outcome.processes("addresses"), (0, 0), "no address is a guess");
    }
}

#[test]
fn tls_is_seen_from_one_end_alone_and_on_older_and_short_connections() {
    for ends in [Ends::Client, Ends::Server] {
        run("blocking", ends, &[]).iter().for_each(|outcome| outcome.assert_same(&format!("blocking {ends:?}")));
    }
    for case in ["old", "short"] {
        run(case, Ends::Both, &[]).iter().for_each(|outcome| outcome.assert_same(case));
    }
}

#[test]
fn tls_over_a_bio_pair_is_told_with_addresses_that_are_likely() {
    for outcome in run("asyncio", Ends::Client, &[]) {
        outcome.assert_same("asyncio");
        let (clients, servers) = outcome.processes("addresses");
        assert_eq!((clients, servers), (outcome.records.len() as u64, 0), "they are told to be likely");
    }
    run("asyncio", Ends::Both, &[]).iter().for_each(|outcome| outcome.assert_same("asyncio, both ends"));
}

#[test]
fn tls_in_node_is_told_though_it_writes_within_a_read() {
    if let Err(why) = has("node") {
        return println!("skipped: {why}");
    }
    let script = root().join("tests/trace/tls.js");
    for front_end in AT_CALLS {
        match try_run("node", front_end, &["node", text(&script), "node"], Ends::Client, &[]) {
            Ok(outcome) => outcome.assert_same("node"),
            Err(why) => println!("skipped ({front_end}): {why}"),
        }
    }
}

#[test]
fn an_older_bio_pair_is_told_from_its_first_answer_on() {
    for outcome in run("asyncio_old", Ends::Client, &[]) {
        let answered = outcome.records.iter().filter(|record| record["response"]["status"] == "ok").count();
        let pings = outcome.records.iter().filter(|record| record["request"]["type"] == "PING").count();
        assert!(pings >= 3 * 99, "{pings} of 300 commands");
        assert!((3 * 99..=300).contains(&answered), "{answered} of 300 answers");
        println!("asyncio_old: {answered} of 300 answers, {} bytes without a place", outcome.lost("unplaced_bytes"));
    }
}

#[test]
fn a_ring_that_is_too_small_makes_gaps_of_exact_length_in_plaintext() {
    for outcome in run("burst", Ends::Client, &["--buffer", "4"]) {
        let bytes: u64 = outcome.log.iter().map(|entry| entry.2 + entry.3).sum();
        let seen = outcome.stats["capture"]["bytes"].as_u64().expect("a counter");
        assert!(outcome.lost("ring_bytes") > 0, "nothing was lost");
        assert_eq!(seen + outcome.lost("ring_bytes"), bytes, "{}", outcome.stats["losses"]);
        assert_eq!(seen + outcome.lost("gap_bytes"), bytes, "{}", outcome.stats["losses"]);
        let pings = outcome.records.iter().filter(|record| record["request"]["type"] == "PING").count();
        assert!(pings >= 15, "{pings} of the last 20 commands");
        println!(
            "{} of {} records, {} bytes lost",
            outcome.records.len(),
            outcome.log.len(),
            outcome.lost("ring_bytes")
        );
    }
}

/// As an upgrade does it.
fn replaced(library: &str) -> Result<Outcome, String> {
    let server = Server::start("replaced")?;
    let (script, certificate) = (root().join("tests/trace/tls.py"), server.folder.join("cert.pem"));
    let (own, new) = (server.folder.join("libssl.so.3"), server.folder.join("new"));
    std::fs::copy(library, &own).map_err(|error| error.to_string())?;
    let path = format!("LD_LIBRARY_PATH={}", text(&server.folder));
    let client = ["env", &path, "python3", text(&script), "old", &server.port, text(&certificate)];
    let mut client = Client::start(&server, &client)?;
    std::fs::copy(library, &new).and_then(|_| std::fs::rename(&new, &own)).expect("it is replaced");
    let pid = client.child.0.id();
    let trace = Trace::start(&server, "tp-btf", &["--pid", &pid.to_string()])?;
    let log = client.run();
    let (records, stats) = trace.end();
    let _ = std::fs::remove_dir_all(&server.folder);
    Ok(Outcome { records, log, stats, client: pid, server: server.child.0.id() })
}

#[test]
fn a_library_that_was_replaced_under_its_process_is_probed() {
    match replaced("/usr/lib/x86_64-linux-gnu/libssl.so.3") {
        Ok(outcome) => outcome.assert_same("replaced"),
        Err(why) => println!("skipped: {why}"),
    }
}

/// What a trace counts of flows where the client asks OpenSSL for plaintext in a way that is not probed.
fn without_plaintext(front_end: &str) -> Result<Value, String> {
    has("cc")?;
    let server = Server::start("bio")?;
    let (program, source) = (server.folder.join("bio_tls"), root().join("tests/trace/bio_tls.c"));
    say(Command::new("cc").args(["-o", text(&program), text(&source), "-lssl", "-lcrypto"]))?;
    let trace = Trace::start(&server, front_end, &["--comm", "bio_tls"])?;
    say(&mut server.namespace.run(&[text(&program), &server.port])).expect("the client gets its answers");
    let (records, stats) = trace.end();
    assert!(records.is_empty(), "{records:#?}");
    let _ = std::fs::remove_dir_all(&server.folder);
    Ok(stats["flows"].clone())
}

#[test]
fn a_connection_whose_plaintext_does_not_come_is_an_unclaimed_flow_of_tls() {
    for front_end in AT_CALLS {
        match without_plaintext(front_end) {
            Ok(flows) => {
                assert_eq!((&flows["seen"], &flows["unclaimed"]), (&1.into(), &1.into()), "{flows}");
                assert_eq!(flows["unclaimed_by_port"][0]["reason"], "tls", "{flows}");
            }
            Err(why) => println!("skipped ({front_end}): {why}"),
        }
    }
}

#[test]
fn what_cannot_be_seen_of_tls_is_told_in_a_line() {
    if let Err(why) = Server::start("told") {
        return println!("skipped: {why}");
    }
    let sleep = Killed(sleeping());
    let pid = sleep.0.id().to_string();
    let redis = plugin("redis");
    let trace = |pid: &str| {
        finished(
            command(&["trace", "--tls", "-q", "-p", text(&redis), "--pid", pid, "--duration", "1"])
                .output()
                .expect("the program starts"),
        )
    };
    let told = trace(&pid);
    if told.status != 0 {
        return println!("skipped: {}", told.err);
    }
    assert!(told.err.contains(&format!("no TLS is seen in process {pid} (sleep): it has no SSL_read")), "{}", told.err);
    let told = trace("4194303");
    assert!(told.err.contains("no process has the id 4194303"), "{}", told.err);
}

fn sleeping() -> Child {
    Command::new("sleep").arg("60").spawn().expect("there is sleep")
}

/// The benchmark is a client of its own: it counts what it asked for.
#[test]
fn a_benchmark_over_tls_is_seen_whole() {
    let result = has("redis-benchmark").and_then(|()| Server::start("benchmark")).and_then(|server| {
        let trace = Trace::start(&server, "tp-btf", &[])?;
        let certificate = server.folder.join("cert.pem");
        let mut benchmark = server.namespace.run(&["redis-benchmark", "--tls", "--cacert", text(&certificate)]);
        benchmark.args(["-p", &server.port, "-t", "set", "-n", "3000", "-c", "8", "-q"]);
        std::thread::sleep(SETTLE);
        say(&mut benchmark)?;
        Ok((trace.end(), certificate))
    });
    let ((records, stats), certificate) = match result {
        Ok(done) => done,
        Err(why) => return println!("skipped: {why}"),
    };
    let sets = records.iter().filter(|record| record["request"]["type"] == "SET");
    let answered = sets.filter(|record| record["response"]["status"] == "ok").count();
    assert_eq!(answered, 3000, "{}", stats["losses"]);
    println!("3000 of 3000 commands");
    let _ = std::fs::remove_dir_all(certificate.parent().unwrap_or(Path::new("")));
}
