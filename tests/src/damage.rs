//! Captures with bytes missing, and which records that excuses: where each frame lies in its stream, which bytes of the
//! streams a damaged capture lacks, and whether a record that is missing or changed lost bytes of its own.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::oracle::{Frame, Oracle};
use crate::records::{Key, Records, key};
use crate::segment::{SYN, Segment, Stream};

/// Frames behind a damaged one that finding the next frame may cost: the one at which the search looks, and the one that
/// confirms it.
pub const RESYNC_FRAMES: usize = 2;

/// A frame's place: its stream, and where it begins and ends there.
type Place = (Stream, u64, u64);

/// Where frames lie in the streams of a whole capture.
#[derive(Debug)]
pub struct Layout {
    /// Sequence number of each stream's first byte.
    first: HashMap<Stream, u32>,
    /// Frames of each stream, in order.
    frames: BTreeMap<Stream, Vec<(u64, u64)>>,
    /// Request and replies of each exchange.
    places: BTreeMap<Key, (Place, Vec<Place>)>,
}

/// What a damaged capture came to.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Records that are missing, changed or wrong without an excuse, in words.
    pub faults: Vec<String>,
    /// Records that are as in the whole capture.
    pub intact: usize,
    /// Records that miss bytes of their own.
    pub damaged: usize,
    /// Records that were lost because the next frame was looked for.
    pub lost_to_resync: usize,
}

impl Layout {
    /// Lays out the frames of a capture that has all its bytes.
    #[must_use]
    pub fn new(segments: &[Segment], oracle: &Oracle) -> Self {
        let mut first: HashMap<Stream, u32> = HashMap::new();
        for segment in segments.iter().filter(|segment| segment.has(SYN) || !segment.payload.is_empty()) {
            first.entry(segment.stream()).or_insert(segment.seq.wrapping_add(u32::from(segment.has(SYN))));
        }
        let mut layout = Self { first, frames: BTreeMap::new(), places: BTreeMap::new() };
        let mut placed: HashMap<(Stream, u64), Place> = HashMap::new();
        for frame in &oracle.frames {
            let stream = layout.stream_of(frame);
            let frames = layout.frames.entry(stream).or_default();
            let start = frames.last().map_or(0, |(_, end)| *end);
            frames.push((start, start + frame.len));
            placed.insert((stream, identity(frame)), (stream, start, start + frame.len));
        }
        for (key, exchange) in &oracle.exchanges {
            let place = |frame: &Frame| placed[&(layout.stream_of(frame), identity(frame))];
            let replies = exchange.replies.iter().map(place).collect();
            layout.places.insert(*key, (place(&exchange.request), replies));
        }
        layout
    }

    fn stream_of(&self, frame: &Frame) -> Stream {
        let (client, server) = frame.ports;
        let (source, destination) = if frame.is_request { (client, server) } else { (server, client) };
        let mut streams = self.first.keys().filter(|s| (s.0.port(), s.1.port()) == (source, destination));
        *streams.next().unwrap_or_else(|| panic!("no stream carries {}", frame.fields))
    }

    /// The bytes of each stream that these segments carry, as sorted ranges.
    fn carried(&self, segments: &[Segment]) -> HashMap<Stream, Vec<(u64, u64)>> {
        let mut carried: HashMap<Stream, Vec<(u64, u64)>> = HashMap::new();
        for segment in segments.iter().filter(|segment| !segment.payload.is_empty()) {
            let start = u64::from(segment.seq.wrapping_sub(self.first[&segment.stream()]));
            carried.entry(segment.stream()).or_default().push((start, start + segment.payload.len() as u64));
        }
        carried.values_mut().for_each(|ranges| ranges.sort_unstable());
        carried
    }

    /// Judges the records of a damaged capture, which kept these segments (with payloads as far as they were kept).
    #[must_use]
    pub fn judge(&self, kept: &[Segment], whole: &Records, damaged: &Records) -> Judgement {
        let carried = self.carried(kept);
        let is_hit = |(stream, start, end): &Place| !covers(carried.get(stream), *start, *end);
        let (whole, damaged) = (by_key(whole), by_key(damaged));
        let mut judgement = Judgement::default();
        for (key, record) in &whole {
            let (request, replies) = &self.places[key];
            let now = damaged.get(key);
            if now.is_some_and(|now| is_same(record, now)) {
                judgement.intact += 1;
                continue;
            }
            let hit = (is_hit(request), replies.iter().any(is_hit));
            let is_after = |place: &Place| self.is_after_damage(place, is_hit);
            if hit.0 || hit.1 {
                judgement.damaged += 1;
            } else if is_after(request) || replies.iter().any(is_after) {
                judgement.lost_to_resync += 1;
            } else {
                let now = now.map_or_else(|| "nothing".to_owned(), Value::to_string);
                judgement.faults.push(format!("{key:?} lost nothing, but was {record}\n    and is {now}"));
            }
            judgement.faults.extend(now.and_then(|now| contradiction(record, now, hit)).map(|what| {
                format!("{key:?}: {what} is wrong: was {record}\n    and is {}", now.expect("it contradicts"))
            }));
        }
        let strays = damaged.iter().filter(|(key, _)| !whole.contains_key(*key));
        judgement.faults.extend(strays.map(|(_, record)| format!("a record of nothing: {record}")));
        judgement
    }

    /// Whether one of the frames right before this one in its stream is damaged.
    fn is_after_damage(&self, (stream, start, _): &Place, is_hit: impl Fn(&Place) -> bool) -> bool {
        let frames = &self.frames[stream];
        let index = frames.iter().position(|frame| frame.0 == *start).expect("a frame's place");
        let before = &frames[index.saturating_sub(RESYNC_FRAMES)..index];
        before.iter().any(|(start, end)| is_hit(&(*stream, *start, *end)))
    }
}

/// A frame's identity among those of its stream: where it begins in the capture, and what the decode says of it.
fn identity(frame: &Frame) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    frame.fields.to_string().hash(&mut hasher);
    hasher.finish()
}

fn covers(ranges: Option<&Vec<(u64, u64)>>, start: u64, end: u64) -> bool {
    let mut reached = start;
    for (from, to) in ranges.into_iter().flatten() {
        if *from <= reached {
            reached = reached.max(*to);
        }
    }
    reached >= end
}

fn by_key(records: &Records) -> BTreeMap<Key, Value> {
    let requests = records.parsed().into_iter().filter(|record| record["kind"] != "response");
    requests.filter_map(|record| Some((key(&record)?, record))).collect()
}

/// Whether two records tell the same. Why an answer did not come may be told by packets that carry nothing; and where
/// the packet with a topic's name is missing, its id stands in the name's place.
fn is_same(whole: &Value, now: &Value) -> bool {
    let is_topic_id = now["request"]["resource"].as_str().is_some_and(|resource| resource.len() == 22);
    let strip = |record: &Value| {
        let mut record = record.clone();
        drop(record.as_object_mut().and_then(|fields| fields.remove("reason")));
        if is_topic_id {
            for (part, names) in
                [("request", ["resource", "endpoint"]), ("attributes", ["messaging.destination.name", "kafka.topics"])]
            {
                let fields = record[part].as_object_mut();
                fields.into_iter().for_each(|fields| fields.retain(|name, _| !names.contains(&name.as_str())));
            }
        }
        record
    };
    strip(whole) == strip(now)
}

/// What a record says that is not so, although it says less than it could. `hit` is whether request and replies lost
/// bytes.
fn contradiction(whole: &Value, now: &Value, hit: (bool, bool)) -> Option<&'static str> {
    // Where the command's name is among the bytes that are missing, the wire's own name stands for it.
    let is_unnamed = hit.0 && now["completeness"] == "header";
    for field in ["type", "version", "bytes"] {
        let now = &now["request"][field];
        if !now.is_null() && *now != whole["request"][field] && !(is_unnamed && field == "type") {
            return Some("the request");
        }
    }
    if now["kind"] != "session" {
        return (whole["kind"] == "oneway" && now["kind"] != "oneway" && !hit.0).then_some("the kind");
    }
    if whole["kind"] != "session" {
        return Some("the answer");
    }
    let (was, is) = (&whole["response"], &now["response"]);
    if is["status"] == "ok" && was["status"] != "ok" {
        return Some("a success that nobody saw");
    }
    let is_known = |field: &str| !is[field].is_null() && is[field] != "unknown";
    for field in ["status", "code", "exception"] {
        if is_known(field) && is[field] != was[field] && !hit.1 {
            return Some("the outcome");
        }
    }
    (!hit.1 && is["bytes"] != was["bytes"]).then_some("the answer's size")
}
