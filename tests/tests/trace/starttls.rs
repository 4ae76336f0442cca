//! A socket that is plain, then TLS, then plain again, without a pause in between: each of its commands has its record, which
//! says how it was seen.

use std::fs;
use std::io::BufReader;
use std::process::Stdio;
use std::time::Duration;

use protap_e2e::artifacts::{plugin, root};
use protap_e2e::program::text;

use super::harness::{AT_CALLS, Killed, interrupt, port, records, say, trace, wait_for};
use super::tls::Server;

/// The commands of a client, and whether each was encrypted at both ends.
fn commands(front_end: &str, client: &str) -> Result<Vec<(String, bool, bool)>, String> {
    let (server, port) = (Server::start(&format!("starttls-{front_end}-{client}"))?, port());
    let (redis, out, script) =
        (plugin("redis"), server.folder.join("trace.json"), root().join("tests/trace/starttls.py"));
    let file = fs::File::create(&out).expect("the folder can be written to");
    let mut trace = trace(front_end, &["--tls", "-p", text(&redis), "-o", "json", "--port", &port]);
    let mut trace = Killed(trace.stdout(file).stderr(Stdio::piped()).spawn().expect("it starts"));
    wait_for(&mut BufReader::new(trace.0.stderr.take().expect("piped")), "tracing")?;
    let mut script = server.namespace.run(&["python3", text(&script), &port, "cert.pem", "key.pem", client]);
    say(script.current_dir(&server.folder)).expect("the client comes to its end");
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&trace.0);
    let _ = trace.0.wait();
    let records = records(&fs::read_to_string(out).expect("it was written"));
    let _ = fs::remove_dir_all(&server.folder);
    let is_tls = |end: &serde_json::Value| end["tls"] == true;
    Ok(records
        .iter()
        .map(|record| {
            let (kind, process) = (record["request"]["type"].as_str(), &record["process"]);
            (kind.unwrap_or_default().to_owned(), is_tls(&process["client"]), is_tls(&process["server"]))
        })
        .collect())
}

#[test]
fn a_socket_that_is_plain_then_tls_then_plain_is_told_whole() {
    let plain = ["PING", "PING", "PING", "STARTTLS"].map(|command| (command, false));
    let tls = ["PING", "PING", "CCC"].map(|command| (command, true));
    let again = ["PING", "PING"].map(|command| (command, false));
    for (client, expected) in
        [("blocking", [&plain[..], &tls, &again].concat()), ("asyncio", [&plain[..], &tls[..2]].concat())]
    {
        let expected: Vec<_> = expected.into_iter().map(|(word, is_tls)| (word.to_owned(), is_tls, is_tls)).collect();
        for front_end in AT_CALLS {
            match commands(front_end, client) {
                Ok(commands) => assert_eq!(commands, expected, "{client}, {front_end}"),
                Err(why) => return println!("skipped: {why}"),
            }
        }
    }
}
