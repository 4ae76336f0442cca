//! `--explain`: what became of the flows of a port.

use protap_e2e::artifacts::{fixture, plugin};
use protap_e2e::program::{command, finished, text};

/// What is said of a port, beside what a capture's plugin said.
fn explained(capture: &str, port: &str) -> String {
    let (capture, kafka) = (fixture(capture).path, plugin("kafka"));
    let arguments = ["read", "-q", "-o", "json", "-p", text(&kafka), "--explain", port, text(&capture)];
    let told = finished(command(&arguments).output().expect("the program starts"));
    assert_eq!(told.status, 0, "{}", told.err);
    told.err
}

/// As many as there are streams for tshark.
#[test]
fn flows_of_a_port_are_parsed_or_unclaimed_or_were_not_there() {
    assert_eq!(explained("kafka/noida_kcat171", "19092"), "port 19092: 2 flows, parsed by kafka\n");
    assert_eq!(
        explained("mongodb/secantus_pm420_crud", "27017"),
        "port 27017: 3 flows, no plugin claims it: load the plugin of its protocol, or order one with -d\n"
    );
    assert_eq!(
        explained("kafka/noida_kcat171", "27017"),
        "port 27017: no flow whose server has that port was captured.\n"
    );
}
