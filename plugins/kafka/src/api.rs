//! The table of Kafka's APIs: key, name, newest version known here, first flexible version, and where in the bodies
//! topics, groups and errors are (see [`body`](mod@crate::body)). All that depends on them (header versions, what is a
//! plausible request) is derived from this table, so that a new API or version is a line here. Names are those of
//! Apache Kafka; keys 4 to 7 were removed in 4.0 and 93 is of a version still to come.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_api_keys>; the flexible versions are those of the message specs.

use crate::body::{Op, body};

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
    /// What is wanted of the request's body; empty if nothing is, or if it has code of its own.
    pub(crate) request: &'static [Op],
    /// The same of the response's.
    pub(crate) response: &'static [Op],
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
    const fn request(self, request: &'static [Op]) -> Self {
        Self { request, ..self }
    }

    const fn response(self, response: &'static [Op]) -> Self {
        Self { response, ..self }
    }

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

/// An API whose body is not described here.
const fn api(key: i16, name: &'static str, max_version: i16, first_flexible: i16) -> Api {
    Api { key, name, max_version, first_flexible, request: &[], response: &[] }
}

/// The APIs; each one's index is its key.
#[rustfmt::skip]
pub(crate) static APIS: &[Api] = &[
    api(0, "Produce", 13, 9),
    api(1, "Fetch", 18, 12),
    api(2, "ListOffsets", 11, 6)
        .request(body!("4 1@2+ [ topic [ partition 4@4+ 8 4@-0 ] ] ..."))
        .response(body!("throttle@2+ [ text [ 4 error 8*@-0 16@1+ 4@4+ ] ]")),
    api(3, "Metadata", 13, 9),
    api(4, "LeaderAndIsr", 7, 4)
        .response(body!("error [@-4 text 4 error ] [@5+ 16 [ 4 error ] ]")),
    api(5, "StopReplica", 4, 2)
        .response(body!("error [ text 4 error ]")),
    api(6, "UpdateMetadata", 8, 6)
        .response(body!("error")),
    api(7, "ControlledShutdown", 3, 3)
        .response(body!("error ...")),
    api(8, "OffsetCommit", 10, 8)
        .request(body!("group 4@1+ text@1+ text@7+ 8@2-4 [ topic@-9 topicid@10+ [ partition 8 4@6+ 8@1-1 text ] ]"))
        .response(body!("throttle@3+ [ text@-9 16@10+ [ 4 error ] ]")),
    api(9, "OffsetFetch", 10, 6)
        .request(body!("group@-7 [@-7 topic partition* ] [@8+ group text@9+ 4@9+ [ topic@-9 topicid@10+ partition* ] ] \
         ..."))
        .response(body!("throttle@3+ [@-7 text [ 12 4@5+ text error ] ] error@2-7 [@8+ text [ text@-9 16@10+ [ 16 text \
         error ] ] error ]")),
    api(10, "FindCoordinator", 6, 3)
        .response(body!("throttle@1+ error@-3 text@1-3 4@-3 text@-3 4@-3 [@4+ text 4 text 4 error text ]")),
    api(11, "JoinGroup", 9, 6)
        .request(body!("group ..."))
        .response(body!("throttle@2+ error ...")),
    api(12, "Heartbeat", 4, 4)
        .request(body!("group ..."))
        .response(body!("throttle@1+ error")),
    api(13, "LeaveGroup", 5, 4)
        .request(body!("group ..."))
        .response(body!("throttle@1+ error [@3+ text text error ]")),
    api(14, "SyncGroup", 5, 4)
        .request(body!("group ..."))
        .response(body!("throttle@1+ error ...")),
    api(15, "DescribeGroups", 6, 5)
        .request(body!("group* ..."))
        .response(body!("throttle@1+ [ error text@6+ text text text text [ text text@4+ text text bytes bytes ] 4@3+ ]")),
    api(16, "ListGroups", 5, 3)
        .response(body!("throttle@1+ error ...")),
    api(17, "SaslHandshake", 1, NEVER)
        .response(body!("error ...")),
    api(18, "ApiVersions", 4, 3),
    api(19, "CreateTopics", 7, 5)
        .request(body!("[ topic 6 [ partition 4* ] [ text text ] ] ..."))
        .response(body!("throttle@2+ [ text 16@7+ error text@1+ 6@5+ [@5+ text text 3 ] ]")),
    api(20, "DeleteTopics", 6, 4)
        .request(body!("[@6+ topic topicid ] topic*@-5 ..."))
        .response(body!("throttle@1+ [ text 16@6+ error text@5+ ]")),
    api(21, "DeleteRecords", 2, 2)
        .request(body!("[ topic [ partition 8 ] ] ..."))
        .response(body!("throttle [ text [ 12 error ] ]")),
    api(22, "InitProducerId", 6, 2)
        .request(body!("txn ..."))
        .response(body!("throttle error ...")),
    api(23, "OffsetForLeaderEpoch", 4, 4)
        .request(body!("4@3+ [ topic [ partition 4@2+ 4 ] ]"))
        .response(body!("throttle@2+ [ text [ error 4 4@1+ 8 ] ]")),
    api(24, "AddPartitionsToTxn", 5, 3)
        .request(body!("[@4+ txn 11 [ topic partition* ] ] txn@-3 10@-3 [@-3 topic partition* ]"))
        .response(body!("throttle error@4+ [@4+ text [ text [ 4 error ] ] ] [@-3 text [ 4 error ] ]")),
    api(25, "AddOffsetsToTxn", 4, 3)
        .request(body!("txn 10 group"))
        .response(body!("throttle error")),
    api(26, "EndTxn", 5, 3)
        .request(body!("txn ..."))
        .response(body!("throttle error ...")),
    api(27, "WriteTxnMarkers", 2, 1)
        .request(body!("[ 11 [ topic partition* ] 4 1@2+ ]"))
        .response(body!("[ 8 [ text [ 4 error ] ] ]")),
    api(28, "TxnOffsetCommit", 5, 3)
        .request(body!("txn group 10 4@3+ text@3+ text@3+ [ topic [ partition 8 4@2+ text ] ]"))
        .response(body!("throttle [ text [ 4 error ] ]")),
    api(29, "DescribeAcls", 3, 2)
        .response(body!("throttle error ...")),
    api(30, "CreateAcls", 3, 2)
        .response(body!("throttle [ error text ]")),
    api(31, "DeleteAcls", 3, 2)
        .response(body!("throttle [ error text [ error text 1 text 1@1+ text text 2 ] ]")),
    api(32, "DescribeConfigs", 4, 4)
        .response(body!("throttle [ error text 1 text [ text text 3 [@1+ text text 1 ] 1@3+ text@3+ ] ]")),
    api(33, "AlterConfigs", 2, 2)
        .response(body!("throttle [ error text 1 text ]")),
    api(34, "AlterReplicaLogDirs", 2, 2)
        .request(body!("[ text [ topic partition* ] ]"))
        .response(body!("throttle [ text [ 4 error ] ]")),
    api(35, "DescribeLogDirs", 4, 2)
        .request(body!("[ topic partition* ]"))
        .response(body!("throttle error@3+ [ error text [ text [ 21 ] ] 16@4+ ]")),
    api(36, "SaslAuthenticate", 2, 2)
        .response(body!("error ...")),
    api(37, "CreatePartitions", 3, 2)
        .request(body!("[ topic 4 [ 4* ] ] ..."))
        .response(body!("throttle [ text error text ]")),
    api(38, "CreateDelegationToken", 3, 2)
        .response(body!("error text text text@3+ text@3+ 24 text bytes throttle")),
    api(39, "RenewDelegationToken", 2, 2)
        .response(body!("error 8 throttle")),
    api(40, "ExpireDelegationToken", 2, 2)
        .response(body!("error 8 throttle")),
    api(41, "DescribeDelegationToken", 3, 2)
        .response(body!("error [ text text text@3+ text@3+ 24 text bytes [ text text ] ] throttle")),
    api(42, "DeleteGroups", 2, 2)
        .request(body!("group*"))
        .response(body!("throttle [ text error ]")),
    api(43, "ElectLeaders", 2, 2)
        .request(body!("1@1+ [ topic partition* ] ..."))
        .response(body!("throttle error@1+ [ text [ 4 error text ] ]")),
    api(44, "IncrementalAlterConfigs", 1, 1)
        .response(body!("throttle [ error text 1 text ]")),
    api(45, "AlterPartitionReassignments", 1, 0)
        .request(body!("4 1@1+ [ topic [ partition 4* ] ]"))
        .response(body!("throttle 1@1+ error text [ text [ 4 error text ] ]")),
    api(46, "ListPartitionReassignments", 0, 0)
        .request(body!("4 [ topic partition* ]"))
        .response(body!("throttle error ...")),
    api(47, "OffsetDelete", 0, NEVER)
        .request(body!("group [ topic [ partition ] ]"))
        .response(body!("error throttle [ text [ 4 error ] ]")),
    api(48, "DescribeClientQuotas", 1, 1)
        .response(body!("throttle error ...")),
    api(49, "AlterClientQuotas", 1, 1)
        .response(body!("throttle [ error text [ text text ] ]")),
    api(50, "DescribeUserScramCredentials", 0, 0)
        .response(body!("throttle error text [ text error text [ 5 ] ]")),
    api(51, "AlterUserScramCredentials", 0, 0)
        .response(body!("throttle [ text error text ]")),
    api(52, "Vote", 2, 0)
        .request(body!("text 4@1+ [ topic [ partition 8 32@1+ 12 1@2+ ] ]"))
        .response(body!("error [ text [ 4 error 9 ] ]")),
    api(53, "BeginQuorumEpoch", 1, 1)
        .request(body!("text 4@1+ [ topic [ partition 16@1+ 8 ] ] ..."))
        .response(body!("error [ text [ 4 error 8 ] ]")),
    api(54, "EndQuorumEpoch", 1, 1)
        .request(body!("text [ topic [ partition 8 4*@-0 [@1+ 20 ] ] ] ..."))
        .response(body!("error [ text [ 4 error 8 ] ]")),
    api(55, "DescribeQuorum", 2, 0)
        .request(body!("[ topic [ partition ] ]"))
        .response(body!("error text@2+ [ text [ 4 error text@2+ 16 [ 4 16@2+ 8 16@1+ ] [ 4 16@2+ 8 16@1+ ] ] ] ...")),
    api(56, "AlterPartition", 3, 0)
        .request(body!("12 [ topic@-1 topicid@2+ [ partition 4 4*@-2 [@3+ 12 ] 1@1+ 4 ] ]"))
        .response(body!("throttle error [ text@-1 16@2+ [ 4 error 8 4* 1@1+ 4 ] ]")),
    api(57, "UpdateFeatures", 2, 0)
        .response(body!("throttle error text [@-1 text error text ]")),
    api(58, "Envelope", 0, 0)
        .response(body!("bytes error")),
    api(59, "FetchSnapshot", 1, 0)
        .request(body!("8 [ topic [ partition 4 { 12 } 8 ] ]"))
        .response(body!("throttle error [ text [ 4 error { 12 } 16 bytes ] ]")),
    api(60, "DescribeCluster", 2, 0)
        .response(body!("throttle error ...")),
    api(61, "DescribeProducers", 0, 0)
        .request(body!("[ topic partition* ]"))
        .response(body!("throttle [ text [ 4 error text [ 36 ] ] ]")),
    api(62, "BrokerRegistration", 4, 0)
        .response(body!("throttle error ...")),
    api(63, "BrokerHeartbeat", 1, 0)
        .response(body!("throttle error ...")),
    api(64, "UnregisterBroker", 0, 0)
        .response(body!("throttle error ...")),
    api(65, "DescribeTransactions", 0, 0)
        .response(body!("throttle [ error text text 22 [ text 4* ] ]")),
    api(66, "ListTransactions", 2, 0)
        .response(body!("throttle error ...")),
    api(67, "AllocateProducerIds", 0, 0)
        .response(body!("throttle error ...")),
    api(68, "ConsumerGroupHeartbeat", 1, 0)
        .request(body!("group text 4 text text 4 topic* ..."))
        .response(body!("throttle error ...")),
    api(69, "ConsumerGroupDescribe", 1, 0)
        .request(body!("group* ..."))
        .response(body!("throttle [ error text text text 8 text [ text text text 4 text text text* text { [ 16 text 4* ] \
         } { [ 16 text 4* ] } 1@1+ ] 4 ]")),
    api(70, "ControllerRegistration", 0, 0)
        .response(body!("throttle error ...")),
    api(71, "GetTelemetrySubscriptions", 0, 0)
        .response(body!("throttle error ...")),
    api(72, "PushTelemetry", 0, 0)
        .response(body!("throttle error")),
    api(73, "AssignReplicasToDirs", 0, 0)
        .request(body!("12 [ 16 [ topicid [ partition ] ] ]"))
        .response(body!("throttle error [ 16 [ 16 [ 4 error ] ] ]")),
    api(74, "ListConfigResources", 1, 0)
        .response(body!("throttle error ...")),
    api(75, "DescribeTopicPartitions", 0, 0)
        .request(body!("[ topic ] ..."))
        .response(body!("throttle [ error text 17 [ error 12 4* 4* 4* 4* 4* ] 4 ] ...")),
    api(76, "ShareGroupHeartbeat", 1, 0)
        .request(body!("group text 4 text topic*"))
        .response(body!("throttle error ...")),
    api(77, "ShareGroupDescribe", 1, 0)
        .request(body!("group* ..."))
        .response(body!("throttle [ error text text text 8 text [ text text 4 text text text* { [ 16 text 4* ] } ] 4 ]")),
    api(78, "ShareFetch", 2, 0)
        .request(body!("group text 16 8@1+ 1@2+ [ topicid [ partition 4@-0 [ 16 1* ] ] ] ..."))
        .response(body!("throttle error text 4@1+ [ 16 [ 4 error text error text { 8 } bytes [ 18 ] ] ] ...")),
    api(79, "ShareAcknowledge", 2, 0)
        .request(body!("group text 4 1@2+ [ topicid [ partition [ 16 1* ] ] ]"))
        .response(body!("throttle error text 4@2+ [ 16 [ 4 error text { 8 } ] ] ...")),
    api(80, "AddRaftVoter", 0, 0)
        .response(body!("throttle error ...")),
    api(81, "RemoveRaftVoter", 0, 0)
        .response(body!("throttle error ...")),
    api(82, "UpdateRaftVoter", 0, 0)
        .response(body!("throttle error")),
    api(83, "InitializeShareGroupState", 0, 0)
        .request(body!("text [ topicid [ partition 12 ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(84, "ReadShareGroupState", 0, 0)
        .request(body!("text [ topicid [ partition 4 ] ]"))
        .response(body!("[ 16 [ 4 error text 12 [ 19 ] ] ]")),
    api(85, "WriteShareGroupState", 0, 0)
        .request(body!("text [ topicid [ partition 16 [ 19 ] ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(86, "DeleteShareGroupState", 0, 0)
        .request(body!("text [ topicid [ partition ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(87, "ReadShareGroupStateSummary", 0, 0)
        .request(body!("text [ topicid [ partition 4 ] ]"))
        .response(body!("[ 16 [ 4 error text 16 ] ]")),
    api(88, "StreamsGroupHeartbeat", 1, 0)
        .request(body!("group ..."))
        .response(body!("throttle error ...")),
    api(89, "StreamsGroupDescribe", 0, 0)
        .request(body!("group* ...")),
    api(90, "DescribeShareGroupOffsets", 0, 0)
        .request(body!("[ group [ topic partition* ] ]"))
        .response(body!("throttle [ text [ text 16 [ 16 error text ] ] error text ]")),
    api(91, "AlterShareGroupOffsets", 0, 0)
        .request(body!("group [ topic [ partition 8 ] ]"))
        .response(body!("throttle error text [ text 16 [ 4 error text ] ]")),
    api(92, "DeleteShareGroupOffsets", 0, 0)
        .request(body!("group [ topic ]"))
        .response(body!("throttle error text [ text 16 error text ]")),
    api(93, "GetReplicaLogInfo", 0, 0),
];

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::{APIS, Api};

    /// Versions of Kafka 4.2 that the crate, which is of 4.1, does not know.
    const NEWER: &[&str] = &["ListOffsets", "WriteTxnMarkers", "ShareFetch", "ShareAcknowledge"];

    #[test]
    fn names_and_versions_are_those_of_the_specs() {
        for key in ApiKey::iter() {
            let api = Api::find(key as i16).unwrap();
            let newest = key.valid_versions().max + i16::from(NEWER.contains(&api.name));
            assert_eq!((api.name, api.max_version), (format!("{key:?}").as_str(), newest));
        }
    }

    #[test]
    fn header_versions_are_those_of_the_specs() {
        for key in ApiKey::iter() {
            let api = Api::find(key as i16).unwrap();
            let versions = key.valid_versions();
            for version in versions.min..=versions.max {
                let ours = (api.request_header_version(version), api.response_header_version(version));
                let theirs = (key.request_header_version(version), key.response_header_version(version));
                assert_eq!(ours, theirs, "{key:?} {version}");
            }
        }
        let header_version = |key, version| Api::find(key).map(|api| api.request_header_version(version));
        assert_eq!([0, 1, 2, 3].map(|version| header_version(7, version)), [Some(0), Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn an_index_is_a_key() {
        assert!(APIS.iter().zip(0..).all(|(api, key)| api.key == key));
        assert_eq!((Api::find(-1), Api::find(94), Api::find(i16::MAX)), (None, None, None));
    }
}
