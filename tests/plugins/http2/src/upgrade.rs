//! The upgrade from HTTP/1.1 that RFC 7540, section 3.2 had: a request that says `Upgrade: h2c`, which is stream 1 from
//! then on, and an answer of 101, behind which the server's frames begin. Nothing else of HTTP/1.1 is read here.

use protap_plugin::{Client, Heads, Verdict};

use crate::frame::PREFACE;

/// Longest head of a request or answer, in bytes.
const MAX_HEAD: usize = 8 << 10;
const END: &[u8; 4] = b"\r\n\r\n";

/// The request that was upgraded.
#[derive(Debug)]
pub(crate) struct Upgraded<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) host: Option<&'a [u8]>,
    /// Bytes of its head.
    pub(crate) len: usize,
}

/// What begins a stream that may be upgraded.
#[derive(Debug)]
pub(crate) enum Front<T> {
    Is(T),
    /// Its end has not come yet.
    Need,
    No,
}

/// The request that a client begins with, if it asks for an upgrade and has no body.
pub(crate) fn request(bytes: &[u8]) -> Front<Upgraded<'_>> {
    if !bytes.iter().take(8).all(|byte| matches!(byte, b'A'..=b'Z' | b' ' | b'/' | b'*' | b':' | b'a'..=b'z')) {
        return Front::No;
    }
    let head = match head(bytes) {
        Front::Is(head) => head,
        Front::Need => return Front::Need,
        Front::No => return Front::No,
    };
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(path), Some(b"HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return Front::No;
    };
    let field = |name: &str| {
        lines.clone().find_map(|line| {
            let (found, value) = line.split_at_checked(name.len())?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    };
    let is_upgrade = field("upgrade:").is_some_and(|value| value.eq_ignore_ascii_case(b"h2c"));
    let has_body = field("content-length:").is_some_and(|value| value != b"0") || field("transfer-encoding:").is_some();
    if !is_upgrade || has_body {
        return Front::No;
    }
    Front::Is(Upgraded { method, path, host: field("host:"), len: head.len() })
}

/// The answer that switches to HTTP/2; how many bytes it has.
pub(crate) fn answer(bytes: &[u8]) -> Front<usize> {
    const SWITCHING: &[u8] = b"HTTP/1.1 101";
    if !bytes.iter().zip(SWITCHING).all(|(a, b)| a == b) {
        return Front::No;
    }
    match head(bytes) {
        Front::Is(head) => Front::Is(head.len()),
        Front::Need => Front::Need,
        Front::No => Front::No,
    }
}

/// The bytes up to the first empty line, and with it.
fn head(bytes: &[u8]) -> Front<&[u8]> {
    match bytes.windows(END.len()).take(MAX_HEAD).position(|four| four == END) {
        Some(at) => bytes.get(..at + END.len()).map_or(Front::No, Front::Is),
        None if bytes.len() < MAX_HEAD => Front::Need,
        None => Front::No,
    }
}

/// What a probe says of a connection that may be upgraded; `None` if it is no such.
pub(crate) fn probe(heads: &Heads<'_>) -> Option<Verdict> {
    if heads.a_is_mid_stream || heads.a.is_empty() {
        return None;
    }
    let more = Verdict::More(u32::try_from(heads.a.len().max(heads.b.len()).saturating_add(1)).unwrap_or(u32::MAX));
    match (request(heads.a), answer(heads.b)) {
        (Front::Is(_), Front::Is(_)) => Some(Verdict::Certain(Client::A)),
        // Of the server nothing was captured; but it must have agreed.
        (Front::Is(request), _) if heads.a.get(request.len..).is_some_and(|rest| rest.starts_with(PREFACE)) => {
            Some(Verdict::Certain(Client::A))
        }
        (Front::Is(_) | Front::Need, Front::Is(_) | Front::Need) if !heads.is_complete => Some(more),
        _ => None,
    }
}
