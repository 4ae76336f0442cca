//! A plugin that keeps failing is left alone for a while: with the flows of one host if it is always the same one that
//! sends what it fails on, else with all. Then it gets another chance, and its old flows are read on.

use protap_e2e::conversation::{ROUNDS, conversation, from_host, mixed};
use protap_e2e::engine::{Outcome, load, read_with};
use protap_e2e::hostile::Guest;
use protap_e2e::link::Link;
use protap_e2e::segment::{Segment, to_file};
use serde_json::Value;

use super::{assert_kafka_is_untouched, beside_kafka, case, scratch};
use protap_e2e::artifacts::fixture;
use protap_e2e::pcap::Capture;
use protap_e2e::segment::segments;

const PORT: u16 = 7000;
const SECOND: u64 = 1_000_000_000;
/// First byte of what the plugin fails on.
const POISON: u8 = 255;
/// Flows enough for each of the 4 shards to have its share.
const MANY: u16 = 400;

/// Fails on windows that begin with [`POISON`].
fn touchy() -> Guest {
    let (mut guest, _) = case("touchy", None, |guest| {
        guest.parse = format!(
            "(if (i32.and (i32.ne (local.get $len) (i32.const 0))
                (i32.eq (i32.load8_u (i32.const 65536)) (i32.const {POISON}))) (then (unreachable))) {}",
            guest.parse
        );
    });
    guest.port = PORT;
    guest
}

fn begin() -> u64 {
    Capture::read(&fixture("kafka/noida_ck216_basic").path).packets[0].at
}

/// A flow of that host, which begins so many nanoseconds into the capture.
fn flow(host: u8, port: u16, mark: u8, after: u64) -> Vec<Segment> {
    from_host(conversation(port, PORT, mark, begin() + after), host)
}

/// The flows and a kafka capture, with as many workers as told.
fn run(test: &str, flows: &[Vec<Segment>], workers: usize) -> Outcome {
    let kafka = segments(&Capture::read(&fixture("kafka/noida_ck216_basic").path));
    let capture = to_file(&mixed(flows.iter().cloned().chain([kafka])), Link::Ethernet);
    let outcome = read_with(&beside_kafka(&[touchy().file(&scratch(test))]), capture.clone(), workers);
    assert_kafka_is_untouched(&outcome, capture);
    outcome
}

fn records_of(outcome: &Outcome, host: u8, port: u16) -> usize {
    let end = format!(r#""client":"10.0.0.{host}:{port}""#);
    outcome.records.of_protocol("touchy").iter().filter(|line| line.contains(&end)).count()
}

/// Flows that nobody claimed as the plugin was in quarantine.
fn quarantined(outcome: &Outcome) -> u64 {
    let ports = outcome.summary["flows"]["unclaimed_by_port"].as_array().expect("a list");
    let of_quarantine = ports.iter().filter(|row| row["reason"] == "plugin quarantined");
    of_quarantine.filter_map(|row| row["flows"].as_u64()).sum()
}

#[test]
fn a_sender_of_poison_blinds_nobody_but_itself() {
    let step = |n: u16| u64::from(n) * 1_000_000;
    let poison = (0..MANY).map(|n| flow(66, 20_000 + n, POISON, step(n)));
    let good = (0..MANY).map(|n| flow(1, 30_000 + n, b'c', step(n) + 500_000));
    let flows: Vec<_> = poison.chain(good).collect();
    let outcome = run("poison", &flows, 1);
    for port in 30_000..30_000 + MANY {
        assert_eq!(records_of(&outcome, 1, port), ROUNDS * 2, "port {port}");
    }
    let plugin = outcome.plugin("touchy");
    assert!((16..=64).contains(&outcome.faults("touchy")), "{plugin}");
    assert_eq!((&plugin["quarantines"], &plugin["host_quarantines"]), (&Value::from(0), &Value::from(4)));
    assert_eq!(quarantined(&outcome) + outcome.faults("touchy"), u64::from(MANY));
    let example = &plugin["fault_examples"][0];
    assert!(example["flow"][0].as_str().is_some_and(|end| end.starts_with("10.0.0.66:")), "{example}");
    assert!(example["error"].as_str().is_some_and(|error| error.contains("unreachable")), "{example}");
}

#[test]
fn a_plugin_that_fails_everywhere_is_left_alone_and_comes_back() {
    let poison = (0..MANY).map(|n| flow((n % 100) as u8 + 100, 20_000 + n, POISON, SECOND + u64::from(n) * 100_000));
    let during = (0..MANY).map(|n| flow(1, 30_000 + n, b'd', 3 * SECOND + u64::from(n)));
    let after = (0..MANY).map(|n| flow(1, 40_000 + n, b'e', 13 * SECOND + u64::from(n)));
    // Open all the time: two rounds before, one in the quarantine, two behind it.
    let long = (0..16).map(|n| {
        let mut long = flow(1, 50_000 + n, b'f', u64::from(n));
        long.iter_mut().skip(7).for_each(|segment| segment.at += 3 * SECOND);
        long.iter_mut().skip(9).for_each(|segment| segment.at += 10 * SECOND);
        long
    });
    let flows: Vec<_> = poison.chain(during).chain(after).chain(long).collect();
    let outcome = run("failing", &flows, 1);
    let plugin = outcome.plugin("touchy");
    assert_eq!(plugin["quarantines"], Value::from(4), "{plugin}");
    assert!(outcome.faults("touchy") <= 64, "{plugin}");
    for n in 0..MANY {
        assert_eq!(records_of(&outcome, 1, 30_000 + n), 0, "in quarantine");
        assert_eq!(records_of(&outcome, 1, 40_000 + n), ROUNDS * 2, "after it");
    }
    for n in 0..16 {
        assert_eq!(records_of(&outcome, 1, 50_000 + n), 2 * (ROUNDS - 1), "all but what passed in quarantine");
    }
    assert_eq!(outcome.loss("quarantined_bytes"), 16 * 100);
    for workers in [2, 3, 4] {
        let again = run("failing-again", &flows, workers);
        assert!(again.records.of_protocol("touchy") == outcome.records.of_protocol("touchy"), "{workers} workers");
        for field in ["faults", "fault_examples", "quarantines", "host_quarantines", "claims"] {
            assert_eq!(again.plugin("touchy")[field], plugin[field], "{field} of {workers} workers");
        }
        assert_eq!(again.summary["losses"], outcome.summary["losses"], "{workers} workers");
    }
}

#[test]
fn a_plugin_that_fails_now_and_then_stays() {
    // Every second one fault, of ever the same two hosts: fewer than four of each within a minute.
    let poison = (0..30_u16).map(|n| flow(60 + (n % 2) as u8, 20_000, POISON, u64::from(n) * 20 * SECOND));
    let good = (0..30_u16).map(|n| flow(1, 30_000 + n, b'c', u64::from(n) * 20 * SECOND + SECOND));
    let flows: Vec<_> = poison.chain(good).collect();
    let capture = to_file(&mixed(flows), Link::Ethernet);
    let outcome = read_with(&load([touchy().file(&scratch("now-and-then")).as_path()]), capture, 1);
    assert_eq!((outcome.faults("touchy"), quarantined(&outcome)), (30, 0));
    assert_eq!(outcome.records.of_protocol("touchy").len(), 30 * 2 * ROUNDS);
}
