//! Kafka's primitive types, read from a stream. Up to some version of each API lengths are big-endian integers with
//! -1 for null; the flexible versions from there on have varints of the length plus one, and tagged fields at the end
//! of every structure (KIP-482). No count is believed before it was compared with the bytes left in the frame.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_types>.

use protap_plugin::{Stop, Stream, Text};

/// A stream, and how the message that is read from it is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) version: i16,
    pub(crate) is_flexible: bool,
}

impl Wire<'_> {
    /// Takes an unsigned varint of one byte, if it is there: so are nearly all of them, and nothing has to wait.
    #[inline]
    fn short_varint(&self) -> Option<u32> {
        let byte = self.stream.take_if(|[byte]: &[u8; 1]| byte & 0x80 == 0)?;
        Some(u32::from_be_bytes([0, 0, 0, byte[0]]))
    }

    /// Reads an unsigned varint.
    async fn varint(&self) -> Result<u32, Stop> {
        if let Some(value) = self.short_varint() {
            return Ok(value);
        }
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.stream.u8().await?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Stop::Malformed("a varint of more than five bytes"))
    }

    /// Takes the length of a string, bytes or an array in a flexible version, if it is there and short.
    #[inline]
    fn short_len(&self) -> Option<Option<u64>> {
        if !self.is_flexible {
            return None;
        }
        self.short_varint().map(|len| u64::from(len).checked_sub(1))
    }

    /// Reads the length of a string; `None` is null.
    pub(crate) async fn string_len(&self) -> Result<Option<u64>, Stop> {
        if let Some(len) = self.short_len() {
            return Ok(len);
        }
        if self.is_flexible {
            return Ok(u64::from(self.varint().await?).checked_sub(1));
        }
        nullable(i64::from(self.stream.i16_be().await?))
    }

    /// Reads the length of bytes, or the count of an array without a check; `None` is null.
    pub(crate) async fn bytes_len(&self) -> Result<Option<u64>, Stop> {
        if let Some(len) = self.short_len() {
            return Ok(len);
        }
        if self.is_flexible {
            return Ok(u64::from(self.varint().await?).checked_sub(1));
        }
        nullable(i64::from(self.stream.i32_be().await?))
    }

    /// Reads the count of an array whose elements take at least `least` bytes each; `None` is null.
    pub(crate) async fn array_len(&self, least: u32) -> Result<Option<u64>, Stop> {
        let count = match self.short_len() {
            Some(count) => count,
            None => self.bytes_len().await?,
        };
        if count.is_some_and(|count| size_of_all(count, least) > self.stream.frame_remaining()) {
            return Err(Stop::Malformed("an array longer than its frame"));
        }
        Ok(count)
    }

    /// Reads a string; null reads as `None`.
    pub(crate) async fn string(&self) -> Result<Option<Text>, Stop> {
        match self.string_len().await? {
            Some(len) => Ok(Some(self.stream.text(len).await?)),
            None => Ok(None),
        }
    }

    /// Passes over a string.
    pub(crate) async fn skip_string(&self) -> Result<(), Stop> {
        let len = match self.short_len() {
            Some(len) => len,
            None => self.string_len().await?,
        };
        let len = len.unwrap_or(0);
        self.stream.skip(len).await
    }

    /// Passes over bytes.
    pub(crate) async fn skip_bytes(&self) -> Result<(), Stop> {
        let len = self.bytes_len().await?.unwrap_or(0);
        self.stream.skip(len).await
    }

    /// Passes over an array of elements of `size` bytes each; returns how many they were.
    pub(crate) async fn skip_array(&self, size: u32) -> Result<u64, Stop> {
        let count = self.array_len(size).await?.unwrap_or(0);
        self.stream.skip(size_of_all(count, size)).await?;
        Ok(count)
    }

    /// Passes over the tagged fields at the end of a structure.
    pub(crate) async fn tags(&self) -> Result<(), Stop> {
        for _ in 0..self.tag_count().await? {
            self.varint().await?;
            let len = self.varint().await?;
            self.stream.skip(u64::from(len)).await?;
        }
        Ok(())
    }

    /// The same, but for the number that the field with this tag begins with.
    pub(crate) async fn tagged_i32(&self, tag: u32) -> Result<Option<i32>, Stop> {
        let mut found = None;
        for _ in 0..self.tag_count().await? {
            let is_it = self.varint().await? == tag;
            let mut len = u64::from(self.varint().await?);
            if is_it && len >= 4 {
                found = Some(self.stream.i32_be().await?);
                len -= 4;
            }
            self.stream.skip(len).await?;
        }
        Ok(found)
    }

    /// Reads how many tagged fields end a structure.
    #[inline]
    async fn tag_count(&self) -> Result<u32, Stop> {
        if !self.is_flexible {
            return Ok(0);
        }
        match self.short_varint() {
            Some(count) => Ok(count),
            None => self.varint().await,
        }
    }

    /// Passes over `len` bytes from version `from` on.
    pub(crate) async fn skip_since(&self, from: i16, len: u64) -> Result<(), Stop> {
        if self.version >= from { self.stream.skip(len).await } else { Ok(()) }
    }
}

/// Bytes of so many elements. Counts take 32 bits, so that this cannot overflow; a multiplication that saturates would
/// take 128, which Wasm has not.
fn size_of_all(count: u64, size: u32) -> u64 {
    u64::from(u32::try_from(count).unwrap_or(u32::MAX)) * u64::from(size)
}

fn nullable(len: i64) -> Result<Option<u64>, Stop> {
    match len {
        -1 => Ok(None),
        len => u64::try_from(len).map(Some).map_err(|_| Stop::Malformed("a negative length")),
    }
}
