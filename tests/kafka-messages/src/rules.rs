//! What the plugin says of a message, and where the message has it: attributes, and the names of the crate's fields.

/// An attribute, and the fields that it may come from.
pub(crate) type Rule = (&'static str, &'static [&'static str]);

/// The attribute of the only partition; several are listed in another.
pub const PARTITION: &str = "messaging.destination.partition.id";

/// Of requests.
pub(crate) const REQUESTS: &[Rule] = &[
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
    ("kafka.replica_id", &["replica_id"]),
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

/// Of responses.
pub(crate) const RESPONSES: &[Rule] = &[
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
    ("kafka.current_leader_id", &["leader_id"]),
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
pub(crate) const OMITTED_IN_REQUESTS: &[(&str, &str)] = &[
    ("FetchSnapshot", "kafka.replica_id"), ("ListOffsets", "kafka.replica_id"),
    ("OffsetForLeaderEpoch", "kafka.replica_id"), ("Vote", "kafka.replica_id"),
    ("AddPartitionsToTxn", "kafka.transactional_id"),
    ("AlterClientQuotas", "kafka.transactional_id"), ("AlterClientQuotas", "kafka.validate_only"),
    ("AlterClientQuotas", "messaging.consumer.group.name"), ("AlterUserScramCredentials", "kafka.sasl_mechanism"),
    ("ConsumerGroupDescribe", "messaging.consumer.group.name"), ("ConsumerGroupHeartbeat", PARTITION),
    ("CreatePartitions", "kafka.validate_only"), ("DeleteGroups", "messaging.consumer.group.name"),
    ("DescribeGroups", "messaging.consumer.group.name"), ("DescribeShareGroupOffsets", "messaging.consumer.group.name"),
    ("DescribeTopicPartitions", PARTITION), ("Fetch", "kafka.isolation_level"), ("Fetch", PARTITION),
    ("FindCoordinator", "kafka.transactional_id"), ("FindCoordinator", "messaging.consumer.group.name"),
    ("LeaveGroup", "kafka.group_instance_id"), ("LeaveGroup", "kafka.member_id"),
    ("OffsetFetch", "messaging.consumer.group.name"),
    ("ShareFetch", PARTITION), ("ShareGroupDescribe", "messaging.consumer.group.name"), ("SyncGroup", "kafka.member_id"),
    ("UpdateFeatures", "kafka.validate_only"), ("WriteTxnMarkers", "kafka.producer_epoch"),
    ("WriteTxnMarkers", "kafka.producer_id"),
];

/// The same. Nodes and leaders are those that the partitions are about, or that an error points to; the groups are those that
/// were asked for.
#[rustfmt::skip]
pub(crate) const OMITTED_IN_RESPONSES: &[(&str, &str)] = &[
    ("AlterPartition", "kafka.current_leader_id"), ("BeginQuorumEpoch", "kafka.current_leader_id"),
    ("DescribeQuorum", "kafka.current_leader_id"), ("DescribeTopicPartitions", "kafka.current_leader_id"),
    ("EndQuorumEpoch", "kafka.current_leader_id"), ("FetchSnapshot", "kafka.current_leader_id"),
    ("Metadata", "kafka.current_leader_id"), ("ShareAcknowledge", "kafka.current_leader_id"),
    ("ShareFetch", "kafka.current_leader_id"), ("UpdateRaftVoter", "kafka.current_leader_id"),
    ("Vote", "kafka.current_leader_id"),
    ("BeginQuorumEpoch", "kafka.node_id"), ("ConsumerGroupDescribe", "messaging.consumer.group.name"),
    ("DeleteGroups", "messaging.consumer.group.name"), ("DescribeGroups", "kafka.member_id"),
    ("DescribeGroups", "messaging.consumer.group.name"), ("DescribeProducers", "kafka.producer_epoch"), ("DescribeProducers", "kafka.producer_id"),
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
