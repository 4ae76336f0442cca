//! Compiles the descriptions of bodies, at compile time of the plugin. See [`super`] for what they mean.

#![expect(clippy::indexing_slicing, reason = "evaluated at compile time, where out of bounds is a compile error")]

use protap_plugin::Key;

use super::{MAX_DEPTH, Op, What};
use crate::attributes::{FLAGS, NUMBERS, TEXTS};

/// Number of words in a description.
pub(crate) const fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut words, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b' ' && (at == 0 || bytes[at - 1] == b' ') {
            words += 1;
        }
        at += 1;
    }
    words
}

/// Compiles a description of `N` words.
pub(crate) const fn compile<const N: usize>(text: &str) -> [Op; N] {
    let bytes = text.as_bytes();
    let mut ops = [Op { what: What::Rest, from: 0, to: i16::MAX }; N];
    let (mut depth, mut at, mut i) = (0, 0, 0);
    while i < N {
        while bytes[at] == b' ' {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && bytes[at] != b' ' {
            at += 1;
        }
        ops[i] = op(bytes.split_at(at).0.split_at(start).1);
        if ops[i].what.opens() {
            depth += 1;
            assert!(depth <= MAX_DEPTH, "structures are nested too deeply");
        } else if matches!(ops[i].what, What::Close) {
            assert!(depth > 0, "a structure is closed that was not opened");
            depth -= 1;
        }
        i += 1;
    }
    assert!(depth == 0, "a structure is not closed");
    ops
}

/// A word: a field, and after an `@` its versions.
const fn op(word: &[u8]) -> Op {
    let mut len = 0;
    while len < word.len() && word[len] != b'@' {
        len += 1;
    }
    let (what, versions) = word.split_at(len);
    let (from, to) = if versions.is_empty() { (0, i16::MAX) } else { range(versions) };
    Op { what: what_of(what), from, to }
}

/// `@2+`, `@2-4` or `@-4`.
const fn range(versions: &[u8]) -> (i16, i16) {
    let (from, at) = number(versions, 1);
    assert!(at < versions.len(), "versions end in + or in a version");
    if versions[at] == b'+' {
        return (from, i16::MAX);
    }
    assert!(versions[at] == b'-', "versions are joined by a -");
    let (to, end) = number(versions, at + 1);
    assert!(end == versions.len() && end > at + 1 && from <= to, "not a range of versions");
    (from, to)
}

/// The number that begins at `at`, 0 if there is none, and where it ends.
const fn number(text: &[u8], at: usize) -> (i16, usize) {
    let (mut value, mut at) = (0, at);
    while at < text.len() && text[at].is_ascii_digit() {
        value = value * 10 + (text[at] - b'0') as i16;
        at += 1;
    }
    (value, at)
}

const fn what_of(word: &[u8]) -> What {
    match word {
        b"text" => What::Text,
        b"text*" => What::Texts,
        b"bytes" => What::Bytes,
        b"throttle" => What::Throttle,
        b"error" => What::Error,
        b"partition" => What::Partition,
        b"partition*" => What::Partitions,
        b"partitions" => What::PartitionCount,
        b"assigned*" => What::Assigned,
        b"offset" => What::Offset,
        b"wait" => What::Wait,
        b"records" => What::Records,
        b"topic" => What::Topic,
        b"topic*" => What::Topics,
        b"topicid" => What::TopicId,
        b"nameid" => What::NameAndId,
        b"idname" => What::IdAndName,
        b"group" => What::Group,
        b"group*" => What::Groups,
        b"txn" => What::TransactionalId,
        b"keytype" => What::KeyType,
        b"resource" => What::Resource,
        b"instanceid" => What::ClientInstance,
        b"[" => What::Each,
        b"{" => What::One,
        b"?{" => What::Maybe,
        b"]" | b"}" => What::Close,
        b"..." => What::Rest,
        _ => value_of(word),
    }
}

/// `4`, `4*`, or something that is kept under a name: `4:name`, `1?name`, `text:name`, `+name`.
const fn value_of(word: &[u8]) -> What {
    if word[0] == b'+' {
        return What::Count(slot(&NUMBERS, word, 1));
    }
    let (len, end) = number(word, 0);
    assert!(len < 256, "a field too long");
    if end == word.len() {
        return What::Skip(len as u8);
    }
    match word[end] {
        b'*' => {
            assert!(end + 1 == word.len() && len > 0, "an unknown word");
            What::SkipArray(len as u8)
        }
        b'?' => {
            assert!(len == 1, "a flag has one byte");
            What::Number(1, NUMBERS.len() as u8 + slot(&FLAGS, word, end + 1))
        }
        b':' => {
            assert!(matches!(len, 1 | 2 | 4 | 8), "no number has that size");
            What::Number(len as u8, slot(&NUMBERS, word, end + 1))
        }
        _ => {
            assert!(len == 0 && word.len() > 5 && word[0] == b't' && word[4] == b':', "an unknown word");
            What::Named(slot(&TEXTS, word, 5))
        }
    }
}

/// Slot of the number that is kept under a name.
pub(super) const fn number_slot(name: &[u8]) -> u8 {
    slot(&NUMBERS, name, 0)
}

/// Index of the name that begins at `at`.
const fn slot<const N: usize>(names: &[(&str, Key); N], word: &[u8], at: usize) -> u8 {
    let (mut i, mut found) = (0, N);
    while i < N {
        let name = names[i].0.as_bytes();
        let mut same = 0;
        while same < name.len() && at + same < word.len() && name[same] == word[at + same] {
            same += 1;
        }
        if same == name.len() && at + same == word.len() {
            found = i;
        }
        i += 1;
    }
    assert!(found < N, "nothing is kept under that name");
    found as u8
}
