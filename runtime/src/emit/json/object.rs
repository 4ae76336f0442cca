//! The commas, colons and braces of a JSON object. Keys are given in order and are not checked for uniqueness.

use crate::emit::json::scalar;

/// A JSON object under construction at the end of a buffer.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    #[inline]
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    #[inline]
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes a key of ours, in which nothing is to be escaped; the caller writes its value.
    #[inline]
    pub(super) fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.is_empty { b"\"" } else { b",\"" });
        self.is_empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a key that comes from elsewhere; the caller writes its value.
    #[inline]
    pub(super) fn foreign_key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        scalar::put_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    #[inline]
    pub(super) fn object(&mut self, name: &'static str) -> Object<'_> {
        Object::open(self.key(name))
    }

    /// A string of ours, in which nothing is to be escaped.
    #[inline]
    pub(super) fn word(&mut self, name: &'static str, value: &'static str) {
        let out = self.key(name);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }

    #[inline]
    pub(super) fn string(&mut self, name: &'static str, value: &str) {
        scalar::put_string(self.key(name), value);
    }

    #[inline]
    pub(super) fn optional_string(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    /// A string given in pieces.
    #[inline]
    pub(super) fn strings<const N: usize>(&mut self, name: &'static str, pieces: [&str; N]) {
        let out = self.key(name);
        out.push(b'"');
        for piece in pieces {
            scalar::put_escaped(out, piece);
        }
        out.push(b'"');
    }

    #[inline]
    pub(super) fn unsigned(&mut self, name: &'static str, value: u64) {
        scalar::put_unsigned(self.key(name), value);
    }

    #[inline]
    pub(super) fn optional_unsigned(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.unsigned(name, value);
        }
    }

    #[inline]
    pub(super) fn signed(&mut self, name: &'static str, value: i64) {
        scalar::put_signed(self.key(name), value);
    }

    #[inline]
    pub(super) fn optional_signed(&mut self, name: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.signed(name, value);
        }
    }
}
