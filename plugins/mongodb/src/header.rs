//! The header that every message begins with, and the op codes.
//!
//! ```text
//! offset  0               4            8             12        16
//!         message_length  request_id   response_to   op_code   body, message_length - 16 bytes
//! ```
//! All of them are `i32`, little-endian. <https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>

use protap_plugin::Direction;

/// Bytes of a header.
pub(crate) const LEN: usize = 16;
/// Longest message: the server's `maxMessageSizeBytes`, and room for what it adds itself.
pub(crate) const MAX_MESSAGE: u64 = 48_000_000 + (16 << 10);

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpCode {
    Reply,
    LegacyMsg,
    Update,
    Insert,
    Query,
    GetMore,
    Delete,
    KillCursors,
    Command,
    CommandReply,
    Compressed,
    Msg,
}

impl OpCode {
    /// The op code with this number.
    pub(crate) fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Reply,
            1000 => Self::LegacyMsg,
            2001 => Self::Update,
            2002 => Self::Insert,
            2004 => Self::Query,
            2005 => Self::GetMore,
            2006 => Self::Delete,
            2007 => Self::KillCursors,
            2010 => Self::Command,
            2011 => Self::CommandReply,
            2012 => Self::Compressed,
            2013 => Self::Msg,
            _ => return None,
        })
    }

    fn number(self) -> u32 {
        match self {
            Self::Reply => 1,
            Self::LegacyMsg => 1000,
            Self::Update => 2001,
            Self::Insert => 2002,
            Self::Query => 2004,
            Self::GetMore => 2005,
            Self::Delete => 2006,
            Self::KillCursors => 2007,
            Self::Command => 2010,
            Self::CommandReply => 2011,
            Self::Compressed => 2012,
            Self::Msg => 2013,
        }
    }

    /// The protocol's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reply => "OP_REPLY",
            Self::LegacyMsg => "OP_MSG (legacy)",
            Self::Update => "OP_UPDATE",
            Self::Insert => "OP_INSERT",
            Self::Query => "OP_QUERY",
            Self::GetMore => "OP_GET_MORE",
            Self::Delete => "OP_DELETE",
            Self::KillCursors => "OP_KILL_CURSORS",
            Self::Command => "OP_COMMAND",
            Self::CommandReply => "OP_COMMANDREPLY",
            Self::Compressed => "OP_COMPRESSED",
            Self::Msg => "OP_MSG",
        }
    }

    /// Whether messages of it go that way.
    pub(crate) fn goes(self, direction: Direction) -> bool {
        match self {
            Self::Msg | Self::Compressed | Self::LegacyMsg => true,
            Self::Reply | Self::CommandReply => direction == Direction::ToClient,
            _ => direction == Direction::ToServer,
        }
    }

    /// Whether the server never answers it.
    pub(crate) fn is_one_way(self) -> bool {
        matches!(self, Self::Update | Self::Insert | Self::Delete | Self::KillCursors)
    }
}

/// A message's header. Ids are signed on the wire and only ever compared; here they are unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the message, this header included.
    pub(crate) message_length: u64,
    /// The sender's name for the message.
    pub(crate) request_id: u32,
    /// `request_id` of the message that this one answers; in requests 0.
    pub(crate) response_to: u32,
    /// What follows.
    pub(crate) op_code: OpCode,
}

impl Header {
    /// Decodes a header, or says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8; LEN]) -> Result<Self, &'static str> {
        // Two loads: a field that lies across what was stored at once is waited for.
        let bits = u128::from_le_bytes(*bytes);
        let [length, request_id, response_to, op_code] = [0, 32, 64, 96].map(|at| (bits >> at) as u32);
        let message_length = u64::from(length);
        if !(LEN as u64..=MAX_MESSAGE).contains(&message_length) {
            return Err("a message length that cannot be");
        }
        Ok(Self {
            message_length,
            request_id,
            response_to,
            op_code: OpCode::of(op_code.cast_signed()).ok_or("an unknown op code")?,
        })
    }

    /// The header as it is on the wire.
    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let len = u32::try_from(self.message_length).unwrap_or_default();
        let fields = [len, self.request_id, self.response_to, self.op_code.number()];
        let mut bytes = [0; LEN];
        for (slot, field) in bytes.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Whether the message answers another. The op code tells, or else the direction: only servers answer. A
    /// `response_to` of 0 proves nothing, as some drivers number their requests from 0; one that is not 0 in a
    /// client's message does (then the host took the ends for each other).
    pub(crate) fn is_response(&self, direction: Direction) -> bool {
        match self.op_code {
            OpCode::Reply | OpCode::CommandReply => true,
            OpCode::Msg | OpCode::Compressed | OpCode::LegacyMsg => {
                direction == Direction::ToClient || self.response_to != 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, LEN, MAX_MESSAGE, OpCode};

    fn header(len: u32, op_code: i32) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[4..8].copy_from_slice(&(-2i32).to_le_bytes());
        bytes[12..].copy_from_slice(&op_code.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_is_decoded_with_unsigned_ids() {
        let decoded = Header::decode(&header(21, 2013)).unwrap();
        assert_eq!(decoded.op_code, OpCode::Msg);
        assert_eq!((decoded.message_length, decoded.request_id), (21, u32::MAX - 1));
        assert_eq!(decoded.to_bytes(), header(21, 2013));
    }

    #[test]
    fn a_length_out_of_bounds_or_an_unknown_op_code_is_refused() {
        assert!(Header::decode(&header(15, 2013)).is_err());
        assert!(Header::decode(&header(u32::MAX, 2013)).is_err());
        assert!(Header::decode(&header(MAX_MESSAGE as u32 + 1, 2013)).is_err());
        assert!(Header::decode(&header(16, 2003)).is_err());
    }
}
