//! What a server sends: the answer to the oldest request, one of several answers to a subscription, or a message that
//! nobody asked for. In RESP3 the latter are marked, in RESP2 only their first word tells.
//! <https://redis.io/docs/latest/develop/pubsub/#format-of-pushed-messages>

use protap_plugin::{Source, Stop, Stream, Text, Whole, rare};

use crate::command::{Scope, Verb};
use crate::emit;
use crate::flow::{Answered, Context, Database, Replication};
use crate::replication;
use crate::reply::Reply;
use crate::wire::Kind;

/// What a value from the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An answer; whether more follow to the same request.
    Answer { has_more: bool },
    /// A message of that name.
    Message(Text),
    /// A line of MONITOR.
    Monitored,
}

/// What the first word of an array says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Message,
    Subscribed(Scope),
    Unsubscribed(Scope),
    Other,
}

/// Reads what comes next from the server.
pub(crate) async fn read(stream: &Stream, flow: &Answered) -> Result<(), Stop> {
    match flow.replication.get() {
        Replication::Snapshot => return rare(replication::snapshot(stream, flow)).await,
        Replication::Commands => return rare(replication::command(stream, flow)).await,
        Replication::None => {}
    }
    stream.available(1).await?;
    let context = Context::pending(stream);
    if let Some(Verb::Sync | Verb::Psync) = context.map(|context| context.verb) {
        match stream.peek(|bytes| bytes.first().copied()) {
            // The server is alive, and not ready.
            Some(b'\n') => return stream.skip(1).await,
            Some(b'$') => return rare(replication::answer(stream, flow)).await,
            _ => {}
        }
    }
    let mut reply = Reply::default();
    let read = reply.read(stream).await;
    told(stream, flow, &reply, context, read)
}

/// The same for what is there as a whole; if it is not, it is told once more has come. `None` where a snapshot may begin, or
/// a replica is spoken to.
pub(crate) fn read_now(stream: &Stream<Whole<'_>>, flow: &Answered) -> Option<Result<(), Stop>> {
    let context = Context::pending(stream);
    let is_replica = matches!(context.map(|context| context.verb), Some(Verb::Sync | Verb::Psync));
    if is_replica || flow.replication.get() != Replication::None {
        return None;
    }
    let mut reply = Reply::default();
    Some(match reply.read_now(stream) {
        Err(Stop::Lost) => Err(Stop::Lost),
        read => told(stream, flow, &reply, context, read),
    })
}

/// Emits what was read, and takes note of it.
fn told(
    stream: &Stream<impl Source>,
    flow: &Answered,
    reply: &Reply,
    context: Option<Context>,
    read: Result<(), Stop>,
) -> Result<(), Stop> {
    if reply.kind.is_none() || matches!(read, Err(Stop::Malformed(_))) {
        return read;
    }
    let is_published = word(stream, reply) != Word::Other;
    if context.is_none() && flow.is_uncertain.get() && !is_published && replication::is_command(stream, reply) {
        // It is a replica that was picked up in its middle.
        flow.replication.set(Replication::Commands);
        emit::replicated_unread(stream, reply);
        return read;
    }
    let role = role(stream, flow, reply, context);
    if read.is_ok() {
        learn(stream, flow, reply, context, role);
    }
    emit::reply(stream, flow, reply, context, role, read.is_ok());
    read
}

fn role(stream: &Stream<impl Source>, flow: &Answered, reply: &Reply, context: Option<Context>) -> Role {
    let verb = context.map(|context| context.verb);
    let word = word(stream, reply);
    let is_monitored = || stream.with_texts(|texts| is_monitored(texts.get(reply.line)));
    match (reply.kind, word) {
        // What would be a message in RESP2.
        (Some(Kind::Array), _) if flow.is_resp3.get() => Role::Answer { has_more: false },
        (Some(Kind::Push | Kind::Array), Word::Subscribed(scope)) if verb == Some(Verb::Subscribe(scope)) => {
            let named = context.and_then(|context| context.number).unwrap_or(1);
            Role::Answer { has_more: flow.confirmed.get() + 1 < u64::from(named) }
        }
        (Some(Kind::Push | Kind::Array), Word::Unsubscribed(scope)) if verb == Some(Verb::Unsubscribe(scope)) => {
            let left = match context.and_then(|context| context.number) {
                Some(named) if named > 0 => u64::from(named).saturating_sub(flow.confirmed.get() + 1),
                // From all that there are: how many that is was said before.
                _ if reply.names_nothing || flow.is_uncertain.get() => 0,
                _ => flow.subscriptions(scope).get().saturating_sub(1),
            };
            Role::Answer { has_more: left > 0 }
        }
        (Some(Kind::Push), _) => Role::Message(reply.first),
        (Some(Kind::Array), Word::Message) if may_interrupt(flow, verb) => Role::Message(reply.first),
        (Some(Kind::Array), Word::Subscribed(_) | Word::Unsubscribed(_)) if verb.is_none() => {
            Role::Message(reply.first)
        }
        // Nothing but a script answers like that.
        (Some(Kind::SimpleString), _) if (flow.is_monitoring.get() || verb != Some(Verb::Plain)) && is_monitored() => {
            Role::Monitored
        }
        _ => Role::Answer { has_more: false },
    }
}

/// Whether an array that looks like a message of RESP2 is none that was asked for: those who subscribe may ask for
/// little else.
fn may_interrupt(flow: &Answered, verb: Option<Verb>) -> bool {
    flow.is_subscribed()
        || matches!(
            verb,
            None | Some(Verb::Subscribe(_) | Verb::Unsubscribe(_) | Verb::Ping | Verb::Quit | Verb::Reset)
        )
}

fn word(stream: &Stream<impl Source>, reply: &Reply) -> Word {
    stream.with_texts(|texts| match (texts.get(reply.first), reply.items) {
        (b"message" | b"smessage", Some(3)) | (b"pmessage", Some(4)) => Word::Message,
        (b"subscribe", Some(3)) => Word::Subscribed(Scope::Channels),
        (b"psubscribe", Some(3)) => Word::Subscribed(Scope::Patterns),
        (b"ssubscribe", Some(3)) => Word::Subscribed(Scope::Shards),
        (b"unsubscribe", Some(3)) => Word::Unsubscribed(Scope::Channels),
        (b"punsubscribe", Some(3)) => Word::Unsubscribed(Scope::Patterns),
        (b"sunsubscribe", Some(3)) => Word::Unsubscribed(Scope::Shards),
        _ => Word::Other,
    })
}

/// `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`
fn is_monitored(line: &[u8]) -> bool {
    let Some(dot) = line.iter().position(|byte| *byte == b'.') else { return false };
    let (seconds, rest) = line.split_at(dot);
    let micros = rest.get(1..7).unwrap_or_default();
    dot > 0
        && seconds.iter().chain(micros).all(u8::is_ascii_digit)
        && micros.len() == 6
        && rest.get(7..9) == Some(b" [")
}

/// Takes note of what the reply changes.
fn learn(stream: &Stream<impl Source>, flow: &Answered, reply: &Reply, context: Option<Context>, role: Role) {
    let is_from_server = matches!(reply.kind, Some(Kind::Push | Kind::Array));
    let is_about_subscriptions = matches!(role, Role::Message(_)) || is_answer_to_subscription(context);
    match (word(stream, reply), reply.subscriptions) {
        (Word::Subscribed(scope) | Word::Unsubscribed(scope), Some(total))
            if is_from_server && is_about_subscriptions =>
        {
            flow.confirm(scope, total);
        }
        _ => {}
    }
    match reply.kind {
        Some(Kind::Push | Kind::Map) => flow.is_resp3.set(true),
        // HELLO's answer, which is a map in RESP3.
        Some(Kind::Array) if stream.with_texts(|texts| texts.get(reply.first) == b"server") => flow.is_resp3.set(false),
        _ => {}
    }
    let Role::Answer { has_more } = role else { return };
    flow.confirmed.set(if has_more { flow.confirmed.get() + 1 } else { 0 });
    let Some(context) = context else { return };
    let is_error = reply.code.is_some();
    let line = |word: &[u8]| stream.with_texts(|texts| texts.get(reply.line).starts_with(word));
    match context.verb {
        Verb::Select if line(b"QUEUED") => flow.queued.set(context.number),
        Verb::Select if line(b"OK") => flow.database.set(Database(context.number)),
        Verb::Exec => {
            // A SELECT in the transaction may be what failed.
            let selected = flow.queued.take().filter(|_| !is_error && reply.kind == Some(Kind::Array));
            if selected.is_some() {
                flow.database.set(Database(selected.filter(|_| reply.errors == 0)));
            }
        }
        Verb::Discard if !is_error => flow.queued.set(None),
        Verb::Reset if line(b"RESET") => flow.reset(),
        Verb::Monitor if line(b"OK") => flow.is_monitoring.set(true),
        Verb::Psync if line(b"FULLRESYNC") => flow.replication.set(Replication::Snapshot),
        Verb::Psync if line(b"CONTINUE") => flow.replication.set(Replication::Commands),
        _ => {}
    }
}

fn is_answer_to_subscription(context: Option<Context>) -> bool {
    context.is_some_and(|context| matches!(context.verb, Verb::Subscribe(_) | Verb::Unsubscribe(_)))
}
