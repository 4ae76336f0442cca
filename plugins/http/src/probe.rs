//! Inference: one end sends the first line of a request, or the other a status line, each with what may follow one. It is
//! never certain: many protocols are made of HTTP, and their own plugins come first. In the middle of a connection only
//! a head that begins with such a line counts, as bodies may be full of them; a flow is asked about again when its ends
//! take turns.

use protap_plugin::{Client, Direction, Heads, Transport, Verdict};

use crate::front::{Front, front};

/// Empty lines in front of a request.
const MAX_EMPTY: usize = 4;

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let a = Head { bytes: heads.a, is_mid_stream: heads.a_is_mid_stream };
    let b = Head { bytes: heads.b, is_mid_stream: heads.b_is_mid_stream };
    let (if_a, if_b) = (judge(a, b), judge(b, a));
    match (if_a, if_b) {
        (Guess::Likely, _) => Verdict::Likely(Client::A),
        (_, Guess::Likely) => Verdict::Likely(Client::B),
        (Guess::Open, _) | (_, Guess::Open) if !heads.is_complete => {
            let longest = heads.a.len().max(heads.b.len());
            Verdict::More(u32::try_from(longest.saturating_add(1)).unwrap_or(u32::MAX))
        }
        _ => Verdict::No,
    }
}

/// What both heads say together, if a certain end is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Likely,
    Open,
    No,
}

/// What one end has sent.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    bytes: &'a [u8],
    is_mid_stream: bool,
}

fn judge(asked: Head<'_>, answered: Head<'_>) -> Guess {
    let request = front(Direction::ToServer, without_empty_lines(asked.bytes));
    let response = front(Direction::ToClient, answered.bytes);
    match (request, response) {
        (Front::Line(_), Front::Line(_) | Front::Open) | (Front::Open, Front::Line(_)) => Guess::Likely,
        // The other end may be inside of a body.
        (Front::Line(_), Front::No) if answered.is_mid_stream => Guess::Likely,
        (Front::No, Front::Line(_)) if asked.is_mid_stream => Guess::Likely,
        (Front::Open, Front::Open) => Guess::Open,
        _ => Guess::No,
    }
}

fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let empty = bytes.iter().take(MAX_EMPTY).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    bytes.get(empty..).unwrap_or_default()
}
