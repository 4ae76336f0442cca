//! HPACK's tables: the static one, and one direction's dynamic one. Of the dynamic table's entries only the values that
//! a record may need are kept; of all others, which are the user's, their size alone.
//! <https://www.rfc-editor.org/rfc/rfc7541#section-2.3>

use std::collections::VecDeque;

/// Bytes of a dynamic table that are kept, by the standard's count. Entries beyond count as unknown.
const MAX_KEPT: usize = 16 << 10;
/// What a dynamic table may hold unless its sender says otherwise.
const DEFAULT_SIZE: usize = 4096;
/// What the standard adds to the lengths of name and value.
const OVERHEAD: usize = 32;

/// The fields that are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Method,
    Path,
    Authority,
    Status,
    ContentType,
    GrpcStatus,
    Other,
}

impl Field {
    /// The field of that name.
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":authority" => Self::Authority,
            b":status" => Self::Status,
            b"content-type" => Self::ContentType,
            b"grpc-status" => Self::GrpcStatus,
            _ => Self::Other,
        }
    }
}

/// A name, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) field: Field,
    pub(crate) len: usize,
}

/// An entry of the dynamic table.
#[derive(Clone, Debug)]
struct Entry {
    name: Name,
    size: usize,
    /// Of a field of interest, unless it was too long.
    value: Option<Box<[u8]>>,
}

/// What an index stands for.
pub(crate) enum Found<'a> {
    /// A name with its value; `None` if that was not kept.
    Entry(Name, Option<&'a [u8]>),
    /// An entry that was added when nobody saw it.
    Unknown,
    /// There is no such entry.
    Nothing,
}

/// One direction's dynamic table, newest entry first.
#[derive(Debug)]
pub(crate) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
    /// Nothing was added or evicted that was not seen.
    is_known: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: DEFAULT_SIZE, is_known: true }
    }
}

impl Table {
    /// Header blocks were lost, and with them what they added. What is added from now on has its index again, since
    /// indices count from the newest entry.
    pub(crate) fn forget(&mut self) {
        *self = Self { max: MAX_KEPT, is_known: false, ..Self::default() };
    }

    /// What an index stands for; static entries come first, then the dynamic ones.
    pub(crate) fn get(&self, index: usize) -> Found<'_> {
        let Some(at) = index.checked_sub(1) else { return Found::Nothing };
        if let Some((name, value)) = STATIC.get(at) {
            let name = Name { field: Field::of(name.as_bytes()), len: name.len() };
            return Found::Entry(name, Some(value.as_bytes()));
        }
        match self.entries.get(at - STATIC.len()) {
            Some(entry) => Found::Entry(entry.name, entry.value.as_deref()),
            None if self.is_known => Found::Nothing,
            None => Found::Unknown,
        }
    }

    /// Adds an entry, whose value has `value_len` bytes and is kept if it is given.
    pub(crate) fn add(&mut self, name: Name, value_len: usize, value: Option<&[u8]>) {
        let size = name.len.saturating_add(value_len).saturating_add(OVERHEAD);
        let value = value.filter(|_| size <= self.max).map(Box::from);
        self.size = self.size.saturating_add(size);
        self.entries.push_front(Entry { name, size, value });
        self.evict();
    }

    /// The sender's table holds that many bytes from now on.
    pub(crate) fn resize(&mut self, max: usize) {
        self.max = max;
        // An empty table holds nothing that was not seen.
        self.is_known = max == 0 || self.is_known && max <= MAX_KEPT;
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max.min(MAX_KEPT) {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(oldest.size);
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc7541#appendix-A>
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::{Field, Found, MAX_KEPT, Name, Table};

    const PATH: Name = Name { field: Field::Path, len: 5 };

    fn path(table: &Table, index: usize) -> Option<Vec<u8>> {
        match table.get(index) {
            Found::Entry(_, value) => value.map(<[u8]>::to_vec),
            Found::Unknown | Found::Nothing => None,
        }
    }

    #[test]
    fn the_newest_entry_comes_right_after_the_static_ones() {
        let mut table = Table::default();
        table.add(PATH, 2, Some(b"/a"));
        table.add(PATH, 2, Some(b"/b"));
        assert_eq!(path(&table, 4).as_deref(), Some(&b"/"[..]));
        assert_eq!((path(&table, 62), path(&table, 63)), (Some(b"/b".to_vec()), Some(b"/a".to_vec())));
        assert!(matches!(table.get(64), Found::Nothing) && matches!(table.get(0), Found::Nothing));
    }

    #[test]
    fn entries_are_evicted_by_the_standards_count() {
        let mut table = Table::default();
        table.resize(100);
        (0..3).for_each(|_| table.add(PATH, 2, Some(b"/a")));
        assert_eq!(table.entries.len(), 2);
        table.add(PATH, 90, Some(&[b'x'; 90]));
        assert_eq!((table.entries.len(), table.size), (0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_not_is_unknown() {
        let mut table = Table::default();
        table.resize(1 << 30);
        (0..1000).for_each(|_| table.add(PATH, 100, Some(&[b'x'; 100])));
        assert!(table.size <= MAX_KEPT && matches!(table.get(900), Found::Unknown));
        table.forget();
        assert!(matches!(table.get(62), Found::Unknown));
        table.add(PATH, 2, Some(b"/a"));
        assert_eq!(path(&table, 62).as_deref(), Some(&b"/a"[..]));
    }
}
