//! A capture of the plugin's protocol: through the engine as it is, cut and damaged; and its streams to a bare instance,
//! truncated at any place. TCP over IPv4 on Ethernet can be cut and damaged, UDP only be cut short.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use protap::plugin::instance::Instance;
use serde_json::Value;

use super::driver::{Flow, WAYS, Way};
use super::subject::Subject;
use super::{Checked, Verdict, verdict};
use crate::engine::{Outcome, read_with};
use crate::link::Link;
use crate::pcap::{Capture, read_plain};
use crate::random::Random;
use crate::records::{nanoseconds_of_day, ports};
use crate::rewrite;
use crate::segment::{SYN, Segment, segments, to_file};

/// Captures with that many bytes of payload, at the most, are also cut into single bytes.
const SMALL: usize = 200_000;
/// Flows that are truncated, and places at which each is.
const TRUNCATED: (usize, usize) = (8, 60);
/// Runs with a packet missing.
const LOSSES: usize = 40;
/// Turns (the client speaks after the server) behind a loss within which records may be lost.
const NEAR: usize = 3;
/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// What was sent in a flow, in order; the key is the client's end, as far as that can be told.
type Conversations = BTreeMap<(SocketAddr, SocketAddr), Vec<(Way, Vec<u8>)>>;

fn capture(subject: &Subject) -> &Path {
    subject.capture.as_deref().expect("only called with a capture")
}

fn outcome(subject: &Subject, file: Vec<u8>, workers: usize) -> Outcome {
    read_with(subject.plugins(), file, workers)
}

fn whole(subject: &Subject) -> Result<Outcome, String> {
    let whole = outcome(subject, read_plain(capture(subject)), 1);
    whole.errors.first().map_or(Ok(()), |error| Err(error.clone()))?;
    sound(subject, &whole)?;
    Ok(whole)
}

fn sound(subject: &Subject, outcome: &Outcome) -> Result<(), String> {
    let name = &subject.manifest().name;
    match outcome.faults(name) {
        0 => Ok(()),
        _ => Err(format!("faults: {}", outcome.plugin(name)["faults"])),
    }
}

/// The plugin makes records of it, and no fault.
pub(super) fn records(subject: &Subject) -> Checked {
    let whole = whole(subject)?;
    if whole.records.is_empty() {
        return Err("it makes no record of the capture".to_owned());
    }
    let records = whole.records.parsed();
    let unpaired = records.iter().filter(|record| record["kind"] == "response").count();
    Ok(format!("{} records, {unpaired} of them responses without request", records.len()))
}

/// The same records in a second run, and on four workers.
pub(super) fn repeat(subject: &Subject) -> Checked {
    let file = read_plain(capture(subject));
    let first = outcome(subject, file.clone(), 1);
    for (workers, what) in [(1, "a second run"), (4, "a run on four workers")] {
        if outcome(subject, file.clone(), workers).records != first.records {
            return Err(format!("{what} gives other records"));
        }
    }
    Ok("the same in three runs".to_owned())
}

/// The records are the same, however the bytes were cut into packets.
pub(super) fn cuts(subject: &Subject) -> Verdict {
    match tcp(subject) {
        Ok(segments) => verdict(cut(subject, &segments)),
        Err(why) => Verdict::Skipped(why),
    }
}

fn cut(subject: &Subject, segments: &[Segment]) -> Checked {
    let records = |segments: &[Segment]| {
        let outcome = outcome(subject, to_file(segments, Link::Ethernet), 1);
        sound(subject, &outcome).map(|()| outcome.records.without_times())
    };
    let expected = records(segments)?;
    let mut ways: Vec<(String, Vec<Segment>)> = vec![
        ("coalesced".to_owned(), rewrite::coalesced(segments)),
        ("cut behind headers".to_owned(), rewrite::cut_behind_headers(segments)),
        ("in pieces of 7".to_owned(), rewrite::cut(segments, 7)),
    ];
    ways.extend((1..=5).map(|seed| (format!("cut at random, seed {seed}"), cut_at_random(segments, seed))));
    let payload: usize = segments.iter().map(|segment| segment.payload.len()).sum();
    if payload <= SMALL {
        ways.push(("in single bytes".to_owned(), rewrite::cut(segments, 1)));
    }
    for (what, rewritten) in &ways {
        let found = records(rewritten)?;
        if let Some(at) = expected.iter().zip(&found).position(|(a, b)| a != b) {
            return Err(format!("{what}: record {at} is {} instead of {}", found[at], expected[at]));
        }
        if found.len() != expected.len() {
            return Err(format!("{what}: {} records instead of {}", found.len(), expected.len()));
        }
    }
    Ok(format!("{} records, the same in {} ways", expected.len(), ways.len()))
}

fn cut_at_random(segments: &[Segment], seed: u64) -> Vec<Segment> {
    let mut random = Random::new(seed);
    let mut out = Vec::new();
    for segment in segments {
        let mut from = 0;
        while segment.payload.len() - from > 1 && random.below(3) > 0 {
            let to = from + 1 + random.below(segment.payload.len() - from - 1);
            out.push(segment.part(from, to));
            from = to;
        }
        out.push(segment.part(from, segment.payload.len()));
    }
    out
}

/// A packet that is missing costs what is near it.
pub(super) fn losses(subject: &Subject) -> Verdict {
    match tcp(subject) {
        Ok(segments) => verdict(lose(subject, &segments)),
        Err(why) => Verdict::Skipped(why),
    }
}

fn lose(subject: &Subject, segments: &[Segment]) -> Checked {
    let whole = whole(subject)?.records.parsed();
    let carriers: Vec<usize> = (0..segments.len()).filter(|at| !segments[*at].payload.is_empty()).collect();
    let mut random = Random::new(9);
    let (mut runs, mut lost) = (0, 0);
    for _ in 0..LOSSES.min(carriers.len()) {
        let at = carriers[random.below(carriers.len())];
        let kept: Vec<Segment> =
            segments.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, segment)| segment.clone()).collect();
        let outcome = outcome(subject, to_file(&kept, Link::Ethernet), 1);
        sound(subject, &outcome).map_err(|why| format!("without packet {}: {why}", segments[at].packet))?;
        let found = outcome.records.parsed();
        let near = Near::new(segments, at);
        let missing: Vec<&Value> = whole.iter().filter(|record| !found.contains(record)).collect();
        if let Some(far) = missing.iter().find(|record| near.is_far(record)) {
            return Err(format!(
                "without packet {}, which is not near, this is lost or changed: {far}",
                segments[at].packet
            ));
        }
        lost += missing.len();
        runs += 1;
    }
    Ok(format!("{runs} packets, one at a time, {:.1} records near each", lost as f64 / runs.max(1) as f64))
}

/// What a loss may cost: records of its flow that are under way when it happens, up to some turns later.
struct Near {
    ports: (u16, u16),
    from: u64,
    to: u64,
}

impl Near {
    fn new(segments: &[Segment], at: usize) -> Self {
        let lost = &segments[at];
        let (a, b) = (lost.source.port(), lost.destination.port());
        let later = segments[at..].iter().filter(|segment| {
            !segment.payload.is_empty()
                && (segment.stream() == lost.stream() || segment.stream() == (lost.destination, lost.source))
        });
        let (mut turns, mut last, mut to) = (0, lost.stream(), u64::MAX);
        for segment in later {
            if segment.stream() != last {
                (turns, last) = (turns + 1, segment.stream());
            }
            // A turn is both directions in a row.
            if turns >= 2 * NEAR {
                to = segment.at;
                break;
            }
        }
        Self { ports: (a.min(b), a.max(b)), from: lost.at, to }
    }

    fn is_far(&self, record: &Value) -> bool {
        let (client, server) = ports(record);
        if (client.min(server), client.max(server)) != self.ports {
            return true;
        }
        let begin = record["ts"].as_str().map_or(0, nanoseconds_of_day);
        let end = begin + record["duration_ns"].as_u64().unwrap_or_default();
        end < self.from % DAY || self.to != u64::MAX && begin > self.to % DAY
    }
}

/// The segments of a capture that can be rewritten; why it cannot be.
fn tcp(subject: &Subject) -> Result<Vec<Segment>, String> {
    let capture = Capture::parse(&read_plain(capture(subject))).ok_or("the capture is no classic pcap file")?;
    if capture.linktype != 1 || capture.packets.iter().any(|packet| packet.data.len() < packet.origlen as usize) {
        return Err("only whole packets on Ethernet can be rewritten".to_owned());
    }
    let segments = segments(&capture);
    if segments.is_empty() {
        return Err("the capture holds no TCP over IPv4".to_owned());
    }
    Ok(segments)
}

/// Real bytes, cut off at any place: the rest lost, or the stream ended.
pub(super) fn truncation(subject: &Subject) -> Verdict {
    match conversations(subject) {
        Ok(conversations) if conversations.is_empty() => {
            Verdict::Skipped("no flow of the plugin's in TCP or UDP over IPv4 on Ethernet".to_owned())
        }
        Ok(conversations) => verdict(truncate(subject, &conversations)),
        Err(why) => Verdict::Skipped(why),
    }
}

fn truncate(subject: &Subject, conversations: &Conversations) -> Checked {
    let (most_flows, places) = TRUNCATED;
    let mut random = Random::new(13);
    let mut instance = subject.instance()?;
    let mut runs = 0;
    for pieces in conversations.values().take(most_flows) {
        let total: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        for place in 0..places {
            // The first places are those in the first message, one by one.
            let at = if place < places / 2 { place.min(total) } else { random.below(total) };
            for is_gap in [false, true] {
                cut_off(subject, &mut instance, pieces, at, is_gap).map_err(|why| format!("cut at {at}: {why}"))?;
                runs += 1;
            }
        }
    }
    Ok(format!("{runs} times"))
}

fn cut_off(
    subject: &Subject,
    instance: &mut Instance,
    pieces: &[(Way, Vec<u8>)],
    at: usize,
    is_gap: bool,
) -> Result<(), String> {
    let is_udp = subject.flow_flags() != 0;
    let mut flow = Flow::open(subject, instance)?;
    let mut rest = at;
    let mut last = None;
    for (way, bytes) in pieces {
        if last.replace(*way) != Some(*way) {
            flow.turn(*way);
        }
        let kept = rest.min(bytes.len());
        let missing = (bytes.len() - kept) as u64;
        let is_here = rest != usize::MAX && missing > 0;
        match (is_here, is_udp) {
            (false, _) => flow.bytes(instance, *way, bytes)?,
            (true, true) => flow.datagram(instance, *way, &bytes[..kept.max(1)], missing)?,
            (true, false) => {
                flow.bytes(instance, *way, &bytes[..kept])?;
                if is_gap {
                    flow.gap(instance, *way, missing)?;
                }
            }
        }
        if is_here && !is_gap {
            break;
        }
        rest = if is_here || rest == usize::MAX { usize::MAX } else { rest - kept };
    }
    WAYS.iter().try_for_each(|way| flow.end(instance, *way))?;
    flow.close(instance).map(drop)
}

/// Fuel and window of each call that the capture's flows cost.
pub(super) fn costs(subject: &Subject, _capture: &Path) -> Result<Vec<(u64, usize)>, String> {
    let mut costs = Vec::new();
    let mut instance = subject.instance()?;
    for pieces in conversations(subject).unwrap_or_default().values() {
        let mut flow = Flow::open(subject, &mut instance)?;
        pieces.iter().try_for_each(|(way, bytes)| flow.bytes(&mut instance, *way, bytes))?;
        costs.append(&mut flow.costs);
        flow.close(&mut instance)?;
    }
    Ok(costs)
}

/// What was sent in the flows of which the plugin makes records.
fn conversations(subject: &Subject) -> Result<Conversations, String> {
    let clients: Vec<(u16, u16)> = whole(subject)?.records.parsed().iter().map(ports).collect();
    let way = |source: SocketAddr, destination: SocketAddr| {
        if clients.contains(&(source.port(), destination.port())) {
            return Some(((source, destination), Way::ToServer));
        }
        let is_answer = clients.contains(&(destination.port(), source.port()));
        is_answer.then_some(((destination, source), Way::ToClient))
    };
    let mut conversations = Conversations::new();
    if subject.flow_flags() != 0 {
        let capture = Capture::parse(&read_plain(capture(subject))).ok_or("the capture is no classic pcap file")?;
        for (source, destination, payload) in capture.packets.iter().filter_map(|packet| datagram(&packet.data)) {
            if let Some((key, way)) = way(source, destination) {
                conversations.entry(key).or_default().push((way, payload.to_vec()));
            }
        }
        return Ok(conversations);
    }
    let mut next: HashMap<(SocketAddr, SocketAddr), u32> = HashMap::new();
    for segment in tcp(subject)? {
        let Some((key, way)) = way(segment.source, segment.destination) else { continue };
        let begin = segment.seq.wrapping_add(u32::from(segment.has(SYN)));
        let next = next.entry(segment.stream()).or_insert(begin);
        // What was sent again is left out; a capture that lacks bytes is told of as if it had them.
        if segment.payload.is_empty() || begin.wrapping_sub(*next) > u32::MAX / 2 {
            continue;
        }
        *next = segment.end();
        conversations.entry(key).or_default().push((way, segment.payload));
    }
    Ok(conversations)
}

/// Source, destination and payload of UDP over IPv4 on Ethernet.
fn datagram(frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let ip = frame.get(14..).filter(|_| frame.get(12..14) == Some(&[8, 0]))?;
    let header = usize::from(ip.first()? & 15) * 4;
    let udp = ip.get(header..).filter(|_| ip.get(9) == Some(&17))?;
    let address = |at: usize| ip.get(at..)?.first_chunk::<4>().copied();
    let number = |at: usize| udp.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    let end = |address: [u8; 4], port: u16| SocketAddr::from((address, port));
    let (source, destination) = (end(address(12)?, number(0)?), end(address(16)?, number(2)?));
    Some((source, destination, udp.get(8..usize::from(number(4)?))?))
}
