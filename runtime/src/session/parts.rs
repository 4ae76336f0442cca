//! Messages that come in parts: put together here until the last part has come, or until it is certain that it will not.
//! A request waits for its response from its first part on, so that it can be answered before it is finished; of all
//! other messages, nobody learns before they are whole.

use std::collections::BTreeMap;

use super::{Lane, Session, SessionContext};
use crate::packet::Timestamp;
use crate::pair::{RequestKey, Span};
use crate::plugin::content::{Message, MessagePart};
use crate::reassembly::Direction;
use crate::record::{Completeness, Kind, Outlet};

/// Messages in parts that may be open in one direction of a flow.
const MAX_PARTS: usize = 256;

/// Open messages of one direction, by the guest's handle.
pub(super) type Parts = BTreeMap<u32, Open>;

/// A message of which more parts are to come.
#[derive(Debug)]
pub(super) enum Open {
    /// A request that is pending already.
    Pending(RequestKey),
    /// Any other, with the time of its first byte.
    Message(Box<Message>, Timestamp),
}

impl Session {
    /// Takes a message or a part of one; gives a message that is whole, with the time of its first byte.
    pub(super) fn assemble(
        &mut self,
        direction: Direction,
        message: Message,
        first: Timestamp,
        cx: &mut SessionContext<'_>,
    ) -> Option<(Message, Timestamp)> {
        match message.part {
            MessagePart::Whole => Some((message, first)),
            MessagePart::Begin(handle) => {
                self.begin(direction, handle, message, first, cx);
                None
            }
            MessagePart::Amend(handle) => {
                let Lane { parts, held, .. } = self.streams.as_mut()?.lane_mut(direction);
                match parts.get_mut(&handle)? {
                    Open::Message(begun, _) => {
                        *held = held.saturating_sub(begun.footprint());
                        amend(begun, message);
                        *held = held.saturating_add(begun.footprint());
                    }
                    Open::Pending(key) => {
                        let key = *key;
                        let key = self.identify(key, &message, first, cx);
                        let is_pending =
                            self.pairing.as_mut().is_some_and(|pairing| pairing.amend(key, message, first));
                        let parts = &mut self.streams.as_mut()?.lane_mut(direction).parts;
                        if is_pending {
                            parts.insert(handle, Open::Pending(key));
                        } else {
                            parts.remove(&handle);
                        }
                    }
                }
                None
            }
            MessagePart::Finish(handle) => self.finish_part(direction, handle, (message, first), cx),
        }
    }

    fn begin(
        &mut self,
        direction: Direction,
        handle: u32,
        message: Message,
        first: Timestamp,
        cx: &mut SessionContext<'_>,
    ) {
        let is_from_server = self.is_from_server(direction);
        let open = match message.kind {
            Kind::Request if message.content.id.is_some() || !self.is_out_of_step => {
                let Some(key) = self.add_request(is_from_server, message, first, cx) else { return };
                Open::Pending(key)
            }
            kind => {
                if let (Kind::Response, Some(pairing)) = (kind, &mut self.pairing) {
                    pairing.response_begins(!is_from_server, message.content.id, message.heard);
                }
                Open::Message(Box::new(message), first)
            }
        };
        let Some(streams) = &mut self.streams else { return };
        let lane = streams.lane_mut(direction);
        lane.open(handle, open);
        if lane.parts.len() > MAX_PARTS {
            cx.counters.parts_dropped += 1;
            let oldest = lane.parts.first_key_value().map(|(handle, _)| *handle);
            if let Some(Open::Message(message, first)) = oldest.and_then(|handle| lane.close(handle)) {
                self.give_up(direction, *message, first, "too many open", cx);
            }
        }
    }

    fn finish_part(
        &mut self,
        direction: Direction,
        handle: u32,
        (message, first): (Message, Timestamp),
        cx: &mut SessionContext<'_>,
    ) -> Option<(Message, Timestamp)> {
        let is_from_server = self.is_from_server(direction);
        match self.streams.as_mut()?.lane_mut(direction).close(handle) {
            Some(Open::Message(mut begun, first)) => {
                amend(&mut begun, message);
                Some((*begun, first))
            }
            Some(Open::Pending(key)) => {
                let bytes = (message.start, message.end);
                let key = self.identify(key, &message, first, cx);
                self.pairing.as_mut()?.amend(key, message, first);
                self.streams.as_mut()?.lane_mut(direction).await_request(bytes, key);
                self.complete(direction, cx);
                None
            }
            // Its beginning was lost. A request that waits already does not do so once more.
            None => {
                let id = message.content.id.filter(|_| message.kind == Kind::Request);
                let is_pending = id.zip(self.pairing.as_ref()).is_some_and(|(id, p)| p.is_pending(is_from_server, id));
                (!is_pending).then_some((message, first))
            }
        }
    }

    /// A request that waits in order waits under the id that this part of it bears, if it does.
    fn identify(&mut self, key: RequestKey, part: &Message, at: Timestamp, cx: &mut SessionContext<'_>) -> RequestKey {
        let Some(id) = part.content.id else { return key };
        self.with_pairing(cx, |pairing, flow, out| pairing.identify(flow, key, (id, at), out)).unwrap_or(key)
    }

    /// No more parts will come of that direction's messages.
    pub(super) fn give_up_parts(&mut self, direction: Direction, reason: &'static str, cx: &mut SessionContext<'_>) {
        let Some(streams) = &mut self.streams else { return };
        let lane = streams.lane_mut(direction);
        let handles: Vec<u32> = lane.parts.keys().copied().collect();
        let open: Vec<Open> = handles.into_iter().filter_map(|handle| lane.close(handle)).collect();
        for open in open {
            if let Open::Message(message, first) = open {
                self.give_up(direction, *message, first, reason, cx);
            }
        }
    }

    /// No more parts will come at all.
    pub(super) fn give_up_all_parts(&mut self, reason: &'static str, cx: &mut SessionContext<'_>) {
        self.give_up_parts(Direction::ToServer, reason, cx);
        self.give_up_parts(Direction::ToClient, reason, cx);
    }

    /// Who asked withdraws a request: what there is of its response is all, and if there is nothing, none will come.
    pub(super) fn cancel(
        &mut self,
        direction: Direction,
        message: &Message,
        at: Timestamp,
        cx: &mut SessionContext<'_>,
    ) {
        const REASON: &str = "cancelled";
        let is_from_server = self.is_from_server(direction);
        let (Some(id), Some(streams)) = (message.content.id, &mut self.streams) else { return };
        let lane = streams.lane_mut(direction.opposite());
        let begun = lane.parts.iter().find_map(|(handle, open)| match open {
            Open::Message(message, _) if message.kind == Kind::Response && message.content.id == Some(id) => {
                Some(*handle)
            }
            _ => None,
        });
        if let Some(Open::Message(message, first)) = begun.and_then(|handle| lane.close(handle)) {
            return self.give_up(direction.opposite(), *message, first, REASON, cx);
        }
        self.with_pairing(cx, |pairing, flow, out| pairing.cancel(flow, (is_from_server, id), (REASON, at), out));
    }

    fn give_up(
        &mut self,
        direction: Direction,
        mut message: Message,
        first: Timestamp,
        reason: &'static str,
        cx: &mut SessionContext<'_>,
    ) {
        if message.content.completeness == Completeness::Full {
            message.content.completeness = Completeness::Partial;
            message.content.reason = Some(message.content.put(reason));
        }
        let Some(streams) = &mut self.streams else { return };
        let stream = &streams.lane_mut(direction).stream;
        let last = stream.marks.at(message.end.min(stream.end()).saturating_sub(1)).unwrap_or(cx.now);
        self.pair(direction, message, Span { first, last: last.max(first) }, cx);
    }

    /// Adds a request to those pending.
    pub(super) fn add_request(
        &mut self,
        is_from_server: bool,
        message: Message,
        first: Timestamp,
        cx: &mut SessionContext<'_>,
    ) -> Option<RequestKey> {
        let (flow, pairing) = self.pairing_flow(cx.plugins, cx.has_each_response)?;
        let mut out = Outlet { out: cx.out, spares: cx.spares };
        Some(pairing.get_or_insert_default().request(&flow, is_from_server, message, first, &mut out))
    }
}

impl Lane {
    fn open(&mut self, handle: u32, open: Open) {
        self.close(handle);
        if let Open::Message(message, _) = &open {
            self.held = self.held.saturating_add(message.footprint());
        }
        self.parts.insert(handle, open);
    }

    fn close(&mut self, handle: u32) -> Option<Open> {
        let open = self.parts.remove(&handle)?;
        if let Open::Message(message, _) = &open {
            self.held = self.held.saturating_sub(message.footprint());
        }
        Some(open)
    }
}

/// What the part sets replaces.
fn amend(message: &mut Message, part: Message) {
    message.end = message.end.max(part.end);
    message.bytes = message.bytes.saturating_add(part.bytes);
    message.has_more_replies |= part.has_more_replies;
    message.next_id = part.next_id.or(message.next_id);
    message.content.amend(*part.content);
}
