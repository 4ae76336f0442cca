//! Small steps of reading that requests and replies share.

use protap_plugin::{Stop, Stream, Text};

use crate::wire::{Front, Head, front};

/// Reads a value's line, which must not be a long one.
pub(crate) async fn head(stream: &Stream) -> Result<Head, Stop> {
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

/// Reads and keeps that many bytes, which must be fewer than a window has.
pub(crate) async fn beginning(stream: &Stream, len: u64) -> Result<Text, Stop> {
    if len == 0 {
        return Ok(Text::default());
    }
    stream.text(len).await
}
