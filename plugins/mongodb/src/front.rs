//! Telling a message from other bytes by its front: for inference, and to find the next message after a loss. It counts
//! only if everything fits together: length, ids, op code, flags, and the first document with its first name and the
//! length of its first value. No other protocol, and no noise, looks like that.

use core::ops::ControlFlow::{self, Break, Continue};

use protap_plugin::{Direction, Frame};

use crate::bson::{MIN_DOCUMENT, ValueLen, value_len};
use crate::header::{self, Header, MAX_MESSAGE, OpCode};
use crate::op_msg::Flags;

/// Flag bits of an OP_MSG that are in use; servers with one of their own were seen.
const MSG_FLAGS: u32 = 1 | 1 << 1 | 1 << 16;
/// Longest name that counts as one.
const MAX_NAME: usize = 255;
/// Smallest section: its kind, and an empty document.
const MIN_SECTION: u64 = 6;

/// What frame begins here, if it goes that way?
pub(crate) fn frame(direction: Direction, bytes: &[u8]) -> Frame {
    let Some(fixed) = bytes.first_chunk() else {
        let len = bytes.first_chunk().map(|len| u64::from(u32::from_le_bytes(*len)));
        let may_be = len.is_none_or(|len| (header::LEN as u64..=MAX_MESSAGE).contains(&len));
        return if may_be { Frame::Need(header::LEN) } else { Frame::Invalid("no header") };
    };
    let header = match Header::decode(fixed) {
        Ok(header) => header,
        Err(reason) => return Frame::Invalid(reason),
    };
    // Requests answer nothing. What answers a request with the id 0 is told by its op code alone.
    let ids_fit = (header.response_to == 0) == (direction == Direction::ToServer) || header.op_code == OpCode::Reply;
    if !header.op_code.goes(direction) || !ids_fit {
        return Frame::Invalid("not in this direction");
    }
    let mut front = Front { bytes, at: header::LEN, end: header.message_length };
    match front.check(&header, direction) {
        Continue(()) => Frame::Len(header.message_length),
        Break(doubt) => doubt,
    }
}

/// A cursor over the front of a message, all of which has to be right.
struct Front<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes of the message.
    end: u64,
}

type Check<T = ()> = ControlFlow<Frame, T>;

const NO: Frame = Frame::Invalid("not a message of MongoDB");

fn require(is_right: bool) -> Check {
    if is_right { Continue(()) } else { Break(NO) }
}

/// What names of commands, and of the fields of their replies, are made of.
fn is_command_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')
}

/// What the first field names of the user's documents are made of, as a rule; the rare others are no evidence.
fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// What namespaces are made of: UTF-8 of any language.
fn is_namespace_byte(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f
}

impl Front<'_> {
    fn check(&mut self, header: &Header, direction: Direction) -> Check {
        match header.op_code {
            OpCode::Msg => self.msg(direction),
            OpCode::Compressed => self.compressed(direction),
            OpCode::Reply => self.reply(header),
            OpCode::Query => {
                require(self.u32()? < 1 << 8)?;
                self.namespace()?;
                require(self.u32()? <= i32::MAX.cast_unsigned())?;
                self.u32()?;
                self.user_document(0)
            }
            OpCode::Insert => {
                require(self.u32()? <= 1)?;
                self.namespace()?;
                self.user_document(0)
            }
            OpCode::Update | OpCode::Delete => {
                require(self.u32()? == 0)?;
                self.namespace()?;
                require(self.u32()? <= 3)?;
                self.user_document(0)
            }
            OpCode::GetMore => {
                require(self.u32()? == 0)?;
                self.namespace()?;
                require(self.end == self.at as u64 + 12)
            }
            OpCode::KillCursors => {
                require(self.u32()? == 0)?;
                let count = u64::from(self.u32()?);
                require(count > 0 && self.end == self.at as u64 + 8 * count)
            }
            OpCode::CommandReply => self.user_document(0),
            OpCode::Command => {
                self.name(is_command_byte)?;
                self.name(is_command_byte)?;
                self.user_document(0)
            }
            // A string: as good as nothing.
            OpCode::LegacyMsg => Break(NO),
        }
    }

    fn msg(&mut self, direction: Direction) -> Check {
        let bits = self.u32()?;
        require((bits & !MSG_FLAGS).count_ones() <= 1)?;
        let trailer = Flags::new(bits).trailer();
        match self.u8()? {
            0 => {
                let start = self.at as u64;
                let len = self.document(trailer, is_command_byte)?;
                // Replies have no other section.
                let left = self.end - trailer - start - len;
                require(left == 0 || left >= MIN_SECTION && direction == Direction::ToServer)?;
                let next = usize::try_from(start + len).ok().and_then(|at| self.bytes.get(at));
                require(left == 0 || next.is_none_or(|kind| matches!(kind, 1 | 2)))
            }
            1 => {
                let size = u64::from(self.u32()?);
                require(size >= 4 && self.at as u64 - 4 + size + trailer <= self.end)?;
                self.name(is_command_byte)?;
                self.user_document(trailer)
            }
            _ => Break(NO),
        }
    }

    fn reply(&mut self, header: &Header) -> Check {
        require(self.u32()? < 1 << 4)?;
        self.take::<8>()?;
        require(self.u32()? <= i32::MAX.cast_unsigned())?;
        match self.u32()? {
            0 => require(self.end == self.at as u64 && header.response_to != 0),
            number => {
                require(number <= i32::MAX.cast_unsigned())?;
                self.user_document(0)
            }
        }
    }

    fn compressed(&mut self, direction: Direction) -> Check {
        let original = OpCode::of(self.u32()?.cast_signed());
        require(original.is_some_and(|original| original != OpCode::Compressed && original.goes(direction)))?;
        let size = u64::from(self.u32()?);
        require(size > 0 && size <= MAX_MESSAGE)?;
        match self.u8()? {
            0 => require(self.at as u64 + size == self.end),
            // Snappy's blocks begin with their size, 7 bits in a byte.
            1 => {
                let (mut varint, mut shift) = (0, 0);
                loop {
                    let byte = self.u8()?;
                    varint |= u64::from(byte & 0x7f) << shift;
                    shift += 7;
                    if byte & 0x80 == 0 || shift > 28 {
                        return require(varint == size);
                    }
                }
            }
            2 => {
                let [method, check] = self.take()?;
                require(method & 0xf == 8 && u16::from_be_bytes([method, check]) % 31 == 0)
            }
            3 => require(self.take()? == [0x28, 0xb5, 0x2f, 0xfd]),
            _ => Break(NO),
        }
    }

    /// `database.collection`.
    fn namespace(&mut self) -> Check {
        let start = self.at;
        self.name(is_namespace_byte)?;
        require(self.bytes.get(start..self.at).is_some_and(|name| name.contains(&b'.')))
    }

    /// A string of such bytes, not empty, and the 0 behind it.
    fn name(&mut self, is_right: fn(u8) -> bool) -> Check {
        let start = self.at;
        loop {
            match self.u8()? {
                0 => return require(self.at - start > 1),
                byte => require(is_right(byte) && self.at - start <= MAX_NAME)?,
            }
        }
    }

    /// A document of the user's.
    fn user_document(&mut self, trailer: u64) -> Check {
        self.document(trailer, is_printable)?;
        Continue(())
    }

    /// A document up to its first value; `trailer` bytes follow what the document is part of. Gives its length.
    fn document(&mut self, trailer: u64, is_name_byte: fn(u8) -> bool) -> Check<u64> {
        let start = self.at as u64;
        let len = u64::from(self.u32()?);
        require(len >= MIN_DOCUMENT && start + len + trailer <= self.end)?;
        let last = usize::try_from(start + len - 1).ok().and_then(|at| self.bytes.get(at));
        require(last.is_none_or(|last| *last == 0))?;
        if len == MIN_DOCUMENT {
            require(self.u8()? == 0)?;
            return Continue(len);
        }
        let kind = self.u8()?;
        self.name(is_name_byte)?;
        let value = match value_len(kind, self.bytes.get(self.at..).unwrap_or_default()) {
            ValueLen::Is(value) => value,
            ValueLen::Need(needed) => {
                require((self.at + needed) as u64 <= self.end)?;
                return Break(Frame::Need(self.at + needed));
            }
            ValueLen::TwoStrings => 2,
            ValueLen::Malformed(_) => return Break(NO),
        };
        require(self.at as u64 + value < start + len)?;
        Continue(len)
    }

    fn u8(&mut self) -> Check<u8> {
        self.take().map_continue(|[byte]| byte)
    }

    fn u32(&mut self) -> Check<u32> {
        self.take().map_continue(u32::from_le_bytes)
    }

    fn take<const N: usize>(&mut self) -> Check<[u8; N]> {
        let behind = self.at.saturating_add(N);
        if behind as u64 > self.end {
            return Break(NO);
        }
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            Some(taken) => {
                self.at = behind;
                Continue(*taken)
            }
            None => Break(Frame::Need(behind)),
        }
    }
}
