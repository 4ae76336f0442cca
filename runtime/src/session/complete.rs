//! What a plugin emitted, until its last byte has passed: messages whose end lies ahead wait here. Then they are paired.

use super::{Lane, Session, SessionContext};
use crate::packet::Timestamp;
use crate::pair::{Pairing, RequestKey, Span};
use crate::plugin::content::Message;
use crate::reassembly::Direction;
use crate::record::{Kind, Outlet};
use crate::stream::Tail;

/// Messages of one direction that may wait for their last byte. Only a plugin that lies about ends gets there; the
/// oldest then counts as complete.
const MAX_WAITING: usize = 4096;

/// Something that is complete once the stream has passed `end`.
#[derive(Debug)]
pub(super) struct Waiting {
    end: u64,
    /// When the latest of its bytes so far came.
    latest: Option<Timestamp>,
    what: Awaited,
}

#[derive(Debug)]
enum Awaited {
    Request(RequestKey),
    Other(Box<Message>, Timestamp),
}

impl Waiting {
    /// The message, unless it waits as a pending request.
    pub(super) fn message_mut(&mut self) -> Option<&mut Message> {
        match &mut self.what {
            Awaited::Request(_) => None,
            Awaited::Other(message, _) => Some(message),
        }
    }
}

impl Session {
    /// Takes the messages of one answer.
    pub(super) fn take_messages(
        &mut self,
        direction: Direction,
        messages: &mut Vec<Message>,
        cx: &mut SessionContext<'_>,
    ) {
        for mut message in messages.drain(..) {
            self.fruitless_resyncs = 0;
            let Some(streams) = &mut self.streams else { return };
            let lane = streams.lane_mut(direction);
            lane.has_message = true;
            lane.floor = lane.floor.max(message.end);
            let first = lane.stream.marks.at(message.start).unwrap_or(cx.now);
            if message.kind == Kind::Response && message.content.id.is_none() {
                message.heard = lane.stream.marks.heard(message.start);
            }
            if message.is_cancel {
                self.cancel(direction, &message, first, cx);
            } else if let Some((message, first)) = self.assemble(direction, message, first, cx) {
                self.take_message(direction, message, first, cx);
            }
        }
    }

    /// Completes what waited for bytes that have come.
    pub(super) fn complete(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
        if let Some(streams) = &mut self.streams {
            streams.lane_mut(direction).note_piece();
        }
        loop {
            let Some(streams) = &mut self.streams else { return };
            let lane = streams.lane_mut(direction);
            let passed = lane.stream.end();
            let is_ended = lane.stream.tail == Tail::Ended;
            let is_crowded = lane.waiting.len() > MAX_WAITING;
            if !lane.waiting.front().is_some_and(|waiting| waiting.end <= passed || is_ended || is_crowded) {
                return;
            }
            let Some(waiting) = lane.waiting.pop_front() else { return };
            let last = waiting.latest.unwrap_or(cx.now);
            let is_lost = lane.is_lost_before(waiting.end.min(passed));
            match waiting.what {
                Awaited::Request(key) => {
                    if let Some(pairing) = &mut self.pairing {
                        pairing.request_ended(key, last, is_lost);
                    }
                }
                Awaited::Other(message, first) => {
                    lane.held = lane.held.saturating_sub(message.footprint());
                    self.pair(direction, *message, Span { first, last }, cx);
                }
            }
        }
    }

    fn take_message(&mut self, direction: Direction, message: Message, first: Timestamp, cx: &mut SessionContext<'_>) {
        let (bytes, kind) = ((message.start, message.end), message.kind);
        let is_from_server = self.is_from_server(direction);
        let is_stray = kind == Kind::Request && message.content.id.is_none() && self.is_out_of_step;
        // Most messages have passed when their plugin tells of them.
        if let Some((last, is_lost)) = self.has_passed(direction, bytes, cx) {
            if kind != Kind::Request || is_stray {
                return self.pair(direction, message, Span { first, last }, cx);
            }
            let key = self.add_request(is_from_server, message, first, cx);
            if let (Some(key), Some(pairing)) = (key, &mut self.pairing) {
                pairing.request_ended(key, last, is_lost);
            }
            return;
        }
        let what = if kind == Kind::Request && !is_stray {
            let Some(key) = self.add_request(is_from_server, message, first, cx) else { return };
            Awaited::Request(key)
        } else {
            Awaited::Other(Box::new(message), first)
        };
        let Some(streams) = &mut self.streams else { return };
        streams.lane_mut(direction).wait(bytes, what);
        self.complete(direction, cx);
    }

    /// When the last byte of a message came that lies between `start` and `end`, if that has passed and no other message waits
    /// before it, and whether its end was lost.
    fn has_passed(
        &self,
        direction: Direction,
        (start, end): (u64, u64),
        cx: &SessionContext<'_>,
    ) -> Option<(Timestamp, bool)> {
        let lane = self.streams.as_ref()?.lane(direction);
        let has_passed = lane.waiting.is_empty() && end <= lane.stream.end();
        has_passed.then(|| (lane.stream.marks.latest(start, end).unwrap_or(cx.now), lane.is_lost_before(end)))
    }

    pub(super) fn pair(&mut self, direction: Direction, message: Message, span: Span, cx: &mut SessionContext<'_>) {
        let is_from_server = self.is_from_server(direction);
        let Some((flow, pairing)) = self.pairing_flow(cx.plugins, cx.has_each_response) else { return };
        let mut out = Outlet { out: cx.out, spares: cx.spares };
        match message.kind {
            Kind::Response => {
                pairing.get_or_insert_default().response(&flow, is_from_server, message, span, &mut out);
            }
            Kind::OneWay => Pairing::one_way(&flow, is_from_server, message, span, &mut out),
            Kind::Request => Pairing::stray(&flow, is_from_server, message, span, &mut out),
        }
    }

    pub(super) fn is_from_server(&self, direction: Direction) -> bool {
        (direction == Direction::ToClient) ^ self.is_turned
    }
}

impl Lane {
    /// The request, of which these bytes are the rest, is whole once the stream has passed them.
    pub(super) fn await_request(&mut self, bytes: (u64, u64), key: RequestKey) {
        self.wait(bytes, Awaited::Request(key));
    }

    /// Whether the byte before `end` was lost.
    fn is_lost_before(&self, end: u64) -> bool {
        self.stream.marks.is_lost(end.saturating_sub(1))
    }

    /// When the bytes came of what is no whole message yet.
    pub(super) fn unfinished(&self) -> Option<Span> {
        let last = self.stream.marks.last()?;
        let begun = self.waiting.iter().find_map(|waiting| match &waiting.what {
            Awaited::Other(message, first) if message.kind == Kind::Response => Some(*first),
            _ => None,
        });
        let unread = || (self.stream.end() > self.floor).then(|| self.stream.marks.at(self.floor))?;
        begun.or_else(unread).map(|first| Span { first, last })
    }

    /// The latest piece came: for what waits, as its other marks may be gone when all of it has come.
    fn note_piece(&mut self) {
        let Self { stream, waiting, .. } = self;
        if !waiting.is_empty() {
            let at = stream.marks.at(stream.piece_at);
            let touched = waiting.iter_mut().filter(|waiting| waiting.end > stream.piece_at);
            touched.for_each(|waiting| waiting.latest = waiting.latest.max(at));
        }
    }

    fn wait(&mut self, (start, end): (u64, u64), what: Awaited) {
        let latest = self.stream.marks.latest(start, end);
        if let Awaited::Other(message, _) = &what {
            self.held = self.held.saturating_add(message.footprint());
        }
        let at = self.waiting.partition_point(|before| before.end <= end);
        self.waiting.insert(at, Waiting { end, latest, what });
    }
}
