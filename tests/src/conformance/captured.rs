//! A capture of the plugin's protocol, through the engine: as it is, cut into other packets, and with packets missing. Only
//! TCP over IPv4 on Ethernet can be cut and damaged.

use std::path::Path;

use serde_json::Value;

use super::subject::Subject;
use super::{Checked, Verdict, verdict};
use crate::engine::{Outcome, read_with};
use crate::link::Link;
use crate::pcap::{Capture, read_plain};
use crate::records::{nanoseconds_of_day, ports};
use crate::rewrite;
use crate::segment::{Segment, segments, to_file};
use protap_plugin::testing::Random;

/// Captures with that many bytes of payload, at the most, are also cut into single bytes.
const SMALL: usize = 200_000;
/// Runs with a packet missing.
const LOSSES: usize = 40;
/// Turns (the client speaks after the server) behind a loss within which records may be lost.
const NEAR: usize = 3;
/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

pub(super) fn capture(subject: &Subject) -> &Path {
    subject.capture.as_deref().expect("only called with a capture")
}

fn outcome(subject: &Subject, file: Vec<u8>, workers: usize) -> Outcome {
    read_with(subject.plugins(), file, workers)
}

pub(super) fn whole(subject: &Subject) -> Result<Outcome, String> {
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
pub(super) fn tcp(subject: &Subject) -> Result<Vec<Segment>, String> {
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
