//! Every recorded capture through the engine and the shipped plugins: the records are those that an independent decode
//! of the same bytes calls for.

use protap_e2e::artifacts::{Fixture, fixture, fixtures, further_captures};
use protap_e2e::engine;
use protap_e2e::judge::differences;
use protap_e2e::oracle::Oracle;
use protap_e2e::pcap::Capture;

#[test]
fn kafka_records_agree_with_an_independent_decode() {
    agree(&fixtures("kafka"));
}

#[test]
fn mongodb_records_agree_with_an_independent_decode() {
    agree(&fixtures("mongodb"));
}

#[test]
fn records_of_further_captures_agree_too() {
    for protocol in ["kafka", "mongodb"] {
        let further = further_captures(protocol);
        if further.is_empty() {
            println!("skipped: no further {protocol} captures in ../shared/captures");
        }
        agree(&further);
    }
}

#[test]
fn flows_that_are_given_to_a_plugin_by_order_are_read_from_their_first_byte_too() {
    for (name, port) in
        [("kafka/noida_ck216_basic", 19092), ("kafka/tansu_ck216_admin", 9092), ("kafka/noida_kp2.0.2", 19092)]
    {
        let capture = fixture(name).bytes();
        let inferred = engine::read(capture.clone());
        let ordered = engine::read_as(engine::shipped_plugins(), capture, port, "kafka");
        assert!(ordered.records == inferred.records, "{name}");
        assert_eq!(ordered.summary["losses"], inferred.summary["losses"]);
    }
}

fn agree(captures: &[Fixture]) {
    let mut report = String::new();
    for fixture in captures {
        let outcome = engine::read(fixture.bytes());
        let mut faults = outcome.errors.clone();
        faults.extend(differences(
            &fixture.protocol,
            &Capture::read(&fixture.path),
            &Oracle::of(fixture),
            &outcome.records,
        ));
        for name in ["kafka", "mongodb"] {
            if outcome.faults(name) > 0 {
                faults.push(format!("the plugin {name} failed: {}", outcome.plugin(name)["faults"]));
            }
        }
        if !faults.is_empty() {
            report += &format!(
                "{}: {} differences, as\n  {}\n",
                fixture.name,
                faults.len(),
                faults[..faults.len().min(3)].join("\n  ")
            );
        }
    }
    assert!(report.is_empty(), "{report}");
}
