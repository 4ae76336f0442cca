//! The shortest way through: a segment that is next in its stream, in a flow in which nothing waits, acknowledging nothing
//! that was not delivered. Most segments are. Whatever is doubtful is left to the rules for all.

use super::{Direction, FlowAssembler, StreamEvent};
use crate::packet::Segment;

impl FlowAssembler {
    /// Takes a segment in order; false if it is none, and nothing was done.
    #[inline]
    pub(super) fn take_in_order(
        &mut self,
        direction: Direction,
        segment: &Segment<'_>,
        sink: &mut impl FnMut(StreamEvent<'_>),
    ) -> bool {
        let tcp = &segment.tcp;
        let is_plain = !(tcp.syn || tcp.fin || tcp.rst || self.reset_by.is_some() || self.reset.is_some());
        let (stream, opposite) = self.streams.pair_mut(direction);
        let is_whole = segment.payload_len as usize == segment.payload.len();
        let is_in_turn = tcp.ack.is_some_and(|ack| opposite.has_delivered_to(ack));
        if !(is_plain && is_whole && is_in_turn && stream.is_next(tcp.seq)) {
            return false;
        }
        let heard = opposite.heard(tcp.ack);
        self.clock.advance(segment.at, segment.packet);
        let stream = self.streams.get_mut(direction);
        stream.is_stray_run(false);
        if !segment.payload.is_empty() {
            let offset = stream.offset(stream.next());
            stream.advance(segment.payload.len() as u64);
            sink(StreamEvent::Data {
                direction,
                offset,
                bytes: segment.payload,
                at: segment.at,
                packet: segment.packet,
                heard,
            });
        }
        true
    }
}
