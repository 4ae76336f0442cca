//! What a request means for those that follow it: which of them are answered, and which database they are about.

use protap_plugin::{Source, Stop, Stream, Whole};

use crate::command::Verb;
use crate::emit;
use crate::flow::{Asked, Context, Replies};
use crate::request::Request;
use crate::wire;

/// Reads a request and emits it.
pub(crate) async fn read(stream: &Stream, flow: &Asked, wants_keys: bool) -> Result<(), Stop> {
    let mut request = Request::default();
    let read = request.read(stream, wants_keys).await;
    told(stream, flow, &request, read)
}

/// The same for one that is there as a whole; if it is not, it is told once more has come.
pub(crate) fn read_now(stream: &Stream<Whole<'_>>, flow: &Asked, wants_keys: bool) -> Result<(), Stop> {
    let mut request = Request::default();
    match request.read_now(stream, wants_keys) {
        Err(Stop::Lost) => Err(Stop::Lost),
        read => told(stream, flow, &request, read),
    }
}

/// Emits what was read, and takes note of it.
fn told(
    stream: &Stream<impl Source>,
    flow: &Asked,
    request: &Request,
    read: Result<Option<()>, Stop>,
) -> Result<(), Stop> {
    let is_named = request.count > 0 && request.name.is_some();
    match read {
        Ok(None) => return Ok(()),
        Ok(Some(())) => {}
        // What can be said of a request whose end was lost.
        Err(Stop::Lost) if is_named => {}
        Err(stop) => return Err(stop),
    }
    let is_whole = read.is_ok();
    let number = number(stream, flow, request);
    let is_transaction = flow.queued.get().is_some();
    let is_one_way = !is_answered(stream, flow, request);
    let is_long_poll = !is_transaction && is_long_poll(stream, request);
    take_note(flow, request.verb);
    // Where SELECT leads is said by its answer.
    let is_sure = !flow.may_be_elsewhere.get() && request.verb != Verb::Select;
    let context = Context { verb: request.verb, has_said_database: is_sure, number };
    let database = is_sure.then_some(0);
    emit::request(stream, request, emit::Asked { context, database, is_one_way, is_long_poll, is_whole });
    read.map(|_| ())
}

/// The number that the response has to know.
fn number(stream: &Stream<impl Source>, flow: &Asked, request: &Request) -> Option<u32> {
    let number = match request.verb {
        Verb::Select => stream.with_texts(|texts| wire::number(request.word(1, texts)))?,
        Verb::Subscribe(_) | Verb::Unsubscribe(_) => request.count.saturating_sub(1),
        Verb::Exec => u64::from(flow.queued.get()?),
        _ => return None,
    };
    u32::try_from(number).ok()
}

fn take_note(flow: &Asked, verb: Verb) {
    if verb == Verb::Select {
        flow.may_be_elsewhere.set(true);
    }
    match verb {
        Verb::Multi => flow.queued.set(flow.queued.get().or(Some(0))),
        Verb::Exec | Verb::Discard => flow.queued.set(None),
        Verb::Reset => {
            flow.queued.set(None);
            flow.may_be_elsewhere.set(false);
        }
        _ => flow.queued.set(flow.queued.get().map(|queued| queued.saturating_add(1))),
    }
}

/// Whether there will be a response: CLIENT REPLY turns them off, and replicas wait for none.
fn is_answered(stream: &Stream<impl Source>, flow: &Asked, request: &Request) -> bool {
    let replies = flow.replies.get();
    if replies == Replies::Skip {
        flow.replies.set(Replies::On);
    }
    if request.verb == Verb::Reset {
        flow.replies.set(Replies::On);
        return true;
    }
    let is_subscription = match request.verb {
        Verb::Subscribe(_) => request.count > 1,
        Verb::Unsubscribe(_) => true,
        _ => false,
    };
    let is_queued = flow.queued.get().is_some();
    stream.with_texts(|texts| {
        // What is queued, or has too many words, turns nothing on or off.
        if request.subcommand == Some("REPLY") && request.count == 3 && !is_queued {
            if request.says(2, "ON", texts) {
                flow.replies.set(Replies::On);
                return true;
            }
            if request.says(2, "OFF", texts) {
                flow.replies.set(Replies::Off);
                return false;
            }
            if request.says(2, "SKIP", texts) && replies != Replies::Off {
                flow.replies.set(Replies::Skip);
                return false;
            }
        }
        let is_acknowledgement = request.verb == Verb::Replconf && request.says(1, "ACK", texts);
        // Subscriptions are confirmed even so, as messages are sent even so.
        (replies == Replies::On || is_subscription && !is_queued) && !is_acknowledgement
    })
}

fn is_long_poll(stream: &Stream<impl Source>, request: &Request) -> bool {
    match request.verb {
        Verb::Blocking => true,
        Verb::Read => stream.with_texts(|texts| request.streams(texts).1),
        _ => false,
    }
}
