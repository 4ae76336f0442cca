//! Strings and numbers as JSON (RFC 8259). Integers that a double cannot hold exactly are written as strings, since
//! most readers of JSON would round them without a word.

use std::io::Write;

use itoa::Integer;

/// The largest magnitude up to which every integer is a double (RFC 7493, section 2.2).
const MAX_EXACT: u64 = 1 << 53;

#[inline]
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a string. Escaped are quotes, backslashes and all control characters, DEL and the
/// C1 controls too: JSON allows them raw, but a terminal may obey them.
#[inline]
pub(super) fn put_escaped(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        text.chars().for_each(|character| put_char(out, character));
    }
}

/// Nothing is to be escaped. May be wrong about text that holds the lead byte of the C1 controls, which `put_char`
/// then leaves as it is. Eight bytes are looked at at a time, the last ones of them perhaps twice.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => {
            let (chunks, _) = bytes.as_chunks::<8>();
            chunks.iter().chain([last]).fold(0, |found, chunk| found | special(u64::from_le_bytes(*chunk))) == 0
        }
        (None, Some(first), Some(last)) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            special(u64::from(first) | u64::from(last) << 32) == 0
        }
        _ => bytes.iter().fold(0, |found, byte| found | special(u64::from(*byte) | SPACES)) == 0,
    }
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH_BITS: u64 = eight(0x80);
/// Seven blanks above the lowest byte.
const SPACES: u64 = eight(b' ') & !0xff;

/// Not zero if one of eight bytes must not stand in a string as it is. The sums stay within their bytes: of seven bits, the
/// high bit is set in `x + 0x7f` unless they are zero.
#[inline]
fn special(bytes: u64) -> u64 {
    let low = bytes & !HIGH_BITS;
    let is_not = |byte: u8| (low ^ eight(byte)) + eight(0x7f);
    let is_no_control = low + eight(0x80 - 0x20);
    let is_plain = (is_no_control & is_not(b'"') & is_not(b'\\') & is_not(0x7f)) | bytes;
    let is_lead = if bytes & HIGH_BITS == 0 { 0 } else { !is_not(0xc2 & 0x7f) & bytes };
    (!is_plain | is_lead) & HIGH_BITS
}

fn put_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        control if control.is_control() => {
            // Writing to a vector cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(control));
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[inline]
pub(super) fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    put_integer(out, value, value);
}

#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_integer(out, value, value.unsigned_abs());
}

fn put_integer(out: &mut Vec<u8>, value: impl Integer, magnitude: u64) {
    if magnitude <= MAX_EXACT {
        put_digits(out, value);
    } else {
        out.push(b'"');
        put_digits(out, value);
        out.push(b'"');
    }
}

/// Appends the digits alone.
pub(super) fn put_digits(out: &mut Vec<u8>, value: impl Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest digits that read back as `value`; JSON has no infinity and no NaN, so these are null.
pub(super) fn put_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || serde_json::to_writer(&mut *out, &value).is_err() {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::{put_float, put_signed, put_string, put_unsigned};

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_reads_back() {
        let all: String = (0..=u32::from(char::MAX)).filter_map(char::from_u32).collect();
        let json = written(|out| put_string(out, &all));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
        assert!(!json.chars().any(char::is_control));
    }

    #[test]
    fn a_byte_to_escape_is_found_wherever_it_is() {
        for len in 1..40 {
            for at in 0..len {
                for byte in 0..0x80_u8 {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    let is_special = byte < 0x20 || [b'"', b'\\', 0x7f].contains(&byte);
                    assert_eq!(super::is_plain(&text), !is_special, "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn plain_text_is_left_as_it_is() {
        assert_eq!(written(|out| put_string(out, "näh 🦀 \u{2028} £")), "\"näh 🦀 \u{2028} £\"");
        assert_eq!(written(|out| put_string(out, "a\"\\\n\u{9b}1m\u{7f}")), r#""a\"\\\n\u009b1m\u007f""#);
    }

    #[test]
    fn integers_beyond_a_double_are_strings() {
        assert_eq!(written(|out| put_unsigned(out, 1 << 53)), "9007199254740992");
        assert_eq!(written(|out| put_unsigned(out, (1 << 53) + 1)), "\"9007199254740993\"");
        assert_eq!(written(|out| put_signed(out, -(1 << 53))), "-9007199254740992");
        assert_eq!(written(|out| put_signed(out, i64::MIN)), "\"-9223372036854775808\"");
    }

    #[test]
    fn floats_that_are_no_numbers_are_null() {
        assert_eq!(written(|out| put_float(out, 0.1)), "0.1");
        assert_eq!(written(|out| put_float(out, f64::NEG_INFINITY)), "null");
        assert_eq!(written(|out| put_float(out, f64::NAN)), "null");
    }
}
