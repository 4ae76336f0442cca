//! Random messages of every API and version, written by the crate: the plugin must read them to their end, and find the
//! errors that the crate prints.

use kafka_protocol::messages::ApiKey;
use protap_kafka_messages::{each_request, each_response, error_codes};
use protap_plugin::testing::{Completeness, Seen};

use crate::frames;

fn check_complete(seen: &Seen, what: &str) {
    let is_header = seen.completeness == Completeness::Header && seen.reason == "body not decoded";
    assert!(seen.completeness == Completeness::Full || is_header, "{what}: {:?} {}", seen.completeness, seen.reason);
}

#[test]
fn errors_of_random_responses_are_found_in_every_api_and_version() {
    let (mut checked, mut failed) = (0, 0);
    each_response(|response| {
        let what = format!("{:?} {}: {}", response.key, response.version, response.printed);
        let seen = frames::response(frames::answered(response.key, response.version, &response.body).run());
        check_complete(&seen, &what);
        let codes = error_codes(&response.printed);
        // The rest of such an answer is passed over.
        if response.key == ApiKey::ApiVersions && codes.contains(&"35") {
            return;
        }
        let count = i64::try_from(codes.len()).unwrap();
        assert_eq!(frames::integer(&seen, "kafka.error_count").unwrap_or(0), count, "{what}");
        assert_eq!(seen.code.is_some_and(|code| code != 0), count > 0, "{what}");
        if count > 0 {
            assert!(codes.contains(&seen.code.unwrap().to_string().as_str()), "{what}");
        }
        checked += 1;
        failed += i32::from(count > 0);
    });
    assert!(checked > 3000 && failed > 1000, "{checked} checked, {failed} with errors");
}

#[test]
fn random_requests_are_read_to_their_end_in_every_api_and_version() {
    let (mut checked, mut with_topics) = (0, 0);
    each_request(|request| {
        let what = format!("{:?} {}: {}", request.key, request.version, request.printed);
        let seen = frames::only(frames::asked(request.key, request.version, &request.body).run());
        // The records of a random Produce request are none.
        if request.key != ApiKey::Produce {
            check_complete(&seen, &what);
        }
        let found = frames::list(&seen, "kafka.topics");
        // Ids are told from these names, which are of control characters.
        for name in found.iter().filter(|name| name.chars().all(|c| c < ' ')) {
            assert!(request.printed.contains(&format!("{name:?}")), "{name:?} is not in {what}");
        }
        checked += 1;
        with_topics += i32::from(!found.is_empty());
    });
    assert!(checked > 3000 && with_topics > 300, "{checked} checked, {with_topics} with topics");
}
