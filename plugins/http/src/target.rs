//! What a request is about: its target in one of four forms, and the host that it is for.
//!
//! ```text
//! origin-form      /path?query                   most requests
//! absolute-form    http://host:port/path?query   to a proxy; a Host field beside it does not count
//! authority-form   host:port                     CONNECT
//! asterisk-form    *                             OPTIONS, of the server itself
//! ```
//! <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>

use std::borrow::Cow;

/// A target, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) scheme: Option<&'a [u8]>,
    /// Host and port, without a user's name and password.
    pub(crate) authority: Option<&'a [u8]>,
    pub(crate) path: Option<&'a [u8]>,
    pub(crate) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// The target of a request with that method; `None` if it has none of the forms.
    pub(crate) fn of(method: &[u8], target: &'a [u8]) -> Option<Self> {
        if method == b"CONNECT" {
            return Some(Self { authority: Some(without_user(target)), ..Self::default() });
        }
        if target.starts_with(b"/") || target == b"*" {
            return Some(Self::default().with_path(target));
        }
        let colon = target.iter().position(|byte| *byte == b':')?;
        let (scheme, rest) = target.split_at_checked(colon)?;
        let rest = rest.strip_prefix(b"://")?;
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if scheme.is_empty() || scheme.len() > 16 || !scheme.iter().all(is_scheme) {
            return None;
        }
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let target = Self { scheme: Some(scheme), authority: Some(without_user(authority)), ..Self::default() };
        let target = target.with_path(path);
        Some(if target.path == Some(b"") { Self { path: Some(b"/"), ..target } } else { target })
    }

    fn with_path(self, rest: &'a [u8]) -> Self {
        let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'?') {
            None => Self { path: Some(rest), ..self },
            Some(at) => Self { path: rest.get(..at), query: rest.get(at + 1..), ..self },
        }
    }
}

/// The path without the parameters of its segments, which may name sessions: `/a;jsessionid=1/b` is `/a/b`.
pub(crate) fn without_parameters(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b';') {
        return Cow::Borrowed(path);
    }
    let bare = |segment: &'_ [u8]| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
    let segments: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(bare).collect();
    Cow::Owned(segments.join(&b'/'))
}

fn without_user(authority: &[u8]) -> &[u8] {
    authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default()
}

/// Host and port of an authority or of a Host field; `None` if it is neither.
pub(crate) fn host_and_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let end = match authority.first()? {
        b'[' => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte) || *byte >= 0x80;
    let port = match rest {
        [] | [b':'] => None,
        [b':', digits @ ..] => Some(crate::framing::number(digits).and_then(|port| u16::try_from(port).ok())?),
        _ => return None,
    };
    let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    (!host.is_empty() && host.len() <= 255 && host.iter().all(is_legal)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::{Target, host_and_port, without_parameters};

    #[test]
    fn targets_of_every_form_are_taken_apart() {
        let of = |method: &str, target: &str| {
            let target = Target::of(method.as_bytes(), target.as_bytes())?;
            let text = |part: Option<&[u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
            Some((text(target.scheme), text(target.authority), text(target.path), text(target.query)))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("GET", "/a/b?c=d?e#f"), Some((None, None, some("/a/b"), some("c=d?e"))));
        assert_eq!(of("OPTIONS", "*"), Some((None, None, some("*"), None)));
        assert_eq!(of("CONNECT", "example.com:443"), Some((None, some("example.com:443"), None, None)));
        let absolute = of("GET", "http://user:secret@example.com:8080/a?b");
        assert_eq!(absolute, Some((some("http"), some("example.com:8080"), some("/a"), some("b"))));
        assert_eq!(of("GET", "https://x"), Some((some("https"), some("x"), some("/"), None)));
        assert_eq!(of("GET", "http://x?q"), Some((some("http"), some("x"), some("/"), some("q"))));
        for target in ["", "a/b", "example.com:443", "://x/", "?x"] {
            assert_eq!(of("GET", target), None, "{target}");
        }
    }

    #[test]
    fn a_host_may_have_a_port() {
        assert_eq!(host_and_port(b"example.com"), Some((&b"example.com"[..], None)));
        assert_eq!(host_and_port(b"example.com:8080"), Some((&b"example.com"[..], Some(8080))));
        assert_eq!(host_and_port(b"[::1]:80"), Some((&b"::1"[..], Some(80))));
        assert_eq!(host_and_port(b"x:"), Some((&b"x"[..], None)));
        for bad in [&b""[..], b":80", b"x:99999", b"x:y", b"a b", b"[::1", b"[::1]x", b"a/b", b"a@b"] {
            assert_eq!(host_and_port(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn parameters_of_a_path_are_left_out() {
        assert_eq!(&*without_parameters(b"/a;jsessionid=1/b;x"), b"/a/b");
        assert_eq!(&*without_parameters(b"/a/b"), b"/a/b");
    }
}
