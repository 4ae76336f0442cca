//! A live capture on the loopback interface: a recorded conversation is replayed over a real connection, and its records
//! are those of the recording. Needs the right to capture; says so and passes where that is missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use protap_e2e::artifacts::{fixture, plugin, scratch};
use protap_e2e::engine::read;
use protap_e2e::pcap::Capture;
use protap_e2e::program::{command, interrupt, text};
use protap_e2e::records::ports;
use protap_e2e::segment::segments;
use serde_json::Value;

/// How long a record may take to come out before the capture counts as not running yet.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a conversation is replayed to find out whether the capture runs.
const TRIES: usize = 120;
/// Longer than any machine takes for what must come.
const LONG: Duration = Duration::from_secs(60);

/// What the ends of a connection say in turn: the client's words are marked.
type Script = Vec<(bool, Vec<u8>)>;

/// The first connection of a capture: its script, and its client's port.
fn recorded(name: &str) -> (Script, u16) {
    let segments = segments(&Capture::read(&fixture(name).path));
    let (client, server) = segments[0].stream();
    let mut script: Script = Vec::new();
    for segment in segments.iter().filter(|segment| !segment.payload.is_empty()) {
        let is_client = segment.stream() == (client, server);
        if !is_client && segment.stream() != (server, client) {
            continue;
        }
        match script.last_mut() {
            Some((speaker, words)) if *speaker == is_client => words.extend_from_slice(&segment.payload),
            _ => script.push((is_client, segment.payload.clone())),
        }
    }
    (script, client.port())
}

/// Plays one end's part.
fn play(mut connection: TcpStream, script: &Script, is_client: bool) {
    for (speaker, words) in script {
        if *speaker == is_client {
            connection.write_all(words).expect("the other end listens");
        } else {
            connection.read_exact(&mut vec![0; words.len()]).expect("the other end speaks");
        }
    }
}

/// Replays a conversation over a connection to this server; its client's port.
fn replay(server: &TcpListener, script: &Script) -> u16 {
    let client = TcpStream::connect(server.local_addr().expect("bound")).expect("the server listens");
    let port = client.local_addr().expect("connected").port();
    let (other, _) = server.accept().expect("the client connects");
    std::thread::scope(|scope| {
        scope.spawn(|| play(other, script, false));
        play(client, script, true);
    });
    port
}

/// What a record says, without what differs between two connections.
fn told(record: &Value) -> Value {
    let mut told = record.clone();
    let fields = told.as_object_mut().expect("a record is an object");
    fields.retain(|field, _| !["ts", "latency_ns", "duration_ns", "flow"].contains(&field.as_str()));
    told
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    receive
}

#[test]
fn a_conversation_on_the_loopback_interface_gives_the_records_of_its_recording() {
    let (script, recorded_port) = recorded("kafka/noida_kcat171");
    let recording = read(fixture("kafka/noida_kcat171").bytes()).records.parsed();
    let expected: Vec<Value> = recording.iter().filter(|r| ports(r).0 == recorded_port).map(told).collect();
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let filter = format!("tcp port {}", server.local_addr().expect("bound").port());

    let kafka = plugin("kafka");
    let Some(live) = Live::start(&["-q", "-p", text(&kafka)], &filter, &server, &script) else {
        return;
    };
    let port = replay(&server, &script);
    let mut found = Vec::new();
    while found.len() < expected.len() {
        let line = live.records.recv_timeout(LONG).unwrap_or_else(|_| panic!("records are missing after {found:?}"));
        let record: Value = serde_json::from_str(&line).expect("JSON");
        if ports(&record).0 == port {
            found.push(told(&record));
        }
    }
    assert_eq!(live.end(), Vec::<String>::new());
    assert_eq!(found, expected);
}

/// Plugins are put into a folder, damaged, replaced and taken out of it, and the capture goes on.
#[test]
fn a_plugin_that_is_dropped_into_the_folder_is_used() {
    let (script, _) = recorded("kafka/noida_kcat171");
    let (known, _) = recorded("mongodb/secantus_pm420_crud");
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let filter = format!("tcp port {}", server.local_addr().expect("bound").port());
    let folder = scratch("dropped");
    let (file, half) = (folder.join("kafka.wasm"), folder.join("half.wasm"));
    for old in [&file, &half] {
        let _ = std::fs::remove_file(old);
    }
    std::fs::copy(plugin("mongodb"), folder.join("mongodb.wasm")).expect("the folder can be written to");
    let arguments = ["-q", "-p", text(&folder)];
    let Some(mut live) = Live::start(&arguments, &filter, &server, &known) else { return };

    let module = std::fs::read(plugin("kafka")).expect("it was built");
    std::fs::write(&half, &module[..module.len() / 2]).expect("the folder can be written to");
    live.says("half.wasm");
    assert!(live.kafka_records(&server, &script, 1) == 0, "half a plugin was used");
    let begin = Instant::now();
    std::fs::rename(&half, folder.join("half.txt")).expect("the folder can be written to");
    std::fs::write(&file, &module).expect("the folder can be written to");
    live.says("plugin kafka 0.1.0 added");
    println!("used {} ms after it was written", begin.elapsed().as_millis());
    assert!(live.kafka_records(&server, &script, TRIES) > 0, "the new plugin was not used");
    std::fs::write(&file, b"not a module").expect("the folder can be written to");
    live.says("what was there before stays");
    assert!(live.kafka_records(&server, &script, TRIES) > 0, "the old plugin did not stay");
    std::fs::write(&file, &module).expect("the folder can be written to");
    live.says("replaced by kafka 0.1.0");
    assert!(live.kafka_records(&server, &script, TRIES) > 0, "the replaced plugin was not used");
    std::fs::remove_file(&file).expect("the folder can be written to");
    live.says("plugin kafka 0.1.0 removed");
    live.kafka_records(&server, &script, 1);
    assert!(live.kafka_records(&server, &script, 1) == 0, "the removed plugin was used");
    live.end();
}

/// The program, capturing.
struct Live {
    child: Child,
    records: Receiver<String>,
    errors: Receiver<String>,
    /// What it said on standard error and nobody asked for.
    said: Vec<String>,
}

impl Live {
    /// Starts it on the loopback interface. It captures once this conversation gives records; `None` if it has no right to.
    fn start(arguments: &[&str], filter: &str, server: &TcpListener, script: &Script) -> Option<Self> {
        let mut all = vec!["live", "-i", "lo", "-o", "json"];
        all.extend(arguments);
        all.push(filter);
        let mut child = command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let records = lines(child.stdout.take().expect("it is piped"));
        let errors = lines(child.stderr.take().expect("it is piped"));
        let is_capturing = (0..TRIES).any(|_| {
            replay(server, script);
            child.try_wait().expect("a child").is_some() || records.recv_timeout(PATIENCE).is_ok()
        });
        if child.try_wait().expect("a child").is_some() {
            let why: Vec<String> = errors.iter().collect();
            assert!(why.iter().any(|line| line.contains("no permission")), "it ended: {why:?}");
            println!("skipped: {why:?}");
            return None;
        }
        assert!(is_capturing, "no records of {TRIES} conversations");
        Some(Self { child, records, errors, said: Vec::new() })
    }

    /// Waits until it says so.
    fn says(&mut self, what: &str) {
        loop {
            let line = self.errors.recv_timeout(LONG).unwrap_or_else(|_| panic!("it did not say {what}"));
            if line.contains(what) {
                return;
            }
            self.said.push(line);
        }
    }

    /// Replays a conversation until there are records of kafka, or so often; how many there were.
    fn kafka_records(&mut self, server: &TcpListener, script: &Script, tries: usize) -> usize {
        let mut count = 0;
        for _ in 0..tries {
            replay(server, script);
            while let Ok(line) = self.records.recv_timeout(PATIENCE) {
                count += usize::from(line.contains(r#""protocol":"kafka""#));
            }
            if count > 0 {
                break;
            }
        }
        count
    }

    /// Interrupts it, and gives what else it said.
    fn end(mut self) -> Vec<String> {
        interrupt(&self.child);
        let status = self.child.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
        self.said.extend(self.errors.iter());
        self.said
    }
}
