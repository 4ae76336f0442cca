//! Whether a segment belongs to the connection: handshakes, port reuse, strays.
//!
//! A SYN whose packet was shuffled behind the first bytes of its connection is placed. Bytes shuffled before the SYN of
//! a connection that reuses its ports are not: they go to the old connection, where they are strays.

use super::{Direction, FlowAssembler, Observed};
use crate::packet::{Segment, TcpFields};

impl FlowAssembler {
    /// [`Observed::Taken`] if the segment is to be taken.
    pub(super) fn admit(&mut self, direction: Direction, segment: &Segment<'_>) -> Observed {
        if segment.tcp.syn {
            return self.admit_syn(direction, &segment.tcp);
        }
        match self.reset_by {
            Some(reset_by) => self.admit_after_reset(reset_by == direction, direction, segment),
            None => self.admit_near(direction, segment),
        }
    }

    fn admit_syn(&mut self, direction: Direction, tcp: &TcpFields) -> Observed {
        let is_opening = tcp.ack.is_none();
        if self.reset_by.is_some() {
            // Some stacks repeat a refused SYN with the same number, so this may be an attempt that succeeds.
            return if is_opening { Observed::NewConnection } else { Observed::Ignored };
        }
        if Direction::of_first(tcp) != direction && !self.has_handshake && !self.has_delivered() {
            return Observed::Reversed;
        }
        let (stream, opposite) = self.streams.pair_mut(direction);
        if is_opening && stream.is_unseen() && opposite.has_delivered() {
            return Observed::NewConnection;
        }
        let was_unseen = stream.is_unseen();
        if !stream.start_at(tcp.seq.wrapping_add(1), true) {
            return Observed::NewConnection;
        }
        if let Some(ack) = tcp.ack.filter(|_| opposite.is_unseen() || opposite.is_holding()) {
            // False if bytes before it were seen: then they are what counts.
            opposite.start_at(ack, false);
        }
        self.has_handshake = true;
        // Refused, and then accepted after all: the RST was meant for an earlier attempt.
        self.reset = self.reset.filter(|reset| !(was_unseen && reset.direction == direction));
        Observed::Taken
    }

    /// What was under way to who sent the RST still arrives; who sent it is silent. If it is not, the RST was somebody else's,
    /// and no end took it for one (RFC 5961, section 3.2): the connection goes on as one caught in its middle.
    fn admit_after_reset(&mut self, is_resetter: bool, direction: Direction, segment: &Segment<'_>) -> Observed {
        let is_alive = is_resetter && segment.payload_len > 0;
        if is_alive && self.streams.get_mut(direction).is_stray_run(true) {
            return Observed::NewConnection;
        }
        self.count_after_close(segment.payload_len.into());
        Observed::Ignored
    }

    /// Refuses what the connection cannot have sent: too far away, beyond its FIN, or a RST that its receiver drops, as it
    /// lies behind what was received (RFC 9293, section 3.10.7.4).
    fn admit_near(&mut self, direction: Direction, segment: &Segment<'_>) -> Observed {
        let stream = self.streams.get_mut(direction);
        if stream.is_unseen() {
            return Observed::Taken;
        }
        let end = stream.position(segment.tcp.seq).map(|position| position + u64::from(segment.payload_len));
        let is_behind_fin = stream.is_closed() && segment.payload_len > 0 && end.is_some_and(|end| end > stream.next());
        let is_old_reset = segment.tcp.rst && !stream.is_closed() && end.is_some_and(|end| end + 1 < stream.next());
        let is_stray = end.is_none() || is_behind_fin || is_old_reset;
        if stream.is_stray_run(is_stray) && !segment.tcp.rst {
            return Observed::NewConnection;
        }
        match (is_stray, is_behind_fin) {
            (false, _) => return Observed::Taken,
            (true, true) => self.count_after_close(segment.payload_len.into()),
            (true, false) => self.counters().out_of_window += 1,
        }
        Observed::Ignored
    }

    fn has_delivered(&self) -> bool {
        self.streams.to_server.has_delivered() || self.streams.to_client.has_delivered()
    }

    pub(super) fn count_after_close(&mut self, bytes: u64) {
        if bytes > 0 {
            self.counters().after_close_bytes += bytes;
        }
    }
}
