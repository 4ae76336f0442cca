//! Inference: whose protocol is this, and who is the client? Certain if one end sends commands that are known, as
//! arrays, and the other sends values; likely if only one of these was seen. Lines that a person might have typed say
//! nothing without an answer that only Redis gives.

use protap_plugin::{Client, Direction, Heads, Transport, Verdict};

use crate::evidence::{self, ENOUGH, Evidence, STRONG, chain};

/// What a head tells, should it go in that direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// That many points; more are not needed.
    Found(Evidence),
    /// It may be this, and more bytes will tell.
    Open(Evidence),
    /// It is something else.
    Other,
}

impl Finding {
    fn evidence(self) -> Evidence {
        match self {
            Self::Found(found) | Self::Open(found) => found,
            Self::Other => Evidence::default(),
        }
    }

    fn points(self) -> u32 {
        let found = self.evidence();
        found.points.min(ENOUGH) + if found.is_replica { ENOUGH } else { 0 }
    }
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let is_refusal = heads.a_opened && heads.a.is_empty() && !heads.b_is_mid_stream && evidence::is_refusal(heads.b);
    if is_refusal {
        return Verdict::Likely(Client::A);
    }
    let [if_a, if_b] = [Direction::ToServer, Direction::ToClient].map(|from_a| {
        let a = find(from_a, heads.a, heads.a_is_mid_stream);
        let b = find(from_a.opposite(), heads.b, heads.b_is_mid_stream);
        (a, b)
    });
    // Whoever opened the connection is the client.
    let b = if heads.a_opened { Guess::No } else { judge(heads, if_b.1, if_b.0, heads.a) };
    let a = judge(heads, if_a.0, if_a.1, heads.b);
    // Commands are values as well, so a client's requests alone look like a server's replies.
    let weight =
        |requests: Finding, replies: Finding| (requests.evidence().has_command, requests.points() + replies.points());
    let is_rather_b = weight(if_b.1, if_b.0) > weight(if_a.0, if_a.1);
    match (a, b) {
        (Guess::Certain, Guess::Certain | Guess::Likely) | (Guess::Likely, Guess::Certain) => {
            Verdict::Certain(if is_rather_b { Client::B } else { Client::A })
        }
        (Guess::Certain, _) => Verdict::Certain(Client::A),
        (_, Guess::Certain) => Verdict::Certain(Client::B),
        (Guess::Likely, Guess::Likely) => Verdict::Likely(if is_rather_b { Client::B } else { Client::A }),
        (Guess::Likely, _) => Verdict::Likely(Client::A),
        (_, Guess::Likely) => Verdict::Likely(Client::B),
        (Guess::Open, _) | (_, Guess::Open) if !heads.is_complete => {
            Verdict::More(heads.a.len().max(heads.b.len()) as u32 + 1)
        }
        _ => Verdict::No,
    }
}

/// What both heads say together, if a certain end is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Certain,
    Likely,
    Open,
    No,
}

fn judge(heads: &Heads<'_>, requests: Finding, replies: Finding, answer: &[u8]) -> Guess {
    if requests == Finding::Other || replies == Finding::Other {
        return Guess::No;
    }
    let is_answered = replies.points() > 0;
    let is_peculiar = evidence::is_peculiar(answer);
    let is_likely = match requests.evidence() {
        found if found.has_command && is_answered => return Guess::Certain,
        found if found.has_command => true,
        found if found.has_array => is_answered || heads.is_complete,
        // POP3 and NATS have such lines as well, which are answered by words alone.
        found if found.points > 0 => is_answered && (is_peculiar || answer.starts_with(b"+PONG")),
        _ => is_peculiar && replies.points() >= if heads.is_complete { STRONG } else { ENOUGH },
    };
    if is_likely { Guess::Likely } else { Guess::Open }
}

fn find(direction: Direction, head: &[u8], is_mid_stream: bool) -> Finding {
    let found = |found: Evidence| match found.is_open {
        true => Finding::Open(found),
        false => Finding::Found(found),
    };
    let here = chain(direction, head);
    if !is_mid_stream || here.is_some_and(|here| here.points > 0) {
        return here.map_or(Finding::Other, found);
    }
    // It begins inside a frame: what counts are those that are chained behind it.
    let starts = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).take(512);
    let best = starts.filter_map(|at| chain(direction, head.get(at..)?)).find(|found| found.points >= ENOUGH);
    best.map_or(Finding::Open(Evidence { is_open: true, ..Evidence::default() }), Finding::Found)
}
