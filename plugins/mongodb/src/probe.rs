//! Telling MongoDB's messages from other bytes: for inference, and to find the next message after a loss. A message
//! counts only if everything at its front fits together: length, ids, op code, flags, and the first document with its
//! first name. By chance that happens less than once in 2^60.

use core::ops::ControlFlow::{self, Break, Continue};

use protap_plugin::{Client, Direction, Frame, Heads, Transport, Verdict};

use crate::bson;
use crate::header::{self, Header, MAX_MESSAGE, OpCode};
use crate::op_msg::Flags;

/// Flag bits of an OP_MSG that are in use.
const MSG_FLAGS: u32 = 1 | 1 << 1 | 1 << 16;
/// Longest name that counts as one.
const MAX_NAME: usize = 255;

/// What a head tells of the end that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// It is one end of MongoDB; whether that is beyond doubt.
    Found(Direction, bool),
    /// Cannot tell without that many bytes.
    Need(usize),
    /// It speaks something else.
    Other,
}

/// Whose protocol is this?
pub(crate) fn probe(heads: &Heads<'_>) -> Verdict {
    if heads.transport != Transport::Tcp {
        return Verdict::No;
    }
    let a = find(heads.a, heads.a_is_mid_stream, heads.is_complete);
    let b = find(heads.b, heads.b_is_mid_stream, heads.is_complete);
    match (a, b) {
        // A server's reply to a request with the id 0 looks like a request: whoever spoke first is the client.
        (Finding::Found(Direction::ToServer, _), Finding::Found(Direction::ToServer, _)) => Verdict::Certain(Client::A),
        (Finding::Found(Direction::ToClient, _), Finding::Found(Direction::ToClient, _)) => Verdict::No,
        (Finding::Found(direction, _), Finding::Found(..)) => Verdict::Certain(client(Client::A, direction)),
        (Finding::Found(direction, is_sure), other) => verdict(client(Client::A, direction), is_sure, other),
        (other, Finding::Found(direction, is_sure)) => verdict(client(Client::B, direction), is_sure, other),
        _ if heads.is_complete => Verdict::No,
        (Finding::Need(a), Finding::Need(b)) => more(a.min(b)),
        (Finding::Need(needed), Finding::Other) if heads.b_is_mid_stream => more(needed),
        (Finding::Other, Finding::Need(needed)) if heads.a_is_mid_stream => more(needed),
        _ => Verdict::No,
    }
}

fn verdict(client: Client, is_sure: bool, other: Finding) -> Verdict {
    if is_sure && other != Finding::Other { Verdict::Certain(client) } else { Verdict::Likely(client) }
}

fn more(needed: usize) -> Verdict {
    Verdict::More(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// The client, given which way `sender` sends.
fn client(sender: Client, direction: Direction) -> Client {
    match (sender, direction) {
        (sender, Direction::ToServer) => sender,
        (Client::A, Direction::ToClient) => Client::B,
        (Client::B, Direction::ToClient) => Client::A,
        (Client::Unknown, Direction::ToClient) => Client::Unknown,
    }
}

fn find(head: &[u8], is_mid_stream: bool, is_complete: bool) -> Finding {
    let at_start = find_here(head);
    if !is_mid_stream || at_start != Finding::Other {
        return match at_start {
            // A stream of which nothing came says nothing.
            Finding::Need(_) if is_complete && !head.is_empty() => Finding::Other,
            found => found,
        };
    }
    // The head begins inside a message: the first one that another one follows, or else the first one.
    let mut first = None;
    for at in 1..head.len() {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let rest = head.get(at..).unwrap_or_default();
            let Frame::Len(len) = frame(direction, rest) else { continue };
            let next = usize::try_from(len).ok().and_then(|len| rest.get(len..)).unwrap_or_default();
            if matches!(frame(direction, next), Frame::Len(_)) {
                return Finding::Found(direction, true);
            }
            first.get_or_insert(Finding::Found(direction, false));
        }
    }
    first.unwrap_or(if is_complete { Finding::Other } else { Finding::Need(head.len() + 1) })
}

fn find_here(head: &[u8]) -> Finding {
    match (frame(Direction::ToServer, head), frame(Direction::ToClient, head)) {
        (Frame::Len(_), _) => Finding::Found(Direction::ToServer, true),
        (_, Frame::Len(_)) => Finding::Found(Direction::ToClient, true),
        (Frame::Need(a), Frame::Need(b)) => Finding::Need(a.min(b)),
        (Frame::Need(needed), _) | (_, Frame::Need(needed)) => Finding::Need(needed),
        _ => Finding::Other,
    }
}

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

impl Front<'_> {
    fn check(&mut self, header: &Header, direction: Direction) -> Check {
        match header.op_code {
            OpCode::Msg => self.msg(),
            OpCode::Compressed => self.compressed(direction),
            OpCode::Reply => self.reply(),
            OpCode::Query => {
                require(self.u32()? < 1 << 8)?;
                self.namespace()?;
                require(self.u32()? <= i32::MAX.cast_unsigned())?;
                self.u32()?;
                self.document(0)
            }
            OpCode::Insert => {
                require(self.u32()? <= 1)?;
                self.namespace()?;
                self.document(0)
            }
            OpCode::Update | OpCode::Delete => {
                require(self.u32()? == 0)?;
                self.namespace()?;
                require(self.u32()? <= 3)?;
                self.document(0)
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
            OpCode::CommandReply => self.document(0),
            OpCode::Command => {
                self.name()?;
                self.name()?;
                self.document(0)
            }
            // A string: as good as nothing.
            OpCode::LegacyMsg => Break(NO),
        }
    }

    fn msg(&mut self) -> Check {
        let bits = self.u32()?;
        require(bits & !MSG_FLAGS == 0)?;
        let trailer = Flags::new(bits).trailer();
        match self.u8()? {
            0 => self.document(trailer),
            1 => {
                let size = u64::from(self.u32()?);
                require(size >= 4 && self.at as u64 - 4 + size <= self.end)?;
                self.name()?;
                self.document(trailer)
            }
            _ => Break(NO),
        }
    }

    fn reply(&mut self) -> Check {
        require(self.u32()? < 1 << 4)?;
        self.take::<8>()?;
        require(self.u32()? <= i32::MAX.cast_unsigned())?;
        match self.u32()? {
            0 => require(self.end == self.at as u64),
            number => {
                require(number <= i32::MAX.cast_unsigned())?;
                self.document(0)
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
        self.name()?;
        require(self.bytes.get(start..self.at).is_some_and(|name| name.contains(&b'.')))
    }

    /// A string without control characters, not empty, and the 0 behind it.
    fn name(&mut self) -> Check {
        let start = self.at;
        loop {
            match self.u8()? {
                0 => return require(self.at - start > 1),
                byte => require(byte >= b' ' && byte != 0x7f && self.at - start <= MAX_NAME)?,
            }
        }
    }

    /// A document and its first element's name; `trailer` bytes follow what the document is part of.
    fn document(&mut self, trailer: u64) -> Check {
        let start = self.at as u64;
        let len = u64::from(self.u32()?);
        require(len >= 5 && start + len + trailer <= self.end)?;
        let last = usize::try_from(start + len - 1).ok().and_then(|at| self.bytes.get(at));
        require(last.is_none_or(|last| *last == 0))?;
        if len == 5 {
            return require(self.u8()? == 0);
        }
        require(bson::is_type(self.u8()?))?;
        self.name()
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
