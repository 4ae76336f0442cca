//! What writing one record as JSON costs.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protap::emit::{FactTable, JsonSink, Sink, TextSink, TextStyle};
use protap::packet::{Endpoint, Transport};
use protap::record::{Content, FlowEnds, Part, PluginIdentity, Record, RecordKind, Status, Text, Value};
use protap::summary::Summary;

fn content(attributes: &[(u16, Result<&str, i64>)]) -> Content {
    let mut content = Content { id: Some(42), status: Status::Ok, code: Some(0), ..Content::default() };
    content.type_name = Some(content.put("Produce"));
    content.version = Some(content.put("9"));
    content.resource = Some(Text::Plain(content.put("orders.v1")));
    content.endpoint = Some(Text::Plain(content.put("orders.v1")));
    for (index, value) in attributes {
        let value = match value {
            Ok(text) => Value::Str(Text::Plain(content.put(text))),
            Err(number) => Value::I64(*number),
        };
        content.attributes.push((*index, value));
    }
    content
}

/// A Produce request with the attributes that the Kafka plugin gives, and its answer.
fn produce() -> Record {
    let names = [
        "messaging.system",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.client.id",
        "messaging.batch.message_count",
        "messaging.kafka.offset",
    ];
    let asked = [
        (0, Ok("kafka")),
        (1, Ok("Produce")),
        (2, Ok("send")),
        (3, Ok("orders.v1")),
        (4, Ok("17")),
        (5, Ok("order-service-7f9c")),
        (6, Err(500)),
    ];
    let end = |last, port| Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port };
    Record {
        ts: 1_795_348_800_123_456_789,
        completed: 1_795_348_800_124_456_789,
        plugin: Arc::new(PluginIdentity {
            name: "kafka".into(),
            version: "0.1.0".into(),
            protocols: vec!["kafka".into()],
            attributes: names.map(String::from).to_vec(),
            facts: vec![],
        }),
        protocol: 0,
        kind: RecordKind::Session,
        flow: FlowEnds { transport: Transport::Tcp, client: end(1, 51_514), server: end(2, 9_092) },
        flow_id: 1,
        process: None,
        is_from_server: false,
        request: Some(Part { content: Box::new(content(&asked)), bytes: 51_234, count: 1 }),
        response: Some(Part { content: Box::new(content(&[(7, Err(123_456_789))])), bytes: 60, count: 1 }),
        is_late: false,
        reason: None,
        latency_ns: Some(812_345),
        duration_ns: Some(901_234),
    }
}

fn emit(criterion: &mut Criterion) {
    let (record, mut facts) = (produce(), FactTable::default());
    let mut group = criterion.benchmark_group("emit");
    group.throughput(Throughput::Elements(1));
    let mut json = JsonSink::new(std::io::sink(), "pcap");
    group.bench_function("json", |bencher| bencher.iter(|| json.record(black_box(&record), &mut facts)));
    let mut text = TextSink::new(std::io::sink(), TextStyle { width: 120, has_colour: true });
    group.bench_function("text", |bencher| bencher.iter(|| text.record(black_box(&record), &mut facts)));
    let mut summary = Summary::default();
    group.bench_function("summary", |bencher| bencher.iter(|| summary.records.observe(black_box(&record))));
    group.finish();
}

criterion_group!(benches, emit);
criterion_main!(benches);
