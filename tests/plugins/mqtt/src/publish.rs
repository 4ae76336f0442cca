//! PUBLISH and what acknowledges it.
//!
//! ```text
//! PUBLISH:                 topic (string), quality of service > 0: packet identifier (u16), 5: properties, payload
//! PUBACK, PUBREC, PUBCOMP: packet identifier (u16), 5: reason code (u8; none is success), properties
//! ```

use protap_plugin::prelude::*;

use crate::{
    BODY_SIZE, DESTINATION, DUPLICATE, Flow, NO_VERSION, Packet, PacketType, QOS, RETAIN, Reason, SYSTEM, TOPIC_ALIAS,
    Version, named, outcome, properties,
};

/// What a PUBLISH says.
struct Publish<'a> {
    topic: &'a [u8],
    id: Option<u16>,
    /// Topic alias and length of the payload; `None` if the properties could not be read.
    tail: Option<(Option<u16>, u64)>,
}

fn read<'a>(flow: &mut Flow, packet: &Packet<'a>) -> Option<Publish<'a>> {
    let mut reader = Reader::new(packet.rest);
    let len = reader.u16_be().ok()?;
    let topic = reader.bytes(usize::from(len)).ok()?;
    let id = if packet.fixed.qos() > 0 { Some(reader.u16_be().ok()?) } else { None };
    if topic.is_empty() {
        // Only an alias can stand for it, and only 5 has those.
        flow.version = Version::V5;
    }
    let tail = match flow.version {
        Version::V3(_) => Some((None, reader.remaining())),
        Version::V5 => properties::read(reader.remaining()),
        Version::Unknown => None,
    };
    // What is missing of the packet is payload.
    let missing = u64::from(packet.fixed.len).saturating_sub(packet.rest.len() as u64);
    let tail = tail.map(|(alias, payload)| (alias, missing + payload.len() as u64));
    Some(Publish { topic, id, tail })
}

/// Emits a PUBLISH: a request, unless its quality of service is 0.
pub(crate) fn publish(flow: &mut Flow, packet: &Packet<'_>, output: &mut Output) {
    let kind = if packet.fixed.qos() > 0 { Kind::Request } else { Kind::OneWay };
    let Some(publish) = read(flow, packet) else {
        // Whatever alias it set is not known, and without an identifier nothing can answer it.
        flow.aliases(packet.direction).clear();
        return named(output.one_way("PUBLISH"), flow, "publish").header_only(packet.flaw()).emit();
    };
    let message = named(output.message(kind).type_name("PUBLISH"), flow, "publish");
    let mut message = message.i64(QOS, packet.fixed.qos()).bool(RETAIN, packet.fixed.is_retained());
    if packet.fixed.is_duplicate() {
        message = message.bool(DUPLICATE, true);
    }
    if let Some(id) = publish.id {
        message = message.id(id.into());
    }
    let alias = publish.tail.and_then(|(alias, _)| alias);
    if let Some(alias) = alias {
        message = message.i64(TOPIC_ALIAS, alias);
    }
    if let Some((_, size)) = publish.tail {
        message = message.i64(BODY_SIZE, size.cast_signed());
    }
    let aliases = flow.aliases(packet.direction);
    match alias {
        Some(alias) if !publish.topic.is_empty() => aliases.set(alias, publish.topic),
        None if publish.tail.is_none() => aliases.clear(),
        _ => {}
    }
    let topic = match alias {
        Some(alias) if publish.topic.is_empty() => aliases.get(alias),
        _ => Some(publish.topic).filter(|topic| !topic.is_empty()),
    };
    let message = match topic {
        Some(topic) => message.resource(topic).endpoint(topic).str(DESTINATION, topic),
        None => message.partial("topic alias not seen"),
    };
    match publish.tail {
        None if flow.version != Version::Unknown => message.partial(packet.flaw()).emit(),
        _ => message.emit(),
    }
}

/// Emits what acknowledges a PUBLISH. A PUBREC that is no failure is the first of two answers.
pub(crate) fn answer(flow: &Flow, packet: &Packet<'_>, output: &mut Output) {
    let mut reader = Reader::new(packet.rest);
    let message = output.response(Status::Unknown).str(SYSTEM, "mqtt");
    let Ok(id) = reader.u16_be() else { return message.header_only(packet.flaw()).emit() };
    let message = message.id(id.into());
    let reason = match reader.u8() {
        Ok(code) => Reason::of(code),
        Err(_) if packet.fixed.len > 2 => return message.header_only(packet.flaw()).emit(),
        Err(_) => Reason::of(0),
    };
    let is_first = packet.fixed.packet == PacketType::PubRec && !reason.is_failure();
    let message = match flow.version {
        // There is no code to be told: that it is acknowledged is all.
        Version::V3(_) => message.status(Status::Ok),
        Version::Unknown if packet.fixed.len == 2 => message.status(Status::Ok).partial(NO_VERSION),
        _ => outcome(message, reason),
    };
    if is_first { message.more_replies().emit() } else { message.emit() }
}
