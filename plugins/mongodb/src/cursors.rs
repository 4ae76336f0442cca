//! Cursors of a flow that wait for documents: change streams, and tailable cursors that await data. A `getMore` on one of
//! them is held back by the server on purpose, whether it says for how long or not. The last few are remembered; one
//! that is forgotten costs a mark on its records.

use core::cell::Cell;

use crate::context::Context;
use crate::reply::Reply;
use crate::request::Request;
use crate::verb::Verb;

/// Most cursors that are remembered.
const MAX: usize = 8;

/// The last cursors that were opened to wait.
#[derive(Debug, Default)]
pub struct Cursors {
    /// Ids, the newest first; 0 is none.
    awaiting: Cell<[i64; MAX]>,
}

impl Cursors {
    /// Marks a request for more of such a cursor.
    pub(crate) fn asked(&self, request: &mut Request) {
        if request.command.verb == Verb::GetMore
            && let Some(id) = request.command.cursor_id.filter(|id| *id != 0)
        {
            request.awaits_data = self.awaiting.get().contains(&id);
        }
    }

    /// Remembers the cursor of a reply, if it is one of those.
    pub(crate) fn answered(&self, reply: &Reply, context: Context) {
        if context.opens_awaiting_cursor()
            && let Some(id) = reply.cursor_id.filter(|id| *id != 0)
        {
            let mut ids = self.awaiting.get();
            ids.rotate_right(1);
            if let Some(first) = ids.first_mut() {
                *first = id;
            }
            self.awaiting.set(ids);
        }
    }
}
