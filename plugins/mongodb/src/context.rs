//! What a request leaves with the host for the sake of its reply: one byte.

use protap_plugin::{Source, Stream};

use crate::command::Command;
use crate::verb::Verb;

/// The request was decoded: the other bits count.
const KNOWN: u8 = 1;
const DOCUMENTS: u8 = 2;
const BULK_WRITE: u8 = 4;
const GET_MORE: u8 = 8;
const EXHAUST: u8 = 16;
const AWAITS: u8 = 32;
const FIND_AND_MODIFY: u8 = 64;

/// What is known about the request that a reply answers; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context(u8);

impl Context {
    /// Of a command.
    pub(crate) fn of_command(command: &Command) -> Self {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        Self(
            KNOWN
                | bit(command.verb == Verb::BulkWrite, BULK_WRITE)
                | bit(command.verb == Verb::GetMore, GET_MORE)
                | bit(command.opens_awaiting_cursor(), AWAITS)
                | bit(command.verb == Verb::FindAndModify, FIND_AND_MODIFY),
        )
    }

    /// Of a query that is answered by the user's documents, not by a command's reply.
    pub(crate) fn of_query(is_get_more: bool, is_exhaust: bool) -> Self {
        Self(KNOWN | DOCUMENTS | if is_get_more { GET_MORE } else { 0 } | if is_exhaust { EXHAUST } else { 0 })
    }

    /// Of the pending request with this id.
    pub(crate) fn pending(stream: &Stream<impl Source>, id: u32) -> Self {
        Self(stream.pending(id.into()).and_then(|bytes| bytes.first().copied()).unwrap_or_default())
    }

    /// Whether a request with this id waits for its reply.
    pub(crate) fn is_pending(stream: &Stream<impl Source>, id: u32) -> bool {
        stream.pending(id.into()).is_some()
    }

    /// What to leave with the host.
    pub(crate) fn to_bytes(self) -> [u8; 1] {
        [self.0]
    }

    /// Whether the request was seen and decoded.
    pub(crate) fn is_known(self) -> bool {
        self.0 & KNOWN != 0
    }

    /// Whether the user's documents are the answer.
    pub(crate) fn wants_documents(self) -> bool {
        self.0 & DOCUMENTS != 0
    }

    /// Whether the request was a `bulkWrite`.
    pub(crate) fn is_bulk_write(self) -> bool {
        self.0 & BULK_WRITE != 0
    }

    /// Whether the request named the cursor.
    pub(crate) fn is_get_more(self) -> bool {
        self.0 & GET_MORE != 0
    }

    /// Whether the cursor of the reply will wait for documents.
    pub(crate) fn opens_awaiting_cursor(self) -> bool {
        self.0 & AWAITS != 0
    }

    /// Whether the request was a `findAndModify`.
    pub(crate) fn is_find_and_modify(self) -> bool {
        self.0 & FIND_AND_MODIFY != 0
    }

    /// Whether replies follow one another until the cursor is exhausted.
    pub(crate) fn is_exhaust(self) -> bool {
        self.0 & EXHAUST != 0
    }
}
