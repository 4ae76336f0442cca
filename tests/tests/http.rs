//! HTTP/1: the records of each capture are what tshark decodes of it. `tests/captures/http/drive.py` recorded and decoded
//! them. tshark does not follow what is behind CONNECT on the same connection, and shows no message that is cut.

use std::collections::BTreeMap;

use protap_e2e::artifacts::{Fixture, fixture, fixtures};
use protap_e2e::conversation::dialogue;
use protap_e2e::engine::{self, read_with, shipped_plugins};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::segment::{ACK, RST, Segment, segments, to_file};
use protap_e2e::shape::{by_port, decode, records_by_port};
use protap_plugin::testing::Random;
use serde_json::Value;

#[test]
fn records_are_what_tshark_decodes() {
    let mut report = String::new();
    for fixture in fixtures("http") {
        let outcome = engine::read(fixture.bytes());
        assert_eq!((outcome.errors.len(), outcome.faults("http")), (0, 0), "{}", fixture.name);
        let seen = records_by_port(&outcome);
        for (port, told) in by_port(decode(&fixture, "tshark.jsonl")) {
            let seen = seen.get(&port).map(Vec::as_slice).unwrap_or_default();
            let is_tunnel = told.len() == 1 && told[0]["method"] == "CONNECT" && told[0]["code"] == 200;
            // A server that refuses what is no request at all does not speak HTTP with anybody.
            let is_other = seen.is_empty() && told.iter().all(|told| told["method"].is_null());
            if seen.len() != told.len() && !is_tunnel && !is_other {
                report += &format!("{}, port {port}: {} instead of {}\n", fixture.name, seen.len(), told.len());
            }
            for (seen, told) in seen.iter().zip(&told) {
                report += &difference(&fixture, seen, told);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// What of an exchange is not as tshark has it; of what tshark does not say, nothing is asked.
fn difference(fixture: &Fixture, seen: &Value, told: &Value) -> String {
    let attributes = &seen["attributes"];
    let known = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let mut pairs = vec![
        ("code", known(&told["code"]), known(&seen["response"]["code"])),
        ("method", known(&told["method"]), known(&seen["request"]["type"])),
        ("sent", known(&told["sent"]), known(&attributes["http.request.body.size"])),
    ];
    let empty = |size: Option<String>| size.filter(|size| size != "0");
    if told["code"].is_number() {
        let (received, size) = (known(&told["received"]), known(&attributes["http.response.body.size"]));
        pairs.push(("received", empty(received), empty(size)));
        pairs.push(("interim", empty(known(&told["interim"])), empty(known(&attributes["http1.interim_responses"]))));
    }
    if let Some(uri) = told["uri"].as_str().filter(|_| told["method"] != "CONNECT") {
        let path = uri.strip_prefix("http://").map_or(uri, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
        let path = path.split(['?', ';']).next().unwrap_or_default();
        pairs.push(("path", Some(format!("{path:?}")), known(&attributes["url.path"])));
        pairs.push(("agent", known(&told["agent"]), known(&attributes["user_agent.original"])));
    }
    let is_same = |what: &str, told: &Option<String>, seen: &Option<String>| {
        let seems_folded = what == "agent" && fixture.name == "oddities";
        told == seen || told.is_none() && what != "received" || seems_folded && seen.is_some()
    };
    let is_compressed = fixture.name == "nginx_curl" && told["received"].is_null();
    let differ = pairs.iter().filter(|(what, told, seen)| !is_same(what, told, seen));
    differ
        .filter(|(what, ..)| !(is_compressed && *what == "received"))
        .filter(|(what, ..)| !(*what == "sent" && is_cut_short(seen)))
        .map(|(what, told, seen)| format!("{}: {what} is {seen:?} instead of {told:?}\n", fixture.name))
        .collect()
}

/// Whether a request was answered before its body's size was known, or never had one that all agree upon.
fn is_cut_short(record: &Value) -> bool {
    record["attributes"]["http1.ambiguity"].is_string() || record["request"]["resource"] == "/early"
}

#[test]
fn what_could_be_read_in_two_ways_is_told_and_what_is_cut_is_partial() {
    let told = |name: &str| {
        let records = engine::read(fixture(name).bytes()).records.parsed();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let of = |record: &Value| (text(&record["attributes"]["http1.ambiguity"]), text(&record["completeness"]));
        records.iter().map(of).filter(|(ambiguity, how)| ambiguity != "-" || how != "full").collect::<Vec<_>>()
    };
    let expected = [
        ("several Content-Length that differ", "partial"),
        ("Transfer-Encoding and Content-Length", "full"),
        ("a Transfer-Encoding that does not end in chunked", "partial"),
        ("a Content-Length that is no number", "partial"),
        ("a Transfer-Encoding that does not end in chunked", "partial"),
    ];
    assert_eq!(told("http/oddities"), expected.map(|(ambiguity, how)| (ambiguity.to_owned(), how.to_owned())));
    assert_eq!(told("http/node_streams"), [("-".to_owned(), "partial".to_owned())]);
    for whole in ["http/nginx_curl", "http/nginx_pipelined", "http/python_server", "http/node_upgrade"] {
        assert_eq!(told(whole), [], "{whole}");
    }
}

#[test]
fn behind_an_upgrade_the_flow_is_not_http_and_behind_connect_it_is_what_it_is() {
    let outcome = engine::read(fixture("http/node_upgrade").bytes());
    let records = outcome.records.parsed();
    let of = |path: &str| records.iter().filter(|record| record["request"]["resource"] == path).count();
    // Through the tunnel, and from the proxy to the server.
    assert_eq!((of("/chat"), of("127.0.0.1:8080"), of("/small.txt")), (1, 1, 2));
    assert!(records.iter().all(|record| record["completeness"] == "full"));
}

#[test]
fn no_secret_is_emitted() {
    for fixture in fixtures("http") {
        let text = engine::read(fixture.bytes()).records.text;
        let without_agent = text.replace("secret agent", "");
        assert!(!without_agent.contains("secret"), "{}: {:?}", fixture.name, without_agent.find("secret"));
    }
}

#[test]
fn every_byte_of_a_connection_belongs_to_a_record() {
    for name in ["http/nginx_pipelined", "http/python_server"] {
        let fixture = fixture(name);
        let segments = segments(&Capture::read(&fixture.path));
        let sent: u64 = segments.iter().map(|segment| segment.payload.len() as u64).sum();
        let records = read_with(shipped_plugins(), fixture.bytes(), 1).records.parsed();
        let bytes = |part: &Value| part["bytes"].as_u64().unwrap_or_default();
        let told: u64 = records.iter().map(|record| bytes(&record["request"]) + bytes(&record["response"])).sum();
        assert_eq!(told, sent, "{name}");
    }
}

/// Whatever packets a capture lacks, no response is taken for another one's, and most of the connection is still told.
#[test]
fn lost_packets_cost_records_and_falsify_none() {
    let (mut report, mut kept_records, mut all_records) = (String::new(), 0, 0);
    for fixture in fixtures("http").into_iter().filter(|fixture| fixture.name != "midstream") {
        let all = segments(&Capture::read(&fixture.path));
        let whole = exchanges(&engine::read(fixture.bytes()).records.parsed());
        for seed in 0..24 {
            let mut random = Random::new(seed);
            let percent = [1, 3, 10][seed as usize % 3];
            let is_kept = |segment: &&Segment| segment.payload.is_empty() || random.below(100) >= percent;
            let kept: Vec<Segment> = all.iter().filter(is_kept).cloned().collect();
            let left = exchanges(&engine::read(to_file(&kept, Link::Ethernet)).records.parsed());
            for (exchange, count) in &left {
                if whole.get(exchange).is_none_or(|there| there < count) {
                    report += &format!("{}, seed {seed}: {count} of {exchange}\n", fixture.name);
                }
            }
            kept_records += left.values().sum::<usize>();
            all_records += whole.values().sum::<usize>();
        }
    }
    println!("{kept_records} of {all_records} records are left");
    assert!(kept_records * 4 > all_records * 3, "{kept_records} of {all_records} records are left");
    assert!(report.is_empty(), "false records, as\n{}", report.lines().take(12).collect::<Vec<_>>().join("\n"));
}

/// What was asked and answered, and how often.
fn exchanges(records: &[Value]) -> BTreeMap<String, usize> {
    let mut exchanges = BTreeMap::new();
    for record in records.iter().filter(|record| record["kind"] == "session" && record["completeness"] == "full") {
        let (request, response) = (&record["request"], &record["response"]);
        let asked = (ports(record).0, &request["type"], &request["resource"]);
        let size = &record["attributes"]["http.response.body.size"];
        *exchanges.entry(format!("{asked:?} {} {size}", response["code"])).or_default() += 1;
    }
    exchanges
}

/// Plugins of other protocols wait for more of what they cannot tell yet; that must not keep this one from being asked again.
#[test]
fn a_connection_that_is_caught_within_a_message_is_recognised_beside_other_plugins() {
    let request = b"GET /items/1 HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec();
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec();
    let rounds = (0..10).flat_map(|_| [(true, request.clone()), (false, response.clone())]);
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    let mut segments = dialogue(ends, 1_767_225_600_000_000_000, rounds);
    // The handshake was before, and so were the first bytes of the first request.
    segments.drain(..3);
    segments[0].payload.drain(..5);
    segments[0].seq += 5;
    let outcome = engine::read(to_file(&segments, Link::Ethernet));
    let records = outcome.records.parsed();
    let is_session = |record: &&Value| record["kind"] == "session" && record["protocol"] == "http";
    assert_eq!(records.iter().filter(is_session).count(), 9, "{records:?}");
}

/// Whoever gives up in the middle of an answer: what came of it belongs to the request.
#[test]
fn an_answer_that_a_reset_cuts_off_is_one_record_with_its_request() {
    let request = b"GET /large HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec();
    let response = [&b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"[..], &[b'x'; 1000]].concat();
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    for is_of_client in [true, false] {
        let payloads = [(true, request.clone()), (false, response.clone())];
        let mut segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
        let (fin_of_client, fin_of_server) = (segments.len() - 3, segments.len() - 2);
        let mut reset = segments[if is_of_client { fin_of_client } else { fin_of_server }].clone();
        (reset.flags, reset.at) = (RST | ACK, segments[fin_of_client].at);
        segments.truncate(fin_of_client);
        segments.push(reset);
        let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
        assert_eq!(records.len(), 1, "{records:?}");
        let told = &records[0];
        assert_eq!((&told["kind"], &told["response"]["code"]), (&"session".into(), &200.into()), "{told}");
    }
}

#[test]
fn a_status_above_599_is_a_servers_error() {
    let request = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec();
    let answer = |code: u16| format!("HTTP/1.1 {code} Denied\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    let payloads = [(true, request.clone()), (false, answer(999)), (true, request), (false, answer(200))];
    let segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
    let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
    let told: Vec<_> = records.iter().map(|record| (&record["kind"], &record["response"]["status"])).collect();
    assert_eq!(told, [(&"session".into(), &"server_error".into()), (&"session".into(), &"ok".into())], "{records:?}");
}

/// Requests that were under way when the capture began are not paired with the answers to later ones.
#[test]
fn the_first_answers_of_a_connection_older_than_the_capture_may_be_missing() {
    let request = |n: u16| format!("GET /{n} HTTP/1.1\r\nHost: shop\r\n\r\n").into_bytes();
    let answer = |n: u16| format!("HTTP/1.1 {n} X\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    for lost in 1..8 {
        let rounds = (200..210).flat_map(|n| [(true, request(n)), (false, answer(n))]);
        let mut segments = dialogue(ends, 1_767_225_600_000_000_000, rounds);
        for index in (0..lost).rev() {
            segments.remove(4 + 2 * index);
        }
        // And so is the SYN-ACK.
        segments.remove(1);
        let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
        let sessions: Vec<&Value> = records.iter().filter(|record| record["kind"] == "session").collect();
        assert_eq!(sessions.len(), 10 - lost - 1, "{lost}: {records:?}");
        for session in sessions {
            let code = &session["response"]["code"];
            assert_eq!(session["request"]["resource"], Value::from(format!("/{code}")), "{lost}: {session}");
        }
    }
}

/// A request is there when the last of its bytes has come, which need not be the one at its end.
#[test]
fn latency_begins_when_the_whole_request_is_there() {
    let body = [&b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3000\r\n\r\n"[..], &[b'x'; 3000]].concat();
    let header = [&b"GET / HTTP/1.1\r\nHost: shop\r\nX-Long: "[..], &[b'x'; 3000], b"\r\n\r\n"].concat();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    for request in [body, header] {
        let segments = dialogue(ends, 1_767_225_600_000_000_000, [(true, request.clone()), (false, answer.clone())]);
        let parts = [(0, 1000), (1000, 2000), (2000, request.len())].map(|(from, to)| segments[3].part(from, to));
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut captured = segments.clone();
            captured.splice(3..4, order.map(|part: usize| parts[part].clone()));
            for (index, segment) in captured.iter_mut().enumerate() {
                segment.at = 1_767_225_600_000_000_000 + 10_000_000 * index as u64;
            }
            let records = engine::read(to_file(&captured, Link::Ethernet)).records.parsed();
            assert_eq!(records.len(), 1, "{records:?}");
            assert_eq!(records[0]["latency_ns"], Value::from(10_000_000), "{order:?}: {}", records[0]);
        }
    }
}

/// What takes longer to be sent than an answer may take to begin is answered all the same.
#[test]
fn a_long_upload_does_not_time_out() {
    const SECOND: u64 = 1_000_000_000;
    let sized = b"PUT /sized HTTP/1.1\r\nHost: shop\r\nContent-Length: 20000\r\n\r\n".to_vec();
    let chunked = b"PUT /chunked HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [&b"3e8\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
    let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_vec();
    let ends = (([10, 0, 0, 1], 40_000).into(), ([10, 0, 0, 2], 8080).into());
    for (head, piece, end) in [(sized, vec![b'x'; 1000], vec![]), (chunked, chunk, b"0\r\n\r\n".to_vec())] {
        let mut pieces = vec![piece; 20];
        pieces[19].extend(end);
        let sent: Vec<Vec<u8>> = std::iter::once(head).chain(pieces).collect();
        let payloads = sent.into_iter().map(|bytes| (true, bytes)).chain([(false, answer.clone())]);
        let mut segments = dialogue(ends, 1_767_225_600_000_000_000, payloads);
        for (index, segment) in segments.iter_mut().enumerate() {
            segment.at = 1_767_225_600_000_000_000 + 10 * SECOND * index as u64;
        }
        let records = engine::read(to_file(&segments, Link::Ethernet)).records.parsed();
        assert_eq!(records.len(), 1, "{records:?}");
        let of = |part: &str| records[0][part].clone();
        assert_eq!((of("kind"), of("reason")), (Value::from("session"), Value::Null), "{records:?}");
        let times = (of("latency_ns"), of("duration_ns"));
        assert_eq!(times, (Value::from(10 * SECOND), Value::from(210 * SECOND)), "{records:?}");
    }
}
