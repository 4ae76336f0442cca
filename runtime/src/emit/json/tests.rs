//! The JSON lines against the design's example, and against a second way to build them.

use proptest::prelude::{ProptestConfig, proptest};
use serde_json::{Map, Value as Json, json};

use crate::emit::samples::{any_record, endpoint, failed_fetch, plain, produce, unanswered};
use crate::emit::{FactTable, JsonSink, Sink};
use crate::packet::Transport;
use crate::record::{Completeness, Content, Part, Place, Record, RecordKind, Status, Text, Value};

fn line(record: &Record) -> String {
    let (mut out, mut facts) = (Vec::new(), FactTable::default());
    facts.learn(&record.plugin, 0, "known", "seen \"elsewhere\"");
    let mut sink = JsonSink::new(&mut out, "pcap");
    sink.record(record, &mut facts).unwrap();
    sink.flush().unwrap();
    drop(sink);
    assert_eq!(out.pop(), Some(b'\n'));
    String::from_utf8(out).unwrap()
}

/// A line with its parts on lines of their own, as the design prints it.
fn broken(record: &Record) -> String {
    let mut text = line(record);
    for key in ["flow", "request", "response", "latency_ns", "completeness", "attributes", "capture"] {
        text = text.replace(&format!(",\"{key}\":"), &format!(",\n \"{key}\":"));
    }
    text
}

#[test]
fn session_is_written_as_the_design_says() {
    insta::assert_snapshot!(broken(&produce()), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"session","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"10.0.0.1:51514","server":"10.0.0.2:9092"},
     "request":{"type":"Produce","version":"9","resource":"orders","endpoint":"orders","id":42,"bytes":1234},
     "response":{"status":"ok","code":0,"bytes":60,"count":1},
     "latency_ns":812345,"duration_ns":901234,
     "completeness":"full",
     "attributes":{"messaging.system":"kafka","messaging.destination.name":"orders"},
     "capture":"pcap"}
    "#);
}

#[test]
fn request_without_response_says_how_it_ended() {
    insta::assert_snapshot!(broken(&unanswered("timeout")), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"request","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"10.0.0.1:51514","server":"10.0.0.2:9092"},
     "request":{"type":"Produce","version":"9","resource":"orders","endpoint":"orders","id":42,"bytes":1234},
     "response":{"status":"timeout"},"reason":"timeout",
     "completeness":"full",
     "attributes":{"messaging.system":"kafka","messaging.destination.name":"orders"},
     "capture":"pcap"}
    "#);
    insta::assert_snapshot!(broken(&unanswered("closed")), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"request","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"10.0.0.1:51514","server":"10.0.0.2:9092"},
     "request":{"type":"Produce","version":"9","resource":"orders","endpoint":"orders","id":42,"bytes":1234},
     "response":{"status":"unknown"},"reason":"closed",
     "completeness":"full",
     "attributes":{"messaging.system":"kafka","messaging.destination.name":"orders"},
     "capture":"pcap"}
    "#);
}

#[test]
fn failed_response_over_ipv6_has_every_optional_key() {
    insta::assert_snapshot!(broken(&failed_fetch()), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"session","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"[2001:db8:85a3::8a2e:370:7334]:51514","server":"[::1]:9092"},
     "request":{"type":"Fetch","version":"9","resource":"AAAA-1","endpoint":"orders","id":42,"bytes":1234},
     "response":{"status":"server_error","code":6,"exception":"NOT_LEADER_OR_FOLLOWER","bytes":1048576,"count":10},
     "latency_ns":500123456,"duration_ns":901234,"long_poll":true,"late":true,
     "completeness":"partial","completeness_reason":"truncated",
     "attributes":{"messaging.system":"kafka","messaging.destination.name":"orders"},
     "capture":"pcap"}
    "#);
}

#[test]
fn one_way_message_from_the_server_has_no_response() {
    let mut record = Record { kind: RecordKind::OneWay, is_from_server: true, response: None, ..produce() };
    record.request.as_mut().unwrap().content.attributes.clear();
    insta::assert_snapshot!(broken(&record), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"oneway","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"10.0.0.1:51514","server":"10.0.0.2:9092"},"from":"server",
     "request":{"type":"Produce","version":"9","resource":"orders","endpoint":"orders","id":42,"bytes":1234},
     "latency_ns":812345,"duration_ns":901234,
     "completeness":"full",
     "capture":"pcap"}
    "#);
}

#[test]
fn response_without_request_stands_alone() {
    let record = Record { kind: RecordKind::Response, request: None, latency_ns: None, ..produce() };
    insta::assert_snapshot!(broken(&record), @r#"
    {"ts":"2026-11-22T12:00:00.123456789Z","schema":0,"protocol":"kafka","kind":"response","plugin":"kafka 0.1.0",
     "flow":{"transport":"tcp","client":"10.0.0.1:51514","server":"10.0.0.2:9092"},
     "response":{"status":"ok","code":0,"bytes":60,"count":1},"duration_ns":901234,
     "completeness":"full",
     "capture":"pcap"}
    "#);
}

#[test]
fn a_domain_that_only_the_response_knows_is_the_request_s() {
    let mut record = produce();
    let put = |part: &mut Option<Part>, domain| {
        let content = &mut part.as_mut().unwrap().content;
        content.domain = Some(content.put(domain));
    };
    put(&mut record.response, "3");
    assert!(line(&record).contains(r#""request":{"type":"Produce","version":"9","domain":"3","#));
    put(&mut record.request, "0");
    assert!(line(&record).contains(r#""domain":"0""#) && !line(&record).contains(r#""domain":"3""#));
}

#[test]
fn attributes_are_merged_at_the_request_s_place() {
    let mut record = produce();
    let content = &mut record.request.as_mut().unwrap().content;
    let system = Value::Str(plain(content, "kafka"));
    content.attributes = vec![(2, Value::I64(1)), (99, Value::Bool(true)), (0, system), (3, Value::F64(f64::NAN))];
    let content = &mut record.response.as_mut().unwrap().content;
    content.lists = vec![plain(content, "a"), Text::Ref(0, content.put("known"))];
    content.attributes = vec![(4, Value::List(Place::between(0, 2))), (2, Value::I64(i64::MIN))];
    let text = line(&record);
    let (_, attributes) = text.split_once("\"attributes\":").unwrap();
    insta::assert_snapshot!(attributes, @r#"{"messaging.batch.message_count":"-9223372036854775808","messaging.system":"kafka","ratio":null,"topics":["a","seen \"elsewhere\""]},"capture":"pcap"}"#);
}

#[test]
fn merging_leaves_nothing_behind_for_the_next_record() {
    let (mut out, mut facts) = (Vec::new(), FactTable::default());
    let mut sink = JsonSink::new(&mut out, "pcap");
    for record in [produce(), failed_fetch(), produce()] {
        sink.record(&record, &mut facts).unwrap();
    }
    sink.flush().unwrap();
    drop(sink);
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], lines[2]);
}

#[test]
fn error_of_the_output_reaches_the_caller() {
    let mut full = [0_u8; 16];
    let mut sink = JsonSink::new(full.as_mut_slice(), "pcap");
    sink.record(&produce(), &mut FactTable::default()).unwrap();
    assert_eq!(sink.flush().unwrap_err().kind(), std::io::ErrorKind::WriteZero);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_record_reads_back_as_what_it_is(record in any_record()) {
        let text = line(&record);
        assert!(!text.contains(char::is_control));
        let mut read: Json = serde_json::from_str(&text).unwrap();
        // The calendar has tests of its own.
        read.as_object_mut().unwrap().remove("ts");
        assert_eq!(read, expected(&record));
    }
}

/// The record as a tree, built without any of the sink's code.
fn expected(record: &Record) -> Json {
    let parts: Vec<&Part> = [&record.request, &record.response].into_iter().flatten().collect();
    let worst = parts.iter().map(|part| part.content.completeness).max().unwrap_or_default();
    let reason =
        parts.iter().find(|part| part.content.completeness == worst).and_then(|p| p.content.said(p.content.reason));
    let (asked, answered) = match record.kind {
        RecordKind::OneWay => (record.request.as_ref().or(record.response.as_ref()), None),
        RecordKind::Request => (record.request.as_ref(), None),
        _ => (record.request.as_ref(), record.response.as_ref()),
    };
    let flow = &record.flow;
    let transport = if flow.transport == Transport::Tcp { "tcp" } else { "udp" };
    let protocol = if record.protocol == 0 { "kafka" } else { record.plugin.name.as_str() };
    let kind = ["session", "request", "response", "oneway"][record.kind as usize];
    let ends = [flow.client, flow.server].map(|end| std::net::SocketAddr::new(end.ip, end.port).to_string());
    let completeness = ["full", "partial", "header"][worst as usize];
    let all = json!({
        "schema": 0,
        "protocol": protocol,
        "kind": kind,
        "plugin": "kafka 0.1.0",
        "flow": {"transport": transport, "client": ends[0], "server": ends[1]},
        "from": record.is_from_server.then_some("server"),
        "request": asked.map(|asked| expected_request(asked, answered)),
        "response": expected_response(record, answered),
        "latency_ns": record.latency_ns.map(exact),
        "duration_ns": record.duration_ns.map(exact),
        "long_poll": asked.filter(|part| part.content.is_long_poll).map(|_| true),
        "late": record.is_late.then_some(true),
        "reason": record.reason,
        "completeness": completeness,
        "completeness_reason": reason.filter(|_| worst != Completeness::Full),
        "capture": "pcap",
    });
    present(all, expected_attributes(&parts, record))
}

fn expected_request(part: &Part, answered: Option<&Part>) -> Json {
    let mut content = part.content.clone();
    let answered = answered.and_then(|answered| answered.content.said(answered.content.domain));
    content.domain = content.domain.or_else(|| Some(content.put(answered?)));
    let mut all = expected_what(&content);
    all.insert("bytes".into(), exact(part.bytes));
    all.into()
}

fn expected_what(content: &Content) -> Map<String, Json> {
    let all = json!({
        "type": content.said(content.type_name), "version": content.said(content.version),
        "domain": content.said(content.domain),
        "resource": content.resource.map(|text| known(content, text)),
        "endpoint": content.endpoint.map(|text| known(content, text)),
        "id": content.id.map(exact),
    });
    present(all, None).as_object().cloned().unwrap_or_default()
}

fn expected_response(record: &Record, answered: Option<&Part>) -> Option<Json> {
    let status = match (record.kind, answered) {
        (RecordKind::OneWay, _) => return None,
        (_, Some(part)) => part.content.status,
        (_, None) if record.request.is_none() => return None,
        (RecordKind::Request, None) if record.reason == Some("timeout") => Status::Timeout,
        (_, None) => Status::Unknown,
    };
    let name = ["unknown", "ok", "client_error", "server_error", "timeout"][status as usize];
    let Some(part) = answered else { return Some(json!({ "status": name })) };
    let content = &part.content;
    let code = content.code.map(expected_integer);
    let all = json!({
        "status": name, "code": code, "exception": content.said(content.exception), "result": content.said(content.result),
        "bytes": exact(part.bytes), "count": part.count,
    });
    let Json::Object(mut all) = present(all, None) else { panic!("an object") };
    if record.request.is_none() {
        all.extend(expected_what(content));
    }
    Some(all.into())
}

fn expected_attributes(parts: &[&Part], record: &Record) -> Option<(String, Json)> {
    let mut attributes = Map::new();
    let contents = parts.iter().map(|part| &part.content);
    for (content, (index, value)) in
        contents.flat_map(|content| content.attributes.iter().map(move |said| (content, *said)))
    {
        let Some(name) = record.plugin.attributes.get(usize::from(index)) else { continue };
        let value = match value {
            Value::Str(text) => known(content, text),
            Value::I64(value) => expected_integer(value),
            Value::F64(value) => json!(value),
            Value::Bool(value) => json!(value),
            Value::List(list) => content.list(list).iter().map(|text| known(content, *text)).collect(),
        };
        attributes.insert(name.clone(), value);
    }
    (!attributes.is_empty()).then(|| ("attributes".into(), attributes.into()))
}

/// Without what is absent, but with `more`.
fn present(all: Json, more: Option<(String, Json)>) -> Json {
    let Json::Object(all) = all else { panic!("an object") };
    all.into_iter().filter(|(_, value)| !value.is_null()).chain(more).collect()
}

fn known(content: &Content, text: Text) -> Json {
    match (text, content.text(text.place())) {
        (Text::Ref(0, _), "known") => json!("seen \"elsewhere\""),
        (_, text) => json!(text),
    }
}

fn exact(value: u64) -> Json {
    if value <= 1 << 53 { json!(value) } else { json!(value.to_string()) }
}

fn expected_integer(value: i64) -> Json {
    if value.unsigned_abs() <= 1 << 53 { json!(value) } else { json!(value.to_string()) }
}

#[test]
fn mapped_addresses_stay_ipv6() {
    let mut record = produce();
    record.flow.client = endpoint("::ffff:10.0.0.1", 1);
    assert!(line(&record).contains("\"client\":\"[::ffff:10.0.0.1]:1\""));
}
