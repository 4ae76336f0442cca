//! Fetch sessions (KIP-227): which topics and partitions a client's incremental requests stand for. A full request with
//! epoch 0 begins a session, the answer to it names it, and each later request says only what changed. What is not
//! followed: sessions of many topics or partitions, or that began before the capture did; their requests just have no
//! topics.
//!
//! Spec: <https://cwiki.apache.org/confluence/display/KAFKA/KIP-227%3A+Introduce+Incremental+FetchRequests+to+Increase+Partition+Scalability>.

use crate::summary::MAX_TOPICS;

/// Most partitions of a session that is followed.
const MAX_PARTITIONS: usize = 1024;
/// Epoch of a full request that begins a session.
const INITIAL: i32 = 0;
/// No session has this id.
const NO_SESSION: i32 = 0;

/// One client's session on one connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The broker's name for it, once it was seen.
    id: Option<i32>,
    next_epoch: i32,
    topics: Vec<Box<[u8]>>,
    /// Topic, by its place in the list, and partition.
    partitions: Vec<(usize, i32)>,
    /// The topics are ids.
    pub(crate) are_ids: bool,
}

impl Session {
    /// The session that a request with that id and epoch is part of, given the one before. One of another id or epoch
    /// is not what was followed so far, so it is given up.
    pub(crate) fn continued(session: Option<Box<Self>>, id: i32, epoch: i32) -> Option<Box<Self>> {
        if epoch < INITIAL {
            return None;
        }
        if epoch == INITIAL {
            return Some(Box::new(Self { next_epoch: 1, ..Self::default() }));
        }
        let mut session =
            session.filter(|session| session.next_epoch == epoch && session.id.is_none_or(|own| own == id))?;
        session.id = Some(id);
        session.next_epoch = epoch.checked_add(1).unwrap_or(1);
        Some(session)
    }

    /// Takes note of the id that a full request is answered with.
    pub(crate) fn granted(session: Option<Box<Self>>, id: i32) -> Option<Box<Self>> {
        let mut session = session.filter(|_| id != NO_SESSION)?;
        session.id.get_or_insert(id);
        Some(session)
    }

    /// The place of a topic, which is added if it is new; `None` if there is no room for it.
    pub(crate) fn topic(&mut self, topic: &[u8]) -> Option<usize> {
        if let Some(place) = self.place(topic) {
            return Some(place);
        }
        if self.topics.len() == MAX_TOPICS {
            return None;
        }
        self.topics.push(topic.into());
        self.topics.len().checked_sub(1)
    }

    /// The place of a topic that is there.
    pub(crate) fn place(&self, topic: &[u8]) -> Option<usize> {
        self.topics.iter().position(|known| **known == *topic)
    }

    /// Adds a partition if it is new; `None` if there is no room for it.
    pub(crate) fn partition(&mut self, topic: usize, partition: i32) -> Option<()> {
        if !self.partitions.contains(&(topic, partition)) {
            if self.partitions.len() == MAX_PARTITIONS {
                return None;
            }
            self.partitions.push((topic, partition));
        }
        Some(())
    }

    /// Takes a partition out.
    pub(crate) fn forget(&mut self, topic: usize, partition: i32) {
        self.partitions.retain(|known| *known != (topic, partition));
    }

    /// The topics of which there are partitions.
    pub(crate) fn topics(&self) -> Vec<&[u8]> {
        let is_fetched = |place: usize| self.partitions.iter().any(|(topic, _)| *topic == place);
        self.topics.iter().enumerate().filter(|(place, _)| is_fetched(*place)).map(|(_, topic)| &**topic).collect()
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }
}
