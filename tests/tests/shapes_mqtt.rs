//! A protocol in which both ends ask, under identifiers that collide (MQTT): the records of recorded connections against
//! what tshark decodes of them and what the clients said.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use protap::plugin::PluginSet;
use protap_e2e::artifacts::{Fixture, fixture, fixtures, plugin, test_plugin};
use protap_e2e::engine::{Outcome, load, read_with};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::ports;
use protap_e2e::segment::{segments, to_file};
use protap_e2e::shape::{decode, differences};
use serde_json::{Value, json};

const BROKER: u64 = 1883;

fn plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| load([plugin("kafka"), plugin("mongodb"), test_plugin("mqtt")].iter().map(AsRef::as_ref)))
}

fn outcome(fixture: &Fixture) -> Outcome {
    let outcome = read_with(plugins(), fixture.bytes(), 1);
    assert_eq!((outcome.faults("mqtt"), outcome.loss("malformed")), (0, 0), "{}", fixture.name);
    outcome
}

/// What a record has to say: client port, whether the broker asked, type, identifier, topic, quality of service, kind,
/// code, number of replies.
type Line = (u64, bool, String, Option<u64>, Option<String>, Option<u64>, String, Option<u64>, u64);

fn text(packet: &Value, field: &str) -> Option<String> {
    packet[field][0].as_str().map(str::to_owned)
}

fn number(packet: &Value, field: &str) -> Option<u64> {
    let text = text(packet, field)?;
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
}

/// The worst of the packet's codes.
fn code(packet: &Value) -> Option<u64> {
    let codes = packet["code"].as_array()?;
    codes.iter().filter_map(|code| code.as_str()?.parse().ok()).max()
}

fn name(kind: u64) -> &'static str {
    [
        "",
        "CONNECT",
        "",
        "PUBLISH",
        "",
        "",
        "",
        "",
        "SUBSCRIBE",
        "",
        "UNSUBSCRIBE",
        "",
        "PINGREQ",
        "",
        "DISCONNECT",
        "AUTH",
    ][kind as usize]
}

/// The records that follow from tshark's packets, paired by what the standard says of each type.
fn expected(packets: &[Value]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut version: HashMap<u64, u64> = HashMap::new();
    // By client port, whether the broker asked, and identifier or, without one, type.
    let mut waiting: HashMap<(u64, bool, u64), usize> = HashMap::new();
    for packet in packets {
        let (from, to) = (packet["from"].as_u64().expect("a port"), packet["to"].as_u64().expect("a port"));
        let (client, is_from_broker) = if from == BROKER { (to, true) } else { (from, false) };
        let kind = number(packet, "type").expect("a type");
        let (id, qos) = (number(packet, "id"), number(packet, "qos"));
        if let (1, Some(spoken)) = (kind, number(packet, "version")) {
            version.insert(client, spoken);
        }
        let is_request = matches!(kind, 1 | 3 | 8 | 10 | 12 | 14 | 15);
        if is_request {
            let is_answered = !matches!(kind, 14 | 15) && qos != Some(0);
            let word = if is_answered { "request" } else { "oneway" };
            let topics = packet["topic"].as_array().map_or(0, Vec::len);
            let topic = if topics == 1 { text(packet, "topic") } else { None };
            let id = if kind == 3 && qos == Some(0) { None } else { id };
            let line = (client, is_from_broker, name(kind).to_owned(), id, topic, qos, word.to_owned(), None, 0);
            lines.push(line);
            if is_answered {
                waiting.insert((client, is_from_broker, id.unwrap_or(1 << 20 | kind)), lines.len() - 1);
            }
        } else if kind != 6 {
            // CONNACK and PINGRESP answer by their type, all others by identifier.
            let asked = id.unwrap_or(1 << 20 | (kind - 1));
            let line = waiting.get(&(client, !is_from_broker, asked)).map(|at| &mut lines[*at]);
            let line = line.unwrap_or_else(|| panic!("{packet} answers nothing"));
            line.6 = "session".to_owned();
            line.8 += 1;
            let success = if version[&client] == 5 && matches!(kind, 4 | 5 | 7) { Some(0) } else { None };
            line.7 = line.7.or(number(packet, "conack")).or(code(packet)).or(success);
        }
    }
    lines.sort();
    lines
}

fn found(outcome: &Outcome) -> Vec<Line> {
    let mut lines: Vec<Line> = outcome.records.parsed().iter().map(line).collect();
    lines.sort();
    lines
}

fn line(record: &Value) -> Line {
    let (request, response) = (&record["request"], &record["response"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (
        u64::from(ports(record).0),
        record["from"] == "server",
        text(&request["type"]).expect("a type"),
        request["id"].as_u64(),
        text(&request["resource"]),
        record["attributes"]["mqtt.qos"].as_u64(),
        text(&record["kind"]).expect("a kind"),
        response["code"].as_u64(),
        response["count"].as_u64().unwrap_or(0),
    )
}

#[test]
fn there_is_one_record_for_each_request_of_either_end() {
    for fixture in fixtures("mqtt") {
        let outcome = outcome(&fixture);
        let expected = expected(&decode(&fixture, "packets.jsonl.gz"));
        let found = found(&outcome);
        let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
        let extra: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{}: missing {missing:#?} extra {extra:#?}", fixture.name);
        assert_eq!(found.len(), expected.len(), "{}", fixture.name);
        let is_full = outcome.records.parsed().iter().all(|record| record["completeness"] == "full");
        assert!(is_full, "{}", fixture.name);
    }
}

#[test]
fn both_ends_have_requests_with_the_same_identifier_in_flight() {
    for name in ["mqtt/both_sides_v311", "mqtt/both_sides_v5"] {
        let mut sides: BTreeMap<(u16, u64), [usize; 2]> = BTreeMap::new();
        for record in outcome(&fixture(name)).records.parsed() {
            if let (Some(id), "PUBLISH") =
                (record["request"]["id"].as_u64(), record["request"]["type"].as_str().unwrap())
            {
                assert_eq!((&record["kind"], &record["response"]["status"]), (&json!("session"), &json!("ok")));
                sides.entry((ports(&record).0, id)).or_default()[usize::from(record["from"] == "server")] += 1;
            }
        }
        let both = sides.values().filter(|[client, broker]| *client > 0 && *broker > 0).count();
        assert!(both >= 8, "{name}: only {both} identifiers were used by both ends");
    }
}

#[test]
fn the_records_agree_with_what_the_clients_said() {
    for fixture in fixtures("mqtt") {
        let records = outcome(&fixture).records.parsed();
        let of_client: HashMap<String, u16> = records
            .iter()
            .filter_map(|r| Some((r["attributes"]["messaging.client.id"].as_str()?.to_owned(), ports(r).0)))
            .collect();
        for said in decode(&fixture, "log.jsonl.gz") {
            let Some(port) = said["client"].as_str().and_then(|name| of_client.get(name)) else { continue };
            let mine = |record: &&Value| ports(record).0 == *port && record["from"].is_null();
            let id = said["id"].as_u64();
            let is = |kind: &'static str| {
                move |r: &&Value| r["request"]["type"] == kind && r["request"]["id"].as_u64() == id
            };
            let is_acknowledged = match said["what"].as_str().expect("what") {
                "subscribed" => records.iter().filter(mine).any(|r| is("SUBSCRIBE")(&r)),
                "unsubscribed" => records.iter().filter(mine).any(|r| is("UNSUBSCRIBE")(&r)),
                // The client numbers what it sends with quality of service 0 as well.
                "published" => {
                    records.iter().filter(mine).filter(is("PUBLISH")).all(|r| r["response"]["status"] != "unknown")
                }
                "message" => records.iter().filter(|r| ports(r).0 == *port && r["from"] == "server").any(|r| {
                    let attributes = &r["attributes"];
                    r["request"]["resource"] == said["topic"]
                        && attributes["mqtt.qos"] == said["qos"]
                        && attributes["messaging.message.body.size"] == said["size"]
                }),
                _ => true,
            };
            assert!(is_acknowledged, "{}: {said}", fixture.name);
        }
        let text = format!("{records:?}");
        assert!(!text.contains("secret") && !text.contains("user-"), "{}: credentials", fixture.name);
    }
}

#[test]
fn refusals_have_their_codes() {
    let records = outcome(&fixture("mqtt/mosquitto_clients")).records.parsed();
    let refused: Vec<_> = records.iter().filter(|r| r["response"]["status"] == "client_error").collect();
    let codes: Vec<_> = refused.iter().map(|r| (&r["request"]["version"], &r["response"]["code"])).collect();
    assert_eq!(codes, [(&json!("3.1.1"), &json!(5)), (&json!("5.0"), &json!(135))]);
    let pings = outcome(&fixture("mqtt/pings_v5")).records.parsed();
    let forbidden = pings.iter().find(|r| r["request"]["resource"] == "forbidden/topic").expect("a record");
    assert_eq!(
        (&forbidden["response"]["code"], &forbidden["response"]["exception"]),
        (&json!(135), &json!("Not authorized"))
    );
}

#[test]
fn cutting_shuffling_and_repeating_change_nothing() {
    let report: String = fixtures("mqtt").iter().map(|fixture| differences(plugins(), fixture)).collect();
    assert!(report.is_empty(), "{report}");
}

/// Without the beginning of the connections, or without one direction, what is left is recognised and nothing is made up.
#[test]
fn the_middle_of_connections_and_one_direction_are_read() {
    for name in ["mqtt/both_sides_v311", "mqtt/both_sides_v5"] {
        let fixture = fixture(name);
        let whole = found(&outcome(&fixture));
        let segments = segments(&Capture::read(&fixture.path));
        // The last three quarters: no handshake, no CONNECT.
        let middle = read_with(plugins(), to_file(&segments[segments.len() / 4..], Link::Ethernet), 1);
        let records = middle.records.parsed();
        let sessions: Vec<Line> = records.iter().filter(|r| r["kind"] == "session").map(line).collect();
        assert!(sessions.len() > 20, "{name}: only {} sessions", sessions.len());
        let is_known = |found: &Line| {
            whole.iter().any(|w| (w.0, w.1, &w.2, w.3, &w.4) == (found.0, found.1, &found.2, found.3, &found.4))
        };
        assert!(sessions.iter().all(is_known), "{name}: {sessions:?}");
        assert!(records.iter().all(|r| r["completeness"] != "full" || r["kind"] == "response"), "{name}");
        for is_up in [true, false] {
            let half: Vec<_> = segments.iter().filter(|s| (s.destination.port() == 1883) == is_up).cloned().collect();
            let records = read_with(plugins(), to_file(&half, Link::Ethernet), 1).records.parsed();
            assert!(records.len() > 20 && records.iter().all(|r| r["kind"] != "session"), "{name}: {}", records.len());
        }
    }
}

#[test]
fn packets_that_are_lost_cost_what_they_held_and_falsify_nothing() {
    for name in ["mqtt/both_sides_v311", "mqtt/both_sides_v5", "mqtt/aliases_v5"] {
        let fixture = fixture(name);
        let whole = found(&outcome(&fixture));
        let segments = segments(&Capture::read(&fixture.path));
        let with_data =
            |n: usize| segments.iter().enumerate().filter(|(_, s)| !s.payload.is_empty()).nth(n).map(|(at, _)| at);
        for lost in (1..).map_while(with_data) {
            let kept: Vec<_> =
                segments.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, s)| s.clone()).collect();
            let outcome = read_with(plugins(), to_file(&kept, Link::Ethernet), 1);
            assert_eq!(outcome.faults("mqtt"), 0);
            let records = outcome.records.parsed();
            for record in records.iter().filter(|record| record["kind"] != "response") {
                let is = line(record);
                // A topic may be left out, an answer be missing; nothing may be another one.
                let is_known = whole.iter().any(|was| {
                    (was.0, was.1, &was.2, was.3) == (is.0, is.1, &is.2, is.3)
                        && (is.4.is_none() || is.4 == was.4)
                        && (is.7.is_none() || is.7 == was.7)
                });
                assert!(is_known, "{name} without packet {lost}: {record}");
            }
            assert!(records.len() * 4 > whole.len() * 3, "{name} without packet {lost}: {} records", records.len());
        }
    }
}
