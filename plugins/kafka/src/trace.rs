//! Trace context in the headers of a record: `traceparent` (W3C) and `sw8` (SkyWalking). Of the first record of a batch
//! that is not compressed, and only if the user asked for it: headers are user data. What does not have the form that
//! these headers have is never emitted. A record that makes no sense has none.
//!
//! ```text
//! record:  length varint | attributes i8 | timestamp varint | offset varint | key varint + bytes | value varint + bytes
//!          headers varint: [ key varint + bytes | value varint + bytes ]
//! ```
//! Varints are zigzag; lengths of -1 are null. Spec: <https://kafka.apache.org/documentation/#record>,
//! <https://www.w3.org/TR/trace-context/#traceparent-header>.

use protap_plugin::{Source, Stop, Stream, Text, at_once};

/// Most headers that are looked at.
const MAX_HEADERS: i64 = 64;
/// Longest key of a header that is compared.
const MAX_KEY: u64 = 11;
/// Longest `sw8` that is kept.
const MAX_VALUE: u64 = 2048;

/// What a record says of its trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) traceparent: Option<Text>,
    pub(crate) sw8: Option<Text>,
}

/// A record, up to its end.
struct Record<'a, S> {
    stream: &'a Stream<S>,
    end: u64,
}

/// Reads the trace context of the record that begins here, in a batch that ends at `end`.
#[at_once]
pub(crate) async fn read(stream: &Stream<impl Source>, end: u64) -> Result<Option<Trace>, Stop> {
    let batch = Record { stream, end };
    let Some(len) = batch.len().await? else { return Ok(None) };
    Record { stream, end: stream.offset().saturating_add(len) }.trace().await
}

#[at_once]
impl<S: Source> Record<'_, S> {
    /// `None` if there is none, or the record makes no sense.
    async fn trace(&self) -> Result<Option<Trace>, Stop> {
        let is_there = self.skip(1).await? && self.varint().await?.is_some() && self.varint().await?.is_some();
        if !is_there || !self.skip_bytes().await? || !self.skip_bytes().await? {
            return Ok(None);
        }
        let mut trace = Trace::default();
        for _ in 0..self.varint().await?.unwrap_or(0).min(MAX_HEADERS) {
            if !self.header(&mut trace).await? {
                break;
            }
        }
        Ok((trace != Trace::default()).then_some(trace))
    }

    /// Reads a header; whether it was one.
    async fn header(&self, trace: &mut Trace) -> Result<bool, Stop> {
        let Some(len) = self.len().await? else { return Ok(false) };
        let mut key = 0;
        if len <= MAX_KEY {
            self.stream.available(usize::try_from(len).unwrap_or(0)).await?;
            key = self.stream.peek(|bytes| match bytes.get(..usize::try_from(len).unwrap_or(0)) {
                Some(b"traceparent") => 1,
                Some(b"sw8") => 2,
                _ => 0,
            });
        }
        if !self.skip(len).await? {
            return Ok(false);
        }
        if key == 0 {
            return self.skip_bytes().await;
        }
        let Some(len) = self.len().await? else { return Ok(false) };
        if len > MAX_VALUE {
            return self.skip(len).await;
        }
        let value = self.stream.text(len).await?;
        let is_valid = if key == 1 { is_traceparent } else { is_sw8 };
        let value = Some(value).filter(|value| self.stream.with_texts(|texts| is_valid(texts.get(*value))));
        let kept = if key == 1 { &mut trace.traceparent } else { &mut trace.sw8 };
        *kept = kept.or(value);
        Ok(true)
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.stream.offset())
    }

    /// Passes over bytes of the record; whether it has so many.
    async fn skip(&self, len: u64) -> Result<bool, Stop> {
        let is_there = len <= self.left();
        if is_there {
            self.stream.skip(len).await?;
        }
        Ok(is_there)
    }

    /// Passes over a length, or null, and so many bytes.
    async fn skip_bytes(&self) -> Result<bool, Stop> {
        match self.varint().await? {
            Some(-1) => Ok(true),
            Some(len) if len >= 0 => self.skip(len.unsigned_abs()).await,
            _ => Ok(false),
        }
    }

    /// Reads a length that is not null and not beyond the end.
    async fn len(&self) -> Result<Option<u64>, Stop> {
        let len = self.varint().await?.and_then(|len| u64::try_from(len).ok());
        Ok(len.filter(|len| *len <= self.left()))
    }

    async fn varint(&self) -> Result<Option<i64>, Stop> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            if self.left() == 0 {
                return Ok(None);
            }
            let byte = self.stream.u8().await?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed()));
            }
        }
        Ok(None)
    }
}

/// Version, trace, parent and flags in hexadecimal digits.
fn is_traceparent(value: &[u8]) -> bool {
    let is_dash = |at: usize| matches!(at, 2 | 35 | 52);
    let mut chars = value.iter().enumerate();
    value.len() == 55 && chars.all(|(at, byte)| if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Eight fields: a digit, six in base64 (one a number), joined by dashes.
fn is_sw8(value: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    value.iter().filter(|byte| **byte == b'-').count() == 7 && value.iter().all(is_legal)
}
