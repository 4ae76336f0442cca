//! At which rate of packets the kernel begins to drop: for `protap live` and for `tcpdump -w /dev/null` with the same
//! buffer, in turns, on a loopback device of their own. Needs root; without, it is left out.

use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{has, is_quick};
use crate::peers::protap;
use crate::plugins;
use crate::report::{Report, Row};

/// Packets a second.
const RATES: [u32; 6] = [25_000, 50_000, 100_000, 150_000, 200_000, 300_000];
/// Bytes of a datagram.
const LEN: usize = 200;
/// Datagrams between two looks at the clock.
const BURST: u32 = 32;
const SPACE: &str = "protap-bench";

/// Sends datagrams to the discard port at that rate, for so many milliseconds; how many it sent.
pub fn blast(rate: u64, millis: u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = UdpSocket::bind("127.0.0.1:9").unwrap();
    socket.connect(target.local_addr().unwrap()).unwrap();
    let (start, length) = (Instant::now(), Duration::from_millis(millis));
    let mut sent = 0_u64;
    while start.elapsed() < length {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        for _ in 0..due.saturating_sub(sent).min(u64::from(BURST)) {
            sent += u64::from(socket.send(&[b'#'; LEN]).is_ok());
        }
        if due <= sent {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    println!("{sent}");
}

pub fn rows(report: &mut Report) {
    let shell = |line: &str| Command::new("bash").args(["-c", line]).status().is_ok_and(|status| status.success());
    let space = format!("ip netns add {SPACE} && ip -n {SPACE} link set lo up");
    if !has("tcpdump") || !shell(&format!("{space} 2>/dev/null")) {
        println!("live: needs root, ip and tcpdump; left out");
        return;
    }
    let (mut curve, mut is_reached) = (Vec::new(), true);
    for rate in RATES {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..if is_quick() { 1 } else { 3 } {
            theirs.push(dropped(&tcpdump(), rate));
            ours.push(dropped(&live(), rate));
        }
        let least = |shares: &[f64]| shares.iter().copied().fold(f64::MAX, f64::min) * 100.0;
        let (ours, theirs) = (least(&ours), least(&theirs));
        println!("live: {rate} packets/s asked for: protap drops {ours:.2} %, tcpdump {theirs:.2} %");
        is_reached &= ours <= theirs + 0.1;
        curve.push(format!("{}k: {ours:.1} / {theirs:.1}", rate / 1000));
    }
    shell(&format!("ip netns del {SPACE}"));
    report.add(Row {
        what: "live: share of packets dropped by the kernel, protap / tcpdump, in %, by packets/s",
        target: "no earlier",
        measured: curve.join(", "),
        is_reached: Some(is_reached),
        command: "make bench PART=live",
    });
}

fn tcpdump() -> String {
    "tcpdump -i lo -n -B 65536 -w /dev/null".to_owned()
}

fn live() -> String {
    let folder = plugins::folder();
    format!(
        "{} live -i lo -p {}/kafka.wasm -p {}/mongodb.wasm -o json --workers 1 --stats-json /tmp/protap-bench.json",
        protap().display(),
        folder.display(),
        folder.display()
    )
}

/// Share of the packets that a program loses while they come at that rate. Each comes twice: `lo` sends and receives it.
fn dropped(line: &str, rate: u32) -> f64 {
    let mut capture = Command::new("ip")
        .args(["netns", "exec", SPACE, "bash", "-c", &format!("exec {line} >/dev/null")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let program = std::env::current_exe().unwrap();
    let blast = Command::new("ip")
        .args(["netns", "exec", SPACE, program.to_str().unwrap(), "blast", &rate.to_string(), "1500"])
        .output()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let _ = Command::new("sh").args(["-c", &format!("kill -INT {}", capture.id())]).status();
    let mut text = String::new();
    capture.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    capture.wait().unwrap();
    let sent: f64 = String::from_utf8_lossy(&blast.stdout).trim().parse().unwrap();
    lost(&text) as f64 / (2.0 * sent)
}

/// What tcpdump says at its end, or what protap wrote.
fn lost(text: &str) -> u64 {
    if let Some(line) = text.lines().find(|line| line.ends_with("dropped by kernel")) {
        return line.split(' ').next().unwrap().parse().unwrap();
    }
    let stats = std::fs::read_to_string("/tmp/protap-bench.json").unwrap();
    let after = stats.split("\"kernel_drops\":").nth(1).unwrap_or("0").trim_start();
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap_or(0)
}
