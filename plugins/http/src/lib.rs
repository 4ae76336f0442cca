//! protap plugin: HTTP/1.0 and HTTP/1.1.
//!
//! Every request becomes one message, paired with its response in order; bodies are passed over without being copied.
//! Of the header fields only those are read that say where a message ends, where it goes, and what asks for it. The
//! query of a target, user data in its path's parameters and the Referer are emitted only if an option says so; all
//! other fields, bodies and reason phrases never. Where a message could be cut in two ways, it is told so and not guessed.

#![forbid(unsafe_code)]

use std::rc::Rc;

use protap_plugin::prelude::*;

use self::flow::Flow;

mod chunks;
mod emit;
mod field;
mod flow;
mod framing;
mod front;
mod head;
mod probe;
mod request;
mod response;
mod resync;
mod target;

attributes! {
    SCHEMA;
    METHOD: str = "http.request.method",
    METHOD_ORIGINAL: str = "http.request.method_original",
    PATH: str = "url.path",
    QUERY: str = "url.query",
    SCHEME: str = "url.scheme",
    ADDRESS: str = "server.address",
    PORT: i64 = "server.port",
    USER_AGENT: str = "user_agent.original",
    REFERER: list = "http.request.header.referer",
    TRACEPARENT: list = "http.request.header.traceparent",
    SW8: list = "http.request.header.sw8",
    PROTOCOL_VERSION: str = "network.protocol.version",
    REQUEST_BODY: i64 = "http.request.body.size",
    RESPONSE_BODY: i64 = "http.response.body.size",
    STATUS_CODE: i64 = "http.response.status_code",
    ERROR_TYPE: str = "error.type",
    UPGRADE: list = "http.response.header.upgrade",
    INTERIM: i64 = "http1.interim_responses",
    AMBIGUITY: str = "http1.ambiguity",
}

/// Most bytes that are looked at at once.
const WINDOW: u32 = 16 << 10;

/// What the user wants to see.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    query: bool,
    referer: bool,
}

/// The parser, with what the user set.
#[derive(Debug, Default)]
pub struct Http {
    wishes: Wishes,
}

/// What is remembered of a flow.
#[derive(Debug, Default)]
pub struct HttpFlow(Flow);

impl Sequential for Http {
    const MANIFEST: Manifest = Manifest::new("http", env!("CARGO_PKG_VERSION"))
        .ports(&[80, 8080, 8000, 8081, 8888, 3000, 5000, 9200])
        .window(WINDOW)
        .attributes(SCHEMA)
        .options(&[
            OptionDef {
                key: "query",
                default: "off",
                help: "on: emit the query and the path's parameters, which may hold secrets",
            },
            OptionDef {
                key: "referer",
                default: "off",
                help: "on: emit the Referer, without its query unless query=on",
            },
        ])
        .decodes(&[
            "HTTP/1.0 and HTTP/1.1: requests and responses, pipelined; bodies by length, in chunks, up to the end",
            "interim responses, upgrades, CONNECT; trace context (traceparent, sw8)",
        ]);
    type Flow = HttpFlow;

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let is_on = match value {
            "on" => true,
            "off" => false,
            _ => return Err("options are on or off"),
        };
        match key {
            "query" => self.wishes.query = is_on,
            "referer" => self.wishes.referer = is_on,
            _ => return Err("the options are query and referer"),
        }
        Ok(())
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(plugin: Rc<Self>, flow: Rc<HttpFlow>, stream: Stream) -> Result<(), Stop> {
        match stream.direction() {
            Direction::ToServer => request::read(&stream, &flow.0, plugin.wishes).await,
            Direction::ToClient => response::read(&stream, &flow.0).await,
        }
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        resync::frame(direction, bytes)
    }

    fn resync(&self, flow: &HttpFlow, input: &Input<'_>) -> Resync {
        flow.0.lost(input.direction);
        resync::resync(input)
    }
}

export!(Http as Sequential);
