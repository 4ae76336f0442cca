//! Fetch, every version that the crate writes (4 to 18).

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, RequestKind, ResponseKind, TopicName};
use protap_plugin::testing::{Completeness, Value};
use protap_plugin::{Direction, Status};
use uuid::Uuid;

use crate::frames::{self, integer, list, text};
use crate::records::{batch, message};

fn request(version: i16) -> FetchRequest {
    let partition = |index, offset| FetchPartition::default().with_partition(index).with_fetch_offset(offset);
    let topic =
        |name, id: u128| FetchTopic::default().with_topic(TopicName(text(name))).with_topic_id(Uuid::from_u128(id));
    let forgotten = ForgottenTopic::default()
        .with_topic(TopicName(text("forgotten")))
        .with_topic_id(Uuid::from_u128(9))
        .with_partitions(vec![1, 2]);
    let request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_topics(vec![
        topic("orders", 1).with_partitions(vec![partition(3, 100), partition(4, 200)]),
        topic("payments", 2).with_partitions(vec![partition(0, 1)]),
    ]);
    let request = if version >= 7 { request.with_forgotten_topics_data(vec![forgotten]) } else { request };
    let request = if version >= 11 { request.with_rack_id(text("rack-1")) } else { request };
    match version {
        12..15 => request.with_cluster_id(Some(text("cluster"))),
        15.. => request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(4))),
        _ => request,
    }
}

fn partition(index: i32, error: i16, records: Option<Vec<u8>>) -> PartitionData {
    let aborted = AbortedTransaction::default().with_first_offset(7);
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error)
        .with_high_watermark(1000)
        .with_aborted_transactions(Some(vec![aborted]))
        .with_records(records.map(Bytes::from))
}

fn response(version: i16, partitions: Vec<PartitionData>) -> FetchResponse {
    let topic = |name, id: u128| {
        FetchableTopicResponse::default().with_topic(TopicName(text(name))).with_topic_id(Uuid::from_u128(id))
    };
    let response = FetchResponse::default()
        .with_throttle_time_ms(3)
        .with_responses(vec![topic("orders", 1).with_partitions(partitions), topic("empty", 2)]);
    let endpoint = NodeEndpoint::default().with_host(text("broker")).with_port(9092);
    if version >= 16 { response.with_node_endpoints(vec![endpoint]) } else { response }
}

#[test]
fn a_request_of_any_version_is_decoded_however_it_is_cut() {
    for version in 4..=18 {
        let body = frames::request_body(&RequestKind::Fetch(request(version)), version).unwrap();
        let replay = frames::asked(ApiKey::Fetch, version, &body);
        let seen = frames::only(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.type_name.as_str(), seen.completeness), ("Fetch", Completeness::Full), "{}", seen.reason);
        assert!(seen.is_long_poll);
        let by_id = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"];
        let topics = if version < 13 { ["orders", "payments"] } else { by_id };
        assert_eq!(
            (list(&seen, "kafka.topics"), seen.resource.as_str()),
            (topics.map(str::to_owned).to_vec(), topics[0])
        );
        assert_eq!(integer(&seen, "kafka.partition_count"), Some(3));
        assert_eq!(integer(&seen, "messaging.kafka.offset"), Some(100));
        assert_eq!(seen.attribute("messaging.operation.name"), Some(&Value::from("poll")));
    }
}

#[test]
fn records_are_counted_and_an_error_behind_a_megabyte_of_them_is_found() {
    for version in 4..=18 {
        let partitions = vec![
            partition(3, 0, Some([batch(500, 4, 1 << 20), batch(1, 0x20, 20), batch(5, 0, 9)].concat())),
            partition(4, 1, None),
        ];
        let body = frames::response_body(&ResponseKind::Fetch(response(version, partitions)), version).unwrap();
        let seen = frames::response(frames::answered(ApiKey::Fetch, version, &body).run());
        assert_eq!((seen.status, seen.code), (Status::ClientError, Some(1)), "{}", seen.reason);
        assert_eq!((seen.exception.as_str(), seen.completeness), ("OFFSET_OUT_OF_RANGE", Completeness::Full));
        let names = ["messaging.batch.message_count", "kafka.batch_count", "kafka.throttle_time_ms"];
        assert_eq!(names.map(|name| integer(&seen, name)), [Some(505), Some(3), Some(3)]);
        assert_eq!(seen.attribute("kafka.compression"), Some(&Value::from("mixed")));
    }
}

#[test]
fn a_small_response_of_any_version_is_decoded_however_it_is_cut() {
    for version in 4..=18 {
        let partitions = vec![partition(3, 0, Some([batch(3, 1, 5), batch(2, 0, 5)[..40].to_vec()].concat()))];
        let body = frames::response_body(&ResponseKind::Fetch(response(version, partitions)), version).unwrap();
        let replay = frames::answered(ApiKey::Fetch, version, &body);
        let seen = frames::response(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.status, seen.completeness), (Status::Ok, Completeness::Full), "{}", seen.reason);
        assert_eq!(integer(&seen, "messaging.batch.message_count"), Some(3), "the last batch is cut off");
        assert_eq!(seen.attribute("kafka.compression"), Some(&Value::from("gzip")));
        // The request named no topic, as in a fetch session.
        assert_eq!(seen.resource, if version < 13 { "orders" } else { "AAAAAAAAAAAAAAAAAAAAAQ" });
        assert_eq!(seen.attribute("messaging.destination.partition.id"), Some(&Value::from("3")));
    }
}

#[test]
fn old_message_sets_in_new_responses_are_counted_as_far_as_they_can_be_seen() {
    let set = [message(0, 0, b"a"), message(1, 0, b"bc"), message(1, 2, b"a compressed set")].concat();
    let body = ResponseKind::Fetch(response(10, vec![partition(0, 0, Some(set))]));
    let body = frames::response_body(&body, 10).unwrap();
    let seen = frames::response(frames::answered(ApiKey::Fetch, 10, &body).split_sweep());
    assert_eq!((seen.status, seen.completeness), (Status::Ok, Completeness::Partial));
    assert_eq!(seen.reason, "compressed message set: messages not counted");
    assert_eq!(integer(&seen, "messaging.batch.message_count"), None, "how many there are is not known");
    assert_eq!((integer(&seen, "kafka.batch_count"), integer(&seen, "kafka.record_magic")), (Some(3), Some(0)));
}

/// What a broker sends by sendfile is lost to whoever traces the broker alone; what stands behind it is not.
#[test]
fn records_that_were_lost_hide_neither_the_next_partition_nor_its_error() {
    for version in 4..=18 {
        let lost = [batch(7, 0, 3000), batch(2, 0, 500)].concat();
        let partitions =
            vec![partition(3, 0, Some(lost.clone())), partition(4, 6, Some(batch(5, 1, 40))), partition(5, 0, None)];
        let body = frames::response_body(&ResponseKind::Fetch(response(version, partitions)), version).unwrap();
        let frame = frames::response_frame(ApiKey::Fetch, version, &body);
        let start = frame.windows(lost.len()).position(|bytes| bytes == lost).unwrap();
        for gap in [start..start + lost.len(), start..start + 1, start + 30..start + 3100] {
            let replay = frames::asked(ApiKey::Fetch, version, &[]).to_client(&frame[..gap.start]);
            let replay = replay.gap(Direction::ToClient, gap.len() as u64).to_client(&frame[gap.end..]);
            let report = replay.run();
            assert_eq!(report.messages.len(), 2, "{:?}", report.messages);
            let seen = &report.messages[1];
            assert_eq!(
                (seen.status, seen.code),
                (Status::ServerError, Some(6)),
                "v{version}, {gap:?}: {}",
                seen.reason
            );
            assert_eq!(seen.completeness, Completeness::Partial);
            assert_eq!(seen.reason, "records lost: messages not counted");
            assert_eq!(integer(seen, "kafka.partition_count"), Some(3));
            let unknown = ["messaging.batch.message_count", "kafka.batch_count", "kafka.first_offset"];
            assert_eq!(unknown.map(|name| integer(seen, name)), [None; 3]);
            assert_eq!(seen.attribute("kafka.compression"), Some(&Value::from("gzip")), "of what was seen");
        }
    }
}

#[test]
fn a_gap_that_reaches_beyond_the_records_leaves_the_status_unknown() {
    let partitions = vec![partition(3, 0, Some(batch(7, 0, 3000))), partition(4, 0, None)];
    let body = frames::response_body(&ResponseKind::Fetch(response(11, partitions)), 11).unwrap();
    let frame = frames::response_frame(ApiKey::Fetch, 11, &body);
    let start = frame.windows(4).position(|bytes| bytes == [0xaa; 4]).unwrap();
    let replay = frames::asked(ApiKey::Fetch, 11, &[]).to_client(&frame[..start]);
    let replay = replay.gap(Direction::ToClient, 3004).to_client(&frame[start + 3004..]);
    let report = replay.to_client(frames::response_frame(ApiKey::Fetch, 11, &body)).run();
    let seen = &report.messages[1];
    assert_eq!((seen.status, seen.reason.as_str()), (Status::Unknown, "bytes lost"));
}
