//! Header blocks (HPACK): a sequence of indexed fields, literal ones and table sizes. Only the fields that a record
//! needs are taken out; all others are walked over, since they may go into the table.
//! <https://www.rfc-editor.org/rfc/rfc7541#section-6>

use protap_plugin::Reader;

use crate::huffman;
use crate::table::{Field, Found, Name, Table};

/// Longest value that is kept, in bytes.
const MAX_VALUE: usize = 2048;

/// What a header block says.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) method: Option<Vec<u8>>,
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) status: Option<u16>,
    pub(crate) is_grpc: bool,
    pub(crate) grpc_status: Option<u32>,
    /// Fields that could not be told, as they stand in a part of the table that was not seen.
    pub(crate) has_unknown: bool,
    /// The block ended in the middle of something, or makes no sense.
    pub(crate) is_malformed: bool,
}

impl Headers {
    /// Whether these are a request's, which no others look like.
    pub(crate) fn is_request(&self) -> bool {
        self.method.is_some() || self.path.is_some() || self.authority.is_some()
    }

    /// Whether no bytes but a message's are likely to say this: a method in capitals with a path, or a status.
    pub(crate) fn is_telling(&self) -> bool {
        let is_method =
            |method: &Vec<u8>| (3..=16).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
        let is_path = |path: &Vec<u8>| path.first() == Some(&b'/') && path.iter().all(u8::is_ascii_graphic);
        let has_path = self.path.as_ref().map_or(self.has_unknown, is_path);
        let is_request = self.method.as_ref().is_some_and(is_method) && has_path;
        !self.is_malformed && (is_request || self.status.is_some_and(|status| (100..600).contains(&status)))
    }

    fn set(&mut self, field: Field, value: Option<&[u8]>) {
        let Some(value) = value else {
            self.has_unknown |= field != Field::Other;
            return;
        };
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
        let text = |old: &mut Option<Vec<u8>>| {
            old.get_or_insert_with(|| value.to_vec());
        };
        match field {
            Field::Method => text(&mut self.method),
            Field::Path => text(&mut self.path),
            Field::Authority => text(&mut self.authority),
            Field::Status => self.status = number().and_then(|number| u16::try_from(number).ok()),
            Field::ContentType => self.is_grpc = value.starts_with(b"application/grpc"),
            Field::GrpcStatus => self.grpc_status = number(),
            Field::Other => {}
        }
    }
}

/// Decodes a block, which changes the table.
pub(crate) fn decode(table: &mut Table, block: &[u8]) -> Headers {
    let mut headers = Headers::default();
    let mut reader = Reader::new(block);
    while !reader.is_empty() {
        if field(table, &mut reader, &mut headers).is_none() {
            headers.is_malformed = true;
            table.forget();
            break;
        }
    }
    headers
}

/// Reads one representation.
fn field(table: &mut Table, reader: &mut Reader<'_>, headers: &mut Headers) -> Option<()> {
    let first = *reader.remaining().first()?;
    if first & 0x80 != 0 {
        match table.get(integer(reader, 7)?) {
            Found::Entry(name, value) => headers.set(name.field, value),
            Found::Unknown => headers.has_unknown = true,
            Found::Nothing => return None,
        }
        return Some(());
    }
    if first & 0xe0 == 0x20 {
        table.resize(integer(reader, 5)?);
        return Some(());
    }
    let is_added = first & 0x40 != 0;
    let name = name(table, reader, if is_added { 6 } else { 4 })?;
    let mut value = Vec::new();
    let is_kept = name.is_some_and(|name| name.field != Field::Other);
    let len = string(reader, |byte| {
        if is_kept && value.len() <= MAX_VALUE {
            value.push(byte);
        }
    })?;
    let value = (is_kept && len <= MAX_VALUE).then_some(value.as_slice());
    match name {
        Some(name) => {
            headers.set(name.field, value);
            if is_added {
                table.add(name, len, value);
            }
        }
        None => {
            headers.has_unknown = true;
            if is_added {
                // Its size is not known: entries that the sender evicts for it may stay here, and are never asked for.
                table.add(Name { field: Field::Other, len: 0 }, len, None);
            }
        }
    }
    Some(())
}

/// The name that a literal begins with; `None` inside if it stands in a part of the table that was not seen.
fn name(table: &Table, reader: &mut Reader<'_>, prefix: u32) -> Option<Option<Name>> {
    let index = integer(reader, prefix)?;
    if index > 0 {
        return match table.get(index) {
            Found::Entry(name, _) => Some(Some(name)),
            Found::Unknown => Some(None),
            Found::Nothing => None,
        };
    }
    // No name of interest is longer.
    let mut name = [0; 16];
    let mut at = 0;
    let len = string(reader, |byte| {
        if let Some(slot) = name.get_mut(at) {
            *slot = byte;
        }
        at += 1;
    })?;
    Some(Some(Name { field: name.get(..len).map_or(Field::Other, Field::of), len }))
}

/// A string; gives its length once decoded.
fn string(reader: &mut Reader<'_>, mut take: impl FnMut(u8)) -> Option<usize> {
    let is_huffman = reader.remaining().first()? & 0x80 != 0;
    let len = integer(reader, 7)?;
    let bytes = reader.bytes(len).ok()?;
    if !is_huffman {
        bytes.iter().copied().for_each(take);
        return Some(len);
    }
    let mut decoded = 0;
    huffman::decode(bytes, |byte| {
        decoded += 1;
        take(byte);
    })?;
    Some(decoded)
}

/// An integer whose first bits are the last `prefix` ones of a byte.
fn integer(reader: &mut Reader<'_>, prefix: u32) -> Option<usize> {
    let most = (1_u32 << prefix) - 1;
    let mut value = u64::from(u32::from(reader.u8().ok()?) & most);
    if value < u64::from(most) {
        return usize::try_from(value).ok();
    }
    // More than four bytes would be more than anything here counts.
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8().ok()?;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Headers, decode};
    use crate::table::Table;

    fn texts(headers: &Headers) -> [Option<&str>; 3] {
        [&headers.method, &headers.path, &headers.authority]
            .map(|text| text.as_deref().and_then(|text| std::str::from_utf8(text).ok()))
    }

    /// The requests of RFC 7541, appendix C.4: three on one connection, with Huffman coding.
    #[test]
    fn the_requests_of_the_standard_are_decoded_by_one_table() {
        let mut table = Table::default();
        let first =
            [0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        let host = Some("www.example.com");
        assert_eq!(texts(&decode(&mut table, &first)), [Some("GET"), Some("/"), host]);
        assert_eq!(texts(&decode(&mut table, &second)), [Some("GET"), Some("/"), host]);
        assert_eq!(texts(&decode(&mut table, &[0x82, 0x87, 0x85, 0xbf])), [Some("GET"), Some("/index.html"), host]);
    }

    #[test]
    fn a_reference_to_what_was_not_seen_is_unknown_and_one_to_nothing_is_malformed() {
        let mut table = Table::default();
        assert!(decode(&mut table, &[0x82, 0xbe]).is_malformed);
        let headers = decode(&mut table, &[0x82, 0xbe]);
        assert!(headers.has_unknown && !headers.is_malformed && headers.method.is_some());
    }

    #[test]
    fn every_prefix_and_every_byte_is_survived() {
        let block = [0x3f, 0xe1, 0x1f, 0x82, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90];
        for at in 0..block.len() {
            decode(&mut Table::default(), block.get(..at).unwrap_or_default());
            for byte in 0..=255 {
                let mut changed = block;
                changed[at] = byte;
                decode(&mut Table::default(), &changed);
            }
        }
    }
}
