//! Where the next frame starts after a loss. Requests are found by their headers. Four bytes of size and four of a
//! correlation id are found in many places, so a response must answer a request that is known to be pending; what this
//! gives up are responses to requests that were lost too.

use protap_plugin::{Frame, ReadError, Reader, host};

use crate::answer::{begins_as_answer, is_telling};
use crate::header::{self, Found, find_request};
use crate::request::Asked;

/// Largest response that is believed where it is not known that a frame begins.
const MAX_RESPONSE: u32 = 128 << 20;
/// Size and correlation id.
const RESPONSE_HEAD: usize = 8;

/// A request at the front of bytes of which it is not known whether a frame begins there.
pub(crate) fn request_frame(bytes: &[u8]) -> Frame {
    match find_request(bytes) {
        Found::Request(request) => Frame::Len(request.len),
        Found::Need(amount) => Frame::Need(amount),
        Found::Nothing(why) => Frame::Invalid(why),
    }
}

/// A response at the front of bytes of which it is not known whether a frame begins there. It answers a request
/// that is known to be pending.
pub(crate) fn response_frame(bytes: &[u8]) -> Frame {
    let mut reader = Reader::new(bytes);
    let (Ok(size), id) = (reader.u32_be(), reader.u32_be()) else { return Frame::Need(RESPONSE_HEAD) };
    if !(4..=MAX_RESPONSE).contains(&size) {
        return Frame::Invalid("no response has that size");
    }
    let Ok(id) = id else { return Frame::Need(RESPONSE_HEAD) };
    let Some(asked) = host::pending(u64::from(id)).and_then(|context| Asked::from_context(&context)) else {
        return Frame::Invalid("no request with that id is pending");
    };
    let len = header::SIZE + u64::from(size);
    match begins_as_answer(asked, size, reader) {
        Ok(true) => Frame::Len(len),
        Err(ReadError { offset, needed, .. }) if (offset + needed) as u64 <= len => Frame::Need(offset + needed),
        Ok(false) | Err(_) => Frame::Invalid("no answer to the request with that id"),
    }
}

/// Id of a response that [`response_frame`] takes for one, if there is more evidence: its body begins as an answer to
/// its request must, or the frame after it answers a pending request too. Ids count from zero, and small ones are found
/// in many places.
pub(crate) fn confirmed_response(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bytes);
    let size = reader.u32_be().ok()?;
    let id = u64::from(reader.u32_be().ok()?);
    let asked = Asked::from_context(&host::pending(id)?)?;
    let next = usize::try_from(header::SIZE + u64::from(size)).ok().and_then(|len| bytes.get(len..));
    let is_chained = next.is_some_and(|next| next.is_empty() || matches!(response_frame(next), Frame::Len(_)));
    let is_telling = || is_telling(asked.api_key) && begins_as_answer(asked, size, reader) == Ok(true);
    (is_chained || is_telling()).then_some(id)
}
