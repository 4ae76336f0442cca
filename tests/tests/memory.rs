//! A plugin's memory does not grow with the traffic: a hundred thousand messages leave it as large as the first few thousand.

use protap_e2e::artifacts::fixture;
use protap_e2e::link::Link;
use protap_e2e::pcap::Capture;
use protap_e2e::repeat::{corpus, weigh};
use protap_e2e::segment::{segments, to_file};

/// Messages that go through each plugin; `make soak` takes a hundred times as many.
const MESSAGES: u64 = 100_000;

fn is_flat(plugin: &str, file: &[u8]) {
    let once = weigh(plugin, file, 1);
    let times = MESSAGES / once.messages + 2;
    let late = weigh(plugin, file, usize::try_from(times).expect("few"));
    assert_eq!((late.messages, late.flows), (once.messages * times, once.flows * times), "every repetition gives all");
    assert_eq!((late.faults, late.memory), (0, once.memory), "after {times} repetitions");
}

#[test]
fn http_stays_as_large_as_it_is() {
    is_flat("http", &corpus("http"));
}

#[test]
fn kafka_stays_as_large_as_it_is() {
    is_flat("kafka", &corpus("kafka"));
}

#[test]
fn mongodb_stays_as_large_as_it_is() {
    is_flat("mongodb", &corpus("mongodb"));
}

#[test]
fn redis_stays_as_large_as_it_is() {
    let oddities = segments(&Capture::read(&fixture("redis/oddities").path));
    is_flat("redis", &to_file(&oddities, Link::Ethernet));
}
