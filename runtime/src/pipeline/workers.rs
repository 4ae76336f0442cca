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
use crate::merge::{Emitted, Merge};
use crate::packet::{Segment, Timestamp};
use crate::plugin::PluginSet;
use crate::record::ProcessPair;
use crate::shard::{FlowKey, FlowOptions, SHARDS, Shard};

pub(super) use shed::ShedCounters;
pub(super) use threads::Threads;

/// The shards, served by the thread that reads.
pub(super) struct Inline<'m, 's> {
    shards: Vec<Shard>,
    merge: &'m mut Merge<'s>,
    packet: u64,
}

impl<'m, 's> Inline<'m, 's> {
    pub(super) fn new(plugins: &Arc<PluginSet>, options: &Arc<FlowOptions>, merge: &'m mut Merge<'s>) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::new(plugins.clone(), options.clone())).collect();
        Self { shards, merge, packet: 0 }
    }

    pub(super) fn finish(mut self, last: Timestamp) -> io::Result<ShardTotals> {
        let mut totals = ShardTotals::default();
        let packet = self.packet.saturating_add(1);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            end(shard, last, packet);
            hand_out(shard, index, (packet, false), self.merge)?;
            totals.add(shard);
        }
        self.merge.flush()?;
        Ok(totals)
    }
}

impl Workers for Inline<'_, '_> {
    fn segment(&mut self, segment: &Segment<'_>, processes: Option<&ProcessPair>) -> io::Result<()> {
        self.packet = segment.packet;
        let key = FlowKey::of(segment);
        let index = key.shard();
        let Some(shard) = self.shards.get_mut(index) else { return Ok(()) };
        shard.take(key, segment, processes);
        hand_out(shard, index, (segment.packet, true), self.merge)
    }

    fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool) -> io::Result<()> {
        self.packet = packet;
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.tick(now, packet, is_quiet);
            hand_out(shard, index, (packet, false), self.merge)?;
        }
        self.merge.push(end_of_tick(packet))
    }

    fn replace_plugins(&mut self, set: &Arc<PluginSet>) -> io::Result<()> {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.replace_plugins(set);
            hand_out(shard, index, (self.packet, true), self.merge)?;
        }
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.merge.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.merge.flush()
    }
}

fn hand_out(shard: &mut Shard, index: usize, at: (u64, bool), merge: &mut Merge<'_>) -> io::Result<()> {
    if !shard.has_output() {
        return Ok(());
    }
    let mut count = 0;
    for emitted in emitted(shard, index, at) {
        merge.push(emitted)?;
        count += 1;
    }
    shard.take_spares(&mut merge.spares, count);
    Ok(())
}

/// What a shard gave out at a packet: at the segment itself, or at a tick before it.
fn emitted(shard: &mut Shard, index: usize, (packet, is_of_segment): (u64, bool)) -> impl Iterator<Item = Emitted> {
    shard.drain().map(move |output| Emitted { packet, is_of_segment, shard: index, output: Some(output) })
}

/// Comes after what the shards gave out at a tick.
fn end_of_tick(packet: u64) -> Emitted {
    Emitted { packet, is_of_segment: false, shard: SHARDS, output: None }
}

/// The capture ends here: what waits gets its last tick at the capture's time, and is given up.
fn end(shard: &mut Shard, last: Timestamp, packet: u64) {
    shard.tick(last, packet, true);
    shard.finish("end of capture");
}
