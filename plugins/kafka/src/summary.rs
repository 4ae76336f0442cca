//! What the body of a request or response comes down to: the part of it that goes into a message. Of fixed size, so
//! that nothing is allocated per message; lists are cut at a stated number of elements, the counts beside them are not.

use protap_plugin::{Status, Stop, Text};

use crate::errors;
use crate::records::Records;
use crate::wire::Wire;

/// Most topics that a message lists.
const MAX_TOPICS: usize = 32;
/// Most different errors that a message lists.
const MAX_ERRORS: usize = 8;
/// Longest name that a topic may have.
const MAX_TOPIC_NAME: u64 = 249;

/// What a body says.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) topics: Topics,
    pub(crate) partitions: u64,
    /// Index of the first partition.
    pub(crate) partition: Option<i32>,
    /// Offset of the first partition: to fetch from, or where what was produced begins.
    pub(crate) offset: Option<i64>,
    pub(crate) records: Option<Records>,
    pub(crate) errors: Errors,
    pub(crate) throttle_ms: Option<i32>,
    pub(crate) acks: Option<i16>,
    pub(crate) max_wait_ms: Option<i32>,
    pub(crate) group: Option<Text>,
    pub(crate) transactional_id: Option<Text>,
    pub(crate) software: Option<(Text, Text)>,
    pub(crate) brokers: Option<u64>,
    pub(crate) apis: Option<u64>,
}

impl Summary {
    /// Takes note of a partition.
    pub(crate) fn partition(&mut self, index: i32) {
        self.partition.get_or_insert(index);
        self.partitions = self.partitions.saturating_add(1);
    }
}

/// The topics of a message: names, or ids in the form in which Kafka prints them.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    list: [Text; MAX_TOPICS],
    kept: usize,
    /// How many there are.
    pub(crate) count: u64,
    /// They are ids.
    pub(crate) are_ids: bool,
}

impl Topics {
    /// The first ones.
    pub(crate) fn list(&self) -> &[Text] {
        self.list.get(..self.kept).unwrap_or_default()
    }

    /// Reads a topic's name.
    pub(crate) async fn read_name(&mut self, wire: &Wire<'_>) -> Result<(), Stop> {
        match wire.string_len().await? {
            None => Ok(()),
            Some(len) if len > MAX_TOPIC_NAME => Err(Stop::Malformed("a topic name of more than 249 bytes")),
            Some(len) if self.kept == MAX_TOPICS => {
                self.count = self.count.saturating_add(1);
                wire.stream.skip(len).await
            }
            Some(len) => {
                let name = wire.stream.text(len).await?;
                self.push(name);
                Ok(())
            }
        }
    }

    /// Reads a topic's id; all zeros stands for none.
    pub(crate) async fn read_id(&mut self, wire: &Wire<'_>) -> Result<(), Stop> {
        let id = TopicId::read(wire).await?;
        if id.is_zero() {
            return Ok(());
        }
        self.are_ids = true;
        if self.kept < MAX_TOPICS {
            self.push(wire.stream.keep(&id.text()));
        } else {
            self.count = self.count.saturating_add(1);
        }
        Ok(())
    }

    /// Adds a topic whose name was read.
    pub(crate) fn push(&mut self, topic: Text) {
        self.count = self.count.saturating_add(1);
        if let Some(slot) = self.list.get_mut(self.kept) {
            *slot = topic;
            self.kept += 1;
        }
    }
}

/// A topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicId([u8; 16]);

impl TopicId {
    pub(crate) async fn read(wire: &Wire<'_>) -> Result<Self, Stop> {
        Ok(Self(wire.stream.array().await?))
    }

    /// All zeros stands for no topic.
    pub(crate) fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }

    /// As Kafka prints it: base64 for URLs, without padding.
    pub(crate) fn text(self) -> [u8; 22] {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0; 22];
        for (i, byte) in text.iter_mut().enumerate() {
            // 21 digits of six bits, and a last one of two bits and four zeros.
            let digit = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 } & 63;
            *byte = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)).copied().unwrap_or(b'?');
        }
        text
    }
}

/// The error codes of a response.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    list: [i16; MAX_ERRORS],
    kept: usize,
    /// How many parts of the response say that they failed.
    pub(crate) count: u64,
    /// All that may be an error was seen, so that no error means success.
    pub(crate) is_decisive: bool,
    worst: i16,
}

impl Errors {
    /// Takes note of an error code.
    pub(crate) fn note(&mut self, code: i16) {
        if code == errors::NONE {
            return;
        }
        self.count = self.count.saturating_add(1);
        if severity(code) > severity(self.worst) {
            self.worst = code;
        }
        if !self.list().contains(&code)
            && let Some(slot) = self.list.get_mut(self.kept)
        {
            *slot = code;
            self.kept += 1;
        }
    }

    /// The different errors, in order.
    pub(crate) fn list(&self) -> &[i16] {
        self.list.get(..self.kept).unwrap_or_default()
    }

    /// How the request ended.
    pub(crate) fn status(&self) -> Status {
        match self.worst {
            errors::NONE if self.is_decisive => Status::Ok,
            errors::NONE => Status::Unknown,
            code => errors::status(code),
        }
    }

    /// The worst error, or that there was none; `None` if that is not known.
    pub(crate) fn code(&self) -> Option<i16> {
        (self.is_decisive || self.worst != errors::NONE).then_some(self.worst)
    }
}

/// Of several errors the server's weigh most, then time-outs.
fn severity(code: i16) -> u8 {
    match errors::status(code) {
        Status::Ok | Status::Unknown => 0,
        Status::ClientError => 1,
        Status::Timeout => 2,
        Status::ServerError => 3,
    }
}
