//! What `protap trace` may do, and what it says when it may not or cannot: capabilities, no type information, no tracefs, no
//! memory for the ring, processes that end.

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use protap_e2e::artifacts::{plugin, program, scratch};
use protap_e2e::program::{Run, finished, text};

use super::harness::{FRONT_ENDS, Killed, MOUNTED, has, interrupt, say, trace, trace_after, wait_for};

/// Hides the kernel's type information.
const NO_BTF: &str = "mount -t tmpfs none /sys/kernel/btf";
/// Hides tracefs.
const NO_TRACEFS: &str = "umount -q /sys/kernel/tracing /sys/kernel/debug; mount -t tmpfs none /sys/kernel/tracing";

/// Why nothing can be tried here, if so.
pub(super) fn cannot() -> Option<String> {
    let check = || say(&mut trace_after(MOUNTED, &[], &["--check"]));
    ["unshare", "setpriv", "redis-cli", "prlimit"].into_iter().try_for_each(has).and_then(|()| check()).err()
}

/// Ends soon by itself.
pub(super) fn run(mounts: &str, by_way_of: &[&str], arguments: &[&str]) -> Run {
    let redis = plugin("redis");
    let always = ["-q", "-p", text(&redis), "--duration", "1"];
    finished(trace_after(mounts, by_way_of, &[&always, arguments].concat()).output().expect("it starts"))
}

/// It fails with one line that says what to do.
pub(super) fn is_told(run: &Run, advice: &str) {
    assert_eq!((run.status, run.err.lines().count()), (1, 1), "{}", run.err);
    assert!(run.err.contains(advice), "{}", run.err);
}

/// Capabilities of all threads of a process: what they have, and what they can get.
fn capabilities(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok()).collect::<String>();
    let of_interest =
        |line: &&str| ["CapPrm:", "CapEff:", "CapAmb:", "CapInh:"].iter().any(|name| line.starts_with(name));
    status.lines().filter(of_interest).map(str::to_owned).collect()
}

/// Copies of the program and a plugin that everybody may read, wherever the repository lies.
fn public() -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("protap-public-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("it can be written to");
    let (own, module) = (folder.join("protap"), folder.join("redis.wasm"));
    fs::copy(program(), &own).and_then(|_| fs::copy(plugin("redis"), &module)).expect("it can be written to");
    (own, module)
}

/// Whoever has the capabilities and nothing else gets records, and keeps none of them.
fn traces_with(front_end: &str, capabilities_given: &str, own: &Path, module: &Path) {
    let port = super::harness::port();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port, "--save", ""]).stdout(Stdio::null());
    let _server = Killed(server.spawn().expect("it starts"));
    let inherited = format!("--inh-caps=-all,{capabilities_given}");
    let ambient = format!("--ambient-caps=-all,{capabilities_given}");
    let way = ["setpriv", "--reuid", "65534", "--clear-groups", &inherited, &ambient];
    let arguments = ["trace", "--front-end", front_end, "-p", text(module), "-o", "json", "--port", &port];
    let mut trace = Command::new("unshare");
    trace.args(["--mount", "sh", "-c", &format!(r#"{MOUNTED}; exec "$@""#), "sh"]).args(way).arg(own).args(arguments);
    trace.env("XDG_CACHE_HOME", "/nowhere").env_remove("PROTAP_LOG");
    let mut trace = Killed(trace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    wait_for(&mut BufReader::new(trace.0.stderr.take().expect("piped")), "tracing").expect("it may trace");
    for line in capabilities(trace.0.id()) {
        assert!(line.ends_with("\t0000000000000000"), "{front_end}: {line}");
    }
    for _ in 0..50 {
        if say(Command::new("redis-cli").args(["-p", &port, "PING"])).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&trace.0);
    let mut records = String::new();
    trace.0.stdout.take().expect("piped").read_to_string(&mut records).expect("UTF-8");
    assert!(records.contains(r#""type":"PING""#), "{front_end}: {records}");
}

#[test]
fn trace_needs_few_capabilities_and_keeps_none() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    let (own, module) = public();
    traces_with("socket", "+bpf,+perfmon", &own, &module);
    traces_with("tp-btf", "+bpf,+perfmon", &own, &module);
    traces_with("tracepoint", "+bpf,+perfmon,+dac_read_search", &own, &module);
    // Those of root are many more.
    for front_end in FRONT_ENDS {
        let trace = trace(front_end, &["-p", text(&module), "--port", "1"]).stderr(Stdio::piped()).spawn();
        let mut trace = Killed(trace.expect("it starts"));
        wait_for(&mut BufReader::new(trace.0.stderr.take().expect("piped")), "tracing").expect("root may trace");
        let left = capabilities(trace.0.id());
        assert!(left.len() >= 8 && left.iter().all(|line| line.ends_with("\t0000000000000000")), "{left:?}");
    }
    let _ = fs::remove_dir_all(own.parent().expect("it lies in a folder"));
}

#[test]
fn what_trace_may_not_do_is_told_in_a_line() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    let (own, module) = public();
    for (front_end, given, advice) in [
        ("socket", "", "setcap cap_bpf,cap_perfmon+ep"),
        ("tp-btf", "", "setcap cap_bpf,cap_perfmon+ep"),
        ("tracepoint", "", "setcap cap_bpf,cap_perfmon+ep"),
        ("tracepoint", ",+bpf,+perfmon", "CAP_DAC_READ_SEARCH"),
    ] {
        let (inherited, ambient) = (format!("--inh-caps=-all{given}"), format!("--ambient-caps=-all{given}"));
        let way = ["setpriv", "--reuid", "65534", "--clear-groups", &inherited, &ambient];
        let mut trace = Command::new("unshare");
        trace.args(["--mount", "sh", "-c", &format!(r#"{MOUNTED}; exec "$@""#), "sh"]).args(way).arg(&own);
        trace.args(["trace", "-q", "-p", text(&module), "--front-end", front_end]).env("XDG_CACHE_HOME", "/nowhere");
        is_told(&finished(trace.env_remove("PROTAP_LOG").output().expect("it starts")), advice);
    }
    let _ = fs::remove_dir_all(own.parent().expect("it lies in a folder"));
}

#[test]
fn what_is_not_there_is_told_in_a_line() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    is_told(&run(NO_BTF, &[], &[]), "no BTF");
    is_told(&run(NO_BTF, &[], &["--front-end", "tp-btf"]), "no BTF");
    let btf = scratch("trace").join("vmlinux.btf");
    fs::copy("/sys/kernel/btf/vmlinux", &btf).expect("it can be read");
    let with_btf = run(&format!("{MOUNTED}; {NO_BTF}"), &[], &["--btf", text(&btf)]);
    assert_eq!((with_btf.status, with_btf.err.as_str()), (0, ""), "the types may come from a file");
    is_told(&run(NO_TRACEFS, &[], &["--front-end", "tracepoint"]), "tracefs is not mounted");
    assert_eq!(run(NO_TRACEFS, &[], &[]).status, 0, "the other front end does without tracefs");
    // The ring's pages are mapped twice.
    let by_way_of = ["prlimit", "--as=200000000"];
    let check = trace_after(MOUNTED, &by_way_of, &["--check", "--buffer", "131072"]).output().expect("it starts");
    let refused = finished(check).out.lines().filter(|line| line.contains("lower --buffer")).count();
    assert_eq!(refused, 3, "all front ends tell of a ring that is refused");
}

#[test]
fn trace_ends_with_the_last_of_the_processes_that_were_asked_for() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    for front_end in FRONT_ENDS {
        let sleeper = Killed(Command::new("sleep").arg("60").spawn().expect("it starts"));
        let (pid, redis) = (sleeper.0.id().to_string(), plugin("redis"));
        let started = trace(front_end, &["-p", text(&redis), "--pid", &pid]).stderr(Stdio::piped()).spawn();
        let mut trace = started.expect("it starts");
        let mut says = BufReader::new(trace.stderr.take().expect("piped"));
        wait_for(&mut says, "tracing").expect("it may trace");
        drop(sleeper);
        wait_for(&mut says, &format!("process {pid} has ended")).expect("it is told");
        assert!(trace.wait().expect("it ends by itself").success());
        is_told(
            &run(MOUNTED, &[], &["--front-end", front_end, "--pid", &pid]),
            &format!("no process has the id {pid}"),
        );
    }
}
