//! A protocol of multiplexed streams, whose messages are built over several calls (HTTP/2, gRPC): the records of recorded
//! connections against what tshark decodes of their frames and what the clients said.

mod loss;
mod streams;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use protap::plugin::PluginSet;
use protap_e2e::artifacts::{Fixture, fixture, fixtures, plugin, test_plugin};
use protap_e2e::engine::{Outcome, load, read_with};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::segment::{Segment, segments, to_file};
use protap_e2e::shape::{decode, differences};
use serde_json::{Value, json};

use self::streams::streams;

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
        let (streams, expected_farewells) = streams(&decode(&fixture, "frames.jsonl.gz"));
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
        for (key, stream) in streams(&decode(&fixture, "frames.jsonl.gz")).0 {
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
    for said in decode(&fixture, "log.jsonl.gz") {
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
                record["request"]["id"].as_u64() == word(0).parse().ok()
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
    for said in decode(&fixture, "log.jsonl.gz") {
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
