//! A pairing by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use protap_plugin::contract::pending;

use super::{MAX_PENDING, Pairing, PairingFlow, REQUEST_TIMEOUT, Span};
use crate::packet::{Endpoint, Transport};
use crate::plugin::content::{Context, Message, MessagePart};
use crate::reassembly::Heard;
use crate::record::{Content, FlowEnds, Kind, Outlet, Output, PluginIdentity, Record, RecordKind, Spares};

fn flow(plugin: &Arc<PluginIdentity>) -> PairingFlow<'_> {
    let end = |port| Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port };
    let ends = FlowEnds { transport: Transport::Tcp, client: end(40_000), server: end(7000) };
    PairingFlow { id: 1, ends, process: None, plugin, has_each_response: false }
}

/// A message that says nothing but its id.
pub(super) fn message(kind: Kind, id: Option<u64>) -> Message {
    Message {
        start: 0,
        end: 1,
        bytes: 1,
        kind,
        protocol: 0,
        content: Box::new(Content { id, ..Content::default() }),
        context: Context::default(),
        has_more_replies: false,
        next_id: None,
        part: MessagePart::Whole,
        is_cancel: false,
        heard: Heard::ALL,
    }
}

fn of(outputs: impl Iterator<Item = Output>) -> impl Iterator<Item = Record> {
    outputs.map(|output| match output {
        Output::Record(record) => *record,
        Output::Fact(..) => panic!("a fact"),
    })
}

#[test]
fn a_response_without_an_id_answers_nothing_that_its_sender_had_not_heard() {
    let (plugin, mut pairing, mut made, mut spares) =
        (crate::emit::samples::kafka(), Pairing::default(), Vec::new(), Spares::default());
    let flow = flow(&plugin);
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    let request = Message { start: 10, ..message(Kind::Request, None) };
    pairing.request(&flow, false, request, 1, &mut records);
    let span = Span { first: 2, last: 2 };
    for before in [10, 11] {
        let heard = Heard::before(before);
        pairing.set_heard(heard);
        assert_eq!(pairing.context(false, pending::FRONT, 0).is_some(), before > 10);
        let response = Message { heard, ..message(Kind::Response, None) };
        pairing.response(&flow, true, response, span, &mut records);
    }
    let kinds: Vec<_> = of(made.drain(..)).map(|record| record.kind).collect();
    assert_eq!(kinds, [RecordKind::Response, RecordKind::Session]);
}

#[test]
fn a_request_that_waited_in_order_is_found_by_the_id_that_it_bears_later() {
    let (plugin, mut pairing, mut made, mut spares) =
        (crate::emit::samples::kafka(), Pairing::default(), Vec::new(), Spares::default());
    let flow = flow(&plugin);
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    let key = pairing.request(&flow, false, message(Kind::Request, None), 2, &mut records);
    pairing.request(&flow, false, message(Kind::Request, None), 3, &mut records);
    assert!(records.out.is_empty());
    let key = pairing.identify(&flow, key, (7, 4), &mut records);
    assert!(pairing.amend(key, message(Kind::Request, Some(7)), 5));
    let span = Span { first: 6, last: 6 };
    for id in [Some(7), None] {
        pairing.response(&flow, true, message(Kind::Response, id), span, &mut records);
    }
    let answered: Vec<_> = of(records.out.drain(..)).map(|record| record.ts).collect();
    assert_eq!((answered, pairing.is_empty()), (vec![2, 3], true));
    pairing.request(&flow, false, message(Kind::Request, Some(7)), 8, &mut records);
    let key = pairing.request(&flow, false, message(Kind::Request, None), 9, &mut records);
    pairing.identify(&flow, key, (7, 10), &mut records);
    let superseded: Vec<_> = of(made.drain(..)).map(|record| (record.reason, record.ts)).collect();
    assert_eq!(superseded, [(Some("superseded"), 8)]);
}

#[test]
fn an_answer_to_an_id_that_two_requests_bear_is_given_to_neither() {
    let (plugin, mut pairing, mut made, mut spares) =
        (crate::emit::samples::kafka(), Pairing::default(), Vec::new(), Spares::default());
    let flow = flow(&plugin);
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    for at in [1, 2] {
        pairing.request(&flow, false, message(Kind::Request, Some(7)), at, &mut records);
    }
    assert!(pairing.context(false, pending::BY_ID, 7).is_none());
    for at in [3, 4] {
        let span = Span { first: at, last: at };
        pairing.response(&flow, true, message(Kind::Response, Some(7)), span, &mut records);
    }
    pairing.request(&flow, false, message(Kind::Request, Some(7)), 5, &mut records);
    pairing.response(&flow, true, message(Kind::Response, Some(7)), Span { first: 6, last: 6 }, &mut records);
    let told: Vec<_> = of(made.drain(..)).map(|record| (record.kind, record.ts, record.reason)).collect();
    let expected = [
        (RecordKind::Request, 1, Some("superseded")),
        (RecordKind::Request, 2, Some("ambiguous id")),
        (RecordKind::Response, 3, Some("request not seen")),
        (RecordKind::Response, 4, Some("request not seen")),
        (RecordKind::Session, 5, None),
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_id_is_ambiguous_as_long_as_an_answer_to_an_earlier_request_of_it_is_owed() {
    let (plugin, mut pairing, mut made, mut spares) =
        (crate::emit::samples::kafka(), Pairing::default(), Vec::new(), Spares::default());
    let flow = flow(&plugin);
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    let request = |pairing: &mut Pairing, at, records: &mut Outlet<'_>| {
        pairing.request(&flow, false, message(Kind::Request, Some(7)), at, records);
    };
    let response = |pairing: &mut Pairing, at, records: &mut Outlet<'_>| {
        let span = Span { first: at, last: at };
        pairing.response(&flow, true, message(Kind::Response, Some(7)), span, records);
    };
    request(&mut pairing, 1, &mut records);
    request(&mut pairing, 2, &mut records);
    response(&mut pairing, 3, &mut records);
    // The second answer of two is yet to come.
    request(&mut pairing, 4, &mut records);
    response(&mut pairing, 5, &mut records);
    response(&mut pairing, 6, &mut records);
    request(&mut pairing, 7, &mut records);
    response(&mut pairing, 8, &mut records);
    let is_session = |record: &Record| record.kind == RecordKind::Session;
    let sessions: Vec<_> = of(made.drain(..)).filter(is_session).map(|record| record.ts).collect();
    assert_eq!(sessions, [7]);
    // An answer that does not come is not waited for forever.
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    for at in [10, 11] {
        request(&mut pairing, at, &mut records);
    }
    response(&mut pairing, 12, &mut records);
    let late = 11 + REQUEST_TIMEOUT;
    request(&mut pairing, late, &mut records);
    response(&mut pairing, late + 1, &mut records);
    let sessions: Vec<_> = of(made.drain(..)).filter(is_session).map(|record| record.ts).collect();
    assert_eq!(sessions, [late]);
}

#[test]
fn the_answers_to_requests_that_made_room_are_given_to_no_other() {
    let (plugin, mut pairing, mut made, mut spares) =
        (crate::emit::samples::kafka(), Pairing::default(), Vec::new(), Spares::default());
    let flow = flow(&plugin);
    let mut records = Outlet { out: &mut made, spares: &mut spares };
    let count = MAX_PENDING as u64 + 1;
    for at in 0..count {
        pairing.request(&flow, false, message(Kind::Request, None), at, &mut records);
    }
    for at in 0..count {
        let span = Span { first: count + at, last: count + at };
        pairing.response(&flow, true, message(Kind::Response, None), span, &mut records);
    }
    let mut told = [0; 3];
    for record in of(made.drain(..)) {
        match (record.kind, record.reason) {
            (RecordKind::Session, None) => assert_eq!(record.duration_ns, Some(count)),
            (RecordKind::Request, Some("too many pending")) => told[0] += 1,
            (RecordKind::Response, Some("request not seen")) => told[1] += 1,
            _ => told[2] += 1,
        }
    }
    let displaced = MAX_PENDING / 16 + 1;
    assert_eq!((told, pairing.is_empty()), ([displaced, displaced, 0], true));
}
