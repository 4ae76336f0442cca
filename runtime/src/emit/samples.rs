//! Records made by hand and at random, for the tests of the sinks and of the summary.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, option};

use crate::packet::{Endpoint, Transport};
use crate::record::{
    Completeness, Content, FlowEnds, Part, Place, PluginIdentity, Record, RecordKind, Status, Text, Value,
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

/// A string in a content.
pub(crate) fn plain(content: &mut Content, text: &str) -> Text {
    Text::Plain(content.put(text))
}

/// The example of the design: a Produce request and its answer.
pub(crate) fn produce() -> Record {
    let mut request = Content { id: Some(42), ..Content::default() };
    request.type_name = Some(request.put("Produce"));
    request.version = Some(request.put("9"));
    request.resource = Some(plain(&mut request, "orders"));
    request.endpoint = Some(plain(&mut request, "orders"));
    for (index, text) in [(0, "kafka"), (1, "orders")] {
        let text = plain(&mut request, text);
        request.attributes.push((index, Value::Str(text)));
    }
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
        flow_id: 1,
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
    if let Some(Part { content, .. }) = &mut record.request {
        content.type_name = Some(content.put("Fetch"));
        content.resource = Some(Text::Ref(0, content.put("AAAA-1")));
        content.is_long_poll = true;
    }
    if let Some(response) = &mut record.response {
        let content = &mut response.content;
        content.status = Status::ServerError;
        content.code = Some(6);
        content.exception = Some(content.put("NOT_LEADER_OR_FOLLOWER"));
        content.completeness = Completeness::Partial;
        content.reason = Some(content.put("truncated"));
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
                flow_id: 1,
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
            let mut content = Content { id, status, code, completeness, is_long_poll, ..Content::default() };
            let mut places = strings.into_iter().map(|said| Some(content.put(&said?)));
            let [type_name, version, domain, exception, result, reason] =
                std::array::from_fn(|_| places.next().flatten());
            let [resource, endpoint] = [resource, endpoint].map(|said| Some(put(&mut content, &said?)));
            for (index, value) in attributes {
                let value = value.put(&mut content);
                content.attributes.push((index, value));
            }
            Content { type_name, version, domain, resource, endpoint, exception, result, reason, ..content }
        },
    )
}

/// A string with the namespace that it is a key of, if it is one.
type Said = (Option<u32>, String);

/// A value that is in no content yet.
#[derive(Clone, Debug)]
enum AnyValue {
    Str(Said),
    List(Vec<Said>),
    Other(Value),
}

impl AnyValue {
    fn put(self, content: &mut Content) -> Value {
        match self {
            Self::Str(said) => Value::Str(put(content, &said)),
            Self::List(list) => {
                let texts: Vec<Text> = list.iter().map(|said| put(content, said)).collect();
                let at = content.lists.len();
                content.lists.extend(texts);
                Value::List(Place::between(at, content.lists.len()))
            }
            Self::Other(value) => value,
        }
    }
}

fn put(content: &mut Content, (namespace, text): &Said) -> Text {
    let place = content.put(text);
    namespace.map_or(Text::Plain(place), |namespace| Text::Ref(namespace, place))
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let other = prop_oneof![
        any::<i64>().prop_map(Value::I64),
        (-(1_i64 << 53) - 2..(1 << 53) + 2).prop_map(Value::I64),
        // Sixteenths read back exactly by any parser.
        any::<i32>().prop_map(|sixteenths| Value::F64(f64::from(sixteenths) / 16.0)),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
    ];
    prop_oneof![
        any_text().prop_map(AnyValue::Str),
        collection::vec(any_text(), 0..4).prop_map(AnyValue::List),
        other.prop_map(AnyValue::Other),
    ]
}

fn any_text() -> impl Strategy<Value = Said> {
    prop_oneof![(Just(None), any_string()), (option::of(0_u32..2), any_string()), Just((Some(0), "known".to_owned()))]
}

fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._-]{0,12}",
        any::<String>(),
        "[\"\\\\/\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{2029}\u{202e}🦀👨‍👩‍👧注\u{301}\u{fe0f}]{0,40}"
    ]
}
