//! What reassembly met with that was not a segment in order.

/// Every counter is a sum over both directions of a flow; the caller sums over flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyCounters {
    /// Segments with payload that came before their predecessor.
    pub out_of_order: u64,
    /// Segments with payload that had to wait for the opposite direction only.
    pub out_of_turn: u64,
    /// Payload bytes that had been delivered, or declared a gap, already.
    pub retransmitted_bytes: u64,
    /// Payload bytes that were held already; the first ones stay.
    pub overlapping_bytes: u64,
    /// Those of [`overlapping_bytes`](Self::overlapping_bytes) that differ from the first ones.
    pub conflicting_bytes: u64,
    /// Keep-alive probes: one byte (garbage) just before what is next.
    pub keep_alives: u64,
    /// Payload bytes that the snaplen cut off.
    pub truncated_bytes: u64,
    /// Gaps declared.
    pub gaps: u64,
    /// Bytes in them.
    pub gap_bytes: u64,
    /// Segments too far from the stream to belong to it.
    pub out_of_window: u64,
    /// Payload bytes after a FIN or a RST.
    pub after_close_bytes: u64,
    /// Times that something was no longer waited for because too many bytes were held.
    pub held_limit_exceeded: u64,
    /// Times that both directions waited for each other, and one had to go first.
    pub order_waived: u64,
    /// Streams whose handshake was not seen.
    pub midstream: u64,
}

impl ReassemblyCounters {
    /// Adds another flow's counters.
    pub fn add(&mut self, other: &Self) {
        let Self {
            out_of_order,
            out_of_turn,
            retransmitted_bytes,
            overlapping_bytes,
            conflicting_bytes,
            keep_alives,
            truncated_bytes,
            gaps,
            gap_bytes,
            out_of_window,
            after_close_bytes,
            held_limit_exceeded,
            order_waived,
            midstream,
        } = other;
        self.out_of_order += out_of_order;
        self.out_of_turn += out_of_turn;
        self.retransmitted_bytes += retransmitted_bytes;
        self.overlapping_bytes += overlapping_bytes;
        self.conflicting_bytes += conflicting_bytes;
        self.keep_alives += keep_alives;
        self.truncated_bytes += truncated_bytes;
        self.gaps += gaps;
        self.gap_bytes += gap_bytes;
        self.out_of_window += out_of_window;
        self.after_close_bytes += after_close_bytes;
        self.held_limit_exceeded += held_limit_exceeded;
        self.order_waived += order_waived;
        self.midstream += midstream;
    }
}
