//! A protocol of multiplexed streams, whose messages are built over several calls (HTTP/2, gRPC): the records of recorded
//! connections against what tshark decodes of their frames and what the clients said.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use protap::plugin::PluginSet;
use protap_e2e::artifacts::{Fixture, fixture, fixtures, plugin, test_plugin};
use protap_e2e::engine::{Outcome, load, read_with};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::rewritten::{differences, oracle};
use protap_e2e::segment::{Segment, segments, to_file};
use serde_json::{Value, json};

/// The servers of the captures.
const SERVERS: [u64; 4] = [8081, 8082, 8083, 50051];
const DATA: u64 = 0;
const RST_STREAM: u64 = 3;
const PUSH_PROMISE: u64 = 5;
const GOAWAY: u64 = 7;
const END_STREAM: u64 = 1;
const PADDED: u64 = 8;

fn plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| {
        let names = [plugin("kafka"), plugin("mongodb"), test_plugin("http2"), test_plugin("mqtt")];
        load(names.iter().map(AsRef::as_ref))
    })
}

fn outcome(fixture: &Fixture) -> Outcome {
    let outcome = read_with(plugins(), fixture.bytes(), 1);
    assert_eq!((outcome.faults("http2"), outcome.loss("malformed")), (0, 0), "{}", fixture.name);
    outcome
}

/// One stream, as tshark's frames tell of it.
#[derive(Debug, Default)]
struct Stream {
    method: String,
    path: Option<String>,
    authority: Option<String>,
    is_grpc: bool,
    is_pushed: bool,
    status: Option<u64>,
    grpc_status: Option<u64>,
    /// Ended, by the frame of that number.
    request_ended: Option<usize>,
    response_ended: Option<usize>,
    /// The side that reset it before it was answered: whether that is the server, and the code.
    reset: Option<(bool, u64)>,
    /// Bytes of frames, and of bodies, from the client and from the server.
    frames: [u64; 2],
    bodies: [u64; 2],
}

type Streams = BTreeMap<(u64, u64), Stream>;

/// The streams by client port and id, and how many GOAWAYs there are.
fn streams(frames: &[Value]) -> (Streams, usize) {
    let mut streams = Streams::new();
    let mut farewells = 0;
    for (at, frame) in frames.iter().enumerate() {
        let field = |name: &str| frame[name].as_u64();
        let (from, to) = (field("from").expect("a port"), field("to").expect("a port"));
        let is_server = SERVERS.contains(&from);
        let client = if is_server { to } else { from };
        let (kind, flags) = (field("type").expect("a type"), field("flags").expect("flags"));
        let length = field("length").expect("a length");
        farewells += usize::from(kind == GOAWAY);
        if field("stream") == Some(0) || !matches!(kind, 0 | 1 | RST_STREAM | PUSH_PROMISE | 9) {
            continue;
        }
        let id = if kind == PUSH_PROMISE { field("promised") } else { field("stream") }.expect("an id");
        let stream = streams.entry((client, id)).or_default();
        stream.is_pushed |= kind == PUSH_PROMISE;
        if stream.reset.is_some() {
            // What was on its way is ignored by who reset the stream.
            continue;
        }
        if kind == RST_STREAM {
            if stream.response_ended.is_none() {
                stream.reset = Some((is_server, field("error").expect("an error code")));
            }
            continue;
        }
        stream.frames[usize::from(is_server)] += length + 9;
        headers(stream, &frame["headers"]);
        if kind == DATA {
            let padding = if flags & PADDED != 0 { 1 + field("padding").unwrap_or(0) } else { 0 };
            stream.bodies[usize::from(is_server)] += length - padding;
        }
        if flags & END_STREAM != 0 && kind <= 1 {
            let ended = if is_server { &mut stream.response_ended } else { &mut stream.request_ended };
            *ended = ended.or(Some(at));
        }
    }
    (streams, farewells)
}

fn headers(stream: &mut Stream, headers: &Value) {
    let text = |name: &str| headers[name].as_str().map(str::to_owned);
    stream.method = text(":method").unwrap_or(std::mem::take(&mut stream.method));
    stream.path = text(":path").map(|path| path.split('?').next().expect("a part").to_owned()).or(stream.path.take());
    stream.authority = text(":authority").or(stream.authority.take());
    stream.is_grpc |= text("content-type").is_some_and(|value| value.starts_with("application/grpc"));
    stream.status = text(":status").and_then(|value| value.parse().ok()).or(stream.status);
    stream.grpc_status = text("grpc-status").and_then(|value| value.parse().ok()).or(stream.grpc_status);
}

impl Stream {
    /// What the record has to say.
    fn expected(&self) -> Value {
        let (kind, status) = match self.reset {
            _ if self.is_pushed => ("oneway", Value::Null),
            // Withdrawn by the client, before or amid the response.
            Some((false, _)) if self.status.is_none() => ("request", json!("unknown")),
            Some((false, _)) => ("session", json!("unknown")),
            Some((true, _)) => ("session", json!("server_error")),
            None => ("session", json!(self.status_name())),
        };
        let code = if kind == "session" { self.grpc_status.or(self.status) } else { None };
        json!({"type": self.method, "resource": self.path, "domain": self.authority, "kind": kind, "status": status, "code": code})
    }

    fn status_name(&self) -> &'static str {
        match (self.grpc_status, self.status) {
            (Some(0), _) => "ok",
            (Some(4), _) => "timeout",
            (Some(2 | 12..=15), _) => "server_error",
            (Some(_), _) => "client_error",
            (None, Some(100..=399)) => "ok",
            (None, Some(400..=499)) => "client_error",
            (None, _) => "server_error",
        }
    }
}

fn said(record: &Value) -> Value {
    let (request, response) = (&record["request"], &record["response"]);
    json!({
        "type": request["type"], "resource": request["resource"], "domain": request["domain"], "kind": record["kind"],
        "status": response["status"], "code": response["code"],
    })
}

/// Records by client port and stream, without those of GOAWAY, of which there are so many.
fn by_stream(records: &[Value]) -> (BTreeMap<(u64, u64), Value>, usize) {
    let mut found = BTreeMap::new();
    let mut farewells = 0;
    for record in records {
        let Some(id) = record["request"]["id"].as_u64() else {
            assert_eq!(record["request"]["type"], "GOAWAY", "{record}");
            farewells += 1;
            continue;
        };
        let before = found.insert((u64::from(ports(record).0), id), record.clone());
        assert!(before.is_none(), "two records: {record} {before:?}");
    }
    (found, farewells)
}

#[test]
fn there_is_one_record_for_each_stream() {
    for fixture in fixtures("http2") {
        let (found, farewells) = by_stream(&outcome(&fixture).records.parsed());
        let (streams, expected_farewells) = streams(&oracle(&fixture, "frames.jsonl.gz"));
        assert_eq!(farewells, expected_farewells, "{}", fixture.name);
        assert!(found.keys().eq(streams.keys()), "{}: {:?} {:?}", fixture.name, found.keys(), streams.keys());
        for (key, stream) in &streams {
            let mut expected = stream.expected();
            if stream.method.is_empty() {
                // The request of an upgrade is in HTTP/1.1, of which this decode has nothing.
                assert!(fixture.name == "upgrade" && key.1 == 1, "{}: {key:?}", fixture.name);
                let path = if stream.status == Some(404) { "/none" } else { "/first" };
                expected["type"] = json!("GET");
                expected["resource"] = json!(path);
                expected["domain"] = json!("127.0.0.1:8083");
            }
            assert_eq!(said(&found[key]), expected, "{} {key:?}: {}", fixture.name, found[key]);
        }
    }
}

#[test]
fn a_message_has_the_bytes_of_its_own_frames() {
    let mut checked = 0;
    for fixture in fixtures("http2") {
        let (found, _) = by_stream(&outcome(&fixture).records.parsed());
        for (key, stream) in streams(&oracle(&fixture, "frames.jsonl.gz")).0 {
            let is_usual = stream.request_ended.is_some() && stream.request_ended < stream.response_ended;
            if !is_usual || stream.reset.is_some() || stream.method.is_empty() {
                continue;
            }
            let record = &found[&key];
            assert_eq!(record["request"]["bytes"], stream.frames[0], "{} {key:?}: {record}", fixture.name);
            assert_eq!(record["response"]["bytes"], stream.frames[1], "{} {key:?}: {record}", fixture.name);
            let attributes = &record["attributes"];
            assert_eq!(attributes["http.response.body.size"], stream.bodies[1], "{record}");
            assert!(
                attributes["http.request.body.size"].is_null()
                    || attributes["http.request.body.size"] == stream.bodies[0]
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} streams were like that");
}

#[test]
fn the_records_agree_with_what_curl_and_nghttp_said() {
    let fixture = fixture("http2/nginx");
    let records = outcome(&fixture).records.parsed();
    for said in oracle(&fixture, "log.jsonl.gz") {
        let is_found = if said["client"] == "curl" {
            let path =
                said["url"].as_str().and_then(|url| url.split("8081").nth(1)?.split('?').next()).expect("a path");
            let is_answered = said["code"] != 0;
            records.iter().any(|record| {
                let (request, attributes) = (&record["request"], &record["attributes"]);
                request["resource"] == path
                    && request["type"] == said["method"]
                    && (!is_answered || record["response"]["code"] == said["code"])
                    && (!is_answered
                        || said["received"] == 0
                        || attributes["http.response.body.size"] == said["received"])
            })
        } else {
            let word = |at: usize| said["line"][at].as_str().expect("a word");
            let path = said["line"].as_array().and_then(|line| line.last()?.as_str()).expect("a path");
            records.iter().any(|record| {
                record["request"]["id"].to_string() == word(0)
                    && record["request"]["resource"] == path
                    && record["attributes"]["http.response.status_code"] == 200
            }) || word(0) == "2"
        };
        assert!(is_found, "{said}");
    }
}

#[test]
fn the_records_agree_with_what_grpc_said() {
    let fixture = fixture("http2/grpc");
    let mut calls: HashMap<(String, Option<u64>), i32> = HashMap::new();
    // Of a call that the client itself gave up (1: cancelled, 4: out of time) no status needs to be sent.
    let sent = |code: &Value| code.as_u64().filter(|code| !matches!(code, 1 | 4));
    for said in oracle(&fixture, "log.jsonl.gz") {
        *calls.entry((said["path"].as_str().expect("a path").to_owned(), sent(&said["code"]))).or_default() += 1;
    }
    let records = outcome(&fixture).records.parsed();
    for record in records.iter().filter(|record| record["request"]["type"] == "POST") {
        let code = sent(&record["attributes"]["rpc.grpc.status_code"]);
        let path = record["request"]["resource"].as_str().expect("a path").to_owned();
        *calls.entry((path, code)).or_default() -= 1;
        assert_eq!(record["attributes"]["rpc.system"], "grpc");
    }
    assert!(calls.values().all(|count| *count == 0), "{calls:?}");
    assert!(!format!("{records:?}").contains("secret"));
}

#[test]
fn streams_overlap_and_are_told_apart() {
    // The body of the upload is sent in pieces, between which other streams begin and end; so are three responses.
    let records = outcome(&fixture("http2/rare")).records.parsed();
    let of =
        |path: &str| records.iter().find(|r| r["request"]["resource"] == path).unwrap_or_else(|| panic!("no {path}"));
    assert_eq!(of("/upload")["attributes"]["http.request.body.size"], 1200);
    assert_eq!(of("/between/1")["response"]["status"], "ok");
    for path in ["/mixed/a", "/mixed/b", "/mixed/c"] {
        assert_eq!(of(path)["attributes"]["http.response.body.size"], 1500, "{path}");
    }
    assert_eq!((&of("/silent")["kind"], &of("/silent")["reason"]), (&json!("request"), &json!("cancelled")));
    assert_eq!(of("/reset")["response"]["exception"], "INTERNAL_ERROR");
    assert_eq!(of("/refused")["response"]["exception"], "REFUSED_STREAM");
    assert_eq!(of("/early")["response"]["code"], 413);
}

#[test]
fn cutting_shuffling_and_repeating_change_nothing() {
    let report: String = fixtures("http2").iter().map(|fixture| differences(plugins(), fixture)).collect();
    assert!(report.is_empty(), "{report}");
}

/// What is wrong with the records of a part of a capture: they may say less than those of the whole, and nothing else.
fn made_up(whole: &BTreeMap<(u64, u64), Value>, records: &[Value]) -> Option<String> {
    for record in records {
        let Some(id) = record["request"]["id"].as_u64() else { continue };
        // Who is the client is not told by every part.
        let (a, b) = ports(record);
        let client = if SERVERS.contains(&a.into()) { b } else { a };
        let Some(was) = whole.get(&(client.into(), id)).map(said) else { return Some(record.to_string()) };
        if was["kind"] == "request" {
            // It was withdrawn: without that, its answer counts.
            continue;
        }
        let is = said(record);
        let is_full = record["completeness"] == "full" && record["kind"] != "request";
        for field in ["type", "resource", "domain", "status", "code"] {
            // Where nobody knows that it is gRPC, the code is HTTP's.
            let is_http = field == "code" && is[field] == record["attributes"]["http.response.status_code"];
            let is_left_out = is[field].is_null() || is[field] == "unknown" || is_http;
            if is[field] != was[field] && (is_full || !is_left_out) {
                return Some(format!("{record} was {was}"));
            }
        }
    }
    None
}

/// Without the beginning of the connection, the header tables are not known: what refers to them is left out, and what
/// is said is right.
#[test]
fn the_middle_of_connections_is_read_as_far_as_it_can_be() {
    for name in ["http2/grpc", "http2/rare", "http2/nginx"] {
        let fixture = fixture(name);
        let (whole, _) = by_stream(&outcome(&fixture).records.parsed());
        let segments = segments(&Capture::read(&fixture.path));
        for part in 1..8 {
            let file = to_file(&segments[segments.len() * part / 8..], Link::Ethernet);
            let records = read_with(plugins(), file, 1).records.parsed();
            assert_eq!(made_up(&whole, &records), None, "{name}, from {part}/8 on");
        }
    }
}

#[test]
fn packets_that_are_lost_cost_what_they_held_and_falsify_nothing() {
    for name in ["http2/grpc", "http2/rare", "http2/nginx"] {
        let fixture = fixture(name);
        let (whole, _) = by_stream(&outcome(&fixture).records.parsed());
        let segments = segments(&Capture::read(&fixture.path));
        let with_data =
            |n: usize| segments.iter().enumerate().filter(|(_, s)| !s.payload.is_empty()).nth(n).map(|(at, _)| at);
        let mut answered = 0;
        for lost in (1..).map_while(with_data) {
            let kept: Vec<_> =
                segments.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, s)| s.clone()).collect();
            let outcome = read_with(plugins(), to_file(&kept, Link::Ethernet), 1);
            let records = outcome.records.parsed();
            assert_eq!((outcome.faults("http2"), made_up(&whole, &records)), (0, None), "{name} without packet {lost}");
            let sessions = records.iter().filter(|record| record["kind"] == "session").count();
            answered += usize::from(sessions * 2 > whole.len());
        }
        assert!(answered > 10, "{name}: in only {answered} cases most requests had their answers");
    }
}

/// Other protocols, whole and from their middle, in one direction and in both.
#[test]
fn nothing_of_other_protocols_is_claimed() {
    let ours = load([test_plugin("http2"), test_plugin("mqtt")].iter().map(AsRef::as_ref));
    let is_pcap = |fixture: &Fixture| !fixture.path.to_string_lossy().contains(".pcapng");
    for fixture in ["kafka", "mongodb", "variants"].iter().flat_map(|protocol| fixtures(protocol)).filter(is_pcap) {
        let segments = segments(&Capture::read(&fixture.path));
        let port = segments.first().map_or(0, |segment| segment.destination.port());
        for part in 0..3 {
            let rest = &segments[segments.len() * part / 3..];
            for one in [None, Some(true), Some(false)] {
                let is_kept =
                    |segment: &&Segment| one.is_none_or(|is_up| (segment.destination.port() == port) == is_up);
                let kept: Vec<_> = rest.iter().filter(is_kept).cloned().collect();
                let outcome = read_with(&ours, to_file(&kept, Link::Ethernet), 1);
                assert!(
                    outcome.records.is_empty(),
                    "{} {part}/3 {one:?}: {:?}",
                    fixture.name,
                    outcome.records.parsed().first()
                );
            }
        }
    }
}
