//! Socket events in, the segments out that would have carried them: what a packet capture of the same connection would have
//! seen, so that reassembly takes each byte once whichever end it was seen at, and fills one end's holes from the other's.
//!
//! **Which end counts.** Where both are traced, what the server sent comes [`SERVER_DELAY`] later than the client's receipt of
//! it, and what the client sent before the server's receipt: so times are the client's, and the server's bytes are there
//! when the client's were lost.
//!
//! **What is missing for good.** Calls on one socket follow one another (where they do not, the kernel side gives the bytes
//! up), so a call that begins behind the end of the last one tells of bytes that were not seen: sent from a file, moved
//! by io_uring, or lost with a full ring. Where the other end is not traced, nobody can fill that hole, and a segment
//! without bytes says so at once. No ACK numbers are given: the order of events is the order of things.
//!
//! A connection's beginning is told when its first bytes are: those of other programs, which the kernel side cannot tell
//! apart, leave nothing but an entry here.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::event::{Event, Kind};
use crate::packet::{Endpoint, Segment, TcpFields, Timestamp, Transport};
use crate::record::Process;

/// How long what the server sent waits for the client's receipt, in nanoseconds.
const SERVER_DELAY: u64 = 20_000_000;
/// Connections remembered; the least recently used is forgotten, and is one caught in its middle if it speaks again.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(262_144).unwrap();
/// So many bytes that were not seen cannot be waited for: they are out of reach for reassembly.
const FAR: u32 = 16 << 20;
/// Processes known by name; beyond, all are forgotten and learned anew.
const PROCESSES: usize = 65_536;

type Key = (Endpoint, Endpoint);

/// How a connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opening {
    client: Endpoint,
    server: Endpoint,
    /// Sequence numbers of their first bytes.
    client_seq: u32,
    server_seq: u32,
}

/// What is known of one end.
#[derive(Clone, Debug, Default)]
struct End {
    /// The kernel's name for the socket, while it lives.
    socket: Option<u64>,
    /// Up to where it sent and received, as far as that was seen.
    sent: Option<u32>,
    received: Option<u32>,
    /// Its calls are seen.
    is_traced: bool,
    /// Whose it is.
    process: Option<Arc<Process>>,
}

#[derive(Debug, Default)]
struct Connection {
    opening: Option<Opening>,
    is_announced: bool,
    low: End,
    high: End,
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
}

impl End {
    /// How many bytes went by unseen since the last call.
    fn follow(&mut self, segment: &Segment<'_>, kind: Kind) -> u32 {
        let position = if kind == Kind::Sent { &mut self.sent } else { &mut self.received };
        let end = segment.tcp.seq.wrapping_add(segment.payload_len);
        let Some(before) = position.replace(end) else { return 0 };
        let lost = segment.tcp.seq.wrapping_sub(before);
        if lost.cast_signed() < 0 {
            // A call that began before one that was told of already.
            *position = Some(if end.wrapping_sub(before).cast_signed() < 0 { before } else { end });
            return 0;
        }
        lost
    }
}

/// A segment without its payload.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) segment: Segment<'static>,
    /// Whose source and destination are.
    pub(super) processes: [Option<Arc<Process>>; 2],
    pub(super) has_payload: bool,
}

/// The connections whose sockets are traced.
#[derive(Debug)]
pub(super) struct Connections {
    table: LruCache<Key, Connection>,
    processes: HashMap<(u32, [u8; 16]), Arc<Process>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { table: LruCache::new(CONNECTIONS), processes: HashMap::new() }
    }
}

fn key(a: Endpoint, b: Endpoint) -> Key {
    if a <= b { (a, b) } else { (b, a) }
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
    /// Sees an event as it comes from the ring; how long it waits for its turn.
    pub(super) fn arrive(&mut self, event: &Event) -> u64 {
        let key = key(event.local, event.remote);
        let is_low = event.local == key.0;
        if !matches!(event.kind, Kind::Sent | Kind::Received) {
            return self.table.peek(&key).map_or(0, |connection| delay(connection, event));
        }
        let process = self.process(event);
        let connection = self.table.get_or_insert_mut(key, Connection::default);
        let end = connection.end_mut(is_low);
        (end.socket, end.is_traced, end.process) = (Some(event.socket), true, Some(process));
        delay(connection, event)
    }

    /// The segments that an event amounts to.
    pub(super) fn segments(&mut self, event: &Event, payload_len: usize, at: Timestamp, into: &mut Vec<Made>) {
        let key = key(event.local, event.remote);
        if let Some(opening) = opening(event) {
            return self.open(key, opening);
        }
        let is_data = matches!(event.kind, Kind::Sent | Kind::Received);
        if is_data {
            self.table.get_or_insert_mut(key, Connection::default);
        }
        let Some(connection) = self.table.get_mut(&key) else { return };
        let is_both = connection.low.is_traced && connection.high.is_traced;
        if !connection.low.is_traced && !connection.high.is_traced {
            return;
        }
        if !connection.is_announced && is_data {
            connection.is_announced = true;
            if let Some(opening) = connection.opening {
                connection.begin(&opening, opening.client == key.0);
                into.extend(handshake(&opening, at));
            }
        }
        if matches!(event.kind, Kind::Reset | Kind::Gone) {
            connection.end_mut(event.local == key.0).socket = None;
        }
        if event.kind == Kind::Gone {
            return;
        }
        let segment = segment(event, payload_len, at);
        let lost = if is_data { connection.end_mut(event.local == key.0).follow(&segment, event.kind) } else { 0 };
        let (low, high) = (connection.low.process.clone(), connection.high.process.clone());
        let processes = if segment.source == key.0 { [low, high] } else { [high, low] };
        if lost > 0 && (!is_both || lost > FAR) {
            let tcp = TcpFields { seq: event.seq.wrapping_sub(lost), ..segment.tcp };
            let segment = Segment { tcp, payload_len: lost, ..segment };
            into.push(Made { segment, processes: processes.clone(), has_payload: false });
        }
        into.push(Made { segment, processes, has_payload: is_data });
    }

    /// The sockets of a connection, as far as they live.
    pub(super) fn sockets(&self, a: Endpoint, b: Endpoint) -> impl Iterator<Item = u64> {
        let ends = self.table.peek(&key(a, b)).map(|connection| [connection.low.socket, connection.high.socket]);
        ends.into_iter().flatten().flatten()
    }

    /// Both ends tell of the opening; a different one is that of another connection with the same ports.
    fn open(&mut self, key: Key, opening: Opening) {
        let connection = self.table.get_or_insert_mut(key, Connection::default);
        if connection.opening == Some(opening) {
            return;
        }
        if connection.opening.is_some() || connection.is_announced {
            *connection = Connection::default();
        }
        connection.opening = Some(opening);
    }

    fn process(&mut self, event: &Event) -> Arc<Process> {
        if self.processes.len() >= PROCESSES {
            self.processes.clear();
        }
        let make = || Arc::new(Process { pid: event.tgid, comm: event.comm() });
        self.processes.entry((event.tgid, event.comm)).or_insert_with(make).clone()
    }
}

/// Who is the client is known from the opening; of older connections, the lower port is taken for the server's.
fn delay(connection: &Connection, event: &Event) -> u64 {
    let is_inbound = matches!(event.kind, Kind::Received | Kind::FinReceived);
    if is_inbound || !connection.low.is_traced || !connection.high.is_traced {
        return 0;
    }
    let is_server = match connection.opening {
        Some(opening) => opening.server == event.local,
        None => event.local.port < event.remote.port,
    };
    if is_server { SERVER_DELAY } else { 0 }
}

/// SYN and SYN-ACK.
fn handshake(opening: &Opening, at: Timestamp) -> [Made; 2] {
    let Opening { client, server, client_seq, server_seq } = *opening;
    let syn = TcpFields { seq: client_seq.wrapping_sub(1), syn: true, ..TcpFields::default() };
    let answer =
        TcpFields { seq: server_seq.wrapping_sub(1), ack: Some(client_seq), syn: true, ..TcpFields::default() };
    [(client, server, syn), (server, client, answer)].map(|(source, destination, tcp)| Made {
        segment: empty(source, destination, tcp, at),
        processes: [None, None],
        has_payload: false,
    })
}

fn segment(event: &Event, payload_len: usize, at: Timestamp) -> Segment<'static> {
    let is_inbound = matches!(event.kind, Kind::Received | Kind::FinReceived);
    let (source, destination) = if is_inbound { (event.remote, event.local) } else { (event.local, event.remote) };
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
