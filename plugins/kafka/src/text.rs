//! Names and numbers as text, without allocation where they are known.

use core::fmt;
use std::borrow::Cow;

use protap_plugin::{Fixed, MessageWriter, Output, Writable, Written};

use crate::api::Api;
use crate::errors;

/// Name of an API, or `Unknown(n)`.
pub(crate) struct ApiName(Cow<'static, str>);

impl ApiName {
    pub(crate) fn new(api: Option<&Api>, key: i16) -> Self {
        Self(api.map_or_else(|| unknown(key), |api| Cow::Borrowed(api.name)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Says it in a message.
    pub(crate) fn tell<'a>(&self, message: MessageWriter<'a>) -> MessageWriter<'a> {
        match &self.0 {
            Cow::Borrowed(known) => message.type_name(Fixed(known)),
            Cow::Owned(unknown) => message.type_name(unknown),
        }
    }
}

/// Name of an error, or `Unknown(n)`.
pub(crate) struct ErrorName(Cow<'static, str>);

impl ErrorName {
    pub(crate) fn new(code: i16) -> Self {
        Self(errors::name(code).map_or_else(|| unknown(code), Cow::Borrowed))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for ErrorName {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cold]
fn unknown(number: impl fmt::Display) -> Cow<'static, str> {
    Cow::Owned(format!("Unknown({number})"))
}

/// A number in decimal digits, of which there are some among the plugin's constants.
pub(crate) enum Decimal {
    Small(Fixed),
    Any { digits: [u8; 20], start: usize },
}

/// The numbers that most versions and partitions have.
const SMALL: [&str; 20] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"];

/// Writes a number in decimal digits.
#[inline]
pub(crate) fn decimal(number: i64) -> Decimal {
    match usize::try_from(number).ok().and_then(|number| SMALL.get(number)) {
        Some(small) => Decimal::Small(Fixed(small)),
        None => digits(number),
    }
}

#[inline(never)]
fn digits(number: i64) -> Decimal {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut left = number.unsigned_abs();
    for (i, digit) in digits.iter_mut().enumerate().rev() {
        if left == 0 && start < 20 {
            if number < 0 {
                *digit = b'-';
                start = i;
            }
            break;
        }
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        start = i;
        left /= 10;
    }
    Decimal::Any { digits, start }
}

impl Writable for Decimal {
    #[inline]
    fn write_to(self, output: &mut Output) -> Written {
        match self {
            Self::Small(small) => small.write_to(output),
            Self::Any { digits, start } => digits.get(start..).unwrap_or_default().write_to(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use protap_plugin::Fixed;

    use super::{Decimal, decimal};

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 19, 20, -1, 65_535, i64::MAX, i64::MIN] {
            let text = match decimal(number) {
                Decimal::Small(Fixed(text)) => text.to_owned(),
                Decimal::Any { digits, start } => String::from_utf8(digits[start..].to_vec()).unwrap(),
            };
            assert_eq!(text, number.to_string());
        }
    }
}
