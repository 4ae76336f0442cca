//! protap plugin: Kafka. Frames of the Kafka protocol come in; requests, responses and one-way messages go out, with
//! API, version, topics, partitions, errors and what the record batches say of themselves. Records are never copied,
//! let alone decompressed, and SASL tokens are never emitted.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use protap_plugin::prelude::*;
use protap_plugin::{Source, Whole, at_once};

mod answer;
mod api;
mod api_versions;
mod attributes;
mod body;
mod details;
mod emit;
mod errors;
mod fetch;
mod header;
mod metadata;
mod probe;
mod produce;
mod records;
mod request;
mod response;
mod resync;
mod session;
mod summary;
mod text;
mod trace;
mod wire;

/// Namespace of the facts that say which topic an id means.
const TOPIC_IDS: Facts = Facts(0);

/// The parser.
#[derive(Debug, Default)]
pub struct Kafka {
    /// The trace context of the first record is wanted.
    wants_trace: bool,
}

/// What is kept for a connection.
#[derive(Debug, Default)]
pub struct Flow {
    /// SaslHandshake version 0 was the last request: what follows are bare SASL tokens.
    awaits_sasl_token: Cell<bool>,
    /// What the last SaslHandshake asked for.
    sasl_mechanism: Cell<Option<&'static str>>,
    /// The fetch session of this connection.
    session: RefCell<Option<Box<session::Session>>>,
}

impl Sequential for Kafka {
    const MANIFEST: Manifest = Manifest::new("kafka", env!("CARGO_PKG_VERSION"))
        .ports(&[9092, 9093, 9094, 19092, 29092])
        .attributes(attributes::SCHEMA)
        .facts(&["topic_id"])
        .options(&[OptionDef {
            key: "trace_context",
            default: "off",
            help: "on: traceparent and sw8 of the first record of a message, where it is not compressed",
        }])
        .decodes(&[
            "every API's header, all versions; pairing by correlation id",
            "Produce 0-13, Fetch 0-18 with record batches (magic 0-2, counted without decompression)",
            "Metadata 0-13, ApiVersions 0-5",
            "groups, members, topics, partitions, offsets and errors of the other APIs, all versions of Kafka 4.4",
        ]);
    type Flow = Flow;
    const AWAITS_FRAMES: &'static [Direction] = &[Direction::ToServer, Direction::ToClient];

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        self.wants_trace = match (key, value) {
            ("trace_context", "on") => true,
            ("trace_context", "off") => false,
            ("trace_context", _) => return Err("trace_context is on or off"),
            _ => return Err("the plugin has no such option"),
        };
        Ok(())
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(plugin: Rc<Self>, flow: Rc<Flow>, stream: Stream) -> Result<(), Stop> {
        read(&stream, &plugin, &flow).await
    }

    fn message_now(&self, flow: &Flow, stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        Some(read_now(stream, self, flow))
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        match direction {
            Direction::ToServer => resync::request_frame(bytes),
            Direction::ToClient => resync::response_frame(bytes),
        }
    }

    fn frame_id(&self, direction: Direction, bytes: &[u8]) -> Option<u64> {
        match direction {
            Direction::ToServer => None,
            Direction::ToClient => resync::confirmed_response(bytes),
        }
    }
}

#[at_once]
async fn read(stream: &Stream<impl Source>, plugin: &Kafka, flow: &Flow) -> Result<(), Stop> {
    match stream.direction() {
        Direction::ToServer => request::read(stream, plugin, flow).await,
        Direction::ToClient => response::read(stream, plugin, flow).await,
    }
}

export!(Kafka as Sequential);
