//! What a request left with the host for its response: opaque bytes, few of them as a rule.

use protap_plugin::contract::MAX_CONTEXT;

/// Bytes that need no allocation.
const SHORT: usize = 16;

/// At most [`MAX_CONTEXT`] bytes.
#[derive(Clone, Debug)]
pub struct Context(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    Short([u8; SHORT], u8),
    Long(Box<[u8]>),
}

impl Default for Context {
    fn default() -> Self {
        Self(Bytes::Short([0; SHORT], 0))
    }
}

impl Context {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Long(bytes) => bytes,
        }
    }

    /// A copy of these bytes, unless they are too many.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_CONTEXT {
            return None;
        }
        let len = u8::try_from(bytes.len()).ok()?;
        Some(Self(match bytes.first_chunk::<SHORT>() {
            // Put together in a register: copied to memory byte by byte, it could not be moved at once.
            None => {
                let word = bytes.iter().rev().fold(0_u128, |word, byte| word << 8 | u128::from(*byte));
                Bytes::Short(word.to_le_bytes(), len)
            }
            Some(chunk) if bytes.len() == SHORT => Bytes::Short(*chunk, len),
            Some(_) => Bytes::Long(bytes.into()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use protap_plugin::contract::MAX_CONTEXT;

    use super::Context;

    #[test]
    fn every_length_up_to_the_limit_comes_back_as_it_is() {
        let bytes: Vec<u8> = (1..=MAX_CONTEXT as u8 + 1).collect();
        for len in 0..=MAX_CONTEXT {
            assert_eq!(Context::new(&bytes[..len]).unwrap().as_slice(), &bytes[..len]);
        }
        assert!(Context::new(&bytes).is_none());
    }
}
