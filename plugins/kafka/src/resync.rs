//! Where the next frame starts after a loss. Requests are found by their headers. Four bytes of size and four of a
//! correlation id are found in many places, so a response must answer a request that is known to be pending; what this
//! gives up are responses to requests that were lost too.

use protap_plugin::{Frame, ReadError, Reader, host};

use crate::api::{self, Api};
use crate::errors;
use crate::header::{self, Found, find_request};
use crate::request::Asked;

/// Largest response that is believed where it is not known that a frame begins.
const MAX_RESPONSE: u32 = 128 << 20;
/// Size and correlation id.
const RESPONSE_HEAD: usize = 8;
/// Longest throttling that is believed.
const MAX_THROTTLE_MS: i32 = 3_600_000;

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
    match check_answer(asked, size, reader) {
        Ok(false) => Frame::Invalid("no answer to the request with that id"),
        Ok(true) | Err(_) => Frame::Len(header::SIZE + u64::from(size)),
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
    let is_telling = matches!(asked.api_key, api::PRODUCE | api::FETCH | api::METADATA | api::API_VERSIONS);
    (is_chained || is_telling && check_answer(asked, size, reader) == Ok(true)).then_some(id)
}

/// Whether a response's body begins as it must. It fails if there are too few bytes to tell.
fn check_answer(asked: Asked, size: u32, mut body: Reader<'_>) -> Result<bool, ReadError> {
    let version = asked.api_version;
    let Some(api) = Api::find(asked.api_key) else { return Ok(true) };
    if api.response_header_version(version) >= 1 && body.u8()? != 0 {
        return Ok(false);
    }
    let is_throttle = |ms: i32| (0..=MAX_THROTTLE_MS).contains(&ms);
    let is_error = |code: i16| errors::name(code).is_some();
    match api.key {
        api::API_VERSIONS => Ok(is_error(body.i16_be()?)),
        api::FETCH if version >= 7 => Ok(is_throttle(body.i32_be()?) && is_error(body.i16_be()?)),
        api::FETCH if version >= 1 => Ok(is_throttle(body.i32_be()?) && (0..=size / 14).contains(&body.u32_be()?)),
        api::FETCH | api::PRODUCE if !api.is_flexible(version) => {
            Ok((1..=size / 14).contains(&body.u32_be()?) && (1..=249).contains(&body.i16_be()?))
        }
        api::PRODUCE => Ok(body.u8()? >= 2),
        api::METADATA if version >= 3 => Ok(is_throttle(body.i32_be()?)),
        api::METADATA => Ok((1..=size / 10).contains(&body.u32_be()?)),
        _ => Ok(true),
    }
}
