//! Requests and responses of one flow in, records out. Requests wait here, by id or in order, each side's apart; a
//! response finds its request, its replies are summed, and what is never answered ends with a reason. Nothing here
//! looks at bytes or clocks: times come with the messages.

mod side;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use protap_plugin::contract::pending;

pub(crate) use self::side::{Pending, UnderWay};
use self::side::{Replies, Side};
use crate::packet::Timestamp;
use crate::plugin::content::Message;
use crate::reassembly::Heard;
use crate::record::{
    Completeness, Content, FlowEnds, Kind, Outlet, Part, PluginIdentity, Processes, Record, RecordKind, Status,
};

/// Requests that may wait in a flow; the oldest makes room for the newest.
pub const MAX_PENDING: usize = 16_384;
/// How long a request waits for its response, in nanoseconds.
pub const REQUEST_TIMEOUT: u64 = 120_000_000_000;

/// Pending requests of both sides of a flow.
#[derive(Debug)]
pub struct Pairing {
    client: Side,
    server: Side,
    sequence: u64,
    /// What the sender of the bytes that are being parsed had of the opposite stream.
    heard: Heard,
}

impl Default for Pairing {
    fn default() -> Self {
        Self { client: Side::default(), server: Side::default(), sequence: 0, heard: Heard::ALL }
    }
}

/// What a record needs to know of its flow.
#[derive(Clone, Copy, Debug)]
pub struct PairingFlow<'a> {
    /// Names the flow.
    pub id: u64,
    /// The flow's ends.
    pub ends: FlowEnds,
    /// Their processes, if known.
    pub process: Option<&'a Arc<Processes>>,
    /// Whose messages they are.
    pub plugin: &'a Arc<PluginIdentity>,
    /// A record for each response instead of one for each request.
    pub has_each_response: bool,
}

/// When a message was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub first: Timestamp,
    /// Last byte.
    pub last: Timestamp,
}

/// Names a waiting request within its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey {
    is_from_server: bool,
    id: Option<u64>,
    sequence: u64,
}

impl Pairing {
    /// Context of a pending request, as the import `pending` selects it.
    #[must_use]
    pub fn context(&self, is_from_server: bool, select: i32, id: u64) -> Option<&[u8]> {
        let side = self.side(is_from_server);
        if select == pending::BY_ID {
            return side.by_id(id).map(|pending| pending.context.as_slice());
        }
        let n = usize::try_from(select.checked_sub(pending::FRONT)?).ok()?;
        side.in_order(n, self.heard).map(|pending| pending.context.as_slice())
    }

    /// The bytes that are parsed next come from who had heard so much of the opposite stream.
    pub fn set_heard(&mut self, heard: Heard) {
        self.heard = heard;
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.client.is_empty() && self.server.is_empty()
    }

    /// Bytes that the requests take in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.client.held().saturating_add(self.server.held())
    }

    /// Gives back the memory of requests that wait no more.
    pub fn shrink(&mut self) {
        self.client.shrink();
        self.server.shrink();
    }

    /// Shows the contents of all that waits, each with its protocol.
    pub fn for_each_content(&mut self, show: &mut impl FnMut(&mut u16, &mut Content)) {
        self.client.for_each_content(show);
        self.server.for_each_content(show);
    }

    /// A request begins; its last byte may be yet to come. Requests that it displaces become records.
    pub fn request(
        &mut self,
        flow: &PairingFlow<'_>,
        is_from_server: bool,
        message: Message,
        first: Timestamp,
        out: &mut Outlet<'_>,
    ) -> RequestKey {
        self.sequence += 1;
        let key = RequestKey { is_from_server, id: message.content.id, sequence: self.sequence };
        let pending = out.spares.pending(Pending::new(self.sequence, message, first));
        for (pending, reason) in self.side_mut(is_from_server).insert(pending, flow.ends.transport) {
            unanswered(flow, is_from_server, pending, (reason, first), out);
        }
        key
    }

    /// The last byte of a request passed, at `last`; if it was lost, nobody knows when, and that was the last one seen.
    pub fn request_ended(&mut self, key: RequestKey, last: Timestamp, is_lost: bool) {
        if let Some(pending) = self.side_mut(key.is_from_server).find(key.id, key.sequence) {
            (pending.last, pending.is_end_lost) = (pending.last.max(Some(last)), is_lost);
        }
    }

    /// A later part of a request that waits in order bears an id, at `at`: from now on it waits under that.
    pub fn identify(
        &mut self,
        flow: &PairingFlow<'_>,
        key: RequestKey,
        (id, at): (u64, Timestamp),
        out: &mut Outlet<'_>,
    ) -> RequestKey {
        let side = self.side_mut(key.is_from_server);
        let Some(mut pending) = key.id.is_none().then(|| side.take_in_order(key.sequence)).flatten() else {
            return key;
        };
        pending.part.content.id = Some(id);
        for (pending, reason) in side.insert(pending, flow.ends.transport) {
            unanswered(flow, key.is_from_server, pending, (reason, at), out);
        }
        RequestKey { id: Some(id), ..key }
    }

    /// A further part of a request, which began at `at`; whether the request is still pending.
    pub fn amend(&mut self, key: RequestKey, part: Message, at: Timestamp) -> bool {
        let Some(pending) = self.side_mut(key.is_from_server).find(key.id, key.sequence) else { return false };
        pending.last = pending.last.max(Some(at));
        pending.part.bytes = pending.part.bytes.saturating_add(part.bytes);
        if !part.context.as_slice().is_empty() {
            pending.context = part.context;
        }
        // It is known by the first id that it bore.
        let mut content = part.content;
        content.id = None;
        pending.part.content.amend(*content);
        self.side_mut(key.is_from_server).grew(key.id, key.sequence);
        true
    }

    /// Whether a request of that side with that id is pending.
    #[must_use]
    pub fn is_pending(&self, is_from_server: bool, id: u64) -> bool {
        self.side(is_from_server).by_id(id).is_some()
    }

    /// The first part of a response has come: its request does not time out any more.
    pub fn response_begins(&mut self, asked_by_server: bool, id: Option<u64>, heard: Heard) {
        self.side_mut(asked_by_server).response_begins(id, heard);
    }

    /// The side that asked withdraws its request.
    pub fn cancel(
        &mut self,
        flow: &PairingFlow<'_>,
        (is_from_server, id): (bool, u64),
        (reason, at): (&'static str, Timestamp),
        out: &mut Outlet<'_>,
    ) {
        if let Some(pending) = self.side_mut(is_from_server).take(id) {
            unanswered(flow, is_from_server, pending, (reason, at), out);
        }
    }

    /// A response ended: gives the record of its request once all its replies are in, or a record of its own.
    pub fn response(
        &mut self,
        flow: &PairingFlow<'_>,
        is_from_server: bool,
        message: Message,
        span: Span,
        out: &mut Outlet<'_>,
    ) {
        let asked_by_server = !is_from_server;
        let has_more = message.has_more_replies;
        let next_id = message.next_id;
        let side = self.side_mut(asked_by_server);
        let mut asked = match message.content.id {
            Some(id) => side.take(id),
            None => side.take_next(message.heard),
        };
        if let Some(pending) = asked.take_if(|pending| pending.is_ambiguous) {
            unanswered(flow, asked_by_server, pending, ("ambiguous id", span.last), out);
        }
        let Some(mut pending) = asked else {
            let mut record = lone(flow, (RecordKind::Response, is_from_server), message, span, out);
            record.reason = Some("request not seen");
            return out.push(record);
        };
        if pending.is_given_up {
            let mut record = lone(flow, (RecordKind::Response, is_from_server), message, span, out);
            record.is_late = true;
            return out.push(record);
        }
        if flow.has_each_response && has_more {
            let mut copy = pending.clone();
            copy.replies = Some(Replies::new(message, span));
            side.put_back(pending, next_id);
            let record = session(flow, asked_by_server, copy, None, out);
            return out.push(record);
        }
        if let Some(content) = Replies::add(&mut pending.replies, message, span) {
            out.spares.keep_content(content);
        }
        if has_more {
            side.put_back(pending, next_id);
        } else {
            let record = session(flow, asked_by_server, pending, None, out);
            out.push(record);
        }
    }

    /// A message ended that has no counterpart.
    pub fn one_way(flow: &PairingFlow<'_>, is_from_server: bool, message: Message, span: Span, out: &mut Outlet<'_>) {
        let record = lone(flow, (RecordKind::OneWay, is_from_server), message, span, out);
        out.push(record);
    }

    /// A request ended that cannot be paired, since in-order pairing is out of step.
    pub fn stray(flow: &PairingFlow<'_>, is_from_server: bool, message: Message, span: Span, out: &mut Outlet<'_>) {
        let mut record = lone(flow, (RecordKind::Request, is_from_server), message, span, out);
        record.response = Some(no_response(Status::Unknown));
        record.reason = Some("lost");
        out.push(record);
    }

    /// Gives up requests that have waited too long; when the next one will have. What is under way is said of those that the
    /// client asked, then of those that the server did.
    pub(crate) fn expire(
        &mut self,
        flow: &PairingFlow<'_>,
        now: Timestamp,
        under_way: [UnderWay; 2],
        out: &mut Outlet<'_>,
    ) -> Option<Timestamp> {
        let mut oldest = Timestamp::MAX;
        for (is_from_server, under_way) in [false, true].into_iter().zip(under_way) {
            let side = self.side_mut(is_from_server);
            for (pending, due) in side.expire(now, REQUEST_TIMEOUT, under_way) {
                unanswered(flow, is_from_server, pending, ("timeout", due), out);
            }
            oldest = oldest.min(self.side(is_from_server).oldest(REQUEST_TIMEOUT, under_way).unwrap_or(oldest));
        }
        (oldest != Timestamp::MAX).then(|| oldest.saturating_add(REQUEST_TIMEOUT))
    }

    /// Closes what waits for an answer of that side (of both, if `None`).
    pub fn close(
        &mut self,
        flow: &PairingFlow<'_>,
        answered_by_server: Option<bool>,
        reason: &'static str,
        at: Timestamp,
        out: &mut Outlet<'_>,
    ) {
        for is_from_server in [false, true] {
            if answered_by_server.is_some_and(|by_server| by_server == is_from_server) {
                continue;
            }
            for pending in self.side_mut(is_from_server).drain() {
                unanswered(flow, is_from_server, pending, (reason, at), out);
            }
        }
    }

    /// Bytes were lost: in-order requests (of both sides, if `None`) cannot be matched any more.
    pub fn lose_in_order(
        &mut self,
        flow: &PairingFlow<'_>,
        asked_by_server: Option<bool>,
        at: Timestamp,
        out: &mut Outlet<'_>,
    ) {
        for is_from_server in [false, true] {
            if asked_by_server.is_some_and(|by_server| by_server != is_from_server) {
                continue;
            }
            for pending in self.side_mut(is_from_server).drain_in_order() {
                unanswered(flow, is_from_server, pending, ("lost", at), out);
            }
        }
    }

    fn side(&self, is_from_server: bool) -> &Side {
        if is_from_server { &self.server } else { &self.client }
    }

    fn side_mut(&mut self, is_from_server: bool) -> &mut Side {
        if is_from_server { &mut self.server } else { &mut self.client }
    }
}

/// Gives out the record of a request that got no answer, or not all of it, unless it was given up before.
fn unanswered(
    flow: &PairingFlow<'_>,
    is_from_server: bool,
    pending: Box<Pending>,
    (reason, at): (&'static str, Timestamp),
    out: &mut Outlet<'_>,
) {
    if !pending.is_given_up {
        let mut record = session(flow, is_from_server, pending, Some(reason), out);
        record.completed = record.completed.max(at);
        out.push(record);
    }
}

fn session(
    flow: &PairingFlow<'_>,
    is_from_server: bool,
    mut pending: Box<Pending>,
    reason: Option<&'static str>,
    out: &mut Outlet<'_>,
) -> Box<Record> {
    let (first, last) = (pending.first, pending.last.unwrap_or(pending.first));
    let status = if reason == Some("timeout") { Status::Timeout } else { Status::Unknown };
    let (kind, response, span) = match pending.replies.take() {
        Some(replies) => (RecordKind::Session, replies.part, Some(replies.span)),
        None => (RecordKind::Request, no_response(status), None),
    };
    let content = std::mem::replace(&mut pending.part.content, out.spares.content());
    let request = Part { content, bytes: pending.part.bytes, count: pending.part.count };
    let (protocol, is_end_lost) = (pending.protocol, pending.is_end_lost);
    out.spares.keep_pending(pending);
    let mut record = blank(flow, (kind, protocol, is_from_server), out);
    record.ts = first;
    record.completed = span.map_or(last, |span| span.last);
    (record.request, record.response) = (Some(request), Some(response));
    record.reason = reason;
    record.latency_ns = span.filter(|_| !is_end_lost).map(|span| span.first.saturating_sub(last));
    record.duration_ns = span.map(|span| span.last.saturating_sub(first));
    record
}

/// A record of the flow that says nothing more than what it is about.
fn blank(
    flow: &PairingFlow<'_>,
    (kind, protocol, is_from_server): (RecordKind, u16, bool),
    out: &mut Outlet<'_>,
) -> Box<Record> {
    let mut record = out.spares.record(flow.plugin, flow.ends);
    (record.kind, record.protocol, record.is_from_server) = (kind, protocol, is_from_server);
    (record.flow_id, record.process) = (flow.id, flow.process.cloned());
    record
}

fn no_response(status: Status) -> Part {
    let mut part = Part::default();
    part.content.status = status;
    part.content.completeness = Completeness::Full;
    part
}

/// The record of a single message.
fn lone(
    flow: &PairingFlow<'_>,
    (kind, is_from_server): (RecordKind, bool),
    message: Message,
    span: Span,
    out: &mut Outlet<'_>,
) -> Box<Record> {
    let is_response = message.kind == Kind::Response;
    let part = Part { bytes: message.bytes, count: 1, content: message.content };
    let mut record = blank(flow, (kind, message.protocol, is_from_server), out);
    (record.ts, record.completed) = (span.first, span.last);
    (record.request, record.response) = if is_response { (None, Some(part)) } else { (Some(part), None) };
    record.duration_ns = Some(span.last.saturating_sub(span.first));
    record
}
