//! SUBSCRIBE, UNSUBSCRIBE and their answers.
//!
//! ```text
//! SUBSCRIBE, UNSUBSCRIBE: packet identifier (u16), 5: properties, then filters (string), each SUBSCRIBE: options (u8)
//! SUBACK, UNSUBACK:       packet identifier (u16), 5: properties, then codes (u8), one a filter; UNSUBACK before 5: none
//! ```

use protap_plugin::prelude::*;

use crate::{
    FILTER_COUNT, FILTERS, Flow, NO_VERSION, Packet, PacketType, REFUSED, Reason, SYSTEM, Version, named, outcome,
    properties,
};

/// Filters that are emitted of one request.
const MAX_FILTERS: usize = 32;

/// What a request leaves for its answer: whether there are properties in it.
const CONTEXT_UNKNOWN: u8 = 0;
const CONTEXT_V3: u8 = 3;
const CONTEXT_V5: u8 = 5;

/// The filters, and how many there are in all; `None` if they do not end where the packet does.
pub(crate) fn filters(packet: PacketType, bytes: &[u8]) -> Option<(Vec<&[u8]>, u64)> {
    let mut reader = Reader::new(bytes);
    let (mut filters, mut count) = (Vec::new(), 0);
    while !reader.is_empty() {
        let len = reader.u16_be().ok()?;
        let filter = reader.bytes(usize::from(len)).ok().filter(|filter| !filter.is_empty())?;
        if packet == PacketType::Subscribe {
            reader.u8().ok()?;
        }
        count += 1;
        if filters.len() < MAX_FILTERS {
            filters.push(filter);
        }
    }
    (count > 0).then_some((filters, count))
}

/// The filters of a packet of that version, and the version. One that is unknown is what the bytes fit, if they fit one
/// alone.
fn of_version(packet: &Packet<'_>, version: Version, bytes: &[u8]) -> Option<(Vec<Vec<u8>>, u64, u8)> {
    let read = |bytes| {
        let (filters, count) = filters(packet.fixed.packet, bytes)?;
        Some((filters.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), count))
    };
    let v3 = || read(bytes).map(|(filters, count)| (filters, count, CONTEXT_V3));
    let v5 = || read(properties::split(bytes)?.1).map(|(filters, count)| (filters, count, CONTEXT_V5));
    match version {
        Version::V3(_) => v3(),
        Version::V5 => v5(),
        Version::Unknown => match (v3(), v5()) {
            (Some(found), None) | (None, Some(found)) => Some(found),
            _ => None,
        },
    }
}

/// Emits a SUBSCRIBE or UNSUBSCRIBE.
pub(crate) fn request(flow: &mut Flow, packet: &Packet<'_>, output: &mut Output) {
    let (name, operation) = match packet.fixed.packet {
        PacketType::Subscribe => ("SUBSCRIBE", "subscribe"),
        _ => ("UNSUBSCRIBE", "unsubscribe"),
    };
    let mut reader = Reader::new(packet.rest);
    let Ok(id) = reader.u16_be() else {
        return named(output.one_way(name), flow, operation).header_only(packet.flaw()).emit();
    };
    let found = if packet.is_whole { of_version(packet, flow.version, reader.remaining()) } else { None };
    let message = named(output.request(name), flow, operation).id(id.into());
    let Some((filters, count, context)) = found else {
        let reason = if flow.version == Version::Unknown { NO_VERSION } else { packet.flaw() };
        return message.context([context_of(flow.version)]).header_only(reason).emit();
    };
    let message = message.context([context]).list(FILTERS, &filters).i64(FILTER_COUNT, count.cast_signed());
    match filters.as_slice() {
        [filter] => message.resource(filter).endpoint(filter).emit(),
        _ if count > filters.len() as u64 => message.partial("more filters than are emitted").emit(),
        _ => message.emit(),
    }
}

fn context_of(version: Version) -> u8 {
    match version {
        Version::Unknown => CONTEXT_UNKNOWN,
        Version::V3(_) => CONTEXT_V3,
        Version::V5 => CONTEXT_V5,
    }
}

/// Emits a SUBACK or UNSUBACK: the worst of its codes, and how many of them are failures.
pub(crate) fn response(flow: &Flow, packet: &Packet<'_>, output: &mut Output) {
    let mut reader = Reader::new(packet.rest);
    let message = output.response(Status::Unknown).str(SYSTEM, "mqtt");
    let Ok(id) = reader.u16_be() else { return message.header_only(packet.flaw()).emit() };
    let message = message.id(id.into());
    let asked = host::pending(id.into()).and_then(|context| context.first().copied()).unwrap_or(CONTEXT_UNKNOWN);
    let codes = match if asked == CONTEXT_UNKNOWN { context_of(flow.version) } else { asked } {
        _ if !packet.is_whole => return message.header_only(packet.flaw()).emit(),
        CONTEXT_V3 => Some(reader.remaining()),
        CONTEXT_V5 => properties::split(reader.remaining()).map(|(_, codes)| codes),
        // Before 5, an UNSUBACK has nothing but its identifier.
        _ if packet.fixed.len == 2 => Some(reader.remaining()),
        _ => return message.header_only(NO_VERSION).emit(),
    };
    let Some(codes) = codes else { return message.header_only(packet.flaw()).emit() };
    let refused = codes.iter().filter(|code| Reason::of(**code).is_failure()).count();
    match codes.iter().max() {
        Some(worst) => outcome(message, Reason::of(*worst)).i64(REFUSED, refused as i64).emit(),
        None => message.status(Status::Ok).emit(),
    }
}
