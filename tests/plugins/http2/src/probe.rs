//! Inference: the client's preface leaves no doubt. In the middle of a connection, frames that are chained to each other and
//! a header block among them do. Who is the client is told by the block's fields, and by frames that only one end sends. What
//! this gives up: connections of whose header blocks none can be read without the ones before.

use protap_plugin::{Client, Frame, Heads, Transport, Verdict};

use crate::frame::{FrameHeader, HEADER, HEADERS, PREFACE, PUSH_PROMISE, SETTINGS, strict};
use crate::hpack;
use crate::table::Table;
use crate::upgrade;

/// Frames of a head that are looked at.
const MAX_FRAMES: usize = 32;
/// Frames chained to each other that leave no doubt wherever they begin.
const ENOUGH: usize = 5;

/// What a chain of frames says of the end that sent it.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    count: usize,
    is_broken: bool,
    /// It begins with what a connection begins with.
    has_settings: bool,
    of_client: bool,
    of_server: bool,
}

impl Chain {
    /// Whether a header block says what only a request or a response says.
    fn is_told(&self) -> bool {
        self.of_client || self.of_server
    }
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let sides = [(Client::A, heads.a, heads.a_is_mid_stream), (Client::B, heads.b, heads.b_is_mid_stream)];
    for (end, head, _) in sides {
        if head.starts_with(PREFACE) {
            return Verdict::Certain(end);
        }
    }
    let may_come = |head: &[u8]| PREFACE.starts_with(head);
    match sides.into_iter().find(|(_, head, _)| !head.is_empty()) {
        None if heads.is_complete => Verdict::No,
        None => Verdict::More(PREFACE.len() as u32),
        Some((_, head, _)) if may_come(head) && !heads.is_complete => Verdict::More(PREFACE.len() as u32),
        _ if let Some(verdict) = upgrade::probe(heads) => verdict,
        // The client's first bytes are there, and are none of ours; but a server need not wait for them.
        Some((_, _, false)) if !heads.a.is_empty() && !heads.a_is_mid_stream => Verdict::No,
        Some(_) => middle(heads),
    }
}

fn middle(heads: &Heads<'_>) -> Verdict {
    let longest = heads.a.len().max(heads.b.len());
    let more = Verdict::More(u32::try_from(longest.saturating_add(1)).unwrap_or(u32::MAX));
    let [a, b] = [heads.a, heads.b].map(best);
    // A frame's header could be anything; the fields of a header block, and what connections begin with, could not.
    let is_proof = |chain: Chain| chain.count >= if chain.is_broken { ENOUGH } else { 2 } && chain.is_told();
    let is_begun = |chain: Chain| chain.has_settings && !chain.is_broken && chain.count > 1;
    if !(is_proof(a) || is_proof(b) || is_begun(b) || is_begun(a)) {
        return if heads.is_complete { Verdict::No } else { more };
    }
    match (a.of_client || b.of_server, b.of_client || a.of_server) {
        (true, false) => Verdict::Likely(Client::A),
        (false, true) => Verdict::Likely(Client::B),
        // The next header block may tell.
        _ if !heads.is_complete => more,
        _ => Verdict::Likely(by_port(heads)),
    }
}

/// Clients have ports that the system gives them.
fn by_port(heads: &Heads<'_>) -> Client {
    const EPHEMERAL: u16 = 32_768;
    match (heads.a_port >= EPHEMERAL, heads.b_port >= EPHEMERAL) {
        (true, false) => Client::A,
        (false, true) => Client::B,
        _ => Client::Unknown,
    }
}

/// The chain of the head from its first byte on or, if there is none, the first one from anywhere that leaves no doubt.
fn best(head: &[u8]) -> Chain {
    let here = chain(head);
    if here.count > 0 && !here.is_broken {
        return here;
    }
    for at in 1..head.len() {
        let found = chain(head.get(at..).unwrap_or_default());
        if found.count >= ENOUGH && !found.is_broken {
            return Chain { is_broken: true, ..found };
        }
    }
    Chain { count: 0, ..here }
}

fn chain(head: &[u8]) -> Chain {
    let mut found = Chain::default();
    // Of header blocks, what does not depend on those before.
    let mut table = Table::default();
    table.forget();
    let mut rest = head;
    while !rest.is_empty() && found.count < MAX_FRAMES {
        let len = match strict(rest) {
            Frame::Len(len) => len,
            Frame::Need(_) => return found,
            Frame::Invalid(_) => return Chain { is_broken: true, ..found },
        };
        let Some(header) = FrameHeader::read(rest) else { return found };
        let Some(frame) = usize::try_from(len).ok().and_then(|len| rest.get(..len)) else { return found };
        found.has_settings |= found.count == 0 && header.kind == SETTINGS && header.length > 0;
        found.count += 1;
        match header.kind {
            PUSH_PROMISE => found.of_server = true,
            HEADERS => {
                let block = header.fragment(frame.get(HEADER..).unwrap_or_default());
                let headers = hpack::decode(&mut table, block.unwrap_or_default().0);
                found.of_client |= headers.is_telling() && headers.is_request();
                found.of_server |= headers.is_telling() && headers.status.is_some();
            }
            _ => {}
        }
        rest = rest.get(frame.len()..).unwrap_or_default();
    }
    found
}
