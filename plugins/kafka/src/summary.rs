//! What the body of a request or response comes down to: the part of it that goes into a message. Of fixed size, so
//! that nothing is allocated per message; lists are cut at a stated number of elements, the counts beside them are not.

use protap_plugin::{Source, Status, Stop, Text, at_once};

use crate::details::Details;
use crate::errors;
use crate::records::Records;
use crate::wire::Wire;

/// Most topics that a message lists.
pub(crate) const MAX_TOPICS: usize = 32;
/// Most partitions, and most offsets, that a message lists.
const MAX_PARTITIONS: usize = 32;
/// Most different errors that a message lists.
const MAX_ERRORS: usize = 8;
/// Longest name that a topic may have.
const MAX_TOPIC_NAME: u64 = 249;

/// What a body says.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) topics: Topics,
    /// How many partitions there are.
    pub(crate) partitions: u64,
    /// Index of the first partition.
    pub(crate) partition: Option<i32>,
    /// Indexes of the next ones. Most messages have only one partition, and nothing is allocated for that.
    more_partitions: Vec<i32>,
    /// Offset of the first partition: to fetch from, to commit, or where what was produced begins.
    pub(crate) offset: Option<i64>,
    /// Offsets of the next ones.
    more_offsets: Vec<i64>,
    pub(crate) records: Option<Records>,
    /// The trace context of the records is wanted.
    pub(crate) wants_trace: bool,
    pub(crate) errors: Errors,
    pub(crate) throttle_ms: Option<i32>,
    pub(crate) acks: Option<i16>,
    pub(crate) max_wait_ms: Option<i32>,
    /// The broker that fetches, if it is one; a consumer has a negative number.
    pub(crate) replica: Option<i32>,
    /// Who leads the first partition that was sought at the wrong broker.
    pub(crate) leader: Option<i32>,
    details: Option<Box<Details>>,
    /// Fetch session: id and epoch.
    pub(crate) session: Option<(i32, i32)>,
    pub(crate) transactional_id: Option<Text>,
    pub(crate) software: Option<(Text, Text)>,
    pub(crate) brokers: Option<u64>,
    pub(crate) apis: Option<u64>,
}

impl Summary {
    /// Takes note of a partition.
    pub(crate) fn partition(&mut self, index: i32) {
        if self.partition.is_none() {
            self.partition = Some(index);
        } else if self.more_partitions.len() + 1 < MAX_PARTITIONS {
            self.more_partitions.push(index);
        }
        self.partitions = self.partitions.saturating_add(1);
    }

    /// Takes note of who leads a partition, if that is said.
    pub(crate) fn leads(&mut self, leader: Option<i32>) {
        self.leader = self.leader.or(leader.filter(|leader| *leader >= 0));
    }

    /// Takes note of the offset of a partition.
    pub(crate) fn offset(&mut self, offset: i64) {
        if self.offset.is_none() {
            self.offset = Some(offset);
        } else if self.more_offsets.len() + 1 < MAX_PARTITIONS {
            self.more_offsets.push(offset);
        }
    }

    /// How many more partitions would be listed.
    pub(crate) fn partitions_to_list(&self) -> u64 {
        let listed = self.partition_list().count();
        MAX_PARTITIONS.saturating_sub(listed) as u64
    }

    /// Indexes of the first partitions.
    pub(crate) fn partition_list(&self) -> impl Iterator<Item = i64> {
        self.partition.iter().chain(&self.more_partitions).map(|index| i64::from(*index))
    }

    /// Offsets of the first partitions, if there are several.
    pub(crate) fn offset_list(&self) -> Option<impl Iterator<Item = i64>> {
        let more = &self.more_offsets;
        (!more.is_empty()).then(|| self.offset.iter().chain(more).copied())
    }

    /// The rarer things, to be added to.
    pub(crate) fn details(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// The rarer things that were found.
    pub(crate) fn found(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    /// The first group, or whatever else a coordinator is sought for.
    pub(crate) fn group(&self) -> Option<Text> {
        self.found().and_then(|details| details.groups().first().copied())
    }
}

/// The topics of a message: names, or ids in the form in which Kafka prints them.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    first: Option<Text>,
    /// The next ones: see [`Summary::more_partitions`].
    more: Vec<Text>,
    /// How many there are.
    pub(crate) count: u64,
    /// They are ids.
    pub(crate) are_ids: bool,
}

#[at_once]
impl Topics {
    /// The first ones.
    pub(crate) fn list(&self) -> impl Iterator<Item = Text> + Clone {
        self.first.iter().chain(&self.more).copied()
    }

    /// How many those are.
    fn kept(&self) -> usize {
        self.more.len() + usize::from(self.first.is_some())
    }

    /// The topic that was read last, if it is one of the first ones.
    pub(crate) fn last(&self) -> Option<Text> {
        let is_kept = self.count == self.kept() as u64;
        self.more.last().copied().or(self.first).filter(|_| is_kept)
    }

    /// Reads a topic's name.
    pub(crate) async fn read_name(&mut self, wire: &Wire<'_, impl Source>) -> Result<(), Stop> {
        match wire.string_len().await? {
            None => Ok(()),
            Some(len) if len > MAX_TOPIC_NAME => Err(Stop::Malformed("a topic name of more than 249 bytes")),
            Some(len) if self.kept() == MAX_TOPICS => {
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
    pub(crate) async fn read_id(&mut self, wire: &Wire<'_, impl Source>) -> Result<(), Stop> {
        let id = TopicId::read(wire).await?;
        if id.is_zero() {
            return Ok(());
        }
        self.are_ids = true;
        if self.kept() < MAX_TOPICS {
            self.push(wire.stream.keep(&id.text()));
        } else {
            self.count = self.count.saturating_add(1);
        }
        Ok(())
    }

    /// Adds a topic whose name was read.
    pub(crate) fn push(&mut self, topic: Text) {
        self.count = self.count.saturating_add(1);
        if self.first.is_none() {
            self.first = Some(topic);
        } else if self.kept() < MAX_TOPICS {
            self.more.push(topic);
        }
    }
}

/// A topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicId([u8; 16]);

#[at_once]
impl TopicId {
    pub(crate) async fn read(wire: &Wire<'_, impl Source>) -> Result<Self, Stop> {
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
        if errors::severity(code) > errors::severity(self.worst) {
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
