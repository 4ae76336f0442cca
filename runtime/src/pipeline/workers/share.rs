//! A worker's share of the shards: what happens comes in, what the shards gave out of it goes onto a page.

use std::sync::Arc;

use crate::emit::Form;
use crate::merge::{Emitted, Item, Lines, Page};
use crate::packet::Timestamp;
use crate::pipeline::front::{Place, Placed};
use crate::pipeline::report::ShardTotals;
use crate::plugin::PluginSet;
use crate::record::{ProcessPair, Spares};
use crate::shard::{FlowOptions, MAX_SHARDS, Shard, shards_of};

/// Where what was given out goes, and what comes back for it.
pub(super) type Out<'a> = (&'a mut Page, &'a mut Spares);

pub(super) struct Share {
    /// By number; the others' are not here.
    shards: Vec<Option<Shard>>,
    lines: Lines,
    /// One worker says for all that a tick is over.
    ends_ticks: bool,
}

impl Share {
    pub(super) fn new(
        place: Place,
        (plugins, options): (&Arc<PluginSet>, &Arc<FlowOptions>),
        form: Box<dyn Form>,
    ) -> Self {
        let shards = place.each(shards_of(place.workers), || Shard::new(plugins.clone(), options.clone()));
        Self { shards, lines: Lines::new(form), ends_ticks: place.worker == 0 }
    }

    #[inline]
    pub(super) fn segment(&mut self, placed: &Placed<'_>, processes: Option<&ProcessPair>, out: Out<'_>) {
        let Placed { segment, key, shard: index } = placed;
        let Some(Some(shard)) = self.shards.get_mut(*index) else { return };
        shard.take(*key, segment, processes);
        hand_out(&mut self.lines, (*index, shard), (segment.packet, true), out);
    }

    /// The flow of this segment is followed no more.
    pub(super) fn shed(&mut self, placed: &Placed<'_>, out: Out<'_>) {
        let Placed { segment, key, shard: index } = placed;
        let Some(Some(shard)) = self.shards.get_mut(*index) else { return };
        shard.shed(key);
        hand_out(&mut self.lines, (*index, shard), (segment.packet, true), out);
    }

    pub(super) fn tick(&mut self, now: Timestamp, packet: u64, is_quiet: bool, (page, spares): Out<'_>) {
        self.each((packet, false), (page, spares), |shard| shard.tick(now, packet, is_quiet));
        // Comes after what the shards of all workers gave out at it.
        let end = Emitted { packet, is_of_segment: false, shard: MAX_SHARDS, item: Item::EndOfTick };
        page.emitted.extend(self.ends_ticks.then_some(end));
    }

    pub(super) fn replace_plugins(&mut self, set: &Arc<PluginSet>, packet: u64, out: Out<'_>) {
        self.each((packet, true), out, |shard| shard.replace_plugins(set));
    }

    /// The capture ends here: what waits gets its last tick at the capture's time, and is given up.
    pub(super) fn end(&mut self, (last, packet): (Timestamp, u64), out: Out<'_>) -> ShardTotals {
        self.each((packet, false), out, |shard| {
            shard.tick(last, packet, true);
            shard.finish("end of capture");
        });
        let mut totals = ShardTotals::default();
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.iter_mut().for_each(|shard| totals.add(index, shard));
        }
        totals
    }

    fn each(&mut self, at: (u64, bool), (page, spares): Out<'_>, mut act: impl FnMut(&mut Shard)) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let Some(shard) = shard else { continue };
            act(shard);
            hand_out(&mut self.lines, (index, shard), at, (page, spares));
        }
    }
}

#[inline]
fn hand_out(lines: &mut Lines, shard: (usize, &mut Shard), at: (u64, bool), (page, spares): Out<'_>) {
    let (index, shard) = shard;
    let records = lines.take(page, (index, shard), at);
    if records > 0 {
        shard.take_spares(spares, records);
    }
}
