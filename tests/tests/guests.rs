//! Plugins made without our SDK, in C and by hand: what they say of real traffic is what tshark says of it. Those of frozen
//! versions of the contract still say it.

use std::path::Path;

use protap_e2e::artifacts::{Fixture, c_guest, fixture, frozen, wat_guest};
use protap_e2e::conformance::{Verdict, run};
use protap_e2e::engine::{Outcome, load, read_with};
use protap_e2e::pcap::read_plain;
use protap_e2e::records::ports;
use serde_json::Value;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn decode(fixture: &Fixture) -> Vec<Value> {
    lines(&fixture.path.with_file_name(format!("{}.tshark.jsonl", fixture.name)))
}

fn read(module: &Path, capture: &Path) -> Outcome {
    let outcome = read_with(&load([module]), read_plain(capture), 1);
    assert_eq!(outcome.errors, Vec::<String>::new());
    outcome
}

/// Records and exchanges of each client agree, in order, as `is_same` sees it.
fn assert_agree(records: &[Value], exchanges: &[Value], is_same: impl Fn(&Value, &Value) -> bool) {
    assert!(records.len() > 10 && records.len() == exchanges.len(), "{} and {}", records.len(), exchanges.len());
    let mut clients: Vec<&Value> = exchanges.iter().map(|exchange| &exchange["client"]).collect();
    clients.dedup();
    for client in clients {
        let of_client = records.iter().filter(|record| *client == ports(record).0);
        let mut expected = exchanges.iter().filter(|exchange| exchange["client"] == *client);
        for record in of_client {
            let exchange = expected.next().unwrap_or_else(|| panic!("tshark has no such exchange: {record}"));
            assert!(is_same(record, exchange), "{record}\nis not\n{exchange}");
        }
        assert_eq!(expected.next(), None, "no record");
    }
}

fn assert_resp_agrees(module: &Path, capture: &Path, decode: &[Value]) {
    let outcome = read(module, capture);
    assert_eq!(outcome.faults("resp"), 0);
    assert_agree(&outcome.records.parsed(), decode, |record, exchange| {
        let response = &record["response"];
        record["kind"] == "session"
            && record["request"]["type"] == exchange["type"]
            && record["attributes"]["redis.arguments"] == exchange["arguments"]
            && response["exception"] == exchange["error"]
            && response["status"] == if exchange["error"].is_null() { "ok" } else { "client_error" }
    });
}

#[test]
fn a_plugin_in_c_says_what_tshark_says() {
    let fixture = fixture("guests/redis7_pipelined");
    assert_resp_agrees(&c_guest("resp"), &fixture.path, &decode(&fixture));
}

#[test]
fn a_plugin_in_c_says_what_the_client_wrote_down() {
    let fixture = fixture("guests/redis7_pipelined");
    let log = std::fs::read_to_string(fixture.path.with_file_name("redis7_pipelined.log")).expect("the client's log");
    let records = read(&c_guest("resp"), &fixture.path).records.parsed();
    let client = ports(&records[0]).0;
    let mut mine = records.iter().filter(|record| ports(record).0 == client);
    for line in log.lines() {
        let (command, outcome) = line.split_once(' ').expect("command and outcome");
        let record = mine.next().unwrap_or_else(|| panic!("no record of {line}"));
        assert_eq!(record["request"]["type"], command);
        let response = &record["response"];
        match outcome.strip_prefix('-') {
            Some(error) => assert_eq!(response["exception"], error, "{record}"),
            None => assert_eq!(response["status"], "ok", "{record}"),
        }
        if command == "GET" {
            assert_eq!(response["result"], if outcome == "nil" { "miss" } else { "hit" }, "{record}");
        }
    }
    assert_eq!(mine.next(), None);
}

#[test]
fn a_plugin_in_text_form_says_what_tshark_says() {
    let fixture = fixture("guests/chrony43_ntp");
    let outcome = read(&wat_guest("ntp"), &fixture.path);
    assert_eq!(outcome.faults("ntp"), 0);
    assert_agree(&outcome.records.parsed(), &decode(&fixture), |record, exchange| {
        let is_answered = !exchange["stratum"].is_null();
        record["request"]["version"] == exchange["version"]
            && record["flow"]["server"]
                .as_str()
                .is_some_and(|server| server.ends_with(&format!(":{}", exchange["server"])))
            && record["kind"] == if is_answered { "session" } else { "request" }
            && record["response"]["status"] == if is_answered { "ok" } else { "unknown" }
            && record["attributes"]["ntp.stratum"] == exchange["stratum"]
    });
}

#[test]
fn plugins_of_frozen_versions_still_say_what_tshark_says() {
    let versions = frozen();
    for (folder, module) in &versions {
        assert_resp_agrees(module, &folder.join("resp.pcap.gz"), &lines(&folder.join("resp.tshark.jsonl")));
        let outcomes = run(module, Some(&folder.join("resp.pcap.gz")));
        let failed = outcomes.iter().find(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
        assert!(failed.is_none(), "{}: {}", folder.display(), failed.expect("it is some"));
    }
    println!("{} frozen versions", versions.len());
}
