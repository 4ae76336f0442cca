//! Telling a packet from other bytes by its front: for inference, and to find the next message after a loss. What a
//! connection begins with is beyond doubt. In its middle packets are as short as `01 00 00 00 0e`, which
//! binary protocols have by the thousand, so that one end has to say more: a statement, an error.

use protap_plugin::prelude::*;

use crate::command::{Command, Shape};
use crate::greeting::{Greeting, LOGIN_FIXED, PROTOCOL_41};
use crate::outcome::Ending;
use crate::packet::{FULL, HEADER, Packet, lenenc};
use crate::sql::{keyword, query_text};

/// Bytes of a payload that are needed to judge it, if it has as many: the fixed part of a login, a short statement.
const JUDGED: usize = 64;
/// Longest greeting, longest login.
const MAX_GREETING: u64 = 1024;

/// `COM_STMT_EXECUTE`.
const STMT_EXECUTE: u8 = 0x17;

/// What the front of some bytes looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Not like this protocol.
    Wrong,
    /// Too short to tell.
    Need(usize),
    /// Perhaps the rest of a packet: it will not tell more than that.
    Rest,
    /// Like a packet, but so do other bytes.
    Weak,
    /// Like a packet of one kind.
    Fair,
    /// Nothing else looks like this.
    Sure,
}

/// What message begins here?
pub(crate) fn frame(direction: Direction, bytes: &[u8]) -> Frame {
    match look(direction, bytes) {
        Look::Wrong | Look::Rest => Frame::Invalid("no packet"),
        Look::Need(len) => Frame::Need(len),
        Look::Weak | Look::Fair | Look::Sure => {
            let packet = bytes.first_chunk().map(|header| Packet::decode(*header));
            Frame::Len(HEADER as u64 + packet.map_or(0, |packet| packet.len))
        }
    }
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let a = (heads.a, heads.a_is_mid_stream);
    let b = (heads.b, heads.b_is_mid_stream);
    let orders = [(Client::A, fit(a, b)), (Client::B, fit(b, a))];
    // Who opened the connection is the client.
    let possible = || orders.into_iter().filter(|(client, _)| *client == Client::A || !heads.a_opened);
    let find = |looked: &[Look]| possible().find(|(_, look)| looked.contains(look)).map(|(client, _)| client);
    if let Some(client) = find(&[Look::Sure]) {
        return Verdict::Certain(client);
    }
    if let Some(client) = find(&[Look::Fair]) {
        return Verdict::Likely(client);
    }
    let is_open = possible().any(|(_, look)| matches!(look, Look::Weak | Look::Need(_)));
    if is_open && !heads.is_complete {
        // To be asked again whichever end says something.
        let shorter = heads.a.len().min(heads.b.len());
        return Verdict::More(u32::try_from(shorter + 1).unwrap_or(u32::MAX));
    }
    Verdict::No
}

/// How well the heads fit a client and a server.
fn fit(client: (&[u8], bool), server: (&[u8], bool)) -> Look {
    match [fit_one(Direction::ToServer, client), fit_one(Direction::ToClient, server)] {
        [Look::Wrong, _] | [_, Look::Wrong] => Look::Wrong,
        [Look::Sure, _] | [_, Look::Sure] => Look::Sure,
        [Look::Fair, _] | [_, Look::Fair] => Look::Fair,
        [Look::Weak, Look::Weak] => Look::Weak,
        [Look::Need(needed), _] | [_, Look::Need(needed)] => Look::Need(needed),
        [Look::Rest, _] | [_, Look::Rest] => Look::Wrong,
    }
}

fn fit_one(direction: Direction, (head, is_middle): (&[u8], bool)) -> Look {
    // A connection begins with a greeting, which is number 0, and a login.
    let first = if direction == Direction::ToClient { 0 } else { 1 };
    match best(direction, head) {
        _ if !is_middle && head.get(HEADER - 1).is_some_and(|number| *number != first) => Look::Wrong,
        // It does not begin with what its middle is made of.
        Look::Weak | Look::Fair if !is_middle => Look::Wrong,
        Look::Wrong if is_middle => Look::Rest,
        look => look,
    }
}

/// What the packets chained from the first byte on look like: the first one that says more than the others.
fn best(direction: Direction, head: &[u8]) -> Look {
    let mut rest = head;
    let first = look(direction, head);
    while look(direction, rest) == Look::Weak {
        let Some((header, payload)) = rest.split_first_chunk() else { return first };
        let len = usize::try_from(Packet::decode(*header).len).unwrap_or(usize::MAX);
        rest = payload.get(len..).unwrap_or_default();
        if look(direction, rest) == Look::Fair {
            return Look::Fair;
        }
    }
    first
}

fn look(direction: Direction, bytes: &[u8]) -> Look {
    let Some(header) = bytes.first_chunk() else { return Look::Need(HEADER) };
    let packet = Packet::decode(*header);
    let payload = bytes.get(HEADER..).unwrap_or_default();
    let payload = usize::try_from(packet.len).ok().and_then(|len| payload.get(..len)).unwrap_or(payload);
    let needed = usize::try_from(packet.len).map_or(JUDGED, |len| len.min(JUDGED));
    let look = match (direction, packet.number, payload.first()) {
        (Direction::ToServer, 2.., _) => Look::Wrong,
        _ if packet.len == 0 => Look::Wrong,
        (_, _, None) => return Look::Need(HEADER + 1),
        (Direction::ToServer, 0, Some(code)) => command(*code, packet, payload),
        (Direction::ToServer, _, _) => login(packet, payload),
        (Direction::ToClient, 0, _) => greeting(packet, payload),
        (Direction::ToClient, _, _) => return reply(packet, bytes),
    };
    // What is wrong stays so, whatever comes.
    if look != Look::Wrong && payload.len() < needed { Look::Need(HEADER + needed) } else { look }
}

fn command(code: u8, packet: Packet, payload: &[u8]) -> Look {
    let Some(command) = Command::of(code) else { return Look::Wrong };
    let arguments = payload.get(1..).unwrap_or_default();
    let len = packet.len - 1;
    let is_name = |name: &[u8]| name.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80..));
    match command.shape {
        Shape::AtLeast(_) if code == STMT_EXECUTE => execute(arguments),
        Shape::Exactly(exactly) if len == exactly => Look::Weak,
        Shape::AtLeast(least) if (least..FULL - 1).contains(&len) => Look::Weak,
        Shape::Name if (1..=256).contains(&len) && is_name(arguments) => Look::Weak,
        Shape::Sql => sql(arguments),
        Shape::Query => query_text(arguments).map_or(Look::Weak, sql),
        Shape::Exactly(_) | Shape::AtLeast(_) | Shape::Name => Look::Wrong,
    }
}

/// Statement, flags, and how often to execute it, which is always once.
fn execute(arguments: &[u8]) -> Look {
    match arguments {
        [_, _, _, 0, 0..=4, 1, 0, 0, 0, ..] => Look::Fair,
        _ => Look::Wrong,
    }
}

fn sql(text: &[u8]) -> Look {
    let front = text.get(..JUDGED).unwrap_or(text);
    let is_text = front.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..));
    match keyword(text) {
        Some(_) if is_text => Look::Fair,
        // Statements of other servers, mistakes.
        None if is_text && !text.is_empty() => Look::Weak,
        _ => Look::Wrong,
    }
}

fn login(packet: Packet, payload: &[u8]) -> Look {
    let mut reader = Reader::new(payload);
    let Ok(capabilities) = reader.u32_le() else { return Look::Need(HEADER + LOGIN_FIXED) };
    // Behind the longest packet and the charset; MariaDB uses the last four of the reserved bytes.
    let reserved = payload.get(9..payload.len().min(28)).unwrap_or_default();
    let is_login = (LOGIN_FIXED as u64..=MAX_GREETING).contains(&packet.len) && capabilities & PROTOCOL_41 != 0;
    if is_login && reserved.iter().all(|byte| *byte == 0) { Look::Sure } else { Look::Wrong }
}

fn greeting(packet: Packet, payload: &[u8]) -> Look {
    // Too many connections, or a host that is blocked: there is no greeting then.
    if let [0xff, low, high, rest @ ..] = payload {
        let number = u16::from_le_bytes([*low, *high]);
        let is_text = rest.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80..));
        let is_refusal = (1000..5000).contains(&number) && (10..=512).contains(&packet.len) && is_text;
        return if is_refusal { Look::Sure } else { Look::Wrong };
    }
    let is_possible = payload.first() == Some(&10) && (40..=MAX_GREETING).contains(&packet.len);
    let is_whole = payload.len() as u64 == packet.len;
    match Greeting::decode(payload) {
        Some(_) if is_possible => Look::Sure,
        None if is_possible && !is_whole => Look::Need(HEADER + payload.len() + 1),
        _ => Look::Wrong,
    }
}

/// The first packet of a reply to a command, or what a longer exchange ends with.
fn reply(packet: Packet, bytes: &[u8]) -> Look {
    let payload = bytes.get(HEADER..).unwrap_or_default();
    let first = payload.first().copied().unwrap_or_default();
    let needed = usize::try_from(packet.len).map_or(JUDGED, |len| len.min(13));
    if payload.len() < needed {
        return Look::Need(HEADER + needed);
    }
    match (first, packet.len) {
        // The front of a statement looks like an OK packet, as a rule.
        (0, 12) => Look::Weak,
        (0 | 0xfe | 0xff, 5..=4096) => match Ending::decode(payload, packet.len) {
            Some(Ending::Error(error)) if error.state.is_some() => Look::Fair,
            Some(Ending::Ok { .. } | Ending::Eof { .. }) => Look::Weak,
            _ => Look::Wrong,
        },
        // The name of a file that the client shall send.
        (0xfb, 2..=4096) if packet.number == 1 && payload.iter().skip(1).all(|byte| *byte >= b' ') => Look::Weak,
        (1..=0xfa | 0xfc, 1..=4) if packet.number == 1 => columns(packet, payload),
        _ => Look::Wrong,
    }
}

/// A number of columns, and the first definition, which begins with the catalogue's name: `def`.
fn columns(packet: Packet, payload: &[u8]) -> Look {
    let len = usize::try_from(packet.len).unwrap_or_default();
    let mut reader = Reader::new(payload.get(..len).unwrap_or_default());
    let is_number = lenenc(&mut reader).is_some_and(|columns| (1..=4096).contains(&columns));
    if !is_number || reader.remaining().len() > 1 {
        return Look::Wrong;
    }
    let Some(next) = payload.get(len..).and_then(|next| next.get(..HEADER + 4)) else {
        return Look::Need(HEADER + len + HEADER + 4);
    };
    match next {
        [_, _, _, 2, 3, b'd', b'e', b'f'] => Look::Fair,
        _ => Look::Wrong,
    }
}
