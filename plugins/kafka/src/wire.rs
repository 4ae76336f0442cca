//! Kafka's primitive types, read from a stream. Up to some version of each API lengths are big-endian integers with
//! -1 for null; the flexible versions from there on have varints of the length plus one, and tagged fields at the end
//! of every structure (KIP-482). No count is believed before it was compared with the bytes left in the frame.
//!
//! Spec: <https://kafka.apache.org/protocol#protocol_types>.

use protap_plugin::{Arriving, ReadError, Reader, Source, Stop, Stream, Text, at_once};

const NEGATIVE: &str = "a negative length";
const LONG_ARRAY: &str = "an array longer than its frame";

/// A stream, and how the message that is read from it is encoded.
#[derive(Debug)]
pub(crate) struct Wire<'a, S = Arriving> {
    pub(crate) stream: &'a Stream<S>,
    pub(crate) version: i16,
    pub(crate) is_flexible: bool,
}

impl<S> Copy for Wire<'_, S> {}

impl<S> Clone for Wire<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Source> Wire<'_, S> {
    fn fields<'b, 'c>(&self, reader: &'b mut Reader<'c>) -> Fields<'b, 'c> {
        let beyond = self.stream.frame_remaining().wrapping_sub(reader.remaining().len() as u64);
        Fields { version: self.version, is_flexible: self.is_flexible, beyond, reader }
    }
}

#[at_once]
impl<S: Source> Wire<'_, S> {
    /// Reads several fields at once, see [`Stream::read`].
    #[inline]
    pub(crate) async fn read<T>(
        &self,
        mut read: impl FnMut(&mut Fields<'_, '_>) -> Result<T, ReadError>,
    ) -> Result<T, Stop> {
        self.stream.read(|reader| read(&mut self.fields(reader))).await
    }

    /// Reads `count` structures, as many at once as are there; `each` is called with what was read of one.
    pub(crate) async fn structures<T>(
        &self,
        count: u32,
        read: impl Fn(&mut Fields<'_, '_>) -> Result<T, ReadError>,
        mut each: impl FnMut(T),
    ) -> Result<(), Stop> {
        let mut left = count;
        while left > 0 {
            left -= self.read(|fields| fields.some(left, &read, &mut each)).await?;
        }
        Ok(())
    }

    /// Reads an unsigned varint.
    async fn varint(&self) -> Result<u32, Stop> {
        self.read(|fields| fields.varint()).await
    }

    /// Reads the length of a string; `None` is null.
    pub(crate) async fn string_len(&self) -> Result<Option<u64>, Stop> {
        self.read(|fields| fields.string_len()).await
    }

    /// Reads the length of bytes, or the count of an array without a check; `None` is null.
    pub(crate) async fn bytes_len(&self) -> Result<Option<u64>, Stop> {
        self.read(|fields| fields.bytes_len()).await
    }

    /// Reads the count of an array whose elements take at least `least` bytes each; null counts as 0.
    pub(crate) async fn array_len(&self, least: u32) -> Result<u32, Stop> {
        self.read(|fields| fields.array_len(least)).await
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
        let len = self.string_len().await?.unwrap_or(0);
        self.stream.skip(len).await
    }

    /// Passes over bytes.
    pub(crate) async fn skip_bytes(&self) -> Result<(), Stop> {
        let len = self.bytes_len().await?.unwrap_or(0);
        self.stream.skip(len).await
    }

    /// Passes over an array of elements of `size` bytes each; returns how many they were.
    pub(crate) async fn skip_array(&self, size: u32) -> Result<u32, Stop> {
        let count = self.array_len(size).await?;
        self.stream.skip(size_of_all(count, size)).await?;
        Ok(count)
    }

    /// Passes over the tagged fields at the end of a structure.
    pub(crate) async fn tags(&self) -> Result<(), Stop> {
        if !self.is_flexible {
            return Ok(());
        }
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
        if !self.is_flexible {
            return Ok(found);
        }
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
    async fn tag_count(&self) -> Result<u32, Stop> {
        self.read(|fields| fields.tag_count()).await
    }

    /// Passes over `len` bytes from version `from` on.
    pub(crate) async fn skip_since(&self, from: i16, len: u64) -> Result<(), Stop> {
        if self.version >= from { self.stream.skip(len).await } else { Ok(()) }
    }
}

/// Fields that are read at once.
pub(crate) struct Fields<'a, 'b> {
    pub(crate) version: i16,
    is_flexible: bool,
    /// Bytes of the frame that are not there.
    beyond: u64,
    pub(crate) reader: &'a mut Reader<'b>,
}

impl Fields<'_, '_> {
    /// At least one structure, of `left` as many as are there; returns how many. A function of its own, with a reader of
    /// its own: what the code around it keeps goes through memory in the sandbox.
    #[inline(never)]
    fn some<T>(
        &mut self,
        left: u32,
        read: impl Fn(&mut Fields<'_, '_>) -> Result<T, ReadError>,
        mut each: impl FnMut(T),
    ) -> Result<u32, ReadError> {
        let (mut done, mut rest) = (0, *self.reader);
        while done < left {
            let mut reader = rest;
            match read(&mut Fields { reader: &mut reader, ..*self }) {
                Ok(one) => each(one),
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            rest = reader;
            done += 1;
        }
        *self.reader = rest;
        Ok(done)
    }

    /// An unsigned varint.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u32, ReadError> {
        match self.reader.u8()? {
            byte if byte & 0x80 == 0 => Ok(u32::from(byte)),
            byte => {
                let (value, behind) = long_varint(byte, *self.reader)?;
                *self.reader = behind;
                Ok(value)
            }
        }
    }

    /// The length of a string; `None` is null.
    #[inline(always)]
    pub(crate) fn string_len(&mut self) -> Result<Option<u64>, ReadError> {
        if self.is_flexible {
            return Ok(u64::from(self.varint()?).checked_sub(1));
        }
        let len = self.reader.i16_be()?;
        self.nullable(i32::from(len))
    }

    /// The length of bytes, or the count of an array without a check; `None` is null.
    #[inline(always)]
    pub(crate) fn bytes_len(&mut self) -> Result<Option<u64>, ReadError> {
        if self.is_flexible {
            return Ok(u64::from(self.varint()?).checked_sub(1));
        }
        let len = self.reader.i32_be()?;
        self.nullable(len)
    }

    /// The count of an array whose elements take at least `least` bytes each; null counts as 0.
    #[inline(always)]
    pub(crate) fn array_len(&mut self, least: u32) -> Result<u32, ReadError> {
        let count = self.count()?;
        let size = size_of_all(count, least);
        if size > self.reader.remaining().len() as u64 && self.is_beyond_frame(size) {
            return Err(self.reader.malformed(LONG_ARRAY));
        }
        Ok(count)
    }

    /// The count of an array, which may be any; null counts as 0.
    #[inline(always)]
    fn count(&mut self) -> Result<u32, ReadError> {
        if self.is_flexible {
            return Ok(self.varint()?.saturating_sub(1));
        }
        match self.reader.i32_be()? {
            -1 => Ok(0),
            count => u32::try_from(count).map_err(|_| self.reader.malformed(NEGATIVE)),
        }
    }

    /// Whether so many bytes do not fit into the frame.
    fn is_beyond_frame(&self, size: u64) -> bool {
        size > (self.reader.remaining().len() as u64).saturating_add(self.beyond)
    }

    /// A string that is passed over.
    #[inline(always)]
    pub(crate) fn skip_string(&mut self) -> Result<(), ReadError> {
        let len = self.string_len()?.unwrap_or(0);
        self.skip(len)
    }

    /// An array of elements of `size` bytes each that is passed over.
    #[inline(always)]
    pub(crate) fn skip_array(&mut self, size: u32) -> Result<(), ReadError> {
        let size = size_of_all(self.count()?, size);
        self.skip(size).map_err(|error| match self.is_beyond_frame(size) {
            true => self.reader.malformed(LONG_ARRAY),
            false => error,
        })
    }

    /// Bytes that are passed over.
    #[inline(always)]
    pub(crate) fn skip(&mut self, len: u64) -> Result<(), ReadError> {
        self.reader.skip(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// How many tagged fields end a structure.
    #[inline(always)]
    pub(crate) fn tag_count(&mut self) -> Result<u32, ReadError> {
        if self.is_flexible { self.varint() } else { Ok(0) }
    }

    /// Tagged fields that are passed over.
    #[inline(always)]
    pub(crate) fn tags(&mut self) -> Result<(), ReadError> {
        for _ in 0..self.tag_count()? {
            self.varint()?;
            let len = self.varint()?;
            self.skip(u64::from(len))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn nullable(&self, len: i32) -> Result<Option<u64>, ReadError> {
        match len {
            -1 => Ok(None),
            len => u64::try_from(len).map(Some).map_err(|_| self.reader.malformed(NEGATIVE)),
        }
    }
}

/// The rest of a varint of several bytes, which are rare; gives the reader behind it.
#[cold]
fn long_varint(first: u8, mut reader: Reader<'_>) -> Result<(u32, Reader<'_>), ReadError> {
    let mut value = u32::from(first & 0x7f);
    for shift in [7, 14, 21, 28] {
        let byte = reader.u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, reader));
        }
    }
    Err(reader.malformed("a varint of more than five bytes"))
}

/// Bytes of so many elements.
fn size_of_all(count: u32, size: u32) -> u64 {
    u64::from(count) * u64::from(size)
}
