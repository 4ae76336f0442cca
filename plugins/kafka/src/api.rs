//! The table of Kafka's APIs: key, name, newest version known here, first flexible version. All that depends on them
//! (header versions, what is a plausible request) is derived from this table, so that a new API or version is a line
//! here. Names are those of Apache Kafka; keys 4 to 7 were removed in 4.0 and 93 is of a version still to come.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_api_keys>; the flexible versions are those of the message specs.

/// A version that no API has.
const NEVER: i16 = i16::MAX;

/// One API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: &'static str,
    /// Newest version known here. All of them from 0 on are taken for valid.
    pub(crate) max_version: i16,
    /// From this version on, strings and arrays are compact and structures end in tagged fields.
    first_flexible: i16,
}

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const METADATA: i16 = 3;
const CONTROLLED_SHUTDOWN: i16 = 7;
const OFFSET_COMMIT: i16 = 8;
const JOIN_GROUP: i16 = 11;
const SYNC_GROUP: i16 = 14;
pub(crate) const SASL_HANDSHAKE: i16 = 17;
pub(crate) const API_VERSIONS: i16 = 18;
const TXN_OFFSET_COMMIT: i16 = 28;
const SHARE_FETCH: i16 = 78;
const SHARE_ACKNOWLEDGE: i16 = 79;

impl Api {
    /// The API with that key.
    pub(crate) fn find(key: i16) -> Option<&'static Self> {
        usize::try_from(key).ok().and_then(|index| APIS.get(index))
    }

    /// Whether a request or response of that version has compact strings and tagged fields.
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        version >= self.first_flexible
    }

    /// Version of the request header: 0 has no client id, 1 has one, 2 has tagged fields too.
    pub(crate) fn request_header_version(&self, version: i16) -> i16 {
        match self.key {
            _ if self.is_flexible(version) => 2,
            CONTROLLED_SHUTDOWN if version == 0 => 0,
            _ => 1,
        }
    }

    /// Version of the response header: 1 has tagged fields. The answer to ApiVersions has none, so that a client can
    /// read it before it knows what the broker supports (KIP-511).
    pub(crate) fn response_header_version(&self, version: i16) -> i16 {
        i16::from(self.key != API_VERSIONS && self.is_flexible(version))
    }

    /// OpenTelemetry's name and type of the operation, of APIs that move messages.
    pub(crate) fn operation(&self) -> Option<(&'static str, &'static str)> {
        match self.key {
            PRODUCE => Some(("send", "send")),
            FETCH | SHARE_FETCH => Some(("poll", "receive")),
            OFFSET_COMMIT | TXN_OFFSET_COMMIT => Some(("commit", "settle")),
            SHARE_ACKNOWLEDGE => Some(("ack", "settle")),
            _ => None,
        }
    }

    /// Whether the broker holds such requests back until something happens, whatever they say.
    pub(crate) fn is_long_poll(&self) -> bool {
        matches!(self.key, JOIN_GROUP | SYNC_GROUP | SHARE_FETCH)
    }
}

const fn api(key: i16, name: &'static str, max_version: i16, first_flexible: i16) -> Api {
    Api { key, name, max_version, first_flexible }
}

/// The APIs; each one's index is its key.
#[rustfmt::skip]
pub(crate) static APIS: &[Api] = &[
    api(0, "Produce", 13, 9),
    api(1, "Fetch", 18, 12),
    api(2, "ListOffsets", 11, 6),
    api(3, "Metadata", 13, 9),
    api(4, "LeaderAndIsr", 7, 4),
    api(5, "StopReplica", 4, 2),
    api(6, "UpdateMetadata", 8, 6),
    api(7, "ControlledShutdown", 3, 3),
    api(8, "OffsetCommit", 10, 8),
    api(9, "OffsetFetch", 10, 6),
    api(10, "FindCoordinator", 6, 3),
    api(11, "JoinGroup", 9, 6),
    api(12, "Heartbeat", 4, 4),
    api(13, "LeaveGroup", 5, 4),
    api(14, "SyncGroup", 5, 4),
    api(15, "DescribeGroups", 6, 5),
    api(16, "ListGroups", 5, 3),
    api(17, "SaslHandshake", 1, NEVER),
    api(18, "ApiVersions", 4, 3),
    api(19, "CreateTopics", 7, 5),
    api(20, "DeleteTopics", 6, 4),
    api(21, "DeleteRecords", 2, 2),
    api(22, "InitProducerId", 6, 2),
    api(23, "OffsetForLeaderEpoch", 4, 4),
    api(24, "AddPartitionsToTxn", 5, 3),
    api(25, "AddOffsetsToTxn", 4, 3),
    api(26, "EndTxn", 5, 3),
    api(27, "WriteTxnMarkers", 2, 1),
    api(28, "TxnOffsetCommit", 5, 3),
    api(29, "DescribeAcls", 3, 2),
    api(30, "CreateAcls", 3, 2),
    api(31, "DeleteAcls", 3, 2),
    api(32, "DescribeConfigs", 4, 4),
    api(33, "AlterConfigs", 2, 2),
    api(34, "AlterReplicaLogDirs", 2, 2),
    api(35, "DescribeLogDirs", 4, 2),
    api(36, "SaslAuthenticate", 2, 2),
    api(37, "CreatePartitions", 3, 2),
    api(38, "CreateDelegationToken", 3, 2),
    api(39, "RenewDelegationToken", 2, 2),
    api(40, "ExpireDelegationToken", 2, 2),
    api(41, "DescribeDelegationToken", 3, 2),
    api(42, "DeleteGroups", 2, 2),
    api(43, "ElectLeaders", 2, 2),
    api(44, "IncrementalAlterConfigs", 1, 1),
    api(45, "AlterPartitionReassignments", 1, 0),
    api(46, "ListPartitionReassignments", 0, 0),
    api(47, "OffsetDelete", 0, NEVER),
    api(48, "DescribeClientQuotas", 1, 1),
    api(49, "AlterClientQuotas", 1, 1),
    api(50, "DescribeUserScramCredentials", 0, 0),
    api(51, "AlterUserScramCredentials", 0, 0),
    api(52, "Vote", 2, 0),
    api(53, "BeginQuorumEpoch", 1, 1),
    api(54, "EndQuorumEpoch", 1, 1),
    api(55, "DescribeQuorum", 2, 0),
    api(56, "AlterPartition", 3, 0),
    api(57, "UpdateFeatures", 2, 0),
    api(58, "Envelope", 0, 0),
    api(59, "FetchSnapshot", 1, 0),
    api(60, "DescribeCluster", 2, 0),
    api(61, "DescribeProducers", 0, 0),
    api(62, "BrokerRegistration", 4, 0),
    api(63, "BrokerHeartbeat", 1, 0),
    api(64, "UnregisterBroker", 0, 0),
    api(65, "DescribeTransactions", 0, 0),
    api(66, "ListTransactions", 2, 0),
    api(67, "AllocateProducerIds", 0, 0),
    api(68, "ConsumerGroupHeartbeat", 1, 0),
    api(69, "ConsumerGroupDescribe", 1, 0),
    api(70, "ControllerRegistration", 0, 0),
    api(71, "GetTelemetrySubscriptions", 0, 0),
    api(72, "PushTelemetry", 0, 0),
    api(73, "AssignReplicasToDirs", 0, 0),
    api(74, "ListConfigResources", 1, 0),
    api(75, "DescribeTopicPartitions", 0, 0),
    api(76, "ShareGroupHeartbeat", 1, 0),
    api(77, "ShareGroupDescribe", 1, 0),
    api(78, "ShareFetch", 2, 0),
    api(79, "ShareAcknowledge", 2, 0),
    api(80, "AddRaftVoter", 0, 0),
    api(81, "RemoveRaftVoter", 0, 0),
    api(82, "UpdateRaftVoter", 0, 0),
    api(83, "InitializeShareGroupState", 0, 0),
    api(84, "ReadShareGroupState", 0, 0),
    api(85, "WriteShareGroupState", 1, 0),
    api(86, "DeleteShareGroupState", 0, 0),
    api(87, "ReadShareGroupStateSummary", 1, 0),
    api(88, "StreamsGroupHeartbeat", 1, 0),
    api(89, "StreamsGroupDescribe", 0, 0),
    api(90, "DescribeShareGroupOffsets", 1, 0),
    api(91, "AlterShareGroupOffsets", 0, 0),
    api(92, "DeleteShareGroupOffsets", 0, 0),
    api(93, "GetReplicaLogInfo", 0, 0),
];
