//! What records were made of, kept so that the next ones need not allocate: they come back to the shard as soon as their
//! lines are made, or from the merge once they are written.

use std::sync::Arc;

use super::{Content, FlowEnds, PluginIdentity, Record};
use crate::pair::Pending;

/// Records that are kept at most: twice as many as the merge holds back.
const MAX_RECORDS: usize = 8_192;
/// Contents that are kept at most: two to a record.
const MAX_CONTENTS: usize = 2 * MAX_RECORDS;
/// Pending requests that are kept at most.
const MAX_PENDING: usize = 1_024;
/// Attributes and elements of lists for which a content that is kept may have room.
const MAX_ROOM: usize = 64;
/// Bytes of strings for which it may.
const MAX_TEXTS: usize = 2_048;

/// Boxes without anything in them.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept")]
pub struct Spares {
    records: Vec<Box<Record>>,
    contents: Vec<Box<Content>>,
    pending: Vec<Box<Pending>>,
}

impl Spares {
    /// A content that says nothing.
    #[must_use]
    pub fn content(&mut self) -> Box<Content> {
        self.contents.pop().unwrap_or_default()
    }

    /// A record of that plugin and flow that says nothing.
    #[must_use]
    pub fn record(&mut self, plugin: &Arc<PluginIdentity>, flow: FlowEnds) -> Box<Record> {
        let Some(mut spare) = self.records.pop() else { return Box::new(Record::new(plugin.clone(), flow)) };
        // Most come from the same plugin. Where several threads count references, that costs more than all the rest.
        if !Arc::ptr_eq(&spare.plugin, plugin) {
            spare.plugin = plugin.clone();
        }
        spare.flow = flow;
        spare
    }

    /// The pending request in a box.
    #[must_use]
    pub(crate) fn pending(&mut self, pending: Pending) -> Box<Pending> {
        match self.pending.pop() {
            Some(mut spare) => {
                let Pending { part, .. } = std::mem::replace(&mut *spare, pending);
                self.keep_content(part.content);
                spare
            }
            None => Box::new(pending),
        }
    }

    /// Takes back a pending request.
    pub(crate) fn keep_pending(&mut self, pending: Box<Pending>) {
        if self.pending.len() < MAX_PENDING {
            self.pending.push(pending);
        }
    }

    /// Takes back a content.
    pub fn keep_content(&mut self, mut content: Box<Content>) {
        let has_little_room = content.attributes.capacity() <= MAX_ROOM
            && content.lists.capacity() <= MAX_ROOM
            && content.texts.capacity() <= MAX_TEXTS;
        if has_little_room && self.contents.len() < MAX_CONTENTS {
            content.clear();
            self.contents.push(content);
        }
    }

    /// Takes back a record.
    pub fn keep(&mut self, mut record: Box<Record>) {
        for part in [record.request.take(), record.response.take()].into_iter().flatten() {
            self.keep_content(part.content);
        }
        record.clear();
        if self.records.len() < MAX_RECORDS {
            self.records.push(record);
        }
    }

    /// Takes over the parts of at most `records` records.
    pub fn take_from(&mut self, other: &mut Self, records: usize) {
        take(&mut self.records, &mut other.records, records);
        take(&mut self.contents, &mut other.contents, records.saturating_mul(2));
    }
}

fn take<T>(to: &mut Vec<T>, from: &mut Vec<T>, count: usize) {
    to.extend(from.drain(from.len().saturating_sub(count)..));
}
