//! Captures again and again, until there were as many messages as it takes to see whether something grows.

use std::collections::BTreeSet;
use std::io::{self, Read};

use protap::capture::FileSource;
use serde_json::Value;

use crate::artifacts::fixtures;
use crate::engine::{measure, shipped_plugins};
use crate::link::Link;
use crate::pcap::Capture;
use crate::segment::{ACK, RST, Segment, segments, to_file};

/// Seconds between two repetitions beyond the capture's own length: more than a closed flow is remembered.
const PAUSE: u32 = 60;
const SECOND: u64 = 1_000_000_000;

/// All captures of a protocol one after the other, as a file. Connections that were still open are reset at the end of each: so
/// the next time they are new ones.
#[must_use]
pub fn corpus(protocol: &str) -> Vec<u8> {
    let mut all: Vec<Segment> = Vec::new();
    for fixture in fixtures(protocol) {
        let mut segments = segments(&Capture::read(&fixture.path));
        let first = segments.iter().map(|segment| segment.at).min().unwrap_or_default();
        let begin = all.last().map_or(SECOND, |last| last.at) + u64::from(PAUSE) * SECOND;
        segments.iter_mut().for_each(|segment| segment.at = segment.at - first + begin);
        let end = segments.iter().map(|segment| segment.at).max().unwrap_or_default() + SECOND;
        segments.extend(resets(&segments, end));
        all.extend(segments);
    }
    to_file(&all, Link::Ethernet)
}

/// A RST of every stream, behind what was sent.
fn resets(segments: &[Segment], at: u64) -> Vec<Segment> {
    let mut seen = BTreeSet::new();
    let lasts = segments.iter().rev().filter(|segment| seen.insert(segment.stream()));
    let reset = |last: &Segment| Segment { at, seq: last.end(), flags: RST | ACK, payload: vec![], ..last.clone() };
    lasts.map(reset).collect()
}

/// What a plugin was after so many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// Messages that it made.
    pub messages: u64,
    /// Flows that it claimed.
    pub flows: u64,
    /// Linear memory of all its instances, in bytes.
    pub memory: u64,
    /// Faults, of all kinds.
    pub faults: u64,
}

/// What a plugin is after this capture came so many times.
#[must_use]
pub fn weigh(plugin: &str, file: &[u8], times: usize) -> Weighed {
    let mut source = FileSource::from_reader("repeated", Repeated::new(file, times));
    let summary = measure(shipped_plugins(), &mut source);
    let rows = summary["plugins"].as_array().expect("plugins");
    let row = rows.iter().find(|row| row["name"] == plugin).expect("a row for each plugin");
    let number = |value: &Value| value.as_u64().expect("a number");
    let faults = row["faults"].as_object().into_iter().flatten().map(|(_, count)| number(count)).sum();
    let messages = number(&row["coverage"]["messages"]);
    Weighed { messages, flows: number(&row["claims"]), memory: number(&row["memory_bytes"]), faults }
}

/// A capture file, repeated: a file header, and packets again and again, each time later.
#[derive(Debug)]
pub struct Repeated {
    packets: Vec<u8>,
    /// Where the packets' times stand.
    seconds_at: Vec<usize>,
    period: u32,
    times: usize,
    /// What is being read, and how far.
    current: io::Cursor<Vec<u8>>,
}

impl Repeated {
    /// That file, so many times over.
    #[must_use]
    pub fn new(file: &[u8], times: usize) -> Self {
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
