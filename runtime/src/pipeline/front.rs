//! What comes before the shards: a packet in, the segment that it carries out, with the flow and the shard that it is of.
//! Where several workers read the same capture, each takes its own shards' segments and leaves the others to their
//! workers; packets without a flow are the first shard's. So all counts add up.

use crate::duplicate::DuplicateFilter;
use crate::packet::{FlowKey, Ignored, IgnoredCounts, IpPacket, RawPacket, Segment, Timestamp};

/// A share of the shards: which of so many workers' it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) worker: usize,
    pub(super) workers: usize,
}

/// A segment and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) segment: &'a Segment<'a>,
    pub(super) key: FlowKey,
    pub(super) shard: usize,
}

/// Decodes packets, and drops those that were captured twice.
pub(super) struct Front {
    /// For each shard, as what one worker drops must not depend on what others see; none where another worker has it.
    shards: Vec<Option<DuplicateFilter>>,
    ignored: IgnoredCounts,
}

impl Place {
    /// All shards.
    pub(super) const ALONE: Self = Self { worker: 0, workers: 1 };

    /// Something for each shard that is served here, by its number.
    pub(super) fn each<T>(self, shards: usize, mut make: impl FnMut() -> T) -> Vec<Option<T>> {
        let is_mine = |shard: usize| shard.checked_rem(self.workers) == Some(self.worker);
        (0..shards).map(|shard| is_mine(shard).then(&mut make)).collect()
    }
}

impl<'a> Placed<'a> {
    pub(super) fn new(segment: &'a Segment<'a>, shards: usize) -> Self {
        let key = FlowKey::of(segment);
        Self { segment, key, shard: key.shard(shards) }
    }
}

impl Front {
    pub(super) fn new(place: Place, shards: usize) -> Self {
        Self { shards: place.each(shards, DuplicateFilter::default), ignored: IgnoredCounts::default() }
    }

    /// Hands `take` the segment that a packet carries, unless there is none, or it is of another worker's shard, or the packet
    /// was seen before.
    #[inline]
    pub(super) fn packet<T: Default>(&mut self, packet: &RawPacket<'_>, take: impl FnOnce(&Placed<'_>) -> T) -> T {
        let ip = match IpPacket::of(packet) {
            Ok(ip) => ip,
            Err(reason) => return self.ignore(None, reason),
        };
        // At a glance, since most of the others' packets need not be looked at any further.
        let Some(key) = ip.flow_key() else { return self.unusual(&ip, packet, take) };
        let shard = key.shard(self.shards.len());
        let Some(Some(filter)) = self.shards.get_mut(shard) else { return T::default() };
        if filter.has_seen(&ip, packet.at) {
            return T::default();
        }
        match ip.segment(packet) {
            Ok(segment) => take(&Placed { segment: &segment, key, shard }),
            Err(reason) => {
                self.ignored.count(reason);
                T::default()
            }
        }
    }

    /// The same for a packet whose headers are none of the plainest.
    #[cold]
    fn unusual<T: Default>(
        &mut self,
        ip: &IpPacket<'_>,
        packet: &RawPacket<'_>,
        take: impl FnOnce(&Placed<'_>) -> T,
    ) -> T {
        match ip.segment(packet) {
            Ok(segment) => {
                let placed = Placed::new(&segment, self.shards.len());
                let filter = self.shards.get_mut(placed.shard).and_then(Option::as_mut);
                let is_new = filter.is_some_and(|filter| !filter.has_seen(ip, packet.at));
                if is_new { take(&placed) } else { T::default() }
            }
            Err(reason) => self.ignore(Some((ip, packet.at)), reason),
        }
    }

    /// A packet without a flow: it is counted once, by whoever serves the first shard.
    #[cold]
    fn ignore<T: Default>(&mut self, ip: Option<(&IpPacket<'_>, Timestamp)>, reason: Ignored) -> T {
        if let Some(Some(filter)) = self.shards.first_mut()
            && !ip.is_some_and(|(ip, at)| filter.has_seen(ip, at))
        {
            self.ignored.count(reason);
        }
        T::default()
    }

    /// How many packets carried none, by reason, and how many were seen before.
    pub(super) fn counted(&self) -> (IgnoredCounts, u64) {
        (self.ignored, self.shards.iter().flatten().map(DuplicateFilter::duplicates).sum())
    }
}
