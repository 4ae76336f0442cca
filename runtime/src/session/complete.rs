//! What a plugin emitted, until its last byte has passed: messages whose end lies ahead wait here, and messages that
//! come in parts are put together. Then they are paired.

use std::collections::BTreeMap;

use super::{Output, Session, SessionContext};
use crate::packet::Timestamp;
use crate::pair::{Pairing, RequestKey, Span};
use crate::plugin::content::{Message, MessagePart};
use crate::reassembly::Direction;
use crate::record::{Completeness, Kind, Record};
use crate::stream::Tail;

/// Messages of one direction that may wait for their last byte. Only a plugin that lies about ends gets there; the
/// oldest then counts as complete.
const MAX_WAITING: usize = 4096;

/// Messages in parts that may be open in one direction of a flow.
const MAX_PARTS: usize = 256;

/// Messages in parts, by the guest's handle, each with the time of its first byte.
pub(super) type Parts = BTreeMap<u32, (Message, Timestamp)>;

/// Something that is complete once the stream has passed `end`.
#[derive(Debug)]
pub(super) struct Waiting {
    end: u64,
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
    pub(super) fn take_messages(&mut self, direction: Direction, messages: Vec<Message>, cx: &mut SessionContext<'_>) {
        for message in messages {
            self.fruitless_resyncs = 0;
            let Some((message, first)) = self.assemble(direction, message, cx) else { continue };
            self.take_message(direction, message, first, cx);
        }
    }

    /// Completes what waited for bytes that have come.
    pub(super) fn complete(&mut self, direction: Direction, cx: &mut SessionContext<'_>) {
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
            let last = lane.stream.marks.at(waiting.end.min(passed).saturating_sub(1)).unwrap_or(cx.now);
            match waiting.what {
                Awaited::Request(key) => {
                    if let Some(pairing) = &mut self.pairing {
                        pairing.request_ended(key, last);
                    }
                }
                Awaited::Other(message, first) => {
                    self.pair(direction, *message, Span { first, last }, cx);
                }
            }
        }
    }

    /// Puts the parts of a message together; gives it once it is whole, with the time of its first byte.
    fn assemble(
        &mut self,
        direction: Direction,
        message: Message,
        cx: &mut SessionContext<'_>,
    ) -> Option<(Message, Timestamp)> {
        let lane = self.streams.as_mut()?.lane_mut(direction);
        lane.has_message = true;
        lane.floor = lane.floor.max(message.end);
        let first = lane.stream.marks.at(message.start).unwrap_or(cx.now);
        match message.part {
            MessagePart::Whole => Some((message, first)),
            MessagePart::Begin(handle) => {
                lane.parts.insert(handle, (message, first));
                if lane.parts.len() > MAX_PARTS {
                    lane.parts.pop_first();
                    cx.counters.parts_dropped += 1;
                }
                None
            }
            MessagePart::Amend(handle) => {
                if let Some((begun, _)) = lane.parts.get_mut(&handle) {
                    amend(begun, message);
                }
                None
            }
            MessagePart::Finish(handle) => {
                let Some((mut begun, first)) = lane.parts.remove(&handle) else { return Some((message, first)) };
                amend(&mut begun, message);
                Some((begun, first))
            }
        }
    }

    fn take_message(&mut self, direction: Direction, message: Message, first: Timestamp, cx: &mut SessionContext<'_>) {
        let (end, kind) = (message.end, message.kind);
        let is_from_server = self.is_from_server(direction);
        let is_stray = kind == Kind::Request && message.content.id.is_none() && self.is_out_of_step;
        let what = if kind == Kind::Request && !is_stray {
            let Some(flow) = self.pairing_flow(cx) else { return };
            let mut records = Vec::new();
            let pairing = self.pairing.get_or_insert_default();
            let key = pairing.request(&flow, is_from_server, message, first, &mut records);
            emit(records, cx);
            Awaited::Request(key)
        } else {
            Awaited::Other(Box::new(message), first)
        };
        let Some(streams) = &mut self.streams else { return };
        let lane = streams.lane_mut(direction);
        let at = lane.waiting.partition_point(|waiting| waiting.end <= end);
        lane.waiting.insert(at, Waiting { end, what });
        self.complete(direction, cx);
    }

    fn pair(&mut self, direction: Direction, message: Message, span: Span, cx: &mut SessionContext<'_>) {
        let Some(flow) = self.pairing_flow(cx) else { return };
        let is_from_server = self.is_from_server(direction);
        let mut records = Vec::new();
        match message.kind {
            Kind::Response => {
                let pairing = self.pairing.get_or_insert_default();
                pairing.response(&flow, is_from_server, message, span, &mut records);
            }
            Kind::OneWay => records.push(Pairing::one_way(&flow, is_from_server, message, span)),
            Kind::Request => records.push(Pairing::stray(&flow, is_from_server, message, span)),
        }
        emit(records, cx);
    }

    fn is_from_server(&self, direction: Direction) -> bool {
        (direction == Direction::ToClient) ^ self.is_turned
    }
}

fn emit(records: impl IntoIterator<Item = Box<Record>>, cx: &mut SessionContext<'_>) {
    cx.out.extend(records.into_iter().map(Output::Record));
}

/// What the part sets replaces, its attributes are added.
fn amend(message: &mut Message, part: Message) {
    message.end = message.end.max(part.end);
    message.has_more_replies |= part.has_more_replies;
    message.next_id = part.next_id.or(message.next_id);
    let (into, from) = (&mut message.content, part.content);
    into.id = from.id.or(into.id);
    into.code = from.code.or(into.code);
    let texts = [
        (&mut into.type_name, from.type_name),
        (&mut into.version, from.version),
        (&mut into.domain, from.domain),
        (&mut into.exception, from.exception),
        (&mut into.result, from.result),
        (&mut into.reason, from.reason),
    ];
    for (old, new) in texts {
        if new.is_some() {
            *old = new;
        }
    }
    into.resource = from.resource.or(into.resource.take());
    into.endpoint = from.endpoint.or(into.endpoint.take());
    if from.status != crate::record::Status::Unknown {
        into.status = from.status;
    }
    if from.completeness != Completeness::Full {
        into.completeness = into.completeness.max(from.completeness);
    }
    into.is_long_poll |= from.is_long_poll;
    into.attributes.extend(from.attributes);
}
