//! The pending requests of the miniature host, and its answers to the plugin's imports.

use std::cell::RefCell;
use std::rc::Rc;

use super::seen::{Part, Seen};
use crate::contract::{MAX_CONTEXT, pending};
use crate::host::NativeHost;
use crate::output::Kind;
use crate::plugin::Direction;

/// A request that waits for its answer.
struct Request {
    asked: Direction,
    /// Of which more parts may come.
    handle: Option<u32>,
    id: Option<u64>,
    /// A second id under which it is known, see `HAS_NEXT_ID`.
    next_id: Option<u64>,
    type_name: String,
    context: Vec<u8>,
}

/// What waits for an answer, and what the plugin logged. Shared between the miniature host and the imports that it
/// answers.
#[derive(Clone, Default)]
pub(super) struct Requests(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// Messages that were begun and not yet finished.
    begun: Vec<(Direction, u32, Seen)>,
    /// Direction of the window that the plugin is looking at.
    direction: Option<Direction>,
    /// In-order requests cannot be paired.
    is_out_of_step: bool,
    has_losses: bool,
    log: Vec<String>,
}

impl Requests {
    /// The plugin looks at bytes of that direction: requests of the other are those it may ask for.
    pub(super) fn turn_to(&self, direction: Direction) {
        self.0.borrow_mut().direction = Some(direction);
    }

    /// Keeps a request; finds what a response answers, whose type it returns.
    pub(super) fn take(&self, seen: &Seen) -> Result<Option<String>, String> {
        let mut state = self.0.borrow_mut();
        match seen.part {
            Part::Whole if seen.is_cancel => {
                state.requests.retain(|request| request.asked != seen.direction || request.id != seen.id);
                state.begun.retain(|(of, _, begun)| *of == seen.direction || begun.id != seen.id);
                Ok(None)
            }
            Part::Whole => Ok(state.pair(seen)),
            Part::Begin(handle) if state.begun(seen.direction, handle).is_some() => {
                Err(format!("message {handle} is begun twice"))
            }
            Part::Begin(handle) => {
                // It may be answered before it is finished.
                if is_pending_at_once(seen) {
                    state.pair(seen);
                }
                state.begun.push((seen.direction, handle, seen.clone()));
                Ok(None)
            }
            Part::Amend(handle) | Part::Finish(handle) => {
                let at = state.begun(seen.direction, handle);
                let Some(at) = at else {
                    // Its beginning may have been lost, or it was withdrawn.
                    return if state.has_losses { Ok(None) } else { Err(format!("message {handle} was not begun")) };
                };
                state.begun.get_mut(at).into_iter().for_each(|(_, _, begun)| amend(begun, seen));
                state.identify(handle, seen);
                if !matches!(seen.part, Part::Finish(_)) {
                    return Ok(None);
                }
                let (_, _, finished) = state.begun.swap_remove(at);
                Ok(if is_pending_at_once(&finished) { None } else { state.pair(&finished) })
            }
        }
    }

    /// What is open in that direction ends as it is.
    pub(super) fn give_up_parts(&self, direction: Direction) {
        let mut state = self.0.borrow_mut();
        let (ended, open) = state.begun.drain(..).partition(|(of, _, _)| *of == direction);
        state.begun = open;
        let ended: Vec<(Direction, u32, Seen)> = ended;
        for (_, _, seen) in ended.iter().filter(|(_, _, seen)| !is_pending_at_once(seen)) {
            state.pair(seen);
        }
    }

    /// After a loss nobody knows which in-order request the next response answers.
    pub(super) fn lose_order(&self) {
        let mut state = self.0.borrow_mut();
        state.requests.retain(|request| request.id.is_some());
        (state.is_out_of_step, state.has_losses) = (true, true);
    }

    /// What was asked in that direction was answered by responses that went by unread.
    pub(super) fn miss_answers(&self, asked: Direction) {
        self.0.borrow_mut().requests.retain(|request| request.id.is_some() || request.asked != asked);
    }

    /// The client speaks after the server: what it asks from here on is answered in order.
    pub(super) fn find_order(&self) {
        self.0.borrow_mut().is_out_of_step = false;
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().requests.len()
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }
}

impl State {
    fn pair(&mut self, seen: &Seen) -> Option<String> {
        match seen.kind {
            Kind::Request if seen.id.is_none() && self.is_out_of_step => None,
            Kind::Request => {
                let asked = seen.direction;
                // A reused id closes the older request.
                self.requests.retain(|request| seen.id.is_none() || request.asked != asked || request.id != seen.id);
                let (type_name, context) = (seen.type_name.clone(), seen.context.clone());
                let handle = if let Part::Begin(handle) = seen.part { Some(handle) } else { None };
                self.requests.push(Request { asked, handle, id: seen.id, next_id: None, type_name, context });
                None
            }
            Kind::Response => {
                let asked = seen.direction.opposite();
                let at = self.find(asked, seen.id, 0)?;
                let request = self.requests.get_mut(at)?;
                let type_name = request.type_name.clone();
                if seen.has_more_replies {
                    request.next_id = seen.next_id;
                } else {
                    self.requests.remove(at);
                }
                Some(type_name)
            }
            Kind::OneWay => None,
        }
    }

    /// A request that waits in order waits under the id that this part of it bears, if it does.
    fn identify(&mut self, handle: u32, part: &Seen) {
        let asked = part.direction;
        let begun = |request: &Request| (request.asked, request.handle) == (asked, Some(handle));
        let is_known = self.requests.iter().any(|request| begun(request) && request.id.is_none());
        if part.id.is_some() && is_known {
            self.requests.retain(|request| begun(request) || request.asked != asked || request.id != part.id);
            self.requests.iter_mut().filter(|request| begun(request)).for_each(|request| request.id = part.id);
        }
        if matches!(part.part, Part::Finish(_)) {
            self.requests.iter_mut().filter(|request| begun(request)).for_each(|request| request.handle = None);
        }
    }

    /// Index of the message with that handle that was begun.
    fn begun(&self, direction: Direction, handle: u32) -> Option<usize> {
        self.begun.iter().position(|(of, found, _)| (*of, *found) == (direction, handle))
    }

    /// Index of the request with that id, or of the `nth` without one.
    fn find(&self, asked: Direction, id: Option<u64>, nth: usize) -> Option<usize> {
        let matches = |request: &Request| match id {
            Some(_) => request.id == id || request.next_id == id,
            None => request.id.is_none(),
        };
        let of_peer = |(_, request): &(usize, &Request)| request.asked == asked && matches(request);
        self.requests.iter().enumerate().filter(of_peer).nth(nth).map(|(at, _)| at)
    }
}

/// A request waits from its first part on.
fn is_pending_at_once(begun: &Seen) -> bool {
    begun.kind == Kind::Request
}

/// What pairing needs of a message that comes in parts.
fn amend(begun: &mut Seen, part: &Seen) {
    begun.id = part.id.or(begun.id);
    begun.next_id = part.next_id.or(begun.next_id);
    begun.has_more_replies |= part.has_more_replies;
}

impl NativeHost for Requests {
    fn pending(&mut self, select: i32, id: u64, out: &mut [u8; MAX_CONTEXT]) -> i32 {
        let state = self.0.borrow();
        let found = state.direction.and_then(|direction| {
            let asked = direction.opposite();
            match select {
                pending::BY_ID => state.find(asked, Some(id), 0),
                _ => state.find(asked, None, usize::try_from(select.checked_sub(pending::FRONT)?).ok()?),
            }
        });
        let Some(request) = found.and_then(|at| state.requests.get(at)) else { return -1 };
        for (to, from) in out.iter_mut().zip(&request.context) {
            *to = *from;
        }
        i32::try_from(request.context.len()).unwrap_or(-1)
    }

    fn log(&mut self, _level: i32, line: &str) {
        self.0.borrow_mut().log.push(line.to_owned());
    }
}
