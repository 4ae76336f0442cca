//! Connections one after another with the same ports, as close together as a client can open them. What the ring brings first is of
//! the older one, what it brings later may be of either: a server may be at the old one's bytes while the new one's come.
//! Events say which one they are of, by the number of the first byte that their end received.
//!
//! What is left to tell of the older one comes before the beginning of the new one, which so waits as long as a server's
//! bytes do. What comes still later is told by nobody, and counted.

use super::{Connection, Opening};
use crate::capture::trace::HOLD;
use crate::capture::trace::event::{Event, layout};

/// Older connections that are remembered while events of theirs wait or may be late; beyond, the oldest is forgotten.
const OLDER: usize = 64;

impl Connection {
    /// The next connection, opened then.
    pub(super) fn begin_again(&mut self, at: u64) {
        let mut before = std::mem::take(self);
        let mut older = std::mem::take(&mut before.older);
        older.push(before);
        older.retain(|connection| connection.pending > 0 || connection.last_turn.saturating_add(HOLD) > at);
        if older.len() > OLDER {
            older.remove(0);
        }
        (self.is_hurried, self.older) = (!older.is_empty(), older);
    }

    /// Which one an event belongs to, this one or an older one; none if that is over.
    pub(super) fn owner(&mut self, event: &Event) -> Option<&mut Self> {
        if self.opening.is_none_or(|opening| is_of(event, &opening)) {
            return Some(self);
        }
        let of = self.older.iter().rposition(|older| older.names(event));
        let Some(of) = of else { return self.may_own(event).then_some(self) };
        let is_over = self.is_announced || self.older.iter().skip(of + 1).any(|newer| newer.is_announced);
        self.older.get_mut(of).filter(|_| !is_over)
    }

    /// Whether an event without an owner has bytes that nobody told.
    pub(super) fn misses(&mut self, event: &Event, len: u32, is_low: bool) -> bool {
        let over = self.older.iter_mut().rev().find(|older| older.names(event));
        event.is_data() && over.is_none_or(|over| over.needs(event, len, is_low))
    }

    /// It is named by the event. Of one that is older than the trace, the name is that of its events.
    fn names(&self, event: &Event) -> bool {
        match &self.opening {
            Some(opening) => is_of(event, opening),
            None => [&self.low, &self.high].iter().any(|end| end.socket == Some((event.socket, event.first))),
        }
    }

    /// The event names no connection that is known: it is this one's, unless it lies before its beginning.
    fn may_own(&self, event: &Event) -> bool {
        let source = if event.kind.is_inbound() { event.remote } else { event.local };
        let is_before = |opening: Opening| event.seq.wrapping_sub(opening.first(source)).cast_signed() < 0;
        event.has(layout::EVENT_TLS) || !self.opening.is_some_and(is_before)
    }
}

fn is_of(event: &Event, opening: &Opening) -> bool {
    event.first == opening.first(event.remote)
}
