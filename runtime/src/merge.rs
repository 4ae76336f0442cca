//! What the shards give out, brought into one order and to the sink. Records come in the order of their completion
//! (capture time, then packet). What a RST, a gap or a time-out completes is noticed late, at a tick: so a record is held
//! until a tick has passed behind it, however many packets that takes, unless too many wait. Facts are learned as they
//! come, so that a record's references see all that the capture taught before it. Most records come as their lines already.

mod lines;
mod pages;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;

pub use self::lines::{Lines, Page};
use self::pages::{Pages, Place};
use crate::emit::{FactTable, Form, Sink};
use crate::packet::Timestamp;
use crate::plugin::content::Fact;
use crate::reassembly::REORDER_PACKETS;
use crate::record::{PluginIdentity, Record, Spares};

/// Records that are held back at most; the oldest is written when there are more. Some 4 MB.
const MAX_HELD: usize = 4096;

/// Something that a shard gave out, and where it belongs in the order.
#[derive(Debug)]
pub struct Emitted {
    /// The packet that led to it.
    pub packet: u64,
    /// Whether the packet itself did, rather than the look at what waits before it.
    pub is_of_segment: bool,
    /// The shard.
    pub shard: usize,
    /// What it is.
    pub item: Item,
}

/// What can be given out.
#[derive(Debug)]
pub enum Item {
    /// A record as its line.
    Line(Line),
    /// A record that refers to facts.
    Record(Box<Record>),
    /// A fact of that plugin.
    Fact(Arc<PluginIdentity>, Fact),
    /// All shards have noticed what became due before the packet.
    EndOfTick,
}

/// A record as it will be written.
#[derive(Debug)]
pub struct Line {
    ts: Timestamp,
    completed: Timestamp,
    flow: u64,
    place: Place,
}

/// Orders records and hands them to a sink.
pub struct Merge<'a> {
    sink: &'a mut (dyn Sink + Send),
    facts: FactTable,
    /// Records in their order already, as most come.
    in_order: VecDeque<Waiting>,
    /// The others.
    others: BinaryHeap<Reverse<Waiting>>,
    sequence: u64,
    pages: Pages,
    /// What the records that were written were made of.
    pub spares: Spares,
}

impl std::fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// A record that waits for its turn. Of several at once, as at the end of a capture, the oldest request comes first, then that
/// of the oldest flow: their shards are of no meaning. What a single segment completed is in its flow's order.
#[derive(Debug)]
struct Waiting {
    completed: Timestamp,
    packet: u64,
    is_of_segment: bool,
    ts: Timestamp,
    flow: u64,
    sequence: u64,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Line(Place),
    Record(Box<Record>),
}

impl<'a> Merge<'a> {
    /// A merge into `sink`.
    pub fn new(sink: &'a mut (dyn Sink + Send)) -> Self {
        Self {
            sink,
            facts: FactTable::default(),
            in_order: VecDeque::new(),
            others: BinaryHeap::new(),
            sequence: 0,
            pages: Pages::default(),
            spares: Spares::default(),
        }
    }

    /// What makes the lines that it takes.
    #[must_use]
    pub fn form(&self) -> Box<dyn Form> {
        self.sink.form()
    }

    /// Takes over the text of a page, and leaves room for another one. What was given out is to be pushed afterwards.
    pub fn add(&mut self, page: &mut Page) {
        let mut lines = 0;
        let number = self.pages.next();
        for emitted in &mut page.emitted {
            if let Item::Line(line) = &mut emitted.item {
                line.place.page = number;
                lines += 1;
            }
        }
        let spare = self.pages.spare();
        self.pages.add(std::mem::replace(&mut page.text, spare), lines);
    }

    /// Takes what was given out, in the order of packets and shards.
    pub fn take(&mut self, emitted: &mut Vec<Emitted>) -> io::Result<()> {
        emitted.drain(..).try_for_each(|emitted| self.push(emitted))?;
        if self.pages.is_wasteful() {
            let mut others = std::mem::take(&mut self.others).into_vec();
            let waiting = others.iter_mut().map(|Reverse(waiting)| waiting).chain(&mut self.in_order);
            self.pages.compact(waiting.filter_map(|waiting| match &mut waiting.held {
                Held::Line(place) => Some(place),
                Held::Record(_) => None,
            }));
            self.others = others.into();
        }
        Ok(())
    }

    fn push(&mut self, emitted: Emitted) -> io::Result<()> {
        let at = (emitted.packet, emitted.is_of_segment);
        match emitted.item {
            Item::EndOfTick => self.write_until(emitted.packet),
            Item::Fact(plugin, fact) => {
                self.facts.learn(&plugin, fact.namespace, fact.key(), fact.value());
                Ok(())
            }
            Item::Line(Line { ts, completed, flow, place }) => self.hold(at, (completed, ts, flow), Held::Line(place)),
            Item::Record(record) => self.hold(at, (record.completed, record.ts, record.flow_id), Held::Record(record)),
        }
    }

    fn hold(
        &mut self,
        (packet, is_of_segment): (u64, bool),
        (completed, ts, flow): (Timestamp, Timestamp, u64),
        held: Held,
    ) -> io::Result<()> {
        self.sequence += 1;
        let sequence = self.sequence;
        let waiting = Waiting { completed, packet, is_of_segment, ts, flow, sequence, held };
        if self.in_order.back().is_none_or(|last| *last < waiting) {
            self.in_order.push_back(waiting);
        } else {
            self.others.push(Reverse(waiting));
        }
        if self.waiting() > MAX_HELD { self.write_next() } else { Ok(()) }
    }

    fn waiting(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    /// The record whose turn it is, and whether it is one of those in order.
    fn next(&self) -> Option<(&Waiting, bool)> {
        match (self.in_order.front(), self.others.peek()) {
            (Some(first), Some(Reverse(other))) if other < first => Some((other, false)),
            (Some(first), _) => Some((first, true)),
            (None, other) => other.map(|Reverse(other)| (other, false)),
        }
    }

    /// Writes all that waits, and flushes the sink.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_until(u64::MAX)?;
        self.sink.flush()
    }

    /// Facts that were forgotten for want of room, and facts that were refused.
    #[must_use]
    pub fn facts_lost(&self) -> (u64, u64) {
        (self.facts.evicted(), self.facts.refused())
    }

    /// Writes what came before the packet, and early enough to be in order.
    fn write_until(&mut self, packet: u64) -> io::Result<()> {
        while let Some((next, _)) = self.next() {
            if next.packet.saturating_add(REORDER_PACKETS) > packet {
                return Ok(());
            }
            self.write_next()?;
        }
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let next = match self.next() {
            Some((_, true)) => self.in_order.pop_front(),
            _ => self.others.pop().map(|Reverse(other)| other),
        };
        let Some(next) = next else { return Ok(()) };
        match next.held {
            Held::Line(place) => {
                let result = self.sink.line(next.ts, self.pages.line(&place));
                self.pages.done(&place);
                result
            }
            Held::Record(record) => {
                let result = self.sink.record(&record, &mut self.facts);
                self.spares.keep(record);
                result
            }
        }
    }
}

impl Waiting {
    fn key(&self) -> (Timestamp, u64, bool, Timestamp, u64, u64) {
        let (ts, flow) = if self.is_of_segment { (0, 0) } else { (self.ts, self.flow) };
        (self.completed, self.packet, self.is_of_segment, ts, flow, self.sequence)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
