//! Small steps of reading that requests and replies share.

use protap_plugin::{Source, Stop, Stream, Text, at_once};

use crate::wire::{Front, Head, Kind, Size, front};

/// Reads a value's line, which must not be a long one.
#[at_once]
pub(crate) async fn head(stream: &Stream<impl Source>) -> Result<Head, Stop> {
    loop {
        match stream.peek(front) {
            Front::Head(head) => {
                stream.skip(head.len as u64).await?;
                return Ok(head);
            }
            Front::More(len) => stream.available(len).await?,
            Front::LongLine(_) => return Err(Stop::Malformed("a long line where none can be")),
            Front::Bad(reason) => return Err(Stop::Malformed(reason)),
        }
    }
}

/// Reads the line of a string; gives the string's length.
#[at_once]
pub(crate) async fn string(stream: &Stream<impl Source>) -> Result<u64, Stop> {
    match head(stream).await? {
        Head { kind: Kind::BulkString, size: Size::Bytes(len), .. } => Ok(len),
        _ => Err(Stop::Malformed("an argument that is no string")),
    }
}

/// Reads what follows a string.
#[at_once]
pub(crate) async fn end_of_string(stream: &Stream<impl Source>) -> Result<(), Stop> {
    match stream.array().await? {
        [b'\r', b'\n'] => Ok(()),
        _ => Err(Stop::Malformed("a string that is not where it ends")),
    }
}

/// Reads and keeps that many bytes, which must be fewer than a window has.
#[at_once]
pub(crate) async fn beginning(stream: &Stream<impl Source>, len: u64) -> Result<Text, Stop> {
    if len == 0 {
        return Ok(Text::default());
    }
    stream.text(len).await
}
