//! Hooks on messages that other plugins parsed: HTTP requests and responses of our HTTP plugin, custom messages.

use std::net::SocketAddr;
use std::path::Path;

use protap_e2e::artifacts::{deepflow_guest, plugin, scratch};
use protap_e2e::conversation::{conversation, dialogue};
use protap_e2e::hostile::Guest;
use protap_e2e::segment::Segment;
use serde_json::{Value, json};

use super::{BEGIN, run};

const REQUEST: &str = "GET /orders/7 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";

fn http() -> Vec<Segment> {
    let ends = (SocketAddr::from(([10, 0, 0, 3], 20_000)), SocketAddr::from(([10, 0, 0, 4], 8080)));
    dialogue(ends, BEGIN, [(true, REQUEST.into()), (false, RESPONSE.into())])
}

fn record(files: &[&Path]) -> Value {
    let outcome = run(files, &http());
    let records = outcome.records.parsed();
    let [record] = &records[..] else { panic!("{records:?}") };
    record.clone()
}

#[test]
fn http_hooks_of_every_era_add_to_the_messages_of_our_plugin() {
    for era in ["l0", "l1", "l2", "l3", "l4", "pb"] {
        let record = record(&[&plugin("http"), &deepflow_guest(era)]);
        assert_eq!((&record["protocol"], &record["kind"]), (&json!("http"), &json!("session")), "{era}");
        assert_eq!(record["request"]["type"], "GET", "{record}");
        let seen = |name: &str| &record["attributes"][format!("seen.{name}")];
        assert_eq!((seen("path"), seen("host")), (&json!("/orders/7"), &json!("shop.example")), "{era}: {record}");
        assert_eq!((seen("agent"), seen("referer")), (&json!("curl/8.5.0"), &json!("")));
        assert_eq!(seen("line"), "GET /orders/7 HTTP/1.1", "{era}");
        // Eras without custom messages were told no number.
        assert_eq!(seen("l7"), if ["l4", "pb"].contains(&era) { "20" } else { "0" }, "{era}");
        assert_eq!(record["attributes"]["trace_id"], "trace-of-request");
        // The response's context grew from two bytes to three and more.
        let [status, endpoint] = [seen("status"), seen("endpoint")].map(Value::is_null);
        assert_eq!(
            (seen("code").as_str(), status, endpoint),
            match era {
                "l0" | "l1" => (Some("503"), true, true),
                "pb" => (Some("503"), false, false),
                _ => (Some("503"), false, true),
            },
            "{era}: {record}"
        );
        assert_eq!((&record["response"]["status"], &record["response"]["code"]), (&json!("server_error"), &json!(503)));
    }
}

#[test]
fn without_hooks_the_messages_are_the_same_but_for_what_was_added() {
    let alone = record(&[&plugin("http")]);
    let mut hooked = record(&[&plugin("http"), &deepflow_guest("pb")]);
    let attributes = hooked["attributes"].as_object_mut().expect("there are attributes");
    attributes.retain(|name, _| !name.starts_with("seen.") && name != "trace_id");
    assert_eq!(hooked, alone);
}

#[test]
fn custom_message_hooks_are_called_for_messages_of_their_protocol() {
    let folder = scratch("deepflow-custom");
    let source = Guest::sound("dubbo", 7000).file(&folder);
    let outcome = run(&[&source, &deepflow_guest("l4")], &conversation(20_000, 7000, b'c', BEGIN));
    let records = outcome.records.parsed();
    assert!(records.len() >= 10 && records.iter().all(|record| record["attributes"]["seen.custom"] == "40"));
    // Eras before them have none, and other protocols no hook.
    let outcome = run(&[&source, &deepflow_guest("l2")], &conversation(20_000, 7000, b'c', BEGIN));
    assert!(outcome.records.parsed().iter().all(|record| record["attributes"]["seen.custom"].is_null()));
    let other = Guest::sound("other", 7000).file(&folder);
    let outcome = run(&[&other, &deepflow_guest("l4")], &conversation(20_000, 7000, b'c', BEGIN));
    // The other one is certain of flows to its port: this one was neither asked about a payload nor called for a message.
    assert_eq!(outcome.plugin("l4")["calls"], 0);
    assert!(outcome.records.parsed().iter().all(|record| record["attributes"]["seen.custom"].is_null()));
}
