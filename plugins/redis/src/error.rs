//! Errors: the first word names them, if it is a name, and says who is to blame. The text behind it may quote what was
//! sent, and is never emitted.
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>

use protap_plugin::Status;

/// Longest name of an error.
const MAX_NAME: usize = 24;

/// Errors that tell of the server's state; all others are the client's to avoid, redirections included.
const SERVER_ERRORS: &[&str] = &[
    "BUSY",
    "CLUSTERDOWN",
    "FAILOVER",
    "INPROG",
    "INTERNAL",
    "IOERR",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NODATA",
    "NOGOODSLAVE",
    "NOMASTERLINK",
    "NOQUORUM",
    "NOREPLICAS",
    "OOM",
    "TRYAGAIN",
    "UNBLOCKED",
];

/// What follows `ERR` where it is the server that failed.
const SERVER_TEXTS: &[&[u8]] = &[b"max number of clients", b"Background save already", b"Can't save in background"];

/// An error's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    name: [u8; MAX_NAME],
    len: usize,
    is_servers: bool,
}

impl Code {
    /// Of an error with that text, or the beginning of it.
    pub(crate) fn of(text: &[u8]) -> Self {
        let end = text.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n')).unwrap_or(text.len());
        let word = text.get(..end).filter(|word| is_name(word)).unwrap_or_default();
        let mut name = [0; MAX_NAME];
        name.iter_mut().zip(word).for_each(|(slot, byte)| *slot = *byte);
        let behind = text.get(word.len().saturating_add(1)..).unwrap_or_default();
        let mut code = Self { name, len: word.len(), is_servers: false };
        code.is_servers = code.name().is_some_and(|name| SERVER_ERRORS.contains(&name))
            || word == b"ERR" && SERVER_TEXTS.iter().any(|text| behind.starts_with(text));
        code
    }

    /// The name; scripts and modules may send errors without one.
    pub(crate) fn name(&self) -> Option<&str> {
        let name = self.name.get(..self.len)?;
        core::str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// Who is to blame.
    pub(crate) fn status(&self) -> Status {
        if self.is_servers { Status::ServerError } else { Status::ClientError }
    }
}

/// Where a redirection points: `MOVED slot host:port`, `ASK slot host:port`.
pub(crate) fn redirection(text: &[u8]) -> Option<&[u8]> {
    let mut words = text.split(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let is_redirection = matches!(words.next()?, b"MOVED" | b"ASK");
    let slot = words.next()?;
    let target = words.next().filter(|target| !target.is_empty() && target.len() <= 255)?;
    let is_address =
        target.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'_'));
    (is_redirection && slot.len() <= 5 && slot.iter().all(u8::is_ascii_digit) && is_address).then_some(target)
}

fn is_name(word: &[u8]) -> bool {
    let is_name_byte = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    word.len() <= MAX_NAME && word.first().is_some_and(u8::is_ascii_uppercase) && word.iter().all(is_name_byte)
}

#[cfg(test)]
mod tests {
    use protap_plugin::Status;

    use super::{Code, redirection};

    #[test]
    fn the_first_word_names_the_error_and_who_is_to_blame() {
        for (text, name, status) in [
            (&b"WRONGTYPE Operation against a key"[..], Some("WRONGTYPE"), Status::ClientError),
            (b"ERR unknown command 'x'\r\n", Some("ERR"), Status::ClientError),
            (b"ERR max number of clients reached", Some("ERR"), Status::ServerError),
            (b"OOM command not allowed", Some("OOM"), Status::ServerError),
            (b"LOADING Redis is loading the dataset in memory\r\n", Some("LOADING"), Status::ServerError),
            (b"MOVED 3999 127.0.0.1:6381", Some("MOVED"), Status::ClientError),
            (b"EXECABORT", Some("EXECABORT"), Status::ClientError),
            (b"secret user data", None, Status::ClientError),
            (b"AVERYLONGWORDTHATISNOTANERRORSNAME x", None, Status::ClientError),
            (b"", None, Status::ClientError),
        ] {
            let code = Code::of(text);
            assert_eq!((code.name(), code.status()), (name, status), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_redirections_point_somewhere() {
        assert_eq!(redirection(b"MOVED 3999 127.0.0.1:6381\r\n"), Some(&b"127.0.0.1:6381"[..]));
        assert_eq!(redirection(b"ASK 1 host.example:1"), Some(&b"host.example:1"[..]));
        for text in [&b"ERR 1 127.0.0.1:1"[..], b"MOVED x 127.0.0.1:1", b"MOVED 3999 \xff", b"MOVED 3999", b""] {
            assert_eq!(redirection(text), None);
        }
    }
}
