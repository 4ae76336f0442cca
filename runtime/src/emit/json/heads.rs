//! The members that all records of a flow begin with, behind the time: written once, and copied for those that follow.

use std::net::IpAddr;

use crate::emit::json::object::{Object, key};
use crate::emit::json::scalar::put_digits;
use crate::emit::outcome;
use crate::packet::{Endpoint, Transport};
use crate::record::{FlowEnds, Record, RecordKind};

/// Version of the output's schema; counts up when a key changes its meaning or goes away.
const SCHEMA: &[u8] = b"\"schema\":0,";

/// Flows whose members are kept: each has one place, and gives way to the next one there.
const PLACES: usize = 64;

/// The members of some flows of a plugin.
#[derive(Default)]
pub(super) struct Heads(Vec<Option<Head>>);

struct Head {
    flow: FlowEnds,
    kind: RecordKind,
    is_from_server: bool,
    protocol: String,
    text: Vec<u8>,
}

impl Heads {
    /// The members of that record, each with its comma. `plugin` is the one that names its plugin.
    #[inline]
    pub(super) fn of(&mut self, record: &Record, plugin: &[u8]) -> &[u8] {
        let protocol = outcome::protocol(record);
        let place = usize::from(record.flow.client.port ^ record.flow.server.port) % PLACES;
        if self.0.len() <= place {
            self.0.resize_with(place + 1, || None);
        }
        let Some(slot) = self.0.get_mut(place) else { return &[] };
        match slot {
            Some(head) if head.is_of(record, protocol) => {}
            _ => *slot = Some(Head::new(record, protocol, plugin)),
        }
        slot.as_ref().map_or(&[], |head| &head.text)
    }
}

impl Head {
    #[cold]
    fn new(record: &Record, protocol: &str, plugin: &[u8]) -> Self {
        let (flow, kind, is_from_server) = (record.flow, record.kind, record.is_from_server);
        let mut text = Vec::with_capacity(256);
        let mut line = Object::of(&mut text);
        line.members(SCHEMA);
        line.string(key!("protocol"), protocol);
        line.word(key!("kind"), outcome::kind_name(kind));
        line.members(plugin);
        let mut ends = line.object(key!("flow"));
        ends.word(key!("transport"), transport_name(flow.transport));
        ends.member(key!("client"), |out| put_endpoint(out, flow.client));
        ends.member(key!("server"), |out| put_endpoint(out, flow.server));
        ends.close_member();
        if is_from_server {
            line.word(key!("from"), "server");
        }
        Self { flow, kind, is_from_server, protocol: protocol.to_owned(), text }
    }

    #[inline]
    fn is_of(&self, record: &Record, protocol: &str) -> bool {
        self.flow == record.flow
            && self.kind == record.kind
            && self.is_from_server == record.is_from_server
            && self.protocol == protocol
    }
}

/// The form of RFC 3986: `10.0.0.1:9092`, `[::1]:9092`. IPv4 by hand, since the formatting machinery would cost as
/// much as all other fields together.
fn put_endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    use std::io::Write;
    out.push(b'"');
    match endpoint.ip {
        IpAddr::V4(ip) => {
            for (octet, end) in ip.octets().into_iter().zip(*b"...:") {
                put_digits(out, octet);
                out.push(end);
            }
            put_digits(out, endpoint.port);
        }
        IpAddr::V6(_) => {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{endpoint}");
        }
    }
    out.push(b'"');
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}
