//! Captures that come through a pipe, as from `tcpdump -w -`: records come as soon as the pipe has nothing more to give, and
//! a run that waits for more can be ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

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

/// Until a program does nothing for a while, as one does whose output nobody takes.
fn wait_until_idle(child: &Child) {
    let (begin, mut looks) = (Instant::now(), 0);
    while looks < 10 {
        assert!(begin.elapsed() < LONG, "it goes on");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
        looks = if status.contains("State:\tS") { looks + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// timeout(1) sends its signal to the program, and again to the process group that the program is in.
#[test]
fn two_signals_at_once_end_a_run_in_good_order_and_a_later_one_at_once() {
    let (path, kafka) = (fixture("kafka/noida_ck216_midstream").path, plugin("kafka"));
    for is_taken in [true, false] {
        // More lines than a pipe has room for.
        let mut command = command(&["read", "-o", "json", "--workers", "1", "-p", text(&kafka), text(&path)]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut out = child.stdout.take().expect("it is piped");
        out.read_exact(&mut [0]).expect("it writes");
        wait_until_idle(&child);
        signal(&child, "TERM");
        std::thread::sleep(Duration::from_millis(20));
        signal(&child, "TERM");
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(child.try_wait().expect("it can be asked for"), None, "it waits for its output to be taken");
        let out = if is_taken {
            std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
            None
        } else {
            signal(&child, "TERM");
            Some(out)
        };
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!(output.status.code(), Some(if is_taken { 0 } else { 1 }), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains("capture"), is_taken, "{output:?}");
        drop(out);
    }
}
