//! A connection whose plaintext comes from a TLS library. Its bytes are numbered from 0 by the kernel side, for each SSL
//! of a process; here those numbers become the ones of a TCP stream. Where the libraries of both ends are probed, one
//! end tells and the other only says whose it is: their counts begin at different bytes if a trace begins in between.
//!
//! The socket's own end marks do not say where in the plaintext they belong, so the stream ends when the end that tells
//! closes the socket, and so has read what it wanted.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use super::holes::Holes;
use super::sealed::{Sealed, is_record};
use super::{Connection, FAR, Key, Made, Opening, Payload, empty, handshake, segment};
use crate::capture::trace::event::{Event, Kind, layout};
use crate::packet::{TcpFields, Timestamp};

/// A library that is met after more bytes than a TLS handshake has, in either direction, is met in the middle.
const HANDSHAKE: u32 = 16 << 10;
/// A SYN begins another flow only if its numbers are far from those before.
const FAR_AWAY: u32 = 1 << 30;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Plaintext {
    /// What the sockets moved sooner was plain, and has been told.
    pub(super) since: u64,
    /// The end that tells: whether it is the lower one.
    teller: Option<bool>,
    /// Seen from its first byte.
    is_fresh: bool,
    /// The stream whose numbers count, and where they begin, sent and received.
    stream: u64,
    base: (u32, u32),
    is_started: bool,
    pub(super) started_at: Timestamp,
    is_fin_sent: bool,
    is_fin_received: bool,
}

impl Plaintext {
    pub(super) fn since(at: u64) -> Self {
        Self { since: at, ..Self::default() }
    }
}

impl Connection {
    /// A library's stream was met at that point of the socket's streams.
    fn tied(&mut self, event: &Event, head: &[u8], at: Timestamp) {
        let key = super::key(event.local, event.remote);
        let is_low = event.local == key.0;
        if self.sealed.is_none() && !self.is_announced && is_record(head) {
            // The first record is the client's.
            let is_client = self.is_client_low(key) == is_low;
            let (kind, seq) = if is_client { (Kind::Sent, event.seq) } else { (Kind::Received, event.ack) };
            self.sealed = Some(Box::new(Sealed { event: Event { kind, seq, ..*event }, head: head.to_vec(), at }));
        }
        let end = self.end_mut(is_low);
        end.is_untied = false;
        end.sent.get_or_insert(event.seq);
        end.received.get_or_insert(event.ack);
        let (Some(plaintext), Some(opening)) = (&mut self.plaintext, self.opening) else { return };
        let (own, other) = match opening.client == event.local {
            true => (opening.client_seq, opening.server_seq),
            false => (opening.server_seq, opening.client_seq),
        };
        let is_near = |at: u32, begin: u32| at.wrapping_sub(begin) < HANDSHAKE;
        plaintext.is_fresh |= is_near(event.seq, own) && is_near(event.ack, other);
    }

    /// The segments of an event on a connection with TLS.
    pub(super) fn plaintext_segments(&mut self, event: &Event, payload: &[u8], at: Timestamp, into: &mut Vec<Made>) {
        let key = super::key(event.local, event.remote);
        let is_low = event.local == key.0;
        match event.kind {
            Kind::Tied => return self.tied(event, payload, at),
            Kind::Untied => return self.end_mut(is_low).is_untied = true,
            Kind::Sent | Kind::Received => {}
            _ => return self.close_plaintext(event, is_low, at, into),
        }
        // The first event decides, but for the client if both ends could.
        let (is_both, is_client_low) = (self.low.is_tied && self.high.is_tied, self.is_client_low(key));
        let Some(plaintext) = &mut self.plaintext else { return };
        if *plaintext.teller.get_or_insert(if is_both { is_client_low } else { is_low }) != is_low {
            return;
        }
        if !plaintext.is_started {
            self.start(key, is_low, at, into);
        }
        let event = self.renumber(event, is_low);
        let segment = segment(&event, payload.len(), at);
        let end = event.seq.wrapping_add(segment.payload_len);
        let lost = self.end_mut(is_low).follow(event.seq, end, event.kind);
        let processes = self.processes(segment.source == key.0);
        if lost > 0 && lost < FAR {
            let tcp = TcpFields { seq: event.seq.wrapping_sub(lost), ..segment.tcp };
            let segment = crate::packet::Segment { tcp, payload_len: lost, ..segment };
            into.push(Made { segment, processes: processes.clone(), payload: Payload::None });
        }
        into.push(Made { segment, processes, payload: Payload::Own });
    }

    /// Before the first bytes: what the socket carried until now was another flow.
    fn start(&mut self, key: Key, is_low: bool, at: Timestamp, into: &mut Vec<Made>) {
        let Some(plaintext) = &mut self.plaintext else { return };
        (plaintext.is_started, plaintext.started_at) = (true, at);
        self.sealed = None;
        let begins_anew = plaintext.is_fresh || self.is_announced;
        self.is_announced = true;
        let end = self.end_mut(is_low);
        let [sent, received] = [end.sent, end.received].map(|at| at.unwrap_or(0).wrapping_add(FAR_AWAY));
        (end.sent, end.received) = (Some(sent), Some(received));
        if begins_anew {
            into.extend(handshake(&self.opening_at(key, is_low, (sent, received)), at));
        }
    }

    /// A connection that begins at those numbers, by what one end sent and received.
    fn opening_at(&self, key: Key, is_low: bool, (sent, received): (u32, u32)) -> Opening {
        let is_client_low = self.is_client_low(key);
        let (client, server) = if is_client_low { (key.0, key.1) } else { (key.1, key.0) };
        let (client_seq, server_seq) = if is_low == is_client_low { (sent, received) } else { (received, sent) };
        Opening { client, server, client_seq, server_seq }
    }

    fn is_client_low(&self, key: Key) -> bool {
        self.opening.map_or(key.0.port >= key.1.port, |opening| opening.client == key.0)
    }

    /// Where an end has let go of its library's stream, what its socket moves is plain, and another flow; but what begins as
    /// TLS does is the rest of the ciphertext, or TLS anew.
    pub(super) fn return_to_plain(&mut self, event: &Event, payload: &[u8], at: Timestamp, into: &mut Vec<Made>) {
        let (key, is_tls) = (super::key(event.local, event.remote), event.has(layout::EVENT_TLS));
        let is_low = event.local == key.0;
        let is_over = self.plaintext.is_some() && self.end_mut(is_low).is_untied;
        if !is_over || !event.is_data() || is_tls || is_record(payload) {
            return;
        }
        let numbers = if event.kind == Kind::Sent { (event.seq, event.ack) } else { (event.ack, event.seq) };
        let opening = self.opening_at(key, is_low, numbers);
        into.extend(handshake(&opening, at));
        self.begin(&opening, opening.client == key.0);
        for end in [&mut self.low, &mut self.high] {
            (end.socket, end.is_traced, end.process, end.name) = (None, false, None, None);
        }
        (self.plaintext, self.sealed, self.holes, self.is_announced) = (None, None, Holes::default(), true);
        self.processes = None;
    }

    /// The same event with numbers of the TCP stream. Another SSL on the same socket goes on where the last one was.
    fn renumber(&mut self, event: &Event, is_low: bool) -> Event {
        let end = self.end_mut(is_low);
        let next = (end.sent.unwrap_or(0), end.received.unwrap_or(0));
        let Some(plaintext) = &mut self.plaintext else { return *event };
        if plaintext.stream != event.socket {
            (plaintext.stream, plaintext.base) = (event.socket, next);
        }
        let base = if event.kind == Kind::Sent { plaintext.base.0 } else { plaintext.base.1 };
        Event { seq: base.wrapping_add(event.seq), ..*event }
    }

    fn close_plaintext(&mut self, event: &Event, is_low: bool, at: Timestamp, into: &mut Vec<Made>) {
        let end = self.end_mut(is_low);
        let next = (end.sent.unwrap_or(0), end.received.unwrap_or(0));
        let is_last = end.is_tied && !event.kind.is_inbound();
        let processes = self.processes(is_low);
        let Some(plaintext) = &mut self.plaintext else { return };
        if !plaintext.is_started
            && is_last
            && let Some(sealed) = self.sealed.take()
        {
            self.plaintext = None;
            self.unseal(*sealed, into);
            return self.segments(event, 0, at, into);
        }
        if !plaintext.is_started || plaintext.teller != Some(is_low) {
            return;
        }
        let (local, remote) = (event.local, event.remote);
        let mark = |source, destination, seq, rst| {
            let tcp = TcpFields { seq, rst, fin: !rst, ..TcpFields::default() };
            let segment = empty(source, destination, tcp, at);
            Made { segment, processes: processes.clone(), payload: Payload::None }
        };
        match event.kind {
            Kind::FinSent => {
                plaintext.is_fin_sent = true;
                into.push(mark(local, remote, next.0, false));
            }
            Kind::FinReceived => plaintext.is_fin_received = true,
            Kind::Reset => into.push(mark(local, remote, next.0, true)),
            _ => return,
        }
        if plaintext.is_fin_sent && std::mem::take(&mut plaintext.is_fin_received) {
            let [local_process, remote_process] = &*processes;
            let processes = Rc::new([remote_process.clone(), local_process.clone()]);
            into.push(Made { processes, ..mark(remote, local, next.1, false) });
        }
    }
}
