//! Puts what was read into the answer, under DeepFlow's fields and OpenTelemetry's attribute names.

use std::borrow::Cow;

use protap_plugin::{MessageWriter, Source, Status, Stream, Texts};

use crate::command::{Name, Verb};
use crate::error::{Code, redirection};
use crate::flow::{Answered, Context, Database};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Role;
use crate::wire::Kind;
use crate::{
    ARGUMENT_COUNT, BATCH_SIZE, CHANNEL_COUNT, CHANNELS, ERROR_COUNT, ERROR_TYPE, KEY_COUNT, KEYS, NAMESPACE,
    OPERATION, PUSH_KIND, REDIRECTION, REPLICATED, REPLY_BYTES, REPLY_ELEMENTS, REPLY_TYPE, STATUS_CODE, SYSTEM,
};

const SYSTEM_NAME: &str = "redis";
/// Stands for the name of a command that does not look like one.
const UNKNOWN: &str = "unknown";
const LOST: &str = "bytes lost";
const NOT_SEEN: &str = "its request was not seen";

/// How a request is emitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) context: Context,
    pub(crate) database: Option<u32>,
    pub(crate) is_one_way: bool,
    pub(crate) is_long_poll: bool,
    pub(crate) is_whole: bool,
}

/// Emits a request.
pub(crate) fn request(stream: &Stream<impl Source>, request: &Request, asked: Asked) {
    stream.emit(|out, texts| {
        let type_name = type_name(request);
        let mut writer = match (asked.is_one_way, asked.is_long_poll) {
            (true, _) => out.one_way(&type_name),
            (false, true) => out.request(&type_name).long_poll(),
            (false, false) => out.request(&type_name),
        };
        if !asked.is_one_way {
            writer = writer.context(asked.context.to_bytes());
        }
        writer = command(database(writer, asked.database), &type_name, request, texts);
        if let (Verb::Exec, Some(number)) = (request.verb, asked.context.number) {
            writer = writer.i64(BATCH_SIZE, number);
        }
        incomplete(writer, asked.is_whole).emit();
    });
}

/// Emits a command that a master sends to its replica.
pub(crate) fn replicated(stream: &Stream<impl Source>, request: &Request, selected: Database, is_whole: bool) {
    stream.emit(|out, texts| {
        let type_name = type_name(request);
        let writer = out.one_way(&type_name).bool(REPLICATED, true);
        incomplete(command(database(writer, selected.0), &type_name, request, texts), is_whole).emit();
    });
}

/// Emits such a command, of which only the name was read.
pub(crate) fn replicated_unread(stream: &Stream<impl Source>, reply: &Reply) {
    stream.emit(|out, texts| {
        let name = Name::of(texts.get(reply.first));
        let name = name.as_ref().map_or(UNKNOWN, Name::as_str);
        let writer = out.one_way(name).bool(REPLICATED, true).str(SYSTEM, SYSTEM_NAME).str(OPERATION, name);
        writer.partial("the beginning of the replication was not seen").emit();
    });
}

/// Emits a snapshot: the answer to SYNC, or what follows the answer to PSYNC.
pub(crate) fn snapshot(stream: &Stream<impl Source>, bytes: u64, is_answer: bool) {
    stream.emit(|out, _| {
        let writer = if is_answer { out.response(Status::Ok) } else { out.one_way("snapshot").bool(REPLICATED, true) };
        writer.str(SYSTEM, SYSTEM_NAME).i64(REPLY_BYTES, saturate(bytes)).emit();
    });
}

/// Emits what a server sends.
pub(crate) fn reply(
    stream: &Stream<impl Source>,
    flow: &Answered,
    reply: &Reply,
    context: Option<Context>,
    role: Role,
    is_whole: bool,
) {
    stream.emit(|out, texts| {
        let message = |name: &[u8]| {
            let known = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            if name.is_empty() || !known { UNKNOWN.to_owned() } else { String::from_utf8_lossy(name).into_owned() }
        };
        match role {
            Role::Message(name) => {
                let name = message(texts.get(name));
                let mut writer = out.one_way(&name).str(SYSTEM, SYSTEM_NAME).str(PUSH_KIND, &name);
                if context.is_none() && name.ends_with("subscribe") {
                    writer = writer.partial(NOT_SEEN);
                }
                incomplete(size(writer, reply), is_whole).emit();
            }
            Role::Monitored => {
                let writer = out.one_way("monitor").str(SYSTEM, SYSTEM_NAME).str(PUSH_KIND, "monitor");
                incomplete(writer, is_whole).emit();
            }
            Role::Answer { has_more } => {
                let outcome = Outcome::of(reply, context, texts, is_whole);
                let mut writer = outcome.write(out.response(outcome.status));
                if has_more {
                    writer = writer.more_replies();
                }
                writer = writer.str(SYSTEM, SYSTEM_NAME);
                match context {
                    None => writer = writer.partial(NOT_SEEN),
                    Some(context) if !context.has_said_database => writer = database(writer, flow.database.get().0),
                    Some(_) => {}
                }
                let is_unsubscribed =
                    matches!(context, Some(Context { verb: Verb::Unsubscribe(_), number: Some(0), .. }));
                if is_unsubscribed && flow.is_uncertain.get() && !reply.names_nothing {
                    writer = writer.partial("how much was subscribed to is not known");
                }
                if let Some(target) = reply.code.and_then(|_| redirection(texts.get(reply.line))) {
                    writer = writer.str(REDIRECTION, target);
                }
                incomplete(size(writer, reply), is_whole).emit();
            }
        }
    });
}

/// How a request ended.
struct Outcome {
    status: Status,
    code: Option<Code>,
    result: Option<&'static str>,
}

impl Outcome {
    fn of(reply: &Reply, context: Option<Context>, texts: Texts<'_>, is_whole: bool) -> Self {
        let is_transaction = context.is_some_and(|context| context.verb == Verb::Exec);
        // What failed inside of a transaction is told by nothing else.
        let code = reply.code.or(reply.first_error.filter(|_| is_transaction));
        if let Some(code) = code {
            return Self { status: code.status(), code: Some(code), result: None };
        }
        let result = match (reply.kind, texts.get(reply.line)) {
            (Some(Kind::Null), _) if is_transaction => Some("aborted"),
            (Some(Kind::Null), _) => Some("nil"),
            (Some(Kind::SimpleString), b"OK") => Some("OK"),
            (Some(Kind::SimpleString), b"QUEUED") => Some("QUEUED"),
            (Some(Kind::SimpleString), b"PONG") => Some("PONG"),
            _ => None,
        };
        Self { status: if is_whole { Status::Ok } else { Status::Unknown }, code: None, result }
    }

    fn write<'a>(&self, mut writer: MessageWriter<'a>) -> MessageWriter<'a> {
        if let Some(result) = self.result {
            writer = writer.result(result);
        }
        match self.code.as_ref().map(Code::name) {
            None => writer,
            Some(None) => writer.str(ERROR_TYPE, "_OTHER"),
            Some(Some(name)) => writer.exception(name).str(STATUS_CODE, name).str(ERROR_TYPE, name),
        }
    }
}

fn command<'a>(
    mut writer: MessageWriter<'a>,
    type_name: &str,
    request: &Request,
    texts: Texts<'_>,
) -> MessageWriter<'a> {
    writer = writer.str(SYSTEM, SYSTEM_NAME).str(OPERATION, type_name);
    let arguments = request.count.saturating_sub(1 + u64::from(request.subcommand.is_some()));
    writer = writer.i64(ARGUMENT_COUNT, saturate(arguments));
    let Some((count, are_channels)) = request.key_count(texts).filter(|(count, _)| *count > 0) else { return writer };
    let (count_of, list_of) = if are_channels { (CHANNEL_COUNT, CHANNELS) } else { (KEY_COUNT, KEYS) };
    writer = writer.i64(count_of, saturate(count));
    if request.keys.is_empty() {
        return writer;
    }
    writer.list(list_of, request.keys.iter().map(|key| texts.get(*key)))
}

fn database(writer: MessageWriter<'_>, database: Option<u32>) -> MessageWriter<'_> {
    match database {
        None => writer,
        // Where nearly all are.
        Some(0) => writer.domain("0").str(NAMESPACE, "0"),
        Some(database) => {
            let name = database.to_string();
            writer.domain(&name).str(NAMESPACE, &name)
        }
    }
}

/// What a reply is, and how much of it there is.
fn size<'a>(mut writer: MessageWriter<'a>, reply: &Reply) -> MessageWriter<'a> {
    if let Some(kind) = reply.kind {
        writer = writer.str(REPLY_TYPE, kind.name());
    }
    if let Some(items) = reply.items {
        writer = writer.i64(REPLY_ELEMENTS, saturate(items));
    }
    if reply.bytes > 0 {
        writer = writer.i64(REPLY_BYTES, saturate(reply.bytes));
    }
    if reply.errors > 0 {
        writer = writer.i64(ERROR_COUNT, saturate(reply.errors));
    }
    writer
}

fn incomplete(writer: MessageWriter<'_>, is_whole: bool) -> MessageWriter<'_> {
    if is_whole { writer } else { writer.partial(LOST) }
}

fn saturate(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A command's name, and its subcommand's.
fn type_name(request: &Request) -> Cow<'_, str> {
    let name = request.name.as_ref().map_or(UNKNOWN, Name::as_str);
    request.subcommand.map_or(name.into(), |subcommand| format!("{name} {subcommand}").into())
}
