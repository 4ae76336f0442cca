//! Captures that come through a pipe, as from `tcpdump -w -`: records come as soon as the pipe has nothing more to give, and
//! a run that waits for more can be ended.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use protap_e2e::artifacts::{fixture, plugin};
use protap_e2e::pcap::read_plain;
use protap_e2e::program::{command, run, signal, text};

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn records_come_while_the_pipe_is_open() {
    let (path, kafka) = (fixture("kafka/noida_kcat171").path, plugin("kafka"));
    let mut expected: Vec<String> = run(&["read", text(&path)]).out.lines().map(str::to_owned).collect();
    // What has no answer yet, and what belongs to a flow that ends with the capture, may come at the end only.
    assert!(expected.len() > 5);
    expected.truncate(expected.len() / 2);
    for (workers, end) in [("1", "INT"), ("2", "HUP")] {
        let arguments = ["read", "-q", "-o", "json", "--workers", workers, "-p", text(&kafka), "-"];
        let mut command = command(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut pipe = child.stdin.take().expect("it is piped");
        pipe.write_all(&read_plain(&path)).expect("it reads");

        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        for line in &expected {
            assert_eq!(lines.recv_timeout(LONG).as_ref(), Ok(line), "with {workers} workers");
        }
        signal(&child, end);
        let output = child.wait_with_output().expect("the program ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        while lines.recv_timeout(LONG) != Err(RecvTimeoutError::Disconnected) {}
        let _ = reader.join();
        drop(pipe);
    }
}
