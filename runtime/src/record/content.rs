//! What a message says, as its plugin gave it, checked. All its strings lie one behind the other in one buffer, the elements
//! of its lists in another: what is in a content has no allocation of its own and is not dropped, and a content that is used
//! again allocates nothing.

use super::{Completeness, Status};

/// Where a string lies among a content's texts, or a list among its lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    at: u32,
    len: u32,
}

impl Place {
    /// The place of so many elements behind `at` others, of which there are never as many as would not fit.
    #[inline]
    #[must_use]
    pub fn new(at: usize, len: u32) -> Self {
        Self { at: u32::try_from(at).unwrap_or(u32::MAX), len }
    }

    /// The place of all elements from `at` to `end`.
    #[must_use]
    pub fn between(at: usize, end: usize) -> Self {
        Self::new(at, u32::try_from(end.saturating_sub(at)).unwrap_or(u32::MAX))
    }

    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        let at = self.at as usize;
        at..at.saturating_add(self.len as usize)
    }
}

/// A string of a message: itself, or the key of a fact that the sink looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The string.
    Plain(Place),
    /// Key of a fact in a namespace of the plugin (index into [`PluginIdentity::facts`](super::PluginIdentity::facts)).
    Ref(u32, Place),
}

/// Value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A string, or a reference to one.
    Str(Text),
    /// An integer.
    I64(i64),
    /// A float; not finite ones are written as null.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// Strings, or references to them.
    List(Place),
}

/// The decoded content of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Correlation id.
    pub id: Option<u64>,
    /// Command or API.
    pub type_name: Option<Place>,
    /// Version of the protocol or API.
    pub version: Option<Place>,
    /// Database, virtual host.
    pub domain: Option<Place>,
    /// Topic, collection.
    pub resource: Option<Text>,
    /// What to group by.
    pub endpoint: Option<Text>,
    /// How it ended (responses).
    pub status: Status,
    /// The protocol's own status number.
    pub code: Option<i64>,
    /// Name of the error.
    pub exception: Option<Place>,
    /// Outcome in words.
    pub result: Option<Place>,
    /// How much was decoded.
    pub completeness: Completeness,
    /// Why not all.
    pub reason: Option<Place>,
    /// The server may hold this request back on purpose.
    pub is_long_poll: bool,
    /// Attributes: index into [`PluginIdentity::attributes`](super::PluginIdentity::attributes), value.
    pub attributes: Vec<(u16, Value)>,
    /// What no manifest declares.
    pub extra: Option<Box<Extra>>,
    /// All strings, one behind the other.
    pub texts: String,
    /// The elements of all lists, one list behind the other.
    pub lists: Vec<Text>,
}

/// What a message says that its plugin's manifest does not name: of plugins that have none, and of those that add to the
/// messages of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// Name of the protocol, in place of the manifest's.
    pub protocol: Option<String>,
    /// Attributes by name, each once.
    pub attributes: Vec<(String, Value)>,
}

impl Extra {
    /// Sets an attribute.
    pub fn set(&mut self, name: String, value: Value) {
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name, value)),
        }
    }
}

impl Text {
    /// Where the string lies, or the key.
    #[inline]
    #[must_use]
    pub fn place(self) -> Place {
        match self {
            Self::Plain(place) | Self::Ref(_, place) => place,
        }
    }

    fn place_mut(&mut self) -> &mut Place {
        match self {
            Self::Plain(place) | Self::Ref(_, place) => place,
        }
    }
}

impl Content {
    /// The string at a place.
    #[inline]
    #[must_use]
    pub fn text(&self, place: Place) -> &str {
        self.texts.get(place.range()).unwrap_or_default()
    }

    /// The string at a place, if there is one.
    #[inline]
    #[must_use]
    pub fn said(&self, place: Option<Place>) -> Option<&str> {
        place.map(|place| self.text(place))
    }

    /// The list at a place.
    #[inline]
    #[must_use]
    pub fn list(&self, place: Place) -> &[Text] {
        self.lists.get(place.range()).unwrap_or_default()
    }

    /// Takes a string; its place.
    pub fn put(&mut self, text: &str) -> Place {
        let at = self.texts.len();
        self.texts.push_str(text);
        Place::between(at, self.texts.len())
    }

    /// Forgets all that it says, and keeps the room for it.
    pub fn clear(&mut self) {
        let (mut attributes, mut lists) = (std::mem::take(&mut self.attributes), std::mem::take(&mut self.lists));
        let mut texts = std::mem::take(&mut self.texts);
        attributes.clear();
        lists.clear();
        texts.clear();
        *self = Self { attributes, texts, lists, ..Self::default() };
    }

    /// Takes all its strings, in the order of their places, as a guest wrote them. Those that are not UTF-8 are replaced;
    /// how many they are. `spare` lends the room for that.
    pub fn set_texts(&mut self, bytes: Vec<u8>, spare: &mut String) -> u64 {
        match String::from_utf8(bytes) {
            Ok(texts) if texts.is_ascii() => {
                self.texts = texts;
                0
            }
            // What is UTF-8 as a whole need not be so piece by piece.
            Ok(texts) => self.replace_texts(texts.into_bytes(), spare),
            Err(error) => self.replace_texts(error.into_bytes(), spare),
        }
    }

    #[cold]
    fn replace_texts(&mut self, mut bytes: Vec<u8>, spare: &mut String) -> u64 {
        let mut replaced = 0;
        spare.clear();
        self.for_each_place(|place| {
            let piece = bytes.get(place.range()).unwrap_or_default();
            let at = spare.len();
            match std::str::from_utf8(piece) {
                Ok(text) => spare.push_str(text),
                Err(_) => {
                    replaced += 1;
                    spare.push_str(&String::from_utf8_lossy(piece));
                }
            }
            *place = Place::between(at, spare.len());
        });
        bytes.clear();
        self.texts = std::mem::replace(spare, String::from_utf8(bytes).unwrap_or_default());
        replaced
    }

    /// The places of all strings.
    fn for_each_place(&mut self, mut act: impl FnMut(&mut Place)) {
        let Self { type_name, version, domain, exception, result, reason, resource, endpoint, .. } = self;
        [type_name, version, domain, exception, result, reason].into_iter().flatten().for_each(&mut act);
        [resource, endpoint].into_iter().flatten().chain(&mut self.lists).for_each(|text| act(text.place_mut()));
        let extra = self.extra.iter_mut().flat_map(|extra| &mut extra.attributes).map(|(_, value)| value);
        for value in self.attributes.iter_mut().map(|(_, value)| value).chain(extra) {
            if let Value::Str(text) = value {
                act(text.place_mut());
            }
        }
    }

    /// Whether some string is the key of a fact.
    #[must_use]
    pub fn has_references(&self) -> bool {
        let refers = |text: &Text| matches!(text, Text::Ref(..));
        let extra = self.extra.iter().flat_map(|extra| &extra.attributes).map(|(_, value)| value);
        let mut values = self.attributes.iter().map(|(_, value)| value).chain(extra);
        [&self.resource, &self.endpoint].into_iter().flatten().chain(&self.lists).any(refers)
            || values.any(|value| matches!(value, Value::Str(Text::Ref(..))))
    }

    /// Bytes that it takes in memory, but for room that is not used: how much of that there is depends on what it was before,
    /// and so on the number of workers.
    #[must_use]
    pub fn footprint(&self) -> usize {
        let extra = self.extra.as_ref().map_or(0, |extra| {
            let names: usize = extra.attributes.iter().map(|(name, _)| name.len()).sum();
            names + extra.protocol.as_ref().map_or(0, String::len) + size_of_val(extra.attributes.as_slice())
        });
        let (attributes, lists) = (size_of_val(self.attributes.as_slice()), size_of_val(self.lists.as_slice()));
        size_of::<Self>() + self.texts.len() + attributes + lists + extra
    }

    /// What a further part of the message sets replaces what was there. All is copied, so that what was replaced is gone.
    pub fn amend(&mut self, mut part: Self) {
        let mut old = std::mem::take(self);
        let extras = [old.extra.take(), part.extra.take()];
        let both = [&part, &old];
        self.id = part.id.or(old.id);
        self.code = part.code.or(old.code);
        self.type_name = self.newest(both, |content| content.type_name.map(Text::Plain)).map(Text::place);
        self.version = self.newest(both, |content| content.version.map(Text::Plain)).map(Text::place);
        self.domain = self.newest(both, |content| content.domain.map(Text::Plain)).map(Text::place);
        self.exception = self.newest(both, |content| content.exception.map(Text::Plain)).map(Text::place);
        self.result = self.newest(both, |content| content.result.map(Text::Plain)).map(Text::place);
        self.reason = self.newest(both, |content| content.reason.map(Text::Plain)).map(Text::place);
        self.resource = self.newest(both, |content| content.resource);
        self.endpoint = self.newest(both, |content| content.endpoint);
        self.status = if part.status == Status::Unknown { old.status } else { part.status };
        self.completeness = part.completeness.max(old.completeness);
        self.is_long_poll = part.is_long_poll | old.is_long_poll;
        let is_kept = |index: u16| part.attributes.iter().all(|(new, _)| *new != index);
        for (index, value) in old.attributes.iter().filter(|(index, _)| is_kept(*index)) {
            let value = self.copied(*value, &old);
            self.attributes.push((*index, value));
        }
        for (index, value) in &part.attributes {
            let value = self.copied(*value, &part);
            self.attributes.push((*index, value));
        }
        for (extra, from) in extras.into_iter().zip([&old, &part]) {
            let Some(extra) = extra else { continue };
            let mut ours = self.extra.take().unwrap_or_default();
            ours.protocol = extra.protocol.or(ours.protocol);
            for (name, value) in extra.attributes {
                ours.set(name, self.copied(value, from));
            }
            self.extra = Some(ours);
        }
    }

    /// A copy of what the first of two says that says it.
    fn newest(&mut self, both: [&Self; 2], of: impl Fn(&Self) -> Option<Text>) -> Option<Text> {
        both.into_iter().find_map(|from| Some(self.copied_text(of(from)?, from)))
    }

    fn copied_text(&mut self, mut text: Text, from: &Self) -> Text {
        *text.place_mut() = self.put(from.text(text.place()));
        text
    }

    fn copied(&mut self, value: Value, from: &Self) -> Value {
        match value {
            Value::Str(text) => Value::Str(self.copied_text(text, from)),
            Value::List(list) => {
                let at = self.lists.len();
                for text in from.list(list) {
                    let text = self.copied_text(*text, from);
                    self.lists.push(text);
                }
                Value::List(Place::between(at, self.lists.len()))
            }
            Value::I64(_) | Value::F64(_) | Value::Bool(_) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Place, Text, Value};

    /// A part with a string, an attribute that is one, and one that is a list.
    fn part(text: &str) -> Content {
        let mut content = Content::default();
        content.result = Some(content.put(text));
        content.lists = vec![Text::Plain(content.put(text)), Text::Ref(1, content.put("key"))];
        let string = Value::Str(Text::Plain(content.put(text)));
        content.attributes = vec![(7, Value::List(Place::between(0, 2))), (8, string)];
        content
    }

    #[test]
    fn parts_replace_what_they_say_and_leave_nothing_behind() {
        let mut content = part("the first");
        content.type_name = Some(content.put("type"));
        for number in 0..1_000 {
            content.amend(part(&number.to_string()));
        }
        assert_eq!((content.said(content.type_name), content.said(content.result)), (Some("type"), Some("999")));
        let Some((7, Value::List(list))) = content.attributes.first().copied() else { panic!("no list") };
        let list = content.list(list).iter().map(|text| content.text(text.place())).collect::<Vec<_>>();
        assert_eq!((list, content.attributes.len()), (vec!["999", "key"], 2));
        assert_eq!((content.texts.len(), content.lists.len()), ("type".len() + 3 * "999".len() + "key".len(), 2));
    }
}
