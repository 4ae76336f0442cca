//! Records to lines, in the thread that made them: what a record is made of goes back to its shard at once, and only its line
//! travels to the merge. A record that refers to facts is left as it is, as only the merge knows what other shards have
//! taught before it.

use super::{Emitted, Item, Line, Place};
use crate::emit::{FactTable, Form};
use crate::record::{Output, Record};
use crate::shard::Shard;

/// What shards gave out, one after the other.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order of packets and shards.
    pub emitted: Vec<Emitted>,
    /// The lines.
    pub text: Vec<u8>,
}

/// Makes lines of what shards give out.
pub struct Lines {
    form: Box<dyn Form>,
    /// What is asked about no fact.
    nothing: FactTable,
}

impl Lines {
    /// Of that form.
    #[must_use]
    pub fn new(form: Box<dyn Form>) -> Self {
        Self { form, nothing: FactTable::new(0) }
    }

    /// Takes what a shard gave out at a packet: at the segment itself, or at a tick before it. How many records will come
    /// back from the merge.
    #[inline]
    pub fn take(&mut self, page: &mut Page, (index, shard): (usize, &mut Shard), at: (u64, bool)) -> usize {
        if shard.has_nothing_out() {
            return 0;
        }
        let (packet, is_of_segment) = at;
        let mut left = 0;
        shard.hand_out(|output, spares| {
            let item = match output {
                Output::Record(record) if record.has_references() => {
                    left += 1;
                    Item::Record(record)
                }
                Output::Record(record) => {
                    let line = self.line(&mut page.text, &record);
                    spares.keep(record);
                    Item::Line(line)
                }
                Output::Fact(plugin, fact) => Item::Fact(plugin, fact),
            };
            page.emitted.push(Emitted { packet, is_of_segment, shard: index, item });
        });
        left
    }

    fn line(&mut self, text: &mut Vec<u8>, record: &Record) -> Line {
        let start = text.len();
        self.form.put(text, record, &mut self.nothing);
        let place = Place { page: 0, bytes: start..text.len() };
        Line { ts: record.ts, completed: record.completed, flow: record.flow_id, place }
    }
}
