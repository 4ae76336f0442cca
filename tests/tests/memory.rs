//! A plugin's memory does not grow with the traffic: a million messages leave it as large as the first few thousand.

use std::io::{self, Read};

use protap::capture::FileSource;
use protap_e2e::artifacts::fixture;
use protap_e2e::engine::{Outcome, read, read_source, shipped_plugins};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::segment::{segments, to_file};

/// Messages that go through each plugin.
const MESSAGES: usize = 1_000_000;
/// Seconds between two repetitions beyond the capture's own length: more than a closed flow is remembered.
const PAUSE: u32 = 60;

/// A capture file, repeated: a file header, and packets again and again, each time later.
struct Repeated {
    packets: Vec<u8>,
    /// Where the packets' times stand.
    seconds_at: Vec<usize>,
    period: u32,
    times: usize,
    /// What is being read, and how far.
    current: io::Cursor<Vec<u8>>,
}

impl Repeated {
    fn new(file: Vec<u8>, times: usize) -> Self {
        let header = file[..24].to_vec();
        let packets = file[24..].to_vec();
        let mut seconds_at = Vec::new();
        let mut at = 0;
        while at < packets.len() {
            seconds_at.push(at);
            at += 16 + word(&packets, at + 8) as usize;
        }
        let ends = seconds_at.first().zip(seconds_at.last());
        let (first, last) = ends.map(|(first, last)| (word(&packets, *first), word(&packets, *last))).expect("packets");
        Self { packets, seconds_at, period: last - first + PAUSE, times, current: io::Cursor::new(header) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Read for Repeated {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.current.read(into)?;
        if read > 0 || self.times == 0 {
            return Ok(read);
        }
        self.times -= 1;
        self.current = io::Cursor::new(self.packets.clone());
        for at in &self.seconds_at {
            let later = word(&self.packets, *at) + self.period;
            self.packets[*at..at + 4].copy_from_slice(&later.to_le_bytes());
        }
        self.current.read(into)
    }
}

fn repeated(file: &[u8], times: usize) -> Outcome {
    let input = Repeated::new(file.to_vec(), times);
    read_source(shipped_plugins(), &mut FileSource::from_reader("repeated", input), 1)
}

fn is_flat(name: &str, plugin: &str) {
    let fixture = fixture(name);
    // Nanoseconds and one link header, whatever the original has.
    let file = to_file(&segments(&Capture::read(&fixture.path)), Link::Ethernet);
    let once = read(file.clone());
    let messages = once.summary["records"]["coverage"]["messages"].as_u64().expect("a number");
    let times = MESSAGES / usize::try_from(messages).expect("few") + 1;
    let memory = |outcome: &Outcome| outcome.plugin(plugin)["memory_bytes"].as_u64().expect("a number");
    let (early, late) = (repeated(&file, times / 100), repeated(&file, times));
    assert_eq!(late.records.len(), once.records.len() * times, "every repetition gives all records");
    assert_eq!((late.faults(plugin), late.errors.len()), (0, 0));
    assert_eq!(memory(&early), memory(&late), "after {} and {times} repetitions", times / 100);
}

#[test]
fn http_stays_as_large_as_it_is() {
    is_flat("http/node_streams", "http");
}

#[test]
fn kafka_stays_as_large_as_it_is() {
    is_flat("kafka/noida_ck216_basic", "kafka");
}

#[test]
fn mongodb_stays_as_large_as_it_is() {
    is_flat("mongodb/comp_zstd_pm420", "mongodb");
}

#[test]
fn redis_stays_as_large_as_it_is() {
    // The others hold connections that do not end: a repetition would look like a retransmission.
    is_flat("redis/oddities", "redis");
}
