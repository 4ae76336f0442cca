//! Early data of TLS 1.3: what a client sends with its first message, by functions of its own, between OpenSSL's own
//! programs. Nothing answers, so the records are of requests alone.

use std::fs;
use std::io::BufReader;
use std::process::{Command, Stdio};
use std::time::Duration;

use protap_e2e::artifacts::plugin;
use protap_e2e::program::text;
use serde_json::Value;

use super::harness::{AT_CALLS, Killed, interrupt, port, records, trace, wait_for};
use super::tls::Server;

/// Two commands as a Redis client sends them.
const COMMANDS: &[u8] = b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n";

/// Connects, and closes a moment later.
fn connect(server: &Server, port: &str, arguments: &[&str]) {
    let to = format!("127.0.0.1:{port}");
    let mut client = server.namespace.run(&["openssl", "s_client", "-connect", &to, "-tls1_3"]);
    client
        .args(arguments)
        .current_dir(&server.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut client = Killed(client.spawn().expect("it starts"));
    std::thread::sleep(Duration::from_millis(700));
    drop(client.0.stdin.take());
    let _ = client.0.wait();
}

fn early_data(front_end: &str) -> Result<Vec<Value>, String> {
    let (server, port) = (Server::start(&format!("early-{front_end}"))?, port());
    let mut acceptor = server.namespace.run(&["openssl", "s_server", "-port", &port, "-tls1_3", "-early_data"]);
    acceptor.args(["-key", "key.pem", "-cert", "cert.pem"]).current_dir(&server.folder);
    acceptor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let _acceptor = Killed(acceptor.spawn().expect("it starts"));
    std::thread::sleep(Duration::from_millis(300));
    let (redis, out) = (plugin("redis"), server.folder.join("trace.json"));
    let file = fs::File::create(&out).expect("the folder can be written to");
    let mut trace = trace(front_end, &["--tls", "-p", text(&redis), "-o", "json", "--port", &port]);
    let mut trace = Killed(trace.stdout(file).stderr(Stdio::piped()).spawn().expect("it starts"));
    wait_for(&mut BufReader::new(trace.0.stderr.take().expect("piped")), "tracing")?;
    connect(&server, &port, &["-sess_out", "session.pem"]);
    fs::write(server.folder.join("commands"), COMMANDS).expect("the folder can be written to");
    connect(&server, &port, &["-sess_in", "session.pem", "-early_data", "commands"]);
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&trace.0);
    let _ = trace.0.wait();
    Ok(records(&fs::read_to_string(out).expect("it was written")))
}

#[test]
fn early_data_is_told_from_both_ends_once() {
    let version = Command::new("openssl").arg("version").output();
    if !version.is_ok_and(|version| version.stdout.starts_with(b"OpenSSL 3")) {
        return println!("skipped: no OpenSSL 3");
    }
    for front_end in AT_CALLS {
        let records = match early_data(front_end) {
            Ok(records) => records,
            Err(why) => return println!("skipped: {why}"),
        };
        let types: Vec<_> = records.iter().map(|record| record["request"]["type"].as_str()).collect();
        assert_eq!(types, [Some("PING"), Some("GET")], "{front_end}: {records:#?}");
        for record in &records {
            let process = &record["process"];
            assert_eq!((&process["client"]["tls"], &process["client"]["comm"]), (&true.into(), &"openssl".into()));
            assert_eq!((&process["server"]["tls"], &process["server"]["comm"]), (&true.into(), &"openssl".into()));
        }
    }
}
