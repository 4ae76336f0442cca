//! What a command looks for, changes and computes: the shapes of its parts, which together are its text.

use protap_plugin::{Source, Stream, Text, Texts};

/// Parts that are kept: a filter, an update and an order are the most that a command has.
const MAX_PARTS: usize = 3;

/// A part of a command whose shape is shown, under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    #[default]
    Filter,
    Query,
    Q,
    Sort,
    Pipeline,
    U,
    Update,
    UpdateMods,
}

impl Part {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Filter => b"filter",
            Self::Query => b"query",
            Self::Q => b"q",
            Self::Sort => b"sort",
            Self::Pipeline => b"pipeline",
            Self::U => b"u",
            Self::Update => b"update",
            Self::UpdateMods => b"updateMods",
        }
    }
}

/// The shapes of a command's parts, in the order in which they stand there.
#[derive(Debug, Default)]
pub(crate) struct Query {
    parts: [Option<(Part, Text)>; MAX_PARTS],
    /// The pipeline opens a change stream.
    pub(crate) is_change_stream: bool,
}

impl Query {
    pub(crate) fn push(&mut self, stream: &Stream<impl Source>, part: Part, shape: Option<Text>) {
        let Some(shape) = shape else { return };
        if part == Part::Pipeline {
            let starts = stream.with_texts(|texts| texts.get(shape).starts_with(b"[{\"$changeStream\""));
            self.is_change_stream |= starts;
        }
        if let Some(slot) = self.parts.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((part, shape));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.first().is_none_or(Option::is_none)
    }

    /// Writes `{"find":"users","filter":{"age":{"$gt":"?"}}}`: a text of at most three shapes, and names of bounded length.
    pub(crate) fn write(&self, text: &mut Vec<u8>, texts: Texts<'_>, name: &[u8], collection: &[u8]) {
        for piece in [&b"{\""[..], name, b"\":\"", collection, b"\""] {
            text.extend_from_slice(piece);
        }
        for (part, shape) in self.parts.iter().flatten() {
            for piece in [&b",\""[..], part.name(), b"\":", texts.get(*shape)] {
                text.extend_from_slice(piece);
            }
        }
        text.push(b'}');
    }
}
