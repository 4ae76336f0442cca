//! The keys, commas and braces of a JSON object. Keys are given in order and are not checked for uniqueness. Each member
//! is written with the comma behind it, which the closing brace takes the place of: so no member asks whether it is the
//! first, and a key is one constant piece.

use crate::emit::json::scalar;

/// A key of ours, in which nothing is to be escaped, as it is written.
macro_rules! key {
    ($name:literal) => {
        concat!("\"", $name, "\":").as_bytes()
    };
}
pub(super) use key;

/// A JSON object under construction at the end of a buffer.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    #[inline(always)]
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    /// Members alone, of an object that begins and ends elsewhere.
    pub(super) fn of(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    #[inline(always)]
    pub(super) fn close(self) {
        if self.out.last() == Some(&b',') {
            self.out.pop();
        }
        self.out.push(b'}');
    }

    /// Closes an object that is a member of `parent`.
    #[inline(always)]
    pub(super) fn close_member(self) {
        if self.out.last() == Some(&b',') {
            self.out.pop();
        }
        self.out.extend_from_slice(b"},");
    }

    /// Closes an object that is the member of that key, or takes it back if nothing is in it.
    #[inline(always)]
    pub(super) fn close_member_unless_empty(self, key: &[u8]) {
        if self.out.last() == Some(&b'{') {
            self.out.truncate(self.out.len().saturating_sub(key.len() + 1));
        } else {
            self.close_member();
        }
    }

    /// A member, or several, as they are, each with its comma.
    #[inline(always)]
    pub(super) fn members(&mut self, members: &[u8]) {
        self.out.extend_from_slice(members);
    }

    /// A member whose value `put` writes.
    #[inline(always)]
    pub(super) fn member(&mut self, key: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(key);
        put(self.out);
        self.out.push(b',');
    }

    /// A member whose key comes from elsewhere.
    pub(super) fn foreign_member(&mut self, name: &str, put: impl FnOnce(&mut Vec<u8>)) {
        scalar::put_string(self.out, name);
        self.out.push(b':');
        put(self.out);
        self.out.push(b',');
    }

    /// An object as a member; it is ended by [`Self::close_member`].
    #[inline(always)]
    pub(super) fn object(&mut self, key: &[u8]) -> Object<'_> {
        self.out.extend_from_slice(key);
        Object::open(self.out)
    }

    /// A string of ours, in which nothing is to be escaped.
    #[inline(always)]
    pub(super) fn word(&mut self, key: &[u8], value: &'static str) {
        self.out.extend_from_slice(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.extend_from_slice(b"\",");
    }

    #[inline(always)]
    pub(super) fn string(&mut self, key: &[u8], value: &str) {
        self.member(key, |out| scalar::put_string(out, value));
    }

    #[inline(always)]
    pub(super) fn optional_string(&mut self, key: &[u8], value: Option<&str>) {
        if let Some(value) = value {
            self.string(key, value);
        }
    }

    #[inline(always)]
    pub(super) fn unsigned(&mut self, key: &[u8], value: u64) {
        self.member(key, |out| scalar::put_unsigned(out, value));
    }

    #[inline(always)]
    pub(super) fn optional_unsigned(&mut self, key: &[u8], value: Option<u64>) {
        if let Some(value) = value {
            self.unsigned(key, value);
        }
    }

    #[inline(always)]
    pub(super) fn optional_signed(&mut self, key: &[u8], value: Option<i64>) {
        if let Some(value) = value {
            self.member(key, |out| scalar::put_signed(out, value));
        }
    }
}
