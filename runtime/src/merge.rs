//! What the shards give out, brought into one order and to the sink. Records come in the order of their completion
//! (capture time, then packet). What a RST, a gap or a time-out completes is noticed late, at a tick: so a record is held
//! until a tick has passed behind it, however many packets that takes, unless too many wait. Facts are learned as they
//! come, so that a record's references see all that the capture taught before it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use crate::emit::{FactTable, Sink};
use crate::packet::Timestamp;
use crate::reassembly::REORDER_PACKETS;
use crate::record::{Output, Record, Spares};
use crate::summary::RecordSummary;

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
    /// The record or fact; `None` after a tick, when all shards have noticed what became due before the packet.
    pub output: Option<Output>,
}

/// Orders records and hands them to a sink.
pub struct Merge<'a> {
    sink: &'a mut (dyn Sink + Send),
    facts: FactTable,
    waiting: BinaryHeap<Reverse<Waiting>>,
    sequence: u64,
    /// What the records that were written were made of.
    pub spares: Spares,
    /// What the records say.
    pub records: RecordSummary,
    /// Records written.
    pub written: u64,
}

impl std::fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("written", &self.written).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Waiting {
    completed: Timestamp,
    packet: u64,
    is_of_segment: bool,
    sequence: u64,
    record: Box<Record>,
}

impl<'a> Merge<'a> {
    /// A merge into `sink`.
    pub fn new(sink: &'a mut (dyn Sink + Send)) -> Self {
        Self {
            sink,
            facts: FactTable::default(),
            waiting: BinaryHeap::new(),
            sequence: 0,
            spares: Spares::default(),
            records: RecordSummary::default(),
            written: 0,
        }
    }

    /// Takes the next output, in the order of packets and shards.
    pub fn push(&mut self, emitted: Emitted) -> io::Result<()> {
        let Emitted { packet, is_of_segment, output, .. } = emitted;
        match output {
            None => self.write_until(packet)?,
            Some(Output::Fact(plugin, fact)) => self.facts.learn(&plugin, fact.namespace, fact.key(), fact.value()),
            Some(Output::Record(record)) => {
                self.sequence += 1;
                let (completed, sequence) = (record.completed, self.sequence);
                self.waiting.push(Reverse(Waiting { completed, packet, is_of_segment, sequence, record }));
                if self.waiting.len() > MAX_HELD {
                    self.write_next()?;
                }
            }
        }
        Ok(())
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
        while let Some(Reverse(next)) = self.waiting.peek() {
            if next.packet.saturating_add(REORDER_PACKETS) > packet {
                return Ok(());
            }
            self.write_next()?;
        }
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(Reverse(next)) = self.waiting.pop() else { return Ok(()) };
        self.records.observe(&next.record);
        self.written += 1;
        let result = self.sink.record(&next.record, &mut self.facts);
        self.spares.keep(next.record);
        result
    }
}

impl Waiting {
    /// Of several at once, as at the end of a capture, the oldest request first: their shards are of no meaning. What a
    /// single segment completed is in its flow's order.
    fn key(&self) -> (Timestamp, u64, bool, Timestamp, u64) {
        let ts = if self.is_of_segment { 0 } else { self.record.ts };
        (self.completed, self.packet, self.is_of_segment, ts, self.sequence)
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
