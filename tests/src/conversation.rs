//! Conversations that nobody recorded: TCP flows to some port, to be mixed into a capture.

use std::net::{IpAddr, SocketAddr};

use crate::segment::{ACK, FIN, PSH, SYN, Segment};

/// Messages in each direction of a conversation.
pub const ROUNDS: usize = 5;
/// Nanoseconds between two packets.
const STEP: u64 = 50_000;

/// A connection to that port, opened, used and closed: [`ROUNDS`] times the client sends 40 bytes, of which the first is
/// `mark`, and the server 60.
#[must_use]
pub fn conversation(client_port: u16, server_port: u16, mark: u8, begin: u64) -> Vec<Segment> {
    let client = SocketAddr::from(([10, 0, 0, 1], client_port));
    let server = SocketAddr::from(([10, 0, 0, 2], server_port));
    let rounds = (0..ROUNDS).flat_map(|_| [(true, vec![mark; 40]), (false, vec![b'a'; 60])]);
    dialogue((client, server), begin, rounds)
}

/// A connection from client to server, opened and closed, with these payloads, each with whether the client sends it.
#[must_use]
pub fn dialogue(
    (client, server): (SocketAddr, SocketAddr),
    begin: u64,
    payloads: impl IntoIterator<Item = (bool, Vec<u8>)>,
) -> Vec<Segment> {
    let mut next = (1_000_u32, 9_000_u32);
    let mut out: Vec<Segment> = Vec::new();
    let mut send = |is_client: bool, flags: u8, payload: Vec<u8>| {
        let (source, destination) = if is_client { (client, server) } else { (server, client) };
        let (seq, ack) = if is_client { (next.0, next.1) } else { (next.1, next.0) };
        let advance = u32::try_from(payload.len()).expect("short") + u32::from(flags & (SYN | FIN) != 0);
        *(if is_client { &mut next.0 } else { &mut next.1 }) += advance;
        let at = begin + STEP * out.len() as u64;
        let ack = if flags & ACK == 0 { 0 } else { ack };
        out.push(Segment { at, packet: 0, source, destination, seq, ack, flags, payload });
    };
    send(true, SYN, vec![]);
    send(false, SYN | ACK, vec![]);
    send(true, ACK, vec![]);
    for (is_client, payload) in payloads {
        send(is_client, ACK | PSH, payload);
    }
    send(true, FIN | ACK, vec![]);
    send(false, FIN | ACK, vec![]);
    send(true, ACK, vec![]);
    out
}

/// The conversation as if its client were 10.0.0.`host`.
#[must_use]
pub fn from_host(mut conversation: Vec<Segment>, host: u8) -> Vec<Segment> {
    let client = IpAddr::from([10, 0, 0, 1]);
    for end in conversation.iter_mut().flat_map(|segment| [&mut segment.source, &mut segment.destination]) {
        if end.ip() == client {
            end.set_ip([10, 0, 0, host].into());
        }
    }
    conversation
}

/// Conversations in one capture, in the order of their times.
#[must_use]
pub fn mixed(conversations: impl IntoIterator<Item = Vec<Segment>>) -> Vec<Segment> {
    let mut all: Vec<Segment> = conversations.into_iter().flatten().collect();
    all.sort_by_key(|segment| segment.at);
    all
}
