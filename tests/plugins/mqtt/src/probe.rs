//! Inference: a CONNECT leaves no doubt. In the middle of a connection, packets that are chained to each other do, if
//! there is a name among them: a bare chain of acknowledgements or pings is a few bytes that other protocols may have
//! as well. Who is the client is told by packets that only one end sends or, failing that, by the port.

use protap_plugin::{Client, Frame, Heads, Transport, Verdict};

use crate::connect::Connect;
use crate::fixed::{Fixed, PacketType};
use crate::front::frame;

/// Packets of a head that are looked at.
const MAX_PACKETS: usize = 32;
/// Packets chained to each other that leave no doubt wherever they begin.
const ENOUGH: usize = 3;
const PORTS: [u16; 1] = [1883];

/// What a chain of packets says of the end that sent it.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    count: usize,
    /// Bytes up to where it broke, or to the head's end.
    is_broken: bool,
    /// There is a topic or filter in it.
    has_name: bool,
    /// It has packets that only clients, or only servers, send.
    of_client: bool,
    of_server: bool,
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    // The client speaks first, and with a CONNECT.
    let first = sides(heads).into_iter().find(|(_, head, _)| !head.is_empty());
    match first.map(|(end, head, is_mid_stream)| (end, is_mid_stream, connect(head))) {
        Some((end, false, Some(true))) => Verdict::Certain(end),
        Some((end, true, Some(true))) => Verdict::Likely(end),
        Some((_, true, _)) => middle(heads),
        // Of the client nothing was captured.
        Some((end, false, _)) if is_broker_alone(heads, end) => Verdict::Likely(other(end)),
        Some((end, false, _)) if !heads.is_complete && may_be_broker(heads, end) => more(heads),
        None | Some((_, false, Some(false))) if !heads.is_complete => more(heads),
        None | Some((_, false, _)) => Verdict::No,
    }
}

fn other(end: Client) -> Client {
    if end == Client::A { Client::B } else { Client::A }
}

/// The head of the only end that spoke.
fn alone<'a>(heads: &Heads<'a>, end: Client) -> Option<&'a [u8]> {
    let [(_, a, _), (_, b, _)] = sides(heads);
    let (head, peer) = if end == Client::A { (a, b) } else { (b, a) };
    peer.is_empty().then_some(head)
}

/// Whether one end alone spoke, as brokers do: CONNACK, and something behind it.
fn is_broker_alone(heads: &Heads<'_>, end: Client) -> bool {
    alone(heads, end).is_some_and(|head| {
        let found = chain(head);
        head.first() == Some(&0x20) && found.count > 1 && !found.is_broken
    })
}

fn may_be_broker(heads: &Heads<'_>, end: Client) -> bool {
    alone(heads, end).is_some_and(|head| head.first() == Some(&0x20) && !chain(head).is_broken)
}

fn sides<'a>(heads: &Heads<'a>) -> [(Client, &'a [u8], bool); 2] {
    [(Client::A, heads.a, heads.a_is_mid_stream), (Client::B, heads.b, heads.b_is_mid_stream)]
}

fn more(heads: &Heads<'_>) -> Verdict {
    Verdict::More(u32::try_from(heads.a.len().max(heads.b.len()).saturating_add(1)).unwrap_or(u32::MAX))
}

/// Whether the head begins with a CONNECT; `Some(false)` if it may become one.
fn connect(head: &[u8]) -> Option<bool> {
    if head.first().is_some_and(|first| *first != 0x10) {
        return None;
    }
    match frame(head) {
        Frame::Len(_) => Fixed::read(head).and_then(|(_, rest)| Connect::read(rest)).map(|_| true),
        Frame::Need(_) => Some(false),
        Frame::Invalid(_) => None,
    }
}

fn middle(heads: &Heads<'_>) -> Verdict {
    let [a, b] = [heads.a, heads.b].map(best);
    let is_found = is_proof(a) || is_proof(b) || is_pair(a, b) || is_pair(b, a);
    let is_contradicted = [(heads.a, a), (heads.b, b)].iter().any(|(head, chain)| head.len() > 1 && chain.count == 0);
    if !is_found || is_contradicted && !(is_proof(a) && a.count >= ENOUGH || is_proof(b) && b.count >= ENOUGH) {
        return if heads.is_complete { Verdict::No } else { more(heads) };
    }
    Verdict::Likely(match (a.of_client || b.of_server, b.of_client || a.of_server) {
        (true, false) => Client::A,
        (false, true) => Client::B,
        _ if PORTS.contains(&heads.b_port) => Client::A,
        _ if PORTS.contains(&heads.a_port) => Client::B,
        _ => Client::Unknown,
    })
}

/// Enough on its own.
fn is_proof(chain: Chain) -> bool {
    chain.has_name && chain.count >= ENOUGH
}

/// Two heads that begin with packets and hold nothing else, of which one has a name.
fn is_pair(named: Chain, other: Chain) -> bool {
    named.has_name && !named.is_broken && !other.is_broken && other.count > 0
}

/// The longest chain of the head, from its first byte or, if that is none, from anywhere.
fn best(head: &[u8]) -> Chain {
    let here = chain(head);
    if here.count > 0 && !here.is_broken {
        return here;
    }
    for at in 1..head.len() {
        let found = chain(head.get(at..).unwrap_or_default());
        if is_proof(found) && !found.is_broken {
            return Chain { is_broken: true, ..found };
        }
    }
    Chain { count: 0, ..here }
}

fn chain(head: &[u8]) -> Chain {
    let mut found = Chain::default();
    let mut rest = head;
    while !rest.is_empty() && found.count < MAX_PACKETS {
        let len = match frame(rest) {
            Frame::Len(len) => len,
            Frame::Need(_) => return found,
            Frame::Invalid(_) => return Chain { is_broken: true, ..found },
        };
        let Some((fixed, _)) = Fixed::read(rest) else { return found };
        found.count += 1;
        match fixed.packet {
            PacketType::Publish => found.has_name = true,
            PacketType::Subscribe | PacketType::Unsubscribe => (found.has_name, found.of_client) = (true, true),
            PacketType::Connect | PacketType::PingReq => found.of_client = true,
            PacketType::ConnAck | PacketType::SubAck | PacketType::UnsubAck | PacketType::PingResp => {
                found.of_server = true;
            }
            _ => {}
        }
        rest = usize::try_from(len).ok().and_then(|len| rest.get(len..)).unwrap_or_default();
    }
    found
}
