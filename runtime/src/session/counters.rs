//! What became of flows and of their bytes, beside records.

/// What sessions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Gaps and malformed bytes after which a frame's start had to be looked for.
    pub resyncs: u64,
    /// Bytes passed over while looking for it.
    pub resync_bytes: u64,
    /// Bytes missing for good in parts of messages that were skipped anyway.
    pub absorbed_bytes: u64,
    /// Streams that a plugin found malformed.
    pub malformed: u64,
    /// Flows that a plugin gave back after it had claimed them.
    pub rejected: u64,
    /// Flows closed to a plugin because their bytes brought it down.
    pub faulted: u64,
    /// Flows whose plugin was rebuilt, with what was in flight lost.
    pub reopened: u64,
    /// Flows that changed over to a plugin's newer version.
    pub swapped: u64,
    /// Directions that did so in the middle of a message, which was lost.
    pub swapped_in_flight: u64,
    /// Messages in parts that were ended before their last one because too many were open.
    pub parts_dropped: u64,
    /// Bytes of flows that nobody claimed.
    pub unclaimed_bytes: u64,
    /// Bytes of claimed flows that passed while their plugin was in quarantine.
    pub quarantined_bytes: u64,
}

impl SessionCounters {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.resyncs += other.resyncs;
        self.resync_bytes += other.resync_bytes;
        self.absorbed_bytes += other.absorbed_bytes;
        self.malformed += other.malformed;
        self.rejected += other.rejected;
        self.faulted += other.faulted;
        self.reopened += other.reopened;
        self.swapped += other.swapped;
        self.swapped_in_flight += other.swapped_in_flight;
        self.parts_dropped += other.parts_dropped;
        self.unclaimed_bytes += other.unclaimed_bytes;
        self.quarantined_bytes += other.quarantined_bytes;
    }
}
