//! Produce, every version that the crate writes (3 to 13), with two topics of two partitions each.

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiKey, ProduceRequest, ProduceResponse, RequestKind, ResponseKind, TopicName, TransactionalId,
};
use protap_plugin::testing::{Completeness, Value};
use protap_plugin::{Kind, Status};
use uuid::Uuid;

use crate::frames::{self, integer, list, text};
use crate::records::batch;

const ID: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0fff;
/// The same in base64 for URLs.
const ID_TEXT: &str = "AQIDBAUGBwgJCgsMDQ4P_w";

pub(crate) fn request(acks: i16) -> ProduceRequest {
    let partition = |index, records: Vec<u8>| {
        PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from(records)))
    };
    let topic = |name, id: u128| {
        TopicProduceData::default().with_name(TopicName(text(name))).with_topic_id(Uuid::from_u128(id))
    };
    let two_batches = [batch(3, 0, 100), batch(4, 0, 7)].concat();
    let orders = vec![partition(0, two_batches), partition(7, batch(2, 0, 3))];
    let payments = vec![partition(1, batch(1, 0, 1)), PartitionProduceData::default().with_index(2)];
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1500)
        .with_transactional_id(Some(TransactionalId(text("tx-1"))))
        .with_topic_data(vec![
            topic("orders", ID).with_partition_data(orders),
            topic("payments", 5).with_partition_data(payments),
        ])
}

fn response(errors: [i16; 3]) -> ProduceResponse {
    let partition = |index, error, offset| {
        let detail = BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(text("bad record")));
        PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(error)
            .with_base_offset(offset)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(0)
            .with_record_errors(vec![detail])
            .with_error_message(Some(text("it did not work")))
            .with_current_leader(LeaderIdAndEpoch::default().with_leader_epoch(3))
    };
    let [first, second, third] = errors;
    let topic = |name, id: u128| {
        TopicProduceResponse::default().with_name(TopicName(text(name))).with_topic_id(Uuid::from_u128(id))
    };
    let orders = vec![partition(0, first, 4711), partition(7, second, 12)];
    ProduceResponse::default().with_throttle_time_ms(25).with_responses(vec![
        topic("orders", ID).with_partition_responses(orders),
        topic("payments", 5).with_partition_responses(vec![partition(1, third, 13)]),
    ])
}

#[test]
fn a_request_of_any_version_is_decoded_however_it_is_cut() {
    for version in 3..=13 {
        let body = frames::request_body(&RequestKind::Produce(request(-1)), version).unwrap();
        let replay = frames::asked(ApiKey::Produce, version, &body);
        let seen = frames::only(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.kind, seen.type_name.as_str(), seen.id), (Kind::Request, "Produce", Some(77)));
        assert_eq!(
            (seen.version.clone(), seen.completeness),
            (version.to_string(), Completeness::Full),
            "{}",
            seen.reason
        );
        let (first, second) = if version < 13 { ("orders", "payments") } else { (ID_TEXT, "AAAAAAAAAAAAAAAAAAAABQ") };
        assert_eq!((seen.resource.as_str(), seen.endpoint.as_str()), (first, first));
        assert_eq!(seen.resource_facts.as_deref(), if version < 13 { None } else { Some("topic_id") });
        assert_eq!(list(&seen, "kafka.topics"), [first, second]);
        assert_eq!(seen.attribute("kafka.transactional_id"), Some(&Value::from("tx-1")));
        assert_eq!(seen.attribute("messaging.client.id"), Some(&Value::from("oracle")));
        assert_eq!(seen.attribute("messaging.operation.type"), Some(&Value::from("send")));
        let names = ["kafka.acks", "kafka.partition_count", "messaging.batch.message_count", "kafka.batch_count"];
        assert_eq!(names.map(|name| integer(&seen, name)), [Some(-1), Some(4), Some(10), Some(4)]);
        assert_eq!(seen.attribute("kafka.compression"), Some(&Value::from("none")));
        assert_eq!(integer(&seen, "kafka.record_bytes"), Some(4 * 61 + 111));
    }
}

#[test]
fn a_request_without_acks_is_one_way() {
    let body = frames::request_body(&RequestKind::Produce(request(0)), 9).unwrap();
    let report = frames::asked(ApiKey::Produce, 9, &body).run();
    assert_eq!(report.unanswered, 0);
    assert_eq!(frames::only(report).kind, Kind::OneWay);
}

#[test]
fn the_worst_error_of_all_partitions_decides_in_any_version() {
    for version in 3..=13 {
        let body = frames::response_body(&ResponseKind::Produce(response([0, 10, 6])), version).unwrap();
        let replay = frames::answered(ApiKey::Produce, version, &body);
        let seen = frames::response(replay.split_sweep());
        replay.truncation_sweep();
        assert_eq!((seen.status, seen.code, seen.completeness), (Status::ServerError, Some(6), Completeness::Full));
        assert_eq!(seen.exception, "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(seen.attribute("error.type"), Some(&Value::from("NOT_LEADER_OR_FOLLOWER")));
        assert_eq!(list(&seen, "kafka.errors"), ["MESSAGE_TOO_LARGE", "NOT_LEADER_OR_FOLLOWER"]);
        assert_eq!(integer(&seen, "kafka.throttle_time_ms"), Some(25));
        assert_eq!(integer(&seen, "messaging.kafka.offset"), Some(4711));
        let body = frames::response_body(&ResponseKind::Produce(response([0, 0, 0])), version).unwrap();
        let seen = frames::response(frames::answered(ApiKey::Produce, version, &body).run());
        assert_eq!((seen.status, seen.code, seen.exception.as_str()), (Status::Ok, Some(0), ""));
    }
}
