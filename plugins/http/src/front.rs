//! The first line of a message, strictly: what a probe, a resync and a doubt go by. Other protocols have lines of the same
//! kind (SIP, RTSP, ICAP, the preface of HTTP/2), and differ in the version.
//! <https://www.rfc-editor.org/rfc/rfc9112#section-2.1>

use protap_plugin::Direction;

/// Longest method that is taken for one.
const MAX_METHOD: usize = 24;
/// Longest name of a field, and how many fields leave no doubt.
const MAX_NAME: usize = 64;
const FIELDS: usize = 2;
/// Longest line that is looked at.
const MAX_LINE: usize = 8 << 10;
const VERSIONS: [&[u8]; 2] = [b"HTTP/1.0", b"HTTP/1.1"];
/// What every status line begins with, but for the digit behind it.
const VERSION: &[u8] = b"HTTP/1.";

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A first line of that many bytes, and behind it fields enough, or the end of the head.
    Line(usize),
    /// It may become one.
    Open,
    No,
}

/// Looks for the first line of a message in that direction.
pub(crate) fn front(direction: Direction, bytes: &[u8]) -> Front {
    if !begins(direction, bytes) {
        return Front::No;
    }
    let (line, len) = match bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), Some(at + 1)),
        None => (bytes, None),
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let fits = match direction {
        Direction::ToServer => is_request_line(line, len.is_some()),
        Direction::ToClient => is_status_line(line, len.is_some()),
    };
    match len {
        _ if !fits => Front::No,
        None if bytes.len() >= MAX_LINE => Front::No,
        None => Front::Open,
        Some(len) => match fields(bytes.get(len..).unwrap_or_default()) {
            Front::Line(_) => Front::Line(len),
            front => front,
        },
    }
}

/// Whether the very first bytes may be those of a message: what is none is mostly seen here.
pub(crate) fn begins(direction: Direction, bytes: &[u8]) -> bool {
    match direction {
        Direction::ToServer => match method(bytes) {
            Some((method, Some(rest))) => begins_target(method, rest),
            method => method.is_some(),
        },
        Direction::ToClient => is_status_line(bytes.get(..VERSION.len()).unwrap_or(bytes), false),
    }
}

/// Whether the bytes begin with a status line, as far as they go. Codes above 599 are none that a server should send, but what
/// comes with one is to be taken for 5xx (RFC 9110, 15).
pub(crate) fn is_status_line(line: &[u8], is_whole: bool) -> bool {
    let Some(rest) = line.strip_prefix(VERSION) else { return !is_whole && VERSION.starts_with(line) };
    let is_code = |code: &[u8]| code.iter().all(u8::is_ascii_digit) && !code.starts_with(b"0");
    match rest {
        [b'0' | b'1', b' ', a, b, c] => is_code(&[*a, *b, *c]),
        [b'0' | b'1', b' ', a, b, c, b' ', phrase @ ..] => is_code(&[*a, *b, *c]) && is_text(phrase),
        [b'0' | b'1', b' ', code @ ..] => !is_whole && code.len() < 3 && is_code(code),
        [] | [b'0' | b'1'] => !is_whole,
        _ => false,
    }
}

/// Whether the bytes begin with a request line, as far as they go.
pub(crate) fn is_request_line(line: &[u8], is_whole: bool) -> bool {
    let Some((method, rest)) = method(line) else { return false };
    let Some(rest) = rest else { return !is_whole };
    if !begins_target(method, rest) || !is_text(rest) {
        return false;
    }
    match rest.iter().position(|byte| *byte == b' ').and_then(|at| rest.get(at + 1..)) {
        None => !is_whole,
        Some(version) if is_whole => VERSIONS.contains(&version),
        Some(version) => VERSIONS.iter().any(|known| known.starts_with(version)),
    }
}

/// The method in front, and what is behind the space that follows it, as far as they go.
fn method(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let is_method_byte = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    let len = bytes.iter().take(MAX_METHOD + 1).take_while(|byte| is_method_byte(byte)).count();
    let (method, rest) = bytes.split_at_checked(len)?;
    match rest {
        [] => (len <= MAX_METHOD).then_some((method, None)),
        [b' ', rest @ ..] => (3..=MAX_METHOD).contains(&len).then_some((method, Some(rest))),
        _ => None,
    }
}

fn begins_target(method: &[u8], rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(b'/') => true,
        Some(b'*') => method == b"OPTIONS" && rest.get(1).is_none_or(|byte| *byte == b' '),
        Some(_) if method == b"CONNECT" => {
            rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[')
        }
        Some(_) => {
            let is_prefix = |scheme: &[u8]| rest.iter().zip(scheme).all(|(a, b)| a.eq_ignore_ascii_case(b));
            is_prefix(b"http://") || is_prefix(b"https://")
        }
    }
}

/// Whether the bytes behind a first line are those of a head: its end, or fields enough.
fn fields(rest: &[u8]) -> Front {
    let mut at = 0;
    for _ in 0..FIELDS {
        let rest = rest.get(at..).unwrap_or_default();
        let end = rest.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
        let line = rest.get(..end.unwrap_or(rest.len().min(MAX_LINE))).unwrap_or_default();
        match (end, line) {
            (Some(end), b"" | b"\r") => return Front::Line(at + end + 1),
            (None, b"" | b"\r") => return Front::Open,
            (_, line) if !is_field(line, end.is_some() || rest.len() >= MAX_LINE) => return Front::No,
            (Some(end), _) => at += end + 1,
            (None, _) if rest.len() >= MAX_LINE => return Front::Line(at),
            (None, _) => return Front::Open,
        }
    }
    Front::Line(at)
}

/// Whether a line is a header field, as far as it goes.
pub(crate) fn is_field(line: &[u8], is_whole: bool) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let len = line.iter().take(MAX_NAME + 1).position(|byte| !is_name_byte(byte)).unwrap_or(line.len());
    if len == 0 || len > MAX_NAME {
        return false;
    }
    match line.get(len..) {
        Some([b':', value @ ..]) => is_text(value),
        rest => !is_whole && rest.is_none_or(<[u8]>::is_empty),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

#[cfg(test)]
mod tests {
    use protap_plugin::Direction::{ToClient, ToServer};

    use super::{Front, front};

    #[test]
    fn every_prefix_of_a_first_line_is_open_and_the_line_is_found() {
        for (direction, line) in [
            (ToServer, &b"GET / HTTP/1.1\r\n"[..]),
            (ToServer, b"POST /a%20b?c=d HTTP/1.0\n"),
            (ToServer, b"OPTIONS * HTTP/1.1\r\n"),
            (ToServer, b"CONNECT example.com:443 HTTP/1.1\r\n"),
            (ToServer, b"GET http://example.com/x HTTP/1.1\r\n"),
            (ToServer, b"VERSION-CONTROL /x HTTP/1.1\r\n"),
            (ToClient, b"HTTP/1.1 200 OK\r\n"),
            (ToClient, b"HTTP/1.0 404 Not Found\n"),
            (ToClient, b"HTTP/1.1 200\r\n"),
            (ToClient, b"HTTP/1.1 200 \r\n"),
        ] {
            for len in 0..line.len() {
                assert_eq!(front(direction, &line[..len]), Front::Open, "{} {len}", line.escape_ascii());
            }
            for (behind, found) in [
                (&b"\r\n"[..], Front::Line(line.len())),
                (b"\nGET", Front::Line(line.len())),
                (b"Host: x\r\n\r\n", Front::Line(line.len())),
                (b"Host:x\nA: b\nno field", Front::Line(line.len())),
                (b"", Front::Open),
                (b"Hos", Front::Open),
                (b"Host: x\r\nA", Front::Open),
                (b"\x00", Front::No),
                (b": x", Front::No),
                (b"\rx", Front::No),
                (b"Host\r\n", Front::No),
                (b"Host: x\r\nA b: c", Front::No),
                (b"Host: \x00\r\n", Front::No),
            ] {
                assert_eq!(front(direction, &[line, behind].concat()), found, "{}", behind.escape_ascii());
            }
        }
    }

    #[test]
    fn lines_of_other_protocols_are_none() {
        for line in [
            &b"INVITE sip:bob@example.com SIP/2.0\r\n"[..],
            b"OPTIONS rtsp://example.com/ RTSP/1.0\r\n",
            b"DESCRIBE /x RTSP/1.0\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"REQMOD icap://x/ ICAP/1.0\r\n",
            b"GET /\r\n",
            b"GET x HTTP/1.1\r\n",
            b"get / HTTP/1.1\r\n",
            b"GET / HTTP/1.1 \r\n",
            b"GET /\0 HTTP/1.1\r\n",
            b"QUIT\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            assert_eq!(front(ToServer, line), Front::No, "{}", line.escape_ascii());
        }
        for line in [
            &b"ICY 200 OK\r\n"[..],
            b"RTSP/1.0 200 OK\r\n",
            b"SIP/2.0 200 OK\r\n",
            b"HTTP/2 200\r\n",
            b"HTTP/1.1 060 x\r\n",
            b"HTTP/1.1 20\r\n",
            b"HTTP/1.1 2000\r\n",
            b"220 mail ESMTP\r\n",
        ] {
            assert_eq!(front(ToClient, line), Front::No, "{}", line.escape_ascii());
        }
    }
}
