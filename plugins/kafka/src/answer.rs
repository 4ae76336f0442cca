//! Whether the beginning of a response's body is what its request must be answered with: evidence, where it is not known
//! that a frame begins, for the four APIs whose answers begin with more than zeros. It looks at the fixed fields and the
//! first element of the first array, some 20 bytes; it gives up on the APIs whose answers could be anything.

use protap_plugin::{ReadError, Reader};

use crate::api::{self, Api};
use crate::errors;
use crate::request::Asked;

/// Longest throttling that is believed.
const MAX_THROTTLE_MS: i32 = 3_600_000;
/// Most APIs that a broker is believed to have, and the highest key and version of one.
const MAX_APIS: u32 = 256;
/// Highest version of an API that is believed.
const MAX_API_VERSION: i16 = 64;
/// Longest name of a topic or of a host.
const MAX_NAME: u32 = 255;
/// Longest answer without topics, some tagged fields included.
const MAX_EMPTY: u32 = 32;
/// `UNSUPPORTED_VERSION`: the rest of the answer is that of version 0.
const UNSUPPORTED_VERSION: i16 = 35;

/// Whether answers to the API say so much that their beginning alone is evidence.
pub(crate) fn is_telling(api_key: i16) -> bool {
    matches!(api_key, api::PRODUCE | api::FETCH | api::METADATA | api::API_VERSIONS)
}

/// Whether a response's body, of a frame of `size` bytes, begins as it must. It fails if there are too few bytes to tell.
pub(crate) fn begins_as_answer(asked: Asked, size: u32, body: Reader<'_>) -> Result<bool, ReadError> {
    let version = asked.api_version;
    let Some(api) = Api::find(asked.api_key) else { return Ok(true) };
    let mut body = Body { reader: body, size, is_flexible: api.is_flexible(version) };
    if api.response_header_version(version) >= 1 && body.reader.u8()? != 0 {
        return Ok(false);
    }
    match api.key {
        api::API_VERSIONS => body.is_api_versions(),
        api::METADATA => Ok((version < 3 || body.is_throttle()?) && body.is_brokers()?),
        api::PRODUCE => body.is_topics(1, version <= 12),
        api::FETCH if version >= 7 => {
            let begins = body.is_throttle()? && errors::name(body.reader.i16_be()?).is_some();
            let _session_id = body.reader.u32_be()?;
            Ok(begins && body.is_topics(0, version <= 12)?)
        }
        api::FETCH => Ok((version < 1 || body.is_throttle()?) && body.is_topics(0, true)?),
        _ => Ok(true),
    }
}

struct Body<'a> {
    reader: Reader<'a>,
    size: u32,
    is_flexible: bool,
}

impl Body<'_> {
    fn is_throttle(&mut self) -> Result<bool, ReadError> {
        Ok((0..=MAX_THROTTLE_MS).contains(&self.reader.i32_be()?))
    }

    fn is_api_versions(&mut self) -> Result<bool, ReadError> {
        let code = self.reader.i16_be()?;
        if code == UNSUPPORTED_VERSION {
            return Ok(true);
        }
        let count = self.count()?;
        if errors::name(code).is_none() || !(1..=MAX_APIS).contains(&count) || count > self.size / 6 {
            return Ok(false);
        }
        let (key, min, max) = (self.reader.i16_be()?, self.reader.i16_be()?, self.reader.i16_be()?);
        Ok(key >= 0 && u32::from(key.unsigned_abs()) < MAX_APIS && (0..=max).contains(&min) && max <= MAX_API_VERSION)
    }

    fn is_brokers(&mut self) -> Result<bool, ReadError> {
        let count = self.count()?;
        // Whoever answers knows of one broker: itself.
        Ok((1..=self.size / 10).contains(&count) && self.reader.i32_be()? >= 0 && self.is_name()?)
    }

    /// An array of topics, which begin with their name or, without one, with their id.
    fn is_topics(&mut self, least: u32, has_name: bool) -> Result<bool, ReadError> {
        let count = self.count()?;
        if count < least || count > self.size / 8 {
            return Ok(false);
        }
        if count == 0 {
            return Ok(self.size <= MAX_EMPTY);
        }
        Ok(!has_name || self.is_name()?)
    }

    /// A name of at least one byte, all of them such as names of topics and hosts are made of.
    fn is_name(&mut self) -> Result<bool, ReadError> {
        let len = if self.is_flexible { self.count()? } else { u32::from(self.reader.u16_be()?) };
        if !(1..=MAX_NAME).contains(&len) {
            return Ok(false);
        }
        let mut name = self.reader.remaining().iter().take(len as usize);
        let is_of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:".contains(byte);
        // The characters that are there will do, but there must be one.
        if name.len() == 0 {
            return self.reader.u8().map(|_| false);
        }
        Ok(name.all(is_of_names))
    }

    /// The length of an array, or, in flexible versions, of a string; null counts as 0.
    fn count(&mut self) -> Result<u32, ReadError> {
        if !self.is_flexible {
            return self.reader.u32_be();
        }
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21] {
            let byte = self.reader.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value.saturating_sub(1));
            }
        }
        Ok(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use protap_plugin::Reader;

    use super::begins_as_answer;
    use crate::api;
    use crate::request::Asked;

    fn begins(api_key: i16, api_version: i16, size: u32, body: &[u8]) -> Option<bool> {
        begins_as_answer(
            Asked { api_key, api_version, has_topics: true, begins_session: false },
            size,
            Reader::new(body),
        )
        .ok()
    }

    #[test]
    fn zeros_are_no_answer_whatever_the_size() {
        for api_key in [api::PRODUCE, api::FETCH, api::METADATA, api::API_VERSIONS] {
            for version in 0..=12 {
                assert_eq!(begins(api_key, version, 28_416, &[0; 64]), Some(false), "api {api_key} version {version}");
            }
        }
    }

    #[test]
    fn an_answer_of_which_too_little_is_there_is_not_judged() {
        let metadata = b"\0\0\0\0\0\x02\0\0\0\x01\x0alocalhost\0\0\x23\x84";
        assert_eq!(begins(api::METADATA, 9, 100, metadata), Some(true));
        for len in 0..12 {
            assert_eq!(begins(api::METADATA, 9, 100, metadata.get(..len).unwrap_or_default()), None, "{len} bytes");
        }
        assert_eq!(begins(api::METADATA, 9, 100, b"\0\0\0\0\0\x02\0\0\0\x01\x0a\xff\xff"), Some(false));
    }
}
