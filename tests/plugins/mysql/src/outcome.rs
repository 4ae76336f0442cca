//! How a command ended: OK, EOF and ERR packets.
//!
//! ```text
//! OK:   00 (or fe, where it ends a result set); affected rows; last insert id; status 2; warnings 2; ..
//! EOF:  fe; warnings 2; status 2
//! ERR:  ff; number 2; '#', SQL state 5; text
//! ```
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_response_packets.html>

use protap_plugin::prelude::*;

use crate::packet::lenenc;

/// Status: another result set follows.
const MORE_RESULTS: u16 = 1 << 3;
/// Status: the rows are to be fetched.
const CURSOR_EXISTS: u16 = 1 << 6;
/// Status: bits that are in use.
const STATUS_BITS: u16 = 0x7fff;
/// Number of an ERR packet of MariaDB that reports progress.
const PROGRESS: u16 = 0xffff;

/// What a packet says of the command's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It succeeded.
    Ok { affected_rows: u64, status: u16 },
    /// What was sent ends here.
    Eof { status: u16 },
    /// It failed.
    Error(SqlError),
}

/// An error, without its text, which may quote the user's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub(crate) number: u16,
    /// Its SQL state; absent before the login.
    pub(crate) state: Option<[u8; 5]>,
}

impl Ending {
    /// Reads the front of a payload of `len` bytes; `None` if it is something else.
    pub(crate) fn decode(payload: &[u8], len: u64) -> Option<Self> {
        let mut reader = Reader::new(payload);
        match reader.u8().ok()? {
            0xff => SqlError::decode(&mut reader).map(Self::Error),
            0xfe if len == 5 => {
                reader.u16_le().ok()?;
                Some(Self::Eof { status: reader.u16_le().ok()? })
            }
            0 | 0xfe if len >= 7 => {
                let affected_rows = lenenc(&mut reader)?;
                lenenc(&mut reader)?;
                let status = reader.u16_le().ok().filter(|status| status & !STATUS_BITS == 0)?;
                Some(Self::Ok { affected_rows, status })
            }
            _ => None,
        }
    }

    /// Whether the reply goes on with another result set.
    pub(crate) fn has_more(self) -> bool {
        matches!(self, Self::Ok { status, .. } | Self::Eof { status } if status & MORE_RESULTS != 0)
    }

    /// Whether the rows of the result set come only when they are fetched.
    pub(crate) fn has_cursor(self) -> bool {
        matches!(self, Self::Ok { status, .. } | Self::Eof { status } if status & CURSOR_EXISTS != 0)
    }

    /// Whether it is no ending, but says how far the server has come.
    pub(crate) fn is_progress(self) -> bool {
        matches!(self, Self::Error(error) if error.number == PROGRESS)
    }
}

impl SqlError {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let number = reader.u16_le().ok()?;
        let state = match reader.remaining() {
            [b'#', state @ ..] => state.first_chunk().copied(),
            _ => None,
        };
        Some(Self { number, state: state.filter(|state: &[u8; 5]| state.iter().all(u8::is_ascii_alphanumeric)) })
    }

    /// Whose fault it is. The class of the SQL state tells; where that says nothing (HY000), some numbers do.
    pub(crate) fn status(self) -> Status {
        match (self.number, self.state) {
            // Lock wait timeout; longest time of a statement (MariaDB, MySQL).
            (1205 | 1969 | 3024, _) => Status::Timeout,
            // Denied to that user or host.
            (1044 | 1045 | 1130 | 1698, _) => Status::ClientError,
            // Wrong arguments, unknown statement, no default value, wrong value, read only.
            (1210 | 1243 | 1290 | 1364 | 1366, _) => Status::ClientError,
            // Feature not supported, cardinality, data, constraint, cursor, transaction, statement, user, database,
            // schema, syntax or access, check option.
            (
                _,
                Some(
                    [b'0', b'A', ..]
                    | [b'2', b'1'..=b'8', ..]
                    | [b'3', b'D' | b'F' | b'4', ..]
                    | [b'4', b'2' | b'4', ..],
                ),
            ) => Status::ClientError,
            _ => Status::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, SqlError};
    use protap_plugin::Status;

    #[test]
    fn endings_are_told_by_their_first_byte_and_their_length() {
        let ok = Ending::decode(&[0, 1, 0, 2, 0, 0, 0], 7);
        assert_eq!(ok, Some(Ending::Ok { affected_rows: 1, status: 2 }));
        assert_eq!(Ending::decode(&[0xfe, 0, 0, 8, 0], 5), Some(Ending::Eof { status: 8 }));
        let error = Ending::decode(b"\xff\x7a\x04#42S02Table", 14);
        assert_eq!(error, Some(Ending::Error(SqlError { number: 1146, state: Some(*b"42S02") })));
        assert_eq!(Ending::decode(&[0, 1, 0], 3), None);
    }

    #[test]
    fn whose_fault_an_error_is() {
        let status = |number, state| SqlError { number, state: Some(state) }.status();
        assert_eq!(status(1062, *b"23000"), Status::ClientError);
        assert_eq!(status(1213, *b"40001"), Status::ServerError);
        assert_eq!(status(1205, *b"HY000"), Status::Timeout);
        assert_eq!(status(1040, *b"08004"), Status::ServerError);
    }
}
