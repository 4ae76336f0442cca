//! `protap trace` beside `tcpdump`: a real Redis server in a network namespace, a client that uses its sockets in all the
//! ways there are, and both captures at the same time. The records must be the same but for their times and processes,
//! whichever front end is used. Needs root, BPF, network namespaces and redis-server; says what is missing and passes
//! without.

mod early_data;
mod harness;
mod limits;
mod refused;
mod starttls;
mod tls;
mod udp;

use std::process::Command;
use std::time::Duration;

use harness::{FRONT_ENDS, Outcome, has, lost, run, run_with, say, told, try_run};
use protap_e2e::artifacts::{plugin, root, scratch};
use protap_e2e::program::{command, finished, text};

/// Runs a case with each front end and holds both captures against each other.
fn same(case: &str, at_least: usize) -> Vec<Outcome> {
    let outcomes = run(case, &[]);
    for outcome in &outcomes {
        let name = format!("{case} ({})", outcome.front_end);
        assert!(outcome.captured.len() >= at_least, "{name}: {} records in the pcap", outcome.captured.len());
        let (traced, captured) = (told(&outcome.traced), told(&outcome.captured));
        for (flow, records) in &captured {
            assert_eq!(traced.get(flow), Some(records), "{name}: {flow}");
        }
        assert_eq!(traced.len(), captured.len(), "{name}: flows");
        for counter in ["ring_events", "cap_bytes", "fault_bytes", "concurrent_bytes", "gap_bytes", "conflicting_bytes"]
        {
            assert_eq!(lost(outcome, counter), 0, "{name}: {counter}");
        }
        println!("{name}: {} records, equal", captured.values().map(Vec::len).sum::<usize>());
    }
    outcomes
}

#[test]
fn trace_tells_of_a_redis_server_what_a_packet_capture_tells_and_who_it_was() {
    for outcome in same("commands", 1500) {
        for record in &outcome.traced {
            assert_eq!(record["capture"], "ebpf");
            let process = &record["process"];
            assert_eq!(process["client"]["pid"], outcome.client, "{record}");
            assert_eq!(process["server"]["pid"], outcome.server, "{record}");
            assert_eq!(process["server"]["comm"], "redis-server");
        }
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
fn trace_sees_that_a_client_left_before_its_answer() {
    same("left", 5);
}

#[test]
fn trace_sees_a_thousand_short_connections() {
    same("short", 1000);
}

#[test]
fn trace_tells_connections_apart_that_use_a_port_one_right_after_another() {
    same("again", 140);
}

#[test]
fn threads_that_send_at_once_on_one_socket_are_told_by_the_server() {
    for outcome in run("threads", &[]) {
        let answered = outcome.traced.iter().filter(|record| record["response"]["status"] == "ok").count();
        // A thread that a busy machine holds up for 10 ms between its bytes and its call's end may be believed.
        assert!((1900..=2000).contains(&answered), "{}: {}", outcome.front_end, outcome.stats["losses"]);
        // tcpdump, too, may miss some then.
        if lost(&outcome, "concurrent_bytes") == 0 && outcome.captured.len() == 2000 {
            assert!(told(&outcome.traced) == told(&outcome.captured), "{}: not the same", outcome.front_end);
        }
        assert_eq!(lost(&outcome, "conflicting_bytes"), 0, "bytes were told in a wrong place");
        println!("{}: {} bytes of callers at once", outcome.front_end, lost(&outcome, "concurrent_bytes"));
    }
}

#[test]
fn threads_that_send_at_once_on_one_socket_leave_gaps_where_nobody_else_can_tell() {
    for outcome in run("threads", &["--comm", "python3"]) {
        assert_eq!(lost(&outcome, "gap_bytes"), lost(&outcome, "concurrent_bytes"), "{}", outcome.stats["losses"]);
        let asked = |records: &[serde_json::Value]| {
            records.iter().filter_map(|record| record["request"]["bytes"].as_u64()).sum::<u64>()
        };
        let (seen, whole) = (asked(&outcome.traced), asked(&outcome.captured));
        println!("{}: {seen} of {whole} bytes, {}", outcome.front_end, outcome.stats["losses"]);
    }
}

#[test]
fn bytes_sent_from_a_file_are_a_gap_where_only_the_sender_is_traced() {
    for outcome in run("sendfile", &["--comm", "python3"]) {
        assert_eq!(lost(&outcome, "gap_bytes"), 3 * 32, "three commands of 32 bytes");
        let pings = outcome.traced.iter().filter(|record| record["request"]["type"] == "PING");
        let answered = pings.filter(|record| record["response"]["status"] == "ok").count();
        assert!(answered >= 9, "{answered} of 10 commands around the gap");
        assert!(outcome.traced.iter().all(|record| record["request"]["type"] != "ECHO"), "what was not seen was told");
    }
}

#[test]
fn what_is_plain_c_in_the_kernels_half_passes_its_own_tests() {
    if let Err(why) = has("cc") {
        return println!("skipped: {why}");
    }
    for name in ["copy_test", "calls_test"] {
        let test = scratch("trace").join(name);
        let source = root().join("bpf/tests").join(name).with_extension("c");
        let compile = [
            "-g",
            "-Wall",
            "-Wno-unused-function",
            "-Wno-unknown-pragmas",
            "-fsanitize=undefined",
            "-fno-sanitize-recover",
            "-o",
        ];
        say(Command::new("cc").args(compile).args([text(&test), text(&source)])).expect("it compiles");
        say(&mut Command::new(test)).expect("all cases pass");
    }
}

#[test]
fn a_flow_that_nobody_claims_is_muted_in_the_kernel_and_heard_again_with_its_plugin() {
    let folder = scratch("muted");
    let module = folder.join("redis.wasm");
    std::fs::copy(plugin("mongodb"), folder.join("mongodb.wasm")).expect("the folder can be written to");
    for front_end in FRONT_ENDS {
        let _ = std::fs::remove_file(&module);
        let outcome = run_with(front_end, "muted", &[], &folder, || {
            std::fs::copy(plugin("redis"), &module).expect("the folder can be written to");
            // Two looks find it, the second one loads it.
            std::thread::sleep(Duration::from_secs(2));
        });
        let Some(outcome) = outcome else { continue };
        assert!(lost(&outcome, "muted_calls") > 1000, "{}", outcome.stats["losses"]);
        let last = outcome.traced.iter().filter(|record| record["response"]["status"] == "ok").count();
        assert!(last >= 90, "{last} of the last 100 commands");
        println!("{last} of 100 commands once the plugin was there, {} calls muted", lost(&outcome, "muted_calls"));
    }
}

#[test]
fn a_connection_is_not_muted_for_the_one_before_it() {
    for outcome in run("closed", &["--port", "9"]) {
        let answered = outcome.traced.iter().filter(|record| record["response"]["status"] == "ok").count();
        assert_eq!(answered, 4 * 40 * 20, "{}: {}", outcome.front_end, outcome.stats["losses"]);
    }
}

#[test]
fn the_check_says_line_by_line_what_can_be_done() {
    if let Err(why) = try_run("tp-btf", "old", &[], &plugin("redis"), || ()) {
        return println!("skipped: {why}");
    }
    let check = finished(command(&["trace", "--check"]).output().expect("it starts"));
    assert_eq!((check.status, check.out.lines().count()), (0, 11), "{}", check.out);
}

#[test]
fn a_ring_that_is_too_small_loses_bytes_and_counts_them() {
    for outcome in run("burst", &["--buffer", "4"]) {
        assert!(lost(&outcome, "ring_events") > 0, "nothing was lost");
        assert!(lost(&outcome, "ring_bytes") > 0);
        // A gap shows where something follows it: on a machine that is busy enough, nothing does.
        assert!(lost(&outcome, "gap_bytes") > 0 || outcome.traced.is_empty());
        assert!(outcome.traced.len() < outcome.captured.len(), "records were made up");
        println!("{} of {} records, {}", outcome.traced.len(), outcome.captured.len(), outcome.stats["losses"]);
    }
}
