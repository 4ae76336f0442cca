//! The APIs of Apache Kafka 4.4, and those that it removed: the one place to extend when a release brings more. For each
//! its key, name, newest version, first flexible version, and what there is in its bodies (see [`body`](mod@crate::body)
//! for the words), in the order of the wire. `tests/specs.py` compares this file with the message specs of a release.

use super::{Api, NEVER};
use crate::body::body;

/// An API whose body is not described here.
const fn api(key: i16, name: &'static str, max_version: i16, first_flexible: i16) -> Api {
    Api { key, name, max_version, first_flexible, request: &[], response: &[] }
}

/// The APIs; each one's index is its key.
#[rustfmt::skip]
pub(super) static APIS: &[Api] = &[
    api(0, "Produce", 13, 9),
    api(1, "Fetch", 18, 12),
    api(2, "ListOffsets", 11, 6)
        .request(body!("4 1:isolation@2+ [ topic [ partition 4@4+ 8:timestamp 4@-0 ] ] 4@10+"))
        .response(body!("throttle@2+ [ topic [ partition error 8*@-0 8@1+ offset@1+ 4@4+ ] ]")),
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
        .request(body!("group 4:generation@1+ text:member@1+ text:instance@7+ 8@2-4 [ topic@-9 topicid@10+ [ \
         partition offset 4@6+ 8@1-1 text ] ]"))
        .response(body!("throttle@3+ [ text@-9 16@10+ [ 4 error ] ]")),
    api(9, "OffsetFetch", 10, 6)
        .request(body!("group@-7 [@-7 topic partition* ] [@8+ group text:member@9+ 4:epoch@9+ [ topic@-9 \
         topicid@10+ partition* ] ] 1@7+"))
        .response(body!("throttle@3+ [@-7 topic [ partition offset 4@5+ text error ] ] error@2-7 [@8+ text [ \
         topic@-9 topicid@10+ [ partition offset 4 text error ] ] error ]")),
    api(10, "FindCoordinator", 6, 3)
        .request(body!("group@-3 keytype@1+ group*@4+"))
        .response(body!("throttle@1+ error@-3 text@1-3 4:node@-3 text@-3 4@-3 [@4+ text 4:node text 4 error text ]")),
    api(11, "JoinGroup", 9, 6)
        .request(body!("group 4:session_timeout 4:rebalance_timeout@1+ text:member text:instance@5+ \
         text:protocol_type [ text:protocol bytes ] text@8+"))
        .response(body!("throttle@2+ error 4:generation text:protocol_type@7+ text:protocol text:leader 1@9+ \
         text:member [ +members text text@5+ bytes ]")),
    api(12, "Heartbeat", 4, 4)
        .request(body!("group 4:generation text:member text:instance@3+"))
        .response(body!("throttle@1+ error")),
    api(13, "LeaveGroup", 5, 4)
        .request(body!("group text:member@-2 [@3+ +members text:member text:instance text@5+ ]"))
        .response(body!("throttle@1+ error [@3+ text text error ]")),
    api(14, "SyncGroup", 5, 4)
        .request(body!("group 4:generation text:member text:instance@3+ text:protocol_type@5+ text:protocol@5+ [ \
         +members text bytes ]"))
        .response(body!("throttle@1+ error text:protocol_type@5+ text:protocol@5+ bytes")),
    api(15, "DescribeGroups", 6, 5)
        .request(body!("group* 1@3+"))
        .response(body!("throttle@1+ [ error text@6+ text text:state text:protocol_type text:protocol [ +members \
         text text@4+ text text bytes bytes ] 4@3+ ]")),
    api(16, "ListGroups", 5, 3)
        .request(body!("text*@4+ text*@5+"))
        .response(body!("throttle@1+ error [ group text text@4+ text@5+ ]")),
    api(17, "SaslHandshake", 1, NEVER)
        .request(body!("text:mechanism"))
        .response(body!("error text*")),
    api(18, "ApiVersions", 5, 3),
    api(19, "CreateTopics", 7, 5)
        .request(body!("[ topic partitions 2:replication [ partition 4* ] [ text text ] ] 4 1?validate_only@1+"))
        .response(body!("throttle@2+ [ text@-6 nameid@7+ error text@1+ 6@5+ [@5+ text text 3 ] ]")),
    api(20, "DeleteTopics", 6, 4)
        .request(body!("[@6+ topic topicid ] topic*@-5 4"))
        .response(body!("throttle@1+ [ text@-5 nameid@6+ error text@5+ ]")),
    api(21, "DeleteRecords", 2, 2)
        .request(body!("[ topic [ partition 8 ] ] ..."))
        .response(body!("throttle [ text [ 12 error ] ]")),
    api(22, "InitProducerId", 6, 2)
        .request(body!("txn 4:txn_timeout 8:producer@3+ 2:producer_epoch@3+ 1@6+ 1@6+"))
        .response(body!("throttle error 8:producer 2:producer_epoch 8@6+ 2@6+")),
    api(23, "OffsetForLeaderEpoch", 4, 4)
        .request(body!("4@3+ [ topic [ partition 4@2+ 4 ] ]"))
        .response(body!("throttle@2+ [ text [ error 4 4@1+ 8 ] ]")),
    api(24, "AddPartitionsToTxn", 5, 3)
        .request(body!("[@4+ txn 8:producer 2:producer_epoch 1 [ topic partition* ] ] txn@-3 8:producer@-3 \
         2:producer_epoch@-3 [@-3 topic partition* ]"))
        .response(body!("throttle error@4+ [@4+ text [ text [ 4 error ] ] ] [@-3 text [ 4 error ] ]")),
    api(25, "AddOffsetsToTxn", 4, 3)
        .request(body!("txn 8:producer 2:producer_epoch group"))
        .response(body!("throttle error")),
    api(26, "EndTxn", 5, 3)
        .request(body!("txn 8:producer 2:producer_epoch 1?commit"))
        .response(body!("throttle error 8:producer@5+ 2:producer_epoch@5+")),
    api(27, "WriteTxnMarkers", 2, 1)
        .request(body!("[ 11 [ topic partition* ] 4 1@2+ ]"))
        .response(body!("[ 8 [ text [ 4 error ] ] ]")),
    api(28, "TxnOffsetCommit", 6, 3)
        .request(body!("txn group 8:producer 2:producer_epoch 4:generation@3+ text:member@3+ text:instance@3+ [ \
         topic@-5 topicid@6+ [ partition offset 4@2+ text ] ]"))
        .response(body!("throttle [ text@-5 16@6+ [ 4 error ] ]")),
    api(29, "DescribeAcls", 3, 2)
        .response(body!("throttle error ...")),
    api(30, "CreateAcls", 3, 2)
        .response(body!("throttle [ error text ]")),
    api(31, "DeleteAcls", 3, 2)
        .response(body!("throttle [ error text [ error text 1 text 1@1+ text text 2 ] ]")),
    api(32, "DescribeConfigs", 4, 4)
        .request(body!("[ resource text* ] 1@1+ 1@3+"))
        .response(body!("throttle [ error text 1 text [ +configs text text 3 [@1+ text text 1 ] 1@3+ text@3+ ] ]")),
    api(33, "AlterConfigs", 2, 2)
        .request(body!("[ resource [ +configs text text ] ] 1?validate_only"))
        .response(body!("throttle [ error text 1 text ]")),
    api(34, "AlterReplicaLogDirs", 2, 2)
        .request(body!("[ text [ topic partition* ] ]"))
        .response(body!("throttle [ text [ 4 error ] ]")),
    api(35, "DescribeLogDirs", 5, 2)
        .request(body!("[ topic partition* ]"))
        .response(body!("throttle error@3+ [ error text [ text [ 21 ] ] 16@4+ 1@5+ ]")),
    api(36, "SaslAuthenticate", 2, 2)
        .request(body!("bytes"))
        .response(body!("error text bytes 8:lifetime@1+")),
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
    api(42, "DeleteGroups", 3, 2)
        .request(body!("group*"))
        .response(body!("throttle [ text error text@3+ ]")),
    api(43, "ElectLeaders", 2, 2)
        .request(body!("1@1+ [ topic partition* ] ..."))
        .response(body!("throttle error@1+ [ text [ 4 error text ] ]")),
    api(44, "IncrementalAlterConfigs", 1, 1)
        .request(body!("[ resource [ +configs text 1 text ] ] 1?validate_only"))
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
        .request(body!("1 1@1+ 1@2+"))
        .response(body!("throttle error ...")),
    api(61, "DescribeProducers", 0, 0)
        .request(body!("[ topic partition* ]"))
        .response(body!("throttle [ text [ 4 error text [ 36 ] ] ]")),
    api(62, "BrokerRegistration", 4, 0)
        .response(body!("throttle error ...")),
    api(63, "BrokerHeartbeat", 2, 0)
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
        .request(body!("group text:member 4:epoch text:instance text 4:rebalance_timeout topic* text@1+ \
         text:protocol [ 16 assigned* ]"))
        .response(body!("throttle error text text:member 4:epoch 4:heartbeat ?{ [ 16 assigned* ] }")),
    api(69, "ConsumerGroupDescribe", 1, 0)
        .request(body!("group* 1"))
        .response(body!("throttle [ error text text text:state 8 text:protocol [ +members text text text 4 text \
         text text* text { [ idname 4* ] } { [ 16 text 4* ] } 1@1+ ] 4 ]")),
    api(70, "ControllerRegistration", 0, 0)
        .response(body!("throttle error ...")),
    api(71, "GetTelemetrySubscriptions", 0, 0)
        .request(body!("instanceid"))
        .response(body!("throttle error instanceid 4:subscription 1* 4:push_interval 5 text*")),
    api(72, "PushTelemetry", 0, 0)
        .request(body!("instanceid 4:subscription 1?terminating 1 bytes"))
        .response(body!("throttle error")),
    api(73, "AssignReplicasToDirs", 0, 0)
        .request(body!("12 [ 16 [ topicid [ partition ] ] ]"))
        .response(body!("throttle error [ 16 [ 16 [ 4 error ] ] ]")),
    api(74, "ListConfigResources", 1, 0)
        .response(body!("throttle error ...")),
    api(75, "DescribeTopicPartitions", 0, 0)
        .request(body!("[ topic ] 4 ?{ text 4 }"))
        .response(body!("throttle [ error nameid 1 [ error partition 8 4* 4* 4* 4* 4* ] 4 ] ?{ text 4 }")),
    api(76, "ShareGroupHeartbeat", 1, 0)
        .request(body!("group text:member 4:epoch text topic*"))
        .response(body!("throttle error text text:member 4:epoch 4:heartbeat ?{ [ 16 assigned* ] }")),
    api(77, "ShareGroupDescribe", 1, 0)
        .request(body!("group* 1"))
        .response(body!("throttle [ error text text text:state 8 text:protocol [ +members text text 4 text text \
         text* { [ idname 4* ] } ] 4 ]")),
    api(78, "ShareFetch", 2, 0)
        .request(body!("group text:member 4:share_epoch wait 8 8@1+ 1@2+ 1@2+ [ topicid [ partition 4@-0 [ \
         +acknowledged 16 1* ] ] ] [ 16 4* ]"))
        .response(body!("throttle error text 4@1+ [ topicid [ partition error text error text { 8 } records [ \
         +acquired 18 ] ] ] [ 4 text 4 text ]")),
    api(79, "ShareAcknowledge", 2, 0)
        .request(body!("group text:member 4:share_epoch 1@2+ [ topicid [ partition [ +acknowledged 16 1* ] ] ]"))
        .response(body!("throttle error text 4@2+ [ 16 [ 4 error text { 8 } ] ] [ 4 text 4 text ]")),
    api(80, "AddRaftVoter", 1, 0)
        .response(body!("throttle error ...")),
    api(81, "RemoveRaftVoter", 0, 0)
        .response(body!("throttle error ...")),
    api(82, "UpdateRaftVoter", 0, 0)
        .response(body!("throttle error")),
    api(83, "InitializeShareGroupState", 0, 0)
        .request(body!("group [ topicid [ partition 12 ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(84, "ReadShareGroupState", 0, 0)
        .request(body!("group [ topicid [ partition 4 ] ]"))
        .response(body!("[ 16 [ 4 error text 12 [ 19 ] ] ]")),
    api(85, "WriteShareGroupState", 1, 0)
        .request(body!("group [ topicid [ partition 16 4@1+ [ 19 ] ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(86, "DeleteShareGroupState", 0, 0)
        .request(body!("group [ topicid [ partition ] ]"))
        .response(body!("[ 16 [ 4 error text ] ]")),
    api(87, "ReadShareGroupStateSummary", 1, 0)
        .request(body!("group [ topicid [ partition 4 ] ]"))
        .response(body!("[ 16 [ 4 error text 16 4@1+ ] ]")),
    api(88, "StreamsGroupHeartbeat", 1, 0)
        .request(body!("group text:member 4:epoch ..."))
        .response(body!("throttle error text text:member 4:epoch 4:heartbeat ...")),
    api(89, "StreamsGroupDescribe", 1, 0)
        .request(body!("group* 1 1@1+"))
        .response(body!("throttle [ error text text text:state 8 ?{ 4 [ text text* text* [ text 6 [ text text ] ] [ \
         text 6 [ text text ] ] ] } [ +members text 4 text text text text 4 text ?{ text 2 } [ text text ] [ text \
         12 ] [ text 12 ] { [ text 4* ] [ text 4* ] [ text 4* ] } { [ text 4* ] [ text 4* ] [ text 4* ] } 1 ] 4 \
         ?{@1+ [ text [ text 1 text* text text* text* ] ] [ { text 1 text* text text* text* } { text 1 text* text \
         text* text* } ] } 1@1+ text:protocol@1+ ]")),
    api(90, "DescribeShareGroupOffsets", 1, 0)
        .request(body!("[ group [ topic partition* ] ]"))
        .response(body!("throttle [ text [ nameid [ 16 8@1+ error text ] ] error text ]")),
    api(91, "AlterShareGroupOffsets", 0, 0)
        .request(body!("group [ topic [ partition 8 ] ]"))
        .response(body!("throttle error text [ text 16 [ 4 error text ] ]")),
    api(92, "DeleteShareGroupOffsets", 0, 0)
        .request(body!("group [ topic ]"))
        .response(body!("throttle error text [ text 16 error text ]")),
    api(93, "StreamsGroupTopologyDescriptionUpdate", 0, 0)
        .request(body!("group text:member 4 ..."))
        .response(body!("throttle error text")),
    api(94, "UnregisterController", 0, 0)
        .request(body!("4"))
        .response(body!("throttle error text")),
];
