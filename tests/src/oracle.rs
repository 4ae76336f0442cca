//! The independent decode of a capture: every frame of it, as `oracle/NAME.pdus.jsonl.gz` tells (its own reassembly and
//! framing, see `tests/captures/README.md`), and what follows for the records: which requests there are, which
//! replies each got, and of what kind its record may be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::artifacts::Fixture;
use crate::pcap::read_plain;
use crate::records::{Key, low_bits};

/// OP_MSG.
pub const OP_MSG: u64 = 2013;
/// OP_COMPRESSED.
pub const OP_COMPRESSED: u64 = 2012;
/// OP_UPDATE, OP_INSERT, OP_DELETE, OP_KILL_CURSORS: never answered.
const NO_REPLY: [u64; 4] = [2001, 2002, 2006, 2007];
/// Flag bit of OP_MSG, `moreToCome`: in a request "do not answer", in a reply "more replies follow".
const MORE_TO_COME: u64 = 2;
/// Kafka's Produce.
const PRODUCE: u64 = 0;

/// One frame on the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The client's port and the server's.
    pub ports: (u16, u16),
    /// Sent by the client.
    pub is_request: bool,
    /// Number of the packet with its first byte, from 1.
    pub first_packet: usize,
    /// Number of the packet with its last byte.
    pub last_packet: usize,
    /// Bytes on the wire.
    pub len: u64,
    /// Everything that the decode says of it.
    pub fields: Value,
}

/// A request and what answered it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub request: Frame,
    /// The replies, in order.
    pub replies: Vec<Frame>,
    /// Kinds that its record may have.
    pub kinds: BTreeSet<&'static str>,
    /// MongoDB: the command's name.
    pub command: Option<String>,
}

/// What a capture holds.
#[derive(Debug, Default)]
pub struct Oracle {
    /// All frames, in the order of the file.
    pub frames: Vec<Frame>,
    /// Requests by key.
    pub exchanges: BTreeMap<Key, Exchange>,
    /// How many records of responses without request a connection may have: at least, at most.
    pub stray_responses: BTreeMap<(u16, u16), (usize, usize)>,
    /// Client ports of connections that begin inside of a message, where the decoder got lost.
    pub lost: BTreeSet<u16>,
}

impl Oracle {
    /// The decode of that capture.
    #[must_use]
    pub fn of(fixture: &Fixture) -> Self {
        let is_mongodb = fixture.protocol == "mongodb";
        let text = String::from_utf8(read_plain(&fixture.oracle("pdus.jsonl.gz"))).expect("JSON is UTF-8");
        let mut oracle = Self::default();
        let mut chained = BTreeMap::new();
        for line in text.lines() {
            let fields: Value = serde_json::from_str(line).expect("JSON Lines");
            if fields.get("desync").is_some() {
                oracle.lost.insert(port(&fields, "c"));
                continue;
            }
            let frame = Frame::new(fields);
            oracle.frames.push(frame.clone());
            if frame.is_request {
                let exchange = Exchange { request: frame, replies: vec![], kinds: BTreeSet::new(), command: None };
                let twin = oracle.exchanges.insert(exchange.request.key(), exchange);
                assert!(twin.is_none(), "{}: two requests of one id in a connection", fixture.name);
            } else {
                oracle.take_reply(frame, &mut chained, is_mongodb);
            }
        }
        if is_mongodb {
            oracle.name_commands(fixture);
        }
        oracle.judge_kinds(fixture.name.contains("_acks0"));
        oracle
    }

    fn take_reply(&mut self, reply: Frame, chained: &mut BTreeMap<Key, Key>, is_mongodb: bool) {
        let asked = if self.exchanges.contains_key(&reply.key()) { Some(reply.key()) } else { None };
        let asked = asked.or_else(|| chained.get(&reply.key()).copied());
        let exchange = asked.and_then(|key| self.exchanges.get_mut(&key));
        let is_awaited = |exchange: &Exchange| exchange.replies.last().is_none_or(Frame::has_more_to_come);
        match exchange.filter(|exchange| is_awaited(exchange)) {
            Some(exchange) => {
                if reply.has_more_to_come() {
                    // mongod's next exhaust reply answers this reply, other servers' the request.
                    chained.insert(reply.key_of("request_id"), exchange.request.key());
                }
                exchange.replies.push(reply);
            }
            None => {
                // Nothing tells a Kafka reply without its request from noise.
                let (least, most) = self.stray_responses.entry(reply.ports).or_default();
                (*least, *most) = (*least + usize::from(is_mongodb), *most + 1);
            }
        }
    }

    fn judge_kinds(&mut self, is_acks0: bool) {
        for exchange in self.exchanges.values_mut() {
            let request = &exchange.request;
            // Every Produce of the captures named acks0 has acks=0, no other has (tshark says so).
            let is_one_way = request.has_more_to_come()
                || request.number("opcode").is_some_and(|opcode| NO_REPLY.contains(&opcode))
                || (is_acks0 && request.number("api_key") == Some(PRODUCE));
            let kinds = &mut exchange.kinds;
            if !exchange.replies.is_empty() {
                kinds.insert("session");
            } else if is_one_way {
                kinds.insert("oneway");
            } else {
                kinds.insert("request");
            }
            if is_one_way && !exchange.replies.is_empty() {
                // The server is in error: the answer may stand alone.
                kinds.insert("oneway");
                self.stray_responses.entry(request.ports).or_default().1 += 1;
            } else if exchange.replies.is_empty() && self.lost.contains(&request.ports.0) {
                kinds.insert("session");
            } else if exchange.replies.is_empty() && request.number("opcode") == Some(OP_COMPRESSED) {
                // Its moreToCome is inside what is compressed.
                kinds.insert("oneway");
            }
        }
    }

    /// Command names are from tshark, because it decompresses.
    fn name_commands(&mut self, fixture: &Fixture) {
        let decodes = ["tshark44", "tshark40"].map(|version| fixture.oracle(&format!("{version}.fields.json.gz")));
        let decode = decodes.iter().find(|path| path.exists()).expect("a decode by tshark");
        let packets: Value = serde_json::from_slice(&read_plain(decode)).expect("tshark's JSON");
        let mut names = BTreeMap::new();
        for packet in packets.as_array().expect("a list of packets") {
            let layers = &packet["_source"]["layers"];
            let text = |field: &str| layers[field][0].as_str();
            let (Some(name), Some(port), Some(id)) =
                (text("mongo.element.name"), text("tcp.srcport"), text("mongo.request_id"))
            else {
                continue;
            };
            let id = u32::from_str_radix(id.trim_start_matches("0x"), 16).expect("a hexadecimal id");
            names.insert((port.parse::<u16>().expect("a port"), id), name.to_owned());
        }
        for ((port, _, id), exchange) in &mut self.exchanges {
            exchange.command = names.get(&(*port, *id)).cloned();
        }
    }
}

impl Frame {
    fn new(fields: Value) -> Self {
        let number = |name: &str| fields[name].as_u64().unwrap_or_else(|| panic!("no {name} in {fields}"));
        let packet = |name: &str| usize::try_from(number(name)).expect("a packet's number");
        Self {
            ports: (port(&fields, "cport"), port(&fields, "sport")),
            is_request: fields["dir"] == "req",
            first_packet: packet("frame_first"),
            last_packet: packet("frame_last"),
            len: number("len"),
            fields,
        }
    }

    /// The exchange that it belongs to.
    #[must_use]
    pub fn key(&self) -> Key {
        let mongodb = if self.is_request { "request_id" } else { "response_to" };
        self.key_of(if self.fields.get("correlation_id").is_some() { "correlation_id" } else { mongodb })
    }

    /// A number that the decode gives.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.as_u64()
    }

    fn key_of(&self, field: &str) -> Key {
        let id = self.fields[field].as_i64().expect("an id");
        (self.ports.0, self.ports.1, low_bits(i128::from(id)))
    }

    fn has_more_to_come(&self) -> bool {
        self.number("flags").is_some_and(|flags| flags & MORE_TO_COME != 0)
    }
}

fn port(fields: &Value, name: &str) -> u16 {
    fields[name].as_u64().and_then(|port| port.try_into().ok()).unwrap_or_else(|| panic!("no port {name} in {fields}"))
}
