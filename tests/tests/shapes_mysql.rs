//! The shape of MySQL: the server speaks first, the flow may turn to TLS, replies have no length and no id. Records are
//! those that the client's own log and tshark call for.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use protap::plugin::PluginSet;
use protap_e2e::artifacts::{Fixture, fixture, fixtures};
use protap_e2e::engine::{Outcome, read_with};
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::records::nanoseconds_of_day;
use protap_e2e::segment::{SYN, Segment, segments, to_file};
use protap_e2e::shape::{beside_the_shipped, by_port, decode, differences, records_by_port};
use serde_json::Value;

/// Captures with the client's log.
const LOGGED: [&str; 3] = ["mysql/mariadb_pymysql", "mysql/mariadb_connector", "mysql/mock_pymysql_sha2"];
/// Captures that tshark decodes.
const DECODED: [&str; 4] =
    ["mysql/mariadb_pymysql", "mysql/mariadb_connector", "mysql/mariadb_cli", "mysql/mock_pymysql_sha2"];

fn plugins() -> &'static Arc<PluginSet> {
    static PLUGINS: OnceLock<Arc<PluginSet>> = OnceLock::new();
    PLUGINS.get_or_init(|| beside_the_shipped("mysql"))
}

fn read(capture: Vec<u8>) -> Outcome {
    let outcome = read_with(plugins(), capture, 1);
    assert_eq!(outcome.faults("mysql"), 0);
    outcome
}

fn packets(fixture: &Fixture) -> Vec<Segment> {
    segments(&Capture::read(&fixture.path))
}

/// Records of logins and commands.
fn commands(outcome: &Outcome) -> BTreeMap<u16, Vec<Value>> {
    let mut by_port = records_by_port(outcome);
    for records in by_port.values_mut() {
        records.retain(|record| !matches!(record["request"]["type"].as_str(), Some("GREETING" | "SSL_REQUEST")));
    }
    by_port
}

/// The command, without the keyword.
fn command(record: &Value) -> &str {
    let name = record["request"]["type"].as_str().expect("a type");
    name.split(' ').next().expect("a word")
}

#[test]
fn records_are_what_the_client_did_and_saw() {
    for name in LOGGED {
        let fixture = fixture(name);
        let outcome = read(fixture.bytes());
        let commands = commands(&outcome);
        let log = by_port(decode(&fixture, "client.jsonl"));
        assert_eq!(commands.keys().collect::<Vec<_>>(), log.keys().collect::<Vec<_>>(), "{name}");
        for (port, lines) in log {
            // What the connector changes the user with bypasses the method that is logged.
            let records: Vec<_> =
                commands[&port].iter().filter(|record| command(record) != "COM_CHANGE_USER").collect();
            assert_eq!(records.len(), lines.len(), "{name} {port}");
            for (record, line) in records.into_iter().zip(lines) {
                agree(record, &line);
            }
        }
    }
}

fn agree(record: &Value, line: &Value) {
    let (request, response) = (&record["request"], &record["response"]);
    let verb = line["verb"].as_str().filter(|verb| *verb != "SELEKT");
    let name = line["command"].as_str().expect("a command");
    let expected = verb.map_or(name.to_owned(), |verb| format!("{name} {verb}"));
    assert_eq!(request["type"], expected, "{record}");
    assert_eq!(record["attributes"]["db.operation.name"].as_str(), verb, "{record}");
    let is_one_way = matches!(name, "COM_QUIT" | "COM_STMT_CLOSE");
    assert_eq!(record["kind"], if is_one_way { "oneway" } else { "session" }, "{record}");
    match line["ok"].as_bool() {
        Some(true) => assert_eq!((&response["status"], &response["code"]), (&"ok".into(), &0.into()), "{record}"),
        Some(false) => {
            assert_eq!((&response["status"], &response["code"]), (&"client_error".into(), &line["errno"]), "{record}");
        }
        None => {}
    }
    if line["rows"].as_u64().is_some_and(|rows| rows > 0) {
        assert_eq!(record["attributes"]["db.response.returned_rows"], line["rows"], "{record}");
    }
    assert_eq!(record["completeness"], "full", "{record}");
}

#[test]
fn commands_and_errors_are_those_that_tshark_decodes() {
    const CODES: [(u64, &str); 13] = [
        (1, "COM_QUIT"),
        (2, "COM_INIT_DB"),
        (3, "COM_QUERY"),
        (9, "COM_STATISTICS"),
        (14, "COM_PING"),
        (17, "COM_CHANGE_USER"),
        (22, "COM_STMT_PREPARE"),
        (23, "COM_STMT_EXECUTE"),
        (25, "COM_STMT_CLOSE"),
        (26, "COM_STMT_RESET"),
        (28, "COM_STMT_FETCH"),
        (31, "COM_RESET_CONNECTION"),
        (4, "COM_FIELD_LIST"),
    ];
    for name in DECODED {
        let fixture = fixture(name);
        let commands = commands(&read(fixture.bytes()));
        for (port, lines) in by_port(decode(&fixture, "tshark.jsonl")) {
            let code = |line: &Value| CODES.iter().find(|(code, _)| line["command"] == *code).map(|(_, name)| *name);
            let theirs: Vec<_> = lines.iter().filter_map(code).collect();
            let ours: Vec<_> = commands[&port].iter().map(command).filter(|command| *command != "LOGIN").collect();
            assert_eq!(ours, theirs, "{name} {port}");
            let theirs: Vec<_> = lines.iter().filter_map(|line| line["error"].as_u64()).collect();
            let failed = |record: &Value| record["response"]["code"].as_u64().filter(|code| *code > 0);
            let ours: Vec<_> = commands[&port].iter().filter_map(failed).collect();
            assert_eq!(ours, theirs, "{name} {port}");
        }
    }
}

#[test]
fn a_flow_that_turns_to_tls_is_handed_over_and_counted_as_such() {
    let outcome = read(fixture("mysql/mariadb_cli_tls").bytes());
    let records = outcome.records.parsed();
    let types: Vec<_> = records.iter().map(|record| record["request"]["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["GREETING", "SSL_REQUEST"]);
    let flows = &outcome.summary["flows"];
    assert_eq!((&flows["seen"], &flows["claimed"]["mysql"], &flows["unclaimed"]), (&1.into(), &0.into(), &1.into()));
    let row = &flows["unclaimed_by_port"][0];
    assert_eq!((&row["port"], &row["reason"]), (&3306.into(), &"tls after a handover".into()));
    assert_eq!(outcome.plugin("mysql")["claims"], 1);
}

#[test]
fn a_flow_that_turns_to_compression_is_read_up_to_its_login() {
    let outcome = read(fixture("mysql/mariadb_cli_compressed").bytes());
    let records = outcome.records.parsed();
    assert_eq!(records.len(), 2);
    let login = &records[1];
    assert_eq!((&login["request"]["type"], &login["response"]["status"]), (&"LOGIN".into(), &"ok".into()));
    assert_eq!(outcome.summary["flows"]["unclaimed_by_port"][0]["reason"], "opaque");
}

#[test]
fn nothing_of_the_user_is_told() {
    for fixture in fixtures("mysql") {
        let text = read(fixture.bytes()).records.text;
        for secret in ["probe", "nobody", "zwei", "row 10", "FROM", "xxxx", "WHERE", "doesn't exist", "Duplicate"] {
            assert!(!text.contains(secret), "{}: {secret} in {text}", fixture.name);
        }
    }
}

#[test]
fn how_packets_are_cut_does_not_show() {
    let report: String = fixtures("mysql").iter().map(|fixture| differences(plugins(), fixture)).collect();
    assert!(report.is_empty(), "{report}");
}

#[test]
fn a_greeting_tells_who_is_the_server_where_the_handshake_was_not_seen() {
    for name in LOGGED {
        let fixture = fixture(name);
        let whole = commands(&read(fixture.bytes()));
        let packets = packets(&fixture);
        // Neither the SYNs nor the ACK behind them: the server's packet is the first.
        let first = |segment: &Segment| !segment.has(SYN) && !segment.payload.is_empty();
        let rest: Vec<_> = packets.iter().filter(|segment| first(segment)).cloned().collect();
        let outcome = read(to_file(&rest, Link::Ethernet));
        let records = commands(&outcome);
        let types = |records: &BTreeMap<u16, Vec<Value>>| -> Vec<(u16, Vec<String>)> {
            let type_of = |record: &Value| format!("{} {}", record["kind"], record["request"]["type"]);
            records.iter().map(|(port, records)| (*port, records.iter().map(type_of).collect())).collect()
        };
        assert_eq!(types(&records), types(&whole), "{name}");
    }
}

#[test]
fn a_connection_caught_in_its_middle_is_recognised() {
    for name in ["mysql/mariadb_pymysql", "mysql/mariadb_connector"] {
        let fixture = fixture(name);
        let packets = packets(&fixture);
        let port = packets.iter().map(|segment| segment.source.port()).find(|port| *port != 3306).expect("a client");
        let flow: Vec<_> = packets
            .into_iter()
            .filter(|segment| segment.source.port() == port || segment.destination.port() == port)
            .collect();
        let whole = commands(&read(to_file(&flow, Link::Ethernet)))[&port].clone();
        // With a few short packets left there may be nothing to tell it by.
        for skipped in 5..flow.len() - 20 {
            let outcome = read(to_file(&flow[skipped..], Link::Ethernet));
            let records = commands(&outcome).remove(&port).unwrap_or_default();
            let sessions: Vec<_> = records.iter().filter(|record| record["kind"] != "response").collect();
            for record in &sessions {
                let expected = whole.iter().find(|expected| expected["ts"] == record["ts"]);
                let expected = expected.unwrap_or_else(|| panic!("{name} from {skipped}: {record}"));
                let what = |record: &Value| {
                    let (request, response) = (&record["request"], &record["response"]);
                    [&request["type"], &response["status"], &response["code"]].map(Value::clone)
                };
                assert_eq!(what(record), what(expected), "{name} from {skipped}");
            }
            // The exchange that was cut is missing, and those before the first that no other protocol's bytes look like.
            let begins = |record: &&Value| nanoseconds_of_day(record["ts"].as_str().expect("a time"));
            let first = flow[skipped].at % 86_400_000_000_000;
            let asked = whole.iter().filter(|record| begins(record) >= first).count();
            assert!(sessions.len() * 2 + 2 >= asked, "{name} from {skipped}: {} records of {asked}", sessions.len());
        }
    }
}

#[test]
fn one_direction_alone_is_recognised_and_nothing_is_called_ok_that_was_not_seen() {
    for name in LOGGED {
        let packets = packets(&fixture(name));
        let server_port = packets[0].destination.port();
        for is_server in [true, false] {
            let side = packets.iter().filter(|segment| (segment.source.port() == server_port) == is_server);
            let outcome = read(to_file(&side.cloned().collect::<Vec<_>>(), Link::Ethernet));
            assert!(outcome.plugin("mysql")["claims"].as_u64() > Some(0), "{name}, server: {is_server}");
            for record in outcome.records.parsed() {
                assert_ne!(record["kind"], "session", "{record}");
                if record["kind"] == "request" {
                    assert_eq!(record["response"]["status"], "unknown", "{record}");
                }
            }
        }
    }
}

#[test]
fn the_number_of_workers_does_not_show() {
    for fixture in fixtures("mysql") {
        let one = read(fixture.bytes()).records.text;
        assert_eq!(read_with(plugins(), fixture.bytes(), 4).records.text, one, "{}", fixture.name);
    }
}

#[test]
fn flows_of_other_protocols_are_left_to_others() {
    for protocol in ["kafka", "mongodb", "variants", "dns"] {
        for fixture in fixtures(protocol) {
            assert_eq!(read(fixture.bytes()).plugin("mysql")["claims"], 0, "{}", fixture.name);
        }
    }
}
