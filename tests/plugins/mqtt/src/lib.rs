//! A protap plugin for MQTT 3.1, 3.1.1 and 5. Both ends ask: each publishes to the other under packet identifiers of
//! its own, which collide with those of its peer on the same connection, and pairing keeps them apart by who asked.
//!
//! A PUBLISH with quality of service 0 is one-way. With 1 it is a request that PUBACK answers; with 2 it is one that
//! PUBREC and PUBCOMP answer, in one record, and the PUBREL between them is no message of its own. Payloads are
//! passed over; user names, passwords and the texts of properties are never read.
//! <https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html>

#![forbid(unsafe_code)]

mod alias;
mod connect;
mod fixed;
mod front;
mod probe;
mod properties;
mod publish;
mod reason;
mod subscribe;

use protap_plugin::prelude::*;

use self::alias::Aliases;
use self::fixed::{Fixed, PacketType};
use self::reason::Reason;

attributes! {
    SCHEMA;
    SYSTEM: str = "messaging.system",
    OPERATION: str = "messaging.operation.name",
    DESTINATION: str = "messaging.destination.name",
    CLIENT_ID: str = "messaging.client.id",
    BODY_SIZE: i64 = "messaging.message.body.size",
    QOS: i64 = "mqtt.qos",
    RETAIN: bool = "mqtt.retain",
    DUPLICATE: bool = "mqtt.dup",
    TOPIC_ALIAS: i64 = "mqtt.topic_alias",
    FILTERS: list = "mqtt.topic_filters",
    FILTER_COUNT: i64 = "mqtt.topic_filter.count",
    REFUSED: i64 = "mqtt.topic_filter.refused",
    KEEP_ALIVE: i64 = "mqtt.keep_alive",
    CLEAN_START: bool = "mqtt.clean_start",
    WILL: bool = "mqtt.will",
    SESSION_PRESENT: bool = "mqtt.session_present",
    REASON_CODE: i64 = "mqtt.reason_code",
    ERROR: str = "error.type",
}

/// Version of the protocol, as a connection's first packet says it: it decides where properties stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// The first packet was not seen.
    #[default]
    Unknown,
    /// 3.1 or 3.1.1: no properties, no reason codes.
    V3(&'static str),
    /// 5.
    V5,
}

impl Version {
    /// How it is written, if it is known.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::V3(name) => Some(name),
            Self::V5 => Some("5.0"),
        }
    }
}

/// What is kept of a connection.
#[derive(Debug, Default)]
pub struct Flow {
    version: Version,
    to_server: Aliases,
    to_client: Aliases,
}

impl Flow {
    fn aliases(&mut self, direction: Direction) -> &mut Aliases {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// The plugin.
#[derive(Debug, Default)]
pub struct Mqtt;

impl Frames for Mqtt {
    const MANIFEST: Manifest =
        Manifest::new("mqtt", env!("CARGO_PKG_VERSION")).ports(&[1883]).attributes(SCHEMA).decodes(&[
            "MQTT 3.1, 3.1.1 and 5: all packet types, from both ends, topic aliases",
            "one record for a PUBLISH of quality of service 1 or 2 with what acknowledges it",
        ]);
    type Flow = Flow;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    fn frame(&self, _direction: Direction, bytes: &[u8]) -> Frame {
        front::frame(bytes)
    }

    fn frame_id(&self, _direction: Direction, bytes: &[u8]) -> Option<u64> {
        let (fixed, rest) = Fixed::read(bytes)?;
        fixed.packet.is_answer().then(|| Reader::new(rest).u16_be().ok().map(u64::from)).flatten()
    }

    fn forget(&self, flow: &mut Flow, direction: Direction) {
        // An alias may have been given another topic in what was lost.
        flow.aliases(direction).clear();
    }

    fn decode(&self, flow: &mut Flow, frame: &FrameBytes<'_>, output: &mut Output) {
        let Some((fixed, rest)) = Fixed::read(frame.bytes) else { return };
        let packet = Packet { fixed, direction: frame.direction, rest, is_whole: frame.is_whole() };
        match fixed.packet {
            PacketType::Connect => connect::request(flow, &packet, output),
            PacketType::ConnAck => connect::response(flow, &packet, output),
            PacketType::Publish => publish::publish(flow, &packet, output),
            PacketType::PubAck | PacketType::PubRec | PacketType::PubComp => publish::answer(flow, &packet, output),
            // The middle of an exchange: it neither asks anew nor answers.
            PacketType::PubRel => {}
            PacketType::Subscribe | PacketType::Unsubscribe => subscribe::request(flow, &packet, output),
            PacketType::SubAck | PacketType::UnsubAck => subscribe::response(flow, &packet, output),
            PacketType::PingReq => named(output.request("PINGREQ"), flow, "ping").emit(),
            PacketType::PingResp => output.response(Status::Ok).str(SYSTEM, "mqtt").emit(),
            PacketType::Disconnect => one_way(output.one_way("DISCONNECT"), flow, "disconnect", &packet),
            PacketType::Auth => one_way(output.one_way("AUTH"), flow, "auth", &packet),
        }
    }
}

export!(Mqtt as Frames);

/// A packet, or as much of it as there is.
pub(crate) struct Packet<'a> {
    pub(crate) fixed: Fixed,
    pub(crate) direction: Direction,
    /// What follows the fixed header.
    pub(crate) rest: &'a [u8],
    /// Whether all of it is there.
    pub(crate) is_whole: bool,
}

impl Packet<'_> {
    /// Why it cannot be read to its end: it is longer than the window, bytes of it are lost, or it is malformed.
    pub(crate) fn flaw(&self) -> &'static str {
        if self.is_whole { "malformed" } else { "cut" }
    }
}

/// Why a packet of a connection that was caught in its middle is not all decoded.
pub(crate) const NO_VERSION: &str = "protocol version not seen";

/// The protocol's name for what is done, and its version.
pub(crate) fn named<'a>(message: MessageWriter<'a>, flow: &Flow, operation: &str) -> MessageWriter<'a> {
    let message = message.str(SYSTEM, "mqtt").str(OPERATION, operation);
    match flow.version.name() {
        Some(name) => message.version(name),
        None => message.partial(NO_VERSION),
    }
}

/// Fills in how it went.
pub(crate) fn outcome(message: MessageWriter<'_>, reason: Reason) -> MessageWriter<'_> {
    let message = message.status(reason.status).code(i64::from(reason.code));
    match reason.status {
        Status::Ok => message.result(reason.name),
        _ => message.exception(reason.name),
    }
}

/// DISCONNECT and AUTH: nothing but a reason, which 3.1.1 does not have and 5 may leave out. A record of what needs no
/// answer has no code, so the reason is an attribute.
fn one_way(message: MessageWriter<'_>, flow: &Flow, operation: &str, packet: &Packet<'_>) {
    let message = named(message, flow, operation);
    match packet.rest.first() {
        Some(code) => {
            let reason = Reason::of(*code);
            let message = outcome(message, reason).i64(REASON_CODE, reason.code);
            if reason.is_failure() { message.str(ERROR, reason.name).emit() } else { message.emit() }
        }
        None if packet.fixed.len > 0 => message.header_only(packet.flaw()).emit(),
        None => message.emit(),
    }
}
