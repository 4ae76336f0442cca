//! protap plugin: MongoDB's wire protocol.
//!
//! Every message becomes one request, response or one-way message, paired by `requestID` and `responseTo`. Commands
//! are named, with their database, collection, number of documents and the shape of what they look for; replies are
//! judged by `ok`, `writeErrors` and `writeConcernError`. Values, documents and error texts belong to the user: they are
//! passed over, and only an option of the user's shows the values of queries.

#![forbid(unsafe_code)]

use std::rc::Rc;

use protap_plugin::prelude::*;
use protap_plugin::{Source, Whole, at_once, large};

use self::context::Context;
use self::cursors::Cursors;
use self::header::Header;
use self::message::Message;
use self::request::Request;
use self::response::Response;
use self::settings::Settings;

mod bson;
mod command;
mod compressed;
mod context;
mod crc32c;
mod cursors;
mod document;
mod emit;
mod error_codes;
mod field;
mod front;
mod header;
mod inflate;
mod line;
mod message;
mod op_msg;
mod probe;
mod query;
mod reply;
mod request;
mod response;
mod settings;
mod shape;
mod terms;
mod verb;

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
    QUERY_TEXT: str = "db.query.text",
    OP_CODE: str = "mongodb.op_code",
    CURSOR_ID: i64 = "mongodb.cursor_id",
    APP_NAME: str = "mongodb.app_name",
    READ_CONCERN: str = "mongodb.read_concern",
    WRITE_CONCERN: str = "mongodb.write_concern",
    READ_PREFERENCE: str = "mongodb.read_preference",
    SESSION: str = "mongodb.session",
    CURSOR_BATCH_SIZE: i64 = "mongodb.batch_size",
    TXN_NUMBER: i64 = "mongodb.txn_number",
    IN_TRANSACTION: bool = "mongodb.transaction",
    COLLECTIONS: list = "mongodb.namespaces",
    CHANGE_STREAM: bool = "mongodb.change_stream",
    GRIDFS_BUCKET: str = "mongodb.gridfs_bucket",
    VIEW_ON: str = "mongodb.view_on",
    COMPRESSOR: str = "mongodb.compressor",
    N: i64 = "mongodb.n",
    N_MODIFIED: i64 = "mongodb.n_modified",
    N_INSERTED: i64 = "mongodb.n_inserted",
    N_MATCHED: i64 = "mongodb.n_matched",
    N_UPSERTED: i64 = "mongodb.n_upserted",
    N_DELETED: i64 = "mongodb.n_deleted",
    ERROR_LABELS: list = "mongodb.error_labels",
    WRITE_ERRORS: i64 = "mongodb.write_errors",
    WRITE_CONCERN_ERROR: str = "mongodb.write_concern_error",
}

/// The parser.
#[derive(Debug, Default)]
pub struct Mongodb {
    settings: Settings,
}

impl Sequential for Mongodb {
    const MANIFEST: Manifest = Manifest::new("mongodb", env!("CARGO_PKG_VERSION"))
        .ports(&[27017, 27018, 27019])
        .window(32 << 10)
        .attributes(SCHEMA)
        .decodes(&[
            "OP_MSG: commands and replies, document sequences, checksums, one-way and exhaust messages",
            "OP_QUERY and OP_REPLY; OP_INSERT, OP_UPDATE, OP_DELETE, OP_GET_MORE, OP_KILL_CURSORS",
            "OP_COMPRESSED (noop, snappy, zlib, zstd): the first 256 KiB, or as many as an option says",
            "OP_COMMAND, OP_COMMANDREPLY, the OP_MSG of old",
            "shapes of filters, updates and pipelines",
        ])
        .options(settings::OPTIONS);
    type Flow = Cursors;
    const FRAME_IS_PROOF: bool = true;
    /// Lengths of replies may lie.
    const AWAITS_FRAMES: &'static [Direction] = &[Direction::ToServer];

    fn configure(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        self.settings.configure(key, value)
    }

    fn probe(&self, heads: &Heads<'_>) -> Verdict {
        probe::probe(heads)
    }

    async fn message(plugin: Rc<Self>, cursors: Rc<Cursors>, stream: Stream) -> Result<(), Stop> {
        read(&stream, &plugin.settings, &cursors).await
    }

    fn message_now(&self, cursors: &Cursors, stream: &Stream<Whole<'_>>) -> Option<Result<(), Stop>> {
        Some(read_now(stream, &self.settings, cursors))
    }

    fn frame(&self, direction: Direction, bytes: &[u8]) -> Frame {
        front::frame(direction, bytes)
    }

    fn frame_id(&self, direction: Direction, bytes: &[u8]) -> Option<u64> {
        let header = Header::decode(bytes.first_chunk()?).ok()?;
        header.is_response(direction).then(|| header.response_to.into())
    }
}

#[at_once]
async fn read(stream: &Stream<impl Source>, settings: &Settings, cursors: &Cursors) -> Result<(), Stop> {
    let message = Message::read(stream).await?;
    large(body(message, stream, settings, cursors)).await
}

/// Reads what follows a header, and emits what the message says.
#[at_once]
async fn body(
    mut message: Message,
    stream: &Stream<impl Source>,
    settings: &Settings,
    cursors: &Cursors,
) -> Result<(), Stop> {
    let read = if message.header.is_response(stream.direction()) {
        let context = Context::pending(stream, message.header.response_to);
        let mut response = Response::default();
        let read = response.read(&mut message, stream, settings, context).await;
        message.note_end(read);
        if emit::response(stream, &message, &response, context).is_some() {
            cursors.answered(&response.reply, context);
        }
        read
    } else {
        let mut request = Request::new(settings);
        let read = request.read(&mut message, stream, settings).await;
        cursors.asked(&mut request);
        message.note_end(read);
        emit::request(stream, &message, &request, settings);
        read
    };
    // What is wrong inside a frame does not concern the next one; lost bytes are for the SDK to bridge.
    if read == Err(Stop::Lost) && !message.is_cut { read } else { Ok(()) }
}

export!(Mongodb as Sequential);
