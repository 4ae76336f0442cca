//! What the plugin makes of old versions, of what it does not know, of lies and of losses.

use protap_plugin::testing::{Completeness, Value};
use protap_plugin::{Direction, Kind, Status};

use crate::frames::{frame, replay, request, response, state, swept};

/// A message set of two messages and the wrapper of a compressed one.
const MESSAGE_SET: &[u8] = b"\
    \0\0\0\0\0\0\0\0\0\0\0\x0f\x01\x02\x03\x04\0\0\xff\xff\xff\xff\0\0\0\x01a\
    \0\0\0\0\0\0\0\x01\0\0\0\x17\x01\x02\x03\x04\x01\0\x11\x11\x11\x11\x11\x11\x11\x11\xff\xff\xff\xff\0\0\0\x01b";

#[test]
fn old_produce_versions_are_decoded() {
    for version in 0..=2 {
        let set = [&u32::try_from(MESSAGE_SET.len()).unwrap().to_be_bytes()[..], MESSAGE_SET].concat();
        let body = [b"\0\x01\0\0\x05\xdc\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x09", &set[..]].concat();
        let time: &[u8] = if version >= 2 { &[0xff; 8] } else { &[] };
        let throttle: &[u8] = if version >= 1 { &[0, 0, 0, 5] } else { &[] };
        let answer = [b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x09\0\x03\0\0\0\0\0\0\0\x2a", time, throttle].concat();
        let replay = replay().to_server(request(0, version, 7, &body)).to_client(response(7, &answer));
        let messages = swept(&replay);
        let [asked, answered] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(state(asked), ("Produce", Completeness::Full, ""));
        assert_eq!((asked.resource.as_str(), asked.attribute("kafka.acks")), ("t", Some(&Value::from(1))));
        assert_eq!(asked.attribute("messaging.destination.partition.id"), Some(&Value::from("9")));
        assert_eq!(asked.attribute("messaging.batch.message_count"), Some(&Value::from(2)));
        assert_eq!(
            (answered.status, answered.code, answered.completeness),
            (Status::ClientError, Some(3), Completeness::Full)
        );
        assert_eq!(answered.exception, "UNKNOWN_TOPIC_OR_PARTITION");
    }
}

#[test]
fn old_fetch_versions_are_decoded() {
    for version in 0..=3 {
        let most: &[u8] = if version >= 3 { &[0, 1, 0, 0] } else { &[] };
        let head = [b"\xff\xff\xff\xff\0\0\0\x64\0\0\0\x01", most].concat();
        let body = [&head, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\x10\0" as &[u8]].concat();
        let throttle: &[u8] = if version >= 1 { &[0, 0, 0, 5] } else { &[] };
        let set = [&u32::try_from(MESSAGE_SET.len()).unwrap().to_be_bytes()[..], MESSAGE_SET].concat();
        let answer = [throttle, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x09", &set].concat();
        let replay = replay().to_server(request(1, version, 8, &body)).to_client(response(8, &answer));
        let messages = replay.split_sweep().messages;
        let [asked, answered] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!((state(asked), asked.is_long_poll), (("Fetch", Completeness::Full, ""), true));
        assert_eq!(asked.attribute("messaging.kafka.offset"), Some(&Value::from(7)));
        assert_eq!((answered.status, answered.completeness), (Status::Ok, Completeness::Full));
        assert_eq!(answered.attribute("messaging.batch.message_count"), Some(&Value::from(2)));
    }
}

#[test]
fn versions_that_kafka_4_removed_are_decoded() {
    // API, version, answer to it, and the error in it.
    let cases: [(i16, i16, &[u8], i64); 8] = [
        (2, 0, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\x03\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 3),
        (8, 0, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\x0c", 12),
        (19, 0, b"\0\0\0\x01\0\x01t\0\x24", 36),
        (20, 0, b"\0\0\0\x01\0\x01t\0\x29", 41),
        (23, 0, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0\0\0\0\x07", 6),
        (4, 3, b"\0\x0b\0\0\0\x01\0\x01t\0\0\0\0\0\x0b", 11),
        (5, 1, b"\0\0\0\0\0\x01\0\x01t\0\0\0\0\0\x09", 9),
        (7, 1, b"\0\x08\0\0\0\0", 8),
    ];
    for (key, version, body, code) in cases {
        let messages = replay().to_server(request(key, version, 1, &[])).to_client(response(1, body)).run().messages;
        let answered = messages.last().unwrap();
        assert_eq!(
            (answered.code, answered.completeness),
            (Some(code), Completeness::Full),
            "{key}: {}",
            answered.reason
        );
    }
}

#[test]
fn commits_name_their_group_and_topics_in_old_and_new_versions() {
    let head = b"\0\x01g\0\0\0\x03\0\x01m";
    let body: [&[u8]; 3] = [
        b"\0\x01g\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff",
        b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\0\0\0\0\x09\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff",
    ];
    for (version, body) in (0..).zip(body) {
        let body = if version == 0 { body.to_vec() } else { [&head[..], body].concat() };
        let messages = swept(&replay().to_server(request(8, version, 1, &body)));
        assert_eq!(state(&messages[0]), ("OffsetCommit", Completeness::Full, ""));
        assert_eq!(messages[0].resource, "t");
        assert_eq!(messages[0].attribute("messaging.consumer.group.name"), Some(&Value::from("g")));
        assert_eq!(messages[0].attribute("messaging.operation.type"), Some(&Value::from("settle")));
    }
}

#[test]
fn what_is_not_known_is_still_paired() {
    let unknown_api = replay().to_server(request(500, 3, u32::MAX, b"what")).to_client(response(u32::MAX, b"ever"));
    let messages = swept(&unknown_api);
    assert_eq!(state(&messages[0]), ("Unknown(500)", Completeness::Header, "unknown API"));
    assert_eq!((messages[0].version.as_str(), messages[0].id), ("3", Some(u64::from(u32::MAX))));
    assert_eq!(messages[1].answers.as_deref(), Some("Unknown(500)"));
    assert_eq!((messages[1].status, messages[1].code), (Status::Unknown, None));

    let unknown_version = replay().to_server(request(0, 99, 5, b"\0what")).to_client(response(5, b"\0ever"));
    let messages = swept(&unknown_version);
    assert_eq!(state(&messages[0]), ("Produce", Completeness::Header, "Produce v99: version not known"));
    assert_eq!(messages[0].attribute("messaging.client.id"), Some(&Value::from("me")));
    assert_eq!((messages[1].status, messages[1].reason.as_str()), (Status::Unknown, "Produce v99: version not known"));

    let messages = swept(&replay().to_client(response(5, b"\0\0")));
    assert_eq!(state(&messages[0]), ("", Completeness::Header, "request not seen"));
    assert_eq!((messages[0].kind, messages[0].id), (Kind::Response, Some(5)));
}

#[test]
fn answers_are_told_apart_by_their_ids() {
    let report = replay()
        .to_server(request(12, 0, 1, b"\0\x01g\0\0\0\0\0\0"))
        .to_server([request(3, 1, 2, b"\xff\xff\xff\xff"), request(12, 0, 3, b"\0\x01g\0\0\0\0\0\0")].concat())
        .to_client([response(3, &[0, 27]), response(2, &[0; 12]), response(1, &[0, 0])].concat())
        .run();
    let answers: Vec<_> = report.messages[3..].iter().map(|seen| (seen.answers.as_deref(), seen.code)).collect();
    assert_eq!(answers, [(Some("Heartbeat"), Some(27)), (Some("Metadata"), Some(0)), (Some("Heartbeat"), Some(0))]);
    assert_eq!(report.messages[0].resource, "g");
}

#[test]
fn malformed_bodies_cost_only_themselves() {
    let bodies: [(&[u8], &str); 5] = [
        (b"\0\x01\0\0\0\0\x7f\xff\xff\xff", "an array longer than its frame"),
        (b"\0\x01\0\0\0\0\0\0\0\x01\x7f\xfft", "a topic name of more than 249 bytes"),
        (b"\0\x01\0\0\0\0\0\0\0\x01\0\x02t", "a field beyond its frame's end"),
        (b"\0\x01\0\0\0\0\0\0\0\x01\xff\xfet", "a negative length"),
        (
            b"\0\x01\0\0\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\x7f\xff\xff\xff\0\0\0\0",
            "records beyond their frame's end",
        ),
    ];
    for (body, reason) in bodies {
        let replay = replay()
            .to_server([request(0, 0, 1, body), request(18, 0, 2, &[])].concat())
            .to_client(response(1, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x09\0\x06\0\0\0\0\0\0\0\x2a"));
        let messages = swept(&replay);
        assert_eq!(state(&messages[0]), ("Produce", Completeness::Header, reason));
        assert_eq!(state(&messages[1]), ("ApiVersions", Completeness::Full, ""));
        assert_eq!(messages[2].exception, "NOT_LEADER_OR_FOLLOWER");
    }
}

#[test]
fn trailing_bytes_make_a_body_partial() {
    let messages = swept(&replay().to_server(request(18, 0, 1, b"more")));
    assert_eq!(state(&messages[0]), ("ApiVersions", Completeness::Partial, "bytes after the body"));
}

#[test]
fn an_error_counts_although_the_rest_of_the_response_is_lost() {
    let answer =
        b"\0\0\0\x02\0\x01t\0\0\0\x01\0\0\0\x09\0\x06\0\0\0\0\0\0\0\x2a\0\x01u\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let sent = response(1, answer);
    for (kept, status) in [(20, Status::Unknown), (30, Status::ServerError)] {
        let report = replay()
            .to_server([request(0, 0, 1, &[]), request(18, 0, 2, &[])].concat())
            .to_client(&sent[..kept])
            .gap(Direction::ToClient, (sent.len() - kept) as u64)
            .to_client(response(2, b"\0\0\0\0\0\0"))
            .run();
        let [.., produced, versions] = &report.messages[..] else { panic!("{report:?}") };
        assert_eq!((produced.status, produced.completeness), (status, Completeness::Partial));
        assert_eq!((versions.status, versions.answers.as_deref()), (Status::Ok, Some("ApiVersions")));
    }
}

#[test]
fn sasl_tokens_are_passed_over_and_never_emitted() {
    let token = frame(&[b"\0user\0secret"]);
    let conversation = replay()
        .to_server(request(17, 0, 1, b"\0\x05PLAIN"))
        .to_client(response(1, b"\0\0\0\0\0\x01\0\x05PLAIN"))
        .to_server(&token)
        .to_client(frame(&[]))
        .to_server(&token)
        .to_client(frame(&[b"secret too"]))
        .to_server(request(18, 0, 2, &[]))
        .to_client(response(2, b"\0\0\0\0\0\0"));
    let messages = swept(&conversation);
    let types: Vec<_> = messages.iter().map(|seen| (seen.kind, seen.type_name.as_str())).collect();
    let token = (Kind::OneWay, "SaslToken");
    let (asked, answered) = ((Kind::Request, "SaslHandshake"), (Kind::Response, ""));
    assert_eq!(types, [asked, answered, token, token, token, token, (Kind::Request, "ApiVersions"), answered]);
    assert!(!format!("{messages:?}").contains("secret"));
    assert_eq!(messages[7].answers.as_deref(), Some("ApiVersions"));
}

#[test]
fn a_request_is_answered_once_however_its_answers_are_cut() {
    let answer = response(7, b"\0\0\0\0\0\0");
    let messages = swept(&replay().to_server(request(18, 0, 7, &[])).to_client([&answer[..], &answer].concat()));
    assert_eq!(
        messages.iter().map(state).collect::<Vec<_>>()[1..],
        [("", Completeness::Full, ""), ("", Completeness::Header, "request not seen")]
    );
}

/// A response is read when all of it is there, so that what has been asked by then depends on nothing but its last byte.
#[test]
fn what_a_response_answers_does_not_depend_on_where_it_is_cut() {
    let answer = response(7, b"\0\0\0\0\0\0");
    let cut_at = |first: usize, second: usize| {
        let begun = replay().to_client(&answer[..first]).to_client(&answer[first..second]);
        begun.to_server(request(18, 0, 7, &[])).to_client(&answer[second..]).run().messages
    };
    let expected = cut_at(1, 2);
    assert_eq!(expected.iter().map(|seen| seen.kind).collect::<Vec<_>>(), [Kind::Request, Kind::Response]);
    for second in 2..answer.len() {
        for first in 1..second {
            assert_eq!(cut_at(first, second), expected, "{first}, {second}");
        }
    }
}

#[test]
fn secrets_in_bodies_are_never_emitted() {
    let authenticate = replay()
        .to_server(request(36, 0, 1, b"\0\0\0\x0c\0user\0secret"))
        .to_client(response(1, b"\0\x3a\0\x06secret\0\0\0\x06secret"));
    let messages = swept(&authenticate);
    assert_eq!(messages[1].exception, "SASL_AUTHENTICATION_FAILED");
    assert!(!format!("{messages:?}").contains("secret"));
}

#[test]
fn after_a_loss_both_directions_are_found_again() {
    let many = |from: u32| (from..from + 40).map(|id| request(12, 0, id, b"\0\x01g\0\0\0\0\0\0")).collect::<Vec<_>>();
    let answers = |from: u32| (from..from + 40).map(|id| response(id, &[0, 27])).collect::<Vec<_>>();
    let (first, lost, last) = (many(1).concat(), many(41).concat(), many(81).concat());
    let report = replay()
        .to_server(&first)
        .to_client(answers(1).concat())
        .to_server(&lost[..100])
        .gap(Direction::ToServer, (lost.len() - 100) as u64 + 3)
        .to_client(&answers(41).concat()[..100])
        .gap(Direction::ToClient, 300 + 5)
        .to_server(&last[3..])
        .to_client(&answers(81).concat()[5..])
        .run();
    let answered = report.messages.iter().filter(|seen| seen.answers.is_some()).count();
    assert!(answered >= 40 + 36, "{answered} of {:?}", report.losses);
    assert!(report.messages.iter().all(|seen| seen.kind != Kind::Response || seen.code != Some(0)));
}
