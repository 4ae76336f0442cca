//! The shape of a filter, an update or a pipeline: its keys and operators, with a `?` in the place of every value. What
//! differs in values alone has one shape: runs of values in an array are one `?`, and equal documents in a row are one.
//! Depth, keys and bytes are bounded; `...` stands for what was left out. It looks like JSON, and is for people.
//!
//! Only if the user asked for values are they shown, and never those that a name like `pwd` gives away as a secret.

use crate::bson::{self, ARRAY, BOOL, DOCUMENT, DOUBLE, INT32, INT64, NULL, OBJECT_ID, STRING};
use crate::line::Line;

/// Most bytes of a shape.
pub(crate) const MAX_LEN: usize = 512;
/// Most bytes of a value that are looked at.
pub(crate) const MAX_LOOK: u64 = 4 << 10;
/// Deepest document that is looked into.
const MAX_DEPTH: u32 = 8;
/// Most keys.
const MAX_KEYS: u32 = 64;
/// Longest key or shown value, in bytes.
const MAX_TEXT: usize = 64;
/// Room that is kept for closing brackets and what says that something was left out.
const RESERVE: usize = 32;

/// What is shown of queries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    pub(crate) shape: bool,
    pub(crate) values: bool,
}

impl Default for Show {
    fn default() -> Self {
        Self { shape: true, values: false }
    }
}

/// The shape of the document or array that `bytes` begin with.
pub(crate) fn shape(kind: u8, bytes: &[u8], show: Show) -> Line<MAX_LEN> {
    let mut writer = Writer { line: Line::default(), keys: MAX_KEYS, values: show.values, is_cut: false };
    writer.container(kind, bytes, 0);
    writer.line
}

struct Writer {
    line: Line<MAX_LEN>,
    /// How many more there may be.
    keys: u32,
    values: bool,
    is_cut: bool,
}

impl Writer {
    fn container(&mut self, kind: u8, bytes: &[u8], depth: u32) {
        let (open, close) = if kind == ARRAY { (b"[", b"]") } else { (b"{", b"}") };
        self.line.push(open);
        if depth < MAX_DEPTH {
            self.elements(kind == ARRAY, bytes, depth);
        } else if bytes.first().is_some_and(|len| u64::from(*len) != bson::MIN_DOCUMENT) {
            self.line.push(b"...");
        }
        self.line.push(close);
    }

    fn elements(&mut self, is_array: bool, bytes: &[u8], depth: u32) {
        let len = bytes.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        let mut rest = bytes.get(4..len.min(bytes.len())).unwrap_or_default();
        let start = self.line.len();
        let mut last = start..start;
        while !self.is_cut {
            if self.line.room() < 2 * MAX_TEXT + RESERVE {
                return self.cut_unless(rest.first() == Some(&0));
            }
            let Some((kind, name, value, behind)) = bson::whole(rest) else {
                return self.cut_unless(rest.first() == Some(&0));
            };
            rest = behind;
            let before = self.line.len();
            if before > start {
                self.line.push(b",");
            }
            let begin = self.line.len();
            if !is_array {
                self.key(name);
            }
            self.value(kind, name, value, depth);
            // One shape for any number of them.
            let text = self.line.as_bytes();
            if is_array && !self.values && !last.is_empty() && text.get(last.clone()) == text.get(begin..) {
                self.line.truncate(before);
            } else {
                last = begin..self.line.len();
            }
        }
    }

    /// Says that something is missing here.
    fn cut_unless(&mut self, is_all: bool) {
        if !is_all && !self.is_cut {
            self.is_cut = true;
            self.line.push(b"...");
        }
    }

    fn key(&mut self, name: &[u8]) {
        self.text(name);
        self.line.push(b":");
        self.keys = self.keys.saturating_sub(1);
        if self.keys == 0 {
            self.cut_unless(false);
        }
    }

    fn value(&mut self, kind: u8, name: &[u8], bytes: &[u8], depth: u32) {
        match kind {
            _ if self.is_cut => {}
            _ if self.values && is_secret(name) => self.line.push(b"\"?\""),
            DOCUMENT | ARRAY => self.container(kind, bytes, depth + 1),
            _ if self.values => self.scalar(kind, bytes),
            _ => self.line.push(b"\"?\""),
        }
    }

    fn scalar(&mut self, kind: u8, bytes: &[u8]) {
        let (four, eight) = (bytes.first_chunk().copied(), bytes.first_chunk().copied());
        match (kind, four, eight) {
            (STRING, Some(len), _) => {
                let len = (u32::from_le_bytes(len) as usize).saturating_sub(1);
                let text = bytes.get(4..).unwrap_or_default();
                self.text(text.get(..len).unwrap_or(text));
            }
            (BOOL, ..) => self.line.push(if bytes.first() == Some(&0) { b"false" } else { b"true" }),
            (INT32, Some(number), _) => self.show(i32::from_le_bytes(number)),
            (INT64, _, Some(number)) => self.show(i64::from_le_bytes(number)),
            (DOUBLE, _, Some(number)) => self.show(f64::from_le_bytes(number)),
            (NULL, ..) => self.line.push(b"null"),
            (OBJECT_ID, ..) => {
                self.line.push(b"{\"$oid\":\"");
                bytes.iter().for_each(|byte| self.show(format_args!("{byte:02x}")));
                self.line.push(b"\"}");
            }
            _ => self.line.push(b"\"?\""),
        }
    }

    fn show(&mut self, value: impl core::fmt::Display) {
        self.line.push(Line::<32>::of(value).as_bytes());
    }

    /// A string in quotes. What would break them, or the terminal, is not shown.
    fn text(&mut self, text: &[u8]) {
        let shown = text.get(..MAX_TEXT - 8).filter(|_| text.len() > MAX_TEXT).unwrap_or(text);
        self.line.push(b"\"");
        for part in shown.split_inclusive(|byte| is_awkward(*byte)) {
            match part.split_last() {
                Some((last, plain)) if is_awkward(*last) => {
                    self.line.push(plain);
                    self.line.push(b"?");
                }
                _ => self.line.push(part),
            }
        }
        if shown.len() < text.len() {
            self.line.push(b"...");
        }
        self.line.push(b"\"");
    }
}

fn is_awkward(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f)
}

/// Whether a value of that name is nobody's business.
fn is_secret(name: &[u8]) -> bool {
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    [&b"pwd"[..], b"passw", b"payload", b"secret", b"token", b"credential", b"auth", b"apikey"].into_iter().any(has)
}
