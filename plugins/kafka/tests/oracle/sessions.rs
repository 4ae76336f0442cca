//! Fetch sessions (KIP-227), in requests and responses that the crate writes.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse, RequestKind, ResponseKind, TopicName};
use protap_plugin::Direction;
use protap_plugin::testing::{Replay, Seen, Value};
use uuid::Uuid;

use crate::frames::{self, integer, list, text};

/// A topic of that name, or id, and some of its partitions.
fn topic(name: &str, id: u128, partitions: &[i32]) -> FetchTopic {
    let partitions = partitions.iter().map(|index| FetchPartition::default().with_partition(*index)).collect();
    let topic = FetchTopic::default().with_topic(TopicName(text(name))).with_topic_id(Uuid::from_u128(id));
    topic.with_partitions(partitions)
}

fn request(version: i16, session: (i32, i32), topics: Vec<FetchTopic>, forgotten: &[i32]) -> Vec<u8> {
    let (id, epoch) = session;
    let orders = ForgottenTopic::default().with_topic(TopicName(text("orders"))).with_topic_id(Uuid::from_u128(1));
    let forgotten = if forgotten.is_empty() { vec![] } else { vec![orders.with_partitions(forgotten.to_vec())] };
    let request = FetchRequest::default().with_session_id(id).with_session_epoch(epoch).with_topics(topics);
    let request = request.with_forgotten_topics_data(forgotten);
    let body = frames::request_body(&RequestKind::Fetch(request), version).unwrap();
    frames::request_frame(ApiKey::Fetch, version, &body)
}

fn response(version: i16, id: i32, topics: &[&str]) -> Vec<u8> {
    let topic = |name: &&str| {
        let topic =
            FetchableTopicResponse::default().with_topic(TopicName(text(name))).with_topic_id(Uuid::from_u128(1));
        topic.with_partitions(vec![PartitionData::default()])
    };
    let response = FetchResponse::default().with_session_id(id).with_responses(topics.iter().map(topic).collect());
    let body = frames::response_body(&ResponseKind::Fetch(response), version).unwrap();
    frames::response_frame(ApiKey::Fetch, version, &body)
}

/// Topics and number of partitions of the last request, and whether they are its session's.
fn last(replay: &Replay) -> (Vec<String>, Option<i64>, Option<Value>) {
    let report = replay.split_sweep();
    let request = report.messages.iter().rfind(|seen| !seen.type_name.is_empty()).unwrap();
    let is_of_session = request.attribute("kafka.topics_of_session").cloned();
    (list(request, "kafka.topics"), integer(request, "kafka.partition_count"), is_of_session)
}

/// A session of three partitions, and its first increment of none.
fn begun(version: i16) -> Replay {
    let topics = vec![topic("orders", 1, &[0, 1]), topic("payments", 2, &[0])];
    Replay::new::<kafka::Plugin>()
        .to_server(request(version, (0, 0), topics, &[]))
        .to_client(response(version, 7, &["orders"]))
        .to_server(request(version, (7, 1), vec![], &[]))
        .to_client(response(version, 7, &[]))
}

fn names(version: i16) -> [String; 2] {
    if version < 13 { ["orders", "payments"] } else { ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"] }
        .map(str::to_owned)
}

#[test]
fn an_empty_request_gets_the_topics_of_its_session() {
    for version in 7..=18 {
        let of_session = Some(Value::Bool(true));
        assert_eq!(last(&begun(version)), (names(version).to_vec(), Some(3), of_session), "version {version}");
        let seen = &begun(version).run().messages[2];
        assert_eq!(seen.resource, names(version)[0]);
        assert_eq!(seen.resource_facts.as_deref(), (version >= 13).then_some("topic_id"));
        assert_eq!(integer(seen, "kafka.fetch_session_id"), Some(7));
        assert_eq!(integer(seen, "kafka.fetch_session_epoch"), Some(1));
    }
}

#[test]
fn increments_add_to_a_session_and_take_from_it() {
    for version in [7, 12, 13, 18] {
        let replay = begun(version)
            .to_server(request(version, (7, 2), vec![topic("payments", 2, &[0, 5])], &[0, 1]))
            .to_client(response(version, 7, &[]));
        let [_, payments] = names(version);
        assert_eq!(last(&replay), (vec![payments.clone()], Some(2), None), "it names topics itself");
        let replay = replay.to_server(request(version, (7, 3), vec![], &[]));
        assert_eq!(last(&replay), (vec![payments], Some(2), Some(Value::Bool(true))));
    }
}

#[test]
fn topics_with_data_replace_those_of_the_session() {
    let replay = begun(12).to_server(request(12, (7, 2), vec![], &[])).to_client(response(12, 7, &["payments"]));
    let answer: Seen = replay.run().messages.pop().unwrap();
    assert_eq!((list(&answer, "kafka.topics"), answer.resource.as_str()), (vec!["payments".to_owned()], "payments"));
    assert_eq!(answer.attribute("kafka.topics_of_session"), Some(&Value::Bool(false)));
}

#[test]
fn a_session_that_is_not_known_gives_no_topics() {
    let none = (vec![], None, None);
    // Another id, an epoch that was skipped, a session that began before the capture did, one that was refused or closed.
    assert_eq!(last(&begun(12).to_server(request(12, (8, 2), vec![], &[]))), none);
    assert_eq!(last(&begun(12).to_server(request(12, (7, 3), vec![], &[]))), none);
    assert_eq!(last(&Replay::new::<kafka::Plugin>().to_server(request(12, (7, 2), vec![], &[]))), none);
    let refused = Replay::new::<kafka::Plugin>()
        .to_server(request(12, (0, 0), vec![topic("orders", 1, &[0])], &[]))
        .to_client(response(12, 0, &[]));
    assert_eq!(last(&refused.to_server(request(12, (7, 1), vec![], &[]))), none);
    let closed = begun(12).to_server(request(12, (7, -1), vec![topic("orders", 1, &[0])], &[]));
    assert_eq!(last(&closed.to_server(request(12, (7, 2), vec![], &[]))), none);
}

#[test]
fn a_request_that_was_lost_ends_what_is_known_of_the_session() {
    let lost = request(12, (7, 2), vec![topic("more", 3, &[0])], &[]);
    let replay = begun(12)
        .to_server(&lost[..20])
        .gap(Direction::ToServer, (lost.len() - 20) as u64)
        .to_server(request(12, (7, 3), vec![], &[]));
    let report = replay.run();
    assert_eq!(report.messages.last().unwrap().attribute("kafka.topics_of_session"), None);
}

#[test]
fn sessions_of_many_topics_or_partitions_are_not_followed() {
    let many: Vec<_> = (0..33).map(|i| topic(&format!("topic-{i}"), i + 1, &[0])).collect();
    let long = vec![topic("orders", 1, &(0..1025).collect::<Vec<_>>())];
    let fits: Vec<_> = (0..32).map(|i| topic(&format!("topic-{i}"), i + 1, &(0..32).collect::<Vec<_>>())).collect();
    for (topics, partitions) in [(many, None), (long, None), (fits, Some(1024))] {
        let replay = Replay::new::<kafka::Plugin>()
            .to_server(request(12, (0, 0), topics, &[]))
            .to_client(response(12, 7, &[]))
            .to_server(request(12, (7, 1), vec![], &[]));
        let seen = replay.run().messages.pop().unwrap();
        assert_eq!(integer(&seen, "kafka.partition_count"), partitions);
    }
}
