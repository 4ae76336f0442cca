//! Telling a message from other bytes: all of it has to fit together, to its last byte. Nothing else looks like that but
//! what is made the same: multicast DNS and LLMNR (by their ports), NetBIOS names (by their form).

use protap_plugin::prelude::*;

use crate::PREFIX;
use crate::codes::type_name;
use crate::message::{HEADER, Header, MIN_RECORD, Message};

/// Smallest message with a question, for the root.
const MIN_MESSAGE: usize = HEADER + 5;
/// Longest header and question.
const MAX_QUESTION: usize = HEADER + 255 + 4;
/// Ports of protocols that look alike: NetBIOS names, multicast DNS, LLMNR.
const PORTS_OF_OTHERS: [u16; 3] = [137, 5353, 5355];
/// Classes in use, and those of updates and of any.
const CLASSES: [u16; 5] = [1, 3, 4, 254, 255];

/// What the front of some bytes looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Wrong,
    /// Cannot tell without so many bytes.
    Need(usize),
    /// Like a query or a response, as far as it is there.
    Like {
        is_response: bool,
    },
    /// Certainly one.
    Sure {
        is_response: bool,
    },
}

impl Look {
    fn is_response(self) -> Option<bool> {
        match self {
            Self::Like { is_response } | Self::Sure { is_response } => Some(is_response),
            Self::Wrong | Self::Need(_) => None,
        }
    }
}

/// What frame begins here, over TCP?
pub(crate) fn frame(bytes: &[u8]) -> Frame {
    match look_at_stream(bytes) {
        Look::Wrong => Frame::Invalid("no message"),
        Look::Need(len) => Frame::Need(len),
        Look::Like { .. } | Look::Sure { .. } => {
            let len = bytes.first_chunk().map(|len| u16::from_be_bytes(*len));
            Frame::Len(PREFIX as u64 + u64::from(len.unwrap_or_default()))
        }
    }
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if PORTS_OF_OTHERS.contains(&heads.a_port) || PORTS_OF_OTHERS.contains(&heads.b_port) {
        return Verdict::No;
    }
    let look_at = |bytes: &[u8]| match heads.transport {
        _ if bytes.is_empty() => Look::Need(1),
        Transport::Tcp => look_at_stream(bytes),
        Transport::Udp => look(bytes, bytes.len(), true),
    };
    let (a, b) = (look_at(heads.a), look_at(heads.b));
    let client = match (a.is_response(), b.is_response()) {
        _ if a == Look::Wrong || b == Look::Wrong => return Verdict::No,
        (Some(false), Some(true) | None) | (None, Some(true)) => Client::A,
        (Some(true), Some(false) | None) | (None, Some(false)) => Client::B,
        // Servers ask one another.
        (Some(_), Some(_)) => Client::Unknown,
        (None, None) if heads.is_complete => return Verdict::No,
        (None, None) => {
            let shorter = heads.a.len().min(heads.b.len());
            return Verdict::More(u32::try_from(shorter + 1).unwrap_or(u32::MAX));
        }
    };
    let is_sure = [a, b].iter().any(|look| matches!(look, Look::Sure { .. }));
    if is_sure { Verdict::Certain(client) } else { Verdict::Likely(client) }
}

fn look_at_stream(bytes: &[u8]) -> Look {
    let Some(len) = bytes.first_chunk() else { return Look::Need(PREFIX) };
    let len = usize::from(u16::from_be_bytes(*len));
    let rest = bytes.get(PREFIX..).unwrap_or_default();
    match look(rest.get(..len).unwrap_or(rest), len, false) {
        Look::Need(needed) => Look::Need(PREFIX + needed),
        look => look,
    }
}

/// Looks at the bytes that are there of a message of `len` bytes.
fn look(bytes: &[u8], len: usize, is_whole: bool) -> Look {
    if len < MIN_MESSAGE {
        return Look::Wrong;
    }
    let Ok(header) = Header::decode(bytes) else { return Look::Need(HEADER) };
    if !is_plausible(&header, len) {
        return Look::Wrong;
    }
    let is_response = header.is_response();
    let is_there = is_whole || bytes.len() == len;
    match Message::decode(bytes, !is_there) {
        Ok(Message { question: Some(question), .. }) if !is_question(question.kind, question.class) => Look::Wrong,
        Ok(Message { question: Some(question), .. }) if is_netbios(&question.name, question.kind) => Look::Wrong,
        Ok(Message { end: Some(end), .. }) if is_there && end == len => Look::Sure { is_response },
        Ok(Message { question: Some(_), .. }) if !is_there => Look::Like { is_response },
        Ok(Message { question: None, .. }) if !is_there && bytes.len() < MAX_QUESTION => {
            Look::Need(len.min(MAX_QUESTION))
        }
        // A datagram that the capture cut.
        Ok(Message { question: Some(_), end: None, .. }) if is_whole => Look::Like { is_response },
        _ => Look::Wrong,
    }
}

fn is_plausible(header: &Header, len: usize) -> bool {
    let records = [header.answers, header.authorities, header.additionals].map(usize::from);
    let room = len.saturating_sub(MIN_MESSAGE);
    let fits = records.iter().sum::<usize>().saturating_mul(MIN_RECORD) <= room;
    let is_update = header.opcode() == 5;
    let is_known = matches!(header.opcode(), 0 | 4 | 5) && !header.has_reserved() && header.questions == 1;
    let is_query = header.code() == 0
        && !header.is_truncated()
        && !header.has_recursion()
        && (is_update || header.answers <= 1 && header.authorities <= 1)
        && header.additionals <= 4;
    is_known && fits && (header.is_response() || is_query)
}

fn is_question(kind: u16, class: u16) -> bool {
    // Private types are in use for tests.
    (type_name(kind).is_some() || kind >= 65_280) && CLASSES.contains(&class)
}

/// NetBIOS writes half a byte of its names as a letter each, and its types are NB and NBSTAT.
fn is_netbios(name: &[u8], kind: u16) -> bool {
    let first = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    matches!(kind, 32 | 33) && first.len() == 32 && first.iter().all(|byte| matches!(byte, b'A'..=b'P'))
}
