//! The table of Kafka's error codes: name, and who is to blame. A broker in the wrong state (leadership, coordinator,
//! epochs, disks), most of what Kafka calls retriable, is the server's fault; a request for what does not exist, is not
//! allowed, exceeds a quota or makes no sense is the client's, also where trying again may help.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_error_codes>.

use protap_plugin::Status;

/// Error code of a request that succeeded.
pub(crate) const NONE: i16 = 0;
/// A broker does not know the version of a request.
pub(crate) const UNSUPPORTED_VERSION: i16 = 35;

/// Name of an error code, if it is known.
pub(crate) fn name(code: i16) -> Option<&'static str> {
    find(code).map(|(name, _)| *name)
}

/// Who is to blame for an error code. A code that is not known is some error of a server newer than this table.
pub(crate) fn status(code: i16) -> Status {
    find(code).map_or(Status::ServerError, |(_, status)| *status)
}

/// Whether the same request may succeed when it is sent again: what Kafka's own client retries.
pub(crate) fn is_retriable(code: i16) -> bool {
    RETRIABLE.contains(&code)
}

/// Of several errors the server's weigh most, then time-outs; on each side, the final ones before the retriable.
pub(crate) fn severity(code: i16) -> u8 {
    let side = match status(code) {
        Status::Ok | Status::Unknown => return 0,
        Status::ClientError => 1,
        Status::Timeout => 3,
        Status::ServerError => 5,
    };
    side + u8::from(!is_retriable(code))
}

fn find(code: i16) -> Option<&'static (&'static str, Status)> {
    // The first code is -1.
    code.checked_add(1).and_then(|index| usize::try_from(index).ok()).and_then(|index| ERRORS.get(index))
}

const fn ok(name: &'static str) -> (&'static str, Status) {
    (name, Status::Ok)
}

const fn client(name: &'static str) -> (&'static str, Status) {
    (name, Status::ClientError)
}

const fn server(name: &'static str) -> (&'static str, Status) {
    (name, Status::ServerError)
}

const fn timeout(name: &'static str) -> (&'static str, Status) {
    (name, Status::Timeout)
}

/// Names and blame; each one's index is its code plus one.
#[rustfmt::skip]
pub(crate) static ERRORS: &[(&str, Status)] = &[
    /* -1 */ server("UNKNOWN_SERVER_ERROR"),
    /* 0 */ ok("NONE"),
    /* 1 */ client("OFFSET_OUT_OF_RANGE"),
    /* 2 */ client("CORRUPT_MESSAGE"),
    /* 3 */ client("UNKNOWN_TOPIC_OR_PARTITION"),
    /* 4 */ client("INVALID_FETCH_SIZE"),
    /* 5 */ server("LEADER_NOT_AVAILABLE"),
    /* 6 */ server("NOT_LEADER_OR_FOLLOWER"),
    /* 7 */ timeout("REQUEST_TIMED_OUT"),
    /* 8 */ server("BROKER_NOT_AVAILABLE"),
    /* 9 */ server("REPLICA_NOT_AVAILABLE"),
    /* 10 */ client("MESSAGE_TOO_LARGE"),
    /* 11 */ server("STALE_CONTROLLER_EPOCH"),
    /* 12 */ client("OFFSET_METADATA_TOO_LARGE"),
    /* 13 */ server("NETWORK_EXCEPTION"),
    /* 14 */ server("COORDINATOR_LOAD_IN_PROGRESS"),
    /* 15 */ server("COORDINATOR_NOT_AVAILABLE"),
    /* 16 */ server("NOT_COORDINATOR"),
    /* 17 */ client("INVALID_TOPIC_EXCEPTION"),
    /* 18 */ client("RECORD_LIST_TOO_LARGE"),
    /* 19 */ server("NOT_ENOUGH_REPLICAS"),
    /* 20 */ server("NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
    /* 21 */ client("INVALID_REQUIRED_ACKS"),
    /* 22 */ client("ILLEGAL_GENERATION"),
    /* 23 */ client("INCONSISTENT_GROUP_PROTOCOL"),
    /* 24 */ client("INVALID_GROUP_ID"),
    /* 25 */ client("UNKNOWN_MEMBER_ID"),
    /* 26 */ client("INVALID_SESSION_TIMEOUT"),
    /* 27 */ server("REBALANCE_IN_PROGRESS"),
    /* 28 */ client("INVALID_COMMIT_OFFSET_SIZE"),
    /* 29 */ client("TOPIC_AUTHORIZATION_FAILED"),
    /* 30 */ client("GROUP_AUTHORIZATION_FAILED"),
    /* 31 */ client("CLUSTER_AUTHORIZATION_FAILED"),
    /* 32 */ client("INVALID_TIMESTAMP"),
    /* 33 */ client("UNSUPPORTED_SASL_MECHANISM"),
    /* 34 */ client("ILLEGAL_SASL_STATE"),
    /* 35 */ client("UNSUPPORTED_VERSION"),
    /* 36 */ client("TOPIC_ALREADY_EXISTS"),
    /* 37 */ client("INVALID_PARTITIONS"),
    /* 38 */ client("INVALID_REPLICATION_FACTOR"),
    /* 39 */ client("INVALID_REPLICA_ASSIGNMENT"),
    /* 40 */ client("INVALID_CONFIG"),
    /* 41 */ server("NOT_CONTROLLER"),
    /* 42 */ client("INVALID_REQUEST"),
    /* 43 */ client("UNSUPPORTED_FOR_MESSAGE_FORMAT"),
    /* 44 */ client("POLICY_VIOLATION"),
    /* 45 */ client("OUT_OF_ORDER_SEQUENCE_NUMBER"),
    /* 46 */ client("DUPLICATE_SEQUENCE_NUMBER"),
    /* 47 */ client("INVALID_PRODUCER_EPOCH"),
    /* 48 */ client("INVALID_TXN_STATE"),
    /* 49 */ client("INVALID_PRODUCER_ID_MAPPING"),
    /* 50 */ client("INVALID_TRANSACTION_TIMEOUT"),
    /* 51 */ server("CONCURRENT_TRANSACTIONS"),
    /* 52 */ server("TRANSACTION_COORDINATOR_FENCED"),
    /* 53 */ client("TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    /* 54 */ client("SECURITY_DISABLED"),
    /* 55 */ server("OPERATION_NOT_ATTEMPTED"),
    /* 56 */ server("KAFKA_STORAGE_ERROR"),
    /* 57 */ client("LOG_DIR_NOT_FOUND"),
    /* 58 */ client("SASL_AUTHENTICATION_FAILED"),
    /* 59 */ client("UNKNOWN_PRODUCER_ID"),
    /* 60 */ server("REASSIGNMENT_IN_PROGRESS"),
    /* 61 */ client("DELEGATION_TOKEN_AUTH_DISABLED"),
    /* 62 */ client("DELEGATION_TOKEN_NOT_FOUND"),
    /* 63 */ client("DELEGATION_TOKEN_OWNER_MISMATCH"),
    /* 64 */ client("DELEGATION_TOKEN_REQUEST_NOT_ALLOWED"),
    /* 65 */ client("DELEGATION_TOKEN_AUTHORIZATION_FAILED"),
    /* 66 */ client("DELEGATION_TOKEN_EXPIRED"),
    /* 67 */ client("INVALID_PRINCIPAL_TYPE"),
    /* 68 */ client("NON_EMPTY_GROUP"),
    /* 69 */ client("GROUP_ID_NOT_FOUND"),
    /* 70 */ server("FETCH_SESSION_ID_NOT_FOUND"),
    /* 71 */ server("INVALID_FETCH_SESSION_EPOCH"),
    /* 72 */ server("LISTENER_NOT_FOUND"),
    /* 73 */ client("TOPIC_DELETION_DISABLED"),
    /* 74 */ server("FENCED_LEADER_EPOCH"),
    /* 75 */ server("UNKNOWN_LEADER_EPOCH"),
    /* 76 */ client("UNSUPPORTED_COMPRESSION_TYPE"),
    /* 77 */ server("STALE_BROKER_EPOCH"),
    /* 78 */ server("OFFSET_NOT_AVAILABLE"),
    /* 79 */ client("MEMBER_ID_REQUIRED"),
    /* 80 */ server("PREFERRED_LEADER_NOT_AVAILABLE"),
    /* 81 */ client("GROUP_MAX_SIZE_REACHED"),
    /* 82 */ client("FENCED_INSTANCE_ID"),
    /* 83 */ server("ELIGIBLE_LEADERS_NOT_AVAILABLE"),
    /* 84 */ client("ELECTION_NOT_NEEDED"),
    /* 85 */ client("NO_REASSIGNMENT_IN_PROGRESS"),
    /* 86 */ client("GROUP_SUBSCRIBED_TO_TOPIC"),
    /* 87 */ client("INVALID_RECORD"),
    /* 88 */ server("UNSTABLE_OFFSET_COMMIT"),
    /* 89 */ client("THROTTLING_QUOTA_EXCEEDED"),
    /* 90 */ client("PRODUCER_FENCED"),
    /* 91 */ client("RESOURCE_NOT_FOUND"),
    /* 92 */ client("DUPLICATE_RESOURCE"),
    /* 93 */ client("UNACCEPTABLE_CREDENTIAL"),
    /* 94 */ server("INCONSISTENT_VOTER_SET"),
    /* 95 */ client("INVALID_UPDATE_VERSION"),
    /* 96 */ server("FEATURE_UPDATE_FAILED"),
    /* 97 */ server("PRINCIPAL_DESERIALIZATION_FAILURE"),
    /* 98 */ server("SNAPSHOT_NOT_FOUND"),
    /* 99 */ client("POSITION_OUT_OF_RANGE"),
    /* 100 */ client("UNKNOWN_TOPIC_ID"),
    /* 101 */ client("DUPLICATE_BROKER_REGISTRATION"),
    /* 102 */ client("BROKER_ID_NOT_REGISTERED"),
    /* 103 */ server("INCONSISTENT_TOPIC_ID"),
    /* 104 */ client("INCONSISTENT_CLUSTER_ID"),
    /* 105 */ client("TRANSACTIONAL_ID_NOT_FOUND"),
    /* 106 */ server("FETCH_SESSION_TOPIC_ID_ERROR"),
    /* 107 */ server("INELIGIBLE_REPLICA"),
    /* 108 */ server("NEW_LEADER_ELECTED"),
    /* 109 */ server("OFFSET_MOVED_TO_TIERED_STORAGE"),
    /* 110 */ client("FENCED_MEMBER_EPOCH"),
    /* 111 */ client("UNRELEASED_INSTANCE_ID"),
    /* 112 */ client("UNSUPPORTED_ASSIGNOR"),
    /* 113 */ client("STALE_MEMBER_EPOCH"),
    /* 114 */ client("MISMATCHED_ENDPOINT_TYPE"),
    /* 115 */ client("UNSUPPORTED_ENDPOINT_TYPE"),
    /* 116 */ client("UNKNOWN_CONTROLLER_ID"),
    /* 117 */ client("UNKNOWN_SUBSCRIPTION_ID"),
    /* 118 */ client("TELEMETRY_TOO_LARGE"),
    /* 119 */ client("INVALID_REGISTRATION"),
    /* 120 */ client("TRANSACTION_ABORTABLE"),
    /* 121 */ client("INVALID_RECORD_STATE"),
    /* 122 */ server("SHARE_SESSION_NOT_FOUND"),
    /* 123 */ server("INVALID_SHARE_SESSION_EPOCH"),
    /* 124 */ server("FENCED_STATE_EPOCH"),
    /* 125 */ client("INVALID_VOTER_KEY"),
    /* 126 */ client("DUPLICATE_VOTER"),
    /* 127 */ client("VOTER_NOT_FOUND"),
    /* 128 */ client("INVALID_REGULAR_EXPRESSION"),
    /* 129 */ server("REBOOTSTRAP_REQUIRED"),
    /* 130 */ client("STREAMS_INVALID_TOPOLOGY"),
    /* 131 */ client("STREAMS_INVALID_TOPOLOGY_EPOCH"),
    /* 132 */ client("STREAMS_TOPOLOGY_FENCED"),
    /* 133 */ server("SHARE_SESSION_LIMIT_REACHED"),
    /* 134 */ server("GROUP_DELETION_FAILED"),
    /* 135 */ server("STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED"),
    /* 136 */ client("CONTROLLER_ID_NOT_REGISTERED"),
];

/// Codes of the errors that Kafka calls retriable.
#[rustfmt::skip]
static RETRIABLE: &[i16] = &[
    2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100, 103,
    106, 122, 123, 133,
];

#[cfg(test)]
mod tests {
    use kafka_protocol::ResponseError;
    use protap_plugin::Status;

    use super::{ERRORS, is_retriable, name, severity, status};

    #[test]
    fn names_are_those_of_the_specs() {
        for code in (-1..=133).filter(|code| *code != 0) {
            let theirs = ResponseError::try_from_code(code).unwrap().to_string();
            let ours = name(code).unwrap();
            // The crate has them in camel case.
            assert_eq!(ours.replace('_', "").to_lowercase(), theirs.to_lowercase(), "{code}");
        }
        assert_eq!((ERRORS.len(), name(0), name(-2), name(137)), (138, Some("NONE"), None, None));
    }

    #[test]
    fn retriable_are_those_that_clients_retry() {
        let differing: Vec<_> = (-1..=133)
            .filter(|code| *code != 0)
            .filter(|code| ResponseError::try_from_code(*code).unwrap().is_retriable() != is_retriable(*code))
            .collect();
        // CONCURRENT_TRANSACTIONS is in the client of Kafka 4.4, but not in the crate.
        assert_eq!(differing, [51]);
    }

    #[test]
    fn the_worst_error_is_the_servers_final_one() {
        // Nothing, unknown topic, no permission, time-out, not the leader, disk, no reason given.
        let ranked = [0, 3, 29, 7, 6, 129, -1];
        assert!(ranked.windows(2).all(|pair| severity(pair[0]) <= severity(pair[1])));
        assert!(severity(3) < severity(29) && severity(29) < severity(7) && severity(6) < severity(-1));
    }

    #[test]
    fn blame_is_put_on_one_side() {
        let cases = [(0, Status::Ok), (-1, Status::ServerError), (3, Status::ClientError), (6, Status::ServerError)];
        let more =
            [(7, Status::Timeout), (29, Status::ClientError), (56, Status::ServerError), (999, Status::ServerError)];
        for (code, blame) in cases.into_iter().chain(more) {
            assert_eq!(status(code), blame, "{code}");
        }
    }
}
