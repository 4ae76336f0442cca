//! Socket events in, the segments out that would have carried them: what a packet capture of the same connection would have
//! seen, so that reassembly takes each byte once whichever end it was seen at, and fills one end's holes from the other's.
//!
//! **Which end counts.** Where both are traced, the client's tells, so that times are the client's; the server's bytes are there
//! when the client's were lost. See [`turn`].
//!
//! **What is missing for good.** Calls on one socket follow one another (where they do not, the bytes are given up, see
//! [`claims`]), so a call that begins behind the end of the last one tells of bytes that were not seen: sent from a file, moved
//! by io_uring, or lost with a full ring. Where the other end is not traced, nobody can fill that hole, and a segment
//! without bytes says so at once; else once the other end has had its time ([`holes`]). No ACK numbers are given: the order
//! of events is the order of things.
//!
//! A connection's beginning is told when its first bytes are: those of other programs, which the kernel side cannot tell
//! apart, leave nothing but an entry here.

mod again;
mod claims;
mod holes;
mod plaintext;
mod sealed;
#[cfg(test)]
mod tests;
mod turn;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;

use self::claims::Claims;
use self::holes::Holes;
use self::plaintext::Plaintext;
use self::sealed::{Seal, Sealed};
use self::turn::Progress;
pub(super) use self::turn::Turn;
use super::datagrams::Datagrams;
use super::event::{Event, Kind, layout};
use super::process_names::ProcessNames;
use crate::capture::SocketLoss;
use crate::packet::{Endpoint, GivenUp, Segment, TcpFields, Timestamp, Transport};
use crate::record::{Process, ProcessPair, Via};

/// Connections remembered; the least recently used is forgotten, and is one caught in its middle if it speaks again.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(262_144).unwrap();
/// So many bytes that were not seen cannot be waited for: they are out of reach for reassembly.
const FAR: u32 = 16 << 20;
/// What a TLS library tells of a connection is not muted so soon after it began, in nanoseconds: what nobody claimed
/// was the ciphertext before it.
const UNMUTED: u64 = 200_000_000;

/// Both ends of a connection, the lower one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub(super) Endpoint, pub(super) Endpoint);

impl Hash for Key {
    /// In a few words, as it is done for every event.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(low, high) = self;
        match (low.ip, high.ip) {
            (IpAddr::V4(low), IpAddr::V4(high)) => {
                state.write_u64(u64::from(low.to_bits()) << 32 | u64::from(high.to_bits()))
            }
            (low, high) => [low, high].hash(state),
        }
        state.write_u32(u32::from(low.port) << 16 | u32::from(high.port));
    }
}

/// How a connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opening {
    client: Endpoint,
    server: Endpoint,
    /// Sequence numbers of their first bytes.
    client_seq: u32,
    server_seq: u32,
}

impl Opening {
    /// Number of the first byte that this end sends.
    fn first(&self, of: Endpoint) -> u32 {
        if of == self.client { self.client_seq } else { self.server_seq }
    }
}

/// What is known of one end.
#[derive(Clone, Debug, Default)]
struct End {
    /// The kernel's name for the socket, while it lives, and the `first` of its connection.
    socket: Option<(u64, u32)>,
    /// Up to where it sent and received, as far as that was seen.
    sent: Option<u32>,
    received: Option<u32>,
    /// What its calls claimed as they came.
    claims_sent: Claims,
    claims_received: Claims,
    /// Its calls are seen.
    is_traced: bool,
    /// Its TLS library tells, or will when what waits has been told.
    is_tied: bool,
    /// That has let go of the socket.
    is_untied: bool,
    /// Whose it is, and as the kernel names it.
    process: Option<Arc<Process>>,
    name: Option<(u32, [u8; 16], Via)>,
}

impl End {
    fn claims(&mut self, kind: Kind) -> &mut Claims {
        if kind == Kind::Sent { &mut self.claims_sent } else { &mut self.claims_received }
    }
}

#[derive(Debug, Default)]
struct Connection {
    opening: Option<Opening>,
    /// When it was opened; 0 if that was not seen.
    began: Timestamp,
    /// Both ends told of it: they are on this machine.
    is_local: bool,
    is_announced: bool,
    /// A TLS library tells of it.
    plaintext: Option<Plaintext>,
    /// One may yet.
    sealed: Option<Box<Sealed>>,
    progress: Progress,
    holes: Holes,
    low: End,
    high: End,
    /// Whose the ends are, beginning with the lower one and with the other one; made when first asked for.
    processes: Option<[Rc<ProcessPair>; 2]>,
    /// Events that wait, spares too, and the last turn of one.
    pending: u32,
    last_turn: u64,
    /// Those before it of which events may wait, the oldest first.
    older: Vec<Connection>,
    /// It began while some did.
    is_hurried: bool,
}

impl Connection {
    /// Both ends are at their first bytes.
    fn begin(&mut self, opening: &Opening, is_client_low: bool) {
        for (end, is_client) in [(&mut self.low, is_client_low), (&mut self.high, !is_client_low)] {
            let (own, other) = (opening.client_seq, opening.server_seq);
            let (sent, received) = if is_client { (own, other) } else { (other, own) };
            (end.sent, end.received) = (Some(sent), Some(received));
        }
    }

    fn end_mut(&mut self, is_low: bool) -> &mut End {
        if is_low { &mut self.low } else { &mut self.high }
    }

    /// Whose the ends are, beginning with the lower one or with the other one.
    fn processes(&mut self, is_low: bool) -> Rc<ProcessPair> {
        let make = || {
            let (low, high) = (self.low.process.clone(), self.high.process.clone());
            [Rc::new([low.clone(), high.clone()]), Rc::new([high, low])]
        };
        let [by_low, by_high] = self.processes.get_or_insert_with(make);
        Rc::clone(if is_low { by_low } else { by_high })
    }

    /// The segments of an event, as its socket tells it.
    fn segments(&mut self, event: &Event, payload_len: usize, at: Timestamp, into: &mut Vec<Made>) {
        if !self.low.is_traced && !self.high.is_traced {
            return;
        }
        let (is_data, is_low) = (event.is_data(), is_low(event));
        if !self.is_announced && is_data {
            self.is_announced = true;
            if let Some(opening) = self.opening {
                self.begin(&opening, (opening.client == event.local) == is_low);
                into.extend(handshake(&opening, at));
            }
        }
        let is_both = self.is_both_traced();
        let end = self.end_mut(is_low);
        if matches!(event.kind, Kind::Reset | Kind::Gone) {
            end.socket = None;
        }
        if event.kind == Kind::Gone {
            return;
        }
        let segment = segment(event, payload_len, at);
        let is_from_low = is_low != event.kind.is_inbound();
        let mut lost = 0;
        if is_data {
            let end = event.seq.wrapping_add(segment.payload_len);
            self.progress.add(is_from_low, event.seq, end);
            lost = self.end_mut(is_low).follow(event.seq, end, event.kind);
        } else if event.kind == Kind::FinSent && !is_both && self.end_mut(is_low).is_traced {
            // Its last bytes may have been a file's.
            lost = self.end_mut(is_low).follow(event.seq, event.seq, event.kind);
        }
        let processes = self.processes(is_from_low);
        into.extend(self.holes.due(event.at, at));
        if lost > 0 {
            let tcp = TcpFields { seq: event.seq.wrapping_sub(lost), fin: false, ..segment.tcp };
            let segment = Segment { tcp, payload_len: lost, ..segment };
            let missing = Made { segment, processes: processes.clone(), payload: Payload::None };
            let may_be_filled = is_both && lost <= FAR;
            into.extend(if may_be_filled { self.holes.add(event.at, missing) } else { Some(missing) });
        }
        let payload = if is_data { Payload::Own } else { Payload::None };
        into.push(Made { segment, processes, payload });
    }
}

/// A segment without its payload.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) segment: Segment<'static>,
    /// Whose source and destination are.
    pub(super) processes: Rc<ProcessPair>,
    pub(super) payload: Payload,
}

/// Where a segment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// It has none, though its length may say otherwise: they were not seen.
    None,
    /// They are the event's.
    Own,
    /// They are an older event's.
    Kept(Vec<u8>),
}

/// The connections whose sockets are traced.
#[derive(Debug)]
pub(super) struct Connections {
    table: LruCache<Key, Connection>,
    datagrams: Datagrams,
    processes: ProcessNames,
    ciphertext_bytes: u64,
    /// Of callers on one socket at once.
    concurrent_bytes: u64,
    /// Of connections that are over, or that are not the one which is known by its ends.
    unplaced_bytes: u64,
    /// TLS libraries are traced.
    has_tls: bool,
}

impl Default for Connections {
    fn default() -> Self {
        let table = LruCache::new(CONNECTIONS);
        let (datagrams, processes) = (Datagrams::default(), ProcessNames::default());
        Self {
            table,
            datagrams,
            processes,
            ciphertext_bytes: 0,
            concurrent_bytes: 0,
            unplaced_bytes: 0,
            has_tls: false,
        }
    }
}

/// Ports mostly differ, and are compared sooner than addresses.
pub(super) fn key(a: Endpoint, b: Endpoint) -> Key {
    if (a.port, a.ip) <= (b.port, b.ip) { Key(a, b) } else { Key(b, a) }
}

/// It came from the lower end.
fn is_low(event: &Event) -> bool {
    (event.local.port, event.local.ip) <= (event.remote.port, event.remote.ip)
}

fn opening(event: &Event) -> Option<Opening> {
    let (local, remote, seq, ack) = (event.local, event.remote, event.seq, event.ack);
    match event.kind {
        Kind::Opened => Some(Opening { client: local, server: remote, client_seq: seq, server_seq: ack }),
        Kind::Accepted => Some(Opening { client: remote, server: local, client_seq: ack, server_seq: seq }),
        _ => None,
    }
}

impl Connections {
    /// TLS libraries tell too.
    pub(super) fn expect_tls(&mut self) {
        self.has_tls = true;
    }

    /// Sees an event as it comes from the ring: tells it, or says when its turn is.
    pub(super) fn arrive(&mut self, event: &Event, payload: &[u8], at: Timestamp, into: &mut Vec<Made>) -> Turn {
        if event.has(layout::EVENT_DATAGRAM) {
            self.datagrams.arrive(event, &mut self.processes);
            return Turn::At(event.at);
        }
        let (key, has_tls) = (key(event.local, event.remote), self.has_tls);
        if let Some(opening) = opening(event) {
            self.open(key, opening, event.at, at);
            return Turn::Never;
        }
        let connection = if event.has(layout::EVENT_TLS) {
            // What was plain until now may still wait for its turn.
            let mut connection = self.table.get_or_insert_mut(key, Connection::default).owner(event);
            if let Some(connection) = &mut connection {
                connection.end_mut(event.local == key.0).is_tied = true;
            }
            connection
        } else if event.is_data() {
            self.note(key, event)
        } else {
            let Some(connection) = self.table.get_mut(&key) else { return Turn::At(event.at) };
            connection.owner(event)
        };
        let (len, is_low) = (u32::try_from(payload.len()).unwrap_or(u32::MAX), event.local == key.0);
        let Some(connection) = connection else {
            if self.table.get_mut(&key).is_some_and(|newest| newest.misses(event, len, is_low)) {
                self.unplaced_bytes += u64::from(len) + u64::from(event.missing);
            }
            return Turn::Never;
        };
        if !connection.claim(event, len, is_low) {
            self.concurrent_bytes += u64::from(len) + u64::from(event.missing);
            return Turn::Never;
        }
        let turn = match has_tls {
            true => Turn::At(event.at.saturating_add(connection.delay(event))),
            false => connection.turn(event, len, is_low),
        };
        if turn == Turn::Now {
            connection.segments(event, payload.len(), at, into);
        }
        let turn = connection.in_order(event, turn, is_low);
        if let Turn::At(at) | Turn::SpareAt(at) = turn {
            connection.pending = connection.pending.saturating_add(1);
            connection.last_turn = connection.last_turn.max(at);
        }
        turn
    }

    /// The turn of an event that waited.
    pub(super) fn tell(&mut self, (event, turn): (&Event, Turn), payload: &[u8], at: Timestamp, into: &mut Vec<Made>) {
        if let Some(newest) = self.table.get_mut(&key(event.local, event.remote)) {
            let Some(connection) = newest.owner(event) else { return };
            connection.pending = connection.pending.saturating_sub(1);
            let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            match turn {
                Turn::SpareAt(_) if !connection.needs(event, len, is_low(event)) => return,
                Turn::SpareAt(_) => {}
                _ => connection.progress.leave(),
            }
            if connection.is_void(event, is_low(event)) {
                self.concurrent_bytes += u64::from(len) + u64::from(event.missing);
                return;
            }
        }
        self.segments(event, payload, at, into);
    }

    /// Whose event it is. Of ciphertext nobody needs to know.
    fn note(&mut self, key: Key, event: &Event) -> Option<&mut Connection> {
        let connection = self.table.get_or_insert_mut(key, Connection::default).owner(event)?;
        let is_low = event.local == key.0;
        let is_tls = event.has(layout::EVENT_TLS);
        if is_tls {
            connection.plaintext.get_or_insert_with(|| Plaintext::since(event.at));
        } else if connection.plaintext.is_some() {
            return Some(connection);
        }
        let end = connection.end_mut(is_low);
        (end.socket, end.is_traced, end.is_tied) = (Some((event.socket, event.first)), true, is_tls);
        let name = Some((event.tgid, event.comm, event.via()));
        if end.name != name {
            (end.process, end.name) = (Some(self.processes.of(event)), name);
            connection.processes = None;
        }
        Some(connection)
    }

    fn is_noted(&mut self, key: Key, event: &Event) -> bool {
        self.table.get_mut(&key).and_then(|newest| newest.owner(event)).is_some_and(|connection| {
            let is_traced = connection.end_mut(event.local == key.0).is_traced;
            !event.has(layout::EVENT_TLS) && (connection.plaintext.is_some() || is_traced)
        })
    }

    /// The segments that an event amounts to.
    pub(super) fn segments(&mut self, event: &Event, payload: &[u8], at: Timestamp, into: &mut Vec<Made>) {
        if event.has(layout::EVENT_DATAGRAM) {
            return into.extend(self.datagrams.segment(event, payload.len(), at));
        }
        let key = key(event.local, event.remote);
        let is_data = event.is_data();
        if self.has_tls
            && let Some(connection) = self.table.get_mut(&key).and_then(|newest| newest.owner(event))
        {
            connection.return_to_plain(event, payload, at, into);
        }
        if (is_data || event.kind == Kind::Tied) && !self.is_noted(key, event) {
            // TLS begins here, or it was forgotten since, for others.
            self.note(key, event);
        }
        let Some(connection) = self.table.get_mut(&key).and_then(|newest| newest.owner(event)) else { return };
        let bytes = payload.len() as u64 + u64::from(event.missing);
        if let Some(plaintext) = &connection.plaintext {
            if !is_data || event.has(layout::EVENT_TLS) {
                connection.plaintext_segments(event, payload, at, into);
            } else if event.at >= plaintext.since {
                self.ciphertext_bytes += bytes;
            }
            return;
        }
        if event.kind == Kind::Untied {
            return;
        }
        if self.has_tls {
            match connection.seal(event, payload, at) {
                Seal::Held => return self.ciphertext_bytes += bytes,
                Seal::Open(sealed) => {
                    let bytes = sealed.map_or(0, |sealed| connection.unseal(*sealed, into));
                    self.ciphertext_bytes = self.ciphertext_bytes.saturating_sub(bytes);
                }
            }
        }
        connection.segments(event, payload.len(), at, into);
    }

    /// At the end of the trace: ciphertext whose plaintext did not come.
    pub(super) fn finish(&mut self, into: &mut Vec<Made>) {
        for (_, newest) in &mut self.table {
            let mut older = std::mem::take(&mut newest.older);
            for connection in older.iter_mut().chain([newest]) {
                if let Some(sealed) = connection.sealed.take() {
                    connection.unseal(*sealed, into);
                }
            }
        }
    }

    /// The sockets of the connection that was there then, each with its `first`, as far as they live; for TLS, the libraries' streams.
    pub(super) fn sockets(&self, flow: &GivenUp, now: Timestamp) -> impl Iterator<Item = (u64, u32)> {
        let connection = self.table.peek(&key(flow.a, flow.b)).filter(|connection| {
            connection.began <= flow.at
                && connection
                    .plaintext
                    .as_ref()
                    .is_none_or(|plaintext| plaintext.started_at.saturating_add(UNMUTED) < now)
        });
        connection.map(|connection| [connection.low.socket, connection.high.socket]).into_iter().flatten().flatten()
    }

    /// Adds what was lost or not told here.
    pub(super) fn count(&self, losses: &mut SocketLoss) {
        losses.ciphertext_bytes += self.ciphertext_bytes;
        losses.concurrent_bytes += self.concurrent_bytes;
        losses.unplaced_bytes += self.unplaced_bytes;
        losses.datagrams = self.datagrams.lost();
    }

    /// Both ends tell of the opening; a different one is that of another connection with the same ports.
    fn open(&mut self, key: Key, opening: Opening, turn: u64, at: Timestamp) {
        let connection = self.table.get_or_insert_mut(key, Connection::default);
        if connection.opening == Some(opening) {
            connection.is_local = true;
            return;
        }
        if connection.opening.is_some() || connection.is_announced {
            connection.begin_again(turn);
        }
        (connection.opening, connection.began) = (Some(opening), at);
        let Opening { client, client_seq, server_seq, .. } = opening;
        let (low, high) = if client == key.0 { (client_seq, server_seq) } else { (server_seq, client_seq) };
        connection.progress.begin(low, high);
        for (end, own, other) in [(&mut connection.low, low, high), (&mut connection.high, high, low)] {
            (end.claims_sent, end.claims_received) = (Claims::at(own), Claims::at(other));
        }
    }
}

/// SYN and SYN-ACK.
fn handshake(opening: &Opening, at: Timestamp) -> [Made; 2] {
    let Opening { client, server, client_seq, server_seq } = *opening;
    let syn = TcpFields { seq: client_seq.wrapping_sub(1), syn: true, ..TcpFields::default() };
    let answer =
        TcpFields { seq: server_seq.wrapping_sub(1), ack: Some(client_seq), syn: true, ..TcpFields::default() };
    [(client, server, syn), (server, client, answer)].map(|(source, destination, tcp)| Made {
        segment: empty(source, destination, tcp, at),
        processes: Rc::default(),
        payload: Payload::None,
    })
}

fn segment(event: &Event, payload_len: usize, at: Timestamp) -> Segment<'static> {
    let (source, destination) =
        if event.kind.is_inbound() { (event.remote, event.local) } else { (event.local, event.remote) };
    let tcp = TcpFields {
        seq: event.seq,
        ack: None,
        syn: false,
        fin: matches!(event.kind, Kind::FinSent | Kind::FinReceived),
        rst: event.kind == Kind::Reset,
    };
    let len = u32::try_from(payload_len).unwrap_or(u32::MAX).saturating_add(event.missing);
    Segment { payload_len: len, ..empty(source, destination, tcp, at) }
}

fn empty(source: Endpoint, destination: Endpoint, tcp: TcpFields, at: Timestamp) -> Segment<'static> {
    Segment { transport: Transport::Tcp, source, destination, tcp, payload: &[], payload_len: 0, at, packet: 0 }
}
