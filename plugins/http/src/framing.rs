//! Where a message ends, as its header fields say. Ends that could be read in two ways are what requests are smuggled
//! with: a proxy goes by one and the server behind it by the other. Where the RFC says which one counts, that is taken and
//! the message is told to be ambiguous; where it says that there is none, the end is not known.
//! <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>, <https://www.rfc-editor.org/rfc/rfc9112#section-11.2>

use crate::flow::Context;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    None,
    Known(u64),
    Chunked,
    /// With the connection.
    UntilClose,
    /// Nobody can say; why.
    Unknown(&'static str),
}

/// What the header fields say of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    content_length: Option<u64>,
    bad_length: Option<&'static str>,
    /// Codings of Transfer-Encoding, those that are `chunked`, and whether the last one is.
    codings: u32,
    chunked: u32,
    is_chunked_last: bool,
    /// What could be read in two ways.
    pub(crate) ambiguity: Option<&'static str>,
}

impl Framing {
    /// Takes note of something that could be read in two ways.
    pub(crate) fn doubt(&mut self, what: &'static str) {
        self.ambiguity.get_or_insert(what);
    }

    /// One of the two fields is not what it should be.
    pub(crate) fn spoil(&mut self, why: &'static str) {
        self.bad_length.get_or_insert(why);
        self.doubt(why);
    }

    /// `Content-Length: 5`; a list of equal numbers counts as one of them.
    pub(crate) fn content_length(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',') {
            match (number(element.trim_ascii()), self.content_length) {
                (None, _) => self.spoil("a Content-Length that is no number"),
                (Some(len), Some(before)) if len != before => self.spoil("several Content-Length that differ"),
                (Some(len), before) => {
                    if before.is_some() {
                        self.doubt("several Content-Length");
                    }
                    self.content_length = Some(len);
                }
            }
        }
    }

    /// `Transfer-Encoding: gzip, chunked`
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty()) {
            self.codings = self.codings.saturating_add(1);
            self.is_chunked_last = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked = self.chunked.saturating_add(u32::from(self.is_chunked_last));
        }
        if self.codings == 0 {
            self.spoil("a Transfer-Encoding that says nothing");
        }
    }

    /// How the request ends.
    pub(crate) fn of_request(&mut self, is_1_0: bool) -> Length {
        self.compare(is_1_0);
        match (self.codings, self.content_length) {
            _ if self.bad_length.is_some() => Length::Unknown(self.bad_length.unwrap_or_default()),
            (0, None | Some(0)) => Length::None,
            (0, Some(len)) => Length::Known(len),
            _ if self.is_chunked_last && self.chunked == 1 => Length::Chunked,
            _ => {
                self.doubt("a Transfer-Encoding that does not end in chunked");
                Length::Unknown("a Transfer-Encoding that does not end in chunked")
            }
        }
    }

    /// How the response ends, with that status to that request.
    pub(crate) fn of_response(&mut self, is_1_0: bool, status: u16, asked: Option<Context>) -> Length {
        self.compare(is_1_0);
        match (self.codings, self.content_length) {
            _ if asked == Some(Context::Head) || matches!(status, 100..=199 | 204 | 304) => Length::None,
            _ if self.bad_length.is_some() => Length::Unknown(self.bad_length.unwrap_or_default()),
            (0, None) => Length::UntilClose,
            (0, Some(0)) => Length::None,
            (0, Some(len)) => Length::Known(len),
            _ if self.is_chunked_last && self.chunked == 1 => Length::Chunked,
            _ => Length::UntilClose,
        }
    }

    /// Whether there is a field that says how long the body is, and it is nothing.
    pub(crate) fn says_empty(&self) -> bool {
        self.content_length == Some(0)
    }

    fn compare(&mut self, is_1_0: bool) {
        if self.codings > 0 && (self.content_length.is_some() || self.bad_length.is_some()) {
            self.doubt("Transfer-Encoding and Content-Length");
        }
        if self.codings > 0 && is_1_0 {
            self.doubt("Transfer-Encoding in HTTP/1.0");
        }
    }
}

/// A number of digits alone.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Framing, Length};
    use crate::flow::Context;

    fn framing(lengths: &[&str], encodings: &[&str]) -> Framing {
        let mut framing = Framing::default();
        lengths.iter().for_each(|value| framing.content_length(value.as_bytes()));
        encodings.iter().for_each(|value| framing.transfer_encoding(value.as_bytes()));
        framing
    }

    #[test]
    fn a_request_ends_where_the_rfc_says() {
        let unknown = |length| matches!(length, Length::Unknown(_));
        for (lengths, encodings, length, is_ambiguous) in [
            (&[][..], &[][..], Length::None, false),
            (&["0"], &[], Length::None, false),
            (&["42"], &[], Length::Known(42), false),
            (&["42, 42"], &[], Length::Known(42), true),
            (&["42", "42"], &[], Length::Known(42), true),
            (&[], &["chunked"], Length::Chunked, false),
            (&[], &["gzip, Chunked"], Length::Chunked, false),
            (&[], &["gzip", "chunked"], Length::Chunked, false),
            (&["42"], &["chunked"], Length::Chunked, true),
        ] {
            let mut framing = framing(lengths, encodings);
            assert_eq!(framing.of_request(false), length, "{lengths:?} {encodings:?}");
            assert_eq!(framing.ambiguity.is_some(), is_ambiguous, "{lengths:?} {encodings:?}");
        }
        for (lengths, encodings) in [
            (&["42", "43"][..], &[][..]),
            (&["42,43"], &[]),
            (&["+42"], &[]),
            (&["0x10"], &[]),
            (&["4 2"], &[]),
            (&[""], &[]),
            (&["18446744073709551616"], &[]),
            (&[], &["gzip"]),
            (&[], &["chunked, gzip"]),
            (&[], &["chunked", "chunked"]),
            (&[], &["xchunked"]),
            (&[], &["chunked;q=1"]),
            (&[], &[""]),
            (&["42"], &["identity"]),
            (&["x"], &["chunked"]),
        ] {
            let mut framing = framing(lengths, encodings);
            assert!(unknown(framing.of_request(false)), "{lengths:?} {encodings:?}");
            assert!(framing.ambiguity.is_some(), "{lengths:?} {encodings:?}");
        }
        assert!({
            let mut old = framing(&[], &["chunked"]);
            old.of_request(true);
            old.ambiguity.is_some()
        });
    }

    #[test]
    fn a_response_ends_where_the_rfc_says() {
        let of = |lengths, encodings, status, asked| framing(lengths, encodings).of_response(false, status, asked);
        let plain = Some(Context::Plain);
        assert_eq!(of(&["5"], &[], 200, plain), Length::Known(5));
        assert_eq!(of(&["5"], &[], 200, Some(Context::Head)), Length::None);
        assert_eq!(of(&[], &["chunked"], 200, Some(Context::Head)), Length::None);
        assert_eq!(of(&["5"], &[], 304, plain), Length::None);
        assert_eq!(of(&["5"], &["chunked"], 204, plain), Length::None);
        assert_eq!(of(&[], &[], 200, plain), Length::UntilClose);
        assert_eq!(of(&[], &["gzip"], 200, plain), Length::UntilClose);
        assert_eq!(of(&["5"], &["chunked"], 200, None), Length::Chunked);
        assert!(matches!(of(&["5", "6"], &[], 200, plain), Length::Unknown(_)));
    }
}
