//! Kafka's APIs. All that depends on an API and its version (header versions, what is a plausible request) is derived
//! from the table of them, see [`table`]; only the few APIs with code of their own are named here.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_api_keys>; the flexible versions are those of the message specs.

use crate::body::Op;

use table::APIS;

mod table;

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
pub(crate) const SASL_AUTHENTICATE: i16 = 36;
pub(crate) const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::{APIS, Api};

    /// APIs of which Kafka 4.4 has newer versions than the crate, which is of 4.1.
    #[rustfmt::skip]
    const NEWER: &[&str] = &[
        "ListOffsets", "ApiVersions", "WriteTxnMarkers", "TxnOffsetCommit", "DescribeLogDirs", "DeleteGroups",
        "BrokerHeartbeat", "ShareFetch", "ShareAcknowledge", "AddRaftVoter", "WriteShareGroupState",
        "ReadShareGroupStateSummary", "StreamsGroupDescribe", "DescribeShareGroupOffsets", "StreamsGroupHeartbeat",
    ];

    #[test]
    fn names_and_versions_are_those_of_the_specs() {
        for key in ApiKey::iter() {
            let api = Api::find(key as i16).unwrap();
            let newest = key.valid_versions().max + i16::from(NEWER.contains(&api.name));
            assert_eq!((api.name, api.max_version), (format!("{key:?}").as_str(), newest));
        }
    }

    /// What a broker and a controller of Kafka 4.4.0 answered to ApiVersions version 0, as recorded.
    const BROKERS: [&[u8]; 2] = [
        include_bytes!("../tests/broker/api_versions_4.4.0_broker.bin"),
        include_bytes!("../tests/broker/api_versions_4.4.0_controller.bin"),
    ];

    #[test]
    fn versions_are_those_that_a_broker_announces() {
        let mut seen = [0; 2];
        for (answer, seen) in BROKERS.into_iter().zip(&mut seen) {
            for announced in answer[6..].chunks_exact(6) {
                let number = |at| i16::from_be_bytes([announced[at], announced[at + 1]]);
                let api = Api::find(number(0)).unwrap();
                // A version that is not stable yet is not announced.
                let unstable = i16::from(api.name == "InitProducerId");
                assert_eq!(api.max_version - unstable, number(4), "{}", api.name);
                *seen += 1;
            }
        }
        assert_eq!(seen, [77, 42]);
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
        assert_eq!((Api::find(-1), Api::find(95), Api::find(i16::MAX)), (None, None, None));
    }
}
