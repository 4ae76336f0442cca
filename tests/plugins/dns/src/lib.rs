//! protap plugin: DNS over UDP and TCP. It proves a shape of the contract: datagrams that are lost, repeated and
//! overtaken, under ids of 16 bits that are used again; and the same messages in a stream, behind their length.
//!
//! Queries and responses are paired by id, and only if they ask and answer the same question. Names, types and codes are
//! told; the data of records is passed over. Multicast DNS and NetBIOS, which look alike, are left to others.

#![forbid(unsafe_code)]

use protap_plugin::prelude::*;
use protap_plugin::resync_by_frames;

use self::emit::Flow;
use self::message::{Message, is_response};

mod codes;
mod emit;
mod message;
mod name;
mod probe;

attributes! {
    SCHEMA;
    QUESTION_NAME: str = "dns.question.name",
    QUESTION_CLASS: i64 = "dns.question.class",
    OPCODE: str = "dns.opcode",
    ANSWER_COUNT: i64 = "dns.answer.count",
    TRUNCATED: bool = "dns.truncated",
    UDP_SIZE: i64 = "dns.edns.udp_size",
    DNSSEC_OK: bool = "dns.edns.dnssec_ok",
    ID: i64 = "dns.id",
    ERROR_TYPE: str = "error.type",
}

/// Bytes of the length before each message over TCP.
const PREFIX: usize = 2;

/// The parser.
#[derive(Debug, Default)]
pub struct Dns;

impl Raw for Dns {
    const MANIFEST: Manifest = Manifest::new("dns", env!("CARGO_PKG_VERSION"))
        .transports(&[Transport::Udp, Transport::Tcp])
        .ports(&[53])
        // The longest message, so that each is there as a whole.
        .window(PREFIX as u32 + 65_535)
        .attributes(SCHEMA)
        .decodes(&[
            "header, first question, response code; number of answers",
            "EDNS: size, DNSSEC OK, extended response codes",
            "zone transfers: all their messages as one reply",
        ]);
    type Flow = Flow;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    fn parse(&mut self, flow: &mut Flow, input: &Input<'_>, output: &mut Output) -> Progress {
        if input.is_datagram { datagram(flow, input, output) } else { stream(flow, input, output) }
    }

    fn resync(&mut self, _flow: &mut Flow, input: &Input<'_>) -> Resync {
        resync_by_frames(input, probe::frame, |bytes| {
            let message = bytes.get(PREFIX..).unwrap_or_default();
            let id = message.first_chunk().map(|id| u64::from(u16::from_be_bytes(*id)));
            is_response(message) && id.is_some_and(|id| host::pending(id).is_some())
        })
    }
}

/// A datagram is a message.
fn datagram(flow: &mut Flow, input: &Input<'_>, output: &mut Output) -> Progress {
    match Message::decode(input.bytes, input.gap.is_some()) {
        Ok(message) => {
            let len = input.bytes.len() as u64 + input.gap.unwrap_or_default();
            emit::emit(flow, &message, (input.offset, input.offset.saturating_add(len)), output);
            Progress::More(input.bytes.len())
        }
        Err(reason) => Progress::Invalid { consumed: 0, reason },
    }
}

/// Over TCP each message is preceded by its length.
fn stream(flow: &mut Flow, input: &Input<'_>, output: &mut Output) -> Progress {
    let mut consumed = 0;
    loop {
        let rest = input.bytes.get(consumed..).unwrap_or_default();
        if rest.is_empty() || !output.has_room() {
            return Progress::More(consumed);
        }
        let Some(prefix) = rest.first_chunk() else { return short(input, consumed, PREFIX) };
        let len = PREFIX + usize::from(u16::from_be_bytes(*prefix));
        let missing = len.saturating_sub(rest.len());
        if missing > 0 && input.gap.is_none() {
            return short(input, consumed, len);
        }
        let bytes = rest.get(PREFIX..len).or(rest.get(PREFIX..)).unwrap_or_default();
        let start = input.offset.saturating_add(consumed as u64);
        match Message::decode(bytes, missing > 0) {
            Ok(message) => emit::emit(flow, &message, (start, start.saturating_add(len as u64)), output),
            Err(_) if missing > 0 => {}
            Err(reason) => return Progress::Invalid { consumed, reason },
        }
        if missing > 0 {
            return Progress::Skip { consumed: input.bytes.len(), amount: missing as u64 };
        }
        consumed += len;
    }
}

/// Not all of a message is there.
fn short(input: &Input<'_>, consumed: usize, needed: usize) -> Progress {
    if input.is_end {
        Progress::More(input.bytes.len())
    } else if input.gap.is_some() {
        Progress::Lost
    } else {
        Progress::Need { consumed, amount: needed as u64 }
    }
}

export!(Dns as Raw);
