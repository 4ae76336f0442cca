//! What writing one record as JSON costs.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protap::emit::{FactTable, JsonSink, Sink, TextSink, TextStyle};
use protap::packet::{Endpoint, Transport};
use protap::record::{Content, FlowEnds, Part, PluginIdentity, Record, RecordKind, Status, Text, Value};
use protap::summary::Summary;

fn content(attributes: Vec<(u16, Value)>) -> Content {
    let topic = || Some(Text::Plain("orders.v1".into()));
    Content {
        id: Some(42),
        type_name: Some("Produce".into()),
        version: Some("9".into()),
        resource: topic(),
        endpoint: topic(),
        status: Status::Ok,
        code: Some(0),
        attributes,
        ..Content::default()
    }
}

/// A Produce request with the attributes that the Kafka plugin gives, and its answer.
fn produce() -> Record {
    let text = |text: &str| Value::Str(Text::Plain(text.into()));
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
    let asked = vec![
        (0, text("kafka")),
        (1, text("Produce")),
        (2, text("send")),
        (3, text("orders.v1")),
        (4, text("17")),
        (5, text("order-service-7f9c")),
        (6, Value::I64(500)),
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
        process: None,
        is_from_server: false,
        request: Some(Part { content: Box::new(content(asked)), bytes: 51_234, count: 1 }),
        response: Some(Part { content: Box::new(content(vec![(7, Value::I64(123_456_789))])), bytes: 60, count: 1 }),
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
