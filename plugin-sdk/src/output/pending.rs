//! What is pending behind the responses of this answer. The host tells what was pending before the call, in which a
//! plugin may have answered already what it asks about: how many responses come in one call depends on how the bytes were
//! cut, and what becomes of them must not.

use super::Output;
use crate::contract::{Message, kind, message};
use crate::host::{self, Context};

impl Output {
    /// Context of the request that the next in-order response answers: the peer's oldest pending request without an
    /// id that is not answered by a response in this answer already.
    #[must_use]
    pub fn pending_front(&self) -> Option<Context> {
        host::pending_front(self.answered)
    }

    /// Context of the peer's pending request with this id, if it is not answered by a response in this answer already.
    #[must_use]
    pub fn pending(&self, id: u64) -> Option<Context> {
        let is_new = self.ids & bit(id) == 0;
        host::pending(if is_new { id } else { self.id_before(id)? })
    }

    /// A message of this answer bears that id, or the next one will.
    #[inline]
    pub(super) fn note_id(&mut self, id: u64) {
        self.ids |= bit(id);
    }

    /// The id under which the request was pending before the call; `None` if it is not pending any more.
    #[cold]
    fn id_before(&self, mut id: u64) -> Option<u64> {
        for index in (0..self.messages).rev() {
            let Some(told) = self.message_at(index).filter(|told| told.kind == kind::RESPONSE) else { continue };
            let has = |flag| told.flags & flag != 0;
            if has(message::HAS_NEXT_ID) && told.next_id == id {
                id = told.id;
            } else if has(message::HAS_ID) && told.id == id && !has(message::MORE_REPLIES) {
                return None;
            }
        }
        Some(id)
    }

    fn message_at(&self, index: usize) -> Option<Message> {
        let at = index.checked_mul(Message::SIZE)?.checked_add(super::MESSAGES_AT)?;
        Message::read(self.arena.get(at..)?)
    }
}

#[inline]
fn bit(id: u64) -> u64 {
    1 << (id & 63)
}

#[cfg(test)]
mod tests {
    use crate::host::{NativeHost, with_host};
    use crate::output::{Output, Status};

    /// Whatever is asked about is pending.
    struct Anything;

    impl NativeHost for Anything {
        fn pending(&mut self, _: i32, id: u64, out: &mut [u8; crate::contract::MAX_CONTEXT]) -> i32 {
            out[0] = id as u8;
            1
        }

        fn log(&mut self, _: i32, _: &str) {}
    }

    #[test]
    fn what_this_answer_answers_is_not_pending_behind_it() {
        let pending = |output: &Output, id| output.pending(id).map(|context| context[0]);
        let look = || {
            let mut output = Output::default();
            assert_eq!([7, 71, 7].map(|id| pending(&output, id)), [Some(7), Some(71), Some(7)]);
            output.response(Status::Ok).id(7).emit();
            assert_eq!([7, 71].map(|id| pending(&output, id)), [None, Some(71)]);
            output.response(Status::Ok).id(8).more_replies().emit();
            output.request("x").id(9).emit();
            assert_eq!([8, 9].map(|id| pending(&output, id)), [Some(8), Some(9)]);
            output.response(Status::Ok).id(10).next_id(11).emit();
            output.response(Status::Ok).id(11).next_id(12).emit();
            assert_eq!(pending(&output, 12), Some(10));
            output.response(Status::Ok).id(12).emit();
            assert_eq!(pending(&output, 12), None);
        };
        with_host(Box::new(Anything), look);
    }
}
