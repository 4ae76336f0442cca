//! What a request leaves with the host for the sake of its reply: one byte.

use protap_plugin::host;

const DOCUMENTS: u8 = 1;
const BULK_WRITE: u8 = 2;
const GET_MORE: u8 = 4;
const EXHAUST: u8 = 8;

/// What is known about the request that a reply answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    is_known: bool,
    bits: u8,
}

impl Context {
    /// Of a command.
    pub(crate) fn of_command(is_bulk_write: bool, is_get_more: bool) -> Self {
        let bits = if is_bulk_write { BULK_WRITE } else { 0 } | if is_get_more { GET_MORE } else { 0 };
        Self { is_known: true, bits }
    }

    /// Of a query that is answered by the user's documents, not by a command's reply.
    pub(crate) fn of_query(is_get_more: bool, is_exhaust: bool) -> Self {
        let bits = DOCUMENTS | if is_get_more { GET_MORE } else { 0 } | if is_exhaust { EXHAUST } else { 0 };
        Self { is_known: true, bits }
    }

    /// Of the pending request with this id.
    pub(crate) fn pending(id: u32) -> Self {
        match host::pending(id.into()) {
            Some(bytes) => Self { is_known: true, bits: bytes.first().copied().unwrap_or_default() },
            None => Self::default(),
        }
    }

    /// What to leave with the host.
    pub(crate) fn to_bytes(self) -> [u8; 1] {
        [self.bits]
    }

    /// Whether the request was seen.
    pub(crate) fn is_known(self) -> bool {
        self.is_known
    }

    /// Whether the user's documents are the answer.
    pub(crate) fn wants_documents(self) -> bool {
        self.bits & DOCUMENTS != 0
    }

    /// Whether the request was a `bulkWrite`.
    pub(crate) fn is_bulk_write(self) -> bool {
        self.bits & BULK_WRITE != 0
    }

    /// Whether the request named the cursor.
    pub(crate) fn is_get_more(self) -> bool {
        self.bits & GET_MORE != 0
    }

    /// Whether replies follow one another until the cursor is exhausted.
    pub(crate) fn is_exhaust(self) -> bool {
        self.bits & EXHAUST != 0
    }
}
