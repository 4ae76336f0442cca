//! protap plugin: MongoDB's wire protocol.
//!
//! Every message becomes one request, response or one-way message, paired by `requestID` and `responseTo`. Commands
//! are named, with their database, collection and number of documents; replies are judged by `ok`, `writeErrors` and
//! `writeConcernError`. Documents, filters and error texts belong to the user: they are passed over, never emitted.

#![forbid(unsafe_code)]

use std::rc::Rc;

use protap_plugin::prelude::*;

use self::compressed::Collected;
use self::context::Context;
use self::header::Header;
use self::message::Message;
use self::request::Request;
use self::response::Response;

mod bson;
mod command;
mod compressed;
mod context;
mod document;
mod emit;
mod error_codes;
mod front;
mod header;
mod message;
mod op_msg;
mod probe;
mod reply;
mod request;
mod response;

attributes! {
    SCHEMA;
    SYSTEM: str = "db.system.name",
    NAMESPACE: str = "db.namespace",
    COLLECTION: str = "db.collection.name",
    OPERATION: str = "db.operation.name",
    BATCH_SIZE: i64 = "db.operation.batch.size",
    STATUS_CODE: str = "db.response.status_code",
    ERROR_TYPE: str = "error.type",
    RETURNED_ROWS: i64 = "db.response.returned_rows",
    OP_CODE: str = "mongodb.op_code",
    CURSOR_ID: i64 = "mongodb.cursor_id",
    APP_NAME: str = "mongodb.app_name",
    IN_TRANSACTION: bool = "mongodb.transaction",
    COMPRESSOR: str = "mongodb.compressor",
    N: i64 = "mongodb.n",
    N_MODIFIED: i64 = "mongodb.n_modified",
    WRITE_ERRORS: i64 = "mongodb.write_errors",
    WRITE_CONCERN_ERROR: str = "mongodb.write_concern_error",
}

/// The parser.
#[derive(Debug, Default)]
pub struct Mongodb {
    collected: Collected,
}

impl Sequential for Mongodb {
    const MANIFEST: Manifest = Manifest::new("mongodb", env!("CARGO_PKG_VERSION"))
        .ports(&[27017, 27018, 27019])
        .attributes(SCHEMA)
        .decodes(&[
            "OP_MSG: commands and replies, document sequences, checksums, one-way and exhaust messages",
            "OP_QUERY and OP_REPLY; OP_INSERT, OP_UPDATE, OP_DELETE, OP_GET_MORE, OP_KILL_CURSORS",
            "OP_COMPRESSED (snappy, zlib, zstd) up to 256 KiB; longer ones: header",
            "OP_COMMAND, OP_COMMANDREPLY: header",
        ]);
    type Flow = ();
    const FRAME_IS_PROOF: bool = true;

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(plugin: Rc<Self>, _flow: Rc<()>, stream: Stream) -> Result<(), Stop> {
        let mut message = Message::read(&stream).await?;
        let read = if message.header.is_response(stream.direction()) {
            let context = Context::pending(message.header.response_to);
            let mut response = Response::default();
            let read = response.read(&mut message, &plugin.collected, context).await;
            emit::response(&message, &response, context, read);
            read
        } else {
            let mut request = Request::default();
            let read = request.read(&mut message, &plugin.collected).await;
            emit::request(&message, &request, read);
            read
        };
        // What is wrong inside a frame does not concern the next one; lost bytes are for the SDK to bridge.
        if read == Err(Stop::Lost) { read } else { Ok(()) }
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        front::frame(direction, bytes)
    }

    fn frame_id(&self, direction: Direction, bytes: &[u8]) -> Option<u64> {
        let header = Header::decode(bytes.first_chunk()?).ok()?;
        header.is_response(direction).then(|| header.response_to.into())
    }
}

export!(Mongodb as Sequential);
