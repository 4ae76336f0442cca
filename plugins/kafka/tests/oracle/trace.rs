//! Trace context in record headers, in batches that the crate writes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, ProduceRequest, RequestKind, TopicName};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use protap_plugin::testing::{Replay, Seen, Value};

use crate::frames::{self, text};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SW8: &str = "1-TRACEID-SEGMENTID-3-U0VSVklDRQ==-SU5TVEFOQ0U=-RU5EUE9JTlQ=-QUREUkVTUw==";

fn record(headers: &[(&str, Option<&str>)], value: usize) -> Record {
    let mut record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from(vec![b'x'; value])),
        headers: Default::default(),
    };
    for (key, value) in headers {
        record.headers.insert(text(key), value.map(|value| Bytes::from(value.to_owned())));
    }
    record
}

fn produced(records: &[Record]) -> Vec<u8> {
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, records, &options).unwrap();
    batch.to_vec()
}

fn request(batch: Vec<u8>) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(Bytes::from(batch)));
    let topic = TopicProduceData::default().with_name(TopicName(text("orders"))).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let body = frames::request_body(&RequestKind::Produce(request), 9).unwrap();
    frames::request_frame(ApiKey::Produce, 9, &body)
}

fn seen(batch: Vec<u8>, option: &str) -> Seen {
    let replay = Replay::new::<kafka::Plugin>().option("trace_context", option).to_server(request(batch));
    replay.truncation_sweep();
    frames::only(replay.split_sweep())
}

#[test]
fn the_first_records_trace_context_is_emitted_if_it_is_asked_for() {
    let first = record(&[("other", Some("secret")), ("traceparent", Some(TRACEPARENT)), ("sw8", Some(SW8))], 300);
    let batch = produced(&[first, record(&[("traceparent", Some("second"))], 5)]);
    let with = seen(batch.clone(), "on");
    assert_eq!(with.attribute("kafka.message.traceparent"), Some(&Value::from(TRACEPARENT)));
    assert_eq!(with.attribute("kafka.message.sw8"), Some(&Value::from(SW8)));
    assert_eq!(with.attribute("messaging.batch.message_count"), Some(&Value::from(2)));
    assert!(!format!("{with:?}").contains("secret"));
    let without = seen(batch, "off");
    assert!(!format!("{without:?}").contains("traceparent") && !format!("{without:?}").contains("sw8"));
}

#[test]
fn headers_of_another_form_are_user_data() {
    let cases = ["secret", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0z", "1-a-b-c d-e-f-g-h"];
    for value in cases {
        let batch = produced(&[record(&[("traceparent", Some(value)), ("sw8", Some(value)), ("x", None)], 5)]);
        assert!(!format!("{:?}", seen(batch, "on")).contains(value));
    }
}

#[test]
fn records_that_make_no_sense_have_no_trace_and_are_counted() {
    let batch = produced(&[record(&[("traceparent", Some(TRACEPARENT))], 40)]);
    for at in 61..batch.len() {
        for wrong in [0, 1, 0x7f, 0x80, 0xff] {
            let mut batch = batch.clone();
            batch[at] = wrong;
            let replay = Replay::new::<kafka::Plugin>().option("trace_context", "on").to_server(request(batch));
            let seen = frames::only(replay.run());
            assert_eq!(seen.attribute("messaging.batch.message_count"), Some(&Value::from(1)), "{at} {wrong}");
        }
    }
}

#[test]
fn only_that_option_and_those_values_are_known() {
    let refused = |key: &str, value: &str| {
        let replay = Replay::new::<kafka::Plugin>().option(key, value).to_server(request(Vec::new()));
        std::panic::catch_unwind(|| replay.run()).is_err()
    };
    assert!(refused("trace_context", "yes") && refused("values", "on") && !refused("trace_context", "on"));
}
