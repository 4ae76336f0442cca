//! A protap plugin for HTTP/2 in clear text, with prior knowledge or by an upgrade from HTTP/1.1, and for gRPC in it.
//! Streams are interleaved, and a message is as long as its stream: it begins with its header block and is finished by
//! the frame that ends the stream, several calls later. Requests and responses are paired by the stream's id.
//!
//! Bodies are passed over. Of the header fields, method, path without query, authority, status, the content type of
//! gRPC and its status are read, and no others. After a loss the table of header fields is not known any more: what
//! refers to it then is left out, and the message says so. <https://www.rfc-editor.org/rfc/rfc9113>

#![forbid(unsafe_code)]

mod block;
mod exchange;
mod flow;
mod frame;
mod hpack;
mod huffman;
mod names;
mod probe;
mod table;
mod upgrade;

use protap_plugin::prelude::*;

pub use self::flow::Flow;
use self::frame::strict;

attributes! {
    SCHEMA;
    METHOD: str = "http.request.method",
    PATH: str = "url.path",
    AUTHORITY: str = "server.address",
    HTTP_STATUS: i64 = "http.response.status_code",
    REQUEST_SIZE: i64 = "http.request.body.size",
    RESPONSE_SIZE: i64 = "http.response.body.size",
    RPC_SYSTEM: str = "rpc.system",
    GRPC_STATUS: i64 = "rpc.grpc.status_code",
    ERROR: str = "error.type",
    ERROR_CODE: i64 = "http2.error_code",
    LAST_STREAM: i64 = "http2.last_stream_id",
    IS_PUSHED: bool = "http2.pushed",
}

/// Longest frame that is looked at as a whole, and some room.
pub(crate) const WINDOW: u32 = 20 << 10;

/// The plugin.
#[derive(Debug, Default)]
pub struct Http2;

impl Raw for Http2 {
    const MANIFEST: Manifest =
        Manifest::new("http2", env!("CARGO_PKG_VERSION")).window(WINDOW).attributes(SCHEMA).decodes(&[
            "HTTP/2 in clear text: requests, responses, trailers, resets, pushes; header compression",
            "gRPC: the status in the trailers",
        ]);
    type Flow = Flow;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    fn parse(&mut self, flow: &mut Flow, input: &Input<'_>, output: &mut Output) -> Progress {
        flow.parse(input, output)
    }

    fn resync(&mut self, flow: &mut Flow, input: &Input<'_>) -> Resync {
        flow.forget(input.direction);
        resync_by_frames(input, strict)
    }
}

/// The next frame by the chain of those behind it: ids alone prove little, as a body may be full of anything.
fn resync_by_frames(input: &Input<'_>, frame: impl Fn(&[u8]) -> Frame) -> Resync {
    protap_plugin::resync_by_frames(input, frame, |_| false)
}

export!(Http2 as Raw);
