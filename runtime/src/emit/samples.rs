//! Records made by hand and at random, for the tests of the sinks and of the summary.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, option};

use crate::packet::{Endpoint, Transport};
use crate::record::{
    Completeness, Content, FlowEnds, Part, PluginIdentity, Record, RecordKind, SmolStr, Status, Text, Value,
};

/// 2026-11-22T12:00:00.123456789Z.
pub(crate) const NOON: u64 = 1_795_348_800_123_456_789;

pub(crate) fn endpoint(ip: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip.parse::<IpAddr>().unwrap(), port }
}

pub(crate) fn kafka() -> Arc<PluginIdentity> {
    Arc::new(PluginIdentity {
        name: "kafka".into(),
        version: "0.1.0".into(),
        protocols: vec!["kafka".into()],
        attributes: [
            "messaging.system",
            "messaging.destination.name",
            "messaging.batch.message_count",
            "ratio",
            "topics",
        ]
        .map(String::from)
        .to_vec(),
        facts: vec!["topic_id".into()],
    })
}

pub(crate) fn plain(text: &str) -> Text {
    Text::Plain(text.into())
}

/// The example of the design: a Produce request and its answer.
pub(crate) fn produce() -> Record {
    let request = Content {
        id: Some(42),
        type_name: Some("Produce".into()),
        version: Some("9".into()),
        resource: Some(plain("orders")),
        endpoint: Some(plain("orders")),
        attributes: vec![(0, Value::Str(plain("kafka"))), (1, Value::Str(plain("orders")))],
        ..Content::default()
    };
    let response = Content { status: Status::Ok, code: Some(0), ..Content::default() };
    Record {
        ts: NOON,
        completed: NOON + 901_234,
        plugin: kafka(),
        protocol: 0,
        kind: RecordKind::Session,
        flow: FlowEnds {
            transport: Transport::Tcp,
            client: endpoint("10.0.0.1", 51514),
            server: endpoint("10.0.0.2", 9092),
        },
        process: None,
        is_from_server: false,
        request: Some(Part { content: Box::new(request), bytes: 1_234, count: 1 }),
        response: Some(Part { content: Box::new(response), bytes: 60, count: 1 }),
        is_late: false,
        reason: None,
        latency_ns: Some(812_345),
        duration_ns: Some(901_234),
    }
}

/// A request that was never answered.
pub(crate) fn unanswered(reason: &'static str) -> Record {
    Record {
        kind: RecordKind::Request,
        response: None,
        reason: Some(reason),
        latency_ns: None,
        duration_ns: None,
        ..produce()
    }
}

/// A long poll that failed, over IPv6, decoded in part.
pub(crate) fn failed_fetch() -> Record {
    let mut record = produce();
    record.flow.client = endpoint("2001:db8:85a3::8a2e:370:7334", 51514);
    record.flow.server = endpoint("::1", 9092);
    record.is_late = true;
    record.latency_ns = Some(500_123_456);
    if let Some(request) = &mut record.request {
        request.content.type_name = Some("Fetch".into());
        request.content.resource = Some(Text::Ref(0, "AAAA-1".into()));
        request.content.is_long_poll = true;
    }
    if let Some(response) = &mut record.response {
        response.content.status = Status::ServerError;
        response.content.code = Some(6);
        response.content.exception = Some("NOT_LEADER_OR_FOLLOWER".into());
        response.content.completeness = Completeness::Partial;
        response.content.reason = Some("truncated".into());
        response.bytes = 1_048_576;
        response.count = 10;
    }
    record
}

/// Any record at all, consistent or not.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![
        Just(RecordKind::Session),
        Just(RecordKind::Request),
        Just(RecordKind::Response),
        Just(RecordKind::OneWay)
    ];
    let flow = (any::<bool>(), any::<IpAddr>(), any::<u16>(), any::<IpAddr>(), any::<u16>()).prop_map(
        |(is_tcp, client, client_port, server, server_port)| FlowEnds {
            transport: if is_tcp { Transport::Tcp } else { Transport::Udp },
            client: Endpoint { ip: client, port: client_port },
            server: Endpoint { ip: server, port: server_port },
        },
    );
    let reason = option::of(prop_oneof![Just("timeout"), Just("closed"), Just("lost")]);
    let numbers = (any::<u64>(), 0_u16..2, any::<bool>(), any::<bool>(), any::<Option<u64>>(), any::<Option<u64>>());
    (numbers, kind, flow, option::of(any_part()), option::of(any_part()), reason).prop_map(
        |((ts, protocol, is_from_server, is_late, latency_ns, duration_ns), kind, flow, request, response, reason)| {
            let (plugin, completed) = (kafka(), ts);
            Record {
                ts,
                completed,
                plugin,
                protocol,
                kind,
                flow,
                process: None,
                is_from_server,
                request,
                response,
                is_late,
                reason,
                latency_ns,
                duration_ns,
            }
        },
    )
}

fn any_part() -> impl Strategy<Value = Part> {
    (any_content(), any::<u64>(), any::<u32>()).prop_map(|(content, bytes, count)| Part {
        content: Box::new(content),
        bytes,
        count,
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let strings = collection::vec(option::of(any_string()), 6);
    let texts = (option::of(any_text()), option::of(any_text()));
    let status = prop_oneof![
        Just(Status::Unknown),
        Just(Status::Ok),
        Just(Status::ClientError),
        Just(Status::ServerError),
        Just(Status::Timeout)
    ];
    let completeness = prop_oneof![Just(Completeness::Full), Just(Completeness::Partial), Just(Completeness::Header)];
    let attributes = collection::vec((0_u16..7, any_value()), 0..6);
    let numbers = (any::<Option<u64>>(), any::<Option<i64>>(), any::<bool>());
    (strings, texts, status, completeness, attributes, numbers).prop_map(
        |(strings, (resource, endpoint), status, completeness, attributes, (id, code, is_long_poll))| {
            let mut strings = strings.into_iter();
            let mut string = || strings.next().flatten().map(SmolStr::from);
            Content {
                id,
                type_name: string(),
                version: string(),
                domain: string(),
                resource,
                endpoint,
                status,
                code,
                exception: string(),
                result: string(),
                completeness,
                reason: string(),
                is_long_poll,
                attributes,
                extra: None,
            }
        },
    )
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text().prop_map(Value::Str),
        any::<i64>().prop_map(Value::I64),
        (-(1_i64 << 53) - 2..(1 << 53) + 2).prop_map(Value::I64),
        // Sixteenths read back exactly by any parser.
        any::<i32>().prop_map(|sixteenths| Value::F64(f64::from(sixteenths) / 16.0)),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
        collection::vec(any_text(), 0..4).prop_map(Value::List),
    ]
}

fn any_text() -> impl Strategy<Value = Text> {
    prop_oneof![
        any_string().prop_map(|text| Text::Plain(text.into())),
        (0_u32..2, any_string()).prop_map(|(namespace, key)| Text::Ref(namespace, key.into())),
        Just(Text::Ref(0, "known".into()))
    ]
}

fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{0,12}",
        any::<String>(),
        "[\"\\\\/\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{2029}\u{202e}🦀👨‍👩‍👧注\u{301}\u{fe0f}]{0,40}"
    ]
}
