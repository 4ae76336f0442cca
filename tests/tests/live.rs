//! A live capture on the loopback interface: a recorded conversation is replayed over a real connection, and its records
//! are those of the recording. Needs the right to capture; says so and passes where that is missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use protap_e2e::artifacts::{fixture, plugin};
use protap_e2e::engine::read;
use protap_e2e::pcap::Capture;
use protap_e2e::program::{command, text};
use protap_e2e::records::ports;
use protap_e2e::segment::segments;
use serde_json::Value;

/// How long a record may take to come out before the capture counts as not running yet, or as broken.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a conversation is replayed to find out whether the capture runs.
const TRIES: usize = 40;

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

fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
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
    let arguments = ["live", "-i", "lo", "-q", "-o", "json", "-p", text(&kafka), &filter];
    let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let records = lines(&mut child);
    // It captures once it gives records.
    let is_capturing = (0..TRIES).any(|_| {
        replay(&server, &script);
        child.try_wait().expect("a child").is_some() || records.recv_timeout(PATIENCE).is_ok()
    });
    if child.try_wait().expect("a child").is_some() {
        let mut err = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut err).expect("UTF-8");
        assert!(err.contains("no permission"), "it ended: {err}");
        return println!("skipped: {err}");
    }
    assert!(is_capturing, "no records of {TRIES} conversations");

    let port = replay(&server, &script);
    let mut found = Vec::new();
    while found.len() < expected.len() {
        let line =
            records.recv_timeout(PATIENCE * 10).unwrap_or_else(|_| panic!("records are missing after {found:?}"));
        let record: Value = serde_json::from_str(&line).expect("JSON");
        if ports(&record).0 == port {
            found.push(told(&record));
        }
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()), "kill is part of every system");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    assert_eq!(found, expected);
}
