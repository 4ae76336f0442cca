//! CONNECT and CONNACK. Who connects is its client identifier; the will's topic and payload, the user name and the
//! password that follow it are not read.
//!
//! ```text
//! CONNECT: protocol name (string), level (u8), flags (u8), keep alive (u16), 5: properties, client id (string), ...
//! CONNACK: session present (u8), code (u8), 5: properties
//! ```

use protap_plugin::prelude::*;

use crate::{
    CLEAN_START, CLIENT_ID, Flow, KEEP_ALIVE, Packet, Reason, SESSION_PRESENT, SYSTEM, Version, WILL, named, outcome,
    properties,
};

/// The fields of a CONNECT up to the client identifier.
pub(crate) struct Connect<'a> {
    pub(crate) version: Version,
    flags: u8,
    keep_alive: u16,
    client_id: Option<&'a [u8]>,
}

impl<'a> Connect<'a> {
    /// Reads a CONNECT behind its fixed header. A client identifier that is not there is left out.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let name_len = reader.u16_be().ok()?;
        let name = reader.bytes(usize::from(name_len)).ok()?;
        // The highest bit says that a broker connects as a bridge.
        let version = match (name, reader.u8().ok()? & 0x7f) {
            (b"MQIsdp", 3) => Version::V3("3.1"),
            (b"MQTT", 4) => Version::V3("3.1.1"),
            (b"MQTT", 5) => Version::V5,
            _ => return None,
        };
        let flags = reader.u8().ok()?;
        let keep_alive = reader.u16_be().ok()?;
        let payload = match version {
            Version::V5 => properties::split(reader.remaining()).map(|(_, rest)| rest),
            Version::V3(_) | Version::Unknown => Some(reader.remaining()),
        };
        let client_id = payload.and_then(|payload| {
            let mut reader = Reader::new(payload);
            let len = reader.u16_be().ok()?;
            reader.bytes(usize::from(len)).ok()
        });
        Some(Self { version, flags, keep_alive, client_id })
    }
}

/// Emits a CONNECT.
pub(crate) fn request(flow: &mut Flow, packet: &Packet<'_>, output: &mut Output) {
    let Some(connect) = Connect::read(packet.rest) else {
        return named(output.request("CONNECT"), flow, "connect").header_only(packet.flaw()).emit();
    };
    *flow = Flow { version: connect.version, ..Flow::default() };
    let message = named(output.request("CONNECT"), flow, "connect")
        .i64(KEEP_ALIVE, connect.keep_alive)
        .bool(CLEAN_START, connect.flags & 2 != 0)
        .bool(WILL, connect.flags & 4 != 0);
    match connect.client_id {
        Some(id) => message.str(CLIENT_ID, id).emit(),
        None => message.partial(packet.flaw()).emit(),
    }
}

/// Emits a CONNACK.
pub(crate) fn response(flow: &mut Flow, packet: &Packet<'_>, output: &mut Output) {
    let [flags, code, ..] = *packet.rest else {
        return output.response(Status::Unknown).str(SYSTEM, "mqtt").header_only(packet.flaw()).emit();
    };
    // A broker that does not know the version of the CONNECT answers as of 3.1.1: two bytes.
    let reason = match flow.version {
        Version::V3(_) => Reason::of_connack_v3(code),
        _ if packet.fixed.len == 2 => Reason::of_connack_v3(code),
        Version::V5 | Version::Unknown => Reason::of(code),
    };
    let message = outcome(output.response(reason.status), reason).str(SYSTEM, "mqtt");
    message.bool(SESSION_PRESENT, flags & 1 != 0).emit();
}
