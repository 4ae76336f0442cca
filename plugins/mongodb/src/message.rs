//! A message on its way from the wire to the answer: where its body is read, and what became of that. A server's word
//! for a message's length is taken, unless what it says of a reply that is waited for cannot be: then the reply's
//! document tells, so that one lie costs one message.

use protap_plugin::{Direction, Frame, Source, Stop, Stream, at_once, rare};

use crate::bson::MIN_DOCUMENT;
use crate::compressed::{self, Compressor, Limits};
use crate::context::Context;
use crate::crc32c::crc32c;
use crate::front;
use crate::header::{self, Header, MAX_MESSAGE, OpCode};
use crate::op_msg::Flags;

const LIES: &str = "a message length that lies";
/// Shortest OP_MSG: its flags, and a section with an empty document.
const MIN_MSG: u64 = header::LEN as u64 + 4 + 1 + MIN_DOCUMENT;
/// Bytes that a front is looked for in, behind a message that ends before its length.
const MAX_FRONT: usize = 4 << 10;

/// A message whose header was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) header: Header,
    /// Stream offset behind the body.
    pub(crate) limit: u64,
    /// What the body is.
    pub(crate) op_code: OpCode,
    pub(crate) compressor: Option<Compressor>,
    /// Why the body was not decoded, or not in full, whatever else is wrong with it.
    pub(crate) note: Option<&'static str>,
    /// Only the beginning of the body is there.
    pub(crate) is_cut: bool,
    /// Stream offset of the message.
    start: u64,
}

#[at_once]
impl Message {
    /// Reads the header and declares the frame.
    pub(crate) async fn read(stream: &Stream<impl Source>) -> Result<Self, Stop> {
        let start = stream.offset();
        let bytes = stream.array().await?;
        let decoded = Header::decode(&bytes);
        let (header, note) = match decoded {
            Ok(header) if header.op_code != OpCode::Msg || header.message_length >= MIN_MSG => (header, None),
            _ => match (rare(mended(stream, bytes)).await, decoded) {
                (Some(header), _) => (header, Some(LIES)),
                (None, decoded) => (decoded.map_err(Stop::Malformed)?, None),
            },
        };
        stream.begin_frame(header.message_length)?;
        Ok(Self {
            header,
            limit: start.saturating_add(header.message_length),
            op_code: header.op_code,
            compressor: None,
            note,
            is_cut: false,
            start,
        })
    }

    /// Decompresses the body; `None` if it stands there as it is. If that is not possible, a note says so and the op code
    /// is left.
    pub(crate) async fn decompress(
        &mut self,
        stream: &Stream<impl Source>,
        limits: &Limits,
    ) -> Result<Option<Vec<u8>>, Stop> {
        let envelope = compressed::Envelope::read(stream).await?;
        self.compressor = Some(envelope.compressor);
        if envelope.is_plain(stream) {
            self.op_code = envelope.op_code;
            return Ok(None);
        }
        match envelope.open(stream, limits).await? {
            Ok(body) => {
                self.is_cut = (body.bytes.len() as u64) < body.size;
                if self.is_cut {
                    self.note = Some("compressed, too long to be decompressed in full");
                }
                self.limit = body.size;
                self.op_code = envelope.op_code;
                Ok(Some(body.bytes))
            }
            Err(note) => {
                self.note = Some(note);
                Ok(None)
            }
        }
    }

    /// The body was read that far: what was wrong with it is noted, unless something else is.
    pub(crate) fn note_end(&mut self, read: Result<(), Stop>) {
        if let Err(stop) = read {
            self.note.get_or_insert(match stop {
                Stop::Malformed(reason) | Stop::Reject(reason) | Stop::Opaque(reason) | Stop::Handover(_, reason) => {
                    reason
                }
                Stop::Lost => "bytes lost",
            });
        }
    }

    /// Looks at the flags of an OP_MSG that were just read; gives where its sections end.
    pub(crate) async fn flagged(&mut self, stream: &Stream<impl Source>, flags: Flags) -> Result<u64, Stop> {
        if flags.are_unknown() {
            self.note.get_or_insert("unknown flag bits");
        }
        if flags.has_checksum() && self.compressor.is_none() {
            rare(self.verify(stream, flags)).await?;
        }
        Ok(self.limit.saturating_sub(flags.trailer()))
    }

    /// Verifies the checksum of a message that fits into the window; longer ones are not kept for that.
    async fn verify(&mut self, stream: &Stream<impl Source>, flags: Flags) -> Result<(), Stop> {
        let left = usize::try_from(stream.frame_remaining()).unwrap_or(usize::MAX);
        if stream.available(left).await.is_err() {
            return Ok(());
        }
        let head = self.header.to_bytes();
        let is_right = stream.peek(|bytes| {
            let (content, checksum) = bytes.split_last_chunk()?;
            Some(crc32c(&[&head, &flags.bits().to_le_bytes(), content]) == u32::from_le_bytes(*checksum))
        });
        if is_right == Some(false) {
            self.note.get_or_insert("a checksum that does not match");
        }
        Ok(())
    }

    /// A reply was read, but its length says that there is more: if another message begins here, it ends here.
    pub(crate) async fn ends_early(&mut self, stream: &Stream<impl Source>, flags: Flags) -> Result<bool, Stop> {
        if self.compressor.is_some() || stream.direction() != Direction::ToClient || flags.has_checksum() {
            return Ok(false);
        }
        let stream = stream.arriving()?;
        let len = stream.offset().saturating_sub(self.start);
        let ends = rare(self.another_begins(&stream, 0)).await? == Some(true);
        if ends {
            self.note = Some(LIES);
            stream.begin_frame(len)?;
        }
        Ok(ends)
    }

    /// Looks at the first section of a reply, which begins here: if its document goes beyond the message, and no other
    /// message begins where this one should end, the document's length is the right one. Gives where sections end.
    pub(crate) async fn outgrown(
        &mut self,
        stream: &Stream<impl Source>,
        flags: Flags,
        limit: u64,
    ) -> Result<u64, Stop> {
        let is_plain = self.compressor.is_none() && stream.direction() == Direction::ToClient;
        if !is_plain || stream.available(5).await.is_err() {
            return Ok(limit);
        }
        let len = stream.peek(|bytes| bytes.first_chunk().copied()).map_or(0, |[kind, len @ ..]: [u8; 5]| match kind {
            0 => u64::from(u32::from_le_bytes(len)),
            _ => 0,
        });
        let end = stream.offset().saturating_add(len + 1);
        let message_length = (end - self.start).saturating_add(flags.trailer());
        if end <= limit || message_length > MAX_MESSAGE || !Context::is_pending(stream, self.header.response_to) {
            return Ok(limit);
        }
        let stream = stream.arriving()?;
        let ahead = usize::try_from(self.limit.saturating_sub(stream.offset())).unwrap_or(usize::MAX);
        if rare(self.another_begins(&stream, ahead)).await? != Some(false) {
            return Ok(limit);
        }
        (self.note, self.limit) = (Some(LIES), self.start.saturating_add(message_length));
        stream.begin_frame(message_length)?;
        Ok(end)
    }

    /// Whether another message of the server's begins so many bytes ahead, whatever this one's length says; `None` if
    /// that cannot be told.
    async fn another_begins(&self, stream: &Stream, ahead: usize) -> Result<Option<bool>, Stop> {
        stream.begin_frame(u64::MAX)?;
        let mut needed = header::LEN;
        let begins = loop {
            if stream.available(ahead.saturating_add(needed)).await.is_err() {
                break None;
            }
            let frame = stream.peek(|bytes| {
                let bytes = bytes.get(ahead..).and_then(|bytes| bytes.get(..needed));
                front::frame(Direction::ToClient, bytes.unwrap_or_default())
            });
            match frame {
                Frame::Len(_) => break Some(true),
                Frame::Need(more) if more > needed && more <= MAX_FRONT => needed = more,
                _ => break Some(false),
            }
        };
        stream.begin_frame(self.header.message_length)?;
        Ok(begins)
    }
}

/// The header of a reply that is waited for, with the length that follows from its document.
#[at_once]
async fn mended(stream: &Stream<impl Source>, mut bytes: [u8; header::LEN]) -> Option<Header> {
    let set_len = |bytes: &mut [u8; header::LEN], len: u32| {
        if let Some(slot) = bytes.first_chunk_mut() {
            *slot = len.to_le_bytes();
        }
    };
    set_len(&mut bytes, header::LEN as u32);
    let header = Header::decode(&bytes).ok()?;
    // What stands before the document: flags and kind; or flags, cursor, and where and how many documents there are.
    let before = match header.op_code {
        OpCode::Msg => 5,
        OpCode::Reply => 20,
        _ => return None,
    };
    if stream.direction() != Direction::ToClient || !Context::is_pending(stream, header.response_to) {
        return None;
    }
    stream.available(before + 4).await.ok()?;
    let (flags, document) = stream.peek(|bytes| {
        let flags = bytes.first_chunk().map(|flags| u32::from_le_bytes(*flags));
        let document = bytes.get(before..).and_then(|bytes| bytes.first_chunk());
        Some((Flags::new(flags?), u64::from(u32::from_le_bytes(*document?))))
    })?;
    let trailer = if header.op_code == OpCode::Msg { flags.trailer() } else { 0 };
    let message_length = (header::LEN + before) as u64 + document + trailer;
    (message_length <= MAX_MESSAGE && document >= MIN_DOCUMENT).then_some(Header { message_length, ..header })
}
