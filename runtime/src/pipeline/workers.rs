//! Who serves the shards: the calling thread itself, or several threads. Both give the merge the same outputs in the
//! same order, but for a live capture whose workers cannot keep up.

mod gather;
mod job;
mod shed;
mod threads;

use std::io;
use std::sync::Arc;

use super::Workers;
use super::report::ShardTotals;
use crate::merge::{Emitted, Item, Lines, Merge, Page};
use crate::packet::{Segment, Timestamp};
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::{FlowKey, FlowOptions, MAX_SHARDS, Shard, shards_of};

pub(super) use shed::ShedCounters;
pub(super) use threads::Threads;

/// Bytes of lines that are handed to the merge at a time: few enough to stay in the processor's cache.
const PAGE: usize = 64 << 10;

/// The shards, served by the thread that reads.
pub(super) struct Inline<'m, 's> {
    shards: Vec<Shard>,
    lines: Lines,
    page: Page,
    merge: &'m mut Merge<'s>,
    packet: u64,
}

impl<'m, 's> Inline<'m, 's> {
    pub(super) fn new(plugins: &Arc<PluginSet>, options: &Arc<FlowOptions>, merge: &'m mut Merge<'s>) -> Self {
        let shards = (0..shards_of(1)).map(|_| Shard::new(plugins.clone(), options.clone())).collect();
        Self { shards, lines: Lines::new(merge.form()), page: Page::default(), merge, packet: 0 }
    }

    pub(super) fn finish(mut self, last: Timestamp) -> io::Result<ShardTotals> {
        let mut totals = ShardTotals::default();
        let packet = self.packet.saturating_add(1);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            end(shard, last, packet);
            hand_out((index, shard), (packet, false), (&mut self.lines, &mut self.page), self.merge);
            totals.add(index, shard);
        }
        self.flush()?;
        Ok(totals)
    }
}

impl Inline<'_, '_> {
    /// Hands the merge what was given out.
    fn turn_page(&mut self) -> io::Result<()> {
        self.merge.add(&mut self.page);
        self.merge.take(&mut self.page.emitted)
    }
}

impl Workers for Inline<'_, '_> {
    fn segment(&mut self, segment: &Segment<'_>, processes: Option<&ProcessPair>) -> io::Result<()> {
        self.packet = segment.packet;
        let key = FlowKey::of(segment);
        let index = key.shard(self.shards.len());
        let Some(shard) = self.shards.get_mut(index) else { return Ok(()) };
        shard.take(key, segment, processes);
        hand_out((index, shard), (segment.packet, true), (&mut self.lines, &mut self.page), self.merge);
        if self.page.text.len() >= PAGE { self.turn_page() } else { Ok(()) }
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.packet = packet;
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.tick(now, packet, is_quiet);
            hand_out((index, shard), (packet, false), (&mut self.lines, &mut self.page), self.merge);
        }
        self.page.emitted.push(end_of_tick(packet));
        self.turn_page()
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>) -> io::Result<()> {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.replace_plugins(set);
            hand_out((index, shard), (self.packet, true), (&mut self.lines, &mut self.page), self.merge);
        }
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.turn_page()?;
        self.merge.flush()
    }
}

fn hand_out(
    (index, shard): (usize, &mut Shard),
    at: (u64, bool),
    (lines, page): (&mut Lines, &mut Page),
    merge: &mut Merge<'_>,
) {
    let records = lines.take(page, (index, shard), at);
    if records > 0 {
        shard.take_spares(&mut merge.spares, records);
    }
}

/// Comes after what the shards gave out at a tick.
fn end_of_tick(packet: u64) -> Emitted {
    Emitted { packet, is_of_segment: false, shard: MAX_SHARDS, item: Item::EndOfTick }
}

/// The capture ends here: what waits gets its last tick at the capture's time, and is given up.
fn end(shard: &mut Shard, last: Timestamp, packet: u64) {
    shard.tick(last, packet, true);
    shard.finish("end of capture");
}
