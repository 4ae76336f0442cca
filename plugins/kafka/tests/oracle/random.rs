//! Random messages of every API and version: the crate makes a message of random bytes, writes it in each version, and
//! reads it back. The plugin must read it to its end, and find the errors that the crate prints.

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use protap_plugin::testing::{Completeness, Seen};

use crate::frames;

pub(crate) const SEEDS: u64 = 300;

/// Bytes of which most things can be read in a flexible version: all counts and lengths are small.
pub(crate) fn bytes(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        [0, 0, 0, 1, 1, 2, 2, 3][usize::try_from(state >> 40 & 7).unwrap()]
    };
    (0..2000).map(|_| next()).collect()
}

/// The values of the fields of that name in the form in which a message is printed, in order.
fn printed<'a>(message: &'a str, field: &str) -> Vec<&'a str> {
    message.split(field).skip(1).map(|rest| rest.split([',', ' ', ')', '}']).next().unwrap()).collect()
}

fn check_complete(seen: &Seen, what: &str) {
    let is_header = seen.completeness == Completeness::Header && seen.reason == "body not decoded";
    assert!(seen.completeness == Completeness::Full || is_header, "{what}: {:?} {}", seen.completeness, seen.reason);
}

#[test]
fn errors_of_random_responses_are_found_in_every_api_and_version() {
    let (mut checked, mut failed) = (0, 0);
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for seed in 0..SEEDS {
            let Ok(response) = ResponseKind::decode(key, &mut bytes(seed), versions.max) else { continue };
            for version in versions.min..=versions.max {
                let Some(body) = frames::response_body(&response, version) else { continue };
                let Ok(as_read) = ResponseKind::decode(key, &mut body.clone(), version) else { continue };
                let as_read = format!("{as_read:?}");
                let what = format!("{key:?} {version}: {as_read}");
                let seen = frames::response(frames::answered(key, version, &body).run());
                check_complete(&seen, &what);
                // Detail beside the error of a topic, in a tagged field.
                let without_tagged = as_read.replace("topic_config_error_code: ", "");
                let mut codes = printed(&without_tagged, "error_code: ");
                codes.retain(|code| *code != "0");
                // The rest of such an answer is passed over.
                if key == ApiKey::ApiVersions && codes.contains(&"35") {
                    continue;
                }
                let count = i64::try_from(codes.len()).unwrap();
                assert_eq!(frames::integer(&seen, "kafka.error_count").unwrap_or(0), count, "{what}");
                assert_eq!(seen.code.is_some_and(|code| code != 0), count > 0, "{what}");
                if count > 0 {
                    assert!(codes.contains(&seen.code.unwrap().to_string().as_str()), "{what}");
                }
                checked += 1;
                failed += i32::from(count > 0);
            }
        }
    }
    assert!(checked > 3000 && failed > 1000, "{checked} checked, {failed} with errors");
}

#[test]
fn random_requests_are_read_to_their_end_in_every_api_and_version() {
    let (mut checked, mut with_topics) = (0, 0);
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for seed in 0..SEEDS {
            let Ok(request) = RequestKind::decode(key, &mut bytes(seed), versions.max) else { continue };
            for version in versions.min..=versions.max {
                let Some(body) = frames::request_body(&request, version) else { continue };
                let Ok(as_read) = RequestKind::decode(key, &mut body.clone(), version) else { continue };
                let as_read = format!("{as_read:?}");
                let what = format!("{key:?} {version}: {as_read}");
                let seen = frames::only(frames::asked(key, version, &body).run());
                // The records of a random Produce request are none.
                if key != ApiKey::Produce {
                    check_complete(&seen, &what);
                }
                let found = frames::list(&seen, "kafka.topics");
                // Ids are told from these names, which are of control characters.
                for name in found.iter().filter(|name| name.chars().all(|c| c < ' ')) {
                    assert!(as_read.contains(&format!("{name:?}")), "{name:?} is not in {what}");
                }
                checked += 1;
                with_topics += i32::from(!found.is_empty());
            }
        }
    }
    assert!(checked > 3000 && with_topics > 300, "{checked} checked, {with_topics} with topics");
}
