//! What is refused, or cannot be seen, and what each thread may do: a kernel that is locked down, a sandbox without BPF,
//! OpenSSL that is linked in statically.

use std::fs;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use protap_e2e::artifacts::{plugin, root, scratch};
use protap_e2e::program::{finished, text};

use super::harness::{FRONT_ENDS, Killed, MOUNTED, has, interrupt, records, say, trace, trace_after, wait_for};
use super::limits::{cannot, is_told, run};
use super::tls::Server;

/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE.
const LOOK: u64 = 1 << 2 | 1 << 19;
/// CAP_CHECKPOINT_RESTORE, to open mapped files that were deleted.
const OPEN: u64 = 1 << 40;
/// CAP_PERFMON, CAP_BPF.
const ATTACH: u64 = 1 << 38 | 1 << 39;
/// CAP_SYS_ADMIN, without which kernels before 6.6 set no uprobe.
const ADMIN: u64 = 1 << 21;

/// What each thread of a process can get, by the thread's name.
fn permitted(pid: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).ok()?;
        let line = |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        Some((line("Name:")?, u64::from_str_radix(&line("CapPrm:")?, 16).ok()?))
    };
    tasks.filter_map(|task| of(task.ok()?.path())).collect()
}

#[test]
fn with_tls_each_thread_keeps_what_it_needs() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    let redis = plugin("redis");
    let arguments = ["--tls", "--workers", "2", "-p", text(&redis), "--port", "1"];
    let started = trace("tp-btf", &arguments).stderr(Stdio::piped()).spawn();
    let mut trace = Killed(started.expect("it starts"));
    wait_for(&mut BufReader::new(trace.0.stderr.take().expect("piped")), "tracing").expect("root may trace");
    // Threads that have just begun give up theirs first thing.
    std::thread::sleep(Duration::from_millis(500));
    let pid = trace.0.id();
    let main = fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
    let threads = permitted(pid);
    for name in ["libraries", "plugins", "epoch", "merge", "worker-0", "worker-1", main.trim()] {
        let (_, has) =
            threads.iter().find(|(thread, _)| thread == name).unwrap_or_else(|| panic!("{name}: {threads:?}"));
        let is_right = match name {
            "libraries" => *has == LOOK | OPEN,
            name if name == main.trim() => *has & !ADMIN == LOOK | ATTACH,
            _ => *has == 0,
        };
        assert!(is_right, "{name} has {has:#x}");
    }
}

#[test]
fn what_is_refused_is_told_in_a_line() {
    if let Some(why) = cannot() {
        return println!("skipped: {why}");
    }
    let without_bpf = root().join("tests/trace/without_bpf.py");
    let sandbox = ["python3", text(&without_bpf)];
    for front_end in FRONT_ENDS {
        is_told(&run(MOUNTED, &sandbox, &["--front-end", front_end]), "seccomp profile");
    }
    // No kernel here can be locked down for good: one that says so and refuses BPF stands in for it.
    let says = scratch("trace").join("lockdown");
    fs::write(&says, "none integrity [confidentiality]\n").expect("it can be written to");
    let folder = "mount -t tmpfs none /sys/kernel/security";
    let locked_down = format!("{MOUNTED}; {folder}; cp {} /sys/kernel/security/lockdown", text(&says));
    is_told(&run(&locked_down, &sandbox, &[]), "locked down (confidentiality)");
    let check = finished(trace_after(&locked_down, &sandbox, &["--check"]).output().expect("it starts"));
    assert!(check.status != 0 && check.out.contains("locked down (confidentiality)"), "{}", check.out);
}

/// A client whose OpenSSL is linked in, with its symbols or without them.
fn client(folder: &Path, is_stripped: bool) -> Result<PathBuf, String> {
    let (program, source) = (folder.join("static_tls"), root().join("tests/trace/static_tls.c"));
    let strip: &[&str] = if is_stripped { &["-s"] } else { &[] };
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-static"]).args(strip).args(["-o", text(&program), text(&source), "-lssl", "-lcrypto"]);
    say(&mut compiler)?;
    Ok(program)
}

/// What a trace of that client says and what it sees of three PINGs.
fn static_openssl(is_stripped: bool) -> Result<(String, usize), String> {
    has("cc")?;
    let server = Server::start(if is_stripped { "stripped" } else { "static" })?;
    let program = client(&server.folder, is_stripped)?;
    let mut client = server.namespace.run(&[text(&program), &server.port]);
    let mut client = Killed(client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut says = BufReader::new(client.0.stdout.take().expect("piped"));
    wait_for(&mut says, "ready")?;
    let (pid, redis, out) = (client.0.id().to_string(), plugin("redis"), server.folder.join("trace.json"));
    let file = fs::File::create(&out).expect("the folder can be written to");
    let arguments = ["--tls", "--pid", &pid, "-p", text(&redis), "-o", "json"];
    let mut trace = trace("tp-btf", &arguments);
    let mut trace = Killed(trace.stdout(file).stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut told = BufReader::new(trace.0.stderr.take().expect("piped"));
    let first = if is_stripped { "no TLS is seen" } else { "tracing" };
    let line = wait_for_line(&mut told, first)?;
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        client.0.stdin.as_mut().expect("piped").write_all(b"\n").expect("it reads");
        wait_for(&mut says, "done")?;
    }
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&trace.0);
    let _ = trace.0.wait();
    let seen = records(&fs::read_to_string(out).expect("it was written"));
    Ok((line, seen.iter().filter(|record| record["request"]["type"] == "PING").count()))
}

fn wait_for_line(lines: &mut impl std::io::BufRead, what: &str) -> Result<String, String> {
    let mut line = String::new();
    while !line.contains(what) {
        line.clear();
        if lines.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
            return Err(format!("it never said {what}"));
        }
    }
    Ok(line)
}

#[test]
fn openssl_that_is_linked_in_is_seen_unless_it_is_stripped_and_that_is_told() {
    let seen = static_openssl(false).and_then(|with| Ok((with, static_openssl(true)?)));
    let (with, without) = match seen {
        Ok(seen) => seen,
        Err(why) => return println!("skipped: {why}"),
    };
    assert_eq!(with.1, 3, "{}", with.0);
    assert!(without.0.contains("linked in and stripped"), "{}", without.0);
    assert_eq!(without.1, 0);
}
