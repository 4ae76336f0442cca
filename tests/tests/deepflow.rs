//! Plugins for DeepFlow's ABI: one guest for each era, each with the records of a plugin of our own contract; hooks on HTTP
//! and custom messages; how payloads are cut. Hostile ones are in [`hostile`].

mod hooks;
mod hostile;
mod loading;

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;

use protap::plugin::{Plugin, PluginSet};
use protap_e2e::artifacts::{deepflow_guest, plugin, scratch, test_plugin};
use protap_e2e::conversation::{dialogue, mixed};
use protap_e2e::datagram::{self, Datagram};
use protap_e2e::deepflow::{WatGuest, golden, literal, toy_flow};
use protap_e2e::engine::{Outcome, load, read_with, wasm_engine};
use protap_e2e::link::Link;
use protap_e2e::segment::{Segment, to_file};
use serde_json::{Value, json};

/// When captures begin, in nanoseconds since 1970.
const BEGIN: u64 = 1_700_000_000_000_000_000;
/// The guests, and the era that each is found to be of.
const ERAS: [(&str, &str); 6] = [("l0", "L0"), ("l1", "L1"), ("l2", "L2"), ("l3", "L3"), ("l4", "L4"), ("pb", "PB")];

fn run(files: &[&Path], segments: &[Segment]) -> Outcome {
    read_with(&load(files.iter().copied()), to_file(segments, Link::Ethernet), 1)
}

fn toy_flows() -> Vec<Segment> {
    mixed((0..40).map(|n| toy_flow(20_000 + n, BEGIN + u64::from(n) * 1_000_000)))
}

/// Records without the name of who made them.
fn without_plugin(outcome: &Outcome) -> Vec<Value> {
    let mut records = outcome.records.parsed();
    for record in &mut records {
        record.as_object_mut().expect("a record is an object").remove("plugin");
    }
    records
}

/// A plugin with options.
fn with_options(file: &Path, options: &[(&str, &str)]) -> Arc<PluginSet> {
    let mut set = PluginSet::default();
    let plugin = Plugin::load(wasm_engine(), file).unwrap_or_else(|error| panic!("{error}"));
    let name = plugin.identity.name.clone();
    set.add(plugin);
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    assert!(set.set_options(&name, options.collect()));
    set.check().unwrap_or_else(|error| panic!("{error}"));
    Arc::new(set)
}

#[test]
fn every_era_says_what_our_own_contract_says() {
    let flows = toy_flows();
    let ours = run(&[&test_plugin("toy")], &flows);
    let expected = without_plugin(&ours);
    assert_eq!(expected.len(), 200);
    assert_eq!((expected[0]["protocol"].as_str(), &expected[0]["request"]["id"]), (Some("toy"), &json!(1)));
    for (name, era) in ERAS {
        let outcome = run(&[&deepflow_guest(name)], &flows);
        let found = without_plugin(&outcome);
        let differing = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!((differing, found.len()), (None, expected.len()), "{name}");
        let plugin = outcome.plugin(name);
        assert_eq!(plugin["abi"], format!("deepflow {era}"), "{plugin}");
        assert_eq!((&plugin["claims"], &plugin["errors"], &plugin["traps"]), (&json!(40), &json!(0), &json!(0)));
    }
}

#[test]
fn records_do_not_depend_on_the_number_of_workers() {
    let plugins = load([deepflow_guest("l4"), plugin("kafka")].iter().map(AsRef::as_ref));
    let capture = to_file(&toy_flows(), Link::Ethernet);
    let one = read_with(&plugins, capture.clone(), 1);
    assert_eq!(one.records.len(), 200);
    assert!(read_with(&plugins, capture, 4).records == one.records);
}

#[test]
fn golden_records_come_out_as_they_say() {
    let folder = scratch("deepflow-golden");
    for era in ["l0", "l1", "l3", "l4", "pb"] {
        let mut guest = WatGuest::sound(era, b'c');
        guest.records = ["request", "response"].map(|kind| literal(&golden(&format!("{era}_{kind}"))));
        let ends = (SocketAddr::from(([10, 0, 0, 1], 20_000)), SocketAddr::from(([10, 0, 0, 2], 80)));
        let flow = dialogue(ends, BEGIN, [(true, b"cc".to_vec()), (false, b"aa".to_vec())]);
        let outcome = run(&[&guest.file(&folder)], &flow);
        let records = outcome.records.parsed();
        let [record] = &records[..] else { panic!("{era}: {records:?}") };
        let (request, response) = (&record["request"], &record["response"]);
        assert_eq!((&record["kind"], &request["id"]), (&json!("session"), &json!(7)), "{record}");
        assert_eq!((&request["type"], &request["endpoint"]), (&json!("GET"), &json!("/item")));
        assert_eq!((&request["domain"], &request["resource"]), (&json!("shop"), &json!("item/1")));
        assert_eq!((&request["bytes"], &response["bytes"]), (&json!(32), &json!(64)));
        assert_eq!((&response["status"], &response["exception"]), (&json!("server_error"), &json!("boom!")));
        let is_pb = era == "pb";
        assert_eq!((&response["code"], &response["result"]), (&json!(if is_pb { -1 } else { 500 }), &json!("done")));
        assert_eq!(record["protocol"], if ["l4", "pb"].contains(&era) { "toy" } else { era });
        let attributes = &record["attributes"];
        assert_eq!((&attributes["trace_id"], &attributes["k"]), (&json!("t1"), &json!("v")), "{record}");
        assert_eq!(attributes["biz_type"], if ["l3", "l4", "pb"].contains(&era) { json!(5) } else { Value::Null });
        assert_eq!(attributes["biz_response_code"], if is_pb { json!("R1") } else { Value::Null });
    }
}

#[test]
fn datagrams_are_payloads_too() {
    let end = |host, port| SocketAddrV4::new([10, 0, 0, host].into(), port);
    let datagram = |at, is_client: bool, text: &str| {
        let (client, server) = (end(1, 5000), end(2, 4242));
        let (source, destination) = if is_client { (client, server) } else { (server, client) };
        Datagram { at: BEGIN + at, source, destination, payload: text.as_bytes().to_vec() }
    };
    let capture = datagram::to_file(&[
        datagram(0, true, "Q 1 GET item/1\n"),
        datagram(1000, true, "Q 2 GET item/2\n"),
        datagram(2000, false, "A 2 200 two\n"),
        datagram(3000, false, "A 1 200 one\n"),
    ]);
    let outcome = read_with(&load([deepflow_guest("pb").as_path()]), capture, 1);
    let results: Vec<Value> =
        outcome.records.parsed().iter().map(|record| record["response"]["result"].clone()).collect();
    assert_eq!(results, ["two", "one"]);
}

/// A flow whose only question and answer come in two segments each.
fn cut_lines() -> Vec<Segment> {
    let ends = (SocketAddr::from(([10, 0, 0, 3], 20_000)), SocketAddr::from(([10, 0, 0, 4], 4242)));
    let text = |is_client: bool, text: &str| (is_client, text.as_bytes().to_vec());
    dialogue(
        ends,
        BEGIN,
        [
            text(true, "Q 1 GET item/1\n"),
            text(false, "A 1 200 one\n"),
            text(true, "Q 2 GET "),
            text(true, "item/2\n"),
            text(false, "A 2 20"),
            text(false, "0 two\n"),
        ],
    )
}

#[test]
fn a_payload_is_a_segment_or_what_a_side_says() {
    let file = deepflow_guest("l4");
    let results = |options: &[(&str, &str)]| -> Vec<Value> {
        let outcome = read_with(&with_options(&file, options), to_file(&cut_lines(), Link::Ethernet), 1);
        outcome.records.parsed().iter().map(|record| record["response"]["result"].clone()).collect()
    };
    assert_eq!(results(&[]), ["one"]);
    assert_eq!(results(&[("payload", "segment"), ("buf_size", "256")]), ["one"]);
    assert_eq!(results(&[("payload", "stream")]), ["one", "two"]);
}

#[test]
fn a_payload_is_no_longer_than_its_buffer() {
    let ends = (SocketAddr::from(([10, 0, 0, 3], 20_000)), SocketAddr::from(([10, 0, 0, 4], 4242)));
    let long = format!("Q 2 GET {}\n", "x".repeat(300));
    let flow = dialogue(ends, BEGIN, [(true, b"Q 1 GET a\n".to_vec()), (true, long.into_bytes())]);
    let count = |options: &[(&str, &str)]| {
        read_with(&with_options(&deepflow_guest("l4"), options), to_file(&flow, Link::Ethernet), 1).records.len()
    };
    assert_eq!((count(&[]), count(&[("buf_size", "256")])), (2, 1));
}

#[test]
fn a_flow_is_claimed_by_the_first_payload_that_the_plugin_knows() {
    // Caught in its middle, and with something else at first.
    let ends = (SocketAddr::from(([10, 0, 0, 3], 20_000)), SocketAddr::from(([10, 0, 0, 4], 4242)));
    let payloads = [(true, b"hello\n".to_vec()), (true, b"Q 1 GET a\n".to_vec()), (false, b"A 1 200 b\n".to_vec())];
    let flow: Vec<Segment> = dialogue(ends, BEGIN, payloads).split_off(3);
    let outcome = run(&[&deepflow_guest("l3")], &flow);
    assert_eq!(outcome.records.len(), 1, "{}", outcome.records.text);
}
