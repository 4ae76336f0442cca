//! SQL, of which one word is told: what it does. The word must be one that we know, since anything may stand there.

/// Keywords that a statement begins with.
const KEYWORDS: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "COMMIT",
    "CREATE",
    "DEALLOCATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DO",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "FLUSH",
    "GET",
    "GRANT",
    "HANDLER",
    "HELP",
    "IMPORT",
    "INSERT",
    "INSTALL",
    "KILL",
    "LOAD",
    "LOCK",
    "OPTIMIZE",
    "PREPARE",
    "PURGE",
    "RELEASE",
    "RENAME",
    "REPAIR",
    "REPLACE",
    "RESET",
    "RESIGNAL",
    "RESTART",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "SHUTDOWN",
    "SIGNAL",
    "START",
    "STOP",
    "TABLE",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
    "UPDATE",
    "USE",
    "VALUES",
    "WITH",
    "XA",
];

/// The keyword that the text begins with, behind blanks, brackets and comments.
pub(crate) fn keyword(text: &[u8]) -> Option<&'static str> {
    let text = statement(text);
    let end = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    let word = text.get(..end)?;
    KEYWORDS.iter().copied().find(|keyword| keyword.as_bytes().eq_ignore_ascii_case(word))
}

/// The text of a query behind the attributes that MySQL 8.0.23 and later may put before it; `None` if there are some.
/// (A statement does not begin with a control character other than a blank, so it cannot be taken for their number.)
pub(crate) fn query_text(payload: &[u8]) -> Option<&[u8]> {
    match payload {
        [0, 1, text @ ..] => Some(text),
        [0..=8, ..] => None,
        text => Some(text),
    }
}

fn statement(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'/', b'*', b'!', rest @ ..] => digits(rest),
            [b'/', b'*', rest @ ..] => behind(rest, b"*/"),
            [b'#', rest @ ..] | [b'-', b'-', b' ', rest @ ..] => behind(rest, b"\n"),
            [b'(', rest @ ..] => rest,
            [blank, rest @ ..] if blank.is_ascii_whitespace() => rest,
            _ => return text,
        };
    }
}

fn behind<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    let at = text.windows(end.len()).position(|window| window == end);
    at.and_then(|at| text.get(at + end.len()..)).unwrap_or_default()
}

/// A comment for servers of some version only: `/*!40101 SET ... */`.
fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{keyword, query_text};

    #[test]
    fn the_keyword_is_found_behind_what_may_precede_it() {
        for text in
            ["SELECT 1", "select\n1", " \t((select 1)", "/* secret */ SELECT", "/*!40101 SELECT */", "-- x\nselect"]
        {
            assert_eq!(keyword(text.as_bytes()), Some("SELECT"), "{text}");
        }
    }

    #[test]
    fn what_is_no_keyword_is_not_told() {
        for text in ["hunter2", "SELEKT 1", "", "/* SELECT", "'SELECT'", "SELECTED"] {
            assert_eq!(keyword(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn query_attributes_precede_the_text() {
        assert_eq!(query_text(b"\x00\x01SELECT 1"), Some(&b"SELECT 1"[..]));
        assert_eq!(query_text(b"\x01\x01\x00..."), None);
        assert_eq!(query_text(b"SELECT 1"), Some(&b"SELECT 1"[..]));
    }
}
