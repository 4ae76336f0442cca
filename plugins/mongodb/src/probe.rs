//! Inference: whose protocol is this, and who is the client? One message of either end is enough. Where a head begins
//! inside a message, the first one behind it is looked for.

use protap_plugin::{Client, Direction, Frame, Heads, Transport, Verdict};

use crate::front::frame;

/// What a head tells of the end that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// It is one end of MongoDB; whether that is beyond doubt.
    Found(Direction, bool),
    /// Cannot tell without that many bytes.
    Need(usize),
    /// It speaks something else.
    Other,
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let a = find(heads.a, heads.a_is_mid_stream, heads.is_complete);
    let b = find(heads.b, heads.b_is_mid_stream, heads.is_complete);
    match (a, b) {
        // A server's reply to a request with the id 0 looks like a request: whoever spoke first is the client.
        (Finding::Found(Direction::ToServer, _), Finding::Found(Direction::ToServer, _)) => Verdict::Certain(Client::A),
        (Finding::Found(Direction::ToClient, _), Finding::Found(Direction::ToClient, _)) => Verdict::No,
        (Finding::Found(direction, _), Finding::Found(..)) => Verdict::Certain(client(Client::A, direction)),
        (Finding::Found(direction, is_sure), other) => verdict(client(Client::A, direction), is_sure, other),
        (other, Finding::Found(direction, is_sure)) => verdict(client(Client::B, direction), is_sure, other),
        _ if heads.is_complete => Verdict::No,
        (Finding::Need(a), Finding::Need(_)) if heads.b.is_empty() => more(a),
        (Finding::Need(_), Finding::Need(b)) if heads.a.is_empty() => more(b),
        (Finding::Need(a), Finding::Need(b)) => more(a.min(b)),
        (Finding::Need(needed), Finding::Other) if heads.b_is_mid_stream => more(needed),
        (Finding::Other, Finding::Need(needed)) if heads.a_is_mid_stream => more(needed),
        _ => Verdict::No,
    }
}

fn verdict(client: Client, is_sure: bool, other: Finding) -> Verdict {
    if is_sure && other != Finding::Other { Verdict::Certain(client) } else { Verdict::Likely(client) }
}

fn more(needed: usize) -> Verdict {
    Verdict::More(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// The client, given which way `sender` sends.
fn client(sender: Client, direction: Direction) -> Client {
    match (sender, direction) {
        (sender, Direction::ToServer) => sender,
        (Client::A, Direction::ToClient) => Client::B,
        (Client::B, Direction::ToClient) => Client::A,
        (Client::Unknown, Direction::ToClient) => Client::Unknown,
    }
}

fn find(head: &[u8], is_mid_stream: bool, is_complete: bool) -> Finding {
    let at_start = find_here(head);
    if !is_mid_stream || at_start != Finding::Other {
        return match at_start {
            // A stream of which nothing came says nothing.
            Finding::Need(_) if is_complete && !head.is_empty() => Finding::Other,
            found => found,
        };
    }
    // The head begins inside a message: the first one that another one follows, or else one that ends where the head does.
    let mut first = None;
    for at in 1..head.len() {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let rest = head.get(at..).unwrap_or_default();
            let Frame::Len(len) = frame(direction, rest) else { continue };
            let next = usize::try_from(len).ok().and_then(|len| rest.get(len..)).unwrap_or_default();
            if matches!(frame(direction, next), Frame::Len(_)) {
                return Finding::Found(direction, true);
            }
            if len == rest.len() as u64 {
                first.get_or_insert(Finding::Found(direction, false));
            }
        }
    }
    first.unwrap_or(if is_complete { Finding::Other } else { Finding::Need(head.len() + 1) })
}

fn find_here(head: &[u8]) -> Finding {
    match (frame(Direction::ToServer, head), frame(Direction::ToClient, head)) {
        (Frame::Len(_), _) => Finding::Found(Direction::ToServer, true),
        (_, Frame::Len(_)) => Finding::Found(Direction::ToClient, true),
        (Frame::Need(a), Frame::Need(b)) => Finding::Need(a.min(b)),
        (Frame::Need(needed), _) | (_, Frame::Need(needed)) => Finding::Need(needed),
        _ => Finding::Other,
    }
}
