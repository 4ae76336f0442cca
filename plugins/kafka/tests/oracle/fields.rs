//! Field by field: random messages of every API and version that the crate has, written by it, read by the plugin. What the
//! plugin says of a field must be what the crate prints of it, and what it leaves out must be absent or empty there.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use protap_plugin::testing::{Seen, Value};

use crate::frames;
use crate::random::{SEEDS, bytes};

/// An attribute, and the fields that it may come from.
type Rule = (&'static str, &'static [&'static str]);

const PARTITION: &str = "messaging.destination.partition.id";

const REQUESTS: &[Rule] = &[
    ("messaging.consumer.group.name", &["group_id", "groups", "group_ids", "groups_names", "key", "coordinator_keys"]),
    ("kafka.member_id", &["member_id"]),
    ("kafka.group_instance_id", &["group_instance_id", "instance_id"]),
    ("kafka.generation_id", &["generation_id", "generation_id_or_member_epoch"]),
    ("kafka.member_epoch", &["member_epoch"]),
    ("kafka.session_timeout_ms", &["session_timeout_ms"]),
    ("kafka.rebalance_timeout_ms", &["rebalance_timeout_ms"]),
    ("kafka.group_protocol_type", &["protocol_type"]),
    ("kafka.transactional_id", &["transactional_id", "v3_and_below_transactional_id", "key", "coordinator_keys"]),
    ("kafka.producer_id", &["producer_id", "v3_and_below_producer_id"]),
    ("kafka.producer_epoch", &["producer_epoch", "v3_and_below_producer_epoch"]),
    ("kafka.transaction_timeout_ms", &["transaction_timeout_ms"]),
    ("kafka.is_commit", &["committed"]),
    ("kafka.validate_only", &["validate_only"]),
    ("kafka.sasl_mechanism", &["mechanism"]),
    ("kafka.max_wait_ms", &["max_wait_ms"]),
    ("kafka.acks", &["acks"]),
    ("kafka.isolation_level", &["isolation_level"]),
    ("kafka.share_session_epoch", &["share_session_epoch"]),
    ("kafka.telemetry_subscription_id", &["subscription_id"]),
    ("kafka.terminating", &["terminating"]),
    ("kafka.fetch_session_id", &["session_id"]),
    ("kafka.fetch_session_epoch", &["session_epoch"]),
    ("messaging.kafka.offset", &["committed_offset", "fetch_offset"]),
    (PARTITION, &["partition_index", "partition", "index", "partition_indexes", "partitions"]),
];

const RESPONSES: &[Rule] = &[
    ("kafka.throttle_time_ms", &["throttle_time_ms"]),
    ("kafka.member_id", &["member_id"]),
    ("kafka.group_leader", &["leader"]),
    ("kafka.generation_id", &["generation_id"]),
    ("kafka.member_epoch", &["member_epoch"]),
    ("kafka.heartbeat_interval_ms", &["heartbeat_interval_ms"]),
    ("kafka.group_protocol_type", &["protocol_type"]),
    ("kafka.group_protocol", &["protocol_name", "protocol_data", "assignor_name"]),
    ("kafka.group_state", &["group_state"]),
    ("kafka.node_id", &["node_id"]),
    ("kafka.producer_id", &["producer_id"]),
    ("kafka.producer_epoch", &["producer_epoch"]),
    ("kafka.session_lifetime_ms", &["session_lifetime_ms"]),
    ("kafka.telemetry_subscription_id", &["subscription_id"]),
    ("kafka.push_interval_ms", &["push_interval_ms"]),
    ("messaging.consumer.group.name", &["group_id"]),
    ("messaging.kafka.offset", &["committed_offset", "base_offset", "offset"]),
];

/// What is left out although it is there: of groups and members the first decides, and may be empty; partitions that are
/// forgotten or assigned are no partitions that the request is about; keys may be groups or transactional ids.
#[rustfmt::skip]
const OMITTED_IN_REQUESTS: &[(&str, &str)] = &[
    ("AddPartitionsToTxn", "kafka.transactional_id"),
    ("AlterClientQuotas", "kafka.transactional_id"), ("AlterClientQuotas", "kafka.validate_only"),
    ("AlterClientQuotas", "messaging.consumer.group.name"), ("AlterUserScramCredentials", "kafka.sasl_mechanism"),
    ("ConsumerGroupDescribe", "messaging.consumer.group.name"), ("ConsumerGroupHeartbeat", PARTITION),
    ("CreatePartitions", "kafka.validate_only"), ("DeleteGroups", "messaging.consumer.group.name"),
    ("DescribeGroups", "messaging.consumer.group.name"), ("DescribeShareGroupOffsets", "messaging.consumer.group.name"),
    ("DescribeTopicPartitions", PARTITION), ("Fetch", "kafka.isolation_level"), ("Fetch", PARTITION),
    ("FindCoordinator", "kafka.transactional_id"), ("FindCoordinator", "messaging.consumer.group.name"),
    ("ShareFetch", PARTITION), ("ShareGroupDescribe", "messaging.consumer.group.name"), ("SyncGroup", "kafka.member_id"),
    ("UpdateFeatures", "kafka.validate_only"), ("WriteTxnMarkers", "kafka.producer_epoch"),
    ("WriteTxnMarkers", "kafka.producer_id"),
];

/// The same. The nodes are the leaders that an error points to, the groups are those that were asked for.
#[rustfmt::skip]
const OMITTED_IN_RESPONSES: &[(&str, &str)] = &[
    ("BeginQuorumEpoch", "kafka.node_id"), ("ConsumerGroupDescribe", "messaging.consumer.group.name"),
    ("DeleteGroups", "messaging.consumer.group.name"), ("DescribeGroups", "messaging.consumer.group.name"),
    ("DescribeProducers", "kafka.producer_epoch"), ("DescribeProducers", "kafka.producer_id"),
    ("DescribeQuorum", "kafka.node_id"), ("DescribeShareGroupOffsets", "messaging.consumer.group.name"),
    ("DescribeTransactions", "kafka.producer_epoch"), ("DescribeTransactions", "kafka.producer_id"),
    ("EndQuorumEpoch", "kafka.node_id"), ("Fetch", "kafka.node_id"), ("Fetch", "kafka.producer_id"),
    ("FetchSnapshot", "kafka.node_id"), ("JoinGroup", "kafka.member_id"), ("LeaveGroup", "kafka.member_id"),
    ("ListGroups", "kafka.group_protocol_type"), ("ListGroups", "kafka.group_state"),
    ("ListTransactions", "kafka.producer_id"), ("Metadata", "kafka.node_id"),
    ("OffsetFetch", "messaging.consumer.group.name"), ("Produce", "kafka.node_id"),
    ("ShareAcknowledge", "kafka.node_id"), ("ShareFetch", "kafka.node_id"),
    ("ShareGroupDescribe", "messaging.consumer.group.name"), ("Vote", "kafka.node_id"),
    ("WriteTxnMarkers", "kafka.producer_id"),
];

/// The values of a field in a printed message, as they are printed, without what they are wrapped in; empty ones left out.
fn printed(message: &str, field: &str) -> Vec<String> {
    let mut values = Vec::new();
    for (at, _) in message.match_indices(field) {
        let is_whole = message[..at].ends_with([' ', '{']);
        if let Some(value) = message[at + field.len()..].strip_prefix(": ").filter(|_| is_whole) {
            values.extend(elements(value));
        }
    }
    values
}

/// One value, or those of a list of strings or numbers.
fn elements(value: &str) -> Vec<String> {
    if let Some(list) = value.strip_prefix('[') {
        let list = list.split(']').next().unwrap();
        return if list.contains(" { ") { Vec::new() } else { list.split(", ").filter_map(unwrapped).collect() };
    }
    unwrapped(value).into_iter().collect()
}

fn unwrapped(value: &str) -> Option<String> {
    let wrapper = |c: char| c.is_ascii_alphanumeric();
    let mut value = value;
    while let Some((_, inner)) = value.split_once('(').filter(|(name, _)| !name.is_empty() && name.chars().all(wrapper))
    {
        value = inner;
    }
    if let Some(text) = value.strip_prefix('"') {
        return Some(format!("\"{}\"", text.split('"').next()?)).filter(|text| text != "\"\"");
    }
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(value.len());
    Some(value[..end].to_owned()).filter(|value| !value.is_empty() && value != "None")
}

/// Our value, in the same form.
fn ours(seen: &Seen, attribute: &str) -> Option<String> {
    // Several partitions are listed.
    if let Some(first) = frames::list(seen, "kafka.partitions").first().filter(|_| attribute == PARTITION) {
        return Some(first.clone());
    }
    match seen.attribute(attribute)? {
        Value::Str(text) if attribute == PARTITION => Some(text.clone()),
        Value::Str(text) => Some(format!("{text:?}")).filter(|text| text != "\"\""),
        Value::I64(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        other => panic!("{attribute}: {other:?}"),
    }
}

fn is_default(value: &str) -> bool {
    // What the crate prints for fields that a version does not have.
    value.parse::<i64>().is_ok_and(|number| (-1..=0).contains(&number))
        || value == "false"
        || value == i32::MAX.to_string()
}

/// What was compared.
#[derive(Default)]
struct Found {
    equal: BTreeMap<(i16, &'static str), u32>,
    omitted: BTreeSet<(String, &'static str)>,
}

impl Found {
    /// Nothing more is left out than that, and at least so many kinds of fields, and fields, were equal.
    fn check(&self, omitted: &[(&str, &str)], (kinds, fields): (usize, u32)) {
        let more: Vec<_> =
            self.omitted.iter().filter(|(api, what)| !omitted.contains(&(api.as_str(), *what))).collect();
        assert!(more.is_empty(), "left out: {more:?}");
        let equal = (self.equal.len(), self.equal.values().sum::<u32>());
        assert!(equal.0 >= kinds && equal.1 >= fields, "only {equal:?} kinds of fields, and fields, were equal");
    }
}

/// Compares one message.
fn compare(rules: &[Rule], (key, what): (ApiKey, &str), seen: &Seen, found: &mut Found) {
    for (attribute, fields) in rules {
        let theirs: Vec<String> = fields.iter().flat_map(|field| printed(what, field)).collect();
        match ours(seen, attribute) {
            Some(value) => {
                assert!(theirs.contains(&value), "{attribute} is {value}, not of {theirs:?}: {what}");
                *found.equal.entry((key as i16, *attribute)).or_default() += 1;
            }
            None if theirs.iter().all(|value| is_default(value)) => {}
            None => found.omitted.extend([(format!("{key:?}"), *attribute)]),
        }
    }
}

#[test]
fn fields_of_requests_are_those_that_the_crate_prints() {
    let mut found = Found::default();
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for seed in 0..SEEDS {
            let Ok(request) = RequestKind::decode(key, &mut bytes(seed), versions.max) else { continue };
            for version in versions.min..=versions.max {
                let Some(body) = frames::request_body(&request, version) else { continue };
                let Ok(as_read) = RequestKind::decode(key, &mut body.clone(), version) else { continue };
                let seen = frames::only(frames::asked(key, version, &body).run());
                compare(REQUESTS, (key, &format!("{as_read:?}")), &seen, &mut found);
            }
        }
    }
    found.check(OMITTED_IN_REQUESTS, (100, 15_000));
}

#[test]
fn fields_of_responses_are_those_that_the_crate_prints() {
    let mut found = Found::default();
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for seed in 0..SEEDS {
            let Ok(response) = ResponseKind::decode(key, &mut bytes(seed), versions.max) else { continue };
            for version in versions.min..=versions.max {
                let Some(body) = frames::response_body(&response, version) else { continue };
                let Ok(as_read) = ResponseKind::decode(key, &mut body.clone(), version) else { continue };
                let seen = frames::response(frames::answered(key, version, &body).run());
                compare(RESPONSES, (key, &format!("{as_read:?}")), &seen, &mut found);
            }
        }
    }
    found.check(OMITTED_IN_RESPONSES, (100, 30_000));
}
