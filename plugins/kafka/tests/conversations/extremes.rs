//! What is long, many or refused: a message of 100 MB, 10,000 requests in flight, SASL, versions that the broker or the
//! plugin does not know, answers that never come.

use protap_plugin::testing::{Completeness, Seen, Value};
use protap_plugin::{Direction, Kind, Status};

use crate::frames::{replay, request, response};

#[test]
fn a_message_of_100_mb_costs_its_header() {
    const BODY: u32 = 100 << 20;
    let batch_len = (49 + BODY).to_be_bytes();
    let header =
        [&[0_u8; 8] as &[u8], &batch_len, &[0, 0, 0, 0, 2, 1, 2, 3, 4, 0, 1, 0, 0, 0, 6], &[0; 30], &[0, 0, 0, 7]]
            .concat();
    assert_eq!(header.len(), 61);
    let before =
        [b"\xff\xff\0\x01\0\0\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03" as &[u8], &(61 + BODY).to_be_bytes()].concat();
    let head = [b"\0\0\0\x03\0\0\0\x09\0\x02me" as &[u8], &before, &header].concat();
    let size = u32::try_from(head.len()).unwrap() + BODY;
    // The records were not captured, or came and were passed over: no difference.
    let kept = [&size.to_be_bytes()[..], &head, &vec![0xaa; 1 << 20]].concat();
    let report = replay()
        .to_server(&kept)
        .gap(Direction::ToServer, u64::from(BODY) - (1 << 20))
        .to_server(request(18, 0, 10, &[]))
        .to_client(response(9, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"))
        .run();
    assert_eq!(report.losses, []);
    let [produce, versions, answer] = &report.messages[..] else { panic!("{:?}", report.messages) };
    assert_eq!((produce.end - produce.start, produce.completeness), (u64::from(size) + 4, Completeness::Full));
    assert_eq!(produce.attribute("messaging.batch.message_count"), Some(&Value::from(7)));
    assert_eq!(produce.attribute("kafka.record_bytes"), Some(&Value::from(i64::from(61 + BODY))));
    assert_eq!(versions.type_name, "ApiVersions");
    assert_eq!((answer.exception.as_str(), answer.status), ("MESSAGE_TOO_LARGE", Status::ClientError));
}

#[test]
fn ten_thousand_requests_in_flight_are_answered_in_any_order() {
    let requests: Vec<u8> = (0..10_000).flat_map(|id| request(12, 0, id, b"\0\x01g\0\0\0\0\0\0")).collect();
    // 7 is prime to 10,000: every id once, far from the order in which they were asked for.
    let codes = |id: u32| if id.is_multiple_of(2) { [0, 0] } else { [0, 27] };
    let answers: Vec<u8> = (0..10_000).map(|i| i * 7 % 10_000).flat_map(|id| response(id, &codes(id))).collect();
    let report = replay().to_server(requests).to_client(answers).run();
    assert_eq!((report.messages.len(), report.unanswered), (20_000, 0));
    let answered = report.messages.iter().filter(|seen| seen.kind == Kind::Response);
    for seen in answered {
        let code = if seen.id.unwrap().is_multiple_of(2) { 0 } else { 27 };
        assert_eq!((seen.code, seen.answers.as_deref()), (Some(code), Some("Heartbeat")));
    }
}

#[test]
fn what_a_closing_broker_does_not_answer_stays_unanswered() {
    let report = replay()
        .to_server([request(12, 0, 1, b"\0\x01g\0\0\0\0\0\0"), request(12, 0, 2, b"\0\x01g\0\0\0\0\0\0")].concat())
        .to_client(response(1, &[0, 16]))
        .end(Direction::ToClient)
        .end(Direction::ToServer)
        .run();
    assert_eq!(report.unanswered, 1);
    assert_eq!(report.messages[2].exception, "NOT_COORDINATOR");
    assert_eq!(report.messages[2].attribute("kafka.error_retriable"), Some(&Value::Bool(true)));
}

#[test]
fn the_mechanism_of_an_authentication_is_known_from_its_handshake() {
    let mechanism = |name: &[u8]| {
        let name = [&u16::try_from(name.len()).unwrap().to_be_bytes()[..], name].concat();
        let report = replay()
            .to_server(request(17, 1, 1, &name))
            .to_client(response(1, b"\0\0\0\0\0\x01\0\x05PLAIN"))
            .to_server(request(36, 0, 2, b"\0\0\0\x0c\0user\0secret"))
            .to_client(response(2, b"\0\0\xff\xff\0\0\0\0"))
            .run();
        assert!(!format!("{report:?}").contains("secret"));
        report.messages.iter().rfind(|seen| seen.type_name == "SaslAuthenticate").unwrap().clone()
    };
    let seen = mechanism(b"SCRAM-SHA-512");
    assert_eq!(seen.attribute("kafka.sasl_mechanism"), Some(&Value::from("SCRAM-SHA-512")));
    assert_eq!(seen.completeness, Completeness::Full);
    assert_eq!(mechanism(b"my-own").attribute("kafka.sasl_mechanism"), None);
}

#[test]
fn coordinators_are_sought_for_groups_and_transactions() {
    let seen =
        |version, body: &[u8]| replay().to_server(request(10, version, 1, body)).split_sweep().messages.remove(0);
    let group = |seen: &Seen| seen.attribute("messaging.consumer.group.name").cloned();
    let transaction = |seen: &Seen| seen.attribute("kafka.transactional_id").cloned();
    let found = seen(0, b"\0\x01g");
    assert_eq!((group(&found), transaction(&found), found.resource.as_str()), (Some(Value::from("g")), None, "g"));
    let found = seen(1, b"\0\x01t\x01");
    assert_eq!((group(&found), transaction(&found), found.resource.as_str()), (None, Some(Value::from("t")), "t"));
    // Tagged fields of the header, type, two keys, tagged fields.
    let found = seen(4, b"\0\x00\x03\x02a\x02b\0");
    assert_eq!(found.attribute("kafka.groups"), Some(&Value::List(vec!["a".to_owned(), "b".to_owned()])));
    let found = seen(6, b"\0\x02\x02\x02s\0");
    assert_eq!((group(&found), transaction(&found)), (None, None));
    assert_eq!(found.attribute("kafka.coordinator_type"), Some(&Value::from("share")));
}

#[test]
fn a_version_that_is_not_known_is_named() {
    let report = replay()
        .to_server(request(1, 19, 5, b"\0what"))
        .to_client(response(5, b"\0ever"))
        .to_server(request(18, 6, 6, b"\0\x02a\x021\0"))
        .to_client(response(6, &[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]))
        .to_server(request(18, 0, 7, b""))
        .to_client(response(7, &[0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]))
        .run();
    let reasons: Vec<_> = report.messages.iter().map(|seen| seen.reason.as_str()).collect();
    let (fetch, versions) = ("Fetch v19: version not known", "ApiVersions v6: version not known");
    assert_eq!(reasons, [fetch, fetch, versions, "", "", ""]);
    assert_eq!((report.messages[3].code, report.messages[5].code), (Some(35), Some(0)));
}

#[test]
fn requests_that_the_broker_may_hold_back_are_long_polls() {
    // Fetch that waits, and one that does not; JoinGroup; SyncGroup; Heartbeat; ShareFetch.
    let fetch = |wait: u8| [b"\xff\xff\xff\xff\0\0\0" as &[u8], &[wait], b"\0\0\0\x01\0\0\0\0"].concat();
    let share = b"\0\x02g\x02m\0\0\0\0\0\0\0\x64\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\0";
    let cases: [(i16, i16, &[u8], bool); 5] = [
        (1, 0, &fetch(100), true),
        (1, 0, &fetch(0), false),
        (11, 0, b"\0\x01g\0\0\0\0\0\x01m\0\0\0\0\0\0", true),
        (12, 0, b"\0\x01g\0\0\0\0\0\0", false),
        (78, 1, share, true),
    ];
    for (key, version, body, is_long) in cases {
        let seen = replay().to_server(request(key, version, 1, body)).run().messages.remove(0);
        assert_eq!((seen.is_long_poll, seen.completeness), (is_long, Completeness::Full), "{key}: {}", seen.reason);
    }
}
