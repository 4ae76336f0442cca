//! Names and numbers as text, without allocation where they are known.

use core::fmt;
use std::borrow::Cow;

use protap_plugin::{Fixed, MessageWriter};

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

/// A number in decimal digits.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

/// Writes a number in decimal digits.
pub(crate) fn decimal(number: i64) -> Decimal {
    let mut digits = [b'0'; 20];
    if let Ok(digit @ 0..10) = u8::try_from(number)
        && let Some(last) = digits.last_mut()
    {
        *last += digit;
        return Decimal { digits, start: 19 };
    }
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
    Decimal { digits, start }
}

impl AsRef<[u8]> for Decimal {
    fn as_ref(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, -1, 65_535, i64::MAX, i64::MIN] {
            assert_eq!(decimal(number).as_ref(), number.to_string().as_bytes());
        }
    }
}
