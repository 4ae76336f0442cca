//! UDP in `protap trace` beside `tcpdump`: DNS between a server on the wildcard address and clients that send and receive
//! datagrams in all the ways there are. The records must be the same, and each datagram told once.

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use protap_e2e::artifacts::{plugin, root, scratch, test_plugin};
use protap_e2e::program::text;
use serde_json::Value;

use super::harness::{AT_CALLS, Killed, Namespace, Running, has, port, told, wait_for};

type Captured = (Vec<Value>, Vec<Value>, Value);

/// Runs all cases under both captures, once what there is to do before them is done.
fn try_run(front_end: &str, filters: &[&str], plugins: &Path, first: impl FnOnce()) -> Result<Captured, String> {
    ["ip", "tcpdump", "python3"].into_iter().try_for_each(has)?;
    let port = port();
    let namespace = Namespace::new(&port)?;
    let folder = scratch("trace").join(format!("udp-{port}"));
    std::fs::create_dir_all(&folder).expect("the folder can be written to");
    let script = root().join("tests/trace/udp.py");
    let mut client = namespace.run(&["python3", text(&script), "all", &port]);
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut client = Killed(client.map_err(|error| error.to_string())?);
    let mut says = BufReader::new(client.0.stdout.take().expect("piped"));
    let mut tell = client.0.stdin.take().expect("piped");
    wait_for(&mut says, "ready").expect("the server listens");
    let filters = [filters, &["--port", &port]].concat();
    let running = Running::start(front_end, namespace, &folder, plugins, &filters)?;
    first();
    tell.write_all(b"go\n").expect("the client listens");
    wait_for(&mut says, "done").expect("the case runs to its end");
    let captured = running.end(&test_plugin("dns"));
    tell.write_all(b"end\n").expect("the client listens");
    client.0.wait().expect("it ends");
    let _ = std::fs::remove_dir_all(&folder);
    Ok(captured)
}

#[test]
fn datagrams_are_told_once_whichever_call_moved_them() {
    for front_end in AT_CALLS {
        let (traced, captured, stats) = match try_run(front_end, &[], &test_plugin("dns"), || ()) {
            Ok(outcome) => outcome,
            Err(why) => return println!("skipped ({front_end}): {why}"),
        };
        assert_eq!(captured.len(), 200 + 101 + 80 + 101, "records in the pcap");
        let (by_trace, by_tcpdump) = (told(&traced), told(&captured));
        for (flow, records) in &by_tcpdump {
            assert_eq!(by_trace.get(flow), Some(records), "{front_end}: {flow}");
        }
        assert_eq!(by_trace.len(), by_tcpdump.len(), "{front_end}: flows");
        assert_eq!(stats["losses"]["datagrams"], 0, "{front_end}");
        for record in &traced {
            let process = &record["process"];
            assert_eq!(
                (&process["client"]["comm"], &process["server"]["comm"]),
                (&"python3".into(), &"python3".into())
            );
            assert_ne!(process["client"]["pid"], process["server"]["pid"]);
        }
        println!("{front_end}: {} records, equal", traced.len());
    }
}

#[test]
fn datagrams_are_seen_from_when_a_plugin_reads_them() {
    let folder = scratch("later");
    let module = folder.join("dns.wasm");
    let _ = std::fs::remove_file(&module);
    std::fs::copy(plugin("redis"), folder.join("redis.wasm")).expect("the folder can be written to");
    let first = || {
        std::fs::copy(test_plugin("dns"), &module).expect("the folder can be written to");
        // Two looks find it, the second one loads it.
        std::thread::sleep(Duration::from_secs(2));
    };
    match try_run("socket", &[], &folder, first) {
        Ok((traced, captured, _)) => assert!(told(&traced) == told(&captured), "not the same"),
        Err(why) => println!("skipped: {why}"),
    }
}

#[test]
fn datagrams_that_the_ring_had_no_room_for_are_counted() {
    let outcome = try_run("tp-btf", &["--buffer", "4"], &test_plugin("dns"), || ());
    let (traced, captured, stats) = match outcome {
        Ok(outcome) => outcome,
        Err(why) => return println!("skipped: {why}"),
    };
    let lost = stats["losses"]["datagrams"].as_u64().expect("a counter");
    assert!(traced.len() < captured.len() && lost > 0, "{} records, {}", traced.len(), stats["losses"]);
    println!("{} of {} records, {lost} datagrams lost", traced.len(), captured.len());
}
