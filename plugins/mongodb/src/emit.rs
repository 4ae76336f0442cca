//! Puts what was read into the answer, under DeepFlow's fields and OpenTelemetry's attribute names.

use protap_plugin::{Fixed, Kind, MessageWriter, Output, Source, Status, Stream, Text, Texts, Written};

use crate::command::Namespace;
use crate::context::Context;
use crate::error_codes::{self, Class};
use crate::header::OpCode;
use crate::line::Line;
use crate::message::Message;
use crate::reply::Error;
use crate::request::Request;
use crate::response::Response;
use crate::settings::Settings;
use crate::terms::Terms;
use crate::{
    APP_NAME, BATCH_SIZE, CHANGE_STREAM, COLLECTION, COLLECTIONS, COMPRESSOR, CURSOR_BATCH_SIZE, CURSOR_ID,
    ERROR_LABELS, ERROR_TYPE, GRIDFS_BUCKET, IN_TRANSACTION, N, N_DELETED, N_INSERTED, N_MATCHED, N_MODIFIED,
    N_UPSERTED, NAMESPACE, OP_CODE, OPERATION, QUERY_TEXT, READ_CONCERN, READ_PREFERENCE, RETURNED_ROWS, SESSION,
    STATUS_CODE, SYSTEM, TXN_NUMBER, VIEW_ON, WRITE_CONCERN, WRITE_CONCERN_ERROR, WRITE_ERRORS,
};

const SYSTEM_NAME: Fixed = Fixed("mongodb");

/// Emits a request or a one-way message.
#[inline(never)]
pub(crate) fn request(stream: &Stream<impl Source>, message: &Message, request: &Request, settings: &Settings) {
    stream.emit(|out, texts| {
        let name = match (request.command.name, request.operation) {
            (Some(name), _) => texts.get(name),
            (None, Some(name)) => name.as_bytes(),
            (None, None) => message.op_code.name().as_bytes(),
        };
        let (namespace, context) = (Names::of(texts, request.command.namespace), request.context().to_bytes());
        let mut writer = begin_request(out, message, request).id(message.header.request_id.into());
        let [database, dot, collection] = namespace.pieces();
        let [written, context, database, _, collection] = writer.write_all([name, &context, database, dot, collection]);
        writer = writer.type_name(written).context(context).str(SYSTEM, SYSTEM_NAME);
        if request.is_known() {
            writer = writer.str(OPERATION, written);
        }
        writer = namespace.emit(writer, database, collection);
        writer = request_attributes(writer, texts, message, request);
        if shows_query(request, texts) {
            let mut text = settings.scratch.borrow_mut();
            text.clear();
            request.command.query.write(&mut text, texts, name, namespace.collection.unwrap_or_default());
            writer = writer.str(QUERY_TEXT, &*text);
        }
        incomplete(writer, message.note, request.is_known()).emit();
    });
}

/// Emits a response; whether it could.
#[inline(never)]
pub(crate) fn response(
    stream: &Stream<impl Source>,
    message: &Message,
    response: &Response,
    context: Context,
) -> Option<()> {
    let reply = &response.reply;
    let reason = message.note.or(reply.ok.is_none().then_some("no ok in the reply"));
    let reason = reason.or((!context.is_known()).then_some("request not known"));
    stream.emit(|out, texts| {
        let mut writer = match reply.failure() {
            Some(error) => failure(out, texts, error),
            None if reply.is_success() => out.response(Status::Ok).code(0),
            None => out.response(Status::Unknown),
        };
        writer = writer.id(message.header.response_to.into());
        if response.more_to_come {
            // A server may answer each of these replies with the next one, or all of them to the request.
            writer = writer.next_id(message.header.request_id.into());
        }
        writer = reply_attributes(writer, texts, response, context);
        incomplete(writer, reason, reply.ok.is_some()).emit();
    })
}

fn begin_request<'a>(out: &'a mut Output, message: &Message, request: &Request) -> MessageWriter<'a> {
    if request.more_to_come || message.op_code.is_one_way() {
        out.message(Kind::OneWay)
    } else if request.command.is_long_poll() || request.awaits_data {
        out.message(Kind::Request).long_poll()
    } else {
        out.message(Kind::Request)
    }
}

/// The names of a database and a collection.
struct Names<'a> {
    database: Option<&'a [u8]>,
    collection: Option<&'a [u8]>,
}

impl<'a> Names<'a> {
    fn of(texts: Texts<'a>, namespace: Namespace) -> Self {
        let get = |text: Option<Text>| text.map(|text| texts.get(text));
        Self { database: get(namespace.database), collection: get(namespace.collection) }
    }

    /// What is to be written, one behind the other.
    fn pieces(&self) -> [&'a [u8]; 3] {
        let dot: &[u8] = if self.database.is_some() && self.collection.is_some() { b"." } else { b"" };
        [self.database.unwrap_or_default(), dot, self.collection.unwrap_or_default()]
    }

    /// Emits them as they were written.
    fn emit<'w>(&self, mut writer: MessageWriter<'w>, database: Written, collection: Written) -> MessageWriter<'w> {
        if self.database.is_some() {
            writer = writer.domain(database).str(NAMESPACE, database);
        }
        if let Some(name) = self.collection {
            writer = writer.resource(collection).str(COLLECTION, collection);
            if let Some(bucket) = name.strip_suffix(b".files").or(name.strip_suffix(b".chunks")) {
                writer = writer.str(GRIDFS_BUCKET, collection.part(0..bucket.len()));
            }
            if self.database.is_some() {
                writer = writer.endpoint(database.through(collection));
            }
        }
        writer
    }
}

fn request_attributes<'a>(
    mut writer: MessageWriter<'a>,
    texts: Texts<'_>,
    message: &Message,
    request: &Request,
) -> MessageWriter<'a> {
    let command = &request.command;
    if message.op_code != OpCode::Msg {
        writer = writer.str(OP_CODE, message.op_code.name());
    }
    if let Some(compressor) = message.compressor {
        writer = writer.str(COMPRESSOR, compressor.name());
    }
    // OpenTelemetry: only two and more are a batch.
    if command.operations > 1 {
        writer = writer.i64(BATCH_SIZE, saturate(command.operations));
    }
    if let Some(cursor_id) = command.cursor_id {
        writer = writer.i64(CURSOR_ID, cursor_id);
    }
    if let Some(app_name) = command.app_name {
        writer = writer.str(APP_NAME, texts.get(app_name));
    }
    if command.namespaces.len() > 1 {
        writer = writer.list(COLLECTIONS, command.namespaces.iter().map(|name| texts.get(*name)));
    }
    if command.query.is_change_stream {
        writer = writer.bool(CHANGE_STREAM, true);
    }
    if let Some(view_on) = command.view_on {
        writer = writer.str(VIEW_ON, texts.get(view_on));
    }
    terms(writer, texts, &command.terms)
}

/// Whether the shapes of its query are to be shown.
fn shows_query(request: &Request, texts: Texts<'_>) -> bool {
    let command = &request.command;
    // Operations of a `bulkWrite` may come before what they act upon.
    let is_system = |name: &Text| texts.get(*name).windows(8).any(|part| part == b".system.");
    let is_hidden = command.show().values && command.namespaces.iter().any(is_system);
    !command.query.is_empty() && command.show().shape && !is_hidden
}

#[inline]
fn terms<'a>(mut writer: MessageWriter<'a>, texts: Texts<'_>, terms: &Terms) -> MessageWriter<'a> {
    for (key, text) in [
        (READ_CONCERN, terms.read_concern),
        (WRITE_CONCERN, terms.write_concern),
        (READ_PREFERENCE, terms.read_preference),
        (SESSION, terms.session),
    ] {
        if let Some(text) = text {
            writer = writer.str(key, texts.get(text));
        }
    }
    for (key, number) in [(CURSOR_BATCH_SIZE, terms.batch_size), (TXN_NUMBER, terms.txn_number)] {
        if let Some(number) = number {
            writer = writer.i64(key, number);
        }
    }
    if terms.is_in_transaction {
        writer = writer.bool(IN_TRANSACTION, true);
    }
    writer
}

fn reply_attributes<'a>(
    mut writer: MessageWriter<'a>,
    texts: Texts<'_>,
    response: &Response,
    context: Context,
) -> MessageWriter<'a> {
    let reply = &response.reply;
    if !context.is_known() {
        // No request says these.
        writer = writer.str(SYSTEM, SYSTEM_NAME);
        if let Some(namespace) = reply.namespace.map(|text| texts.get(text)) {
            let mut parts = namespace.splitn(2, |byte| *byte == b'.');
            let names = Names { database: parts.next(), collection: parts.next() };
            let [database, _, collection] = writer.write_all(names.pieces());
            writer = names.emit(writer, database, collection);
        }
    }
    if let Some(cursor_id) = reply.cursor_id.filter(|id| *id != 0 && !context.is_get_more()) {
        writer = writer.i64(CURSOR_ID, cursor_id);
    }
    if let Some(rows) = reply.rows {
        writer = writer.i64(RETURNED_ROWS, saturate(rows));
    }
    for (key, count) in [
        (N, reply.n),
        (N_MODIFIED, reply.n_modified),
        (N_INSERTED, reply.n_inserted),
        (N_MATCHED, reply.n_matched),
        (N_UPSERTED, reply.n_upserted),
        (N_DELETED, reply.n_deleted),
    ] {
        if let Some(count) = count {
            writer = writer.i64(key, count);
        }
    }
    if !reply.error_labels.is_empty() {
        writer = writer.list(ERROR_LABELS, reply.error_labels.iter().map(|label| texts.get(*label)));
    }
    if reply.write_errors > 0 {
        writer = writer.i64(WRITE_ERRORS, saturate(reply.write_errors));
    }
    if let Some(error) = reply.write_concern_error {
        writer = writer.str(WRITE_CONCERN_ERROR, error_name(texts, error).as_bytes());
    }
    writer
}

/// Begins the response to a request that failed.
fn failure<'a>(out: &'a mut Output, texts: Texts<'_>, error: Error) -> MessageWriter<'a> {
    let status = match error_codes::class(error.code) {
        Class::Client => Status::ClientError,
        Class::Server => Status::ServerError,
        Class::Timeout => Status::Timeout,
    };
    let name = error_name(texts, error);
    let mut writer = out.response(status);
    if !name.as_bytes().is_empty() {
        writer = writer.exception(name.as_bytes()).str(ERROR_TYPE, name.as_bytes());
    }
    if let Some(code) = error.code {
        writer = writer.code(code).str(STATUS_CODE, Line::<24>::of(code).as_bytes());
    }
    writer
}

/// The error's name: as the server says it, or as it is known, or as the server would call it.
fn error_name(texts: Texts<'_>, error: Error) -> Line<64> {
    let mut line = Line::default();
    let said = error.name.map(|name| texts.get(name)).filter(|name| name.iter().all(u8::is_ascii_alphanumeric));
    match (said.filter(|name| !name.is_empty()), error.code) {
        (Some(name), _) => line.push(name),
        (None, Some(code)) => match error_codes::name(code) {
            Some(name) => line.push(name.as_bytes()),
            None => {
                line.push(b"Location");
                line.push(Line::<24>::of(code).as_bytes());
            }
        },
        (None, None) => {}
    }
    line
}

fn incomplete<'a>(writer: MessageWriter<'a>, reason: Option<&str>, is_known: bool) -> MessageWriter<'a> {
    match reason {
        None => writer,
        Some(reason) if is_known => writer.partial(reason),
        Some(reason) => writer.header_only(reason),
    }
}

fn saturate(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
