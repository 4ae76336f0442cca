//! Metadata and ApiVersions, all versions.

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, MetadataRequest, MetadataResponse, RequestKind,
    ResponseKind, TopicName,
};
use protap_plugin::Status;
use protap_plugin::testing::{Completeness, SeenFact, Value};
use uuid::Uuid;

use crate::frames::{self, integer, list, text};

fn topic(name: &str, id: u128, error: i16, partition_error: i16) -> MetadataResponseTopic {
    let partition = MetadataResponsePartition::default()
        .with_error_code(partition_error)
        .with_leader_id(BrokerId(1))
        .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
        .with_isr_nodes(vec![BrokerId(1)])
        .with_offline_replicas(vec![BrokerId(2)]);
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(Uuid::from_u128(id))
        .with_error_code(error)
        .with_partitions(vec![partition.clone(), partition])
}

fn response(version: i16, topics: Vec<MetadataResponseTopic>, error: i16) -> Vec<u8> {
    let broker = MetadataResponseBroker::default().with_host(text("broker-1")).with_rack(Some(text("rack")));
    let response = MetadataResponse::default()
        .with_throttle_time_ms(1)
        .with_brokers(vec![broker.clone(), broker.clone(), broker])
        .with_cluster_id(Some(text("cluster")))
        .with_topics(topics);
    let response = if version >= 13 { response.with_error_code(error) } else { response };
    frames::response_body(&ResponseKind::Metadata(response), version).unwrap().to_vec()
}

#[test]
fn metadata_requests_name_their_topics_in_any_version() {
    for version in 0..=13 {
        let topic = |name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request = MetadataRequest::default().with_topics(Some(vec![topic("orders"), topic("payments")]));
        let body = frames::request_body(&RequestKind::Metadata(request), version).unwrap();
        let replay = frames::asked(ApiKey::Metadata, version, &body);
        let seen = frames::only(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.resource.as_str(), seen.completeness), ("orders", Completeness::Full), "{}", seen.reason);
        assert_eq!(list(&seen, "kafka.topics"), ["orders", "payments"]);
    }
}

#[test]
fn metadata_responses_report_errors_of_topics_and_partitions_in_any_version() {
    for version in 0..=13 {
        let body = response(version, vec![topic("orders", 1, 0, 5), topic("payments", 2, 3, 0)], 0);
        let replay = frames::answered(ApiKey::Metadata, version, &body);
        let seen = frames::response(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.status, seen.code, seen.completeness), (Status::ServerError, Some(5), Completeness::Full));
        assert_eq!(list(&seen, "kafka.errors"), ["LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PARTITION"]);
        let names = ["kafka.broker_count", "kafka.topic_count", "kafka.partition_count"];
        assert_eq!(names.map(|name| integer(&seen, name)), [Some(3), Some(2), Some(4)]);
    }
    let body = response(13, vec![topic("orders", 1, 0, 0)], 31);
    let seen = frames::response(frames::answered(ApiKey::Metadata, 13, &body).run());
    assert_eq!((seen.status, seen.exception.as_str()), (Status::ClientError, "CLUSTER_AUTHORIZATION_FAILED"));
}

#[test]
fn metadata_responses_teach_all_topic_ids() {
    let names: Vec<_> = (1..=3000).map(|i| format!("topic-{i}")).collect();
    let topics = names.iter().zip(1..).map(|(name, id)| topic(name, id, 0, 0)).collect();
    let report = frames::answered(ApiKey::Metadata, 12, &response(12, topics, 0)).run();
    let taught: Vec<_> = report.facts.iter().map(|fact| fact.value.as_str()).collect();
    assert_eq!(taught, names);
    let first = SeenFact {
        namespace: "topic_id".to_owned(),
        key: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
        value: "topic-1".to_owned(),
    };
    assert_eq!(report.facts.first(), Some(&first));
    assert_eq!(frames::response(report).completeness, Completeness::Full);
    let report = frames::answered(ApiKey::Metadata, 12, &response(12, vec![topic("no legal name!", 1, 0, 0)], 0)).run();
    assert_eq!(report.facts, []);
}

#[test]
fn api_versions_are_decoded_in_any_version() {
    for version in 0..=4 {
        let request = match version {
            3.. => ApiVersionsRequest::default()
                .with_client_software_name(text("a-client"))
                .with_client_software_version(text("1.2.3")),
            _ => ApiVersionsRequest::default(),
        };
        let body = frames::request_body(&RequestKind::ApiVersions(request), version).unwrap();
        let replay = frames::asked(ApiKey::ApiVersions, version, &body);
        let seen = frames::only(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!(seen.completeness, Completeness::Full, "{}", seen.reason);
        let name = (version >= 3).then(|| Value::from("a-client"));
        assert_eq!(seen.attribute("kafka.client_software_name"), name.as_ref());
        let apis = vec![ApiVersion::default(), ApiVersion::default().with_api_key(18)];
        let response = ApiVersionsResponse::default().with_api_keys(apis);
        let body = frames::response_body(&ResponseKind::ApiVersions(response), version).unwrap();
        let replay = frames::answered(ApiKey::ApiVersions, version, &body);
        let seen = frames::response(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.status, seen.completeness), (Status::Ok, Completeness::Full), "{}", seen.reason);
        assert_eq!(integer(&seen, "kafka.api_count"), Some(2));
    }
}

#[test]
fn a_refused_version_of_api_versions_is_answered_in_version_0() {
    let body = [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2];
    for version in [3, 4, 5] {
        let seen = frames::response(frames::answered(ApiKey::ApiVersions, version, &body).split_sweep());
        assert_eq!((seen.status, seen.code, seen.completeness), (Status::ClientError, Some(35), Completeness::Full));
        assert_eq!(seen.exception, "UNSUPPORTED_VERSION");
    }
}
