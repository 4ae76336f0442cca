//! protap plugin: Kafka. Frames of the Kafka protocol come in; requests, responses and one-way messages go out, with
//! API, version, topics, partitions, errors and what the record batches say of themselves. Records are never copied,
//! let alone decompressed, and SASL tokens are never emitted.

#![forbid(unsafe_code)]

use core::cell::Cell;
use std::rc::Rc;

use protap_plugin::prelude::*;

mod answer;
mod api;
mod api_versions;
mod attributes;
mod body;
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
mod summary;
mod text;
mod wire;

/// Namespace of the facts that say which topic an id means.
const TOPIC_IDS: Facts = Facts(0);

/// The parser. It has no options.
#[derive(Debug, Default)]
pub struct Kafka;

/// What is kept for a connection.
#[derive(Debug, Default)]
pub struct Flow {
    /// SaslHandshake version 0 was the last request: what follows are bare SASL tokens.
    awaits_sasl_token: Cell<bool>,
}

impl Sequential for Kafka {
    const MANIFEST: Manifest = Manifest::new("kafka", env!("CARGO_PKG_VERSION"))
        .ports(&[9092, 9093, 9094, 19092, 29092])
        .attributes(attributes::SCHEMA)
        .facts(&["topic_id"])
        .decodes(&[
            "every API's header, all versions; pairing by correlation id",
            "Produce 0-13, Fetch 0-18 with record batches (magic 0-2, counted without decompression)",
            "Metadata 0-13, ApiVersions 0-4",
            "topics, groups and errors of the other APIs, where they have them",
        ]);
    type Flow = Flow;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(_plugin: Rc<Self>, flow: Rc<Flow>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => request::read(&stream, &flow).await,
            Direction::ToClient => response::read(&stream, &flow).await,
        }
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

export!(Kafka as Sequential);
