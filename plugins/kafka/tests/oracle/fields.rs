//! Field by field: random messages of every API and version that the crate has, written by it, read by the plugin. What the
//! plugin says of a field must be what the crate prints of it, and what it leaves out must be absent or empty there.

use protap_kafka_messages::{Comparison, PARTITION, each_request, each_response};
use protap_plugin::testing::{Seen, Value};

use crate::frames;

/// Our value, as the crate prints values.
fn said(seen: &Seen, attribute: &str) -> Option<String> {
    // Several partitions are listed.
    if let Some(first) = frames::list(seen, "kafka.partitions").first().filter(|_| attribute == PARTITION) {
        return Some(first.clone());
    }
    match seen.attribute(attribute)? {
        Value::Str(text) if attribute == PARTITION => Some(text.clone()),
        Value::Str(text) => Some(format!("{text:?}")),
        Value::I64(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        other => panic!("{attribute}: {other:?}"),
    }
}

#[test]
fn fields_of_requests_are_those_that_the_crate_prints() {
    let mut comparison = Comparison::of_requests();
    each_request(|request| {
        let seen = frames::only(frames::asked(request.key, request.version, &request.body).run());
        comparison.add(&request, |attribute| said(&seen, attribute));
    });
    comparison.check(100, 15_000);
}

#[test]
fn fields_of_responses_are_those_that_the_crate_prints() {
    let mut comparison = Comparison::of_responses();
    each_response(|response| {
        let seen = frames::response(frames::answered(response.key, response.version, &response.body).run());
        comparison.add(&response, |attribute| said(&seen, attribute));
    });
    comparison.check(100, 30_000);
}
