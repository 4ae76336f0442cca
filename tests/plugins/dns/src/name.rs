//! Domain names: labels behind their lengths, up to an empty one or a pointer to where the rest stands.
//!
//! <https://www.rfc-editor.org/rfc/rfc1035#section-4.1.4>

/// Longest name, in bytes of the message.
const MAX_NAME: usize = 255;

/// What a name's next byte begins.
enum Part<'a> {
    Label(&'a [u8]),
    Pointer(usize),
    End,
}

fn part(message: &[u8], at: usize) -> Option<Part<'_>> {
    let first = *message.get(at)?;
    Some(match first {
        0 => Part::End,
        1..=63 => Part::Label(message.get(at + 1..at + 1 + usize::from(first))?),
        0xc0.. => Part::Pointer(usize::from(first & 0x3f) << 8 | usize::from(*message.get(at + 1)?)),
        // Extended labels, which nobody uses any more.
        _ => return None,
    })
}

/// Where the name that begins at `at` ends; `None` if it does not.
pub(crate) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    let longest = at.saturating_add(MAX_NAME);
    while at < longest {
        at = match part(message, at)? {
            Part::Label(label) => at + 1 + label.len(),
            Part::Pointer(_) => return Some(at + 2),
            Part::End => return Some(at + 1),
        };
    }
    None
}

/// The name that begins at `at`, as people write it, and where it ends. A pointer must point to before what was read
/// last, so that there are no loops.
pub(crate) fn read(message: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let end = skip(message, at)?;
    let mut text = Vec::new();
    let (mut at, mut begin, mut len) = (at, at, 0);
    loop {
        match part(message, at)? {
            Part::End => break,
            Part::Pointer(to) if to < begin => (at, begin) = (to, to),
            Part::Pointer(_) => return None,
            Part::Label(label) => {
                len += 1 + label.len();
                if len > MAX_NAME {
                    return None;
                }
                if !text.is_empty() {
                    text.push(b'.');
                }
                label.iter().for_each(|byte| escape(*byte, &mut text));
                at += 1 + label.len();
            }
        }
    }
    if text.is_empty() {
        text.push(b'.');
    }
    Some((text, end))
}

/// Bytes that would be misread are written as in a zone file: `\.`, `\007`.
fn escape(byte: u8, text: &mut Vec<u8>) {
    match byte {
        b'.' | b'\\' => text.extend([b'\\', byte]),
        b'!'..=b'~' => text.push(byte),
        _ => text.extend([b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, skip};

    fn text(message: &[u8], at: usize) -> Option<String> {
        read(message, at).map(|(name, _)| String::from_utf8(name).unwrap())
    }

    #[test]
    fn a_name_goes_on_where_a_pointer_says() {
        let message = b"\x07example\x03com\0\x03www\xc0\0\x01a";
        assert_eq!(read(message, 0), Some((b"example.com".to_vec(), 13)));
        assert_eq!(read(message, 13), Some((b"www.example.com".to_vec(), 19)));
        assert_eq!(skip(message, 13), Some(19));
    }

    #[test]
    fn pointers_in_a_circle_are_no_name() {
        assert_eq!(text(b"\xc0\x00", 0), None);
        assert_eq!(text(b"\x01a\xc0\x00", 0), None);
        assert_eq!(text(b"\xc0\x02\xc0\x00", 2), None);
        assert_eq!(text(b"\x01a\xc0\x04\xc0\x00", 4), None);
    }

    #[test]
    fn strange_bytes_are_written_as_numbers() {
        assert_eq!(text(b"\x04a.\x00b\0", 0).as_deref(), Some("a\\.\\000b"));
        assert_eq!(text(b"\0", 0).as_deref(), Some("."));
    }

    #[test]
    fn a_name_that_is_too_long_or_cut_is_none() {
        let long = [[9, b'a', b'a', b'a', b'a', b'a', b'a', b'a', b'a', b'a']; 26].concat();
        assert_eq!(text(&[&long[..], &[0]].concat(), 0), None);
        assert_eq!(text(b"\x05abc", 0), None);
        assert_eq!(text(b"\x41a\0", 0), None);
    }
}
