//! Every recorded capture through the engine and the shipped plugins: the records are those that an independent decode
//! of the same bytes calls for.

use protap_e2e::artifacts::{Fixture, fixtures, further_captures};
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
