//! What a master sends to a replica: a snapshot, then every command that changes something, for ever. The replica says
//! no more than how far it is.
//!
//! ```text
//! +FULLRESYNC id offset\r\n      the answer to PSYNC; that to SYNC is the snapshot itself
//! \n                             now and then, until the snapshot is ready
//! $len\r\n bytes                 the snapshot, without an end of its own
//! $EOF:mark\r\n bytes mark       or one of unknown length, up to 40 bytes that nobody can guess
//! *3\r\n$3\r\nSET\r\n...         commands
//! ```
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>

use protap_plugin::{Source, Stop, Stream};

use crate::command::{Name, Verb};
use crate::emit;
use crate::flow::{Answered, Database, Replication};
use crate::reply::Reply;
use crate::request::Request;
use crate::wire::{self, Kind};

/// Bytes of a mark.
const MARK: usize = 40;
/// Longest line before a snapshot.
const MAX_LINE: usize = 64;

/// Reads the snapshot that SYNC is answered with.
pub(crate) async fn answer(stream: &Stream, flow: &Answered) -> Result<(), Stop> {
    let bytes = pass_snapshot(stream).await?;
    flow.replication.set(Replication::Commands);
    emit::snapshot(stream, bytes, true);
    Ok(())
}

/// Reads the snapshot that follows the answer to PSYNC.
pub(crate) async fn snapshot(stream: &Stream, flow: &Answered) -> Result<(), Stop> {
    if is_empty_line(stream).await? {
        return stream.skip(1).await;
    }
    let bytes = pass_snapshot(stream).await?;
    flow.replication.set(Replication::Commands);
    emit::snapshot(stream, bytes, false);
    Ok(())
}

/// Reads a command.
pub(crate) async fn command(stream: &Stream, flow: &Answered) -> Result<(), Stop> {
    if is_empty_line(stream).await? {
        return stream.skip(1).await;
    }
    let mut request = Request::default();
    let read = request.read(stream, false).await;
    if read == Ok(None) || request.name.is_none() {
        return read.map(|_| ());
    }
    if request.verb == Verb::Select && read.is_ok() {
        let database = stream.with_texts(|texts| wire::number(request.word(1, texts)));
        flow.database.set(Database(database.and_then(|database| u32::try_from(database).ok())));
    }
    emit::replicated(stream, &request, flow.database.get(), read.is_ok());
    read.map(|_| ())
}

/// Whether the array that nobody asked for is a command to a replica.
pub(crate) fn is_command(stream: &Stream<impl Source>, reply: &Reply) -> bool {
    let is_known =
        || stream.with_texts(|texts| Name::of(texts.get(reply.first)).is_some_and(|name| name.command().is_some()));
    reply.kind == Some(Kind::Array) && is_known()
}

async fn is_empty_line(stream: &Stream) -> Result<bool, Stop> {
    stream.available(1).await?;
    Ok(stream.peek(|bytes| bytes.first() == Some(&b'\n')))
}

/// Passes over a snapshot; gives its length.
async fn pass_snapshot(stream: &Stream) -> Result<u64, Stop> {
    let line = stream.text_until(b'\n', MAX_LINE).await?;
    let start = stream.offset();
    let (len, mark) = stream.with_texts(|texts| {
        let line = texts.get(line).trim_ascii_end();
        let mark = line.strip_prefix(b"$EOF:").and_then(|mark| <[u8; MARK]>::try_from(mark).ok());
        (line.strip_prefix(b"$").and_then(wire::number), mark)
    });
    match (len, mark) {
        (Some(len), _) => stream.skip(len).await?,
        (_, Some(mark)) => pass_to_mark(stream, &mark).await?,
        _ => return Err(Stop::Malformed("no snapshot where one is due")),
    }
    Ok(stream.offset().saturating_sub(start))
}

async fn pass_to_mark(stream: &Stream, mark: &[u8; MARK]) -> Result<(), Stop> {
    loop {
        stream.available(MARK).await?;
        let (found, there) = stream.peek(|bytes| (find(bytes, mark), bytes.len()));
        match found {
            Some(at) => return stream.skip((at + MARK) as u64).await,
            // The mark may have begun.
            None => stream.skip((there + 1).saturating_sub(MARK) as u64).await?,
        }
    }
}

fn find(bytes: &[u8], mark: &[u8; MARK]) -> Option<usize> {
    let first = mark.first()?;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let step = rest.iter().position(|byte| byte == first)?;
        at += step;
        let here = bytes.get(at..).unwrap_or_default();
        if here.len() < MARK {
            return None;
        }
        if here.starts_with(mark) {
            return Some(at);
        }
        at += 1;
    }
}
